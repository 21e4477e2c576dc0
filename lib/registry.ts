// Registry: what an accepting process knows by session id: live sessions, provisional ones that nobody has confirmed yet,
// and tombstones that tell a peer which was away how its session ended. Every map has a limit.
import type { CircuitInfo } from './circuit.ts';
import type { Ended } from './core/resume.ts';
import type { CoreTerms } from './core/session-core.ts';
import type { SessionDriver } from './driver.ts';
import type { Line } from './durable/ticket.ts';
import { Faces } from './faces.ts';
import type { SessionKeys } from './security/keys.ts';
import type { Session } from './session.ts';

/** What identifies a session to a resume, whatever its state. */
export interface Known {
  readonly keys: SessionKeys;
  /** Channel binding is part of its MACs: its keys came from a TLS exporter. */
  readonly bound: boolean;
  readonly principal: string | undefined;
  /** The circuit that opened it. */
  readonly opened: CircuitInfo;
}

/** Opened and not confirmed: no event, no policy, no core. */
export interface Provisional extends Known {
  readonly id: string;
  readonly terms: CoreTerms;
  readonly metadata: Buffer;
  /** It has a circuit, whose handshake will end or drop it. */
  live: boolean;
  untilMs: number;
}

export interface Live<Message> extends Known {
  readonly session: Session<Message>;
  readonly driver: SessionDriver<Message>;
  /** When it was taken over by another process, for the limit on that. */
  takeoversMs: readonly number[];
}

export interface Tombstone extends Known, Ended {
  /** Of a session with tickets: those of other lines know of a life behind this end. */
  readonly line?: Line | undefined;
  readonly untilMs: number;
}

/** With its keys, numbers and map entry a tombstone is near 256 bytes: the limit in count is the one in bytes (16 MiB). */
export const TOMBSTONE_LEAST_MS = 3_600_000;
/** A provisional session without a circuit is kept this long at most: its OPENED may have been lost, and then nobody will ever ask. */
const PROVISIONAL_MOST_MS = 60_000;

export class Registry<Message> {
  readonly live: Map<string, Live<Message>> = new Map();
  /** The same, as the application sees them. */
  readonly sessions: ReadonlyMap<string, Session<Message>> = new Faces(this.live);
  readonly provisional: Map<string, Provisional> = new Map();
  readonly tombstones: Map<string, Tombstone> = new Map();
  readonly #perPrincipal = new Map<string, Set<Session<Message>>>();
  readonly #perAddress = new Map<string, number>();
  readonly #limits: { readonly provisional: number; readonly tombstones: number };

  constructor(limits: { readonly provisional: number; readonly tombstones: number }) {
    this.#limits = limits;
  }

  add(entry: Live<Message>): void {
    this.live.set(entry.session.id, entry);
    const address = addressOf(entry.opened);
    if (address !== '') this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1);
    if (entry.principal === undefined) return;
    const others = this.#perPrincipal.get(entry.principal);
    if (others === undefined) this.#perPrincipal.set(entry.principal, new Set([entry.session]));
    else others.add(entry.session);
  }

  remove(id: string): Live<Message> | undefined {
    const entry = this.live.get(id);
    if (entry === undefined) return undefined;
    this.live.delete(id);
    const address = addressOf(entry.opened);
    const count = (this.#perAddress.get(address) ?? 0) - 1;
    if (count > 0) this.#perAddress.set(address, count);
    else this.#perAddress.delete(address);
    const others = entry.principal === undefined ? undefined : this.#perPrincipal.get(entry.principal);
    others?.delete(entry.session);
    if (others?.size === 0) this.#perPrincipal.delete(entry.principal as string);
    return entry;
  }

  /** Sessions of a principal, oldest first. */
  ofPrincipal(principal: string): ReadonlySet<Session<Message>> {
    return this.#perPrincipal.get(principal) ?? NONE;
  }

  countOf(opened: CircuitInfo): number {
    return this.#perAddress.get(addressOf(opened)) ?? 0;
  }

  /** @returns false when there are too many, and all of them have a live circuit. */
  addProvisional(entry: Provisional, now: number): boolean {
    if (this.provisional.size >= this.#limits.provisional && !this.#dropProvisional(now)) return false;
    this.provisional.set(entry.id, entry);
    return true;
  }

  /** The circuit of a provisional session is gone; the peer may still come back with a RESUME. */
  orphan(entry: Provisional, now: number): void {
    entry.live = false;
    entry.untilMs = now + Math.min(entry.terms.holdMs, PROVISIONAL_MOST_MS);
    // To the end: among those without a circuit the map is in order of age.
    if (this.provisional.delete(entry.id)) this.provisional.set(entry.id, entry);
  }

  findProvisional(id: string, now: number): Provisional | undefined {
    const entry = this.provisional.get(id);
    if (entry === undefined || entry.live || entry.untilMs > now) return entry;
    this.provisional.delete(id);
    return undefined;
  }

  bury(id: string, tombstone: Omit<Tombstone, 'untilMs'>, holdMs: number, now: number): void {
    if (this.tombstones.size >= this.#limits.tombstones) {
      const oldest = this.tombstones.keys().next();
      if (!oldest.done) this.tombstones.delete(oldest.value);
    }
    this.tombstones.set(id, { ...tombstone, untilMs: now + Math.max(holdMs, TOMBSTONE_LEAST_MS) });
  }

  findTombstone(id: string, now: number): Tombstone | undefined {
    const tombstone = this.tombstones.get(id);
    if (tombstone === undefined || tombstone.untilMs > now) return tombstone;
    this.tombstones.delete(id);
    return undefined;
  }

  /** Makes room: the oldest provisional session without a live circuit goes. */
  #dropProvisional(now: number): boolean {
    for (const [id, entry] of this.provisional) {
      if (entry.live && entry.untilMs > now) continue;
      this.provisional.delete(id);
      return true;
    }
    return false;
  }
}

/** Sessions from this machine are not counted by address. */
function addressOf(info: CircuitInfo): string {
  return info.local ? '' : info.remoteAddress;
}

const NONE: ReadonlySet<never> = new Set<never>();
/** Shared by all that have not been taken over: nearly all. */
export const NEVER: readonly number[] = [];
