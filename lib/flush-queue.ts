// FlushQueue: sessions of one server or client that have something to say, in; each flushed, once, behind the code that runs now. Where
// many have, others get a turn between slices of them: no broadcast holds up the process, and who waits gathers more for the one write.
import type { Runtime } from './runtime.ts';

export interface Flushable {
  /** Its turn has come; called once for each add(), and none adds itself again before. */
  flushScheduled(): void;
}

/** A write takes some 10 us, so that a slice is about a millisecond. */
const SLICE = 64;

export class FlushQueue {
  readonly #runtime: Pick<Runtime, 'defer' | 'yield'>;
  // Whoever comes while others are flushed stands behind them, in a list of its own: neither grows beyond the number of sessions.
  #flushing: Flushable[] = [];
  #done = 0;
  #waiting: Flushable[] = [];
  #due = false;

  constructor(runtime: Pick<Runtime, 'defer' | 'yield'>) {
    this.#runtime = runtime;
  }

  add(waiting: Flushable): void {
    this.#waiting.push(waiting);
    if (this.#due) return;
    this.#due = true;
    this.#runtime.defer(slice, this);
  }

  /** @internal */
  slice(): void {
    if (this.#done === this.#flushing.length) this.#turnOver();
    const until = Math.min(this.#flushing.length, this.#done + SLICE);
    try {
      while (this.#done < until) (this.#flushing[this.#done++] as Flushable).flushScheduled();
    } finally {
      // One that throws takes nobody else's turn.
      if (this.#done === this.#flushing.length) this.#turnOver();
      this.#due = this.#flushing.length > 0;
      if (this.#due) this.#runtime.yield(slice, this);
    }
  }

  #turnOver(): void {
    this.#flushing = this.#waiting;
    this.#waiting = [];
    this.#done = 0;
  }
}

function slice(queue: FlushQueue): void {
  queue.slice();
}
