// What all codecs check alike: options, limits and the messages given to them. Out come plain numbers, text, or a SessionError.

import { SessionError } from '../../errors.ts';
import type { FramingLimits } from '../framing.ts';

/** What framings of bytes take: bytes as they are, text as UTF-8. */
export type Payload = Uint8Array | string;

export function invalidOption(what: string): SessionError {
  return new SessionError('ERR_INVALID_OPTION', what);
}

export function integerOption(name: string, value: number, low: number, high: number): number {
  if (Number.isSafeInteger(value) && value >= low && value <= high) return value;
  throw invalidOption(`${name} is ${shown(value)}, not an integer from ${low} to ${high}`);
}

export function choiceOption<Choice extends string>(name: string, value: Choice, choices: readonly Choice[]): Choice {
  if (choices.includes(value)) return value;
  throw invalidOption(`${name} is ${shown(value)}, not ${choices.map((choice) => `'${choice}'`).join(' or ')}`);
}

/** A byte sequence given as text or bytes; copied, so that later changes to the caller's array do no harm. */
export function bytesOption(name: string, value: Payload, mostBytes: number, encoding: 'utf8' | 'latin1' = 'utf8'): Buffer {
  const given = typeof value === 'string' || value instanceof Uint8Array;
  const bytes = typeof value === 'string' ? Buffer.from(value, encoding) : given ? Buffer.from(value) : Buffer.alloc(0);
  if (bytes.length >= 1 && bytes.length <= mostBytes) return bytes;
  throw invalidOption(
    `${name} is ${given ? `${bytes.length} bytes long` : shown(value)}, not a string or Uint8Array of 1 to ${mostBytes} bytes`,
  );
}

export function messageLimit(limits: FramingLimits): number {
  return integerOption('limits.messageBytes', limits.messageBytes, 1, Number.MAX_SAFE_INTEGER);
}

/** Size of a message in bytes, after all checks that do not depend on the layout. @throws SessionError with blame caller. */
export function payloadBytes(message: Payload, limit: number): number {
  const bytes = message instanceof Uint8Array ? message.length : textBytes(message);
  if (bytes > limit) throw tooLargeToSend(bytes, limit);
  return bytes;
}

function textBytes(message: string): number {
  if (typeof message !== 'string') throw invalidMessage(`${shown(message)} was given where a Uint8Array or a string is sent`);
  checkWellFormed(message);
  return Buffer.byteLength(message, 'utf8');
}

/** The bytes of a message; text is encoded, a Uint8Array is not copied. */
export function payloadView(message: Payload): Uint8Array {
  return typeof message === 'string' ? Buffer.from(message, 'utf8') : message;
}

/** Refuses a text that UTF-8 lacks: for half a surrogate pair Node would silently send U+FFFD. */
export function checkWellFormed(text: string): void {
  if (!(text as string & WellFormable).isWellFormed())
    throw invalidMessage('the text holds half of a surrogate pair, which UTF-8 does not have');
}

/** Text of UTF-8 bytes, or null where they are not UTF-8. */
export function utf8Text(buffer: Buffer, start: number, end: number): string | null {
  const text = buffer.toString('utf8', start, end);
  // Node puts U+FFFD in place of what is not UTF-8. It may also have been sent: then the bytes come out the same again.
  if (text.includes('\ufffd') && Buffer.from(text, 'utf8').compare(buffer, start, end) !== 0) return null;
  return text;
}

export function invalidMessage(what: string, cause?: unknown): SessionError {
  return new SessionError('ERR_INVALID_MESSAGE', what, { cause });
}

export function tooLargeToSend(bytes: number, limit: number): SessionError {
  return new SessionError('ERR_MESSAGE_TOO_LARGE', `a message of ${bytes} bytes, where ${limit} can be sent`);
}

export function tooLargeToTake(bytes: number | string, limit: number): SessionError {
  return new SessionError('ERR_MESSAGE_TOO_LARGE', `the peer sends a message of ${bytes} bytes, where ${limit} are taken`, {
    blame: 'peer',
  });
}

export function badFraming(what: string, cause?: unknown): SessionError {
  return new SessionError('ERR_FRAMING', what, { cause });
}

/** A few bytes for an error message: as text where they are text, which tells a wrong port at a glance, else in hexadecimal. */
export function shownBytes(buffer: Uint8Array, start: number, end: number): string {
  const bytes = Buffer.from(buffer.subarray(start, Math.min(end, start + 16)));
  const printable = bytes.every((byte) => byte >= 0x20 && byte <= 0x7e);
  return printable ? `"${bytes.toString('latin1')}"` : `<${bytes.toString('hex')}>`;
}

/** Node 20 has it, the ES2023 types do not. */
interface WellFormable {
  isWellFormed(): boolean;
}

function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 32)}'`;
  if (value === null || typeof value === 'number' || typeof value === 'boolean' || value === undefined) return String(value);
  return Array.isArray(value) ? 'an array' : `a value of type ${typeof value}`;
}
