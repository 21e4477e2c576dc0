// A byte sequence that ends messages: finding it, and telling which payloads would be cut in the wrong place by it.

/** The most bytes of a delimiter, so that a framing's name can hold it. */
export const MAX_DELIMITER_BYTES = 8;

export class Delimiter {
  readonly bytes: Buffer;
  readonly length: number;
  /** Its last byte: what is searched for, since finding one byte is far cheaper than finding a sequence. */
  readonly last: number;
  /** What a payload must not end with: the delimiter's own beginning, where that together with the delimiter makes an earlier one. */
  readonly #falseEndings: readonly Buffer[];

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.length = bytes.length;
    this.last = bytes[bytes.length - 1] as number;
    const falseEndings: Buffer[] = [];
    for (let shift = 1; shift < bytes.length; shift++) {
      if (bytes.compare(bytes, shift, bytes.length, 0, bytes.length - shift) === 0) falseEndings.push(bytes.subarray(0, shift));
    }
    this.#falseEndings = falseEndings;
  }

  /** Index of the last byte of the first whole delimiter in bytes[from...], or -1. */
  find(bytes: Uint8Array, from: number): number {
    let hit = bytes.indexOf(this.last, from + this.length - 1);
    if (this.length === 1) return hit;
    while (hit >= 0 && !this.endsAt(bytes, hit)) hit = bytes.indexOf(this.last, hit + 1);
    return hit;
  }

  /** True where the delimiter's last byte is bytes[at]. The caller knows that it does not begin too early. */
  endsAt(bytes: Uint8Array, at: number): boolean {
    const own = this.bytes;
    let to = at;
    for (let index = own.length - 1; index >= 0; index--) if (bytes[to--] !== own[index]) return false;
    return true;
  }

  /** True where the payload followed by the delimiter would be cut before the payload's end. */
  clashes(payload: Uint8Array): boolean {
    if (this.find(payload, 0) >= 0) return true;
    return this.#falseEndings.some((ending) => endsWith(payload, ending));
  }

  /** The delimiter as it shows in texts of an encoding, for textClashes(). */
  asText(encoding: 'utf8' | 'latin1'): TextDelimiter {
    return { whole: this.bytes.toString(encoding), falseEndings: this.#falseEndings.map((ending) => ending.toString(encoding)) };
  }

  /** For framing names: `x0d0a`. */
  get name(): string {
    return `x${this.bytes.toString('hex')}`;
  }
}

export interface TextDelimiter {
  readonly whole: string;
  readonly falseEndings: readonly string[];
}

/** clashes() for a text, without encoding it. */
export function textClashes(text: string, delimiter: TextDelimiter): boolean {
  return text.includes(delimiter.whole) || delimiter.falseEndings.some((ending) => text.endsWith(ending));
}

function endsWith(payload: Uint8Array, ending: Uint8Array): boolean {
  const from = payload.length - ending.length;
  return from >= 0 && ending.every((byte, index) => payload[from + index] === byte);
}
