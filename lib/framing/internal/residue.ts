// The part of a message that has arrived so far. Bytes are copied in; the finished message leaves together with the memory it is in.

const NONE = Buffer.alloc(0);
const FIRST_BYTES = 64;
/** Below this a loop beats the native copy. */
const LOOP_BYTES = 16;

export class Residue {
  /** Valid up to `bytes`. */
  buffer: Buffer = NONE;
  bytes = 0;

  /**
   * Appends a copy of source[start, end). The capacity doubles, so that a message of n bytes costs at most 2n of copying, and follows
   * what has arrived: a peer that only announces a large message gets no memory for it. With a quarter here it gets all that it needs.
   * @param most The largest size that the residue can come to.
   */
  append(source: Buffer, start: number, end: number, most: number): void {
    const count = end - start;
    if (this.bytes + count > this.buffer.length) this.#grow(this.bytes + count, most);
    if (count <= LOOP_BYTES) {
      const target = this.buffer;
      let to = this.bytes;
      for (let from = start; from < end; from++) target[to++] = source[from] as number;
    } else {
      source.copy(this.buffer, this.bytes, start, end);
    }
    this.bytes += count;
  }

  /** Appends one byte. */
  push(byte: number, most: number): void {
    if (this.bytes === this.buffer.length) this.#grow(this.bytes + 1, most);
    this.buffer[this.bytes++] = byte;
  }

  /** Takes the first byte away. */
  shift(): void {
    this.buffer.copyWithin(0, 1, this.bytes);
    this.bytes--;
  }

  /** Gives the memory away with what is in it, and begins afresh: a view of it may be kept. */
  take(): Buffer {
    const buffer = this.buffer;
    this.clear();
    return buffer;
  }

  clear(): void {
    this.buffer = NONE;
    this.bytes = 0;
  }

  #grow(needed: number, most: number): void {
    const ahead = needed * 4 >= most ? most : Math.max(FIRST_BYTES, needed * 2);
    const grown = Buffer.allocUnsafe(Math.min(ahead, Math.max(needed, most)));
    this.buffer.copy(grown, 0, 0, this.bytes);
    this.buffer = grown;
  }
}
