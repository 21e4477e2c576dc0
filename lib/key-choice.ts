// The accepting side's choice of how to agree on keys: what the OPEN offers and this connection has, nothing weaker than configured.
import type { OpenFlight } from './core/handshake.ts';
import { KeyMethod } from './core/wire.ts';
import type { MinuteKey, TlsSecrets } from './security/keys.ts';

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
  ephemeral: () => MinuteKey,
): KeyChoice | string {
  const offered = open.keyMethods;
  const wantsPsk = (offered & KeyMethod.PSK) !== 0;
  if (wantsPsk && psk === undefined) return 'this server has no psk';
  if (!wantsPsk && psk !== undefined) return 'this server needs a psk';
  const pskBit = wantsPsk ? KeyMethod.PSK : 0;
  const exported = (offered & KeyMethod.EXPORTER) === 0 ? undefined : secrets;
  if (exported === undefined && open.publicKey === undefined)
    return 'a TLS terminator stands between, or one end has no TLS 1.3: set tlsTerminated: true on the client';
  const own = open.publicKey === undefined ? undefined : ephemeral();
  const shared = own?.agree(open.publicKey as Buffer);
  const keyMethods = (exported === undefined ? 0 : KeyMethod.EXPORTER) | (own === undefined ? 0 : KeyMethod.X25519) | pskBit;
  return { keyMethods, publicKey: own?.publicKey, exporter: exported?.exporter, shared, psk, binding: exported?.binding };
}
