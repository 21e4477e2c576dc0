// TicketRestorer: how an accepting process keeps its sessions with their clients. A session goes in and gets tickets; a ticket that a
// client shows comes back as the session, where this process does not have it, or has only a memory that the client has left behind.
import { type AdoptionOptions, adopt, identityOf, knownOf } from './adoption.ts';
import type { CircuitInfo } from './circuit.ts';
import type { Positions, ResumeFlight } from './core/handshake.ts';
import { judgeGeneration, judgePositions, type Refusal } from './core/resume.ts';
import type { SessionCore } from './core/session-core.ts';
import { MAX_TICKET_BYTES, RejectCode } from './core/wire.ts';
import { report } from './diagnostics.ts';
import type { SessionDriver } from './driver.ts';
import { asError } from './durability.ts';
import type { Boundary } from './durable/boundary.ts';
import { fromText, toText } from './durable/data.ts';
import {
  decodeTicket,
  descends,
  encodeTicket,
  type Line,
  newLine,
  positionsOfTicket,
  snapshotOfTicket,
  type Ticket,
} from './durable/ticket.ts';
import { Ticketer } from './durable/ticketer.ts';
import { SessionError } from './errors.ts';
import { OneByOne } from './one-by-one.ts';
import type { TicketRing } from './options.ts';
import type { Known, Live } from './registry.ts';
import { Alarm } from './runtime.ts';
import type { TicketMark, TicketRegister } from './stores/store.ts';

/** A ticket that was opened, with what the application keeps. */
export interface Shown {
  readonly ticket: Ticket;
  readonly data: string;
}

export interface TicketRestorerOptions<Message> extends AdoptionOptions<Message> {
  readonly ring: TicketRing;
  readonly register: TicketRegister | undefined;
  readonly node: number;
}

const PURPOSE = 'outlast session';

export class TicketRestorer<Message> {
  readonly #options: TicketRestorerOptions<Message>;
  readonly #claims = new OneByOne();
  readonly #ticketers = new Set<Ticketer<Message>>();
  readonly #refresh: Alarm;
  #stopped = false;

  constructor(options: TicketRestorerOptions<Message>) {
    this.#options = options;
    this.#refresh = new Alarm((now) => this.#ring(now));
  }

  /** Largest ticket that a client is told of which keeps tickets up to `offered`; 0 for one that keeps none. */
  ticketBytes(offered: number): number {
    return Math.min(offered, this.#options.ring.ticketBytes, MAX_TICKET_BYTES);
  }

  /** Opens what a client shows for this session. @returns undefined where it is no good: the client learns what an unknown one would */
  open(id: string, sealed: Buffer): Shown | undefined {
    const opened = this.#options.ring.open(PURPOSE, sealed);
    if (typeof opened === 'string') return refused(id, opened);
    const ticket = decodeTicket(opened.record);
    if (ticket.identity.id !== id) return refused(id, 'of another session');
    return { ticket, data: opened.data.toString('utf8') };
  }

  knownOf({ ticket }: Shown, circuit: CircuitInfo): Known {
    return knownOf(ticket.identity, circuit, this.#options.listeners);
  }

  /** Gets a session that was opened here its first ticket. Not for a client that keeps none: its session is in memory only. */
  tie(entry: Live<Message>): void {
    if (entry.driver.core.ticketBytes === 0) return;
    const line = newLine((size) => this.#options.settings.runtime.randomBytes(size), undefined);
    this.#tie(entry.driver, line, 0, undefined, () => identityOf(entry));
  }

  untie({ durable }: SessionDriver<Message>): void {
    if (durable?.kind === 'ticket') {
      durable.end();
      this.#ticketers.delete(durable);
    }
    if (this.#ticketers.size === 0) this.#options.settings.runtime.disarm(this.#refresh);
  }

  /**
   * Makes the session of a RESUME, whose MAC was good, be here as its ticket tells it.
   * @returns null where the fencing step may decide, by what is here now
   */
  claim(id: string, flight: ResumeFlight, shown: Shown | undefined, circuit: CircuitInfo): Promise<Refusal | null> {
    if (this.#stopped) return Promise.resolve({ code: RejectCode.RETRY_LATER, detail: { retryAfterMs: 0, reason: 'closing' } });
    if (shown === undefined) return Promise.resolve(null);
    return this.#claims.run(id, () => this.#claim(id, flight, shown, circuit));
  }

  /**
   * The fencing step has accepted: from here on the client has the ticket it showed, and nothing behind it.
   * @throws SessionError ERR_RETRY_LATER where the session here is not what the ticket tells: another circuit was faster
   */
  accept({ durable, core }: SessionDriver<Message>, shown: Shown | undefined): Positions {
    if (durable?.kind !== 'ticket') return core.positions();
    if (!durable.follows(shown?.ticket)) throw new SessionError('ERR_RETRY_LATER', 'two circuits of one session at once');
    durable.shown(shown?.ticket);
    return core.positions();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#claims.idle();
  }

  async #claim(id: string, flight: ResumeFlight, shown: Shown, circuit: CircuitInfo): Promise<Refusal | null> {
    const { registry, settings } = this.#options;
    const { ticket } = shown;
    const now = settings.runtime.now();
    const entry = registry.live.get(id);
    const tombstone = registry.findTombstone(id, now);
    const line = entry === undefined ? tombstone?.line : lineOf(entry);
    // What is here and has all that the ticket tells, and what is newer than this circuit: the fencing step knows.
    if (line !== undefined && descends(line, ticket)) return null;
    const here = entry?.driver.core ?? tombstone;
    if (here !== undefined && (line === undefined || judgeGeneration(here, flight) !== 0)) return null;
    if (registry.findProvisional(id, now) !== undefined) return null;
    const refusal = judge(ticket, flight);
    if (refusal !== null) return refusal;
    const known = await this.#advance(id, ticket);
    if (known !== undefined && isNewer(known, ticket)) {
      const reason = `ticket ${ticket.number} of generation ${ticket.generation}, where ${known.number} of ${known.generation} was held`;
      return { code: RejectCode.STATE_LOST, detail: { positions: positionsOfTicket(ticket), reason } };
    }
    if (entry === undefined && registry.live.size >= settings.limits.sessions)
      return { code: RejectCode.BUSY, detail: { reason: 'at a limit' } };
    if (entry !== undefined) leaveBehind(entry);
    registry.tombstones.delete(id);
    await this.#adopt(flight, shown, circuit);
    return null;
  }

  #advance(id: string, { generation, number }: TicketMark): Promise<TicketMark> | undefined {
    const { register, ring } = this.#options;
    return register?.advance(id, { generation, number }, ring.lifetimeMs).catch((error: unknown) => {
      throw asError(error);
    });
  }

  async #adopt(flight: ResumeFlight, { ticket, data: text }: Shown, circuit: CircuitInfo): Promise<void> {
    const { identity, ticketBytes, number } = ticket;
    const origin = { line: ticket.line, number };
    const line = newLine((size) => this.#options.settings.runtime.randomBytes(size), origin);
    const data = fromText(text);
    const tie = (driver: SessionDriver<Message>): void => {
      // Of what the ticket covers the client may not have consumed all.
      driver.core.outbound.peerAcked = flight.positions.acked;
      this.#tie(driver, line, number, data, () => identity);
    };
    await adopt(this.#options, { identity, snapshot: snapshotOfTicket(ticket), data, ticketBytes, circuit, tie });
  }

  #tie(driver: SessionDriver<Message>, line: Line, number: number, data: unknown, identity: () => Ticket['identity']): void {
    const { settings } = this.#options;
    const { runtime } = settings;
    const { core } = driver;
    const alarm = new Alarm(() => ticketer.paced());
    const host = {
      core,
      now: () => runtime.now(),
      soon: (task: () => void) => runtime.defer(run, task),
      pace: (ms: number) => (ms === Infinity ? runtime.disarm(alarm) : runtime.arm(alarm, runtime.now() + ms)),
      seal: (boundary: Boundary) => this.#seal(core, line, boundary, identity()),
      left: (serial: number) => driver.stored(serial),
      held: (number: number, generation: number) => {
        // What it does not learn now it learns with the next.
        this.#advance(driver.id, { generation, number })?.catch((error: unknown) => report('store', driver, asError(error)));
      },
      flush: () => driver.touched(),
      failed: (error: SessionError) => driver.applicationFailed(error),
    };
    const ticketer: Ticketer<Message> = new Ticketer(host, line, number, data);
    driver.durable = ticketer;
    this.#ticketers.add(ticketer);
    if (this.#refresh.dueMs === Infinity) runtime.arm(this.#refresh, runtime.now() + this.#refreshMs());
  }

  #seal(core: SessionCore<Message>, line: Line, boundary: Boundary, identity: Ticket['identity']): Buffer {
    const { ring, node } = this.#options;
    const { generation, instance, heartbeatMs, holdMs, ticketBytes, outbound } = core;
    const { serial, cursor, end, fin, peerEnd, data } = boundary;
    const { peerLimit, finAcked } = outbound;
    const state = { heartbeatMs, holdMs, peerLimit, fin, peerEnd, finAcked: finAcked && fin >= 0, node, data: '' };
    const numbers = { line: line.name, number: serial, generation, instance, received: cursor, sent: end, ticketBytes };
    const sealed = ring.seal(PURPOSE, encodeTicket({ ...numbers, state, identity }), Buffer.from(toText(data)));
    if (sealed.length > ticketBytes)
      throw new SessionError('ERR_MESSAGE_TOO_LARGE', `a ticket of ${sealed.length} bytes, its client keeps ${ticketBytes}`);
    return sealed;
  }

  /** Tickets in use are renewed long before they expire. */
  #ring(now: number): void {
    this.#options.settings.runtime.arm(this.#refresh, now + this.#refreshMs());
    for (const ticketer of this.#ticketers) ticketer.refresh();
  }

  #refreshMs(): number {
    return this.#options.ring.lifetimeMs / 4;
  }
}

/** Decides by the ticket alone: this process has nothing else of the session. */
function judge(ticket: Ticket, flight: ResumeFlight): Refusal | null {
  const { generation } = ticket;
  const code = judgeGeneration(ticket, flight);
  if (code !== 0) return { code, detail: { generation } };
  const positions = positionsOfTicket(ticket);
  const lost = judgePositions(positions, ticket.state.peerLimit, flight.positions);
  return lost === null ? null : { code: RejectCode.STATE_LOST, detail: { positions, reason: lost } };
}

function isNewer(a: TicketMark, b: TicketMark): boolean {
  return a.generation > b.generation || (a.generation === b.generation && a.number > b.number);
}

function lineOf<Message>({ driver: { durable } }: Live<Message>): Line | undefined {
  return durable?.kind === 'ticket' ? durable.line : undefined;
}

/** Its client has been on another machine since, or goes back to an older ticket: what is here is of a life that nobody has seen. */
function leaveBehind<Message>({ driver }: Live<Message>): void {
  driver.durable?.abandon();
  driver.lost(new SessionError('ERR_FENCED', 'its client came back with a ticket that this process did not seal'));
}

function refused(id: string, why: string): undefined {
  report('rejected', { id }, new SessionError('ERR_UNKNOWN_SESSION', `a ticket was refused: ${why}`));
  return undefined;
}

function run(task: () => void): void {
  task();
}
