// A ByteWriter that keeps everything in one block of memory and grows it: for encoding outside a session.

import type { ByteWriter, TextEncoding } from '../framing.ts';

const FIRST_BYTES = 256;

export class GrowingWriter implements ByteWriter {
  buffer: Buffer = Buffer.allocUnsafe(FIRST_BYTES);
  position = 0;

  reserve(bytes: number): void {
    const needed = this.position + bytes;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.position);
    this.buffer = grown;
  }

  byte(value: number): void {
    this.reserve(1);
    this.buffer[this.position++] = value;
  }

  copy(source: Uint8Array, start: number, end: number): void {
    this.reserve(end - start);
    this.buffer.set(start === 0 && end === source.length ? source : source.subarray(start, end), this.position);
    this.position += end - start;
  }

  payload(source: Uint8Array): void {
    this.copy(source, 0, source.length);
  }

  text(value: string, encoding: TextEncoding, byteLength: number): void {
    this.reserve(byteLength);
    this.buffer.write(value, this.position, byteLength, encoding);
    this.position += byteLength;
  }

  /** What was written so far. */
  bytes(): Buffer {
    return this.buffer.subarray(0, this.position);
  }
}
