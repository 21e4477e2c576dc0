// SessionDriver: the shell around one SessionCore. Bytes from the circuit go in, one write per tick goes out; after every input it runs
// the same steps: drop a bad circuit, finish, wake those who wait, schedule a flush, arm the alarm. The public face is Session.
import type { Holder } from './budget.ts';
import { applicationError, destroyCause } from './causes.ts';
import type { Circuit, CircuitOwner } from './circuit.ts';
import type { Consumer, Source } from './consumers.ts';
import type { Positions } from './core/handshake.ts';
import type { SessionCore } from './core/session-core.ts';
import { CloseCode, supersededFrame } from './core/wire.ts';
import { report } from './diagnostics.ts';
import type { Face, SessionHost } from './driver-host.ts';
import type { Keeper } from './durable/keeper.ts';
import { Ending } from './ending.ts';
import { SessionError, withLoss } from './errors.ts';
import { type Flushed, Flusher } from './flusher.ts';
import { lossOf } from './loss.ts';
import type { Settings } from './options.ts';
import { Sleeper } from './runtime.ts';
import { endWaiters, NOBODY, settleWaiters, type WaitedFor, type Waiter, waitFor } from './waiters.ts';

/** What still comes on a circuit that a newer one replaced is dropped. */
const SUPERSEDED_LINGER_MS = 1000;

export class SessionDriver<Message> extends Sleeper implements CircuitOwner, Flushed<Message>, Source<Message>, Holder, WaitedFor {
  readonly core: SessionCore<Message>;
  readonly settings: Settings<Message>;
  waiters: readonly Waiter[] = NOBODY;
  face!: Face;
  /** Keeps the session's record; null: it lives in memory only. */
  durable: Keeper<Message> | null = null;
  readonly #host: SessionHost<SessionDriver<Message>>;
  readonly #flusher: Flusher<Message>;
  #consumer: Consumer | null = null;
  #ended = false;
  #ending: Ending | null = null;
  #heldBytes = 0;
  #settleScheduled = false;

  constructor(core: SessionCore<Message>, settings: Settings<Message>, host: SessionHost<SessionDriver<Message>>) {
    super();
    this.core = core;
    this.settings = settings;
    this.#host = host;
    this.#flusher = new Flusher(this);
  }

  get id(): string {
    return this.face.id;
  }
  get ended(): boolean {
    return this.#ended;
  }
  /** The cause of the end with its loss. */
  get told(): SessionError | undefined {
    return this.#ending?.told;
  }
  get circuit(): Circuit | null {
    return this.#ended ? null : this.#flusher.circuit;
  }
  get now(): number {
    return this.settings.runtime.now();
  }

  // ---------------------------------------------------------------- the application's inputs

  send(message: Message, lend: boolean): boolean {
    const room = this.core.send(message, lend);
    return this.#flusher.due && !this.core.outbound.filled && this.durable === null ? room : this.sent(room);
  }

  /** The core has taken a message. @param room whether its own limits leave room for more */
  sent(room: boolean): boolean {
    if (this.durable !== null) this.durable.soon();
    // Memory is counted and judged a block at a time, and at the end of the tick.
    if (this.#flusher.sent()) this.#account();
    if (!this.settings.budget.presses(this.core.outbound.heldBytes)) return room;
    this.core.outbound.needDrain = true;
    this.settings.budget.waitForRoom(this);
    return false;
  }

  /** Ends once both sides are done. What comes in while nobody reads is thrown away. */
  close(): void {
    this.#ending ??= new Ending();
    this.#ending.discards = true;
    if (this.#consumer === null) this.core.discard(this.now);
    this.end();
  }

  end(): void {
    if (this.#ended) return;
    this.core.end(this.now);
    this.touched();
  }

  /** Ends with a code for the peer and a cause for the application. */
  fail(code: CloseCode, cause: SessionError, reason = ''): void {
    this.core.fail(code, cause, reason);
    this.touched();
  }

  destroy(error: Error | null): void {
    if (this.#ended) return;
    const { cause, code } = destroyCause(error);
    // Only its memory is wanted: what is in the store can be taken up again.
    if (cause.code === 'ERR_MEMORY_BUDGET' && this.durable?.abandon() === true) return this.lost(cause);
    this.fail(code, cause, error?.message ?? '');
  }

  /** A handler, listener or iterator of the application threw: its own session ends, and nothing else. */
  applicationFailed(error: unknown): void {
    this.fail(CloseCode.APPLICATION, applicationError('the application', error));
  }

  consume<C extends Consumer>(consumer: C): C {
    if (this.#consumer !== null) throw new SessionError('ERR_CONSUMED', 'this session is being read already');
    if (this.#ended) consumer.ended(this.told);
    else this.#consumer = consumer;
    return consumer;
  }

  released(consumer: Consumer): void {
    if (this.#consumer !== consumer) return;
    this.#consumer = null;
    if (this.#ending?.discards === true) this.core.discard(this.now);
    this.touched();
  }

  settled(): void {
    this.durable?.capture();
    this.core.settle(this.now);
    if (!this.#flusher.reading) this.touched();
  }

  settleSoon(): void {
    this.durable?.capture();
    if (this.#settleScheduled) return;
    this.#settleScheduled = true;
    this.settings.runtime.defer(settle, this as unknown as SessionDriver<unknown>);
  }

  /** @internal */
  settleScheduled(): void {
    this.#settleScheduled = false;
    if (!this.#ended) this.settled();
  }

  /** A boundary is in the store: what waited for it goes. */
  stored(serial: number): void {
    if (this.#ended) return;
    settleWaiters(this, 'commit', serial);
    this.core.settle(this.now);
    // The peer's END counts as consumed only now.
    if (this.core.inbound.ended) this.#consumer?.wake();
    this.touched();
  }

  /** The circuit goes without a word: its peer is to come back, here or elsewhere. */
  cut(cause: SessionError): void {
    const { circuit } = this.#flusher;
    if (circuit === null || this.#ended) return;
    circuit.destroy();
    this.#detach(cause, false);
  }

  /** The session is another process's now, and goes on there: here it ends, and its peer is told nothing. */
  lost(cause: SessionError): void {
    this.#ending ??= new Ending();
    this.#ending.silent = true;
    this.cut(cause);
    this.fail(CloseCode.DESTROYED, cause);
  }

  drained(): Promise<void> {
    if (this.#ended) return Promise.reject(new SessionError('ERR_CLOSED', 'the session has ended', { cause: this.told }));
    return this.core.outbound.needDrain ? waitFor(this, 'drain', 0, undefined) : Promise.resolve();
  }

  // ---------------------------------------------------------------- circuits

  /**
   * A circuit passed its handshake. `theirs`, `told`: positions of both sides in it. `from`: this side has written the stream up to there
   * behind it. `rest`: what came behind the handshake.
   */
  attach(circuit: Circuit, theirs: Positions, told: Positions, from: number, rest: Buffer): void {
    this.#replace();
    if (this.#ended) return this.#ending?.silent === true ? circuit.destroy() : this.#sayLast(circuit);
    this.core.circuitUp(theirs, told, from, this.now);
    this.durable?.attached();
    this.settings.budget.attached(this);
    this.#flusher.circuit = circuit;
    circuit.owner = this;
    report('attached', this, circuit.info);
    this.#tell(() => this.face.emit('attached', circuit.info));
    circuit.held = false;
    if (rest.length > 0) circuit.onData(rest);
    // It may have died between its handshake and now, when nobody was told of it.
    if (circuit.over && this.#flusher.circuit === circuit) this.#detach(new SessionError('ERR_CIRCUIT_LOST', 'lost at once'), false);
    else this.#flusher.flush();
  }

  /** While a newer circuit is tried, the old one is neither read nor written. */
  set frozen(frozen: boolean) {
    if (this.#flusher.circuit === null) return;
    this.#flusher.frozen = frozen;
    this.#flusher.circuit.held = frozen;
    if (!frozen) this.#flusher.flush();
  }

  /** Gives up a circuit that is frozen. @returns whether there was one */
  dropFrozen(cause: SessionError): boolean {
    if (this.#flusher.circuit === null || !this.#flusher.frozen) return false;
    this.cut(cause);
    return true;
  }

  circuitData(circuit: Circuit, chunk: Buffer, at: number): number {
    const { core } = this;
    core.recyclable = circuit.recyclable;
    this.#flusher.reads();
    const reached = core.receive(chunk, at, this.now);
    if (this.#consumer !== null && !this.#ended) this.#consumer.wake();
    core.inbound.own();
    if (!this.#flusher.hasRead(circuit)) this.touched();
    if (core.incidents.peerClosed && this.#ended) this.#host.noticed(this);
    return reached;
  }

  circuitWritable(): void {
    this.#flusher.flush();
  }

  circuitLost(circuit: Circuit, cause: SessionError): void {
    if (circuit === this.#flusher.circuit) this.#detach(cause, circuit.peerEnded);
  }

  circuitEnded(): boolean {
    if (!this.settings.bare || this.#ended) return false;
    this.core.inbound.end(this.core.inbound.received);
    this.settled();
    return true;
  }

  /** A newer circuit came before the old one was seen to die: the application sees the change in turn. */
  #replace(): void {
    const before = this.#flusher.circuit;
    if (before === null) return;
    before.release();
    if (this.core.role === 'accept' && !this.#flusher.frozen) {
      // In order, so that a process which lost its session to another learns it: a reset could swallow the frame.
      before.write([supersededFrame(this.core.generation)]);
      before.finish(SUPERSEDED_LINGER_MS);
    } else {
      before.destroy();
    }
    this.#flusher.circuit = null;
    this.#flusher.frozen = false;
    this.#tell(() => this.face.emit('detached', new SessionError('ERR_CIRCUIT_LOST', 'a newer circuit replaced this one')));
  }

  #detach(cause: SessionError, orderly: boolean): void {
    this.#flusher.circuit = null;
    this.#flusher.frozen = false;
    this.core.circuitLost(orderly, this.now, cause);
    if (this.#ended) return;
    if (this.core.state === 'closed') return this.#finish(cause);
    this.durable?.detached();
    report('detached', this, cause);
    this.#tell(() => this.face.emit('detached', cause));
    if (this.#ended) return;
    this.#host.detached(this, cause);
    this.settings.budget.detached(this);
    this.touched();
  }

  // ---------------------------------------------------------------- after every input

  touched(): void {
    if (this.#ended) return;
    const { core } = this;
    if (core.fault !== null && this.#flusher.circuit !== null && core.state !== 'closed') {
      this.#flusher.circuit.destroy();
      return this.#detach(core.fault, false);
    }
    if (core.state === 'closed') return this.#finish();
    const { outbound } = core;
    if (outbound.needDrain && outbound.drained && !this.settings.budget.presses(outbound.heldBytes)) {
      outbound.needDrain = false;
      settleWaiters(this, 'drain', 0);
      this.#tell(() => this.face.emit('drain'));
    }
    settleWaiters(this, 'flush', outbound.peerAcked);
    if (core.incidents.noticed) this.#host.noticed(this);
    if (core.inbound.ended && outbound.fin < 0) this.#endToo();
    // A listener, a handler or the host may have ended the session meanwhile.
    if (this.#ended) return;
    this.durable?.soon();
    if (core.wantsTransmit) this.#flusher.schedule();
    if (this.#flusher.circuit !== null && this.settings.bare) this.#flusher.circuit.held = core.wantsPause;
    this.#account();
    this.#arm();
  }

  /** Something may have become due without an input: a wait for the peer. */
  schedule(): void {
    this.#flusher.schedule();
  }

  /** The earliest of the core's deadlines has come. */
  override ring(now: number): void {
    this.core.tick(now, this.#flusher.circuit === null ? 0 : this.#flusher.circuit.queuedBytes);
    this.touched();
  }

  #arm(): void {
    const earliestMs = this.core.deadlines.earliest;
    if (earliestMs === Infinity) this.settings.runtime.disarm(this);
    else if (earliestMs !== this.dueMs) this.settings.runtime.arm(this, earliestMs);
  }

  /** The peer has ended and all is consumed: this side ends too, once the code behind the application's loop has had its turn. */
  #endToo(): void {
    this.#ending ??= new Ending();
    if (!this.#ending.heard) {
      this.#ending.heard = true;
      this.#consumer?.wake();
    }
    if (this.settings.allowHalfOpen || this.#ending.scheduled || this.#consumer?.keepsOpen === true) return;
    this.#ending.scheduled = true;
    this.settings.runtime.yield(end, this as unknown as SessionDriver<unknown>);
  }

  #account(): void {
    const { inbound, outbound } = this.core;
    this.#hold(outbound.memoryBytes + (inbound.received - inbound.acked));
  }

  #hold(bytes: number): void {
    const before = this.#heldBytes;
    this.#heldBytes = bytes;
    if (bytes !== before) this.settings.budget.resized(before, bytes);
  }

  // ---------------------------------------------------------------- the end

  /** @param lost why its circuit went, where that ended it and has not been told */
  #finish(lost?: SessionError): void {
    this.#ended = true;
    const { core } = this;
    const cause = core.cause && withLoss(core.cause, lossOf(core));
    this.#ending ??= new Ending();
    this.#ending.told = cause;
    this.settings.runtime.disarm(this);
    const circuit = this.#flusher.circuit;
    if (circuit !== null) this.#sayLast(circuit);
    this.settings.budget.forget(this);
    this.#hold(0);
    this.#host.ended(this, cause);
    // Behind the host, whose tombstone takes the final positions.
    core.inbound.clear();
    core.outbound.clear();
    this.#consumer?.ended(cause);
    this.#consumer = null;
    endWaiters(this, cause);
    report('closed', this, cause);
    if (circuit !== null || lost !== undefined) {
      const why = lost ?? cause ?? new SessionError('ERR_CIRCUIT_LOST', 'the session has ended');
      this.#tell(() => this.face.emit('detached', why));
    }
    this.#tell(() => this.face.emit('close', cause));
  }

  /** The circuit carries the last frames, waits for the peer's end, and goes in order. */
  #sayLast(circuit: Circuit): void {
    // Without frames a reset is the only way to tell a bare peer that this is not the end it expects.
    const reset = this.core.fault !== null || this.#flusher.frozen || (this.settings.bare && this.core.cause !== undefined);
    if (reset) circuit.destroy();
    else this.#flusher.last(circuit);
  }

  get stats(): Holder['stats'] {
    return { outboundBytes: this.core.outbound.heldBytes, inboundBytes: this.core.inbound.received - this.core.inbound.acked };
  }

  tellDraining(notice: { readonly deadlineMs: number; readonly move: boolean }): void {
    this.#tell(() => this.face.emit('draining', notice));
  }

  /** Listeners run here; one that throws ends this session only. */
  #tell(emit: () => void): void {
    try {
      emit();
    } catch (error) {
      this.applicationFailed(error);
    }
  }
}

const settle = (driver: SessionDriver<unknown>): void => driver.settleScheduled();
const end = (driver: SessionDriver<unknown>): void => driver.end();
