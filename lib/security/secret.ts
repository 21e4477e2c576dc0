// What counts as a secret: bytes from an option go in, a copy comes out, or the error that says why they are none.
import { SessionError } from '../errors.ts';

/**
 * @param name The option, for the message.
 * @throws SessionError ERR_INVALID_OPTION below `least` bytes, above 65,535, and for what is plainly not random, so that no forgotten,
 *   default or all-zero secret is ever used (GnuTLS CVE-2020-13777 sealed tickets with zeros for hours).
 */
export function parseSecret(name: string, secret: Uint8Array, least: number): Buffer {
  if (!(secret instanceof Uint8Array)) throw new SessionError('ERR_INVALID_OPTION', `${name} must be a Uint8Array`);
  if (secret.length < least || secret.length > 0xffff) {
    throw new SessionError('ERR_INVALID_OPTION', `${name} has ${secret.length} bytes, it must have ${least} to 65535`);
  }
  const step = ((secret[1] as number) - (secret[0] as number)) & 0xff;
  const counting = secret.every((byte, i) => i === 0 || ((byte - (secret[i - 1] as number)) & 0xff) === step);
  if (counting || new Set(secret).size < LEAST_VALUES) throw new SessionError('ERR_INVALID_OPTION', `${name} is not random`);
  return Buffer.from(secret);
}

// Random 16 bytes have fewer than 8 distinct values once in 10^12; repeated and patterned ones nearly always.
const LEAST_VALUES = 8;
