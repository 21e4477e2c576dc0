// SessionClient: opens sessions and keeps them on a circuit, each by a Dialer of its own.
import { EventEmitter } from 'node:events';
import type { AttemptOptions } from './attempt.ts';
import { bareSession } from './bare.ts';
import { Circuit, circuitInfo } from './circuit.ts';
import { ClientRecords } from './client-records.ts';
import { addressesOf, connect } from './connect.ts';
import { SessionCore } from './core/session-core.ts';
import { decodeSnapshot, encodeSnapshot, restore, type Snapshot } from './core/snapshot.ts';
import { SESSION_ID_BYTES } from './core/wire.ts';
import { report } from './diagnostics.ts';
import { Dialer, type DialerIdentity, type DialerOptions } from './dialer.ts';
import { SessionDriver } from './driver.ts';
import { SessionError } from './errors.ts';
import { LateAbort } from './late-abort.ts';
import { type Opened, openOn } from './opening.ts';
import { type Address, invalid, METADATA_MOST_BYTES, parseShared, type SessionClientOptions, type Settings } from './options.ts';
import { delay } from './runtime.ts';
import { EphemeralKey, SessionKeys, type TlsSecrets, tlsSecrets } from './security/keys.ts';
import { Session } from './session.ts';
import { isTlsSocket } from './tls-lazily.ts';
import { type Abortable, aborted } from './waiters.ts';

export interface OpenOptions extends Abortable {
  /** Keep trying until a server answers or the signal is aborted. Default: each address once. */
  readonly retry?: boolean;
  /**
   * Name of the session in the client's store. Where an earlier process has left one under this name it is taken up, with what was not
   * sent; of two processes with one name the later has it, the earlier gets ERR_FENCED or ERR_TAKEN_OVER. Default: the session's id.
   */
  readonly key?: string;
}

export interface SessionClientEvents<Message> {
  /** A session is without a circuit, or its server refused for now: the next attempt is due in delayMs. */
  retry: [notice: RetryNotice<Message>];
}

export interface RetryNotice<Message> {
  readonly session: Session<Message>;
  /** Attempts since the circuit was lost, this one included. */
  readonly attempt: number;
  readonly delayMs: number;
  readonly cause: SessionError;
}

/** Room for one more attempt when the hold time is over: the accepting side may have seen the loss later. */
const LAST_ATTEMPT_MS = 30_000;
const OPEN_DELAY_MS = { base: 100, cap: 2_000 };
const RECORD_FORMAT = 1;

interface Held<Message> {
  readonly dialer: Dialer<Message>;
  readonly driver: SessionDriver<Message>;
}

export class SessionClient<Message = Buffer> extends EventEmitter<SessionClientEvents<Message>> implements AsyncDisposable {
  readonly #options: SessionClientOptions<Message>;
  readonly #settings: Settings<Message>;
  readonly #addresses: readonly (Address | undefined)[];
  /** Where its sessions are recorded; null: in memory only. */
  readonly #records: ClientRecords<Message> | null;
  readonly #ephemeral = new EphemeralKey();
  readonly #held = new Map<Session<Message>, Held<Message> | null>();
  /** What every dial and every dialer is told, made once. */
  readonly #attempts: AttemptOptions;
  readonly #dialing: DialerOptions<Message>;
  #closed = false;

  /** @throws SessionError ERR_INVALID_OPTION */
  constructor(options: SessionClientOptions<Message>) {
    super();
    this.#options = options;
    this.#settings = parseShared(options);
    this.#addresses = addressesOf(options);
    if (this.#settings.durability === 'detach') throw invalid('durability', "must be 'memory' or 'commit' on a client");
    const { store } = options;
    this.#records = store === undefined || this.#settings.durability === 'memory' ? null : new ClientRecords(store, this.#settings);
    if (this.#addresses.length === 0) throw invalid('addresses', 'must name at least one');
    if (this.#addresses[0] === undefined && options.connect === undefined)
      throw invalid('port', 'or path, addresses or connect must be given');
    if (bytesOf(options.metadata).length > METADATA_MOST_BYTES) throw invalid('metadata', `must have at most ${METADATA_MOST_BYTES} bytes`);
    const { runtime, limits } = this.#settings;
    this.#attempts = {
      runtime,
      verdictMs: limits.handshakeMs + limits.hookMs,
      connect: (address, stop) => connect(address, options, limits, runtime, stop),
    };
    this.#dialing = {
      settings: this.#settings,
      addresses: this.#addresses,
      attempts: this.#attempts,
      secretsOf: (circuit) => this.#secretsOf(circuit),
      retrying: (driver, attempt, delayMs, cause) => this.#tellRetry(driver, attempt, delayMs, cause),
      ended: (driver) => this.#ended(driver),
    };
  }

  /** Sessions that live. */
  get sessions(): ReadonlySet<Session<Message>> {
    return new Set(this.#held.keys());
  }

  /**
   * Opens a session. @throws SessionError: of the one address; ERR_CONNECT with all errors in an AggregateError where there are several;
   * ERR_AUTH, ERR_VERSION, ERR_FRAMING_MISMATCH, ERR_KEY_METHOD or ERR_UNSUPPORTED at once, since no other answer will come
   */
  async open(options: OpenOptions = {}): Promise<Session<Message>> {
    const { retry = false, signal, key } = options;
    for (let round = 0; ; round++) {
      if (this.#closed) throw new SessionError('ERR_CLOSED', 'open() on a client that was closed');
      // In each round: the last write of a process that was killed may arrive late.
      const taken = key === undefined ? undefined : await this.#takeUp(key, signal);
      if (taken !== undefined) return taken;
      const errors: SessionError[] = [];
      for (const [place, address] of this.#addresses.entries()) {
        try {
          return await this.#openAt(place, address, signal, key);
        } catch (error) {
          if (!SessionError.is(error) || isFinal(error) || signal?.aborted) throw error;
          errors.push(error);
        }
      }
      if (!retry) throw summary(errors);
      const spanMs = Math.min(OPEN_DELAY_MS.cap, OPEN_DELAY_MS.base * 2 ** Math.min(10, round));
      const leastMs = Math.min(60_000, Math.max(...errors.map((error) => error.retryAfterMs)));
      await delay(this.#settings.runtime, leastMs + this.#settings.runtime.random() * spanMs, signal).catch(() => {
        throw aborted(signal as AbortSignal);
      });
    }
  }

  /**
   * One session after the other: opens one, yields it, and when it has ended opens the next. How a bare client reconnects.
   * The loop ends when the signal is aborted or the client closed.
   */
  async *reopen(options: Abortable = {}): AsyncGenerator<Session<Message>, void, void> {
    const { signal } = options;
    while (!this.#closed && !signal?.aborted) {
      let session: Session<Message>;
      try {
        session = await this.open({ retry: true, signal });
      } catch (error) {
        if (SessionError.is(error, 'ERR_ABORTED') || SessionError.is(error, 'ERR_CLOSED')) return;
        throw error;
      }
      const over = session.state === 'closed' ? undefined : new Promise((resolve) => session.once('close', resolve));
      yield session;
      await over;
    }
  }

  /**
   * Takes up a session from its record, also in a new process. Resolves when the server has accepted it.
   * @throws SessionError: the cause of its end where the server refused; ERR_INVALID_OPTION for bytes that are no record
   */
  async resume(record: Uint8Array, options: Abortable = {}): Promise<Session<Message>> {
    const { signal } = options;
    if (this.#closed) throw new SessionError('ERR_CLOSED', 'resume() on a client that was closed');
    if (signal?.aborted) throw aborted(signal);
    const bytes = Buffer.from(record);
    if (bytes.length < RECORD_HEADER_BYTES || bytes[0] !== RECORD_FORMAT) throw invalid('record', 'is no session record of this version');
    const id = Buffer.from(bytes.subarray(3, 3 + SESSION_ID_BYTES));
    const keys = SessionKeys.from(bytes.subarray(3 + SESSION_ID_BYTES, RECORD_HEADER_BYTES));
    const snapshot = decodeSnapshot(bytes.subarray(RECORD_HEADER_BYTES));
    const core = this.#restored(snapshot);
    const held = this.#make(core, { id, keys, bound: bytes[1] === 1, node: bytes[2] as number }, 0, false);
    return this.#untilAttached(held, 0, signal);
  }

  /**
   * Everything another process needs to take the session up where it is now, and where it is after the writes of this tick: whoever
   * makes one behind every send() and every message consumed may be killed at any time. It holds the session's keys: whoever has it has
   * the session.
   * @throws SessionError ERR_CLOSED where the session is not one of this client's, or has ended; ERR_UNSUPPORTED where its server seals
   * tickets, which another process would not have
   */
  record(session: Session<Message>): Buffer {
    const held = this.#held.get(session);
    // What was consumed must be in it before an ACK tells the peer, which then forgets what a lagging record would still ask for.
    held?.driver.settled();
    if (held === undefined || held === null || !this.#held.has(session))
      throw new SessionError('ERR_CLOSED', 'record() of a session that this client does not hold');
    if (held.driver.core.ticketBytes > 0)
      throw new SessionError('ERR_UNSUPPORTED', 'record() of a session that its server keeps in tickets: they would not be in it');
    const { id, keys, bound, node } = held.dialer.identity;
    return Buffer.concat([Buffer.from([RECORD_FORMAT, bound ? 1 : 0, node]), id, keys.bytes(), encodeSnapshot(held.driver.core)]);
  }

  /** The network has changed, or nobody wants to wait: every session gets a new circuit now. */
  nudge(): void {
    for (const held of this.#held.values()) held?.dialer.nudge();
  }

  /** Closes all sessions in order, each within its close timeout. */
  async close(): Promise<void> {
    this.#closed = true;
    const ends = await Promise.allSettled([...this.#held.keys()].map((session) => session.close()));
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // ---------------------------------------------------------------- making sessions

  async #openAt(
    place: number,
    address: Address | undefined,
    signal: AbortSignal | undefined,
    key: string | undefined,
  ): Promise<Session<Message>> {
    if (signal?.aborted) throw aborted(signal);
    if (this.#settings.bare) return this.#openBare(address, signal);
    const { credentials, metadata, allowCleartextCredentials = false } = this.#options;
    const given = typeof credentials === 'function' ? await credentials() : credentials;
    const opened = await openOn(
      {
        settings: this.#settings,
        credentials: given === undefined ? undefined : bytesOf(given),
        metadata: metadata === undefined ? undefined : bytesOf(metadata),
        allowCleartextCredentials,
        secretsOf: this.#dialing.secretsOf,
        ephemeral: () => this.#ephemeral.current(this.#now()),
      },
      address,
      this.#attempts,
      signal,
    );
    const session = this.#begin(opened, place, key);
    // The application that has the session may rely on its record.
    const driver = this.#held.get(session)?.driver;
    if (driver?.durable?.kind === 'record') await driver.durable.begun;
    if (driver?.told !== undefined) throw driver.told;
    return session;
  }

  #begin(opened: Opened, place: number, key: string | undefined): Session<Message> {
    const { circuit, id, keys, bound, node, terms, confirmMac, rest } = opened;
    const identity = { id, keys, bound, node };
    const core = new SessionCore(this.#settings.rules, terms, this.#holdExtra(terms));
    core.confirmWith(confirmMac);
    const { session, dialer, driver } = this.#make(core, identity, place, true);
    this.#records?.begin(driver, identity, key);
    dialer.begin(driver, true, 1);
    const theirs = { received: 0, acked: 0, limit: terms.peerWindow, base: 0, sent: 0 };
    driver.attach(circuit, theirs, core.positions(), 0, rest);
    return session;
  }

  /** A session of an earlier process, from the store. @returns undefined where there is none */
  async #takeUp(key: string, signal: AbortSignal | undefined): Promise<Session<Message> | undefined> {
    if (this.#records === null) throw invalid('key', 'needs a store');
    const taken = await this.#records.take(key, signal);
    if (taken === null) return undefined;
    const { snapshot, identity, generation } = taken;
    const core = this.#restored(snapshot);
    core.generation = generation - 1;
    const held = this.#make(core, identity, 0, false);
    taken.tie(held.driver);
    return this.#untilAttached(held, generation, signal);
  }

  #restored(snapshot: Snapshot): SessionCore<Message> {
    const core = new SessionCore(this.#settings.rules, { role: 'dial', ...snapshot }, this.#holdExtra(snapshot));
    restore(core, snapshot);
    return core;
  }

  /** A server has accepted the session again, or it is over. */
  async #untilAttached(
    { session, dialer, driver }: Held<Message> & { session: Session<Message> },
    reserved: number,
    signal: AbortSignal | undefined,
  ): Promise<Session<Message>> {
    let onAbort = (): void => {};
    const attached = new Promise<void>((resolve, reject) => {
      session.once('attached', () => resolve());
      session.once('close', (cause) => (cause === undefined ? resolve() : reject(cause)));
      onAbort = () => reject(aborted(signal as AbortSignal));
      signal?.addEventListener('abort', onAbort, { once: true });
    });
    driver.core.waitForResume(this.#now());
    dialer.begin(driver, false, reserved);
    driver.touched();
    try {
      await attached;
    } catch (error) {
      session.destroy();
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
    return session;
  }

  #make(
    core: SessionCore<Message>,
    identity: DialerIdentity,
    place: number,
    accepted: boolean,
  ): Held<Message> & { session: Session<Message> } {
    const dialer = new Dialer<Message>(this.#dialing, identity, place, accepted);
    const driver = new SessionDriver(core, this.#settings, dialer);
    const session = new Session(driver, {
      id: identity.id.toString('hex'),
      principal: undefined,
      metadata: NO_METADATA,
      restored: !accepted,
    });
    this.#held.set(session, { dialer, driver });
    report('open', session, undefined);
    return { session, dialer, driver };
  }

  async #openBare(address: Address | undefined, signal: AbortSignal | undefined): Promise<Session<Message>> {
    const { runtime, limits } = this.#settings;
    const stop = new LateAbort();
    const onAbort = (): void => stop.abort(aborted(signal as AbortSignal));
    signal?.addEventListener('abort', onAbort, { once: true });
    const connecting = connect(address, this.#options, limits, runtime, stop);
    const socket = await connecting.finally(() => signal?.removeEventListener('abort', onAbort));
    const circuit = new Circuit(socket, circuitInfo(socket, '', false), runtime);
    const { session, start } = bareSession(circuit, this.#settings, () => this.#held.delete(session));
    this.#held.set(session, null);
    start();
    return session;
  }

  #secretsOf(circuit: Circuit): TlsSecrets | undefined {
    const { socket } = circuit;
    return this.#options.tlsTerminated !== true && isTlsSocket(socket) ? tlsSecrets(socket) : undefined;
  }

  #holdExtra(terms: { readonly heartbeatMs: number }): number {
    return 2 * terms.heartbeatMs + 5_000 + LAST_ATTEMPT_MS;
  }

  /** A listener that throws ends the session it was told about. */
  #tellRetry(driver: SessionDriver<Message>, attempt: number, delayMs: number, cause: SessionError): void {
    try {
      this.emit('retry', { session: driver.face as Session<Message>, attempt, delayMs, cause });
    } catch (error) {
      driver.applicationFailed(error);
    }
  }

  #ended(driver: SessionDriver<Message>): void {
    this.#records?.ended(driver);
    this.#held.delete(driver.face as Session<Message>);
  }

  #now(): number {
    return this.#settings.runtime.now();
  }
}

const NO_METADATA = Buffer.alloc(0);
const RECORD_HEADER_BYTES: number = 3 + SESSION_ID_BYTES + 64;

function bytesOf(value: Uint8Array | string | undefined): Buffer {
  if (value === undefined) return Buffer.alloc(0);
  return typeof value === 'string' ? Buffer.from(value) : Buffer.from(value);
}

/** Refusals that the same dial will meet again. */
function isFinal(error: SessionError): boolean {
  if (error.code === 'ERR_ABORTED' || error.code === 'ERR_CLEARTEXT_CREDENTIALS' || error.code === 'ERR_INVALID_OPTION') return true;
  const refusals: readonly string[] = [
    'ERR_AUTH',
    'ERR_VERSION',
    'ERR_DOWNGRADE',
    'ERR_FRAMING_MISMATCH',
    'ERR_KEY_METHOD',
    'ERR_UNSUPPORTED',
  ];
  return refusals.includes(error.code);
}

function summary(errors: readonly SessionError[]): SessionError {
  const [first] = errors;
  if (first !== undefined && errors.length === 1) return first;
  return new SessionError('ERR_CONNECT', `none of ${errors.length} addresses answered`, { cause: new AggregateError(errors) });
}
