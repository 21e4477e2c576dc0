// Keys of a session (PROTOCOL.md §5): handshake bytes, TLS exporter, X25519 and psk go in; a SessionKeys that makes and checks MACs comes
// out. Nothing in here is ever sent, logged or shown by util.inspect.

import { createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto';
import { MAC_BYTES, PUBLIC_KEY_BYTES } from '../core/wire.ts';
import { SessionError } from '../errors.ts';
import { add, beginHash, beginHmac, endHash, endHmac, HASH_BYTES } from './hmac.ts';
import { parseSecret } from './secret.ts';

/** What a MAC is for. Each flight or frame has its own label, so that no MAC can stand in for another. */
export type MacLabel = 'opened' | 'confirm' | 'resume' | 'proof' | 'resumed' | 'rejected';

export interface KeyPair {
  readonly privateKey: KeyObject;
  /** The 32 bytes of RFC 7748 §5. */
  readonly publicKey: Buffer;
}

export interface KeyInputs {
  readonly openBytes: Buffer;
  /** The whole OPENED; its last 16 bytes, the mac, are not part of the transcript. */
  readonly openedBytes: Buffer;
  readonly exporter: Buffer | undefined;
  /** X25519 output. */
  readonly shared: Buffer | undefined;
  readonly psk: Buffer | undefined;
}

/** The two MAC keys of a session: the dialing side's and the accepting side's. */
export class SessionKeys {
  // Where its bytes lie, and no Buffer or KeyObject: a hundred thousand idle sessions and tombstones hold one of these each.
  readonly #block: Buffer;
  readonly #at: number;

  private constructor(block: Buffer, at: number) {
    this.#block = block;
    this.#at = at;
  }

  /** From the 64 bytes of a record. They are copied. @throws SessionError ERR_INVALID_OPTION for another length. */
  static from(bytes: Uint8Array): SessionKeys {
    if (bytes.length !== 2 * KEY_BYTES) throw new SessionError('ERR_INVALID_OPTION', `session keys of ${bytes.length} bytes`);
    if (blockAt === block.length) {
      block = Buffer.alloc(BLOCK_KEYS * 2 * KEY_BYTES);
      blockAt = 0;
    }
    const keys = new SessionKeys(block, blockAt);
    block.set(bytes, blockAt);
    blockAt += 2 * KEY_BYTES;
    return keys;
  }

  /** A copy of the 64 bytes, for the session's record and its tombstone. */
  bytes(): Buffer {
    return Buffer.from(this.#block.subarray(this.#at, this.#at + 2 * KEY_BYTES));
  }

  /**
   * @param parts All earlier flights of this circuit, whole; then, where the mac stands in a flight, that flight up to the mac's value.
   * @param binding Channel binding of this circuit where the session's keys came from a TLS exporter, else undefined.
   * @returns 16 bytes.
   */
  mac(label: MacLabel, parts: readonly Uint8Array[], binding: Uint8Array | undefined): Buffer {
    this.#make(label, parts, binding);
    return Buffer.from(mac);
  }

  /** Whether the given one is right. Takes the same time wherever it differs. */
  verify(label: MacLabel, parts: readonly Uint8Array[], binding: Uint8Array | undefined, given: Uint8Array): boolean {
    this.#make(label, parts, binding);
    return given.length === MAC_BYTES && timingSafeEqual(mac, given);
  }

  /** Into `mac`, which the next one overwrites. */
  #make(label: MacLabel, parts: readonly Uint8Array[], binding: Uint8Array | undefined): void {
    const { key, text } = labels[label];
    beginHmac(this.#block, this.#at + key);
    add(text);
    for (const part of parts) add(part);
    if (binding !== undefined) add(binding);
    endHmac(made, 0);
  }
}

// The keys of many sessions share a block of memory, which saves 250 bytes for each. The block is of this module alone: in Node's own
// pool they would lie next to messages, and whoever sends a message's `.buffer` by mistake would send them.
const BLOCK_KEYS = 128;
let block = Buffer.alloc(0);
let blockAt = 0;

/** Keys to verify with where there is no session, so that it takes the same time. Nobody has them. */
export function keysOfNobody(): SessionKeys {
  nobody ??= SessionKeys.from(randomBytes(2 * KEY_BYTES));
  return nobody;
}

/**
 * PROTOCOL.md K-2 to K-5.
 * @throws SessionError ERR_INVALID_OPTION without exporter and without X25519: a psk alone gives no fresh secret.
 */
export function deriveKeys(inputs: KeyInputs): SessionKeys {
  if (inputs.exporter === undefined && inputs.shared === undefined) {
    throw new SessionError('ERR_INVALID_OPTION', 'session keys need a TLS exporter or X25519');
  }
  beginHash();
  add(inputs.openBytes);
  add(inputs.openedBytes.subarray(0, inputs.openedBytes.length - MAC_BYTES));
  endHash(root, 0);
  beginHmac(root, 0);
  addSecret(inputs.exporter);
  addSecret(inputs.shared);
  addSecret(inputs.psk);
  endHmac(root, 0);
  expand(CLIENT_INFO, pair, 0);
  expand(SERVER_INFO, pair, KEY_BYTES);
  const keys = SessionKeys.from(pair);
  root.fill(0);
  pair.fill(0);
  return keys;
}

function addSecret(secret: Buffer | undefined): void {
  secretLength.writeUInt16BE(secret?.length ?? 0);
  add(secretLength);
  if (secret !== undefined) add(secret);
}

/** HKDF-Expand (RFC 5869 §2.3) of `root` for one block. */
function expand(info: Buffer, out: Buffer, at: number): void {
  beginHmac(root, 0);
  add(info);
  endHmac(out, at);
}

/** A fresh X25519 key pair. */
export function generateKeyPair(): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('x25519');
  // DER and not jwk: on Node 20 exporting a fresh X25519 key as jwk can dead-lock the process. The last 32 bytes of the SPKI are the key.
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  return { privateKey, publicKey: Buffer.from(spki.subarray(spki.length - PUBLIC_KEY_BYTES)) };
}

/**
 * X25519 (RFC 7748 §6.1).
 * @param peerKey The 32 bytes the peer sent.
 * @throws SessionError ERR_HANDSHAKE for a low-order point: its result would be known to everybody.
 */
export function sharedSecret(privateKey: KeyObject, peerKey: Buffer): Buffer {
  try {
    // OpenSSL itself refuses an all-zero result. Importing as jwk is safe, only the export is not, and it takes a tenth of the time of DER.
    const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: peerKey.toString('base64url') }, format: 'jwk' });
    return diffieHellman({ privateKey, publicKey });
  } catch (cause) {
    throw new SessionError('ERR_HANDSHAKE', 'the peer sent an X25519 key that no honest peer makes', { cause });
  }
}

/**
 * A key pair that many handshakes use. What it has agreed with a peer's key is remembered: a client that opens many sessions uses one key
 * as well, and every session's keys are made fresh by the nonces. The result lives as long as the private key, from which it follows.
 */
export class MinuteKey {
  readonly publicKey: Buffer;
  readonly #privateKey: KeyObject;
  readonly #agreed = new Map<string, Buffer>();

  constructor() {
    const { privateKey, publicKey } = generateKeyPair();
    this.publicKey = publicKey;
    this.#privateKey = privateKey;
  }

  /** @throws SessionError as sharedSecret() */
  agree(peerKey: Buffer): Buffer {
    const name = peerKey.toString('latin1');
    const before = this.#agreed.get(name);
    if (before !== undefined) return before;
    const shared = sharedSecret(this.#privateKey, peerKey);
    // Peers that open one session each would fill the memory with what nobody asks for again.
    if (this.#agreed.size === AGREED_MOST) this.#agreed.clear();
    this.#agreed.set(name, shared);
    return shared;
  }
}

/** A side's key pair: one serves all handshakes of a minute (K-8), since making one costs more than the rest of a handshake. */
export class EphemeralKey {
  readonly #lifetimeMs: number;
  #key: MinuteKey | undefined;
  #madeAt: number;

  constructor(lifetimeMs: number = 60_000) {
    this.#lifetimeMs = lifetimeMs;
    this.#key = undefined;
    this.#madeAt = 0;
  }

  /** @param now Monotonic milliseconds. */
  current(now: number): MinuteKey {
    if (this.#key === undefined || now - this.#madeAt >= this.#lifetimeMs) {
      this.#key = new MinuteKey();
      this.#madeAt = now;
    }
    return this.#key;
  }
}

/** Takes a psk from an option. At least 16 bytes: whoever records one handshake can try weak ones at leisure. */
export function parsePsk(psk: Uint8Array): Buffer {
  return parseSecret('psk', psk, MIN_PSK_BYTES);
}

/** The part of tls.TLSSocket that is needed here. */
export interface TlsChannel {
  getProtocol(): string | null;
  exportKeyingMaterial(length: number, label: string, context?: Buffer): Buffer;
}

export interface TlsSecrets {
  /** Key material for deriveKeys(). */
  readonly exporter: Buffer;
  /** RFC 9266: ties MACs to this TLS connection. */
  readonly binding: Buffer;
}

/** Both secrets of TLS 1.3; undefined before its handshake, and on TLS 1.2, whose exporter does not name one connection (RFC 7627). */
export function tlsSecrets(channel: TlsChannel): TlsSecrets | undefined {
  if (channel.getProtocol() !== 'TLSv1.3') return undefined;
  return {
    exporter: channel.exportKeyingMaterial(KEY_BYTES, 'EXPORTER-outlast-1'),
    binding: channel.exportKeyingMaterial(KEY_BYTES, 'EXPORTER-Channel-Binding'),
  };
}

const KEY_BYTES = 32;
const MIN_PSK_BYTES = 16;
/** Peer keys that one key pair remembers. */
const AGREED_MOST = 256;

interface Label {
  /** Where its key stands in the pair. */
  readonly key: number;
  readonly text: Buffer;
}
const byClient = (name: MacLabel): Label => ({ key: 0, text: Buffer.from(`outlast1 ${name}`, 'latin1') });
const byServer = (name: MacLabel): Label => ({ key: KEY_BYTES, text: Buffer.from(`outlast1 ${name}`, 'latin1') });
const labels: Readonly<Record<MacLabel, Label>> = {
  opened: byServer('opened'),
  confirm: byClient('confirm'),
  resume: byClient('resume'),
  proof: byClient('proof'),
  resumed: byServer('resumed'),
  rejected: byServer('rejected'),
};
const CLIENT_INFO = Buffer.from('outlast1 client\x01', 'latin1');
const SERVER_INFO = Buffer.from('outlast1 server\x01', 'latin1');

// Where MACs and keys are worked out, one after the other.
const made: Buffer = Buffer.alloc(HASH_BYTES);
const mac: Buffer = made.subarray(0, MAC_BYTES);
const secretLength: Buffer = Buffer.alloc(2);
const root: Buffer = Buffer.alloc(HASH_BYTES);
const pair: Buffer = Buffer.alloc(2 * KEY_BYTES);

let nobody: SessionKeys | undefined;
