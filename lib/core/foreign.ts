// First bytes that are not ours go in; an error that guesses what is at the other end comes out.

import { SessionError } from '../errors.ts';

/** @returns SessionError ERR_NOT_OUR_PROTOCOL that says what bytes[0, length) look like. */
export function foreignBytes(bytes: Uint8Array, length: number): SessionError {
  const start = Buffer.from(bytes.subarray(0, Math.min(length, 16)));
  const text = start.toString('latin1');
  const found = strangers.find(([, prefix]) => (text.length < prefix.length ? prefix.startsWith(text) : text.startsWith(prefix)));
  const name = found?.[0] ?? (/^[\x20-\x7e\r\n\t]+$/.test(text) ? 'a text protocol' : 'no protocol known here');
  const shown = (start.subarray(0, 8).toString('hex').match(/../g) as string[]).join(' ');
  return new SessionError('ERR_NOT_OUR_PROTOCOL', `the first bytes (${shown}) look like ${name}`);
}

const strangers: ReadonlyArray<readonly [string, string]> = [
  ['TLS', '\x16\x03'],
  ['a TLS alert', '\x15\x03'],
  ['SSH', 'SSH-'],
  ['the PROXY protocol', 'PROXY '],
  ['the PROXY protocol, version 2', '\r\n\r\n\0\r\nQUIT\n'],
  ...['GET ', 'HTTP/', 'POST ', 'HEAD ', 'PUT ', 'DELETE ', 'OPTIONS ', 'CONNECT ', 'PATCH ', 'TRACE ', 'PRI * '].map(
    (start) => ['HTTP', start] as const,
  ),
  ...['\xfb', '\xfc', '\xfd', '\xfe', '\xfa'].map((command) => ['telnet', `\xff${command}`] as const),
];
