// One line of a prompt, as typed. In: bytes of a client that edits nothing itself, or of one that sends whole lines. Out: what to show, and
// the line when it is complete. Pure.

const ETX = 0x03;
const EOT = 0x04;
const BS = 0x08;
const LF = 0x0a;
const CR = 0x0d;
const NAK = 0x15;
const ETB = 0x17;
const DEL = 0x7f;
/** Longer lines are cut here. */
const MOST_BYTES = 256;

/** 'aborted': ^C, or ^D on an empty line. */
export type Typed = { readonly kind: 'line'; readonly text: string } | { readonly kind: 'aborted' } | { readonly kind: 'more' };

export interface Edited {
  readonly typed: Typed;
  /** To be shown where the line may be seen and this end echoes. */
  readonly echo: string;
  /** Index behind the last byte that was taken. */
  readonly next: number;
}

export class LineEditor {
  #text = '';
  /** Kermit sends CR and LF apart, and BINARY may come into effect between them: then NvtInput has seen two keys. */
  #behindCr = false;

  /** Takes bytes[at...] up to the end of the line. */
  take(bytes: Buffer, at: number): Edited {
    let echo = '';
    for (let index = at; index < bytes.length; index++) {
      const byte = bytes[index] as number;
      const behindCr = this.#behindCr;
      this.#behindCr = byte === CR;
      if (behindCr && byte === LF) continue;
      // NvtInput has made one byte of CR LF and CR NUL; netcat sends LF alone.
      if (byte === CR || byte === LF) {
        const text = Buffer.from(this.#text, 'latin1').toString('utf8');
        this.#text = '';
        return { typed: { kind: 'line', text }, echo, next: index + 1 };
      }
      if (byte === ETX || (byte === EOT && this.#text === '')) return { typed: { kind: 'aborted' }, echo, next: index + 1 };
      echo += this.#key(byte);
    }
    return { typed: { kind: 'more' }, echo, next: bytes.length };
  }

  /** The telnet commands for a typing mistake. */
  eraseCharacter(): string {
    return this.#key(DEL);
  }

  eraseLine(): string {
    return this.#key(NAK);
  }

  #key(byte: number): string {
    if (byte === BS || byte === DEL) return this.#erase(this.#lastCharacter());
    if (byte === NAK) return this.#erase(this.#text.length);
    if (byte === ETB) return this.#erase(this.#text.length - this.#text.trimEnd().replace(/\S+$/, '').length);
    if (byte < 0x20 || this.#text.length >= MOST_BYTES) return '';
    this.#text += String.fromCharCode(byte);
    return String.fromCharCode(byte);
  }

  /** Bytes of the last character, which is UTF-8. */
  #lastCharacter(): number {
    let count = Math.min(1, this.#text.length);
    while (count < this.#text.length && isContinuation(this.#text.charCodeAt(this.#text.length - count))) count++;
    return count;
  }

  #erase(count: number): string {
    const erased = this.#text.slice(this.#text.length - count);
    this.#text = this.#text.slice(0, this.#text.length - count);
    const columns = [...erased].filter((character) => !isContinuation(character.charCodeAt(0))).length;
    return '\b \b'.repeat(columns);
  }
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}
