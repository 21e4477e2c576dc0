// What the handshake targets share: a runtime without chance, a connection whose far end is the input, and keys that never change.

import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { Duplex } from 'node:stream';
import { FLIGHT_HEADER_BYTES, FlightAt, MAGIC, MAX_FLIGHT_BODY_BYTES, SESSION_ID_BYTES, VERSION, writeU16 } from '../../lib/core/wire.ts';
import type { KeyPair } from '../../lib/security/keys.ts';
import { SessionKeys } from '../../lib/security/keys.ts';
import { Random } from '../../lib/testing/random.ts';
import { turns, VirtualRuntime } from '../support/net.ts';

/** Virtual time, and the same "random" bytes in every run. */
export class SteadyRuntime extends VirtualRuntime {
  readonly #random = new Random(7);

  override randomBytes(size: number): Buffer {
    return this.#random.bytes(size);
  }
}

/** A connection: what is written on it is kept, and the test says what arrives. */
export class Wire extends Duplex {
  readonly #parts: Buffer[] = [];

  constructor() {
    super({ allowHalfOpen: true });
    this.on('error', () => {});
  }

  /** All bytes written so far. */
  get written(): Buffer {
    return Buffer.concat(this.#parts);
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#parts.push(chunk);
    done();
  }

  /** Bytes arrive, cut in pieces. */
  async arrive(bytes: Buffer, piece: number): Promise<void> {
    for (let at = 0; at < bytes.length && !this.destroyed; at += piece) this.push(Buffer.from(bytes.subarray(at, at + piece)));
    await turns(2);
  }
}

export const SESSION_ID: Buffer = Buffer.alloc(SESSION_ID_BYTES, 0x5a);
export const KEYS: SessionKeys = SessionKeys.from(Buffer.alloc(64, 0x33));
/** X25519 with a known private half: what the harness seals it can seal for either side. */
export const PAIR: KeyPair = pairFrom(Buffer.alloc(32, 0x44));

function pairFrom(scalar: Buffer): KeyPair {
  // PKCS #8 for a raw X25519 key (RFC 8410).
  const der = Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), scalar]);
  const privateKey: KeyObject = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return { privateKey, publicKey: Buffer.from(spki.subarray(spki.length - 32)) };
}

/** A flight of any content whose header is right where `repairs` says so: else nearly all inputs would end at the first bytes. */
export function repaired(flight: Buffer, repairs: { readonly header: boolean; readonly length: boolean; readonly id: boolean }): Buffer {
  const bytes = Buffer.from(flight);
  if (bytes.length < FLIGHT_HEADER_BYTES) return bytes;
  if (repairs.header) {
    bytes.set(MAGIC, 0);
    bytes[FlightAt.VERSION] = VERSION;
  }
  if (repairs.id) bytes.set(SESSION_ID, FlightAt.SESSION_ID);
  if (repairs.length) writeU16(bytes, FlightAt.BODY_LENGTH, Math.min(MAX_FLIGHT_BODY_BYTES, bytes.length - FLIGHT_HEADER_BYTES));
  return bytes;
}
