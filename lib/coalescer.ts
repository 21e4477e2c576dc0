// Coalescer: sessions of one server or client that have something small to say, in; after the flush interval, all of them flushed at once.
// One timer however many they are.
import type { Runtime } from './runtime.ts';

export interface Coalesced {
  /** The interval is over; called once for each add(). */
  intervalOver(): void;
}

export class Coalescer {
  readonly #runtime: Pick<Runtime, 'after'>;
  readonly #flushMs: number;
  #waiting: Coalesced[] = [];

  constructor(runtime: Pick<Runtime, 'after'>, flushMs: number) {
    this.#runtime = runtime;
    this.#flushMs = flushMs;
  }

  /** At most the interval: who comes later waits for what is left of it. */
  add(waiting: Coalesced): void {
    if (this.#waiting.push(waiting) === 1) this.#runtime.after(this.#flushMs, over, this);
  }

  /** @internal */
  over(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const one of waiting) one.intervalOver();
  }
}

function over(coalescer: Coalescer): void {
  coalescer.over();
}
