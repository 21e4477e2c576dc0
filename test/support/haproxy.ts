// A real haproxy as a child process with deploy/haproxy.cfg as it stands, on free ports of loopback. Needs the Debian package haproxy.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { freePort } from './free-port.ts';

export class Haproxy implements AsyncDisposable {
  /** Where it listens: sessions are brought to their node by what HAProxy has learned, or by the node's number. */
  readonly learned: number;
  readonly numbered: number;
  readonly #nodes: readonly [number, number];
  #child: ChildProcess | null = null;

  private constructor(nodes: readonly [number, number], learned: number, numbered: number) {
    this.#nodes = nodes;
    this.learned = learned;
    this.numbered = numbered;
  }

  /** @param nodes the ports of n1 and n2 */
  static async start(nodes: readonly [number, number]): Promise<Haproxy> {
    const haproxy = new Haproxy(nodes, await freePort(), await freePort());
    await haproxy.restart();
    return haproxy;
  }

  async restart(): Promise<void> {
    await this.stop();
    const config = fileURLToPath(new URL('../../deploy/haproxy.cfg', import.meta.url));
    const address = (port: number): string => `127.0.0.1:${port}`;
    const env = {
      ...process.env,
      OUTLAST_LEARNED: address(this.learned),
      OUTLAST_NUMBERED: address(this.numbered),
      OUTLAST_NODE1: address(this.#nodes[0]),
      OUTLAST_NODE2: address(this.#nodes[1]),
    };
    // In the foreground and quiet: it warns of each node that is down, which is what these tests are about.
    const child = spawn('haproxy', ['-db', '-q', '-f', config], { env, stdio: 'ignore' });
    this.#child = child;
    for (const port of [this.learned, this.numbered]) {
      while (!listens(port)) {
        if (child.exitCode !== null) throw new Error('haproxy did not start');
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#child = null;
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Asked of the kernel: a connection that only looks would reach a node. */
function listens(port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return new RegExp(`: 0100007F:${hex} \\S+ 0A `).test(readFileSync('/proc/net/tcp', 'latin1'));
}
