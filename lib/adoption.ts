// Adoption: how a session that was elsewhere begins to live in this process: a core rebuilt from its snapshot, tied to what keeps it,
// registered and announced, detached until the circuit that asked has it. And what its record says of who it is, both ways.
import type { CircuitInfo } from './circuit.ts';
import { SessionCore } from './core/session-core.ts';
import { restore, type Snapshot } from './core/snapshot.ts';
import { SessionDriver } from './driver.ts';
import type { SessionHost } from './driver-host.ts';
import type { RecordIdentity } from './durable/record.ts';
import { SessionError } from './errors.ts';
import type { RestoredSession, Settings } from './options.ts';
import { type Known, type Live, NEVER, type Registry } from './registry.ts';
import { SessionKeys } from './security/keys.ts';
import { Session } from './session.ts';

export interface AdoptionOptions<Message> {
  readonly settings: Settings<Message>;
  readonly registry: Registry<Message>;
  readonly host: SessionHost<SessionDriver<Message>>;
  /** Names of the listeners of this server. */
  readonly listeners: ReadonlySet<string>;
  readonly resumeFrom: ((session: RestoredSession) => number | Promise<number>) | undefined;
  readonly opened: (session: Session<Message>) => void;
}

export interface Adoptee<Message> {
  readonly identity: RecordIdentity;
  readonly snapshot: Snapshot;
  readonly data: unknown;
  readonly ticketBytes: number;
  /** Of the circuit that it is adopted for. */
  readonly circuit: CircuitInfo;
  /** Ties the driver to what keeps the session's record. The core is restored. */
  readonly tie: (driver: SessionDriver<Message>) => void;
}

/** @throws SessionError ERR_FRAMING_MISMATCH, and ERR_APPLICATION for a resumeFrom() that gives no cursor */
export async function adopt<Message>(options: AdoptionOptions<Message>, adoptee: Adoptee<Message>): Promise<Live<Message>> {
  const { settings, registry, host, listeners, resumeFrom, opened } = options;
  const { identity, snapshot, data, circuit, ticketBytes, tie } = adoptee;
  const { id, principal, metadata } = identity;
  if (identity.framing !== settings.framing.name)
    throw new SessionError(
      'ERR_FRAMING_MISMATCH',
      `session ${id} is framed by ${identity.framing}, this server by ${settings.framing.name}`,
    );
  const now = settings.runtime.now();
  const core = new SessionCore(settings.rules, { role: 'accept', ...snapshot, ticketBytes }, 0);
  restore(core, snapshot);
  if (resumeFrom !== undefined) core.inbound.passOver = cursorOf(await resumeFrom({ id, principal, metadata, data }));
  const driver = new SessionDriver(core, settings, host);
  const session = new Session(driver, { id, principal, metadata, restored: true });
  tie(driver);
  const entry = { session, driver, ...knownOf(identity, circuit, listeners), takeoversMs: NEVER };
  registry.add(entry);
  core.waitForResume(now);
  opened(session);
  driver.touched();
  return entry;
}

/** @param circuit that asks for the session */
export function knownOf(identity: RecordIdentity, circuit: CircuitInfo, listeners: ReadonlySet<string>): Known {
  const { keys, bound, principal } = identity;
  const opened = JSON.parse(identity.opened) as CircuitInfo;
  // Another machine's listener has another name: of ours, this circuit's stands for it.
  const listener = listeners.has(opened.listener) ? opened.listener : circuit.listener;
  return { keys: SessionKeys.from(keys), bound, principal, opened: { ...opened, listener } };
}

export function identityOf<Message>(entry: Live<Message>): RecordIdentity {
  const { keys, bound, principal, opened, session, driver } = entry;
  const { inbound, outbound } = driver.core;
  const terms = { framing: driver.settings.framing.name, window: inbound.window, peerWindow: outbound.peerWindow };
  const { id } = session;
  return { id, keys: keys.bytes(), bound, principal, ...terms, metadata: session.metadata, opened: JSON.stringify(opened) };
}

function cursorOf(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new SessionError('ERR_APPLICATION', `resumeFrom() gave ${String(value)}, which is no cursor`);
}
