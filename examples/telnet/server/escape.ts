// Escapes that are typed: Enter, `~` and a letter, as with ssh. In: what a client typed. Out: the same without escapes, and the escapes. A
// tilde is held back until the next byte tells what it is.

export type Escape = 'detach' | 'hang-up' | 'list' | 'share' | 'help';

const TILDE = 0x7e;
const CR = 0x0d;
const LF = 0x0a;
/** Nobody types this much at once: it is pasted or sent by a program, and means what it says. */
const MOST_TYPED_BYTES = 64;

const escapes: ReadonlyMap<number, Escape> = new Map([
  [0x64, 'detach'], // d
  [0x2e, 'hang-up'], // .
  [0x6c, 'list'], // l
  [0x73, 'share'], // s
  [0x3f, 'help'], // ?
]);

export const ESCAPE_HELP: readonly string[] = [
  '~d  detach: the session goes on, log in again to come back',
  '~.  hang up: ends the session and its programs',
  '~l  list your sessions',
  '~s  share: whoever attaches next joins, and takes nothing over; again to stop that',
  '~?  this help',
  '~~  a tilde',
];

export class EscapeFilter {
  #lineBegins = true;
  #tilde = false;

  /** Gives typed bytes and escapes in order. */
  *filter(bytes: Buffer): Generator<Buffer | Escape> {
    if (bytes.length > MOST_TYPED_BYTES) {
      yield this.#tilde ? Buffer.concat([Buffer.of(TILDE), bytes]) : bytes;
      this.#tilde = false;
      this.#lineBegins = endsLine(bytes[bytes.length - 1] as number);
      return;
    }
    let from = 0;
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at] as number;
      if (this.#tilde) {
        this.#tilde = false;
        const asked = escapes.get(byte);
        // The line begins anew behind an escape, and Enter behind a tilde is Enter.
        this.#lineBegins = asked !== undefined || endsLine(byte);
        from = asked === undefined && byte !== TILDE ? at : at + 1;
        if (asked !== undefined) yield asked;
        else yield Buffer.of(TILDE);
      } else if (byte === TILDE && this.#lineBegins) {
        if (at > from) yield bytes.subarray(from, at);
        from = at + 1;
        this.#tilde = true;
      } else {
        this.#lineBegins = endsLine(byte);
      }
    }
    if (from < bytes.length) yield bytes.subarray(from);
  }
}

function endsLine(byte: number): boolean {
  return byte === CR || byte === LF;
}
