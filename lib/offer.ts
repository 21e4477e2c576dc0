// Offer: what the accepting side answers to an OPEN that it takes: the bytes of OPENED, and the provisional session behind them.
import type { CircuitInfo } from './circuit.ts';
import { encodeOpened, macInput, type OpenFlight, setMac } from './core/handshake.ts';
import { NONCE_BYTES } from './core/wire.ts';
import type { KeyChoice } from './key-choice.ts';
import type { Settings } from './options.ts';
import type { Provisional } from './registry.ts';
import { deriveKeys } from './security/keys.ts';

export interface OfferOptions<Message> {
  readonly settings: Settings<Message>;
  readonly node: number;
  readonly flight: OpenFlight;
  readonly openBytes: Buffer;
  readonly choice: KeyChoice;
  readonly principal: string | undefined;
  /** Largest ticket that the session's client will get; 0: none. */
  readonly ticketBytes: number;
  readonly circuit: CircuitInfo;
}

export function offer<Message>(options: OfferOptions<Message>): { readonly openedBytes: Buffer; readonly provisional: Provisional } {
  const { settings, node, flight, openBytes, choice, principal, ticketBytes, circuit } = options;
  const { runtime } = settings;
  const id = runtime.randomBytes(NONCE_BYTES);
  const terms = {
    role: 'accept',
    window: settings.window,
    peerWindow: flight.window,
    heartbeatMs: Math.max(1000, Math.min(flight.heartbeatMs, settings.heartbeatMs)),
    holdMs: Math.min(flight.holdMs, settings.holdMs),
    ticketBytes,
  } as const;
  const { window, heartbeatMs, holdMs } = terms;
  const nonce = runtime.randomBytes(NONCE_BYTES);
  const { keyMethods, publicKey } = choice;
  const openedBytes = encodeOpened({ node, sessionId: id, nonce, keyMethods, publicKey, window, heartbeatMs, holdMs, ticketBytes });
  const { exporter, shared, psk, binding } = choice;
  const keys = deriveKeys({ openBytes, openedBytes, exporter, shared, psk });
  setMac(openedBytes, keys.mac('opened', [openBytes, macInput(openedBytes)], binding));
  const provisional: Provisional = {
    id: id.toString('hex'),
    keys,
    bound: binding !== undefined,
    principal,
    opened: circuit,
    terms,
    metadata: flight.metadata?.length ? Buffer.from(flight.metadata) : NOTHING,
    live: true,
    untilMs: runtime.now() + settings.limits.handshakeMs,
  };
  return { openedBytes, provisional };
}

const NOTHING = Buffer.alloc(0);
