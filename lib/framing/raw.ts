// Raw: no framing at all. In: bytes of a stream. Out: Buffers cut where the network or the limit happened to cut them.

import { type ByteWriter, type Decoder, type Encoder, type Framing, type FramingLimits, MAX_RESERVE, type RangeSink } from './framing.ts';
import { invalidMessage, messageLimit, type Payload, payloadBytes } from './internal/checks.ts';
import { copyInto } from './internal/copy.ts';
import { view } from './internal/view.ts';

/**
 * Bytes without boundaries: all arrive, in order, but in other pieces than they were sent in, each at most limits.messageBytes long.
 * An empty message is refused (ERR_INVALID_MESSAGE): it has no bytes that could arrive.
 */
export function raw(): Framing<Buffer> {
  return {
    name: 'raw',
    decoder: (limits: FramingLimits): Decoder<Buffer> => new RawDecoder(limits),
    encoder: (limits: FramingLimits): Encoder<Payload> => new RawEncoder(limits),
  };
}

class RawDecoder implements Decoder<Buffer> {
  readonly residueBytes = 0;
  readonly #limit: number;

  constructor(limits: FramingLimits) {
    this.#limit = messageLimit(limits);
  }

  decode(bytes: Buffer, start: number, end: number, sink: RangeSink): number {
    const limit = this.#limit;
    let at = start;
    while (at < end) {
      const first = at;
      at = Math.min(first + limit, end);
      if (!sink.range(bytes, first, at, at)) return at;
    }
    return end;
  }

  message(buffer: Buffer, start: number, end: number): Buffer {
    return view(buffer, start, end);
  }
}

class RawEncoder implements Encoder<Payload> {
  readonly #limit: number;

  constructor(limits: FramingLimits) {
    this.#limit = messageLimit(limits);
  }

  encode(message: Payload, out: ByteWriter): void {
    const bytes = payloadBytes(message, this.#limit);
    if (bytes === 0) throw invalidMessage('an empty message, which raw bytes cannot carry');
    if (typeof message === 'string') {
      out.text(message, 'utf8', bytes);
    } else if (bytes > MAX_RESERVE) {
      out.payload(message);
    } else {
      out.reserve(bytes);
      copyInto(out.buffer, message, out.position);
      out.position += bytes;
    }
  }
}
