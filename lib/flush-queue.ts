// FlushQueue: sessions of one server or client that have something to say, in; each flushed, once, behind the code that runs now. Where
// many have, others get a turn between slices of them: no broadcast holds up the process, and who waits gathers more for the one write.
import type { Runtime } from './runtime.ts';

export interface Flushable {
  /** Its turn has come; called once for each add(). */
  flushScheduled(): void;
}

/** A write takes some 10 us, so that a slice is about a millisecond. */
const SLICE = 64;

export class FlushQueue {
  readonly #runtime: Pick<Runtime, 'defer' | 'yield'>;
  #waiting: Flushable[] = [];
  /** Of these, how many had their turn. */
  #done = 0;

  constructor(runtime: Pick<Runtime, 'defer' | 'yield'>) {
    this.#runtime = runtime;
  }

  add(waiting: Flushable): void {
    if (this.#waiting.push(waiting) === 1) this.#runtime.defer(slice, this);
  }

  /** @internal */
  slice(): void {
    const waiting = this.#waiting;
    const until = Math.min(waiting.length, this.#done + SLICE);
    try {
      while (this.#done < until) (waiting[this.#done++] as Flushable).flushScheduled();
    } finally {
      // One that throws takes nobody else's turn.
      if (this.#done < waiting.length) {
        this.#runtime.yield(slice, this);
      } else {
        this.#waiting = [];
        this.#done = 0;
      }
    }
  }
}

function slice(queue: FlushQueue): void {
  queue.slice();
}
