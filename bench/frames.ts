// Messages with a u32 length prefix in a stream of bytes, for peers that have bytes only.

import type { Taker } from './peer.ts';

/** From here on a payload is moved alone: written by reference, gathered in memory of its own. */
export const LARGE_BYTES = 16_384;

/** A frame of its own for one message, copied. */
export function framed(message: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(4 + message.length);
  frame.writeUInt32BE(message.length, 0);
  message.copy(frame, 4);
  return frame;
}

/** Takes chunks and cuts them at their lengths; what is left of one is put in front of the next. */
export function deframer(taker: Taker): (chunk: Buffer) => void {
  let carry: Buffer | null = null;
  let large: Buffer | null = null;
  let largeBytes = 0;
  return (chunk) => {
    let at = 0;
    if (large !== null) {
      const taken = chunk.copy(large, largeBytes);
      largeBytes += taken;
      if (largeBytes < large.length) return;
      taker.take(large, 0, large.length);
      large = null;
      at = taken;
    }
    const bytes: Buffer = carry === null ? chunk : Buffer.concat([carry, chunk]);
    carry = null;
    while (bytes.length - at >= 4) {
      const length =
        ((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
      if (bytes.length - at - 4 < length) {
        if (length < LARGE_BYTES) break;
        large = Buffer.allocUnsafeSlow(length);
        largeBytes = bytes.copy(large, 0, at + 4);
        return;
      }
      const message = bytes.subarray(at + 4, at + 4 + length);
      taker.take(message, 0, length);
      at += 4 + length;
    }
    if (at < bytes.length) carry = bytes.subarray(at);
  };
}
