// Messages that can be checked: each begins with its number, and both ends keep a rolling sum over numbers, sizes and last bytes.
// What was lost, doubled, changed or out of order makes the sums differ.

const HEAD_BYTES = 4;

/** Makes messages in a ring of buffers: a peer may keep the memory of a message until it was taken at the other end. */
export class Source {
  readonly #ring: Buffer[];
  #next = 0;
  made = 0;
  sum = 0;

  /** @param inFlight most messages that are on their way at once */
  constructor(bytes: number, inFlight: number) {
    const block = Buffer.alloc(bytes * (inFlight + 1), 0x61);
    this.#ring = Array.from({ length: inFlight + 1 }, (_, i) => block.subarray(i * bytes, (i + 1) * bytes));
  }

  next(): Buffer {
    const number = this.made++;
    const message = this.#ring[this.#next] as Buffer;
    if (++this.#next === this.#ring.length) this.#next = 0;
    message[0] = number >>> 24;
    message[1] = number >>> 16;
    message[2] = number >>> 8;
    message[3] = number;
    this.sum = roll(this.sum, number, message[message.length - 1] as number, message.length);
    return message;
  }
}

/** Takes what a Source made. */
export class Judge {
  seen = 0;
  sum = 0;

  take(bytes: Uint8Array, start: number, end: number): void {
    this.sum = roll(this.sum, numberOf(bytes, start), bytes[end - 1] as number, end - start);
    this.seen++;
  }
}

function roll(sum: number, number: number, lastByte: number, bytes: number): number {
  return (Math.imul(sum, 31) + number + lastByte + bytes) | 0;
}

/** The number that a message begins with. */
export function numberOf(bytes: Uint8Array, start: number): number {
  if (bytes.length - start < HEAD_BYTES) return -1;
  const high = ((bytes[start] as number) << 24) | ((bytes[start + 1] as number) << 16);
  return (high | ((bytes[start + 2] as number) << 8) | (bytes[start + 3] as number)) >>> 0;
}
