// Length prefix: a binary length field of 1 to 4 bytes tells how long the frame is. In: bytes of a stream. Out: one Buffer a message.
// The options have the meaning of Netty's LengthFieldBasedFrameDecoder.

import type { Encoder, Framing, FramingLimits } from './framing.ts';
import {
  badFraming,
  choiceOption,
  integerOption,
  invalidMessage,
  invalidOption,
  messageLimit,
  type Payload,
  payloadBytes,
  shownBytes,
  tooLargeToTake,
} from './internal/checks.ts';
import { CountedDecoder, CountedEncoder, NO_TRAILER, WholeFrameEncoder } from './internal/counted.ts';

export interface LengthPrefixOptions {
  /** Size of the length field in bytes, 1 to 4. Default 4. */
  readonly bytes?: 1 | 2 | 3 | 4;
  /** Order of its bytes. Default 'big', the network order. */
  readonly endian?: 'big' | 'little';
  /** Bytes of the frame in front of the length field, 0 to 255 (Netty: lengthFieldOffset). Default 0. */
  readonly offset?: number;
  /**
   * Added to the field's value to get the number of bytes behind the field, -65536 to 65536 (Netty: lengthAdjustment).
   * A field that counts itself, or the whole frame, needs a negative one. Default 0.
   */
  readonly adjustment?: number;
  /**
   * Bytes taken off the front of the frame before it is handed over, 0 to 65536, not ending inside the length field
   * (Netty: initialBytesToStrip).
   * Default: the length field where offset is 0; else 0, so that the bytes in front of the field are not lost.
   */
  readonly strip?: number;
}

/**
 * Messages behind a binary length. limits.messageBytes holds for the message as handed over, stripped.
 *
 * What can be sent: where exactly the length field is stripped, any payload; where nothing is, whole frames whose length field is right.
 * With any other `strip` the encoder would have to invent the bytes in front of the payload: it refuses all (ERR_INVALID_MESSAGE).
 * @throws SessionError ERR_INVALID_OPTION
 */
export function lengthPrefix(options: LengthPrefixOptions = {}): Framing<Buffer> {
  const bytes = integerOption('bytes', options.bytes ?? 4, 1, 4);
  const little = choiceOption('endian', options.endian ?? 'big', ['big', 'little']) === 'little' && bytes > 1;
  const offset = integerOption('offset', options.offset ?? 0, 0, 255);
  const adjustment = integerOption('adjustment', options.adjustment ?? 0, -65_536, 65_536);
  if (256 ** bytes - 1 + adjustment < 0)
    throw invalidOption(`adjustment is ${adjustment}, which no value of a ${bytes}-byte field makes up for`);
  const usual = offset === 0 ? bytes : 0;
  const strip = integerOption('strip', options.strip ?? usual, 0, 65_536);
  if (strip > offset && strip < offset + bytes) throw invalidOption(`strip is ${strip}, which ends inside the length field`);
  const layout: Layout = { bytes, little, offset, adjustment, strip };
  const plain = bytes === 4 && !little && offset === 0 && adjustment === 0 && strip === 4;
  const decoder = (limits: FramingLimits): CountedDecoder => (plain ? new PlainDecoder(limits) : new LengthPrefixDecoder(limits, layout));
  return {
    name: nameOf(layout, usual),
    decoder,
    encoder(limits: FramingLimits): Encoder<Payload> {
      if (strip === 0) return new WholeFrameEncoder(limits, decoder);
      if (plain) return new PlainEncoder(limits);
      if (offset === 0 && strip === bytes) return new LengthPrefixEncoder(limits, layout);
      return new HeadlessEncoder(limits);
    },
  };
}

interface Layout {
  readonly bytes: number;
  readonly little: boolean;
  readonly offset: number;
  readonly adjustment: number;
  readonly strip: number;
}

/** Four bytes in network order that count the payload behind them: what nearly everybody uses, and a fifth of all that a message costs. */
class PlainDecoder extends CountedDecoder {
  constructor(limits: FramingLimits) {
    super(limits, NO_TRAILER);
    this.from = 4;
  }

  protected override head(bytes: Buffer, start: number, end: number): number {
    const missing = start + 4 - end;
    if (missing > 0) return -missing;
    const high = ((bytes[start] as number) << 24) | ((bytes[start + 1] as number) << 16);
    const payload = (high | ((bytes[start + 2] as number) << 8) | (bytes[start + 3] as number)) >>> 0;
    if (payload > this.limit) this.fail(tooLargeToTake(`${payload} (length field ${shownBytes(bytes, start, start + 4)})`, this.limit));
    return payload + 4;
  }
}

class LengthPrefixDecoder extends CountedDecoder {
  readonly #layout: Layout;
  readonly #at: number = 0;
  readonly #bytes: number = 0;
  readonly #little: boolean = false;
  readonly #headBytes: number = 0;
  /** Size of a frame whose field is zero. */
  readonly #extra: number = 0;
  /** Least and largest size of a frame. */
  readonly #least: number = 0;
  readonly #most: number = 0;

  constructor(limits: FramingLimits, layout: Layout) {
    super(limits, NO_TRAILER);
    const { bytes, little, offset, adjustment, strip } = layout;
    this.from = strip;
    this.#layout = layout;
    this.#at = offset;
    this.#bytes = bytes;
    this.#little = little;
    this.#headBytes = offset + bytes;
    this.#extra = offset + bytes + adjustment;
    this.#least = Math.max(offset + bytes, strip);
    this.#most = this.limit + strip;
  }

  protected override head(bytes: Buffer, start: number, end: number): number {
    const missing = start + this.#headBytes - end;
    if (missing > 0) return -missing;
    const size = readLength(bytes, start + this.#at, this.#bytes, this.#little) + this.#extra;
    if (size < this.#least || size > this.#most) this.#refuse(bytes, start, size);
    return size;
  }

  #refuse(bytes: Buffer, start: number, size: number): never {
    const at = start + this.#at;
    const field = shownBytes(bytes, at, at + this.#bytes);
    if (size < this.#least) this.fail(badFraming(`a length field of ${field} means a frame of ${size} bytes, shorter than its own head`));
    this.fail(tooLargeToTake(`${size - this.#layout.strip} (length field ${field})`, this.limit));
  }
}

class PlainEncoder extends CountedEncoder {
  constructor(limits: FramingLimits) {
    super(Math.min(messageLimit(limits), 0xffff_ffff), 4, NO_TRAILER);
  }

  protected override putHead(out: Buffer, at: number, payloadBytes: number): number {
    out[at] = payloadBytes >>> 24;
    out[at + 1] = payloadBytes >>> 16;
    out[at + 2] = payloadBytes >>> 8;
    out[at + 3] = payloadBytes;
    return at + 4;
  }
}

class LengthPrefixEncoder extends CountedEncoder {
  readonly #bytes: number;
  readonly #little: boolean;
  readonly #adjustment: number;

  constructor(limits: FramingLimits, layout: Layout) {
    const { bytes, little, adjustment } = layout;
    super(Math.min(messageLimit(limits), 256 ** bytes - 1 + adjustment), bytes, NO_TRAILER);
    this.#bytes = bytes;
    this.#little = little;
    this.#adjustment = adjustment;
  }

  protected override putHead(out: Buffer, at: number, payloadBytes: number): number {
    const value = payloadBytes - this.#adjustment;
    if (value < 0)
      throw invalidMessage(`a message of ${payloadBytes} bytes, where the length field can tell no less than ${this.#adjustment}`);
    const bytes = this.#bytes;
    for (let index = 0; index < bytes; index++) out[at + index] = value >>> (8 * (this.#little ? index : bytes - 1 - index));
    return at + bytes;
  }
}

/** Frames lose bytes here that nobody can put back. */
class HeadlessEncoder implements Encoder<Payload> {
  readonly #limit: number;

  constructor(limits: FramingLimits) {
    this.#limit = messageLimit(limits);
  }

  encode(message: Payload): void {
    payloadBytes(message, this.#limit);
    throw invalidMessage('header bytes are stripped that the encoder cannot know; send whole frames with strip: 0');
  }
}

function readLength(bytes: Buffer, at: number, size: number, little: boolean): number {
  if (size === 4 && !little) {
    const high = (bytes[at] as number) << 24;
    return (high | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0;
  }
  let value = 0;
  for (let index = 0; index < size; index++) value = value * 256 + (bytes[little ? at + size - 1 - index : at + index] as number);
  return value;
}

function nameOf(layout: Layout, usualStrip: number): string {
  const { bytes, little, offset, adjustment, strip } = layout;
  let name = `length-prefix/${bytes}`;
  if (bytes > 1) name += little ? '/little' : '/big';
  if (offset !== 0) name += `/offset${offset}`;
  if (adjustment !== 0) name += `/adjust${adjustment}`;
  if (strip !== usualStrip) name += `/strip${strip}`;
  return name;
}
