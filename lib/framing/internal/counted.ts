// Frames whose head tells their size: the decoding loop and the encoder that length prefixes, varints, netstrings and
// Content-Length blocks have in common. A codec supplies head(): how to read and how to write what stands in front.

import { SessionError } from '../../errors.ts';
import { type ByteWriter, type Decoder, type Encoder, type FramingLimits, MAX_RESERVE, type RangeSink } from '../framing.ts';
import { badFraming, invalidMessage, messageLimit, type Payload, payloadBytes, payloadView } from './checks.ts';
import { copyInto } from './copy.ts';
import { Residue } from './residue.ts';
import { view } from './view.ts';

/** No byte has to follow the payload. */
export const NO_TRAILER = -1;

export abstract class CountedDecoder implements Decoder<Buffer> {
  protected readonly limit: number = 0;
  /** Set by head(): where in the frame the message begins, or -1 for a frame that carries none. */
  protected from = 0;
  readonly #trailer: number = NO_TRAILER;
  readonly #tailBytes: number = 0;
  readonly #residue: Residue = new Residue();
  /** Size of the frame in the residue; 0 as long as its head is not complete. */
  #frameBytes = 0;
  #fault: SessionError | null = null;

  constructor(limits: FramingLimits, trailer: number) {
    this.limit = messageLimit(limits);
    this.#trailer = trailer;
    this.#tailBytes = trailer === NO_TRAILER ? 0 : 1;
  }

  /**
   * Reads the head of the frame at bytes[start, end).
   * @returns the size of the frame; or minus the least number of bytes that are missing to tell, never more than belong to the frame.
   */
  protected abstract head(bytes: Buffer, start: number, end: number): number;

  get residueBytes(): number {
    return this.#residue.bytes;
  }

  decode(bytes: Buffer, start: number, end: number, sink: RangeSink): number {
    if (this.#fault !== null) throw this.#fault;
    const tail = this.#tailBytes;
    let at = start;
    if (this.#residue.bytes > 0) {
      at = this.#gather(bytes, start, end);
      if (this.#residue.bytes !== this.#frameBytes) return at;
      const size = this.#frameBytes;
      const frame = this.#residue.take();
      this.#frameBytes = 0;
      if (tail > 0) this.#checkTrailer(frame, size - 1);
      if (this.from >= 0 && !sink.range(frame, this.from, size - tail, at)) return at;
    }
    while (at < end) {
      const size = this.head(bytes, at, end);
      if (size <= 0 || size > end - at) {
        this.#frameBytes = Math.max(size, 0);
        this.#residue.append(bytes, at, end, size > 0 ? size : Number.MAX_SAFE_INTEGER);
        return end;
      }
      const first = at;
      at += size;
      if (tail > 0) this.#checkTrailer(bytes, at - 1);
      if (this.from >= 0 && !sink.range(bytes, first + this.from, at - tail, at)) return at;
    }
    return end;
  }

  message(buffer: Buffer, start: number, end: number): Buffer {
    return view(buffer, start, end);
  }

  /** Makes a fault final. */
  protected fail(fault: SessionError): never {
    this.#fault = fault;
    this.#residue.clear();
    throw fault;
  }

  /** Fills the residue up to the end of its frame and no further. */
  #gather(bytes: Buffer, start: number, end: number): number {
    const residue = this.#residue;
    let at = start;
    for (;;) {
      let missing = this.#frameBytes - residue.bytes;
      if (this.#frameBytes === 0) {
        const size = this.head(residue.buffer, 0, residue.bytes);
        if (size > 0) this.#frameBytes = size;
        missing = size > 0 ? size - residue.bytes : -size;
      }
      if (missing === 0 || at === end) return at;
      const to = at + Math.min(missing, end - at);
      residue.append(bytes, at, to, this.#frameBytes > 0 ? this.#frameBytes : Number.MAX_SAFE_INTEGER);
      at = to;
    }
  }

  #checkTrailer(bytes: Buffer, at: number): void {
    if (bytes[at] === this.#trailer) return;
    this.fail(badFraming(`0x${hex(bytes[at] as number)} stands behind a message, where 0x${hex(this.#trailer)} has to`));
  }
}

export abstract class CountedEncoder implements Encoder<Payload> {
  readonly #limit: number = 0;
  readonly #headBytes: number = 0;
  readonly #trailer: number = NO_TRAILER;

  /** @param limit The most payload bytes of a message. @param headBytes The most bytes that putHead() writes. */
  constructor(limit: number, headBytes: number, trailer: number) {
    this.#limit = limit;
    this.#headBytes = headBytes;
    this.#trailer = trailer;
  }

  /** Writes the head of a message at out[at). @returns the index behind it. */
  protected abstract putHead(out: Buffer, at: number, payloadBytes: number): number;

  encode(message: Payload, out: ByteWriter): void {
    const bytes = payloadBytes(message, this.#limit);
    const most = this.#headBytes + bytes + 1;
    if (most > MAX_RESERVE) return this.#encodeLarge(message, bytes, out);
    out.reserve(most);
    const { buffer } = out;
    const at = this.putHead(buffer, out.position, bytes);
    if (typeof message === 'string') buffer.write(message, at);
    else copyInto(buffer, message, at);
    out.position = at + bytes;
    if (this.#trailer !== NO_TRAILER) out.byte(this.#trailer);
  }

  #encodeLarge(message: Payload, bytes: number, out: ByteWriter): void {
    out.reserve(this.#headBytes);
    out.position = this.putHead(out.buffer, out.position, bytes);
    if (typeof message === 'string') out.text(message, 'utf8', bytes);
    else out.payload(message);
    if (this.#trailer !== NO_TRAILER) out.byte(this.#trailer);
  }
}

/** For layouts whose messages are whole frames, head included: writes them as they are, after checking that they are one frame. */
export class WholeFrameEncoder implements Encoder<Payload> {
  readonly #limits: FramingLimits;
  readonly #makeDecoder: (limits: FramingLimits) => Decoder<Buffer>;

  constructor(limits: FramingLimits, makeDecoder: (limits: FramingLimits) => Decoder<Buffer>) {
    messageLimit(limits);
    this.#limits = limits;
    this.#makeDecoder = makeDecoder;
  }

  encode(message: Payload, out: ByteWriter): void {
    payloadBytes(message, this.#limits.messageBytes);
    const given = payloadView(message);
    const bytes = Buffer.from(given.buffer, given.byteOffset, given.length);
    if (!this.#isFrame(bytes)) throw invalidMessage(`${bytes.length} bytes that are not exactly one frame, head included`);
    out.payload(bytes);
  }

  #isFrame(bytes: Buffer): boolean {
    let frames = 0;
    let size = 0;
    const range = (_buffer: Buffer, start: number, end: number): boolean => {
      frames++;
      size = end - start;
      return true;
    };
    try {
      // A decoder of its own for each message: one that met a fault is of no further use.
      this.#makeDecoder(this.#limits).decode(bytes, 0, bytes.length, { range });
    } catch (error) {
      if (!SessionError.is(error)) throw error;
      throw invalidMessage(`${bytes.length} bytes that are not one frame`, error);
    }
    return frames === 1 && size === bytes.length;
  }
}

/** Writes a number in decimal ASCII digits at out[at). @returns the index behind them. */
export function putDecimal(out: Buffer, at: number, value: number): number {
  let digits = 1;
  for (let scale = 10; scale <= value; scale *= 10) digits++;
  let rest = value;
  for (let to = at + digits - 1; to >= at; to--) {
    out[to] = 0x30 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
  return at + digits;
}

/** The most digits that putDecimal() writes. */
export const MAX_DECIMAL_BYTES = 16;

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}
