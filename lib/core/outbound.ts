// Outbound half of a session: the stream the application writes, from the lowest byte not acked to the last one encoded,
// and how far each circuit and the peer have got in it.
import { SessionError } from '../errors.ts';
import type { Decoder, Encoder, Framing, FramingLimits, RangeSink } from '../framing/framing.ts';
import { Egress, LEND_MIN_BYTES } from './egress.ts';
import type { Segment } from './replay.ts';
import { ACK_FRAME_BYTES, DATA_HEADER_BYTES, Frame, MAX_DATA_BYTES, putAck, putDataHeader, putU64Frame, ticketHeader } from './wire.ts';

export interface OutboundLimits extends FramingLimits {
  readonly outboxHighWater: number;
  readonly outboxHardCap: number;
  readonly replaySegments: number;
  /** In development: notice when a lent payload was changed before it was acked. */
  readonly checkLent?: boolean;
}

/** What it needs of the core's. */
export interface OutboundRules<Message> {
  readonly framing: Pick<Framing<Message>, 'encoder'>;
  readonly limits: OutboundLimits;
}

/** State of this side, sealed for the peer to keep. */
export interface SealedTicket {
  /** End of the outputs that it covers; END counts one. */
  readonly covered: number;
  readonly bytes: Buffer;
}

/** What a store or tickets ask of the stream: most sessions have neither. */
interface Recorded {
  /** Where this process began: one that goes on from a ticket has nothing of what the peer holds and has not consumed. */
  floor: number;
  released: number;
  stepEnd: number;
  ticket: SealedTicket | null;
}

export class Outbound<Message> {
  // Shared by all sessions of a server: what differs from one to the next is kept beside it.
  readonly #rules: OutboundRules<Message>;
  #encoder: Encoder<Message> | null = null;
  // None while everything written is acked and the session is idle: most sessions are idle most of the time.
  #egress: Egress | null = null;
  /** The peer's window: no message may be larger, framing included. */
  readonly peerWindow: number = 0;
  /** Next offset to write on this circuit. */
  cursor = 0;
  /** Highest offset ever put on any circuit; END counts one. */
  sent = 0;
  peerAcked = 0;
  peerLimit = 0;
  /** Offset of our END; -1 before end(). */
  fin = -1;
  /** Bytes written again after a circuit change. */
  replayedBytes = 0;
  /** Highest offset that flushed() waits for. */
  syncWanted = -1;
  /** Offset of the SYNC in flight; -1 when none is. */
  syncOut = -1;
  /** A payload that was lent was changed: the stream cannot be sent any more. */
  spoilt = false;
  /** send() returned false and the application waits for room. */
  needDrain = false;
  #recorded: Recorded | null = null;
  // Up to this offset no limit is near. It only ever lags behind: `sent` and the base move forward.
  #ample = 0;

  constructor(rules: OutboundRules<Message>, peerWindow: number) {
    this.#rules = rules;
    this.peerWindow = peerWindow;
    this.peerLimit = peerWindow;
  }

  /** A fresh one goes on where another process was. */
  restore(base: number, sent: number, peerLimit: number): void {
    this.#record().floor = base;
    this.cursor = base;
    this.sent = sent;
    this.peerAcked = base;
    this.peerLimit = peerLimit;
  }

  /** What lies behind waits for a record that holds it. Infinity: nothing is recorded. */
  get released(): number {
    return this.#recorded === null ? Infinity : this.#recorded.released;
  }

  set released(offset: number) {
    this.#record().released = offset;
  }

  /** send() takes nothing that would end behind: what one ticket covers must fit the window. */
  get stepEnd(): number {
    return this.#recorded === null ? Infinity : this.#recorded.stepEnd;
  }

  set stepEnd(offset: number) {
    this.#record().stepEnd = offset;
  }

  /** Stands in the stream behind the last byte that it covers; null: none is due. */
  get ticket(): SealedTicket | null {
    return this.#recorded === null ? null : this.#recorded.ticket;
  }

  set ticket(ticket: SealedTicket | null) {
    if (this.#recorded !== null || ticket !== null) this.#record().ticket = ticket;
  }

  /** Where the stream is written, and what of it is not acked. */
  get egress(): Egress {
    this.#egress ??= this.#open();
    return this.#egress;
  }

  /** Everything written was acked a while ago, and what it took was given back. */
  get idle(): boolean {
    return this.#egress === null;
  }

  /** Offset behind the last byte the application has written; END counts one. */
  get end(): number {
    return this.fin >= 0 ? this.fin + 1 : this.dataEnd;
  }

  /** The same without END. */
  get dataEnd(): number {
    return this.#egress === null ? this.#ackedData() : this.#egress.end;
  }

  /** Lowest offset that can still be replayed. */
  get base(): number {
    return this.#egress === null ? this.#ackedData() : this.#egress.replay.base;
  }

  /** A block was filled since this was last set back there. */
  get filled(): boolean {
    return this.#egress?.filled === true;
  }

  /** Bytes that no circuit has carried yet. */
  get outboxBytes(): number {
    const bytes = this.dataEnd - this.sent;
    return bytes > 0 ? bytes : 0;
  }

  /** Replay and outbox together: what the hard cap counts. */
  get heldBytes(): number {
    return this.#egress === null ? 0 : this.#egress.end - this.#egress.replay.base;
  }

  /** Memory that is taken for them: the rest of the slab that is being filled counts as well. */
  get memoryBytes(): number {
    const egress = this.#egress;
    return egress === null ? 0 : this.heldBytes + (egress.buffer.length - egress.position);
  }

  /** No byte from here on may leave: the peer has no room for it, or no record holds it. */
  get frontier(): number {
    return this.peerLimit < this.released ? this.peerLimit : this.released;
  }

  /** Bytes that this circuit may carry now. */
  get sendableBytes(): number {
    const { frontier } = this;
    const end = this.dataEnd;
    return (end < frontier ? end : frontier) - this.cursor;
  }

  get finAcked(): boolean {
    return this.fin >= 0 && this.peerAcked > this.fin;
  }

  /** True when this circuit can carry something now. */
  get pending(): boolean {
    return this.finDue || this.sendableBytes > 0 || this.#ticketDue();
  }

  /** Encodes one message into the stream. Throws with nothing taken. @returns false when the application should wait for drain. */
  send(message: Message, lend: boolean): boolean {
    // Not by the getters, which V8 does not inline here: their calls are a tenth of what a small message costs.
    const egress = this.#egress === null ? this.egress : this.#egress;
    const encoder = this.#encoder === null ? this.#encode() : this.#encoder;
    const before = egress.end;
    egress.lending = lend;
    try {
      encoder.encode(message, egress);
    } catch (error) {
      // Encoders check before they write. One of an application that does not must not leave half a message in the stream.
      egress.truncate(before);
      throw error;
    }
    const after = egress.end;
    if (after > this.#ample) return this.#admit(before, after);
    return !this.needDrain;
  }

  /** Takes a message that was encoded for many sessions. Throws and returns as send() does. */
  share(parts: readonly Segment[]): boolean {
    const egress = this.egress;
    const before = egress.end;
    for (const part of parts) egress.share(part);
    const after = egress.end;
    return after > this.#ample ? this.#admit(before, after) : !this.needDrain;
  }

  /** True when waiting senders may go on: with some room, so that they do not wait again at once. */
  get drained(): boolean {
    const limits = this.#rules.limits;
    return this.outboxBytes * 2 <= limits.outboxHighWater && this.heldBytes * 2 <= limits.outboxHardCap;
  }

  /** Applies an ACK of this circuit. @returns the rule that it breaks, or null. */
  ack(acked: number, limit: number, recyclable: boolean, circuit: number): string | null {
    if (acked < this.peerAcked || acked > this.sent || limit < this.peerLimit) return this.#wrongAck(acked, limit);
    this.peerLimit = limit;
    if (acked > this.peerAcked) this.confirm(acked, recyclable, circuit);
    return null;
  }

  /** A function of its own: V8 makes the numbers of texts ready ahead of the branches that want them, for each ACK. */
  #wrongAck(acked: number, limit: number): string {
    if (acked < this.peerAcked) return `A-2: ACK ${acked} is below ${this.peerAcked}`;
    if (acked > this.sent) return `A-2: ACK ${acked} of ${this.sent} sent`;
    return `A-3: limit ${limit} is below ${this.peerLimit}`;
  }

  /** The peer has consumed everything below `acked`. */
  confirm(acked: number, recyclable: boolean, circuit: number): void {
    this.peerAcked = acked;
    const egress = this.#egress;
    if (egress !== null) {
      const bytes = this.#ackedData();
      egress.seal();
      egress.replay.free(bytes, recyclable, circuit);
      if (bytes === egress.end) egress.rest(recyclable);
    }
    if (acked >= this.syncOut) this.syncOut = -1;
    if (acked >= this.syncWanted) this.syncWanted = -1;
  }

  /** Nothing was written for a while: gives memory back that an idle session does not need. */
  rest(): void {
    if (this.heldBytes === 0) this.#egress = null;
  }

  /** The session is over: drops all bytes, sent or not; offsets stay as they are. */
  clear(): void {
    this.#egress?.clear();
  }

  /** A circuit begins at the offset that the peer has received. */
  rewind(offset: number): void {
    this.cursor = offset;
    this.ticket = null;
    this.syncOut = -1;
  }

  /** Makes everything written ready for transmit(), if anything may go out: else each flush at a closed window would leave a segment. */
  seal(): void {
    if (this.sendableBytes > 0) this.egress.seal();
  }

  /** True when transmit() could fill an ACK into the room in front of its first byte. */
  get carriesAck(): boolean {
    if (this.cursor >= this.frontier) return false;
    const segment = this.#egress?.replay.find(this.cursor);
    return segment !== undefined && segment.circuit === 0 && segment.slab !== null && segment.offset === this.cursor;
  }

  /**
   * Pushes DATA frames from the cursor on, of what is sealed. `acked` ≥ 0: fills an ACK in front (only when carriesAck).
   * @returns bytes pushed; the budget is exceeded by at most one frame
   */
  transmit(out: Buffer[], budget: number, circuit: number, acked: number, limit: number): number {
    const { frontier } = this;
    const egress = this.#egress;
    if (egress === null) return 0;
    const sealed = egress.replay.end;
    const end = sealed < frontier ? sealed : frontier;
    let bytes = 0;
    let ackBytes = acked >= 0 ? ACK_FRAME_BYTES : 0;
    while (this.cursor < end && bytes < budget) {
      const segment = egress.replay.find(this.cursor);
      if (segment === undefined) break;
      const skip = this.cursor - segment.offset;
      if (skip === 0 && !segment.intact) {
        this.spoilt = true;
        break;
      }
      const start = segment.start + skip;
      const whole = segment.end - start;
      let length = Math.min(whole, end - this.cursor, MAX_DATA_BYTES);
      // The room in front is written once: an older circuit's socket may still hold it.
      const room = skip === 0 && segment.slab !== null && segment.circuit === 0;
      if (segment.circuit === 0) segment.circuit = circuit;
      else if (segment.circuit !== circuit && segment.slab !== null) segment.slab.tainted = true;
      if (room) {
        const at = start - DATA_HEADER_BYTES;
        putDataHeader(segment.buffer, at, this.cursor, length);
        if (ackBytes > 0) putAck(segment.buffer, at - ackBytes, acked, limit);
        out.push(segment.buffer.subarray(at - ackBytes, start + length));
      } else if (segment.slab === null && whole <= LEND_MIN_BYTES) {
        length = this.#gather(out, end, circuit);
      } else {
        const header = Buffer.allocUnsafe(DATA_HEADER_BYTES);
        putDataHeader(header, 0, this.cursor, length);
        out.push(header, segment.buffer.subarray(start, start + length));
      }
      bytes += DATA_HEADER_BYTES + ackBytes + length;
      ackBytes = 0;
      this.#advance(length);
    }
    return bytes;
  }

  /** Small messages that are shared with other sessions, copied into one frame: by reference each would need a frame and a write. */
  #gather(out: Buffer[], end: number, circuit: number): number {
    const { replay } = this.egress;
    const from = this.cursor;
    const most = Math.min(end - from, GATHERED_BYTES);
    const frame = Buffer.allocUnsafe(DATA_HEADER_BYTES + most);
    let length = 0;
    while (length < most) {
      const segment = replay.find(from + length) as Segment;
      const start = segment.start + (from + length - segment.offset);
      const whole = segment.end - start;
      if (segment.slab !== null || whole > LEND_MIN_BYTES) break;
      const bytes = Math.min(whole, most - length);
      segment.buffer.copy(frame, DATA_HEADER_BYTES + length, start, start + bytes);
      segment.circuit = circuit;
      length += bytes;
    }
    putDataHeader(frame, 0, from, length);
    out.push(length === most ? frame : frame.subarray(0, DATA_HEADER_BYTES + length));
    return length;
  }

  /** Base to sent, and more while it fits, with headers, as one buffer; empty when not even that fits. Counts as put on a circuit. */
  earlyData(newBytes: boolean, bytesMax: number): { readonly bytes: Buffer; readonly end: number } {
    const egress = this.egress;
    egress.seal();
    const { base } = egress.replay;
    const dataEnd = Math.min(egress.end, this.frontier, newBytes ? Number.MAX_SAFE_INTEGER : this.sent);
    const room = bytesMax - DATA_HEADER_BYTES - END_FRAME_BYTES;
    const must = Math.min(this.sent, egress.end) - base;
    if (must > room || must > dataEnd - base) return NOTHING;
    const length = Math.min(dataEnd - base, room);
    const end = base + length;
    const fin = end === this.fin && this.released > end && (newBytes || this.sent > this.fin);
    const bytes = Buffer.allocUnsafe((length > 0 ? DATA_HEADER_BYTES + length : 0) + (fin ? END_FRAME_BYTES : 0));
    if (bytes.length === 0) return NOTHING;
    let at = 0;
    if (length > 0) {
      at = putDataHeader(bytes, 0, base, length);
      egress.replay.slice(base, end).copy(bytes, at);
      at += length;
    }
    if (fin) putU64Frame(bytes, at, Frame.END, this.fin);
    const after = fin ? end + 1 : end;
    this.replayedBytes += Math.max(0, Math.min(this.sent, after) - base);
    if (after > this.sent) this.sent = after;
    return { bytes, end: after };
  }

  /** True when END is the next thing that this circuit has to carry. */
  get finDue(): boolean {
    return this.fin >= 0 && this.cursor === this.fin && this.released > this.fin;
  }

  /** Pushes what stands behind the DATA so far: END, and a ticket. @returns bytes pushed */
  putMarks(out: Buffer[]): number {
    let bytes = 0;
    if (this.finDue) {
      const end = Buffer.allocUnsafe(END_FRAME_BYTES);
      bytes += putU64Frame(end, 0, Frame.END, this.fin);
      out.push(end);
      this.#advance(1);
    }
    if (!this.#ticketDue()) return bytes;
    const { covered, bytes: ticket } = this.ticket as SealedTicket;
    const header = ticketHeader(covered, ticket.length);
    out.push(header, ticket);
    this.ticket = null;
    return bytes + header.length + ticket.length;
  }

  #ticketDue(): boolean {
    return this.ticket !== null && this.cursor >= this.ticket.covered;
  }

  /** What the peer has not acked. Its messages are cut when they are asked for: there may be millions, and most errors are only logged. */
  unconfirmed(decoder: Decoder<Message>): { readonly messages: readonly Message[]; readonly bytes: number } {
    const egress = this.egress;
    egress.seal();
    const from = Math.min(Math.max(this.peerAcked, egress.replay.base), egress.end);
    const parts = egress.replay.leave(from, egress.end);
    let messages: readonly Message[] | undefined;
    return {
      bytes: egress.end - from,
      get messages() {
        messages ??= messagesIn(parts, decoder);
        return messages;
      },
    };
  }

  /** Holds a message against all limits. @returns false when the application should wait. @throws where there is no room at all */
  #admit(before: number, after: number): boolean {
    const limits = this.#rules.limits;
    const { base } = this.egress.replay;
    const most = Math.min(Number.MAX_SAFE_INTEGER - 1, this.stepEnd);
    if (after - base > limits.outboxHardCap || after - before > this.peerWindow || after > most) this.#refuse(before, after);
    this.#ample = Math.min(most, this.sent + limits.outboxHighWater, base + limits.outboxHardCap / 2, base + this.peerWindow);
    if (after - this.sent > limits.outboxHighWater || (after - base) * 2 > limits.outboxHardCap) this.needDrain = true;
    return !this.needDrain;
  }

  /** Offset behind the last byte that the peer has consumed, without END. */
  #ackedData(): number {
    const acked = this.fin >= 0 && this.peerAcked > this.fin ? this.fin : this.peerAcked;
    return this.#recorded === null ? acked : Math.max(acked, this.#recorded.floor);
  }

  /** Everything written before is acked. */
  #open(): Egress {
    const egress = new Egress(this.#rules.limits.replaySegments, this.#rules.limits.checkLent);
    egress.begin(this.#ackedData());
    return egress;
  }

  #encode(): Encoder<Message> {
    this.#encoder = this.#rules.framing.encoder(this.#rules.limits);
    return this.#encoder;
  }

  #record(): Recorded {
    this.#recorded ??= { floor: 0, released: Infinity, stepEnd: Infinity, ticket: null };
    return this.#recorded;
  }

  #advance(bytes: number): void {
    const fresh = Math.max(0, this.cursor + bytes - Math.max(this.cursor, this.sent));
    this.replayedBytes += bytes - fresh;
    this.cursor += bytes;
    if (this.cursor > this.sent) this.sent = this.cursor;
  }

  #refuse(before: number, after: number): never {
    const bytes = after - before;
    this.egress.truncate(before);
    if (bytes > this.peerWindow) {
      throw new SessionError('ERR_MESSAGE_TOO_LARGE', `a message of ${bytes} bytes does not fit the peer's window of ${this.peerWindow}`);
    }
    if (after > Number.MAX_SAFE_INTEGER - 1) throw new SessionError('ERR_EXHAUSTED', `offset ${before} plus ${bytes} bytes`);
    if (after > this.stepEnd) {
      const what = `${bytes} bytes, and what else is sent between two boundaries, must fit half of the peer's window of ${this.peerWindow}`;
      throw new SessionError(bytes * 2 > this.peerWindow ? 'ERR_MESSAGE_TOO_LARGE' : 'ERR_BUFFER_FULL', what);
    }
    this.needDrain = true;
    throw new SessionError(
      'ERR_BUFFER_FULL',
      `a message of ${bytes} bytes on top of ${this.heldBytes} exceeds outboxHardCap ${this.#rules.limits.outboxHardCap}`,
    );
  }
}

const END_FRAME_BYTES = 12;
/** What the shell joins into one write. */
const GATHERED_BYTES = 16_384;
const NOTHING: { readonly bytes: Buffer; readonly end: number } = { bytes: Buffer.alloc(0), end: 0 };

function messagesIn<Message>(parts: readonly Buffer[], decoder: Decoder<Message>): readonly Message[] {
  const messages: Message[] = [];
  const sink: RangeSink = {
    range(buffer, start, end) {
      messages.push(decoder.message(buffer, start, end));
      return true;
    },
  };
  try {
    for (const part of parts) decoder.decode(part, 0, part.length, sink);
  } catch {
    // A peer may have acked half a message; then what is left cannot be cut. The count in bytes still tells of it.
  }
  return messages;
}
