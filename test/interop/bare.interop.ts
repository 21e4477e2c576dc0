// Real programs at the other end: netcat and socat speak a framing without the session protocol, openssl sees the TLS listener.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';
import { type Session, SessionClient, SessionServer } from 'outlast';
import { lengthPrefix } from 'outlast/framing/length-prefix';
import { lines } from 'outlast/framing/lines';
import { freePort } from '../support/free-port.ts';
import { serverTls } from '../support/tls.ts';

interface Output {
  readonly text: string;
  readonly code: number | null;
}

/** Runs a program with `input` on its standard input, up to its end. */
async function run(name: string, args: readonly string[], input: string): Promise<Output> {
  const child = spawn(name, args);
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  return { text, code };
}

/** socat that echoes, once it listens. */
async function echoOn(port: number): Promise<ChildProcessWithoutNullStreams> {
  const child = spawn('socat', ['-d', '-d', `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork`, 'EXEC:cat'], {
    detached: true,
  });
  let log = '';
  for await (const chunk of child.stderr) {
    log += chunk;
    if (log.includes('listening on')) break;
  }
  child.stderr.resume();
  return child;
}

describe('bare sessions with real programs', () => {
  it('netcat talks lines to a bare server, and both ends see the end', async () => {
    await using server = new SessionServer({ framing: lines(), bare: true });
    const causes: unknown[] = [];
    server.on('session', async (session) => {
      session.on('close', (cause) => causes.push(cause));
      for await (const line of session) session.send(line.toUpperCase());
    });
    const { port } = await server.listen({ port: 0 });
    const input = Array.from({ length: 2000 }, (_, i) => `line ${i} grüße\n`).join('');
    const { text, code } = await run('nc', ['-N', '127.0.0.1', String(port)], input);
    expect(text).to.equal(input.toUpperCase());
    expect([code, causes]).to.deep.equal([0, [undefined]]);
  });

  it('a bare client talks through socat and cat, loses them to SIGKILL, and reconnects', async () => {
    const port = await freePort();
    let echo = await echoOn(port);
    const client = new SessionClient({ framing: lengthPrefix(), port, bare: true });
    const codes: unknown[] = [];
    let round = 0;
    for await (const session of client.reopen()) {
      session.on('close', (cause) => codes.push(cause?.code));
      const payload = Buffer.alloc(100_000, round);
      session.send(payload);
      expect(await first(session)).to.deep.equal(payload);
      if (++round === 2) {
        await session.close();
        break;
      }
      // The whole process group, cat included: what remains of the connection is the kernel's word.
      process.kill(-(echo.pid as number), 'SIGKILL');
      await Promise.all([once(session, 'close'), once(echo, 'close')]);
      echo = await echoOn(port);
    }
    expect(codes.length).to.equal(2);
    expect(codes[1]).to.equal(undefined);
    process.kill(-(echo.pid as number));
    await once(echo, 'close');
    await client.close();
  });
});

describe('the TLS listener with openssl', () => {
  it('negotiates ALPN outlast/1 on TLS 1.3', async () => {
    await using server = new SessionServer({ framing: lines(), tls: serverTls() });
    const { port } = await server.listen({ port: 0 });
    const { text } = await run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-alpn', 'outlast/1', '-tls1_3'], 'Q\n');
    expect(text).to.include('ALPN protocol: outlast/1');
    expect(text).to.include('TLSv1.3');
  });
});

async function first(session: Session<Buffer>): Promise<Buffer> {
  for await (const message of session) return message;
  throw new Error('the session ended first');
}
