// COBS (Cheshire and Baker, 1999): packets without a zero byte, ended by one; the overhead is one byte in 254.
// In: bytes of a stream. Out: one Buffer a packet.

import type { SessionError } from '../errors.ts';
import type { ByteWriter, Decoder, Encoder, Framing, FramingLimits, RangeSink } from './framing.ts';
import { badFraming, messageLimit, type Payload, payloadBytes, payloadView, tooLargeToTake } from './internal/checks.ts';
import { Residue } from './internal/residue.ts';
import { view } from './internal/view.ts';

/** The most bytes of one block behind its code. */
const BLOCK_BYTES = 254;
const FULL_BLOCK = 0xff;
/** Below this a loop beats the native copy. */
const LOOP_BYTES = 16;

/** Messages as COBS packets, each ended by a zero byte. An empty message is `01 00`; zero bytes with nothing between them are skipped. */
export function cobs(): Framing<Buffer> {
  return {
    name: 'cobs',
    decoder: (limits: FramingLimits): Decoder<Buffer> => new CobsDecoder(limits),
    encoder: (limits: FramingLimits): Encoder<Payload> => new CobsEncoder(limits),
  };
}

class CobsDecoder implements Decoder<Buffer> {
  readonly #limit: number;
  /** The most bytes that a packet within the limit can have, without its zero. */
  readonly #packetBytesMax: number;
  readonly #residue: Residue = new Residue();
  #fault: SessionError | null = null;

  constructor(limits: FramingLimits) {
    this.#limit = messageLimit(limits);
    this.#packetBytesMax = this.#limit + Math.ceil(this.#limit / BLOCK_BYTES) + 1;
  }

  get residueBytes(): number {
    return this.#residue.bytes;
  }

  decode(bytes: Buffer, start: number, end: number, sink: RangeSink): number {
    if (this.#fault !== null) throw this.#fault;
    // indexOf() cannot be told where to stop.
    const scan = end === bytes.length ? bytes : bytes.subarray(0, end);
    let at = start;
    while (at < end) {
      const first = at;
      const zero = scan.indexOf(0, at);
      const stop = zero < 0 ? end : zero;
      const size = this.#residue.bytes + stop - first;
      if (size > this.#packetBytesMax) this.#fail(tooLargeToTake(`${size} or more encoded`, this.#limit));
      if (zero < 0 || this.#residue.bytes > 0) this.#residue.append(bytes, first, stop, this.#packetBytesMax);
      if (zero < 0) return end;
      at = zero + 1;
      if (size === 0) continue;
      const more =
        this.#residue.bytes > 0
          ? this.#deliver(this.#residue.take(), 0, size, true, at, sink)
          : this.#deliver(bytes, first, stop, false, at, sink);
      if (!more) return at;
    }
    return end;
  }

  message(buffer: Buffer, start: number, end: number): Buffer {
    return view(buffer, start, end);
  }

  /** @param owned The packet may be decoded in place. */
  #deliver(packet: Buffer, start: number, end: number, owned: boolean, next: number, sink: RangeSink): boolean {
    // A packet of one block is its payload with a code in front.
    if (packet[start] === end - start) {
      this.#checkSize(end - start - 1);
      return sink.range(packet, start + 1, end, next);
    }
    const target = owned ? packet : Buffer.allocUnsafe(end - start);
    const size = this.#unstuff(packet, start, end, target);
    this.#checkSize(size);
    return sink.range(target, 0, size, next);
  }

  /** Writes the payload of a packet at target[0); it never overtakes the reading. @returns its size. */
  #unstuff(packet: Buffer, start: number, end: number, target: Buffer): number {
    let at = start;
    let to = 0;
    while (at < end) {
      const code = packet[at] as number;
      const next = at + code;
      if (next > end) this.#fail(badFraming(`a COBS block of ${code} bytes, where the packet has ${end - at} left`));
      if (code <= LOOP_BYTES) for (let from = at + 1; from < next; from++) target[to++] = packet[from] as number;
      else to += packet.copy(target, to, at + 1, next);
      at = next;
      if (code !== FULL_BLOCK && at < end) target[to++] = 0;
    }
    return to;
  }

  #checkSize(bytes: number): void {
    if (bytes > this.#limit) this.#fail(tooLargeToTake(bytes, this.#limit));
  }

  #fail(fault: SessionError): never {
    this.#fault = fault;
    this.#residue.clear();
    throw fault;
  }
}

class CobsEncoder implements Encoder<Payload> {
  readonly #limit: number;

  constructor(limits: FramingLimits) {
    this.#limit = messageLimit(limits);
  }

  encode(message: Payload, out: ByteWriter): void {
    payloadBytes(message, this.#limit);
    const bytes = payloadView(message);
    let at = 0;
    let zero = zeroFrom(bytes, 0);
    for (;;) {
      const count = Math.min(zero - at, BLOCK_BYTES);
      out.byte(count + 1);
      if (count > 0) out.copy(bytes, at, at + count);
      at += count;
      if (at === bytes.length) break;
      // A full block stands for no zero: what follows it goes into the next one.
      if (count === BLOCK_BYTES) continue;
      at = zero + 1;
      zero = zeroFrom(bytes, at);
    }
    out.byte(0);
  }
}

function zeroFrom(bytes: Uint8Array, from: number): number {
  const zero = bytes.indexOf(0, from);
  return zero < 0 ? bytes.length : zero;
}
