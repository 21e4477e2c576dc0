// SLIP (RFC 1055): packets that end with the byte END, which is escaped inside them. In: bytes of a stream. Out: one Buffer a packet.

import type { SessionError } from '../errors.ts';
import type { ByteWriter, Decoder, Encoder, Framing, FramingLimits, RangeSink } from './framing.ts';
import {
  badFraming,
  invalidMessage,
  messageLimit,
  type Payload,
  payloadBytes,
  payloadView,
  shownBytes,
  tooLargeToTake,
} from './internal/checks.ts';
import { Residue } from './internal/residue.ts';
import { view } from './internal/view.ts';

const END = 0xc0;
const ESC = 0xdb;
const ESC_END = 0xdc;
const ESC_ESC = 0xdd;

/**
 * Messages as SLIP packets. A packet is written between two ENDs, as RFC 1055's own code does; empty packets are skipped when read.
 * So an empty message is refused (ERR_INVALID_MESSAGE). Any byte but DC or DD behind an ESC is ERR_FRAMING.
 */
export function slip(): Framing<Buffer> {
  return {
    name: 'slip',
    decoder: (limits: FramingLimits): Decoder<Buffer> => new SlipDecoder(limits),
    encoder: (limits: FramingLimits): Encoder<Payload> => new SlipEncoder(limits),
  };
}

class SlipDecoder implements Decoder<Buffer> {
  readonly #limit: number;
  /** Without escapes: they are resolved as they come. */
  readonly #residue: Residue = new Residue();
  /** The last byte taken was an ESC. */
  #escaping = false;
  #fault: SessionError | null = null;

  constructor(limits: FramingLimits) {
    this.#limit = messageLimit(limits);
  }

  get residueBytes(): number {
    return this.#residue.bytes + (this.#escaping ? 1 : 0);
  }

  /** A packet without escapes that lies in `bytes` as a whole is delivered in place; others are put together in the residue. */
  decode(bytes: Buffer, start: number, end: number, sink: RangeSink): number {
    if (this.#fault !== null) throw this.#fault;
    const residue = this.#residue;
    let at = start;
    if (this.#escaping && at < end) this.#unescape(bytes, at++);
    let from = at;
    while (at < end) {
      const byte = bytes[at++] as number;
      if (byte === END) {
        const stop = at - 1;
        let more = true;
        if (residue.bytes > 0) {
          this.#hold(bytes, from, stop);
          const size = residue.bytes;
          more = sink.range(residue.take(), 0, size, at);
        } else if (stop > from) {
          this.#checkSize(stop - from);
          more = sink.range(bytes, from, stop, at);
        }
        if (!more) return at;
        from = at;
      } else if (byte === ESC) {
        this.#hold(bytes, from, at - 1);
        this.#escaping = true;
        if (at < end) this.#unescape(bytes, at++);
        from = at;
      }
    }
    this.#hold(bytes, from, end);
    return end;
  }

  message(buffer: Buffer, start: number, end: number): Buffer {
    return view(buffer, start, end);
  }

  #hold(bytes: Buffer, start: number, end: number): void {
    if (start === end) return;
    this.#checkSize(this.#residue.bytes + end - start);
    this.#residue.append(bytes, start, end, this.#limit);
  }

  #unescape(bytes: Buffer, at: number): void {
    const byte = bytes[at];
    if (byte !== ESC_END && byte !== ESC_ESC)
      this.#fail(badFraming(`${shownBytes(bytes, at, at + 1)} behind an ESC, which is no escape of SLIP`));
    this.#checkSize(this.#residue.bytes + 1);
    this.#residue.push(byte === ESC_END ? END : ESC, this.#limit);
    this.#escaping = false;
  }

  #checkSize(bytes: number): void {
    if (bytes > this.#limit) this.#fail(tooLargeToTake(`${bytes} or more`, this.#limit));
  }

  #fail(fault: SessionError): never {
    this.#fault = fault;
    this.#residue.clear();
    this.#escaping = false;
    throw fault;
  }
}

class SlipEncoder implements Encoder<Payload> {
  readonly #limit: number;

  constructor(limits: FramingLimits) {
    this.#limit = messageLimit(limits);
  }

  encode(message: Payload, out: ByteWriter): void {
    if (payloadBytes(message, this.#limit) === 0) throw invalidMessage('an empty message, which SLIP cannot carry');
    const bytes = payloadView(message);
    out.byte(END);
    if (bytes.indexOf(END) < 0 && bytes.indexOf(ESC) < 0) out.payload(bytes);
    else putEscaped(bytes, out);
    out.byte(END);
  }
}

function putEscaped(bytes: Uint8Array, out: ByteWriter): void {
  let from = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte !== END && byte !== ESC) continue;
    if (at > from) out.copy(bytes, from, at);
    out.byte(ESC);
    out.byte(byte === END ? ESC_END : ESC_ESC);
    from = at + 1;
  }
  if (from < bytes.length) out.copy(bytes, from, bytes.length);
}
