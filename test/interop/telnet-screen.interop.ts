// What outlasts a cut, as a person sees it: the screen of vi, less and top before and after, from the same client, from another one, and from
// our client after its SIGKILL; and a text that is typed while the network is cut 200 times.

import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { ChaosProxy } from '../../lib/testing/chaos-proxy.ts';
import { Random } from '../../lib/testing/random.ts';
import { PASSWORD } from '../telnet/server/support.ts';
import { Program, ServerProcess } from './telnet-support.ts';
import { Tmux } from './tmux.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What is run, the keys that bring it to a place in the middle, what is seen then, and the keys that end it. */
const programs: readonly (readonly [command: string, keys: readonly string[], seen: RegExp, end: readonly string[]])[] = [
  ['vi /etc/passwd', ['5j', '3l'], /root:x:0/, [':q!', 'Enter']],
  ['less /etc/passwd', ['Down', 'Down'], /daemon:x:1/, ['q']],
  // Its numbers change at every refresh: one is enough.
  ['top -b -n 1 | head -20; top -d 600', [], /load average/, ['q']],
];

function ours(port: number): string {
  return `${process.execPath} --import tsx examples/telnet/client/main.ts -l alice+work 127.0.0.1:${port}`;
}

async function login(tmux: Tmux, name: string): Promise<void> {
  await tmux.sees(name, /password: ?$/m);
  tmux.keys(name, PASSWORD, 'Enter');
}

/** Runs each program in turn, does something to the client, and checks that the screen is the same. */
async function compare(tmux: Tmux, name: string, harm: (name: string, before: string) => Promise<string>): Promise<void> {
  let window = name;
  for (const [command, keys, seen, end] of programs) {
    await tmux.sees(window, /ready\$ *$/m);
    tmux.keys(window, command, 'Enter');
    await tmux.sees(window, seen);
    for (const key of keys) tmux.keys(window, key);
    const before = await tmux.still(window);
    window = await harm(window, before);
    await tmux.becomes(window, before);
    // What comes next works on the right screen as well.
    for (const key of end) tmux.keys(window, key);
    // A program that ends throws away some of what is typed ahead.
    await tmux.sees(window, /ready\$ *$/m);
    tmux.keys(window, 'clear', 'Enter');
  }
}

describe('the screen outlasts', function () {
  this.timeout(120_000);

  for (const [title, again] of [
    ['a closed window: the same client (GNU telnet) comes back', (port: number) => `inetutils-telnet -l alice+work 127.0.0.1 ${port}`],
    ['a closed window: another client (plink) goes on', (port: number) => `plink -telnet -l alice+work -P ${port} 127.0.0.1`],
  ] as const) {
    it(title, async () => {
      await using server = await ServerProcess.start();
      await using tmux = new Tmux();
      const first = tmux.start(`inetutils-telnet -l alice+work 127.0.0.1 ${server.port}`);
      await login(tmux, first);
      await compare(tmux, first, async (window) => {
        tmux.close(window);
        const other = tmux.start(again(server.port));
        await login(tmux, other);
        return other;
      });
    });
  }

  it('the SIGKILL of our client: the next one goes on, without a login', async () => {
    await using server = await ServerProcess.start();
    await using tmux = new Tmux();
    const first = tmux.start(ours(server.port), root);
    await login(tmux, first);
    await compare(tmux, first, async (window) => {
      process.kill(tmux.pid(window), 'SIGKILL');
      return tmux.start(ours(server.port), root);
    });
  });

  it('a cut under our client, with its own line over the last row meanwhile', async () => {
    await using server = await ServerProcess.start();
    await using proxy = new ChaosProxy({ target: { port: server.port } });
    await proxy.listen();
    await using tmux = new Tmux();
    const first = tmux.start(ours(proxy.port), root);
    await login(tmux, first);
    await compare(tmux, first, async (window) => {
      proxy.pauseAccepting('refuse');
      proxy.cutAll();
      await tmux.sees(window, /offline \d+ s, .*; Enter now, ~\. quit, ~d detach/);
      await proxy.resumeAccepting();
      tmux.keys(window, 'Enter');
      return window;
    });
  });
});

describe('what is typed outlasts', function () {
  this.timeout(120_000);

  it('200 cuts: it is in the file once, and in order', async () => {
    await using server = await ServerProcess.start();
    await using proxy = new ChaosProxy({ target: { port: server.port } });
    await proxy.listen();
    const folder = mkdtempSync(join(tmpdir(), 'outlast-typed-'));
    chmodSync(folder, 0o777);
    const random = new Random(4);
    try {
      const words = [process.execPath, '--import', 'tsx', 'examples/telnet/client/main.ts', `127.0.0.1:${proxy.port}`];
      await using program = new Program(words, {}, root);
      await program.login();
      program.type(`stty -echo; cat > ${folder}/typed; echo "[do""ne]"\r`);
      await program.sees('"[do""ne]"');
      await sleep(200);
      const lines: string[] = [];
      while (proxy.stats.cuts < 200) {
        const line = `line ${lines.length} of what is typed while the network is cut`;
        lines.push(line);
        const half = random.integer(0, line.length);
        program.type(line.slice(0, half));
        await sleep(random.integer(0, 20));
        proxy.cutAll(random.chance(0.5) ? 'rst' : 'fin');
        await sleep(random.integer(0, 20));
        // Enter also tells a client that is offline not to wait.
        program.type(`${line.slice(half)}\r`);
        await sleep(random.integer(20, 60));
      }
      program.type('\u0004');
      await program.sees('[done]');
      expect(readFileSync(join(folder, 'typed'), 'utf8').split('\n').slice(0, -1)).to.deep.equal(lines);
      program.type('exit\r');
      await program.gone;
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
