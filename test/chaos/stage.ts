// A group of host processes whose reports are judged together. Scenarios start hosts on it, command them, wait, and ask for a verdict.

import { setTimeout as pause } from 'node:timers/promises';
import { HostProcess, type HostStart } from './host-process.ts';
import { Ledger } from './ledger.ts';
import { Merge } from './reports.ts';

const POLL_MS = 20;

export class Stage implements AsyncDisposable {
  readonly ledger: Ledger = new Ledger();
  readonly #merge: Merge = new Merge((report, source) => this.ledger.take(report, source));
  readonly #hosts: Set<HostProcess> = new Set();
  readonly #killed: Set<string> = new Set();
  #broken: string | undefined = undefined;

  start(name: string, options: Pick<HostStart, 'prefix' | 'nodeOptions'> = {}): HostProcess {
    this.#merge.open(name);
    const host = new HostProcess({
      ...options,
      name,
      onReport: (report) => this.#merge.push(name, [report]),
      onExit: (expected, how) => {
        if (!expected) this.#broken ??= how;
        if (this.#killed.has(name)) this.ledger.died(name);
        this.#hosts.delete(host);
        this.#merge.close(name);
      },
    });
    this.#hosts.add(host);
    return host;
  }

  /** SIGKILL; resolves when it is gone and all it said is judged. */
  async kill(host: HostProcess): Promise<void> {
    this.#killed.add(host.name);
    host.kill();
    await host.gone;
  }

  /** Waits for what reports make true. Rejects after `patienceMs`, and at once where a host has died that nobody killed. */
  async until(condition: () => boolean, patienceMs: number, what: string): Promise<void> {
    const untilMs = performance.now() + patienceMs;
    while (!condition()) {
      if (this.#broken !== undefined) throw new Error(this.#broken);
      if (performance.now() > untilMs) throw new Error(`${what}: not after ${patienceMs} ms`);
      await pause(POLL_MS);
    }
  }

  /** Lets all hosts go. */
  async end(): Promise<void> {
    await Promise.all([...this.#hosts].map((host) => host.end()));
    if (this.#broken !== undefined) throw new Error(this.#broken);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}
