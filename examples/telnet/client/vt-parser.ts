// Cuts a program's output into what a terminal does with it (ECMA-48, and the states of a VT500). In: bytes, in any pieces. Out: calls, in
// order. Bounded: of a sequence that is too long nothing is kept but that it is one.

export interface VtSink {
  /** One character, of UTF-8. */
  print(character: string): void;
  /** C0: below 20 hex, without ESC, CAN and SUB. */
  control(code: number): void;
  /** ESC, intermediates, final. */
  escape(intermediates: string, final: string): void;
  /** CSI; `prefix` is one of `<=>?` or empty, parameters are as they stand between the semicolons. */
  csi(prefix: string, parameters: readonly string[], intermediates: string, final: string): void;
  /** OSC; the other strings (DCS, APC, PM, SOS) are passed over. */
  osc(text: string): void;
}

type State = 'ground' | 'character' | 'escape' | 'csi' | 'string' | 'string-escape';

const HELD_CHARACTERS = 256;
const OSC_CHARACTERS = 4096;
const ESC = 0x1b;
const REPLACEMENT = '\ufffd';

export class VtParser {
  readonly #sink: VtSink;
  #state: State = 'ground';
  /** What belongs to the sequence so far, without its introducer. */
  #held = '';
  #osc = false;
  /** A character of UTF-8: its bytes so far and how many it has. */
  readonly #utf8: Buffer = Buffer.alloc(4);
  #utf8Bytes = 0;
  #utf8Length = 0;

  constructor(sink: VtSink) {
    this.#sink = sink;
  }

  /** Between two sequences and two characters: somebody else may write to the terminal here. */
  get ground(): boolean {
    return this.#state === 'ground';
  }

  feed(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (this.#state === 'ground' && byte >= 0x20 && byte < 0x7f) this.#sink.print(String.fromCharCode(byte));
      else this.#byte(byte);
    }
  }

  #byte(byte: number): void {
    switch (this.#state) {
      case 'ground':
        return this.#ground(byte);
      case 'character':
        return this.#character(byte);
      case 'string':
        return this.#string(byte);
      case 'string-escape':
        return this.#stringEscape(byte);
      default:
        return this.#sequence(byte);
    }
  }

  #ground(byte: number): void {
    if (byte === ESC) this.#begin('escape');
    else if (byte < 0x20) this.#sink.control(byte);
    else if (byte > 0x7f) this.#beginCharacter(byte);
    else if (byte !== 0x7f) this.#sink.print(String.fromCharCode(byte));
  }

  #begin(state: State): void {
    this.#state = state;
    this.#held = '';
  }

  #beginCharacter(byte: number): void {
    this.#utf8Length = byte >= 0xf0 && byte < 0xf5 ? 4 : byte >= 0xe0 ? 3 : 2;
    if (byte < 0xc2 || byte > 0xf4) {
      this.#sink.print(REPLACEMENT);
      return;
    }
    this.#utf8[0] = byte;
    this.#utf8Bytes = 1;
    this.#state = 'character';
  }

  #character(byte: number): void {
    if (byte < 0x80 || byte > 0xbf) {
      this.#state = 'ground';
      this.#sink.print(REPLACEMENT);
      this.#ground(byte);
      return;
    }
    this.#utf8[this.#utf8Bytes++] = byte;
    if (this.#utf8Bytes < this.#utf8Length) return;
    this.#state = 'ground';
    this.#sink.print(this.#utf8.toString('utf8', 0, this.#utf8Length));
  }

  /** Behind ESC or CSI, up to the final byte. */
  #sequence(byte: number): void {
    if (byte === ESC) this.#begin('escape');
    else if (byte === 0x18 || byte === 0x1a) this.#state = 'ground';
    // A control inside a sequence acts as if it stood in front of it.
    else if (byte < 0x20) this.#sink.control(byte);
    else if (this.#state === 'escape') this.#escape(byte);
    else if (byte < 0x40) this.#hold(byte);
    else if (byte < 0x7f) this.#csi(String.fromCharCode(byte));
  }

  #hold(byte: number): void {
    if (this.#held.length < HELD_CHARACTERS) this.#held += String.fromCharCode(byte);
  }

  #escape(byte: number): void {
    const key = String.fromCharCode(byte);
    if (byte < 0x30) {
      this.#hold(byte);
    } else if (this.#held === '' && key === '[') {
      this.#begin('csi');
    } else if (this.#held === '' && ']PX^_'.includes(key)) {
      this.#osc = key === ']';
      this.#begin('string');
    } else if (byte < 0x7f) {
      this.#state = 'ground';
      this.#sink.escape(this.#held, key);
    }
  }

  #csi(final: string): void {
    this.#state = 'ground';
    const [, prefix = '', parameters = '', intermediates = ''] = /^([<=>?]?)([0-9;:]*)([ -/]*)$/.exec(this.#held) ?? [];
    if (this.#held !== prefix + parameters + intermediates || this.#held.length >= HELD_CHARACTERS) return;
    this.#sink.csi(prefix, parameters.split(';'), intermediates, final);
  }

  #string(byte: number): void {
    if (byte === ESC) this.#state = 'string-escape';
    else if (byte === 0x07 && this.#osc) this.#endString();
    else if (byte === 0x18 || byte === 0x1a) this.#state = 'ground';
    else if (this.#osc && this.#held.length < OSC_CHARACTERS) this.#held += String.fromCharCode(byte);
  }

  #stringEscape(byte: number): void {
    this.#endString();
    // ESC \ is the end; any other sequence ends the string as well, and counts.
    if (byte === 0x5c) return;
    this.#begin('escape');
    this.#sequence(byte);
  }

  #endString(): void {
    this.#state = 'ground';
    if (this.#osc) this.#sink.osc(this.#held);
  }
}
