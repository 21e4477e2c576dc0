// Withheld: what a dialing side keeps of a session whose server seals its state into tickets: the newest ticket, and the bytes behind
// what it covers. A server that goes on from a ticket may send others in their place: nobody may see them before a ticket covers them.

export class Withheld {
  /** The newest ticket, for the next RESUME; null before the first. */
  ticket: Buffer | null = null;
  /** End of what it covers; END counts one. */
  covered: number;
  #parts: Buffer[] = [];

  constructor(covered: number) {
    this.covered = covered;
  }

  /** Keeps a copy of bytes[start, end): the chunk they came in is not ours. */
  take(bytes: Buffer, start: number, end: number): void {
    this.#parts.push(Buffer.from(bytes.subarray(start, end)));
  }

  /** The first `bytes` of what waits, in pieces. */
  release(bytes: number): Buffer[] {
    const parts = this.#parts;
    const released: Buffer[] = [];
    let left = bytes;
    while (left > 0 && parts.length > 0) {
      const part = parts[0] as Buffer;
      if (part.length > left) {
        released.push(part.subarray(0, left));
        parts[0] = part.subarray(left);
        break;
      }
      released.push(part);
      parts.shift();
      left -= part.length;
    }
    return released;
  }

  /** What no ticket covers is forgotten: it comes again, or something else in its place. */
  clear(): void {
    this.#parts = [];
  }
}
