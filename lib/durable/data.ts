// session.data of a durable session: a value that is replaced and never edited, so that a boundary can keep a reference to it.
// What the application assigns goes in; it is checked to be JSON, and frozen as deep as it goes.
import { SessionError } from '../errors.ts';

// What was frozen here before need not be walked again: most of a large value is kept from one assignment to the next.
const frozen = new WeakSet<object>();

/** @throws SessionError ERR_INVALID_MESSAGE for what JSON would not give back equal: functions, NaN, Dates, class instances, cycles */
export function freeze(value: unknown): unknown {
  if (value !== undefined) walk(value, 'session.data', []);
  return value;
}

export function toText(value: unknown): string {
  return value === undefined ? '' : JSON.stringify(value);
}

export function fromText(text: string): unknown {
  return text === '' ? undefined : freeze(JSON.parse(text));
}

function walk(value: unknown, path: string, above: object[]): void {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return;
  if (typeof value === 'number' && Number.isFinite(value)) return;
  if (typeof value !== 'object') throw refused(path, typeof value === 'number' ? String(value) : typeof value);
  if (frozen.has(value)) return;
  if (above.includes(value)) throw refused(path, 'a cycle');
  const plain = Array.isArray(value) || [Object.prototype, null].includes(Object.getPrototypeOf(value));
  if (!plain) throw refused(path, `an instance of ${value.constructor?.name ?? 'a class'}`);
  above.push(value);
  for (const [key, item] of Object.entries(value)) walk(item, `${path}.${key}`, above);
  above.pop();
  Object.freeze(value);
  frozen.add(value);
}

function refused(path: string, what: string): SessionError {
  return new SessionError('ERR_INVALID_MESSAGE', `${path} is ${what}, and a durable session keeps its data as JSON`);
}
