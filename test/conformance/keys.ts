// The key schedule of PROTOCOL.md §5, written a second time from its text: secrets and flights in, keys and macs out.

import { createHash, createHmac, createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { MAC_BYTES } from './bytes.ts';

export type Label = 'opened' | 'confirm' | 'resume' | 'proof' | 'resumed' | 'rejected';

export interface Secrets {
  readonly exporter?: Buffer | undefined;
  readonly shared?: Buffer | undefined;
  readonly psk?: Buffer | undefined;
}

export interface Keys {
  /** Of the dialing side. */
  readonly client: Buffer;
  /** Of the accepting side. */
  readonly server: Buffer;
}

export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: Buffer;
}

const SPKI = Buffer.from('302a300506032b656e032100', 'hex');

export function keyPair(): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('x25519');
  return { privateKey, publicKey: publicKey.export({ format: 'der', type: 'spki' }).subarray(SPKI.length) };
}

export function x25519(privateKey: KeyObject, peer: Buffer): Buffer {
  return diffieHellman({ privateKey, publicKey: createPublicKey({ key: Buffer.concat([SPKI, peer]), format: 'der', type: 'spki' }) });
}

export function keySchedule(open: Buffer, opened: Buffer, secrets: Secrets): Keys {
  const transcript = Buffer.concat([open, opened.subarray(0, opened.length - MAC_BYTES)]);
  const ikm = [secrets.exporter, secrets.shared, secrets.psk].flatMap((secret) => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(secret?.length ?? 0);
    return secret === undefined ? [length] : [length, secret];
  });
  const root = hmac(createHash('sha256').update(transcript).digest(), Buffer.concat(ikm));
  const expand = (info: string): Buffer => hmac(root, Buffer.concat([Buffer.from(info), Buffer.of(1)]));
  return { client: expand('outlast1 client'), server: expand('outlast1 server') };
}

/** K-5. @param binding empty where the exporter is not among the session's methods */
export function mac(key: Buffer, label: string, flights: readonly Buffer[], binding: Buffer): Buffer {
  return hmac(key, Buffer.concat([Buffer.from(`outlast1 ${label}`), ...flights, binding])).subarray(0, MAC_BYTES);
}

function hmac(key: Buffer, bytes: Buffer): Buffer {
  return createHmac('sha256', key).update(bytes).digest();
}
