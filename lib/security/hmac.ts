// SHA-256 and HMAC-SHA-256 (RFC 2104) of a few parts: begun, given one part after the other, and ended into a place of the caller's, all in
// one go. From one-shot hashes: an Hmac object of Node's takes twice as long, and each is one more for the garbage collector to end.
import { hash } from 'node:crypto';

export const HASH_BYTES = 32;
const BLOCK_BYTES = 64;

// Nothing comes between begin and end, so that one piece of memory serves all: room for the flights of a circuit, grown for more.
let inner: Buffer = Buffer.alloc(32_768);
let end = 0;
const outer: Buffer = Buffer.alloc(BLOCK_BYTES + HASH_BYTES);

export function beginHash(): void {
  end = 0;
}

/** @param key The 32 bytes from `at` on. */
export function beginHmac(key: Uint8Array, at: number): void {
  inner.fill(0x36, HASH_BYTES, BLOCK_BYTES);
  outer.fill(0x5c, HASH_BYTES, BLOCK_BYTES);
  for (let i = 0; i < HASH_BYTES; i++) {
    const byte = key[at + i] as number;
    inner[i] = byte ^ 0x36;
    outer[i] = byte ^ 0x5c;
  }
  end = BLOCK_BYTES;
}

export function add(part: Uint8Array): void {
  const start = end;
  end += part.length;
  if (end > inner.length) grow(start);
  inner.set(part, start);
}

/** Puts the 32 bytes into out[at, …). */
export function endHash(out: Buffer, at: number): void {
  const gathered = inner.subarray(0, end);
  // By way of a string: a Buffer from OpenSSL takes three times as long.
  out.write(hash('sha256', gathered, 'binary'), at, 'binary');
  // Secrets may have been in it.
  gathered.fill(0);
}

/** As endHash(). */
export function endHmac(out: Buffer, at: number): void {
  endHash(outer, BLOCK_BYTES);
  out.write(hash('sha256', outer, 'binary'), at, 'binary');
  outer.fill(0);
}

function grow(filled: number): void {
  const small = inner;
  inner = Buffer.alloc(2 * end);
  inner.set(small.subarray(0, filled));
  small.fill(0);
}
