// A real redis-server as a child process, on a free port of loopback, with its files in a folder of its own. It can be killed and started
// again on the same files, stopped and continued. Needs the Debian package redis-server.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';

export class RedisServer implements AsyncDisposable {
  readonly port: number;
  readonly #folder: string;
  readonly #args: readonly string[];
  #child: ChildProcess | null = null;

  private constructor(port: number, folder: string, args: readonly string[]) {
    this.port = port;
    this.#folder = folder;
    this.#args = args;
  }

  /** @param settings as in redis.conf, `appendonly: 'no'`; AOF is on and every write is synced unless told otherwise */
  static async start(settings: Readonly<Record<string, string>> = {}): Promise<RedisServer> {
    const all = { bind: '127.0.0.1', appendonly: 'yes', appendfsync: 'always', save: '', ...settings };
    const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]);
    const server = new RedisServer(await freePort(), await mkdtemp(join(tmpdir(), 'outlast-redis-')), args);
    await server.restart();
    return server;
  }

  /** Starts it on the files it has. */
  async restart(): Promise<void> {
    const child = spawn('redis-server', ['--port', String(this.port), '--dir', this.#folder, ...this.#args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    let log = '';
    for await (const chunk of child.stdout) {
      log += chunk;
      if (log.includes('Ready to accept connections')) {
        child.stdout.resume();
        return;
      }
    }
    throw new Error(`redis-server did not start: ${log}`);
  }

  /** SIGKILL: nothing is written any more. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#child = null;
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
  }

  stop(): void {
    this.#child?.kill('SIGSTOP');
  }

  continue(): void {
    this.#child?.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true });
  }
}
