// Keyring: the secrets that seal and open tickets, which of them does what, and for how long a ticket is good.
// A session's state goes in and a ticket comes out; a ticket goes in, and the state or the reason for refusing it comes out.
import { randomBytes } from 'node:crypto';
import { SessionError } from '../errors.ts';
import { parseSecret } from '../security/secret.ts';
import { keyIdOf, keyIdOfTicket, openTicket, SALT_BYTES, type Sealable, sealTicket, ticketContext } from './seal.ts';

export interface KeyringOptions {
  /** Which service the tickets are for. Rings that share a secret but not the audience refuse each other's tickets. 1 to 128 bytes. */
  readonly audience: string;
  /** How long a ticket can be presented. 24 h; at most 7 days (RFC 8446 §4.6.1). */
  readonly lifetimeMs?: number;
  /**
   * Deflate `session.data`. Default false. Only where the server alone writes it: a length that depends on a secret beside text that a
   * client chose tells the secret, byte by byte (CRIME).
   */
  readonly deflate?: boolean;
  /** Length is rounded up to a multiple of this, so that it tells little. 64; 1 to 4,096. */
  readonly paddingBytes?: number;
  /** Largest ticket. 72 KiB. */
  readonly ticketBytes?: number;
  /** Wall clock, milliseconds since 1970. Only tests set it. */
  readonly now?: () => number;
}

/** Why a ticket was refused. A peer is told none of them; they are for the server's own log. */
export type TicketRefusal = 'malformed' | 'too large' | 'unknown key' | 'forged' | 'from the future' | 'expired' | 'revoked';

export interface OpenedTicket {
  readonly record: Buffer;
  readonly data: Buffer;
  readonly sealedAtMs: number;
}

/**
 * @param secrets Each 32 or more random bytes (`crypto.randomBytes(32)`). The first seals, all of them open. Every node has the same ones.
 * @throws SessionError ERR_INVALID_OPTION without a secret, and for one that is short, repeated, text, or plainly not random.
 */
export function keyring(secrets: readonly Uint8Array[], options: KeyringOptions): Keyring {
  return new Keyring(secrets, options);
}

export class Keyring {
  readonly #options: Required<KeyringOptions>;
  // By key id in hex; the first seals.
  #secrets: ReadonlyMap<string, Buffer>;
  #revokedMs = 0;

  constructor(secrets: readonly Uint8Array[], options: KeyringOptions) {
    this.#options = parse(options);
    this.#secrets = parseSecrets(secrets);
  }

  /** Largest ticket. */
  get ticketBytes(): number {
    return this.#options.ticketBytes;
  }

  get lifetimeMs(): number {
    return this.#options.lifetimeMs;
  }

  /** Public names of the secrets, the sealing one first: two nodes with the same list agree. Safe to log. */
  get keyIds(): readonly string[] {
    return [...this.#secrets.keys()];
  }

  /**
   * Puts other secrets in the place of these. To rotate: add the new one at the end on every node; then move it to the front on every node;
   * when `lifetimeMs` has passed, leave the old one out. Leaving a secret out revokes all its tickets at once.
   * @throws SessionError ERR_INVALID_OPTION as keyring(); nothing has changed then.
   */
  replace(secrets: readonly Uint8Array[]): void {
    this.#secrets = parseSecrets(secrets);
  }

  /** Refuses tickets sealed before this wall clock time. It never goes back. */
  revokeBefore(wallMs: number): void {
    if (!Number.isSafeInteger(wallMs)) throw invalid('wallMs must be milliseconds since 1970');
    this.#revokedMs = Math.max(this.#revokedMs, wallMs);
  }

  /**
   * @param purpose What the ticket is for; 1 to 128 bytes. It opens for this purpose only.
   * @param record Never compressed.
   * @throws SessionError ERR_MESSAGE_TOO_LARGE when the ticket would be larger than `ticketBytes`.
   */
  seal(purpose: string, record: Uint8Array, data: Uint8Array): Buffer {
    const { audience, lifetimeMs, ticketBytes, now } = this.#options;
    if (record.length > ticketBytes || data.length > DATA_MOST_BYTES) {
      throw new SessionError('ERR_MESSAGE_TOO_LARGE', `a ticket for ${record.length} and ${data.length} bytes`);
    }
    const [first] = this.#secrets;
    const [keyId, secret] = first as [string, Buffer];
    const sealedAtMs = now();
    const state: Sealable = { sealedAtMs, expiresAtMs: sealedAtMs + lifetimeMs, record, data };
    const context = ticketContext(audience, checkName('purpose', purpose));
    const ticket = sealTicket(secret, Buffer.from(keyId, 'hex'), randomBytes(SALT_BYTES), context, state, this.#options);
    if (ticket.length > ticketBytes) {
      throw new SessionError('ERR_MESSAGE_TOO_LARGE', `a ticket of ${ticket.length} bytes, ticketBytes is ${ticketBytes}`);
    }
    return ticket;
  }

  /** Never throws for what a peer sent. */
  open(purpose: string, ticket: Uint8Array): OpenedTicket | TicketRefusal {
    const { audience, ticketBytes, now } = this.#options;
    if (ticket.length > ticketBytes) return 'too large';
    const keyId = keyIdOfTicket(ticket);
    if (keyId === undefined) return 'malformed';
    const secret = this.#secrets.get(keyId.toString('hex'));
    if (secret === undefined) return 'unknown key';
    const state = openTicket(secret, ticketContext(audience, checkName('purpose', purpose)), ticket, DATA_MOST_BYTES);
    if (state === undefined) return 'forged';
    const at = now();
    // Clocks of nodes differ a little: a ticket may be that much younger than now, or older than its end.
    if (state.sealedAtMs > at + SKEW_MS) return 'from the future';
    if (at >= state.expiresAtMs + SKEW_MS) return 'expired';
    if (state.sealedAtMs < this.#revokedMs) return 'revoked';
    return { record: Buffer.from(state.record), data: Buffer.from(state.data), sealedAtMs: state.sealedAtMs };
  }
}

const SECRET_BYTES = 32;
const SKEW_MS = 60_000;
const HOUR_MS = 3_600_000;
/** What `data` may be when inflated, whatever the ticket claims. */
const DATA_MOST_BYTES = 1024 * 1024;

function parseSecrets(secrets: readonly Uint8Array[]): ReadonlyMap<string, Buffer> {
  if (!Array.isArray(secrets) || secrets.length === 0) throw invalid('a keyring needs at least one secret');
  const parsed = new Map<string, Buffer>();
  secrets.forEach((given: Uint8Array, index) => {
    const secret = parseSecret(`keyring secret ${index}`, given, SECRET_BYTES);
    // Random bytes are all printable once in 10^13: this is a password, or hex and base64 that nobody decoded.
    if (secret.every((byte) => byte >= 0x20 && byte < 0x7f))
      throw invalid(`keyring secret ${index} is text: decode it, or make a random one`);
    const id = keyIdOf(secret).toString('hex');
    if (parsed.has(id)) throw invalid(`keyring secret ${index} stands in the list twice`);
    parsed.set(id, secret);
  });
  return parsed;
}

function parse(options: KeyringOptions): Required<KeyringOptions> {
  const { lifetimeMs = 24 * HOUR_MS, deflate = false, paddingBytes = 64, ticketBytes = 72 * 1024, now = Date.now } = options ?? {};
  const audience = checkName('audience', options?.audience);
  checkRange('lifetimeMs', lifetimeMs, 1_000, 168 * HOUR_MS);
  checkRange('paddingBytes', paddingBytes, 1, 4096);
  checkRange('ticketBytes', ticketBytes, 256, 16 * 1024 * 1024);
  if (typeof deflate !== 'boolean') throw invalid('deflate must be true or false');
  return { audience, lifetimeMs, deflate, paddingBytes, ticketBytes, now };
}

function checkName(name: string, value: unknown): string {
  const bytes = typeof value === 'string' ? Buffer.byteLength(value) : 0;
  if (bytes < 1 || bytes > 128) throw invalid(`${name} must be a string of 1 to 128 bytes`);
  return value as string;
}

function checkRange(name: string, value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) throw invalid(`${name} must be a whole number from ${min} to ${max}`);
}

function invalid(what: string): SessionError {
  return new SessionError('ERR_INVALID_OPTION', what);
}
