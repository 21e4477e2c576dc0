// Opening: the dialing side's OPEN → OPENED → CONFIRM on one connection. What is agreed on comes out; nothing is kept when it fails.
import { Attempt, type AttemptHost, type AttemptOptions } from './attempt.ts';
import type { Circuit } from './circuit.ts';
import { encodeOpen, type Flight, macInput, type OpenedFlight } from './core/handshake.ts';
import type { CoreTerms } from './core/session-core.ts';
import { rejectError } from './core/verdict.ts';
import { KeyMethod, Kind, MAX_TICKET_BYTES, NONCE_BYTES, VERSION } from './core/wire.ts';
import { SessionError } from './errors.ts';
import { type Address, HEARTBEAT_MS, type Settings } from './options.ts';
import { deriveKeys, type MinuteKey, type SessionKeys, type TlsSecrets } from './security/keys.ts';

/** What a session has after its OPENED was verified. */
export interface Opened {
  readonly circuit: Circuit;
  readonly id: Buffer;
  readonly node: number;
  readonly keys: SessionKeys;
  /** Keys came from a TLS exporter: later MACs are bound to their TLS connection. */
  readonly bound: boolean;
  readonly terms: CoreTerms;
  readonly confirmMac: Buffer;
  /** Bytes that came behind OPENED. */
  readonly rest: Buffer;
}

export interface OpeningOptions<Message> {
  readonly settings: Settings<Message>;
  readonly credentials: Buffer | undefined;
  readonly metadata: Buffer | undefined;
  readonly allowCleartextCredentials: boolean;
  /** Exporter and binding of this circuit; undefined on plain TCP, TLS 1.2, and behind a terminator. */
  readonly secretsOf: (circuit: Circuit) => TlsSecrets | undefined;
  /** The key for where there is no exporter. */
  readonly ephemeral: () => MinuteKey;
}

/** @throws SessionError that is retryable or final, as the table of its code says */
export function openOn<Message>(
  options: OpeningOptions<Message>,
  address: Address | undefined,
  attempt: AttemptOptions,
  signal: AbortSignal | undefined,
): Promise<Opened> {
  return new Promise((resolve, reject) => {
    const opening = new Opening(options, (result) => {
      signal?.removeEventListener('abort', onAbort);
      if (result instanceof Error) reject(result);
      else resolve(result);
    });
    const dial = new Attempt(opening, address, attempt);
    const onAbort = (): void => {
      dial.abandon();
      reject(new SessionError('ERR_ABORTED', 'open() was aborted', { cause: signal?.reason }));
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    else dial.start();
  });
}

class Opening<Message> implements AttemptHost {
  readonly #options: OpeningOptions<Message>;
  readonly #done: (result: Opened | SessionError) => void;
  #bytes: Buffer = NOTHING;
  #key: MinuteKey | undefined;
  #secrets: TlsSecrets | undefined;
  #offered = 0;

  constructor(options: OpeningOptions<Message>, done: (result: Opened | SessionError) => void) {
    this.#options = options;
    this.#done = done;
  }

  connected(_attempt: Attempt, circuit: Circuit): void {
    const { settings, credentials, metadata, allowCleartextCredentials, secretsOf } = this.#options;
    const { info } = circuit;
    if (credentials !== undefined && !info.secure && !info.local && !allowCleartextCredentials) {
      throw new SessionError('ERR_CLEARTEXT_CREDENTIALS', `not sent to ${info.remoteAddress} without TLS`);
    }
    this.#secrets = secretsOf(circuit);
    if (this.#secrets === undefined) this.#key = this.#options.ephemeral();
    this.#offered =
      (this.#secrets === undefined ? KeyMethod.X25519 : KeyMethod.EXPORTER) | (settings.psk === undefined ? 0 : KeyMethod.PSK);
    this.#bytes = encodeOpen({
      node: 0,
      nonce: settings.runtime.randomBytes(NONCE_BYTES),
      keyMethods: this.#offered,
      publicKey: this.#key?.publicKey,
      framing: settings.framing.name,
      window: settings.window,
      heartbeatMs: settings.heartbeatMs,
      holdMs: settings.holdMs,
      credentials,
      metadata,
      maxVersion: VERSION,
      ticketBytes: offeredBytes(settings),
    });
    circuit.write([this.#bytes]);
  }

  flight(attempt: Attempt, circuit: Circuit, flight: Flight, bytes: Buffer, rest: Buffer): void {
    if (flight.kind === Kind.REJECTED) {
      attempt.settled();
      circuit.finish();
      const spoken = flight.versions.length === 0 ? flight.reason : `${flight.reason} it speaks version ${flight.versions.join(', ')}`;
      this.#done(rejectError(flight.code, flight.cause, spoken.trim(), flight.retryAfterMs));
      return;
    }
    if (flight.kind !== Kind.OPENED) throw new SessionError('ERR_PROTOCOL', `flight of kind ${flight.kind} in answer to OPEN`);
    const opened = this.#verify(flight, bytes, circuit, rest);
    attempt.settled();
    this.#done(opened);
  }

  failed(_attempt: Attempt, error: SessionError): void {
    this.#done(error);
  }

  #verify(flight: OpenedFlight, bytes: Buffer, circuit: Circuit, rest: Buffer): Opened {
    const { settings } = this.#options;
    if (flight.keyMethods !== this.#offered)
      throw new SessionError('ERR_HANDSHAKE', `key methods ${flight.keyMethods} of ${this.#offered} offered`);
    const shared = flight.publicKey === undefined ? undefined : (this.#key as MinuteKey).agree(flight.publicKey);
    const exporter = this.#secrets?.exporter;
    const keys = deriveKeys({ openBytes: this.#bytes, openedBytes: bytes, exporter, shared, psk: settings.psk });
    const binding = this.#secrets?.binding;
    if (!keys.verify('opened', [this.#bytes, macInput(bytes)], binding, flight.mac))
      throw new SessionError('ERR_HANDSHAKE', 'the MAC of OPENED is wrong');
    if (flight.heartbeatMs < HEARTBEAT_MS.min || flight.heartbeatMs > HEARTBEAT_MS.max) {
      throw new SessionError('ERR_PROTOCOL', `a heartbeat of ${flight.heartbeatMs} ms`);
    }
    if (flight.ticketBytes > offeredBytes(settings)) throw new SessionError('ERR_PROTOCOL', `tickets of ${flight.ticketBytes} bytes (E-2)`);
    const { heartbeatMs, holdMs, ticketBytes } = flight;
    return {
      circuit,
      id: Buffer.from(flight.sessionId),
      node: flight.node,
      keys,
      bound: binding !== undefined,
      terms: { role: 'dial', window: settings.window, peerWindow: flight.window, heartbeatMs, holdMs, ticketBytes },
      confirmMac: keys.mac('confirm', [this.#bytes, bytes], binding),
      rest: rest.length === 0 ? NOTHING : Buffer.from(rest),
    };
  }
}

/** Largest ticket that is kept. A record in a client's store has no place for one: such a session relies on what its server keeps. */
function offeredBytes<Message>({ durability }: Settings<Message>): number {
  return durability === 'memory' ? MAX_TICKET_BYTES : 0;
}

const NOTHING = Buffer.alloc(0);
