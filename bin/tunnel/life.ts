// The life of a long-running command: SIGTERM drains it, SIGINT ends it, a second one of either ends it at once, SIGHUP reloads its
// certificates. Resolves with the exit code when it is over.

import type { Log } from './log.ts';

export interface Service {
  /** No new work; resolves when the old is done or the time is over. @returns how many connections are left */
  drain(): Promise<number>;
  /** Ends all that is left, with resets. */
  stop(): Promise<void>;
  /** @throws Error where the new certificates cannot be used; then the old ones stay */
  reload(): void;
}

export class Life {
  readonly #over: Promise<number>;
  readonly #service: Service;
  readonly #log: Log;
  #draining = false;
  #end: (code: number) => void = () => {};
  readonly #handlers: Readonly<Record<string, () => void>> = {
    SIGTERM: () => (this.#draining ? this.#stop(1) : this.drain()),
    SIGINT: () => this.#stop(130),
    SIGHUP: () => this.#reload(),
  };

  constructor(service: Service, log: Log) {
    this.#service = service;
    this.#log = log;
    this.#over = new Promise((resolve) => {
      this.#end = resolve;
    });
    for (const [signal, handler] of Object.entries(this.#handlers)) process.on(signal, handler);
  }

  /** Opens the service and resolves with the exit code when it is over. What fails to open leaves nothing behind. */
  async through(open: () => Promise<void>): Promise<number> {
    try {
      await open();
    } catch (error) {
      await this.#service.stop();
      throw error;
    }
    return await this.#over;
  }

  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#log.tell('draining', 'no new connections; waiting for those that are open');
    this.#service.drain().then((left) => {
      if (left > 0) this.#log.tell('left', `${left} connections did not end in time and are reset`, { left });
      this.#stop(left > 0 ? 1 : 0);
    });
  }

  #stop(code: number): void {
    for (const [signal, handler] of Object.entries(this.#handlers)) process.removeListener(signal, handler);
    this.#service.stop().then(() => {
      this.#log.detail('stopped', 'stopped');
      this.#end(code);
    });
  }

  #reload(): void {
    try {
      this.#service.reload();
      this.#log.tell('reloaded', 'certificates reloaded; connections that are open keep theirs');
    } catch (error) {
      this.#log.tell('reload-failed', `certificates not reloaded, the old ones stay: ${(error as Error).message}`);
    }
  }
}
