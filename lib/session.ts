// Session: the one public type on both sides. What the application may ask and is told; SessionDriver does the work.
import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import type { CircuitInfo } from './circuit.ts';
import { HandlerConsumer, IteratorConsumer, pullBatch, pullOne, RangeConsumer } from './consumers.ts';
import { Deadline } from './core/deadlines.ts';
import type { Segment } from './core/replay.ts';
import { deadlock } from './deadlock.ts';
import type { SessionDriver } from './driver.ts';
import { SessionStream } from './duplex.ts';
import { type Bonded, bondOf } from './durable/bond.ts';
import type { Keeper } from './durable/keeper.ts';
import { SessionError } from './errors.ts';
import type { Sendable } from './framing/framing.ts';
import { invalid } from './options.ts';
import { Alarm } from './runtime.ts';
import { type Abortable, waitFor } from './waiters.ts';

/** attached: a circuit carries the session. detached: it waits for the next. closing: done, and telling the peer. closed: over. */
export type SessionState = 'attached' | 'detached' | 'closing' | 'closed';

export interface SessionEvents {
  /** A circuit carries the session; strictly in turn with `detached`, beginning with the first circuit. */
  attached: [circuit: CircuitInfo];
  /** The circuit is gone, the session lives. Not an error. */
  detached: [cause: SessionError];
  /** send() returned false before, and there is room again. */
  drain: [];
  /** The server asks to wind down within this time, or moves the session. */
  draining: [notice: { readonly deadlineMs: number; readonly move: boolean }];
  /** Over, exactly once and last. undefined: clean, everything was consumed on both sides. */
  close: [cause: SessionError | undefined];
}

export interface SessionStats {
  /** Stream offsets: what was put on circuits, what the peer has consumed, what came in order, what was consumed here. */
  readonly sent: number;
  readonly confirmed: number;
  readonly received: number;
  readonly consumed: number;
  /** Bytes held: written and not confirmed (replay and outbox), arrived and not consumed. */
  readonly outboundBytes: number;
  readonly inboundBytes: number;
  /** Smoothed round trip (RFC 6298) in milliseconds; NaN before it was measured, with the first message or heartbeat. */
  readonly rttMs: number;
  /** Circuits so far; resumes are one fewer. */
  readonly circuits: number;
  readonly resumes: number;
  /** What both ends agreed on. */
  readonly heartbeatMs: number;
  readonly holdMs: number;
  /** When a detached session is given up, from now; Infinity while a circuit carries it. */
  readonly holdLeftMs: number;
  /** Bytes written again after a circuit change, and bytes that came twice and were trimmed. */
  readonly replayedBytes: number;
  readonly duplicateBytes: number;
}

export interface SendOptions {
  /**
   * Keep a payload above 4 KiB by reference until it is acked, perhaps minutes: the caller must not change it. Default: copy.
   * With NODE_ENV=development a change is noticed, and ends the session with ERR_APPLICATION.
   */
  readonly lend?: boolean;
}

export interface CloseOptions extends Abortable {
  /** Then the session is destroyed, and close() rejects with ERR_CLOSE_TIMEOUT. Default 10,000. */
  readonly timeoutMs?: number;
}

export interface CommitOptions extends Abortable {
  /**
   * Sessions that this one has sent to, or whose data it has set, since its last await: their boundaries and this one's are stored at one
   * instant, or none of them. It waits until no message is in progress in any of them. Of this process, and of the same store.
   */
  readonly with?: readonly Session<unknown>[];
}

/** Who a session is, as far as the application may know. */
export interface SessionIdentity {
  readonly id: string;
  readonly principal: string | undefined;
  readonly metadata: Buffer;
  readonly restored: boolean;
}

export class Session<Message = Buffer> extends EventEmitter<SessionEvents> implements AsyncIterable<Message>, AsyncDisposable {
  /** Public name, 32 hex digits; safe to log, and no credential. */
  readonly id: string;
  /** Who opened it, as authenticate() said; undefined on the dialing side and for nameless ones. */
  readonly principal: string | undefined;
  /** What the opener gave as metadata; empty on the dialing side. */
  readonly metadata: Buffer;
  /** This process took the session up from a record; its first life was elsewhere. */
  readonly restored: boolean;
  #data: unknown = undefined;
  readonly #driver: SessionDriver<Message>;

  static {
    // An async listener that rejects ends its session, not the process (captureRejections).
    const value = function rejected(this: Session, error: unknown): void {
      this.#driver.applicationFailed(error);
    };
    Object.defineProperty(Session.prototype, EventEmitter.captureRejectionSymbol, { value });
  }

  /** @internal Sessions are made by SessionServer and SessionClient. */
  constructor(driver: SessionDriver<Message>, identity: SessionIdentity) {
    super({ captureRejections: true });
    // The table of listeners that EventEmitter makes is a dictionary: 184 bytes, for every session. Node's streams replace theirs as well.
    Object.assign(this, { _events: noListeners() });
    this.id = identity.id;
    this.principal = identity.principal;
    this.metadata = identity.metadata;
    this.restored = identity.restored;
    this.#driver = driver;
    driver.face = this;
  }

  /** Of the events that somebody listens to. */
  override eventNames(): ReturnType<EventEmitter<SessionEvents>['eventNames']> {
    return super.eventNames().filter((name) => this.listenerCount(name) > 0);
  }

  /**
   * Anything the application wants to keep with the session. With a store it is part of the session's record: JSON, frozen when it is
   * assigned, and replaced, never edited. @throws SessionError ERR_INVALID_MESSAGE for what JSON cannot carry
   */
  get data(): unknown {
    return this.#driver.durable === null ? this.#data : this.#driver.durable.data;
  }

  set data(value: unknown) {
    if (this.#driver.durable === null) this.#data = value;
    else this.#driver.durable.data = value;
  }

  /**
   * Stream offset behind the message handed out last. An application with a database of its own stores it in the transaction of that
   * message, and gives it back by the server's resumeFrom.
   */
  get cursor(): number {
    return this.#driver.core.inbound.endOffset;
  }

  get state(): SessionState {
    const { state } = this.#driver.core;
    return state === 'finishing' || state === 'lingering' ? 'closing' : state;
  }

  /** The circuit that carries the session now; undefined while it is detached. */
  get circuit(): CircuitInfo | undefined {
    return this.#driver.circuit?.info;
  }

  get stats(): SessionStats {
    const { inbound, outbound, circuit, rttMs, heartbeatMs, holdMs, deadlines } = this.#driver.core;
    return {
      ...this.#driver.stats,
      sent: outbound.sent,
      confirmed: outbound.peerAcked,
      received: inbound.received,
      consumed: inbound.acked,
      rttMs,
      circuits: circuit,
      resumes: Math.max(0, circuit - 1),
      heartbeatMs,
      holdMs,
      holdLeftMs: Math.max(0, deadlines.at(Deadline.HOLD) - this.#driver.now),
      replayedBytes: outbound.replayedBytes,
      duplicateBytes: inbound.duplicateBytes,
    };
  }

  /**
   * Takes a message, exactly once: it is delivered, or handed back in the error of `close`.
   * @returns false when the application should wait for `drain` before it sends more; the message was taken all the same
   * @throws SessionError and the message was not taken: ERR_INVALID_MESSAGE, ERR_MESSAGE_TOO_LARGE, ERR_BUFFER_FULL, ERR_ENDED, ERR_CLOSED
   */
  send(message: Message | Sendable<Message>, options?: SendOptions): boolean {
    return this.#driver.send(message as Message, options?.lend === true);
  }

  /** @internal Takes a message of server.broadcast(), framed as `framing` says. */
  share(parts: readonly Segment[], framing: string): boolean {
    const { core, settings } = this.#driver;
    const { name } = settings.framing;
    if (name !== framing) throw new SessionError('ERR_INVALID_MESSAGE', `a broadcast framed as ${framing} to a session with ${name}`);
    core.assertWritable();
    return this.#driver.sent(core.outbound.share(parts));
  }

  /** Resolves when send() would return true again. Rejects when the session ends first. */
  drained(options: Abortable = {}): Promise<void> {
    if (this.#driver.ended || !this.#driver.core.outbound.needDrain) return this.#driver.drained();
    const stuck = deadlock(this.#driver, 'drained()');
    if (stuck !== null) return Promise.reject(stuck);
    return waitFor(this.#driver, 'drain', 0, options.signal);
  }

  /**
   * Resolves when the peer's application has consumed everything sent before this call. Rejects when the session ends first.
   * Awaited in the message handlers of both ends at once it never resolves: each waits for the other to finish its message.
   */
  flushed(options: Abortable = {}): Promise<void> {
    const driver = this.#driver;
    const offset = driver.core.sync();
    if (driver.core.outbound.peerAcked >= offset) return Promise.resolve();
    if (driver.ended)
      return Promise.reject(new SessionError('ERR_CLOSED', 'flushed() on a session that has ended', { cause: driver.told }));
    const stuck = deadlock(driver, 'flushed()');
    if (stuck !== null) return Promise.reject(stuck);
    driver.schedule();
    return waitFor(driver, 'flush', offset, options.signal);
  }

  /**
   * Says that what was handed out so far is finished, and resolves when that, session.data and all outputs so far are in the store.
   * Only whoever reads the session may call it. Needs durability 'commit', where it also happens by itself behind each message.
   */
  async commit(options: CommitOptions = {}): Promise<void> {
    const driver = this.#driver;
    const { durable } = driver;
    if (durable?.holdsBack !== true) throw invalid('durability', "must be 'commit' for session.commit()");
    const others = (options.with ?? []).map((other) => other.#driver);
    if (others.some(({ ended }) => ended)) throw new SessionError('ERR_CLOSED', 'commit() with a session that has ended');
    const bond =
      others.length === 0
        ? null
        : bondOf(
            recorded(durable),
            others.map((other) => recorded(other.durable)),
          );
    if (driver.core.inbound.inProgress) driver.core.inbound.consume();
    if (!driver.ended) bond?.begin();
    driver.settled();
    if (driver.ended) throw new SessionError('ERR_CLOSED', 'commit() on a session that has ended', { cause: driver.told });
    if (durable.storedSerial < durable.serial) await waitFor(driver, 'commit', durable.serial, options.signal);
  }

  /** No more messages from here. The other direction stays open. */
  end(): void {
    if (!this.#driver.ended) this.#driver.end();
  }

  /**
   * Ends the session in order: end(), then waits until both sides are done. Without a consumer what still comes in is thrown away, and the
   * session ends with ERR_UNREAD where anything was. Resolves when all that was sent is confirmed; rejects with the cause otherwise.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    const { timeoutMs = 10_000 } = options;
    const driver = this.#driver;
    if (!driver.ended) driver.close();
    if (!driver.ended) await this.#untilEnded(timeoutMs, options);
    const cause = driver.told;
    if (cause !== undefined && cause.code !== 'ERR_UNREAD') throw cause;
  }

  /** Ends the session at once. What was not confirmed is handed back in the error of `close`. */
  destroy(error?: Error): void {
    this.#driver.destroy(error ?? null);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // ---------------------------------------------------------------- reading: one consumer at a time

  /** One message at a time; asking for the next consumes the one before. Leaving the loop releases the session and does not end it. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message, undefined> {
    return this.#driver.consume(new IteratorConsumer<Message, Message>(this.#driver, pullOne));
  }

  /** Arrays of the messages that one read brought, at most limits.batchMessages; asking for the next consumes all of the one before. */
  batches(): AsyncIterableIterator<readonly Message[], undefined> {
    return this.#driver.consume(new IteratorConsumer<Message, readonly Message[]>(this.#driver, pullBatch));
  }

  /** Calls `handler` with one message at a time. Consumed when it returns or its promise resolves; if it fails, the session ends. */
  receive(handler: (message: Message) => unknown): void {
    this.#driver.consume(new HandlerConsumer(this.#driver, handler)).wake();
  }

  /** The fastest lane: no object per message. The range is valid during the call only; consumed when the call returns. */
  receiveRanges(handler: (buffer: Buffer, start: number, end: number) => void): void {
    this.#driver.consume(new RangeConsumer(this.#driver, handler)).wake();
  }

  /** The session as a Node Duplex: bytes with raw framing, otherwise one message per chunk. It ends its own half when the writer does. */
  stream(): Duplex {
    // Node's stream buffers ahead: nobody can say which message is finished.
    if (this.#driver.durable?.holdsBack === true) throw invalid('durability', "must not be 'commit' for stream()");
    return this.#driver.consume(new SessionStream(this.#driver, this.#driver.settings.framing.name === 'raw'));
  }

  async #untilEnded(timeoutMs: number, options: Abortable): Promise<void> {
    const driver = this.#driver;
    const { runtime } = driver.settings;
    const alarm = new Alarm(() => {
      driver.core.timeout(new SessionError('ERR_CLOSE_TIMEOUT', `not done after ${timeoutMs} ms`));
      driver.touched();
    });
    runtime.arm(alarm, runtime.now() + timeoutMs);
    try {
      await waitFor(driver, 'end', 0, options.signal);
    } finally {
      runtime.disarm(alarm);
    }
  }
}

/** One place for each event, so that all sessions share the shape of their table. */
function noListeners(): Record<keyof SessionEvents, undefined> {
  return { attached: undefined, detached: undefined, drain: undefined, draining: undefined, close: undefined };
}

/** Only records in a store can be written at one instant. */
function recorded<Message>(keeper: Keeper<Message> | null): Bonded | null {
  return keeper?.kind === 'record' ? keeper : null;
}
