// Withheld: what a dialing side keeps of a session whose server seals its state into tickets: the newest ticket, and the bytes behind
// what it covers. A server that goes on from a ticket may send others in their place: nobody may see them before a ticket covers them.

/** Bytes are gathered in blocks that double from the first size to the last: a thousand reads of few bytes are no thousand objects. */
const FIRST_BLOCK_BYTES = 1024;
const BLOCK_BYTES = 65_536;

export class Withheld {
  /** The newest ticket, for the next RESUME; null before the first. */
  ticket: Buffer | null = null;
  /** End of what it covers; END counts one. */
  covered: number;
  #blocks: Buffer[] = [];
  /** Of the first block, what was released. */
  #start = 0;
  /** Of the last block, what is used. */
  #end = 0;

  constructor(covered: number) {
    this.covered = covered;
  }

  /** How many pieces of memory the bytes are in. */
  get blocks(): number {
    return this.#blocks.length;
  }

  /** Keeps a copy of bytes[start, end): the chunk they came in is not ours. */
  take(bytes: Buffer, start: number, end: number): void {
    for (let at = start; at < end; ) {
      let last = this.#blocks[this.#blocks.length - 1];
      if (last === undefined || this.#end === last.length) {
        const wanted = last === undefined ? Math.max(FIRST_BLOCK_BYTES, end - at) : last.length * 2;
        last = Buffer.allocUnsafeSlow(Math.min(BLOCK_BYTES, wanted));
        this.#blocks.push(last);
        this.#end = 0;
      }
      const copied = bytes.copy(last, this.#end, at, end);
      this.#end += copied;
      at += copied;
    }
  }

  /** The first `bytes` of what waits, in pieces, whose memory is not written to again. */
  release(bytes: number): Buffer[] {
    const released: Buffer[] = [];
    const blocks = this.#blocks;
    for (let left = bytes; left > 0 && blocks[0] !== undefined; ) {
      const held = blocks.length === 1 ? this.#end : blocks[0].length;
      const end = Math.min(held, this.#start + left);
      released.push(blocks[0].subarray(this.#start, end));
      left -= end - this.#start;
      this.#start = end;
      if (end < held) break;
      blocks.shift();
      this.#start = 0;
    }
    return released;
  }

  /** What no ticket covers is forgotten: it comes again, or something else in its place. */
  clear(): void {
    this.#blocks = [];
    this.#start = 0;
  }
}
