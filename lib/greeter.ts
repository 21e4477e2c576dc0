// Greeter: what the accepting side decides about sessions, whichever circuit asks: limits, policies, who exists, which circuit is theirs,
// and how ended sessions are remembered. Greetings ask it; SessionServer owns it.
import type { Circuit, CircuitInfo } from './circuit.ts';
import { encodeChallenge, type OpenFlight, type Positions, type ResumeFlight } from './core/handshake.ts';
import type { Refusal } from './core/resume.ts';
import { SessionCore } from './core/session-core.ts';
import { CHALLENGE_BYTES, CloseCode, RejectCode } from './core/wire.ts';
import { SessionDriver } from './driver.ts';
import type { SessionHost } from './driver-host.ts';
import { Durability } from './durability.ts';
import { SessionError } from './errors.ts';
import type { LateAbort } from './late-abort.ts';
import { type ResumeRequest, type SessionServerOptions, type Settings, sameOrigin, type Verdict } from './options.ts';
import { parsePeering } from './peering.ts';
import { type Known, type Live, NEVER, type Provisional, Registry, TOMBSTONE_LEAST_MS } from './registry.ts';
import { Restorer } from './restorer.ts';
import { delay } from './runtime.ts';
import { EphemeralKey, keysOfNobody, type MacLabel, type TlsSecrets, tlsSecrets } from './security/keys.ts';
import { Throttle } from './security/throttle.ts';
import { Session } from './session.ts';
import { type Shown, TicketRestorer } from './ticket-restorer.ts';
import { isAnnounced } from './ticket-shown.ts';
import { isTlsSocket } from './tls-lazily.ts';

/** What the server's public face is told. */
export interface GreeterEvents<Message> {
  opened(session: Session<Message>): void;
  rejected(error: SessionError, circuit: CircuitInfo): void;
  /** A session has ended, or was refused before it was announced. */
  ended(): void;
}

/** A handshake that has not been decided. */
export interface Unfinished {
  drop(error: SessionError): void;
}

const TAKEOVER_SPAN_MS = 10_000;
/** Of OPENs that come at once; one costs up to 0.3 ms of public-key work. */
const OPENS_PER_TURN = 16;

export class Greeter<Message> implements SessionHost<SessionDriver<Message>> {
  readonly settings: Settings<Message>;
  readonly registry: Registry<Message>;
  readonly node: number;
  readonly ephemeral: EphemeralKey = new EphemeralKey();
  draining = false;
  /** Names of the listeners that circuits come from. */
  readonly listeners: Set<string> = new Set<string>();
  /** What the store is for; null: sessions live in memory only. */
  readonly durability: Durability | null;
  readonly restorer: Restorer<Message> | null;
  /** Keeps sessions with their clients; null: it seals no tickets. */
  readonly tickets: TicketRestorer<Message> | null;
  readonly #options: SessionServerOptions<Message>;
  readonly #events: GreeterEvents<Message>;
  readonly #throttle: Throttle;
  readonly #trusted: ReadonlySet<string>;
  // In order of arrival: when there are too many, the oldest goes, so that slow strangers cannot keep others out.
  readonly #greetings = new Set<Unfinished>();
  #openings = 0;
  readonly #openQueue: (() => void)[] = [];

  constructor(options: SessionServerOptions<Message>, settings: Settings<Message>, events: GreeterEvents<Message>) {
    this.#options = options;
    this.settings = settings;
    this.#events = events;
    this.registry = new Registry(settings.limits);
    this.node = options.node ?? 0;
    this.#throttle = new Throttle(settings.limits);
    this.#trusted = new Set(options.trustedProxies ?? []);
    const { store, resumeFrom, tickets: ring } = options;
    const { durability: mode, runtime } = settings;
    const address = parsePeering(options, mode);
    this.durability = store === undefined || mode === 'memory' ? null : new Durability(store, mode, runtime, address);
    const { registry, listeners, node } = this;
    const opened = (session: Session<Message>): void => this.#events.opened(session);
    const adoption = { settings, registry, listeners, node, resumeFrom, opened, host: this };
    this.restorer = this.durability === null ? null : new Restorer({ ...adoption, durability: this.durability });
    this.tickets = ring === undefined ? null : new TicketRestorer({ ...adoption, ring, register: options.ticketRegister });
  }

  // ---------------------------------------------------------------- circuits without a session

  /** @returns false when a new connection must go at once, without a word. */
  admit(info: CircuitInfo): boolean {
    return this.#exempt(info) || this.#throttle.accepted(info.remoteAddress, this.#now());
  }

  greeting(greeting: Unfinished): void {
    if (this.#greetings.size >= this.settings.limits.unfinished) {
      const oldest = this.#greetings.values().next();
      if (!oldest.done) oldest.value.drop(new SessionError('ERR_BUSY', 'too many unfinished handshakes'));
    }
    this.#greetings.add(greeting);
  }

  /** The handshake has been decided, whichever way. */
  greeted(greeting: Unfinished, circuit: Circuit): void {
    if (this.#greetings.delete(greeting)) this.welcomed(circuit.info);
  }

  /** A connection that was admitted is no longer unfinished. */
  welcomed(info: CircuitInfo): void {
    if (!this.#exempt(info)) this.#throttle.finished(info.remoteAddress);
  }

  turnedAway(circuit: Circuit, error: SessionError, blamed: boolean): void {
    if (blamed) this.suspect(circuit);
    this.#events.rejected(error, circuit.info);
  }

  /** Counts a failure against the address. Never against a session: whoever reads an id in a log could lock its owner out. */
  suspect(circuit: Circuit): void {
    if (!this.#exempt(circuit.info)) this.#throttle.failed(circuit.info.remoteAddress, this.#now());
  }

  /** Lets so many OPENs a turn through to their public-key work: a thousand at once must not stop everybody else until they are served. */
  openTurn(): Promise<void> | null {
    if (this.#openings++ === 0) this.settings.runtime.yield(openTurnOver, this as Greeter<unknown>);
    if (this.#openings <= OPENS_PER_TURN) return null;
    return new Promise((resolve) => this.#openQueue.push(resolve));
  }

  /** @internal */
  openTurnOver(): void {
    this.#openings = 0;
    if (this.#openQueue.length === 0) return;
    this.settings.runtime.yield(openTurnOver, this as Greeter<unknown>);
    for (const resolve of this.#openQueue.splice(0, OPENS_PER_TURN)) {
      this.#openings++;
      resolve();
    }
  }

  dropGreetings(error: SessionError): void {
    for (const greeting of [...this.#greetings]) greeting.drop(error);
  }

  #exempt(info: CircuitInfo): boolean {
    return info.local || this.#trusted.has(info.remoteAddress);
  }

  // ---------------------------------------------------------------- policies

  /** A draining server takes nothing from its store any more; what it still holds, or has ended, it answers for. */
  sendsOn(id: string): boolean {
    const { live, provisional } = this.registry;
    return this.draining && !live.has(id) && !provisional.has(id) && this.registry.findTombstone(id, this.#now()) === undefined;
  }

  /** Why an OPEN from here cannot be served now; null when it can. */
  full(circuit: Circuit): RejectCode | null {
    if (this.draining) return RejectCode.DRAINING;
    const { limits, budget } = this.settings;
    if (budget.full || this.registry.live.size >= limits.sessions) return RejectCode.BUSY;
    if (!this.#exempt(circuit.info) && this.registry.countOf(circuit.info) >= limits.sessionsPerAddress) return RejectCode.BUSY;
    return null;
  }

  async authenticate(open: OpenFlight, circuit: CircuitInfo, abort: LateAbort): Promise<Verdict> {
    const { authenticate } = this.#options;
    if (authenticate === undefined) return true;
    const copy = (bytes: Buffer | undefined): Buffer => Buffer.from(bytes ?? NOTHING);
    return authenticate({ credentials: copy(open.credentials), metadata: copy(open.metadata), circuit }, { signal: abort.signal });
  }

  async authorizeResume(request: ResumeRequest, abort: LateAbort): Promise<boolean> {
    // Not for the application to decide: a session opened over TLS is never taken up in the clear, nor one of TLS 1.3 on an older TLS.
    if (strength(request.circuit) < strength(request.opened)) return false;
    const { authorizeResume } = this.#options;
    return authorizeResume === undefined ? sameOrigin(request) : authorizeResume(request, { signal: abort.signal });
  }

  #challenges(circuit: Circuit): boolean {
    const { challenge = 'auto' } = this.#options;
    if (challenge !== 'auto') return challenge === 'always';
    // A store that forgets may forget a generation: then an old RESUME would look new.
    if (this.durability?.store.mayRollBack === true) return true;
    // So does a server that keeps nothing. A RESUME that is bound to its TLS connection is no good on another.
    if (this.tickets !== null && this.bindingOf(circuit) === undefined) return true;
    return !circuit.info.local && this.bindingOf(circuit) === undefined;
  }

  /** Writes a CHALLENGE where this circuit needs one. @returns it */
  challenge(circuit: Circuit, { sessionId }: ResumeFlight): Buffer | undefined {
    if (!this.#challenges(circuit)) return undefined;
    const challenge = encodeChallenge({ sessionId, nonce: this.settings.runtime.randomBytes(CHALLENGE_BYTES) });
    circuit.write([challenge]);
    return challenge;
  }

  /** The same steps for who exists and who does not, down to the last branch: the time must not tell. */
  verify(circuit: Circuit, label: MacLabel, known: Known | undefined, parts: readonly Buffer[], mac: Buffer): boolean {
    const keys = known === undefined ? keysOfNobody() : known.keys;
    const binding = this.bindingOf(circuit);
    const good = keys.verify(label, parts, known === undefined || known.bound ? binding : undefined, mac);
    return good && known !== undefined;
  }

  secretsOf(circuit: Circuit): TlsSecrets | undefined {
    const { socket } = circuit;
    return this.#options.tlsTerminated !== true && isTlsSocket(socket) ? tlsSecrets(socket) : undefined;
  }

  bindingOf(circuit: Circuit): Buffer | undefined {
    return this.secretsOf(circuit)?.binding;
  }

  /** Counts a change of process. @returns false when it happens too often: two processes fight over one identity. */
  takeover(entry: Live<Message>): boolean {
    const now = this.#now();
    const recent = entry.takeoversMs.filter((atMs) => atMs > now - TAKEOVER_SPAN_MS);
    if (recent.length >= this.settings.limits.takeovers) return false;
    entry.takeoversMs = [...recent, now];
    return true;
  }

  // ---------------------------------------------------------------- sessions

  /** What a RESUME shows: a ticket in it, or behind it. */
  shown(flight: ResumeFlight, behind: Buffer | undefined): Shown | undefined {
    const { sessionId, ticketFollows } = flight;
    const announced = behind !== undefined && ticketFollows !== undefined && isAnnounced(behind, ticketFollows) ? behind : undefined;
    const ticket = flight.ticket ?? announced;
    return ticket === undefined ? undefined : this.tickets?.open(sessionId.toString('hex'), ticket);
  }

  find(id: string, shown: Shown | undefined, circuit: Circuit): Known | undefined {
    const now = this.#now();
    // All three are asked, whichever knows it: the time must not tell who exists.
    const live = this.registry.live.get(id);
    const provisional = this.registry.findProvisional(id, now);
    const tombstone = this.registry.findTombstone(id, now);
    const told = shown === undefined ? undefined : this.tickets?.knownOf(shown, circuit.info);
    return live ?? provisional ?? tombstone ?? told;
  }

  /** Gets a session from where it is kept, for a RESUME whose MAC was good. @returns null where the fencing step may decide */
  async claim(
    id: string,
    asked: { readonly flight: ResumeFlight; readonly shown: Shown | undefined },
    circuit: Circuit,
  ): Promise<Refusal | null> {
    const { flight, shown } = asked;
    if (this.tickets !== null) return this.tickets.claim(id, flight, shown, circuit.info);
    return (await this.restorer?.claim(id, flight, circuit.info)) ?? null;
  }

  /** What RESUMED tells of a session that is accepted now. */
  positionsFor({ driver }: Live<Message>, shown: Shown | undefined): Positions {
    return this.tickets === null ? driver.core.positions() : this.tickets.accept(driver, shown);
  }

  /** The RESUME of its peer is being judged: until the verdict it does not expire. */
  pauseExpiry({ sessionId, generation }: ResumeFlight, paused: boolean): void {
    const id = sessionId.toString('hex');
    if (!paused) this.restorer?.judged(id, generation);
    const driver = this.registry.live.get(id)?.driver;
    if (driver === undefined) return;
    driver.core.pauseHold(paused, this.#now());
    driver.touched();
  }

  /** Makes a session of what CONFIRM or a RESUME has confirmed. No event yet: join() decides. */
  make(provisional: Provisional): Live<Message> {
    const { settings } = this;
    const { id, principal, metadata, terms, keys, bound, opened } = provisional;
    const core = new SessionCore(settings.rules, terms, 0);
    const driver = new SessionDriver(core, settings, this);
    const session = new Session(driver, { id, principal, metadata, restored: false });
    return { session, driver, keys, bound, principal, opened, takeoversMs: NEVER };
  }

  /** The circuit carries the session from now on. A fresh one is registered, judged by the policy for duplicates, and announced first. */
  join(entry: Live<Message>, circuit: Circuit, theirs: Positions, told: Positions, rest: Buffer, fresh: boolean): void {
    const { session, driver } = entry;
    if (fresh) {
      this.registry.provisional.delete(session.id);
      const refused = this.#duplicate(entry);
      this.registry.add(entry);
      if (refused !== null) {
        driver.attach(circuit, theirs, told, 0, NOTHING);
        driver.fail(CloseCode.DUPLICATE, refused);
        return;
      }
      this.restorer?.tie(entry);
      this.tickets?.tie(entry);
      this.#events.opened(session);
    }
    driver.attach(circuit, theirs, told, 0, rest);
  }

  #duplicate(entry: Live<Message>): SessionError | null {
    const { onDuplicate = 'parallel' } = this.#options;
    if (entry.principal === undefined || onDuplicate === 'parallel') return null;
    const others = [...this.registry.ofPrincipal(entry.principal)];
    if (onDuplicate === 'reject')
      return others.length === 0 ? null : new SessionError('ERR_DUPLICATE', `${entry.principal} has session ${others[0]?.id}`);
    for (const other of others) {
      const replaced = new SessionError('ERR_REPLACED', `${entry.principal} opened session ${entry.session.id}`);
      this.registry.live.get(other.id)?.driver.fail(CloseCode.REPLACED, replaced);
    }
    return null;
  }

  // ---------------------------------------------------------------- SessionHost

  detached(): void {}

  /** The peer's CLOSE came behind the end: it knows, and nothing need be remembered. */
  noticed(driver: SessionDriver<Message>): void {
    if (driver.ended && driver.core.incidents.peerClosed && driver.told === undefined) this.registry.tombstones.delete(driver.id);
  }

  ended(driver: SessionDriver<Message>, cause: SessionError | undefined): void {
    const entry = this.registry.remove(driver.id);
    if (entry === undefined) return;
    this.durability?.untie(driver);
    this.tickets?.untie(driver);
    const { core, durable } = driver;
    // Another process has it, or may have; or its client has: what its peer is told is not decided here.
    if (durable?.over === true || (durable?.kind === 'ticket' && cause?.code === 'ERR_EXPIRED')) return this.#events.ended();
    // Who has read our end and told so need not ask; everybody else may come back and must learn how it ended.
    if (!core.incidents.peerClosed || cause !== undefined) {
      const { keys, bound, principal, opened } = entry;
      const { generation, instance } = core;
      const finals = core.positions();
      const line = durable?.kind === 'ticket' ? durable.line : undefined;
      const tombstone = { keys, bound, principal, opened, generation, instance, cause: closeCodeOf(cause, core.closeCode), finals, line };
      this.registry.bury(driver.id, tombstone, core.holdMs, this.#now());
      this.restorer?.entomb(entry, tombstone, Math.max(core.holdMs, TOMBSTONE_LEAST_MS));
    } else {
      durable?.end(NOTHING, 0);
    }
    this.#events.ended();
  }

  /** Whether another process can take up what is here. */
  get movable(): boolean {
    return this.restorer !== null || this.tickets !== null;
  }

  /** Lets go of one session: its record is clean, or `withinMs` have passed, and it ends here. */
  async handOver({ driver }: Live<Message>, cause: SessionError, withinMs: number): Promise<void> {
    driver.cut(cause);
    const stop = new AbortController();
    const waited = delay(this.settings.runtime, withinMs, stop.signal).catch(() => {});
    await Promise.race([driver.durable?.clean(), waited]);
    stop.abort();
    // It may have come back meanwhile, or have ended by itself.
    driver.cut(cause);
    driver.durable?.abandon();
    driver.lost(cause);
  }

  /** Lets go of every session that another process can take up, and ends it here. */
  async letGo(cause: SessionError, withinMs: number): Promise<void> {
    if (!this.movable) return;
    const stop = new AbortController();
    const waited = delay(this.settings.runtime, withinMs, stop.signal).catch(() => {});
    const drivers = (): SessionDriver<Message>[] =>
      [...this.registry.live.values()].map(({ driver }) => driver).filter(({ durable }) => durable !== null);
    for (const driver of drivers()) driver.cut(cause);
    await Promise.race([Promise.all([this.restorer?.stop(), this.tickets?.stop()]), waited]);
    for (const driver of drivers()) driver.cut(cause);
    await Promise.race([Promise.all(drivers().map((driver) => driver.durable?.clean())), waited]);
    stop.abort();
    for (const driver of drivers()) {
      driver.durable?.abandon();
      driver.lost(cause);
    }
  }

  #now(): number {
    return this.settings.runtime.now();
  }
}

function openTurnOver(greeter: Greeter<unknown>): void {
  greeter.openTurnOver();
}

function closeCodeOf(cause: SessionError | undefined, told: CloseCode): CloseCode {
  if (cause === undefined) return CloseCode.CLEAN;
  return cause.code === 'ERR_EXPIRED' ? CloseCode.EXPIRED : told;
}

/** Of a transport, as R-14 orders them. */
function strength(circuit: CircuitInfo): number {
  return !circuit.secure ? 0 : circuit.tlsVersion === 'TLSv1.3' ? 2 : 1;
}

const NOTHING = Buffer.alloc(0);
