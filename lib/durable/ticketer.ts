// Ticketer: keeps one session's client supplied with tickets. Boundaries are captured as they come; the newest that the client has room for
// is sealed, and its ticket leaves behind the last byte it covers. Outputs wait until they are sealed, acks until the ticket has left.
import { Bucket } from '../core/bucket.ts';
import type { SessionCore } from '../core/session-core.ts';
import { SessionError } from '../errors.ts';
import { type Boundary, capture, isBehind } from './boundary.ts';
import { freeze } from './data.ts';
import { descends, type Line, type Ticket } from './ticket.ts';

/** What a ticketer needs of its session's shell. */
export interface TicketHost<Message> {
  readonly core: SessionCore<Message>;
  now(): number;
  /** Runs the task behind the code that runs now. */
  soon(task: () => void): void;
  /** Calls paced() in so many milliseconds; Infinity: not any more. */
  pace(ms: number): void;
  /** @throws SessionError ERR_MESSAGE_TOO_LARGE where the session's data does not fit a ticket */
  seal(boundary: Boundary): Buffer;
  /** The ticket of the boundary of this serial has left: what waited for it may go. */
  left(serial: number): void;
  /** The client is known to have a ticket of this number and generation. */
  held(number: number, generation: number): void;
  /** Something may be written. */
  flush(): void;
  failed(error: SessionError): void;
}

/** Outputs up to here go under one ticket although there were boundaries between. */
const GROUP_BYTES = 65_536;
/** Of a client that consumes slowly the tickets in between are forgotten: the last is what counts. */
const PROOFS_MOST = 64;
/** Tickets a second in the long run, and at once. */
const PACE = { perSecond: 200, burst: 16, waitMs: 5 };

export class Ticketer<Message> {
  readonly kind = 'ticket' as const;
  readonly line: Line;
  readonly #host: TicketHost<Message>;
  readonly #bucket: Bucket;
  /** The most that one ticket covers: the peer may not consume before it comes, so all of it must fit the window. */
  readonly #mostBytes: number;
  #data: unknown;
  /** The newest last. What the client may yet have to be told in steps: two neighbours are never further apart than one step. */
  #boundaries: Boundary[];
  /** Sealed last for this circuit; null where nothing was. */
  #sealed: Boundary | null = null;
  /** End of what the client's ticket covers, as far as this circuit goes. */
  #covered: number;
  /** Tickets with outputs of their own, oldest first: where the client has consumed those it has the ticket. */
  #proofs: { readonly end: number; readonly number: number; readonly generation: number }[] = [];
  #attached = false;
  #left = false;
  #leftSerial: number;
  #soonDue = false;
  #over = false;

  /** @param number of the ticket that the session was restored from; 0: it was opened here */
  constructor(host: TicketHost<Message>, line: Line, number: number, data: unknown) {
    this.#host = host;
    this.line = line;
    this.#data = data;
    const { outbound } = host.core;
    this.#bucket = new Bucket(PACE.perSecond, PACE.burst);
    this.#mostBytes = Math.floor(outbound.peerWindow / 2);
    const first = capture(host.core, data, number);
    this.#boundaries = [first];
    this.#leftSerial = line.origin === undefined ? -1 : number;
    this.#covered = first.end;
    outbound.released = first.end;
    outbound.stepEnd = first.end + this.#mostBytes;
    host.core.inbound.released = first.cursor;
    // A loop over many messages must not fill the half window that one ticket covers.
    const step = Math.min(GROUP_BYTES, this.#mostBytes / 4);
    host.core.inbound.consumedOne = () => {
      if (this.heldBytes >= step) this.capture();
    };
  }

  /** session.data: replaced, never edited. */
  get data(): unknown {
    return this.#data;
  }

  /** @throws SessionError ERR_INVALID_MESSAGE for what is not JSON */
  set data(value: unknown) {
    this.#data = freeze(value);
    this.soon();
  }

  /** The session goes on elsewhere, or may: what its peer is told is not decided here. */
  get over(): boolean {
    return this.#over;
  }

  /** Outputs of a message in progress: no ticket covers them before its end. */
  get heldBytes(): number {
    return this.#host.core.outbound.end - this.#newest().end;
  }

  readonly holdsBack = true;

  /** Serial of the newest boundary, and of the last one whose ticket has left. */
  get serial(): number {
    return this.#newest().serial;
  }
  get storedSerial(): number {
    return this.#leftSerial;
  }

  // ---------------------------------------------------------------- what the session tells

  /** No message is in progress now, or may not be: if so, this is a boundary. */
  capture(): void {
    const { core } = this.#host;
    if (this.#over || core.inbound.inProgress) return;
    const newest = this.#newest();
    if (!isBehind(newest, core, this.#data)) return;
    this.#add(capture(core, this.#data, newest.serial + 1));
    this.#later();
  }

  /** The session was touched: a boundary at the end of this tick, where nothing is in progress. A ticket may have left as well. */
  soon(): void {
    if (this.#over) return;
    if (this.#proofs.length > 0) this.#prove();
    if (this.#soonDue) return;
    if (!this.#hasLeft() && !isBehind(this.#newest(), this.#host.core, this.#data)) return;
    this.#later();
  }

  /** It is not too soon for the next ticket any more. */
  paced(): void {
    this.#next();
  }

  /** A circuit carries the session. Its client gets a ticket at once: of this generation, and behind what the one it showed covers. */
  attached(): void {
    this.#attached = true;
    this.#sealed = null;
    this.#left = false;
    this.capture();
    this.#next();
  }

  detached(): void {
    this.#attached = false;
    this.#host.pace(Infinity);
  }

  /** Whether this memory has all that the client's ticket tells. undefined: it has shown none. */
  follows(ticket: Ticket | undefined): boolean {
    return ticket === undefined ? this.line.origin === undefined : descends(this.line, ticket);
  }

  /** A circuit is accepted whose client has shown this ticket: it holds what that covers, and nothing more was acked. */
  shown(ticket: Ticket | undefined): void {
    const { core } = this.#host;
    this.#covered = ticket?.sent ?? 0;
    this.#proofs = [];
    if (ticket !== undefined) this.#host.held(ticket.number, ticket.generation);
    core.inbound.rewind(ticket?.received ?? 0);
    core.outbound.released = this.#covered;
  }

  /** The ticket that the client has grows old: it gets another. */
  refresh(): void {
    if (!this.#attached || this.#over || this.#host.core.outbound.ticket !== null) return;
    this.#sealed = null;
    this.#next();
  }

  /** The session has ended, and its client is told. */
  end(): void {
    this.#host.pace(Infinity);
  }

  /** What there is to take up is with the client. */
  clean(): Promise<void> {
    return Promise.resolve();
  }

  /** This process lets go. @returns true, since another may take the session up */
  abandon(): true {
    this.#over = true;
    this.#host.pace(Infinity);
    return true;
  }

  // ---------------------------------------------------------------- tickets

  #newest(): Boundary {
    return this.#boundaries[this.#boundaries.length - 1] as Boundary;
  }

  /** A ticket has been written, and what waits for it was not told. */
  #hasLeft(): boolean {
    return this.#attached && this.#sealed !== null && !this.#left && this.#host.core.outbound.ticket === null;
  }

  /** At the end of this tick: what is done in one go goes under one ticket. */
  #later(): void {
    if (this.#soonDue) return;
    this.#soonDue = true;
    this.#host.soon(this.#now);
  }

  readonly #now = (): void => {
    this.#soonDue = false;
    const sealed = this.#sealed;
    if (this.#hasLeft() && sealed !== null) {
      this.#left = true;
      this.#leftSerial = Math.max(this.#leftSerial, sealed.serial);
      this.#covered = sealed.end;
      this.#host.core.inbound.released = sealed.cursor;
      this.#host.left(sealed.serial);
    }
    this.capture();
    this.#next();
  };

  #prove(): void {
    const { peerAcked } = this.#host.core.outbound;
    const unproved = this.#proofs.findIndex(({ end }) => end > peerAcked);
    const proved = this.#proofs.splice(0, unproved < 0 ? this.#proofs.length : unproved).at(-1);
    if (proved !== undefined) this.#host.held(proved.number, proved.generation);
  }

  #add(boundary: Boundary): void {
    const { outbound } = this.#host.core;
    const list = this.#boundaries;
    // What lies between two neighbours fits one ticket, whichever of those before the client has.
    const before = list[list.length - 2];
    if (before !== undefined && boundary.end - before.end <= Math.min(GROUP_BYTES, this.#mostBytes)) list.pop();
    list.push(boundary);
    // Where the client has consumed an output it has the ticket.
    while (list.length > 1 && (list[1] as Boundary).end <= outbound.peerAcked) list.shift();
    outbound.stepEnd = boundary.end + this.#mostBytes;
  }

  /** Seals the newest boundary that the client has room for, when the last ticket has left and it is not too soon. */
  #next(): void {
    const { core } = this.#host;
    if (!this.#attached || this.#over || core.outbound.ticket !== null || this.#hasLeft()) return;
    const boundary = this.#fitting();
    if (boundary === undefined || (this.#sealed !== null && boundary.serial <= this.#sealed.serial)) return;
    const first = this.#sealed === null;
    if (!first && boundary.end - this.#covered < GROUP_BYTES && !this.#bucket.take(this.#host.now())) {
      return this.#host.pace(PACE.waitMs);
    }
    let bytes: Buffer;
    try {
      bytes = this.#host.seal(boundary);
    } catch (error) {
      return this.#host.failed(SessionError.is(error) ? error : new SessionError('ERR_APPLICATION', 'seal() failed', { cause: error }));
    }
    const { serial: number, end } = boundary;
    if (end > this.#covered)
      this.#proofs.splice(Math.min(this.#proofs.length, PROOFS_MOST), 1, { end, number, generation: core.generation });
    this.#sealed = boundary;
    this.#left = false;
    core.outbound.released = boundary.end;
    core.outbound.ticket = { covered: boundary.end, bytes };
    this.#host.flush();
  }

  #fitting(): Boundary | undefined {
    const list = this.#boundaries;
    for (let i = list.length - 1; i > 0; i--) {
      const boundary = list[i] as Boundary;
      if (boundary.end - this.#covered <= this.#mostBytes) return boundary;
    }
    return list[0];
  }
}
