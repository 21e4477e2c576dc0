// Line ends of the network virtual terminal (RFC 854 p. 11, RFC 1123 §3.3.1). In: user data of one direction. Out: the same bytes with CR
// LF and CR NUL put right, unless that direction is BINARY (RFC 856). One object a direction; IACs are doubled elsewhere.

const NUL = 0x00;
const LF = 0x0a;
const CR = 0x0d;
const NONE: Buffer = Buffer.alloc(0);

/**
 * What came from the network, as a terminal wants it. CR NUL becomes CR, a CR before anything else stays what it is: some clients send it
 * bare.
 * A CR at the end of a chunk is given out at once, since nothing may ever follow it, and the LF or NUL that belongs to it is swallowed
 * later.
 */
export class NvtInput {
  readonly #keepsLf: boolean;
  #binary = false;
  #behindCr = false;

  /** @param newline What CR LF becomes: '\r' for keyboard input to a pty (Enter), '\r\n' for output to a screen. */
  constructor(newline: '\r' | '\r\n') {
    this.#keepsLf = newline === '\r\n';
  }

  get binary(): boolean {
    return this.#binary;
  }

  /** To be set at the place in the stream where the option changes. */
  set binary(on: boolean) {
    if (on !== this.#binary) this.#behindCr = false;
    this.#binary = on;
  }

  /** @returns the same Buffer where nothing had to change. */
  translate(bytes: Buffer): Buffer {
    if (this.#binary || bytes.length === 0) return bytes;
    const first = this.#behindCr && this.#swallows(bytes[0]) ? 1 : 0;
    this.#behindCr = bytes[bytes.length - 1] === CR;
    const hit = bytes.indexOf(CR, first);
    if (hit < 0 || hit === bytes.length - 1) return first === 0 ? bytes : bytes.subarray(first);
    const out = Buffer.allocUnsafe(bytes.length - first);
    let to = bytes.copy(out, 0, first, hit);
    for (let at = hit; at < bytes.length; at++) {
      const byte = bytes[at] as number;
      out[to++] = byte;
      if (byte === CR && at + 1 < bytes.length && this.#swallows(bytes[at + 1])) at++;
    }
    return out.subarray(0, to);
  }

  #swallows(byte: number | undefined): boolean {
    return byte === NUL || (byte === LF && !this.#keepsLf);
  }
}

/**
 * What goes to the network. A CR that no LF follows gets a NUL. A CR at the end of a chunk is held back until what follows is known:
 * call flush() when nothing follows for some milliseconds.
 */
export class NvtOutput {
  #binary = false;
  #holding = false;

  get binary(): boolean {
    return this.#binary;
  }

  /** A CR is held back. */
  get holding(): boolean {
    return this.#holding;
  }

  /** Call flush() before, and send what it gives, so that a held CR stays on its side of the change. */
  set binary(on: boolean) {
    this.#binary = on;
  }

  /** @returns the same Buffer where nothing had to change. */
  translate(bytes: Buffer): Buffer {
    if (this.#binary || bytes.length === 0) return bytes;
    if (!this.#holding && bytes.indexOf(CR) < 0) return bytes;
    // Every CR may get a NUL, and the held one comes on top.
    const out = Buffer.allocUnsafe(2 * bytes.length + 2);
    let to = 0;
    let pending = this.#holding;
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at] as number;
      if (pending) {
        out[to++] = CR;
        if (byte !== LF) out[to++] = NUL;
      }
      pending = byte === CR;
      if (!pending) out[to++] = byte;
    }
    this.#holding = pending;
    return out.subarray(0, to);
  }

  /** @returns the CR held back, as CR NUL; empty where there is none. */
  flush(): Buffer {
    if (!this.#holding) return NONE;
    this.#holding = false;
    return Buffer.of(CR, NUL);
  }
}
