// The command at a terminal: the live table of `outlast top` with its keys, and what `outlast connect` tells of an outage.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawn } from '@lydell/node-pty';
import { expect } from 'chai';
import { dialed, ending, Running, run, Service } from './support.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The command on a terminal of its own. */
class AtTerminal {
  /** All that was written to it, with a visible escape character. */
  text = '';
  readonly exit: Promise<number>;
  readonly #pty: ReturnType<typeof spawn>;

  constructor(args: readonly string[]) {
    const words = ['--import', 'tsx', join(root, 'bin/outlast.ts'), ...args];
    this.#pty = spawn(process.execPath, words, { cols: 160, rows: 12, cwd: root, env: process.env as Record<string, string> });
    this.#pty.onData((data) => {
      this.text += data.replaceAll('\x1b', '␛');
    });
    this.exit = new Promise((resolve) => this.#pty.onExit(({ exitCode }) => resolve(exitCode)));
  }

  type(keys: string): void {
    this.#pty.write(keys);
  }

  /** Waits until this stands on the screen, behind what was there before `from`. */
  async shows(pattern: RegExp, from = 0): Promise<void> {
    while (!pattern.test(this.text.slice(from))) await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('outlast at a terminal', function () {
  this.timeout(60_000);

  it('draws a live table, chooses and kicks by keys, and leaves the terminal as it was', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'outlast-terminal-'));
    const path = join(folder, 'control.sock');
    await using service = await Service.echo();
    await using far = await Running.listening(['listen', '0', '--to', String(service.port), '--control', path]);
    await using near = await Running.listening(['forward', '0', `127.0.0.1:${far.port}`]);
    const [first, second] = [await dialed(near.port), await dialed(near.port)];
    const top = new AtTerminal(['top', path, '--every', '100ms']);
    await top.shows(/outlast listen: 2 sessions, 0 without a connection[\s\S]*SESSION[\s\S]*attached[\s\S]*q quit/);
    const kicked = Promise.race([ending(first), ending(second)]);
    top.type('\x1b[B');
    // The chosen line is drawn the other way round; it is the last one.
    await top.shows(/␛\[7m[0-9a-f]{8}[^\n]*\r\narrows/);
    top.type('k');
    expect((await kicked).how).to.equal('ECONNRESET');
    await top.shows(/1 session, 0 without/);
    top.type('q');
    expect(await top.exit).to.equal(0);
    expect(top.text.endsWith('␛[?25h␛[?1049l')).to.equal(true);
    for (const socket of [first, second]) socket.destroy();
    rmSync(folder, { recursive: true });
  });

  it('tells an outage and its end, and goes when the other side has hung up', async () => {
    await using service = await Service.start((socket) => socket.once('data', () => socket.end('goodbye\r\n')));
    await using far = await Running.listening(['listen', '0', '--to', String(service.port)]);
    await using storm = await Running.listening(['chaos', '0', `127.0.0.1:${far.port}`]);
    const connect = new AtTerminal(['connect', `127.0.0.1:${storm.port}`, '--hold', '1m']);
    await service.connection();
    storm.child.kill('SIGKILL');
    await connect.shows(/outlast connect: offline; 1 connections wait/);
    await using _again = await Running.listening(['chaos', String(storm.port), `127.0.0.1:${far.port}`]);
    await connect.shows(/outlast connect: back after /);
    connect.type('hello\r');
    expect(await connect.exit).to.equal(0);
    expect(connect.text).to.contain('goodbye');
  });

  it('hands the terminal to the telnet client, and its exit code back', async () => {
    const gone = await Service.start(() => {});
    await gone[Symbol.asyncDispose]();
    const { code, stdout, stderr } = await run(['telnet', `127.0.0.1:${gone.port}`]);
    expect([code, `${stdout}${stderr}`.includes('ERR_CONNECT')]).to.deep.equal([1, true]);
  });
});
