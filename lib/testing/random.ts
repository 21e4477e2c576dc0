// A small seeded generator (mulberry32): the same seed gives the same sequence on every machine. Not for secrets.

/** Repeatable random numbers. */
export class Random {
  #state: number;

  /**
   * @param seed Any integer; only its low 32 bits count.
   * @param stream Gives independent sequences from one seed, for example one a connection. Default 0.
   */
  constructor(seed: number, stream: number = 0) {
    this.#state = scramble(seed ^ scramble(stream + 1));
  }

  /** A number in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    return scramble(this.#state) / 0x1_0000_0000;
  }

  /** A whole number from `low` to `high`, both included. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** True in `probability` of all calls (0 to 1). */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of `items`, which must not be empty. */
  pick<Item>(items: readonly Item[]): Item {
    return items[this.integer(0, items.length - 1)] as Item;
  }

  /** A buffer of `length` random bytes. */
  bytes(length: number): Buffer {
    const buffer = Buffer.allocUnsafe(length);
    for (let at = 0; at < length; at++) buffer[at] = this.integer(0, 255);
    return buffer;
  }
}

/** The output function of mulberry32: spreads 32 bits over 32 bits. */
function scramble(value: number): number {
  let bits = Math.imul(value ^ (value >>> 15), value | 1);
  bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
  return (bits ^ (bits >>> 14)) >>> 0;
}
