// Bare mode: framing and sessions for peers that do not speak the session protocol. The other end is a plain net.Socket.

import { once } from 'node:events';
import type { Socket } from 'node:net';
import { expect } from 'chai';
import { SessionClient } from '../../lib/client.ts';
import type { SessionError } from '../../lib/errors.ts';
import type { Framing } from '../../lib/framing/framing.ts';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { lines } from '../../lib/framing/lines.ts';
import { raw } from '../../lib/framing/raw.ts';
import type { SharedOptions } from '../../lib/options.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { echo, ended, eventually, Listener, next, rejection, take, takeAll, tcp, turns, VirtualRuntime } from '../support/net.ts';

/** A bare server with one plain socket connected to it. */
async function plain<Message>(
  framing: Framing<Message>,
  options: Partial<SharedOptions<Message>> = {},
): Promise<{ server: SessionServer<Message>; socket: Socket; far: Session<Message>; port: number }> {
  const server = new SessionServer({ framing, bare: true, ...options });
  const { port } = await server.listen({ port: 0 });
  const announced = next<[Session<Message>]>(server, 'session');
  const socket = await tcp(port);
  const [far] = await announced;
  return { server, socket, far, port };
}

/** A bare client and the plain socket that a listener of the test took. */
async function plainServer<Message>(
  framing: Framing<Message>,
  options: Partial<SharedOptions<Message>> = {},
): Promise<{ listener: Listener; socket: Socket; near: Session<Message>; client: SessionClient<Message> }> {
  const listener = await new Listener(() => {}).listen();
  const client = new SessionClient({ framing, bare: true, port: listener.port, ...options });
  const near = await client.open();
  await eventually(() => listener.sockets.length === 1);
  return { listener, socket: listener.sockets[0] as Socket, near, client };
}

async function readAll(socket: Socket): Promise<string> {
  const parts: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => parts.push(chunk));
  await once(socket, 'end');
  return Buffer.concat(parts).toString('latin1');
}

describe('a bare server', () => {
  it('cuts lines, and writes nothing of its own', async () => {
    const { server, socket, far } = await plain(lines());
    await using _ = server;
    const cause = ended(far);
    const served = echo(far);
    const back = readAll(socket);
    socket.write('one\ntw');
    socket.write('o\n');
    socket.end('three\n');
    expect(await back).to.equal('one\ntwo\nthree\n');
    await served;
    expect(await cause).to.equal(undefined);
    expect(server.sessions.size).to.equal(0);
  });

  it('takes length prefixes', async () => {
    const { server, socket, far } = await plain(lengthPrefix({ bytes: 2 }));
    await using _ = server;
    const back = readAll(socket);
    socket.write(Buffer.from('0003414243000144', 'hex'));
    expect((await take(far, 2)).map(String)).to.deep.equal(['ABC', 'D']);
    far.send(Buffer.from('xyz'));
    socket.end();
    await takeAll(far);
    expect(await back).to.equal('\0\x03xyz');
  });

  it('takes raw bytes', async () => {
    const { server, socket, far } = await plain(raw());
    await using _ = server;
    socket.end('anything at all');
    expect(Buffer.concat(await takeAll(far)).toString()).to.equal('anything at all');
    socket.resume();
  });

  it('the session knows its circuit, and is attached as long as it lives', async () => {
    const { server, socket, far } = await plain(lines());
    await using _ = server;
    expect([far.state, far.circuit?.transport, far.stats.circuits]).to.deep.equal(['attached', 'tcp', 1]);
    expect([...server.sessions.values()]).to.deep.equal([far]);
    const cause = ended(far);
    socket.end();
    socket.resume();
    await takeAll(far);
    await cause;
    expect([far.state, far.circuit]).to.deep.equal(['closed', undefined]);
  });

  it('a peer that half-closes still gets its answer', async () => {
    const { server, socket, far } = await plain(lines(), { allowHalfOpen: true });
    await using _ = server;
    const cause = ended(far);
    const back = readAll(socket);
    socket.end('question\n');
    expect(await takeAll(far)).to.deep.equal(['question']);
    await turns(20);
    expect(far.state).to.equal('attached');
    far.send('answer');
    far.end();
    expect(await back).to.equal('answer\n');
    expect(await cause).to.equal(undefined);
  });

  it('end() half-closes, and what the peer still sends is read', async () => {
    const { server, socket, far } = await plain(lines());
    await using _ = server;
    const cause = ended(far);
    far.send('last');
    far.end();
    expect(await readAll(socket)).to.equal('last\n');
    socket.write('still\n');
    await turns(10);
    socket.end('talking\n');
    expect(await takeAll(far)).to.deep.equal(['still', 'talking']);
    expect(await cause).to.equal(undefined);
  });

  it('a reset is not an end', async () => {
    const { server, socket, far } = await plain(lines());
    await using _ = server;
    const reading = take(far, 2);
    socket.write('whole\n');
    await eventually(() => far.stats.received === 6);
    far.send('never confirmed');
    socket.resetAndDestroy();
    const error = await rejection(reading);
    expect([error.code, error.blame]).to.deep.equal(['ERR_CIRCUIT_LOST', 'network']);
  });

  it('destroy() is a reset, so that the peer does not take it for an end', async () => {
    const { server, socket, far } = await plain(lines());
    await using _ = server;
    let endedInOrder = false;
    socket.on('end', () => {
      endedInOrder = true;
    });
    socket.resume();
    const closed = new Promise((resolve) => socket.once('close', resolve));
    far.destroy();
    await closed;
    expect(endedInOrder).to.equal(false);
  });

  it('half a message at the end is ERR_TRUNCATED, bytes that are no text are ERR_FRAMING', async () => {
    for (const [bytes, code] of [
      [Buffer.from('whole\nhalf'), 'ERR_TRUNCATED'],
      [Buffer.from('77686f6c650aff0a', 'hex'), 'ERR_FRAMING'],
    ] as const) {
      const { server, socket, far } = await plain(lines());
      await using _ = server;
      const seen: string[] = [];
      const reading = (async () => {
        for await (const line of far) seen.push(line);
      })();
      socket.end(bytes);
      expect((await rejection(reading)).code).to.equal(code);
      expect(seen).to.deep.equal(['whole']);
    }
  });

  it('a reader that stops stops the socket: memory stays within the window', async () => {
    const { server, socket, far } = await plain(lengthPrefix(), { window: 65_536, limits: { messageBytes: 32_768 } });
    await using _ = server;
    const frame = Buffer.concat([Buffer.from([0, 0, 0x10, 0]), Buffer.alloc(4096, 7)]);
    const count = 4000;
    let written = 0;
    const writing = (async () => {
      for (; written < count; written++) if (!socket.write(frame)) await once(socket, 'drain');
      socket.end();
    })();
    const reader = far[Symbol.asyncIterator]();
    await reader.next();
    await turns(100);
    expect(written).to.be.below(count);
    // One read of the socket may come on top.
    expect(far.stats.inboundBytes).to.be.within(65_536, 65_536 * 3);
    let read = 1;
    while (!(await reader.next()).done) read++;
    await writing;
    expect(read).to.equal(count);
    socket.resume();
  });

  it('a peer that stops reading stops the sender: false, then drain', async () => {
    const limits = { messageBytes: 65_536, outboxHighWater: 262_144, outboxHardCap: 2 ** 24 };
    const { server, socket, far } = await plain(lengthPrefix(), { limits });
    await using _ = server;
    socket.pause();
    let sent = 0;
    while (far.send(Buffer.alloc(60_000)) || sent < 100) {
      if (++sent % 8 === 0) await turns(2);
      if (sent > 2000) break;
    }
    expect(sent).to.be.below(2000);
    const drained = far.drained();
    let received = 0;
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    socket.resume();
    await drained;
    far.end();
    await once(socket, 'end');
    socket.end();
    await eventually(() => far.state === 'closed' || server.sessions.size === 0);
    expect(received).to.equal((sent + 1) * 60_004);
  });

  it('close() of the server resets what is open', async () => {
    const { server, socket, far } = await plain(lines());
    const cause = ended(far);
    socket.resume();
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await server.close();
    expect((await cause)?.code).to.equal('ERR_SHUTDOWN');
    await closed;
  });

  it('close() of a session waits for the peer to end', async () => {
    const { server, socket, far } = await plain(lines());
    await using _ = server;
    const read = takeAll(far);
    const back = readAll(socket);
    far.send('bye');
    const closing = far.close();
    expect(await back).to.equal('bye\n');
    socket.end('you too\n');
    await closing;
    expect(await read).to.deep.equal(['you too']);
  });
});

describe('a bare client', () => {
  it('talks to a plain server', async () => {
    const { listener, socket, near } = await plainServer(lines());
    await using _ = listener;
    const cause = ended(near);
    near.send('HELO');
    near.end();
    const asked = readAll(socket);
    expect(await asked).to.equal('HELO\n');
    socket.end('250 OK\n');
    expect(await takeAll(near)).to.deep.equal(['250 OK']);
    expect(await cause).to.equal(undefined);
  });

  it('does not redial by itself, and record() and flushed() mean what they can', async () => {
    const { listener, socket, near, client } = await plainServer(lines());
    await using _ = listener;
    expect(() => client.record(near))
      .to.throw()
      .with.property('code', 'ERR_CLOSED');
    near.send('written');
    await near.flushed();
    const cause = ended(near);
    socket.resetAndDestroy();
    expect(((await cause) as SessionError).code).to.equal('ERR_CIRCUIT_LOST');
    await turns(30);
    expect(listener.sockets.length).to.equal(1);
    expect(client.sessions.size).to.equal(0);
  });

  it('reopen() yields one session after the other, through refusals', async () => {
    const runtime = new VirtualRuntime();
    const listener = await new Listener((socket) => socket.write(`session ${listener.sockets.length}\n`)).listen();
    const { port } = listener;
    const client = new SessionClient({ framing: lines(), bare: true, port, runtime });
    const stop = new AbortController();
    const greetings: string[] = [];
    const states: string[] = [];
    const looping = (async () => {
      for await (const session of client.reopen({ signal: stop.signal })) {
        states.push(session.state);
        greetings.push(...(await take(session, 1)));
        if (greetings.length === 3) stop.abort();
        listener.sockets.at(-1)?.resetAndDestroy();
      }
    })();
    await runtime.until(looping);
    expect(greetings).to.deep.equal(['session 1', 'session 2', 'session 3']);
    expect(states).to.deep.equal(['attached', 'attached', 'attached']);
    await listener[Symbol.asyncDispose]();
    expect((await rejection(client.open())).code).to.equal('ERR_CONNECT');
  });

  it('reopen() ends when its client is closed', async () => {
    await using listener = await new Listener(() => {}).listen();
    const client = new SessionClient({ framing: lines(), bare: true, port: listener.port });
    let count = 0;
    for await (const session of client.reopen()) {
      count++;
      session.destroy();
      await client.close();
    }
    expect(count).to.equal(1);
  });
});
