// What the applications of a chaos run say: messages that carry their stream and number, so that any process can tell which one it was
// given, and bytes that are the same each time they are made.

import { createHash } from 'node:crypto';
import { Random } from '../../lib/testing/random.ts';

export type Message = Buffer | string;
export type FramingName = 'prefix' | 'lines';

const FILLER_BYTES = 262_144;
const filler: Buffer = Buffer.from(new Random(11).bytes(FILLER_BYTES).toString('base64url').slice(0, FILLER_BYTES));

/** Message `n` of `stream`: its name, then filler up to `bytes`; never shorter than the name. */
export function makeMessage(framing: FramingName, stream: string, n: number, bytes: number): Message {
  const name = Buffer.from(`${stream} ${n}|`);
  const from = Math.imul(n + 1, 0x9e3779b1) >>> 0;
  const length = Math.max(0, bytes - name.length);
  const at = from % (FILLER_BYTES - length);
  const message = Buffer.concat([name, filler.subarray(at, at + length)]);
  return framing === 'lines' ? message.toString('latin1') : message;
}

/** The number of a message of this stream, or -1 where it is none. */
export function numberOf(stream: string, message: Message): number {
  const head = typeof message === 'string' ? message.slice(0, 100) : message.toString('latin1', 0, 100);
  const match = /^(.+) (\d+)\|/.exec(head);
  return match?.[1] === stream ? Number(match[2]) : -1;
}

export function digestOf(message: Message): string {
  return createHash('sha256').update(message).digest('base64url');
}

/** One digest for a list of messages. */
export function digestOfAll(digests: readonly string[]): string {
  return digestOf(digests.join(' '));
}
