// A post: a server in a process of its own with an honest session beside it, and what both went through in a span of time.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Experience, Honest } from './honest.ts';
import type { Held, Measurement, Ports, ServerConfig } from './server.ts';

export interface Figures extends Measurement, Experience {}

/** Code is loaded and compiled before anything is measured. */
const WARM_MS = 700;

export class Post {
  readonly ports: Ports;
  readonly #server: ChildProcess;
  readonly #honest: Honest;

  private constructor(server: ChildProcess, ports: Ports, honest: Honest) {
    this.#server = server;
    this.ports = ports;
    this.#honest = honest;
  }

  static async start(config: ServerConfig): Promise<Post> {
    const server = spawnChild('server.ts', config, config.files);
    const ports = (await heard(server)) as Ports;
    const honest = new Honest(ports.port, config.tls === true);
    await honest.begin();
    await pause(WARM_MS);
    return new Post(server, ports, honest);
  }

  get honestId(): string {
    return this.#honest.id;
  }

  async begin(): Promise<void> {
    await asked(this.#server, 'begin');
    this.#honest.forget();
  }

  async report(): Promise<Figures> {
    const measured = (await asked(this.#server, 'report')) as Measurement;
    return { ...measured, ...this.#honest.experience };
  }

  /** What the server holds, garbage excluded. */
  async held(): Promise<Held> {
    return (await asked(this.#server, 'held')) as Held;
  }

  /** The honest session ends in order, and another one is opened. @returns how long the opening took; Infinity where it failed */
  async reopen(): Promise<number> {
    return this.#honest.end().catch(() => Infinity);
  }

  stop(): void {
    this.#honest.stop();
    if (this.#server.connected) this.#server.disconnect();
  }
}

/** A module of this folder as a process of its own; its argument is JSON. */
export function spawnChild(file: string, argument: unknown, files?: number): ChildProcess {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const command = [process.execPath, '--expose-gc', ...process.execArgv, path, JSON.stringify(argument)];
  // Node raises the soft limit to the hard one, so both are set, by the shell.
  const [program, ...rest] = files === undefined ? command : ['sh', '-c', `ulimit -n ${files}; exec "$0" "$@"`, ...command];
  return spawn(program as string, rest, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}

/** The next message of a child. @throws Error where it ends instead */
export async function heard(child: ChildProcess): Promise<unknown> {
  const ended = new AbortController();
  const onExit = (code: number | null): void => ended.abort(new Error(`a child ended with code ${code}`));
  child.once('exit', onExit);
  try {
    const [message] = await once(child, 'message', { signal: ended.signal });
    return message;
  } catch (error) {
    throw ended.signal.aborted ? ended.signal.reason : error;
  } finally {
    child.off('exit', onExit);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function asked(server: ChildProcess, question: string): Promise<unknown> {
  const answered = heard(server);
  if (server.connected) server.send(question);
  return answered;
}
