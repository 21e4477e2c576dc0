// What an operator has: the control socket with `outlast top`, and `outlast doctor` before each of the faults that it knows.

import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { tableOf } from '../../bin/commands/top.ts';
import { ControlClient, type Listing, type Row } from '../../bin/tunnel/control.ts';
import { lines } from '../../lib/framing/lines.ts';
import { SessionServer } from '../../lib/index.ts';
import { eventually } from '../support/net.ts';
import { dialed, ending, heard, Running, run, Service } from './support.ts';

const pem = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}.pem`, import.meta.url));
const serverFlags = ['--tls', '--cert', pem('server-cert'), '--key', pem('server-key')];

interface Findings {
  readonly ok: boolean;
  readonly findings: readonly { readonly step: string; readonly ok: boolean; readonly text: string }[];
}

/** The doctor's findings; the last one is the one that failed. */
async function examined(args: readonly string[]): Promise<Findings & { readonly last: string; readonly code: number | null }> {
  const { code, stdout } = await run(['doctor', ...args, '--json']);
  const found = JSON.parse(stdout) as Findings;
  return { ...found, code, last: found.findings.at(-1)?.text ?? '' };
}

describe('outlast top', function () {
  this.timeout(60_000);
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'outlast-top-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('lists, kicks and drains over a socket of its owner alone', async () => {
    const path = join(folder, 'control.sock');
    await using service = await Service.echo();
    // What a killed process leaves behind does not stand in the way.
    const killed = await Running.listening(['listen', '0', '--to', String(service.port), '--control', path]);
    await killed[Symbol.asyncDispose]();
    await using far = await Running.listening(['listen', '0', '--to', String(service.port), '--control', path]);
    await using near = await Running.listening(['forward', '0', `127.0.0.1:${far.port}`]);
    expect(statSync(path).mode & 0o777).to.equal(0o600);
    const programs = await Promise.all([dialed(near.port), dialed(near.port)]);
    for (const program of programs) {
      program.write('x');
      await heard(program, near, far);
    }
    const control = await ControlClient.open(path);
    const list = (): Promise<Listing> => control.ask<Listing>({ do: 'list' });
    const { command, draining, sessions } = await list();
    expect([command, draining, sessions.length]).to.deep.equal(['listen', false, 2]);
    const [row] = sessions as [Row];
    expect(row).to.include({ state: 'attached', target: `127.0.0.1:${service.port}`, circuit: 1, sentBytes: 1, holdLeftMs: null });
    expect(row.peer).to.match(/^127\.0\.0\.1:\d+$/);
    expect(await control.ask<object>({ do: 'nonsense' })).to.have.property('error');

    const { stdout } = await run(['top', path, '--once']);
    expect(stdout.split('\n')[0]).to.equal('outlast listen: 2 sessions, 0 without a connection');
    expect(stdout).to.contain(row.id.slice(0, 8));
    expect((await run(['top', path, '--kick', ''])).code).to.equal(1);
    const ends = Promise.race(programs.map(ending));
    expect((await run(['top', path, '--kick', row.id.slice(0, 8)])).code).to.equal(0);
    expect((await ends).how).to.equal('ECONNRESET');
    expect(String((await near.event('closed')).error)).to.contain('kicked by an operator');
    expect((await list()).sessions.length).to.equal(1);

    near.child.kill('SIGSTOP');
    near.child.kill('SIGKILL');
    await eventually(() => near.child.signalCode !== null);
    let detached: Row | undefined;
    for (; detached === undefined; ) detached = (await list()).sessions.find(({ state }) => state === 'detached');
    expect(detached.holdLeftMs).to.be.within(7_000_000, 7_200_000);
    expect((await run(['top', path, '--drain'])).code).to.equal(0);
    expect((await list()).draining).to.equal(true);
    control.close();
    far.child.kill('SIGINT');
    expect(await far.exit).to.equal(130);
    for (const program of programs) program.destroy();
    expect((await run(['top', path])).code).to.equal(1);
  });

  it('does not take the control socket of a process that lives', async () => {
    const path = join(folder, 'taken.sock');
    await using running = await Running.listening(['listen', '0', '--to', '22', '--control', path]);
    const { code, stderr } = await run(['listen', '0', '--to', '22', '--control', path]);
    expect([code, stderr.includes('EADDRINUSE')]).to.deep.equal([1, true]);
    // Nor does it leave one behind where it cannot listen.
    const other = join(folder, 'other.sock');
    const second = await run(['listen', String(running.port), '--to', '22', '--control', other]);
    expect([second.code, second.stderr.includes('EADDRINUSE'), existsSync(other)]).to.deep.equal([1, true, false]);
  });

  it('draws a line for each session', () => {
    const row: Row = {
      id: '0123456789abcdef',
      state: 'detached',
      peer: '10.0.0.1:4711',
      target: '127.0.0.1:22',
      circuit: 3,
      rttMs: 12.3,
      outboundBytes: 2048,
      inboundBytes: 0,
      sentBytes: 5_000_000,
      receivedBytes: 17,
      ageMs: 90_000,
      holdLeftMs: 3_600_000,
    };
    const drawn = tableOf({ command: 'listen', draining: true, sessions: [row] });
    expect(drawn[0]).to.equal('outlast listen (draining): 1 session, 1 without a connection');
    expect(drawn[2]?.split(/ {2,}/)).to.deep.equal([
      '01234567 detached 3',
      '12 ms',
      '2.0 KiB',
      '0 B',
      '4.8 MiB',
      '17 B',
      '2 min',
      '1.0 h',
      '10.0.0.1:4711',
      '127.0.0.1:22',
    ]);
  });
});

describe('outlast doctor', function () {
  this.timeout(60_000);

  it('finds nothing wrong with a good way, and measures it', async () => {
    await using service = await Service.echo();
    await using far = await Running.listening(['listen', '0', '--to', String(service.port), ...serverFlags]);
    const { ok, code, findings } = await examined([
      `localhost:${far.port}`,
      '--tls',
      '--ca',
      pem('ca-cert'),
      '--idle',
      '500ms',
      '--heartbeat',
      '1s',
    ]);
    expect(findings.map(({ step }) => step)).to.deep.equal(['name', 'connect', 'handshake', 'report', 'round trip', 'resume', 'idle']);
    expect([ok, code]).to.deep.equal([true, 0]);
    expect(findings[2]?.text).to.contain('TLSv1.3, heartbeat 1.0 s, held for 1 min');
    expect(findings[3]?.text).to.contain(`target 127.0.0.1:${service.port} answers`);
    // It is a session without a target's connection beyond the look at it, and ends in order.
    expect(service.sockets.length).to.equal(1);
    expect(far.events.filter(({ event }) => event === 'closed')).to.deep.equal([]);
  });

  it('tells TLS on one side only, whichever it is', async () => {
    await using secure = await Running.listening(['listen', '0', '--to', '22', ...serverFlags]);
    await using plain = await Running.listening(['listen', '0', '--to', '22']);
    const [here, there, untrusted] = await Promise.all([
      examined([`127.0.0.1:${plain.port}`, '--tls']),
      examined([`127.0.0.1:${secure.port}`]),
      examined([`127.0.0.1:${secure.port}`, '--tls']),
    ]);
    expect([here.code, there.code, untrusted.code]).to.deep.equal([1, 1, 1]);
    expect(here.last).to.contain('the other end speaks without TLS');
    expect(there.last).to.contain('add --tls (its certificate is for localhost');
    expect(untrusted.last)
      .to.contain('ERR_CONNECT')
      .and.to.match(/UNABLE_TO_VERIFY|SELF_SIGNED/);
  });

  it('tells another framing, another protocol, silence, another key, and nobody', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'outlast-doctor-'));
    writeFileSync(join(folder, 'psk'), 'one secret of both ends', { mode: 0o600 });
    await using framed = new SessionServer({ framing: lines() });
    const { port } = await framed.listen({ port: 0 });
    await using keyed = await Running.listening(['listen', '0', '--to', '22', '--psk', join(folder, 'psk')]);
    await using ssh = await Service.start((socket) => socket.write('SSH-2.0-OpenSSH_9.2\r\n'));
    const gone = await Service.start(() => {});
    await gone[Symbol.asyncDispose]();
    const [framing, key, protocol, nobody, nowhere] = await Promise.all([
      examined([`127.0.0.1:${port}`]),
      examined([`127.0.0.1:${keyed.port}`]),
      examined([`127.0.0.1:${ssh.port}`]),
      examined([`127.0.0.1:${gone.port}`]),
      examined(['no-such-host.invalid:7000']),
    ]);
    expect(framing.last).to.contain('ERR_FRAMING_MISMATCH').and.to.contain('this server frames by lines');
    expect(key.last).to.contain('this server needs a psk');
    expect(protocol.last).to.contain('look like SSH');
    expect(nobody.last).to.contain('ECONNREFUSED');
    expect(nowhere.last).to.contain('no-such-host.invalid is not found');
    rmSync(folder, { recursive: true });
  });

  it('tells a target out of reach, and a balancer that sends resumes elsewhere', async () => {
    const gone = await Service.start(() => {});
    await gone[Symbol.asyncDispose]();
    await using unreachable = await Running.listening(['listen', '0', '--to', String(gone.port)]);
    expect((await examined([`127.0.0.1:${unreachable.port}`])).last).to.contain('its target is out of reach: cannot connect to');
    await using service = await Service.echo();
    await using first = await Running.listening(['listen', '0', '--to', String(service.port)]);
    await using second = await Running.listening(['listen', '0', '--to', String(service.port)]);
    // The look at the port, the handshake, and the resume: the third connection and all behind it go elsewhere.
    let connections = 0;
    await using balancer = await Service.start((socket) => {
      void dialed((connections++ < 2 ? first : second).port).then((onward) => {
        onward.on('close', () => socket.destroy());
        socket.on('close', () => onward.destroy());
        socket.pipe(onward).pipe(socket);
      });
    });
    expect((await examined([`127.0.0.1:${balancer.port}`])).last).to.contain('A balancer that sends connections to different processes');
  });
});
