// Inbound half of a session: offsets of what arrived, what the application has consumed, and what the peer may still send.
// One number, `acked`, frees the peer's replay, opens its window, and is the exactly-once cursor.
import { SessionError } from '../errors.ts';
import type { Decoder, Framing, FramingLimits } from '../framing/framing.ts';
import { Inbox } from './inbox.ts';
import { readU64, TICKET_HEADER_BYTES } from './wire.ts';
import { Withheld } from './withheld.ts';

/** What it needs of the core's. */
export interface InboundRules<Message> {
  readonly framing: Pick<Framing<Message>, 'decoder'>;
  readonly limits: FramingLimits;
}

/** What a store or tickets ask of the stream: most sessions have neither. */
interface Recorded {
  released: number;
  passOver: number;
  consumedOne: () => void;
}

export class Inbound<Message> {
  readonly window: number = 0;
  readonly #rules: InboundRules<Message>;
  // Made for the first byte, and kept: what it has seen may count for what follows.
  #decoder: Decoder<Message> | null = null;
  // None while everything that came is consumed and the session is idle: most sessions are idle most of the time.
  #inbox: Inbox<Message> | null = null;
  /** Offset behind the last byte taken in order; END counts one. */
  received = 0;
  /** Offset behind the last message consumed, or `received` when nothing is held or in progress. Never moves back. */
  acked = 0;
  /** `acked` as last written to the circuit. */
  ackTold = 0;
  /** The largest limit ever told to the peer: DATA beyond it is a protocol error. */
  limitTold = 0;
  /** Offset of the peer's END; -1 before it came. */
  peerEnd = -1;
  /** The peer asked for an ACK once everything below is consumed; -1 when it does not wait. */
  syncBelow = -1;
  /** Bytes that came twice and were trimmed. */
  duplicateBytes = 0;
  /** A message was handed out and is not consumed yet. */
  inProgress = false;
  /** Bytes thrown away unread and unacked, once close() found no consumer. */
  discardedBytes = 0;
  /** Bytes that wait for a ticket; null: the peer seals none. */
  readonly withheld: Withheld | null;
  #recorded: Recorded | null = null;
  #consumed = 0;
  #discarding = false;

  constructor(rules: InboundRules<Message>, window: number, withholds: boolean = false) {
    this.#rules = rules;
    this.window = window;
    this.withheld = withholds ? new Withheld(0) : null;
    this.limitTold = window;
  }

  /** A fresh one begins where another process had consumed everything. */
  restore(acked: number, peerEnd: number): void {
    this.received = acked;
    this.acked = acked;
    this.ackTold = acked;
    this.limitTold = this.limit;
    this.#consumed = acked;
    this.peerEnd = peerEnd;
    if (this.withheld !== null) this.withheld.covered = acked;
  }

  /** `acked` waits here for a record that says so to be stored. Infinity: nothing is recorded. */
  get released(): number {
    return this.#recorded === null ? Infinity : this.#recorded.released;
  }

  set released(offset: number) {
    this.#record().released = offset;
  }

  /** Messages up to here were consumed in an earlier life, as the application itself has recorded; 0 when there are none. */
  get passOver(): number {
    return this.#recorded === null ? 0 : this.#recorded.passOver;
  }

  set passOver(offset: number) {
    this.#record().passOver = offset;
  }

  /** Called behind each message, where a boundary may be due before the reader has done with the others that wait. */
  set consumedOne(listener: () => void) {
    this.#record().consumedOne = listener;
  }

  /** What came and was not handed out. */
  get inbox(): Inbox<Message> {
    this.#inbox ??= this.#open();
    return this.#inbox;
  }

  /** Nothing waits, and nothing is in progress. */
  get idle(): boolean {
    return this.#inbox === null;
  }

  /** Offset behind the message handed out last. */
  get endOffset(): number {
    return this.#inbox === null ? Math.min(this.#consumed, this.#dataEnd(this.available)) : this.#inbox.endOffset;
  }

  /** Offset behind the last byte taken in order, without END. */
  get dataEnd(): number {
    return this.#dataEnd(this.received);
  }

  /** End of what the application may have: everything that came, or what a ticket covers. */
  get available(): number {
    return this.withheld === null ? this.received : this.withheld.covered;
  }

  /** What the peer may send up to: it never shrinks, because neither `acked` nor the window does. */
  get limit(): number {
    // The last offset is left for END (S-9).
    return Math.min(this.acked + this.window, Number.MAX_SAFE_INTEGER - 1);
  }

  get ended(): boolean {
    return this.peerEnd >= 0 && this.acked > this.peerEnd;
  }

  /** A fault of the framing that everything in front of has been handed out of. */
  get streamError(): SessionError | null {
    const inbox = this.#inbox;
    // `ready` decodes on where bytes wait, so that a fault in them is not left for the next chunk to find.
    if (inbox === null || this.inProgress || inbox.ready) return null;
    return inbox.error ?? this.#truncated(inbox);
  }

  /** True once a fault lies in the bytes taken, even if messages in front of it still wait. */
  get faulty(): boolean {
    return this.#inbox !== null && this.#inbox.error !== null;
  }

  /** Takes a piece of the stream. @returns the rule that it breaks, or null. */
  data(bytes: Buffer, start: number, end: number, offset: number): string | null {
    const length = end - start;
    let skip = this.received - offset;
    if (skip < 0) return `S-2: DATA at ${offset} leaves a gap behind ${this.received}`;
    if (this.peerEnd >= 0 && offset + length > this.peerEnd) return `S-6: DATA behind END at ${this.peerEnd}`;
    if (skip > length) skip = length;
    this.duplicateBytes += skip;
    if (skip === length) return null;
    if (offset + length > this.limitTold) return `S-4: DATA up to ${offset + length} exceeds the limit ${this.limitTold}`;
    this.received = offset + length;
    // Offsets may be doubles; an index never is, and V8 is told so.
    const from = (start + skip) | 0;
    if (this.#discarding) this.discardedBytes += length - skip;
    else if (this.withheld !== null) this.withheld.take(bytes, from, end);
    else this.inbox.take(bytes, from, end);
    if (this.#recorded !== null && this.#recorded.passOver > 0) this.#passOver(this.#recorded);
    return null;
  }

  /** Takes the peer's END. @returns the rule that it breaks, or null. */
  end(offset: number): string | null {
    if (this.peerEnd >= 0) return offset === this.peerEnd ? null : `S-6: END at ${offset} after END at ${this.peerEnd}`;
    if (offset !== this.received) return `S-6: END at ${offset}, while ${this.received} bytes came`;
    this.peerEnd = offset;
    this.received = offset + 1;
    return null;
  }

  /** Takes the peer's TICKET: what it covers is the application's now. @returns the rule that it breaks, or null. */
  cover(frame: Buffer, start: number, length: number): string | null {
    const withheld = this.withheld as Withheld;
    const covered = readU64(frame, start);
    if (covered < 0) return 'F-1: an offset above 2^53-1';
    if (covered < withheld.covered || covered > this.received)
      return `E-3: a ticket for ${covered} behind one for ${withheld.covered}, while ${this.received} bytes came`;
    const bytes = this.#dataEnd(covered) - this.#dataEnd(withheld.covered);
    withheld.ticket = Buffer.from(frame.subarray(start + TICKET_HEADER_BYTES, start + length));
    withheld.covered = covered;
    for (const part of withheld.release(bytes)) this.inbox.take(part, 0, part.length);
    return null;
  }

  /** A new circuit begins: what no ticket covers may be of a life that its server has forgotten. */
  dropUncovered(): void {
    if (this.withheld === null) return;
    const { covered } = this.withheld;
    if (this.#discarding) this.discardedBytes -= this.#dataEnd(this.received) - this.#dataEnd(covered);
    if (this.peerEnd >= covered) this.peerEnd = -1;
    this.received = covered;
    this.withheld.clear();
  }

  /** Goes back to what a ticket of the peer says was consumed: nothing more may be acked before it has a newer one. */
  rewind(acked: number): void {
    this.acked = acked;
    this.released = acked;
  }

  /** Moves to the next message; false when none is ready. A message in progress is still in progress. */
  next(): boolean {
    if (this.#inbox === null || !this.#inbox.next()) return false;
    this.inProgress = true;
    return true;
  }

  /** The message of a range that the inbox has shown. @throws where its bytes are none */
  message(buffer: Buffer, start: number, end: number): Message {
    return (this.#decoder as Decoder<Message>).message(buffer, start, end);
  }

  /** The message handed out last, and all before it, have been consumed. */
  consume(): void {
    this.inProgress = false;
    // Once a message, and one was handed out: no need to ask.
    this.#consumed = (this.#inbox as Inbox<Message>).endOffset;
    if (this.#recorded !== null) this.#recorded.consumedOne();
  }

  /** End of what was consumed, recorded or not. */
  get cursor(): number {
    const inbox = this.#inbox;
    const quiet = !this.inProgress && this.discardedBytes === 0 && (inbox === null || (inbox.error === null && inbox.empty));
    return quiet ? this.available : this.#consumed;
  }

  /** Brings `acked` up to date. @returns whether it moved. */
  settle(): boolean {
    const before = this.acked;
    const { cursor, released } = this;
    const acked = cursor < released ? cursor : released;
    if (acked > before) this.acked = acked;
    return this.acked > before;
  }

  /** Nobody will read: what waits and what still comes is thrown away and never acked. */
  discard(): void {
    if (this.#discarding) return;
    // What was consumed up to here is acked all the same.
    this.#consumed = this.cursor;
    this.settle();
    this.#discarding = true;
    const from = this.inProgress ? this.#consumed : this.endOffset;
    const waiting = this.inProgress || this.#inbox?.empty === false || this.received > this.available;
    if (waiting) this.discardedBytes += this.dataEnd - Math.max(from, this.acked);
    this.clear();
    this.withheld?.clear();
  }

  /** Drops what was not handed out, for good. @returns how many whole messages that were, counted when it is called */
  clear(): () => number {
    return this.#inbox === null ? none : this.#inbox.clear();
  }

  /** The reader had its turn at what came: see Inbox.own(). */
  own(): void {
    this.#inbox?.own();
  }

  /** Nothing was written for a while: gives memory back that an idle session does not need. */
  rest(): void {
    const inbox = this.#inbox;
    if (inbox === null) return;
    const done = !this.inProgress && inbox.error === null && inbox.empty && inbox.endOffset === this.#dataEnd(this.available);
    if (done) this.#inbox = null;
    else inbox.rest();
  }

  get discarding(): boolean {
    return this.#discarding;
  }

  /** Bytes of the stream below an offset: END takes one and has none. */
  #dataEnd(offset: number): number {
    return this.peerEnd >= 0 && offset > this.peerEnd ? this.peerEnd : offset;
  }

  /** One that begins behind what was consumed: that was everything. */
  #open(): Inbox<Message> {
    this.#decoder ??= this.#rules.framing.decoder(this.#rules.limits);
    const inbox = new Inbox(this.#decoder);
    inbox.begin(this.endOffset);
    return inbox;
  }

  #passOver(recorded: Recorded): void {
    const { inbox } = this;
    while (inbox.endOffset < recorded.passOver && inbox.next()) this.#consumed = inbox.endOffset;
    if (inbox.endOffset >= recorded.passOver) recorded.passOver = 0;
  }

  #record(): Recorded {
    this.#recorded ??= { released: Infinity, passOver: 0, consumedOne: nothing };
    return this.#recorded;
  }

  /** END behind half a message: no more of it will come. */
  #truncated({ decoder }: Inbox<Message>): SessionError | null {
    if (this.peerEnd < 0 || this.available <= this.peerEnd || this.#discarding || decoder.residueBytes === 0) return null;
    return new SessionError('ERR_TRUNCATED', `the stream ended with ${decoder.residueBytes} bytes of an unfinished message`);
  }
}

const none = (): number => 0;
const nothing = (): void => {};
