// Kills the server's and the client's process with SIGKILL, again and again at random moments, while numbers are added up between them.
// Both have a store of their own. In the end every number has counted once, at both ends.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Random } from '../../lib/testing/random.ts';
import { Compiled } from '../support/compiled.ts';
import { freePort } from '../support/free-port.ts';

export interface SigkillOptions {
  readonly messages: number;
  /** Spread over the messages: after each the client may go on to the next. */
  readonly kills: number;
  readonly seed: number;
  readonly note?: (line: string) => void;
  /** Default: LMDB in a folder of the run. */
  readonly store?: { readonly kind: string; readonly place: string };
}

export interface SigkillResult {
  readonly seen: number;
  readonly sum: number;
  readonly serverKills: number;
  readonly clientKills: number;
  readonly broken: readonly string[];
}

/** One role: a process that is started again whenever it is gone. */
export class Role {
  readonly #file: string;
  readonly #argv: readonly string[];
  readonly #onLine: (line: string) => void;
  #child: ChildProcess | null = null;
  #stopped = false;
  kills: number = 0;
  /** It has told that it works. */
  ready: boolean = false;
  #order = '';

  /** @param file compiled */
  constructor(file: string, argv: readonly string[], onLine: (line: string) => void) {
    this.#file = file;
    this.#argv = argv;
    this.#onLine = onLine;
  }

  start(): void {
    if (this.#stopped) return;
    const child = spawn(process.execPath, [this.#file, ...this.#argv], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child = child;
    this.ready = false;
    // What is written to one that was killed is lost with it.
    child.stdin.on('error', () => {});
    child.stdin.write(this.#order);
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('ready') && this.#child === child) this.ready = true;
      this.#onLine(line);
    });
    child.once('exit', (code, signal) => {
      if (this.#child === child) this.#child = null;
      if (signal === 'SIGKILL') this.start();
      else if (code !== 0) this.#onLine(`BROKEN ${this.#file} exits with ${code}`);
    });
  }

  /** Told to this process, and to every one that follows. */
  set order(line: string) {
    this.#order = `${line}\n`;
    this.#child?.stdin?.write(this.#order);
  }

  kill(): void {
    if (this.#child === null) return;
    this.kills++;
    this.ready = false;
    this.#child.kill('SIGKILL');
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const child = this.#child;
    if (child === null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }
}

export async function runSigkill(options: SigkillOptions): Promise<SigkillResult> {
  const { messages, kills, seed, note = () => {} } = options;
  await using compiled = await Compiled.of(['test/sigkill/server.ts', 'test/sigkill/client.ts']);
  const folder = await mkdtemp(join(tmpdir(), 'outlast-sigkill-'));
  const port = String(await freePort());
  const { kind, place } = options.store ?? { kind: 'lmdb', place: folder };
  const random = new Random(seed);
  const broken: string[] = [];
  let result: { seen: number; sum: number } | null = null;
  let wake = (): void => {};
  let reached = 0;
  const server = new Role(compiled.path('test/sigkill/server.ts'), [port, kind, `${place}/server`], (line) => {
    if (line.startsWith('BROKEN')) broken.push(line);
    wake();
  });
  const client = new Role(compiled.path('test/sigkill/client.ts'), [port, kind, `${place}/client`, String(messages)], (line) => {
    const [word, first = '', second = ''] = line.split(' ');
    if (word === 'BROKEN') broken.push(line);
    if (word === 'at' || word === 'ready') reached = Math.max(reached, Number(first));
    if (word === 'done') result = { seen: Number(first), sum: Number(second) };
    wake();
  });
  const over = (): boolean => result !== null || broken.length > 0;
  const until = async (condition: () => boolean, ms: number): Promise<void> => {
    let late = false;
    const stop = setTimeout(() => {
      late = true;
      wake();
    }, ms);
    while (!condition() && !late) await new Promise<void>((resolve) => (wake = resolve));
    clearTimeout(stop);
  };
  const slice = messages / (kills + 1);
  try {
    client.order = String(slice);
    server.start();
    client.start();
    // A server killed before it has a record of the session that it has just confirmed ends it: that is no crash of a session.
    await until(() => reached > 0 || over(), 60_000);
    for (let left = kills; left > 0 && !over(); left--) {
      // In the middle of work: both run, and have done so for a moment.
      await until(() => (server.ready && client.ready) || over(), 30_000);
      await until(over, random.integer(0, 100));
      if (over()) break;
      if (random.chance(0.6)) server.kill();
      else client.kill();
      client.order = String(slice * (kills - left + 2));
      if (left % 10 === 0) note(`${kills - left} kills, ${reached} of ${messages} messages`);
    }
    await until(over, 300_000);
  } finally {
    await Promise.all([server.stop(), client.stop()]);
    await rm(folder, { recursive: true });
  }
  const { seen, sum } = result ?? { seen: reached, sum: Number.NaN };
  return { seen, sum, serverKills: server.kills, clientKills: client.kills, broken };
}
