// Sealed tickets, as bytes: state goes in and comes out again only under the same secret, audience and purpose, and unchanged.
// What is sealed and for how long it is good is decided in keyring.ts.
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';

/** What one ticket carries. */
export interface Sealable {
  /** Wall clock, milliseconds since 1970. */
  readonly sealedAtMs: number;
  readonly expiresAtMs: number;
  /** Keys, cursors, marks: never compressed. */
  readonly record: Uint8Array;
  /** The application's value. */
  readonly data: Uint8Array;
}

export interface SealOptions {
  /** Compress `data`. Its length on the wire then depends on what stands in it. */
  readonly deflate: boolean;
  /** The ticket's length is rounded up to a multiple of this. */
  readonly paddingBytes: number;
}

/** Of a ticket's first bytes: `version 1 · key id 8 · salt 32`. They are authenticated, not secret. */
export const TICKET_HEADER_BYTES = 41;
export const KEY_ID_BYTES = 8;
export const SALT_BYTES = 32;
/** Header, tag, and what stands before record and data. */
export const TICKET_OVERHEAD_BYTES: number = TICKET_HEADER_BYTES + 16 + 19;

/** Public name of a secret: tells nothing about it. */
export function keyIdOf(secret: Uint8Array): Buffer {
  return hmac(secret, 'outlast1 ticket key id').subarray(0, KEY_ID_BYTES);
}

/** @param salt 32 random bytes, used once: they make this ticket's own key, so that no number of tickets wears the secret out. */
export function sealTicket(
  secret: Uint8Array,
  keyId: Uint8Array,
  salt: Uint8Array,
  context: Uint8Array,
  state: Sealable,
  options: SealOptions,
): Buffer {
  const packed = options.deflate ? deflateRawSync(state.data) : undefined;
  const data = packed !== undefined && packed.length < state.data.length ? packed : state.data;
  const bytes = TICKET_OVERHEAD_BYTES + state.record.length + data.length;
  const padded = Math.ceil(bytes / options.paddingBytes) * options.paddingBytes;
  const plain = Buffer.alloc(padded - TICKET_HEADER_BYTES - TAG_BYTES);
  plain[0] = data === packed ? DEFLATED : 0;
  plain.writeUIntBE(state.sealedAtMs, 1, 6);
  plain.writeUIntBE(state.expiresAtMs, 7, 6);
  plain.writeUIntBE(state.record.length, 13, 3);
  plain.writeUIntBE(data.length, 16, 3);
  plain.set(state.record, PREFIX_BYTES);
  plain.set(data, PREFIX_BYTES + state.record.length);
  const header = Buffer.concat([Buffer.of(VERSION), keyId, salt]);
  const cipher = createCipheriv('aes-256-gcm', ticketKey(secret, salt), NO_NONCE, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.concat([context, header]));
  return Buffer.concat([header, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** The key id a ticket names; undefined for what is no ticket of this version. */
export function keyIdOfTicket(ticket: Uint8Array): Buffer | undefined {
  if (ticket.length < TICKET_OVERHEAD_BYTES || ticket[0] !== VERSION) return undefined;
  return Buffer.from(ticket.subarray(1, 1 + KEY_ID_BYTES));
}

/** @returns undefined for a ticket that was not sealed so: another secret, context, or a changed or missing byte. */
export function openTicket(secret: Uint8Array, context: Uint8Array, ticket: Uint8Array, mostDataBytes: number): Sealable | undefined {
  if (ticket.length < TICKET_OVERHEAD_BYTES) return undefined;
  const header = ticket.subarray(0, TICKET_HEADER_BYTES);
  const key = ticketKey(secret, header.subarray(1 + KEY_ID_BYTES));
  const cipher = createDecipheriv('aes-256-gcm', key, NO_NONCE, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.concat([context, header]));
  cipher.setAuthTag(ticket.subarray(ticket.length - TAG_BYTES));
  const plain = cipher.update(ticket.subarray(TICKET_HEADER_BYTES, ticket.length - TAG_BYTES));
  try {
    cipher.final();
  } catch {
    return undefined;
  }
  // From here on we read what we wrote ourselves. The bounds are for a later writer of this version that errs.
  const recordBytes = plain.readUIntBE(13, 3);
  const dataBytes = plain.readUIntBE(16, 3);
  const dataAt = PREFIX_BYTES + recordBytes;
  if (dataAt + dataBytes > plain.length) return undefined;
  const data = unpack(plain.subarray(dataAt, dataAt + dataBytes), plain[0] === DEFLATED, mostDataBytes);
  if (data === undefined) return undefined;
  return {
    sealedAtMs: plain.readUIntBE(1, 6),
    expiresAtMs: plain.readUIntBE(7, 6),
    record: plain.subarray(PREFIX_BYTES, dataAt),
    data,
  };
}

/** What must be the same when a ticket is sealed and opened. Each part has its length in front, so that none can run into the next. */
export function ticketContext(audience: string, purpose: string): Buffer {
  const parts = ['outlast1 ticket', audience, purpose].map((part) => Buffer.from(part, 'utf8'));
  return Buffer.concat(parts.flatMap((part) => [Buffer.of(part.length), part]));
}

const VERSION = 1;
const DEFLATED = 1;
const TAG_BYTES = 16;
const PREFIX_BYTES = 19;
// Each key seals one ticket, so its only nonce may be zero.
const NO_NONCE: Buffer = Buffer.alloc(12);

function unpack(data: Buffer, deflated: boolean, mostBytes: number): Buffer | undefined {
  if (!deflated) return data.length > mostBytes ? undefined : data;
  try {
    return inflateRawSync(data, { maxOutputLength: mostBytes });
  } catch {
    return undefined;
  }
}

/** HKDF (RFC 5869) for one block; by hand, since hkdfSync takes five times as long. */
function ticketKey(secret: Uint8Array, salt: Uint8Array): Buffer {
  return hmac(createHmac('sha256', salt).update(secret).digest(), 'outlast1 ticket\x01');
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text, 'latin1').digest();
}
