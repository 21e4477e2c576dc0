// The lines of docs/cookbook.md as something to run: places and files of the page are replaced by those of the test, `outlast` is the command
// of this tree. Every line must be asked for once, so that a page with an untried line fails.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Outcome {
  readonly code: number | null;
  /** Standard output and error, in order of arrival. */
  readonly output: string;
  readonly ms: number;
}

export class Cookbook {
  readonly #lines: readonly string[];
  readonly #tried = new Set<string>();
  readonly #replacements: Readonly<Record<string, string>>;
  readonly #pattern: RegExp;
  readonly #children = new Set<ChildProcess>();
  readonly folder: string;

  /** @param folder where the lines run, and find their files */
  constructor(folder: string, replacements: Readonly<Record<string, string>>) {
    const page = readFileSync(join(root, 'docs/cookbook.md'), 'utf8');
    this.#lines = [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap((match) => (match[1] as string).trim().split('\n'));
    this.#replacements = replacements;
    // All in one pass, since what is put in may look like what is replaced; longer ones first, and no number within a longer one.
    const keys = Object.keys(replacements).sort((a, b) => b.length - a.length);
    const escaped = keys.map((key) => key.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    this.#pattern = new RegExp(`(?<!\\d)(${escaped.join('|')})(?!\\d)`, 'g');
    this.folder = folder;
    mkdirSync(join(folder, 'bin'));
    const shim = join(folder, 'bin/outlast');
    const tsx = import.meta.resolve('tsx');
    writeFileSync(shim, `#!/bin/sh\nexec '${process.execPath}' --import '${tsx}' '${join(root, 'bin/outlast.ts')}' "$@"\n`);
    chmodSync(shim, 0o755);
  }

  /** The one line of the page that contains all of these, with the test's places in it. */
  line(...parts: readonly string[]): string {
    const found = this.#lines.filter((line) => parts.every((part) => line.includes(part)));
    if (found.length !== 1) throw new Error(`${found.length} lines of the cookbook contain ${parts.join(' and ')}`);
    const [line] = found as [string];
    this.#tried.add(line);
    return this.replaced(line);
  }

  replaced(line: string): string {
    return line.replaceAll(this.#pattern, (found) => this.#replacements[found] as string);
  }

  get untried(): readonly string[] {
    return this.#lines.filter((line) => !this.#tried.has(line));
  }

  /** Starts a line that runs until it is stopped; resolves when it says that it listens. */
  async serve(line: string): Promise<ChildProcess> {
    const child = this.start(line);
    let text = '';
    child.stdout?.resume();
    child.stderr?.on('data', (chunk) => (text += chunk));
    while (!text.includes('listening on')) {
      if (child.exitCode !== null) throw new Error(`${line}: ${text}`);
      await delay(20);
    }
    return child;
  }

  /** A line in a shell of its own process group, without a terminal. */
  start(line: string, environment: NodeJS.ProcessEnv = {}): ChildProcess {
    const child = spawn('bash', ['-c', line], { cwd: this.folder, env: { ...this.environment, ...environment }, detached: true });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  get environment(): NodeJS.ProcessEnv {
    return { ...process.env, PATH: `${join(this.folder, 'bin')}:${process.env.PATH}`, HOME: this.folder, LC_ALL: 'C.UTF-8' };
  }

  /** Runs a line to its end. */
  async run(line: string, input = '', environment: NodeJS.ProcessEnv = {}): Promise<Outcome> {
    const startMs = performance.now();
    const child = this.start(line, environment);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += chunk));
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, output, ms: performance.now() - startMs };
  }

  /** Ends whatever still runs, with all that it has started. */
  async stop(): Promise<void> {
    const gone = [...this.#children].map((child) => once(child, 'exit'));
    for (const { pid } of this.#children) if (pid !== undefined) process.kill(-pid, 'SIGKILL');
    await Promise.all(gone);
  }
}
