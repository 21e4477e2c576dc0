// Varint prefix: the length as an unsigned LEB128 number, as protobuf's delimited messages have it. In: bytes. Out: one Buffer a message.

import type { Decoder, Encoder, Framing, FramingLimits } from './framing.ts';
import { badFraming, messageLimit, type Payload, shownBytes, tooLargeToTake } from './internal/checks.ts';
import { CountedDecoder, CountedEncoder, NO_TRAILER } from './internal/counted.ts';

const MAX_VARINT_BYTES = 5;
const MAX_LENGTH = 0xffff_ffff;

/**
 * Messages behind a varint of 1 to 5 bytes: 7 bits a byte, low bits first, 0x80 set on all but the last (protobuf's writeDelimitedTo).
 * Lengths above 2^32-1 and lengths written longer than they need (80 00) are refused: one length has one form.
 */
export function varint(): Framing<Buffer> {
  return {
    name: 'varint',
    decoder: (limits: FramingLimits): Decoder<Buffer> => new VarintDecoder(limits, NO_TRAILER),
    encoder: (limits: FramingLimits): Encoder<Payload> => new VarintEncoder(limits),
  };
}

class VarintDecoder extends CountedDecoder {
  protected override head(bytes: Buffer, start: number, end: number): number {
    let length = 0;
    let scale = 1;
    for (let count = 1; count <= MAX_VARINT_BYTES; count++) {
      if (start + count > end) return -1;
      const byte = bytes[start + count - 1] as number;
      length += (byte & 0x7f) * scale;
      scale *= 128;
      if (byte >= 0x80) continue;
      if (byte === 0 && count > 1)
        this.fail(badFraming(`a varint written longer than it needs, ${shownBytes(bytes, start, start + count)}`));
      if (length > MAX_LENGTH) this.fail(badFraming(`a length of ${length}, above 2^32-1`));
      if (length > this.limit) this.fail(tooLargeToTake(length, this.limit));
      this.from = count;
      return count + length;
    }
    this.fail(badFraming(`a varint of more than ${MAX_VARINT_BYTES} bytes, ${shownBytes(bytes, start, start + MAX_VARINT_BYTES)}`));
  }
}

class VarintEncoder extends CountedEncoder {
  constructor(limits: FramingLimits) {
    super(Math.min(messageLimit(limits), MAX_LENGTH), MAX_VARINT_BYTES, NO_TRAILER);
  }

  protected override putHead(out: Buffer, at: number, payloadBytes: number): number {
    let rest = payloadBytes;
    let to = at;
    while (rest >= 0x80) {
      out[to++] = 0x80 | (rest & 0x7f);
      rest >>>= 7;
    }
    out[to] = rest;
    return to + 1;
  }
}
