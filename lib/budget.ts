// Budget: one number over the buffers of all sessions of a process. Above it, opens are refused, send() returns false to who holds more
// than a small share, and detached sessions end, largest and oldest first, with their numbers. Attached ones never.
import { SessionError } from './errors.ts';

/** A session as the budget sees it. */
export interface Holder {
  readonly stats: { readonly outboundBytes: number; readonly inboundBytes: number };
  destroy(error: Error): void;
  touched(): void;
}

export class Budget {
  readonly #limitBytes: number;
  #usedBytes = 0;
  /** Holders that have any. */
  #shares = 0;
  // In order of detachment, so that the first of equal size is the oldest.
  readonly #detached = new Set<Holder>();
  readonly #waiting = new Set<Holder>();
  #evicting = false;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get full(): boolean {
    return this.#usedBytes > this.#limitBytes;
  }

  /**
   * Whether a sender that holds so much must wait. Who holds less than its part of a tenth of the budget goes on: else peers that confirm
   * nothing could stop all others. Together they exceed the limit by that tenth at most.
   */
  presses(bytes: number): boolean {
    return this.full && bytes * this.#shares * 10 > this.#limitBytes;
  }

  /** What one holder has of it has changed. */
  resized(before: number, bytes: number): void {
    if (before === 0) this.#shares++;
    else if (bytes === 0) this.#shares--;
    this.add(bytes - before);
  }

  add(bytes: number): void {
    this.#usedBytes += bytes;
    if (bytes > 0) {
      if (this.full && !this.#evicting) this.#evict();
    } else if (this.#waiting.size > 0 && this.#usedBytes * 8 <= this.#limitBytes * 7) {
      this.#wake();
    }
  }

  /** The holder may be ended to make room, until it is attached again. */
  detached(holder: Holder): void {
    this.#detached.add(holder);
    if (this.full && !this.#evicting) this.#evict();
  }

  attached(holder: Holder): void {
    this.#detached.delete(holder);
  }

  /**
   * The holder has a sender that waits, and is touched once an eighth is free: all of them for each byte that is freed would cost more than
   * the memory is worth. What it has itself confirmed lets it go on earlier.
   */
  waitForRoom(holder: Holder): void {
    this.#waiting.add(holder);
  }

  forget(holder: Holder): void {
    this.#detached.delete(holder);
    this.#waiting.delete(holder);
  }

  #evict(): void {
    this.#evicting = true;
    while (this.full) {
      let largest: Holder | undefined;
      let most = 0;
      for (const holder of this.#detached) {
        const { outboundBytes, inboundBytes } = holder.stats;
        if (outboundBytes + inboundBytes <= most) continue;
        most = outboundBytes + inboundBytes;
        largest = holder;
      }
      if (largest === undefined) break;
      this.#detached.delete(largest);
      largest.destroy(
        new SessionError('ERR_MEMORY_BUDGET', `${this.#usedBytes} bytes buffered of ${this.#limitBytes}, ${most} of them here`),
      );
    }
    this.#evicting = false;
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const holder of waiting) holder.touched();
  }
}

let shared: Budget | undefined;

/** The budget of the process, with the limit that its first server or client asked for. */
export function processBudget(limitBytes: number): Budget {
  shared ??= new Budget(limitBytes);
  return shared;
}
