// The escapes of the client itself: `~` as the first key of a line, and a letter. In: typed bytes. Out: bytes to pass on, and escapes, in
// order. Only the letters that it is asked for are taken; any other pair goes on to the server, which has escapes of its own.

export type Typed = { readonly kind: 'bytes'; readonly bytes: Buffer } | { readonly kind: 'escape'; readonly key: string };

const TILDE = 0x7e;
const LF = 0x0a;
const CR = 0x0d;
/** ^C, ^D and ^U leave an empty line, as far as the keyboard can tell. */
const ALSO_BEGINS: readonly number[] = [0x03, 0x04, 0x15];

export class Escapes {
  #lineBegin = true;
  /** An escape may begin here although no line does. */
  #open = false;
  /** A tilde was typed, and what follows decides. */
  #tilde = false;

  /** A tilde waits for the key behind it. */
  get waiting(): boolean {
    return this.#tilde;
  }

  /** Nothing was typed in this line so far. */
  get lineBegins(): boolean {
    return this.#lineBegin;
  }

  /** What was typed last never happened: the line is again as it was. */
  set lineBegins(begins: boolean) {
    this.#lineBegin = begins;
  }

  /** Lets the next key begin an escape, in the middle of a line as well; false: not any more. */
  set open(open: boolean) {
    this.#open = open;
  }

  /** @param keys The letters that are escapes now. */
  take(bytes: Buffer, keys: string): Typed[] {
    const out: Typed[] = [];
    let from = 0;
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at] as number;
      if (this.#tilde) {
        this.#tilde = false;
        const key = String.fromCharCode(byte);
        if (keys.includes(key)) {
          out.push({ kind: 'escape', key });
          from = at + 1;
          this.#lineBegin = true;
          continue;
        }
        // The tilde was held back, and may be of an earlier read.
        out.push({ kind: 'bytes', bytes: Buffer.from('~') });
      } else if (byte === TILDE && (this.#lineBegin || this.#open)) {
        if (at > from) out.push({ kind: 'bytes', bytes: bytes.subarray(from, at) });
        this.#tilde = true;
        from = at + 1;
        continue;
      }
      this.#open = false;
      this.#lineBegin = byte === CR || byte === LF || ALSO_BEGINS.includes(byte);
    }
    if (from < bytes.length) out.push({ kind: 'bytes', bytes: bytes.subarray(from) });
    return out;
  }
}
