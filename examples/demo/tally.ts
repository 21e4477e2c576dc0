// Accounts of one stream, kept outside of the library: the sender numbers and hashes messages, the receiver judges what it is handed.

import { createHash } from 'node:crypto';

/** What was given to send(). Each message goes out as its number, a space, and the payload. */
export class SentTally {
  readonly #hash = createHash('sha256');
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** @returns the message to send */
  number(payload: Buffer): Buffer {
    this.#hash.update(payload);
    return Buffer.concat([Buffer.from(`${this.#count++} `), payload]);
  }

  /** SHA-256 over all payloads so far. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }
}

/** What the application at the other end was handed. Numbers find losses and doubles, the hash finds everything else. */
export class ReceivedTally {
  readonly #hash = createHash('sha256');
  #count = 0;
  #next = 0;
  #duplicates = 0;
  #lost = 0;
  #lastMs = Number.NaN;
  #longestGapMs = 0;

  get count(): number {
    return this.#count;
  }

  get duplicates(): number {
    return this.#duplicates;
  }

  /** Numbers that were jumped over. What is missing at the end is not in it. */
  get lost(): number {
    return this.#lost;
  }

  /** The longest time between two messages. */
  longestGapMs(nowMs: number): number {
    return Number.isNaN(this.#lastMs) ? 0 : Math.max(this.#longestGapMs, nowMs - this.#lastMs);
  }

  take(message: Buffer, nowMs: number): void {
    this.#longestGapMs = this.longestGapMs(nowMs);
    this.#lastMs = nowMs;
    const space = message.indexOf(0x20);
    const number = Number(message.toString('latin1', 0, Math.max(0, space)));
    if (number < this.#next) this.#duplicates++;
    else this.#lost += number - this.#next;
    this.#next = Math.max(this.#next, number + 1);
    this.#count++;
    this.#hash.update(message.subarray(space + 1));
  }

  digest(): string {
    return this.#hash.copy().digest('hex');
  }
}
