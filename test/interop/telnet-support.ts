// What the telnet tests with real programs share: the server as a process, and programs at a terminal of their own.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type IPty, spawn } from '@lydell/node-pty';
import { PASSWORD, PROMPT } from '../telnet/server/support.ts';

export interface Delay {
  readonly longestMs: number;
  readonly percentileMs: number;
}

export class ServerProcess implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(): Promise<ServerProcess> {
    const script = fileURLToPath(new URL('./telnet-server.ts', import.meta.url));
    const child = fork(script, { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const [{ port }] = (await once(child, 'message')) as [{ readonly port: number }];
    return new ServerProcess(child, port);
  }

  /** How late the server's event loop was since this was called last. */
  async delay(): Promise<Delay> {
    const answer = once(this.#child, 'message');
    this.#child.send('delay');
    const [delay] = (await answer) as [Delay];
    return delay;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#child.disconnect();
    await gone;
  }
}

const PIECE_BYTES = 8192;
/** A program that shows nothing for so long will not. */
const PATIENCE_MS = 15_000;

/** A program at a terminal of 80 columns and 24 rows. */
export class Program implements AsyncDisposable {
  readonly #pty: IPty;
  readonly #home: string;
  readonly #gone: Promise<number>;
  #text = '';
  #seen = 0;
  #ended = false;
  #waiters: (() => void)[] = [];

  /** @param directory to run in; default: its home, which is new and empty. */
  constructor(words: readonly string[], environment: Readonly<Record<string, string>> = {}, directory?: string) {
    this.#home = mkdtempSync(join(tmpdir(), 'outlast-program-'));
    const [name, ...args] = words as [string, ...string[]];
    const env = {
      HOME: this.#home,
      PATH: `${process.env.PATH}:/usr/games`,
      LANG: 'C.UTF-8',
      TERM: 'xterm-256color',
      USER: 'alice',
      ...environment,
    };
    this.#pty = spawn(name, args, { cols: 80, rows: 24, cwd: directory ?? this.#home, env, encoding: null } as never);
    this.#pty.onData((data: unknown) => {
      this.#text += (data as Buffer).toString('latin1');
      this.#wake();
    });
    this.#gone = new Promise((resolve) => {
      this.#pty.onExit(({ exitCode }) => {
        this.#ended = true;
        resolve(exitCode);
        this.#wake();
      });
    });
  }

  get pid(): number {
    return this.#pty.pid;
  }

  /** All that it has written. */
  get text(): string {
    return this.#text;
  }

  type(text: string | Buffer): void {
    this.#pty.write(text as string);
  }

  /** Types what is too much for one write. */
  async typeAll(bytes: Buffer | string): Promise<void> {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      this.type(bytes.slice(at, at + PIECE_BYTES));
      await turn();
    }
  }

  resize(columns: number, rows: number): void {
    this.#pty.resize(columns, rows);
  }

  /** Waits for text behind the text that was waited for last. @returns what came up to it, inclusive */
  async sees(what: string | RegExp): Promise<string> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const rest = this.#text.slice(this.#seen);
      const found = typeof what === 'string' ? rest.indexOf(what) : rest.search(what);
      if (found >= 0) {
        const length = typeof what === 'string' ? what.length : (what.exec(rest)?.[0].length ?? 0);
        this.#seen += found + length;
        return rest.slice(0, found + length);
      }
      if (this.#ended) throw new Error(`it ended before ${String(what)} came; there was ${JSON.stringify(rest.slice(-400))}`);
      if (performance.now() > deadlineMs) throw new Error(`${String(what)} does not come; there is ${JSON.stringify(rest.slice(-400))}`);
      const timer = setTimeout(() => this.#wake(), PATIENCE_MS);
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
      clearTimeout(timer);
    }
  }

  /** The exit code, once it has ended. */
  get gone(): Promise<number> {
    return this.#gone;
  }

  get ended(): boolean {
    return this.#ended;
  }

  async login(enter = '\r'): Promise<void> {
    // A client that tells the user's name by itself has it filled in.
    if ((await this.sees(/login: (?!\S)|password: /)).endsWith('login: ')) {
      this.type(`alice${enter}`);
      await this.sees('password: ');
    }
    this.type(`${PASSWORD}${enter}`);
    await this.sees(PROMPT);
  }

  /** Runs a command of the remote shell. @returns its output */
  async run(command: string, enter = '\r'): Promise<string> {
    this.type(`${command}; echo "[do""ne]"${enter}`);
    const seen = await this.sees('[done]');
    await this.sees(PROMPT);
    return seen
      .slice(seen.indexOf('\n') + 1)
      .replace('[done]', '')
      .replaceAll('\r', '')
      .trimEnd();
  }

  /** Runs a command until its output is as wanted: something is on its way. */
  async until(command: string, wanted: RegExp): Promise<void> {
    while (!wanted.test(await this.run(command))) await turn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.#pty.kill('SIGKILL');
    await this.#gone;
    rmSync(this.#home, { recursive: true, force: true });
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}
