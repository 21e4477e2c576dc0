// SessionCore: one session as a pure, synchronous state machine. Inputs: chunks, ticks, circuits coming and going, what the application
// sends and consumes. Outputs are pulled: transmit(), next(), state, fault, deadline. No socket, clock, timer or promise is in here.
import { SessionError } from '../errors.ts';
import type { Framing } from '../framing/framing.ts';
import { Control, type DrainNotice, readDrain } from './control.ts';
import { Deadline, type Deadlines } from './deadlines.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';
import type { Positions } from './handshake.ts';
import { Inbound } from './inbound.ts';
import { Incidents, NO_INCIDENTS } from './incidents.ts';
import { Liveness } from './liveness.ts';
import { Outbound } from './outbound.ts';
import { judgePositions } from './resume.ts';
import { type CoreInput, type CoreState, next } from './state.ts';
import { closeError, knownCloseCode, sentTooLate, unreadError } from './verdict.ts';
import { CloseCode, FIRST_IGNORABLE_FRAME, Frame, MAX_EARLY_DATA_BYTES, readU16, readU32, readU64 } from './wire.ts';

export interface CoreLimits {
  readonly messageBytes: number;
  readonly batchMessages: number;
  readonly outboxHighWater: number;
  readonly outboxHardCap: number;
  readonly replaySegments: number;
  readonly ackDelayMs: number;
  readonly writeStallMs: number;
  readonly controlPerSecond: number;
  readonly controlBurst: number;
  /** In development: notice when a lent payload was changed before it was acked. Default false. */
  readonly checkLent?: boolean;
}

/** What is the same for all sessions of a server or client: each refers to it once. */
export interface CoreRules<Message> {
  readonly framing: Framing<Message>;
  readonly limits: CoreLimits;
}

/** What both ends agreed on in the handshake. Fixed for the life of the session, but for the two times, which a resume may renew. */
export interface CoreTerms {
  readonly role: 'dial' | 'accept';
  readonly window: number;
  readonly peerWindow: number;
  readonly heartbeatMs: number;
  readonly holdMs: number;
  /** Largest ticket that the accepting side writes. Default 0: it writes none. */
  readonly ticketBytes?: number;
}

export class SessionCore<Message> implements FrameSink {
  readonly role: 'dial' | 'accept';
  readonly #rules: CoreRules<Message>;
  readonly ticketBytes: number;
  readonly inbound: Inbound<Message>;
  readonly outbound: Outbound<Message>;
  holdMs: number;
  /** Added to the hold time by the dialing side, which gives up later than the accepting side expires. */
  readonly #holdExtraMs: number;

  // -- identity of the circuits (PROTOCOL.md: generation and instance)
  generation = 1;
  instance = 1;
  /** Serial number of the current circuit in this process. */
  circuit = 0;

  #state: CoreState = 'detached';
  // None as long as nothing out of the ordinary has happened.
  #met: Incidents | null = null;
  // None between frames while the session is idle.
  #reader: FrameReader | null = null;
  readonly #live: Liveness;
  // None while the session is idle and nothing is due.
  #due: Control<Message> | null = null;
  #credit = 0;
  /** The socket of the current circuit holds no bytes of ours, so acked memory may be used again. Set by the shell before every input. */
  recyclable = false;

  constructor(rules: CoreRules<Message>, terms: CoreTerms, holdExtraMs: number) {
    this.role = terms.role;
    this.#rules = rules;
    this.holdMs = terms.holdMs;
    this.#holdExtraMs = holdExtraMs;
    this.ticketBytes = terms.ticketBytes ?? 0;
    this.inbound = new Inbound(rules, terms.window, this.#takesTickets());
    this.outbound = new Outbound(rules, terms.peerWindow);
    this.#live = new Liveness(terms.heartbeatMs, rules.limits.writeStallMs);
  }

  // ---------------------------------------------------------------- what the shell looks at after every input

  get framing(): Framing<Message> {
    return this.#rules.framing;
  }

  get limits(): CoreLimits {
    return this.#rules.limits;
  }

  get state(): CoreState {
    return this.#state;
  }

  /** Why the session ended; undefined after a clean end, and before any. */
  get cause(): SessionError | undefined {
    return this.incidents.cause;
  }

  /** Why the circuit must go. The session stays. */
  get fault(): SessionError | null {
    return this.incidents.fault;
  }

  /** What it has met so far beside its two streams. */
  get incidents(): Readonly<Incidents> {
    return this.#met ?? NO_INCIDENTS;
  }

  get deadlines(): Deadlines {
    return this.#live;
  }

  /** Smoothed round trip in milliseconds; NaN before it was measured. */
  get rttMs(): number {
    return this.#live.rttMs;
  }

  #takesTickets(): boolean {
    return this.role === 'dial' && this.ticketBytes > 0;
  }

  get heartbeatMs(): number {
    return this.#live.heartbeatMs;
  }

  get attached(): boolean {
    return this.#state === 'attached' || this.#state === 'finishing';
  }

  /** True when transmit() has something for the circuit now. */
  get wantsTransmit(): boolean {
    if (this.#state === 'detached' || this.#state === 'lingering') return false;
    return this.#due?.due === true || (this.outbound.pending && this.#state !== 'closed');
  }

  /** True when transmit() has more to say than messages, for which their peer need not wait. */
  get urgent(): boolean {
    return this.#due?.due === true || this.outbound.fin >= 0 || this.outbound.ticket !== null;
  }

  // ---------------------------------------------------------------- circuits

  /**
   * A handshake passed. `theirs`: what the peer told. `told`: what this side told it, perhaps a while ago.
   * This side writes from max(what the peer received, `from`) on.
   */
  circuitUp(theirs: Positions, told: Positions, from: number, now: number): void {
    this.#enter('circuitUp');
    this.circuit++;
    this.#met?.circuitUp();
    this.#reader = null;
    this.inbound.dropUncovered();
    const outbound = this.outbound;
    outbound.rewind(Math.max(theirs.received, from));
    this.applyFinals(theirs, false);
    this.inbound.ackTold = told.acked;
    this.inbound.limitTold = Math.max(this.inbound.limitTold, told.limit);
    this.#control().reset();
    // A CONFIRM that never left is made up for by the RESUME that made this circuit.
    if (this.circuit > 1) this.#control().confirm = null;
    this.#control().ackDue = this.inbound.acked > told.acked;
    this.#control().closeDue = this.#state === 'finishing';
    this.#live.circuitUp(now);
    this.#judgeDone();
  }

  /** The circuit is gone; `orderly`: by the peer's FIN. Whatever its socket still held may be lost; the replay has it. */
  circuitLost(orderly: boolean, now: number, _cause?: SessionError): void {
    if (!this.attached) return;
    // The peer ended its half behind our CLOSE(UNREAD): it has read it, and is not asked again.
    const heard = orderly && this.#state === 'finishing' && this.closeCode !== CloseCode.CLEAN && !this.#control().closeDue;
    this.#enter('circuitLost');
    this.#frames().stop();
    if (heard) return this.#end(this.cause);
    this.#live.detached(now + this.holdMs + this.#holdExtraMs);
  }

  /** A resume may renew the times that both ends agreed on. */
  renew(heartbeatMs: number, holdMs: number): void {
    this.#live.heartbeatMs = heartbeatMs;
    this.holdMs = holdMs;
  }

  /** While a resume with a good MAC waits for its verdict, the session does not expire. */
  pauseHold(paused: boolean, now: number): void {
    if (this.#state === 'detached' || this.#state === 'lingering') this.#live.pauseHold(paused, now);
  }

  /** The code that the session ended with, this side's or the peer's. */
  get closeCode(): CloseCode {
    return this.incidents.peerCode ?? this.#due?.closeCode ?? CloseCode.CLEAN;
  }

  /** A session fresh from a record waits for its first circuit here. */
  waitForResume(now: number): void {
    this.#live.detached(now + this.holdMs + this.#holdExtraMs);
  }

  /** The dialing side gives the frame that must come first on a new session's circuit. */
  confirmWith(mac: Buffer): void {
    this.#control().confirm = mac;
  }

  /**
   * DATA and END for behind a RESUME, as one buffer: only if all of base…sent fits, since else most of it would be sent twice.
   * @param newBytes whether bytes that no circuit has carried may be in it. @returns the bytes and the offset behind them
   */
  earlyData(newBytes: boolean): { readonly bytes: Buffer; readonly end: number } {
    return this.outbound.earlyData(newBytes, MAX_EARLY_DATA_BYTES);
  }

  /** Positions for RESUME and RESUMED, as of this instant. */
  positions(sent: number = this.outbound.sent): Positions {
    const { available: received, acked, limit } = this.inbound;
    return { received, acked, limit, base: this.outbound.base, sent };
  }

  /** Checks a resume's positions both ways; a text with the numbers where bytes are missing. Changes nothing. */
  judge(theirs: Positions): string | null {
    return judgePositions(this.positions(), this.outbound.peerLimit, theirs);
  }

  /** Takes the peer's `acked` from a handshake flight: as a last ACK, and as an exact count when the flight is final. */
  applyFinals(positions: Positions, exact: boolean): void {
    const outbound = this.outbound;
    if (positions.acked > outbound.peerAcked && positions.acked <= outbound.sent) outbound.confirm(positions.acked, false, this.circuit);
    if (positions.limit > outbound.peerLimit) outbound.peerLimit = positions.limit;
    // Above `sent`: another process has gone on from where this one's record was. How much of it was this one's cannot be told.
    if (exact && positions.acked <= outbound.sent) this.#incident().finalsExact = true;
  }

  /** Bare mode: the application is slow, and the socket must wait. A resumable circuit is never paused: that would hide its ACKs. */
  get wantsPause(): boolean {
    return false;
  }

  /** Bare mode: everything up to the end was written, and TCP's own half-close is due. */
  get halfCloses(): boolean {
    return false;
  }

  // ---------------------------------------------------------------- bytes in

  /** Reads chunk[at, end) of the current circuit. @returns the index reached: call again with the rest when it is less than the end. */
  receive(chunk: Buffer, at: number, now: number): number {
    this.heard(now);
    const reader = this.#frames();
    const reached = reader.read(chunk, at, chunk.length);
    this.settle(now);
    if (this.inbound.idle && reader.between) this.#reader = null;
    return reached;
  }

  #control(): Control<Message> {
    this.#due ??= new Control(this.inbound, this.outbound, this.#live);
    return this.#due;
  }

  #incident(): Incidents {
    this.#met ??= new Incidents();
    return this.#met;
  }

  #frames(): FrameReader {
    this.#reader ??= new FrameReader(this, this.#takesTickets() ? this.ticketBytes : 0);
    return this.#reader;
  }

  /** Bytes came: the circuit is alive. */
  protected heard(now: number): void {
    this.#live.heardMs = now;
  }

  onData(bytes: Buffer, start: number, end: number, offset: number): void {
    if (this.#state === 'closed') return;
    const { received } = this.inbound;
    const rule = this.inbound.data(bytes, start, end, offset);
    if (rule !== null) return this.onFault(rule);
    if (this.inbound.received > received && this.#credit < this.limits.controlBurst) this.#credit++;
  }

  onControl(type: number, bytes: Buffer, start: number, length: number): void {
    const rule = this.#frame(type, bytes, start, length);
    if (rule !== null) this.onFault(rule);
  }

  /** The circuit broke a rule. Three such circuits in a row, with no byte of progress between, end the session. */
  onFault(rule: string): void {
    this.#frames().stop();
    const fault = new SessionError('ERR_PROTOCOL', rule);
    if (this.#incident().broken(fault, this.inbound.received + this.outbound.peerAcked)) this.fail(CloseCode.PROTOCOL, fault);
  }

  #frame(type: number, bytes: Buffer, start: number, length: number): string | null {
    switch (type) {
      case Frame.ACK:
        return length === 16 ? this.#onAck(bytes, start) : `F-5: an ACK of ${length} bytes`;
      case Frame.END:
      case Frame.SYNC:
      case Frame.SUPERSEDED:
      case Frame.DISCARD:
        return length === 8 ? this.#onOffset(type, readU64(bytes, start)) : `F-5: a frame of type ${type} with ${length} bytes`;
      case Frame.PING:
        if (length !== 8) return `F-5: a PING of ${length} bytes`;
        this.#control().pinged(bytes, start);
        return this.#charge();
      case Frame.PONG:
        if (length !== 8) return `F-5: a PONG of ${length} bytes`;
        this.#live.pong(readU32(bytes, start + 4), this.#live.heardMs);
        return this.#charge();
      case Frame.TICKET:
        return this.inbound.cover(bytes, start, length);
      case Frame.CLOSE:
        return this.#onClose(bytes, start, length);
      case Frame.DRAIN:
        return this.#onDrain(bytes, start, length);
      default:
        if (type >= FIRST_IGNORABLE_FRAME) return this.#charge();
        return `F-4: frame type ${type} has no place here`;
    }
  }

  #onAck(bytes: Buffer, start: number): string | null {
    const outbound = this.outbound;
    const acked = readU64(bytes, start);
    const limit = readU64(bytes, start + 8);
    if (acked < 0 || limit < 0) return 'F-1: an offset above 2^53-1';
    if (this.#state === 'closed') return null;
    const advances = acked > outbound.peerAcked || limit > outbound.peerLimit;
    const rule = outbound.ack(acked, limit, this.recyclable, this.circuit);
    if (rule !== null) return rule;
    const waited = outbound.syncWanted >= 0;
    if (outbound.syncOut < 0 && (waited || this.#due !== null)) this.#control().syncDue = waited;
    return advances ? null : this.#charge();
  }

  #onOffset(type: number, offset: number): string | null {
    if (offset < 0) return 'F-1: an offset above 2^53-1';
    if (this.#state === 'closed') return null;
    if (type === Frame.END) return this.inbound.end(offset);
    if (type === Frame.SYNC) {
      const advances = offset > this.inbound.syncBelow && offset > this.inbound.ackTold;
      this.inbound.syncBelow = Math.max(this.inbound.syncBelow, offset);
      return advances ? null : this.#charge();
    }
    if (type === Frame.DISCARD) {
      this.#incident().peerDiscards = true;
      return this.#charge();
    }
    if (this.role === 'accept') return 'F-6: SUPERSEDED from the dialing side';
    this.#incident().supersededBy = offset;
    return null;
  }

  #onDrain(bytes: Buffer, start: number, length: number): string | null {
    if (this.role === 'accept') return 'F-6: DRAIN from the dialing side';
    if (length < 9) return `F-5: a DRAIN of ${length} bytes`;
    this.#incident().drainNotice = readDrain(bytes, start, length);
    return this.#charge();
  }

  #onClose(bytes: Buffer, start: number, length: number): string | null {
    if (length < 2) return `F-5: a CLOSE of ${length} bytes`;
    const code = readU16(bytes, start);
    const incidents = this.#incident();
    incidents.peerClosed = true;
    this.#frames().stop();
    if (this.#state === 'closed') return null;
    if (code !== CloseCode.CLEAN) {
      incidents.finalsExact = true;
      incidents.peerCode = knownCloseCode(code);
      this.#end(closeError(code, bytes.subarray(start + 2, start + length)));
      return null;
    }
    // Judge first: the ACK that makes this side done may stand right in front of the CLOSE.
    this.inbound.settle();
    this.#judgeDone();
    if (this.#state === 'finishing') this.#end(this.cause);
    else if (!this.#isClosed()) return 'C-3: CLOSE(0) before both ENDs were acked';
    return null;
  }

  /** Charges a frame that moves nothing forward. DATA pays for as many: who asks for an ACK that is on its way only lost a race. */
  #charge(): string | null {
    if (this.#credit > 0) {
      this.#credit--;
      return null;
    }
    const { controlPerSecond, controlBurst } = this.limits;
    if (this.#live.charge(controlPerSecond, controlBurst)) return null;
    return `F-7: more than ${controlPerSecond} frames a second that advance nothing`;
  }

  // ---------------------------------------------------------------- the application's side

  /** Encodes one message. Throws with nothing taken. @returns false when the application should wait for drain. */
  send(message: Message, lend: boolean): boolean {
    this.assertWritable();
    return this.outbound.send(message, lend);
  }

  /** @throws SessionError ERR_CLOSED, ERR_ENDED where nothing can be sent any more */
  assertWritable(): void {
    if (this.#state === 'closed' || this.outbound.fin >= 0) throw sentTooLate(this.#state === 'closed', this.cause);
  }

  /** No more messages: END takes the next offset. */
  end(now: number): void {
    if (this.#state === 'closed' || this.outbound.fin >= 0) return;
    this.outbound.fin = this.outbound.dataEnd;
    this.settle(now);
  }

  /** Someone waits until the peer has consumed everything written so far. @returns the offset to wait for. */
  sync(): number {
    const outbound = this.outbound;
    const end = outbound.end;
    if (outbound.peerAcked >= end) return end;
    outbound.syncWanted = Math.max(outbound.syncWanted, end);
    if (outbound.syncOut < 0) this.#control().syncDue = true;
    return end;
  }

  /** Nobody will read any more: inbound bytes are thrown away and never acked. */
  discard(now: number): void {
    this.inbound.discard();
    this.settle(now);
  }

  /** Brings acks and the end up to date after messages were consumed or frames read. */
  settle(now: number): void {
    if (this.#state === 'closed') return;
    const inbound = this.inbound;
    if (inbound.settle()) {
      if (inbound.acked - inbound.ackTold >= inbound.window / 4 || inbound.ended) this.#control().ackDue = true;
      else if (this.deadlines.at(Deadline.ACK) === Infinity && this.attached)
        this.deadlines.set(Deadline.ACK, now + this.limits.ackDelayMs);
    }
    if (inbound.syncBelow >= 0 && inbound.acked >= inbound.syncBelow) {
      inbound.syncBelow = -1;
      this.#control().ackDue = true;
    }
    if (inbound.discardedBytes > 0 && !this.#incident().discardTold) {
      this.#incident().discardTold = true;
      this.#control().discardDue = this.attached;
    }
    const error = inbound.streamError;
    if (error !== null) this.fail(CloseCode.FRAMING, error);
    else this.#judgeDone();
  }

  /** The accepting side asks the dialing side to go elsewhere, or its application to wind down. */
  drain(notice: DrainNotice): void {
    if (this.#state !== 'closed') this.#control().drain = notice;
  }

  /** Ends the session at once with a code for the peer and an error for the application. */
  fail(code: CloseCode, error: SessionError, reason = ''): void {
    if (this.#state === 'closed') return;
    // The last ACK is exact: it counts what a handler consumed in the turn that ends here.
    this.inbound.settle();
    // Without a circuit too: one may be on its way, made for this session before it failed.
    this.#control().close(code, true, reason);
    this.#end(error);
  }

  /** close() does not wait any longer: a side that is done ends as it is, another one fails. */
  timeout(error: SessionError): void {
    if (this.#state === 'finishing' || this.#state === 'lingering') this.#end(this.cause);
    else this.fail(CloseCode.TIMEOUT, error);
  }

  /** An authenticated answer says that the peer ended it: `acked` counts as a last ACK, then this side judges whether it is done. */
  concluded(finals: Positions | undefined, error: SessionError): void {
    if (finals !== undefined) this.applyFinals(finals, true);
    if (this.#state === 'closed') return;
    this.#judgeDone();
    this.#end(this.#state === 'finishing' || this.#state === 'lingering' ? this.cause : error);
  }

  // ---------------------------------------------------------------- time

  /** @param queuedBytes what the circuit's socket holds and the kernel has not taken */
  tick(now: number, queuedBytes: number): void {
    const live = this.#live;
    if (live.due(Deadline.ACK, now)) {
      live.clear(Deadline.ACK);
      this.#control().ackDue = true;
    }
    if (live.due(Deadline.HEARTBEAT, now) && live.heartbeat(now)) this.#quiet(now);
    if (live.due(Deadline.LIVENESS, now)) {
      const verdict = live.liveness(now);
      if (verdict === 'ask') this.#control().pingDue = true;
      else if (verdict !== null) this.#incident().fault = verdict;
    }
    if (live.due(Deadline.WRITE_STALL, now)) {
      const stalled = live.writeStall(queuedBytes, now);
      if (stalled !== null) this.#incident().fault = stalled;
    }
    if (live.due(Deadline.HOLD, now) && live.held(this.holdMs, now)) this.#expire();
  }

  /** The shell wrote; its socket holds so many bytes that the kernel has not taken. */
  queued(bytes: number, now: number): void {
    this.#live.queued(bytes, now);
  }

  /** Nothing was written for a heartbeat: the peer must hear something, and an idle session gives memory back. */
  #quiet(now: number): void {
    this.#control().ackDue = true;
    if (this.#live.overdue(now)) this.#control().pingDue = true;
    this.inbound.rest();
    this.outbound.rest();
  }

  #expire(): void {
    if (this.role === 'accept') this.#end(new SessionError('ERR_EXPIRED', `detached for ${this.holdMs} ms`));
    else if (this.#state === 'lingering' && this.closeCode === CloseCode.CLEAN) this.#end(undefined);
    else this.#end(new SessionError('ERR_GAVE_UP', `no circuit for ${this.holdMs + this.#holdExtraMs} ms`));
  }

  // ---------------------------------------------------------------- bytes out

  /**
   * Pushes what the circuit should carry now, as few buffers as possible.
   * @param budget bytes that the socket may still queue @param full only full blocks: an open one waits for more. @returns bytes pushed
   */
  transmit(out: Buffer[], budget: number, now: number, full = false): number {
    if (budget <= 0 || this.#state === 'detached' || this.#state === 'lingering') return 0;
    if (!full) this.outbound.seal();
    const { inbound, outbound } = this;
    const control = this.#control();
    const open = this.#state !== 'closed';
    const ackNews = control.ackDue || inbound.acked > inbound.ackTold;
    const head = control.headFor(open && (control.ackDue || outbound.pending));
    let bytes = 0;
    let carried = -1;
    if (ackNews && head === 0 && open && outbound.carriesAck) {
      carried = inbound.acked;
      control.ackWritten();
    } else if (head > 0 || control.ackDue || (ackNews && open && outbound.pending)) {
      bytes = control.putHead(out, head, ackNews, now);
    }
    if (!control.ackDue && inbound.acked === inbound.ackTold) this.#live.clear(Deadline.ACK);
    if (open) bytes += outbound.transmit(out, budget - bytes, this.circuit, carried, inbound.limitTold);
    if (outbound.spoilt)
      this.fail(CloseCode.APPLICATION, new SessionError('ERR_APPLICATION', 'a payload lent to send() was changed before it was acked'));
    // Behind all DATA, or not yet: END waits for the last byte, and CLOSE is only due when nothing else is.
    if (open) bytes += outbound.putMarks(out);
    bytes += control.putTail(out);
    if (inbound.idle && outbound.idle && control.idle) this.#due = null;
    if (bytes > 0) this.#live.wroteMs = now;
    return bytes;
  }

  // ---------------------------------------------------------------- the end

  /**
   * A side is done when its own END is acked and it has consumed the peer's; with unread bytes thrown away, when its END is acked.
   * Where both throw bytes away no END can be acked, and neither waits.
   */
  #judgeDone(): void {
    if (this.#state !== 'attached' && this.#state !== 'detached') return;
    const { finAcked, fin } = this.outbound;
    const unread = this.inbound.discardedBytes > 0;
    if (unread ? !finAcked && !(this.incidents.peerDiscards && fin >= 0) : !finAcked || !this.inbound.ended) return;
    this.#control().close(unread ? CloseCode.UNREAD : CloseCode.CLEAN, this.#state === 'attached');
    this.#incident().cause = unread ? unreadError(this.inbound.discardedBytes, finAcked) : undefined;
    if (this.role === 'accept') this.#end(this.cause);
    else this.#enter('done');
  }

  #end(cause: SessionError | undefined): void {
    this.#incident().cause = cause;
    this.#enter('ended');
    this.deadlines.clearAll();
  }

  #isClosed(): boolean {
    return this.#state === 'closed';
  }

  #enter(input: CoreInput): void {
    const to = next(this.#state, input);
    if (to === undefined) throw new Error(`no transition for ${input} in ${this.#state}`);
    this.#state = to;
  }
}
