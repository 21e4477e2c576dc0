// The accepting side's choice of how to agree on keys: what the OPEN offers and this connection has, nothing weaker than configured.
import type { OpenFlight } from './core/handshake.ts';
import { KeyMethod } from './core/wire.ts';
import { type KeyPair, sharedSecret, type TlsSecrets } from './security/keys.ts';

export interface KeyChoice {
  readonly keyMethods: number;
  readonly publicKey: Buffer | undefined;
  readonly exporter: Buffer | undefined;
  readonly shared: Buffer | undefined;
  readonly psk: Buffer | undefined;
  /** Ties every later MAC to its TLS connection; only where the keys came from one. */
  readonly binding: Buffer | undefined;
}

/** @returns the choice, or a sentence for the peer why there is none */
export function chooseKeys(
  open: OpenFlight,
  secrets: TlsSecrets | undefined,
  psk: Buffer | undefined,
  ephemeral: () => KeyPair,
): KeyChoice | string {
  const offered = open.keyMethods;
  const wantsPsk = (offered & KeyMethod.PSK) !== 0;
  if (wantsPsk && psk === undefined) return 'this server has no psk';
  if (!wantsPsk && psk !== undefined) return 'this server needs a psk';
  const pskBit = wantsPsk ? KeyMethod.PSK : 0;
  if ((offered & KeyMethod.EXPORTER) !== 0 && secrets !== undefined) {
    const { exporter, binding } = secrets;
    return { keyMethods: KeyMethod.EXPORTER | pskBit, publicKey: undefined, exporter, shared: undefined, psk, binding };
  }
  if (open.publicKey === undefined)
    return 'a TLS terminator stands between, or one end has no TLS 1.3: set tlsTerminated: true on the client';
  const pair = ephemeral();
  const shared = sharedSecret(pair.privateKey, open.publicKey);
  return { keyMethods: KeyMethod.X25519 | pskBit, publicKey: pair.publicKey, exporter: undefined, shared, psk, binding: undefined };
}
