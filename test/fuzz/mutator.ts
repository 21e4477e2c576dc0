// Mutator: one input of the corpus in, a changed one out. It knows lengths, edges of integers and the tokens of a target, and no format.

import type { Random } from '../../lib/testing/random.ts';

/** Values at which lengths and offsets go wrong. */
const EDGES: readonly bigint[] = [
  0n,
  1n,
  2n,
  8n,
  9n,
  127n,
  128n,
  255n,
  256n,
  1024n,
  1025n,
  8192n,
  8193n,
  65_535n,
  65_536n,
  131_072n,
  131_080n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 53n - 2n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];

export class Mutator {
  readonly #random: Random;
  readonly #tokens: readonly Buffer[];
  readonly #mostBytes: number;

  constructor(random: Random, tokens: readonly Buffer[], mostBytes: number) {
    this.#random = random;
    this.#tokens = tokens;
    this.#mostBytes = mostBytes;
  }

  /** One to five changes to one of `corpus`; late entries are taken more often, since they reached the newest code. */
  next(corpus: readonly Buffer[]): Buffer {
    const random = this.#random;
    const at = Math.max(random.integer(0, corpus.length - 1), random.integer(0, corpus.length - 1));
    let bytes: Buffer = Buffer.from(corpus[at] as Buffer);
    for (let left = random.integer(1, 5); left > 0; left--) bytes = this.#change(bytes, corpus);
    return bytes.subarray(0, this.#mostBytes);
  }

  #change(bytes: Buffer, corpus: readonly Buffer[]): Buffer {
    const random = this.#random;
    const at = random.integer(0, Math.max(0, bytes.length - 1));
    const behind = Math.min(bytes.length, at + random.integer(1, random.chance(0.7) ? 8 : 64));
    switch (bytes.length === 0 ? 3 : random.integer(0, 9)) {
      case 0:
        bytes[at] = (bytes[at] as number) ^ (1 << random.integer(0, 7));
        return bytes;
      case 1:
        bytes[at] = random.integer(0, 255);
        return bytes;
      case 2:
        bytes[at] = ((bytes[at] as number) + random.integer(-3, 3)) & 0xff;
        return bytes;
      case 3:
        return spliced(bytes, at, at, random.bytes(random.integer(1, 8)));
      case 4:
        return spliced(bytes, at, behind, Buffer.alloc(0));
      case 5:
        return spliced(bytes, random.integer(0, bytes.length), null, bytes.subarray(at, behind));
      case 6:
        return this.#edge(bytes, at);
      case 7: {
        const token = this.#tokens.length > 0 ? random.pick(this.#tokens) : random.bytes(4);
        return spliced(bytes, at, random.chance(0.5) ? at : at + token.length, token);
      }
      case 8: {
        const other = random.pick(corpus);
        const from = random.integer(0, other.length);
        return spliced(bytes, at, random.chance(0.5) ? null : bytes.length, other.subarray(from, from + random.integer(1, 128)));
      }
      default:
        // A run of one byte: what is long, or repeated, or both.
        return spliced(bytes, at, at, Buffer.alloc(random.integer(1, 200), bytes[at]));
    }
  }

  /** Writes an edge over 1, 2, 3, 4 or 8 bytes. */
  #edge(bytes: Buffer, at: number): Buffer {
    const width = this.#random.pick([1, 2, 3, 4, 8]);
    const number = Buffer.alloc(8);
    number.writeBigUInt64BE(this.#random.pick(EDGES));
    return spliced(bytes, at, at + width, number.subarray(8 - width));
  }
}

/** bytes[from, to) replaced; null: nothing is taken out. */
function spliced(bytes: Buffer, from: number, to: number | null, part: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, from), part, bytes.subarray(to ?? from)]);
}
