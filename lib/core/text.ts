// Text that crosses the wire for people to read: a reason is cut to its field on the way out and made harmless on the way in.

import { MAX_REASON_BYTES } from './wire.ts';

/** UTF-8 of a reason for the wire, cut at a character so that it has at most `mostBytes` (and never above 256) bytes. */
export function reasonBytes(text: string, mostBytes: number = MAX_REASON_BYTES): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  let end = Math.max(0, Math.min(bytes.length, mostBytes, MAX_REASON_BYTES));
  while (end > 0 && end < bytes.length && ((bytes[end] as number) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

/** Text of a peer made fit for a log or a terminal: control, line separator and direction characters escaped, at most 256 bytes. */
export function safeText(text: string): string {
  let safe = '';
  let bytes = 0;
  for (const character of text) {
    const piece = unsafeCharacter.test(character) ? escapeCharacter(character) : character;
    bytes += Buffer.byteLength(piece);
    if (bytes > MAX_REASON_BYTES) break;
    safe += piece;
  }
  return safe;
}

// C0, DEL and C1 drive terminals, U+2028 and U+2029 break lines, the others reorder what a person reads (Trojan Source).
const unsafeCharacter = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

function escapeCharacter(character: string): string {
  const code = (character.codePointAt(0) as number).toString(16);
  return code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u${code.padStart(4, '0')}`;
}
