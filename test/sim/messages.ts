// What the simulated applications say: messages that are cheap to make, differ from each other, and are known again by their bytes.

import type { Framing } from '../../lib/framing/framing.ts';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { lines } from '../../lib/framing/lines.ts';
import { Random } from '../../lib/testing/random.ts';

export type Message = Buffer | string;

// Messages are views of these, so that making one costs nothing. Nobody writes here: a message that was lent stays as it was.
const BLOCK_BYTES = 524_288;
const block: Buffer = new Random(7).bytes(BLOCK_BYTES);
const text: string = block.toString('base64url').slice(0, BLOCK_BYTES);

const framings: Readonly<Record<'prefix' | 'lines', Framing<Message>>> = {
  prefix: lengthPrefix() as unknown as Framing<Message>,
  lines: lines() as unknown as Framing<Message>,
};

export function framingOf(name: 'prefix' | 'lines'): Framing<Message> {
  return framings[name];
}

/** Message `n` of an author: the same each time, and from 8 bytes on different from all others. */
export function makeMessage(framing: 'prefix' | 'lines', author: number, n: number, bytes: number): Message {
  const at = Math.imul(n + 1, 0x9e3779b1) ^ Math.imul(author + 1, 0x85ebca6b);
  const start = (at >>> 0) % (BLOCK_BYTES - bytes);
  return framing === 'prefix' ? block.subarray(start, start + bytes) : text.slice(start, start + bytes);
}

export function sameMessage(a: Message | undefined, b: Message | undefined): boolean {
  if (typeof a === 'string' || typeof b === 'string') return a === b;
  return a !== undefined && b !== undefined && a.equals(b);
}
