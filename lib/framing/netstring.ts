// Netstring (D. J. Bernstein): decimal length, colon, payload, comma: `5:hello,`. In: bytes. Out: one Buffer a message.

import type { Decoder, Encoder, Framing, FramingLimits } from './framing.ts';
import { badFraming, messageLimit, type Payload, shownBytes, tooLargeToTake } from './internal/checks.ts';
import { CountedDecoder, CountedEncoder, MAX_DECIMAL_BYTES, putDecimal } from './internal/counted.ts';

const COLON = 0x3a;
const COMMA = 0x2c;
const ZERO = 0x30;

/** Messages as netstrings. Leading zeros, a missing comma and anything but digits in front of the colon are refused. */
export function netstring(): Framing<Buffer> {
  return {
    name: 'netstring',
    decoder: (limits: FramingLimits): Decoder<Buffer> => new NetstringDecoder(limits, COMMA),
    encoder: (limits: FramingLimits): Encoder<Payload> => new NetstringEncoder(limits),
  };
}

class NetstringDecoder extends CountedDecoder {
  protected override head(bytes: Buffer, start: number, end: number): number {
    let length = 0;
    for (let at = start; at < end; at++) {
      const byte = bytes[at] as number;
      const digit = byte - ZERO;
      if (digit >= 0 && digit <= 9) {
        if (at > start && length === 0) this.fail(badFraming(`a length with a leading zero, ${shownBytes(bytes, start, at + 1)}`));
        length = length * 10 + digit;
        if (length > this.limit) this.fail(tooLargeToTake(`${length} or more`, this.limit));
      } else if (byte === COLON && at > start) {
        this.from = at + 1 - start;
        return this.from + length + 1;
      } else {
        this.fail(badFraming(`${shownBytes(bytes, start, at + 1)}, where digits and a colon have to begin a netstring`));
      }
    }
    return -1;
  }
}

class NetstringEncoder extends CountedEncoder {
  constructor(limits: FramingLimits) {
    super(messageLimit(limits), MAX_DECIMAL_BYTES + 1, COMMA);
  }

  protected override putHead(out: Buffer, at: number, payloadBytes: number): number {
    const to = putDecimal(out, at, payloadBytes);
    out[to] = COLON;
    return to + 1;
  }
}
