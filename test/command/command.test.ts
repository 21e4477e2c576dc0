// The command as its users run it, in processes of its own: tunnels, pipes, refusals, signals, and each kind of end told apart.

import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { main } from '../../bin/main.ts';
import { rejection } from '../support/net.ts';
import { dialed, ending, heard, killed, type Outcome, Running, run, Service, start } from './support.ts';

const pem = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}.pem`, import.meta.url));

/** Both ends of a tunnel to a port. */
async function tunnel(
  to: number,
  listen: readonly string[] = [],
  forward: readonly string[] = [],
): Promise<{ far: Running & { port: number }; near: Running; port: number }> {
  const far = await Running.listening(['listen', '0', '--to', String(to), ...listen]);
  const near = await Running.listening(['forward', '0', `127.0.0.1:${far.port}`, ...forward]);
  return { far, near, port: near.port };
}

/** In this process, for what needs no other. */
async function here(args: readonly string[]): Promise<Outcome> {
  const texts = { stdout: '', stderr: '' };
  const out = (text: string): void => {
    texts.stdout += text;
  };
  const error = (text: string): void => {
    texts.stderr += text;
  };
  return { code: await main(args, { out, error }), ...texts };
}

describe('outlast', function () {
  this.timeout(60_000);
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'outlast-command-'));
    for (const [name, text] of [
      ['psk', 'one secret of both ends'],
      ['other', 'another secret than that'],
    ] as const) {
      writeFileSync(join(folder, name), text, { mode: 0o600 });
    }
  });
  after(() => rmSync(folder, { recursive: true }));

  it('teaches: help for everything, and a hint for wrong use', async () => {
    const commands = ['listen', 'forward', 'connect', 'doctor', 'top', 'chaos', 'telnet', 'demo', 'bench'];
    const all = await Promise.all([['--help'], [], ['--version'], ...commands.map((name) => [name, '--help'])].map(here));
    const [overview, nothing, version, ...helps] = all;
    for (const name of commands) expect(overview?.stdout).to.contain(`\n  ${name} `);
    expect([overview?.code, nothing?.code, nothing?.stdout]).to.deep.equal([0, 2, overview?.stdout]);
    expect(version?.stdout).to.match(/^\d+\.\d+\.\d+\n$/);
    helps.forEach((help, index) => {
      expect([help.code, help.stderr]).to.deep.equal([0, '']);
      expect(help.stdout).to.match(new RegExp(`^Usage: outlast ${commands[index]}[^]*Flags:[^]*--help`));
    });
  });

  it('says what is wrong with a command line', async () => {
    const wrong: readonly [readonly string[], RegExp][] = [
      [['lisen'], /no command 'lisen'/],
      [['listen'], /too few arguments: outlast listen .*\n.*outlast listen --help/],
      [['listen', '0', '--to', 'x'], /a target takes HOST:PORT/],
      [['listen', '0'], /--to or --allow must name a target/],
      [['listen', '0', '--to', '22', '--hold', '2'], /--hold takes a duration/],
      [['listen', '0', '--to', '22', '--nonsense'], /Unknown option '--nonsense'/],
      [['listen', '0', '--to', '22', '--tls'], /--tls needs --cert and --key/],
      [['listen', '0', '--to', '22', '--ca', 'x.pem'], /--ca is for TLS: add --tls/],
      [['listen', '0', '--to', '22', '--window', '64KiB'], /--window must be at least 128KiB/],
      [['connect', 'gate:7000', '--psk', '/nowhere'], /cannot read \/nowhere \(ENOENT\)/],
      [['chaos', '0.0.0.0:1', '22'], /port of this machine/],
    ];
    const outcomes = await Promise.all(wrong.map(([args]) => here(args)));
    outcomes.forEach(({ code, stdout, stderr }, index) => {
      expect(stderr).to.match(wrong[index]?.[1] as RegExp);
      expect([code, stdout]).to.deep.equal([2, '']);
    });
  });

  it('tunnels through a network that is cut, in order and whole', async () => {
    await using service = await Service.echo();
    await using far = await Running.listening(['listen', '0', '--to', String(service.port)]);
    await using storm = await Running.listening(['chaos', '0', `127.0.0.1:${far.port}`, '--cut', '800ms-1500ms', '--seed', '7']);
    await using near = await Running.listening(['forward', '0', `127.0.0.1:${storm.port}`]);
    const program = await dialed(near.port);
    const back = ending(program);
    const piece = Buffer.alloc(50_000);
    for (let i = 0; i < 40; i++) {
      program.write(Buffer.alloc(50_000, i));
      await delay(50);
    }
    program.end();
    // On a machine with much else to do it takes long; if too long, then the events say why.
    const late = delay(50_000, undefined, { ref: false }).then(() => {
      throw new Error(JSON.stringify([near, storm, far].map(({ events }) => events)));
    });
    const { bytes, how } = await Promise.race([back, late]);
    expect([bytes.length, how]).to.deep.equal([40 * piece.length, 'end']);
    for (let i = 0; i < 40; i++)
      expect(bytes.subarray(i * piece.length, (i + 1) * piece.length).equals(piece.fill(i)), `piece ${i}`).to.equal(true);
    // Before the proxy goes: the last word between both ends needs it.
    expect((await near.event('closed')).error).to.equal(undefined);
    storm.child.kill('SIGTERM');
    const summary = await storm.event('summary');
    expect([await storm.exit, Number(summary.cuts) > 0]).to.deep.equal([0, true]);
  });

  it('tells a target that refuses, one that is not allowed, and one that is', async () => {
    await using service = await Service.echo();
    const gone = await Service.start(() => {});
    await gone[Symbol.asyncDispose]();
    await using far = await Running.listening(['listen', '0', '--to', String(gone.port), '--allow', `127.0.0.1:${service.port}`]);
    const gate = `127.0.0.1:${far.port}`;
    const [refused, forbidden, allowed] = await Promise.all([
      run(['connect', gate], 'x'),
      run(['connect', gate, '--target', '127.0.0.1:9'], 'x'),
      run(['connect', gate, '--target', `127.0.0.1:${service.port}`], 'to and fro'),
    ]);
    expect([refused.code, refused.stdout]).to.deep.equal([1, '']);
    expect(refused.stderr).to.contain(`cannot connect to 127.0.0.1:${gone.port} (ECONNREFUSED)`);
    expect(forbidden.stderr).to.contain('the target 127.0.0.1:9 is not on the list of this end (--allow)');
    expect(allowed).to.deep.equal({ code: 0, stdout: 'to and fro', stderr: '' });
    await using near = await Running.listening(['forward', '0', gate]);
    const program = await dialed(near.port);
    expect((await ending(program)).how).to.equal('ECONNRESET');
    expect((await near.event('closed')).error).to.contain('ECONNREFUSED');
  });

  it('admits only who has the same key', async () => {
    await using service = await Service.echo();
    await using far = await Running.listening(['listen', '0', '--to', String(service.port), '--psk', join(folder, 'psk')]);
    const gate = `127.0.0.1:${far.port}`;
    const [right, wrong, none] = await Promise.all([
      run(['connect', gate, '--psk', join(folder, 'psk')], 'hello'),
      run(['connect', gate, '--psk', join(folder, 'other')], 'hello'),
      run(['connect', gate], 'hello'),
    ]);
    expect([right.code, right.stdout]).to.deep.equal([0, 'hello']);
    expect([wrong.code, wrong.stdout, none.code, none.stdout]).to.deep.equal([1, '', 1, '']);
    expect(wrong.stderr).to.contain('same psk');
    expect(none.stderr).to.contain('needs a psk');
  });

  it('speaks TLS both ways, and renews its certificates at SIGHUP while sessions live', async () => {
    await using service = await Service.echo();
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    const use = (name: string): void => {
      copyFileSync(pem(`${name}-cert`), cert);
      copyFileSync(pem(`${name}-key`), key);
    };
    use('server');
    const listen = ['--tls', '--cert', cert, '--key', key, '--ca', pem('ca-cert')];
    const identity = ['--tls', '--ca', pem('ca-cert'), '--cert', pem('client-cert'), '--key', pem('client-key')];
    const { far, near, port } = await tunnel(service.port, listen, identity);
    await using _far = far;
    await using _near = near;
    const program = await dialed(port);
    program.write('before');
    expect(await heard(program, near, far)).to.equal('before');
    const gate = `127.0.0.1:${far.port}`;
    expect((await run(['connect', gate, '--tls', '--ca', pem('ca-cert')], 'x')).code).to.equal(1);

    // A certificate that is none for servers, to see that it is in use; then the right one again.
    use('other-client');
    far.child.kill('SIGHUP');
    await far.event('reloaded');
    const refused = await run(['connect', gate, ...identity], 'x');
    expect([refused.code, refused.stderr.includes('cannot connect')]).to.deep.equal([1, true]);
    program.write('still there');
    expect(await heard(program, near, far)).to.equal('still there');
    use('server');
    far.child.kill('SIGHUP');
    await far.event('reloaded');
    expect((await run(['connect', gate, ...identity], 'again')).stdout).to.equal('again');
    writeFileSync(key, 'no key');
    far.child.kill('SIGHUP');
    expect((await far.event('reload-failed')).event).to.equal('reload-failed');
    program.end();
    expect((await ending(program)).how).to.equal('end');
  });

  it('pipes: the end of the input is told, the answer comes whole, and nothing else is on standard output', async () => {
    await using service = await Service.start((socket) => {
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.on('end', () => socket.end(Buffer.concat(chunks).reverse()));
    });
    await using far = await Running.listening(['listen', '0', '--to', String(service.port)]);
    const input = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i));
    const { code, stdout, stderr } = await run(['connect', `127.0.0.1:${far.port}`], input);
    expect([code, stderr, Buffer.from(stdout, 'latin1').equals(Buffer.from(input).reverse())]).to.deep.equal([0, '', true]);
    // The service ends first: the reader of the output sees it while the input is still open.
    await using hasty = await Service.start((socket) => socket.end('bye'));
    await using second = await Running.listening(['listen', '0', '--to', String(hasty.port)]);
    const child = start(['connect', `127.0.0.1:${second.port}`]);
    let heard = '';
    child.stdout.on('data', (text) => {
      heard += text;
    });
    await once(child.stdout, 'end');
    expect([heard, child.exitCode]).to.deep.equal(['bye', null]);
    child.stdin.end();
    expect((await once(child, 'exit'))[0]).to.equal(0);
  });

  it('gives up on a gate that is not there, and says so', async () => {
    const gone = await Service.start(() => {});
    await gone[Symbol.asyncDispose]();
    const { code, stderr } = await run(['connect', `127.0.0.1:${gone.port}`, '--wait', '600ms']);
    expect([code, stderr.includes('ECONNREFUSED')]).to.deep.equal([1, true]);
  });

  it('drains at SIGTERM: open connections finish, new ones are refused, exit code 0', async () => {
    await using service = await Service.echo();
    const { far, near, port } = await tunnel(service.port);
    await using _far = far;
    await using _near = near;
    const program = await dialed(port);
    program.write('one');
    await heard(program, near, far);
    far.child.kill('SIGTERM');
    await near.event('peer-draining');
    const refused = await run(['connect', `127.0.0.1:${far.port}`, '--wait', '100ms']);
    expect([refused.code, refused.stderr.includes('DRAINING')]).to.deep.equal([1, true]);
    program.end('two');
    const { bytes, how } = await ending(program);
    expect([bytes.toString(), how, await far.exit]).to.deep.equal(['two', 'end', 0]);
    near.child.kill('SIGTERM');
    expect(await near.exit).to.equal(0);
  });

  it('resets what does not end in time, and tells by its exit code', async () => {
    await using service = await Service.echo();
    const { far, near, port } = await tunnel(service.port, ['--drain', '100ms']);
    await using _far = far;
    await using _near = near;
    const program = await dialed(port);
    program.write('x');
    await heard(program, near, far);
    far.child.kill('SIGTERM');
    expect([(await ending(program)).how, await far.exit]).to.deep.equal(['ECONNRESET', 1]);
    expect((await near.event('closed')).error).to.contain('the other end closed');
  });

  it('resets the survivor: of a killed forward when the hold time is over, of a killed listen that came back without its sessions', async () => {
    await using service = await Service.echo();
    const { far, near, port } = await tunnel(service.port, ['--hold', '300ms']);
    await using _far = far;
    await using _near = near;
    const accepted = service.connection();
    const program = await dialed(port);
    const served = await accepted;
    program.write('x');
    await heard(program, near, far);
    const over = once(served, 'error');
    await killed(near.child);
    program.destroy();
    expect(((await over)[0] as NodeJS.ErrnoException).code).to.equal('ECONNRESET');
    expect((await far.event('closed')).error).to.contain('detached for 300 ms');

    await using second = await Running.listening(['forward', '0', `127.0.0.1:${far.port}`]);
    const other = await dialed(second.port);
    other.write('y');
    await heard(other, second, far);
    await killed(far.child);
    await using _again = await Running.listening(['listen', String(far.port), '--to', String(service.port)]);
    expect((await ending(other)).how).to.equal('ECONNRESET');
    expect((await second.event('closed')).error).to.contain('UNKNOWN');
  });

  it('warns where it can be reached from elsewhere unprotected, and only there', async () => {
    const warnings = async (args: readonly string[]): Promise<unknown[]> => {
      await using running = await Running.listening(args);
      return running.events.filter(({ event }) => event === 'risk').map(({ risk }) => risk);
    };
    const tls = ['--tls', '--cert', pem('server-cert'), '--key', pem('server-key')];
    const [home, wide, keyed, encrypted, both, forward] = await Promise.all([
      warnings(['listen', '0', '--to', '22']),
      warnings(['listen', '0.0.0.0:0', '--to', '22']),
      warnings(['listen', '0.0.0.0:0', '--to', '22', '--psk', join(folder, 'psk')]),
      warnings(['listen', '0.0.0.0:0', '--to', '22', ...tls]),
      warnings(['listen', '0.0.0.0:0', '--to', '22', ...tls, '--ca', pem('ca-cert')]),
      warnings(['forward', '0.0.0.0:0', '127.0.0.1:9']),
    ]);
    expect([home, both]).to.deep.equal([[], []]);
    expect(String(wide)).to.contain('whoever reaches this port can open connections to 127.0.0.1:22').and.to.contain('can read it');
    expect(String(keyed)).to.contain('can read it').and.to.not.contain('whoever reaches');
    expect(String(encrypted)).to.contain('whoever reaches').and.to.not.contain('can read it');
    expect(String(forward)).to.contain('gets through the tunnel');
  });

  it('reports over a connection that reaches nothing as a failure, not as silence', async () => {
    expect((await rejection(Running.listening(['listen', '0']))).message).to.contain('exit code 2');
  });
});
