// Ticket: what of a session is sealed for its client to keep, as bytes and back, and which memory a ticket is an ancestor of. Pure,
// versioned. No outgoing bytes are in it: a ticket stands behind all that it covers, so whoever holds it holds them.
import type { Positions } from '../core/handshake.ts';
import type { Snapshot } from '../core/snapshot.ts';
import { readU32, readU64, writeU32, writeU64 } from '../core/wire.ts';
import { SessionError } from '../errors.ts';
import { decodeIdentity, decodeState, encodeIdentity, encodeState, type RecordIdentity, type RecordState, snapshotOf } from './record.ts';

/** Everything that follows from one opening or restoring of a session in one process. Each has a name of its own. */
export interface Line {
  /** 16 hex digits, random. */
  readonly name: string;
  /** The ticket that it was restored from; undefined where the session was opened here. */
  readonly origin: { readonly line: string; readonly number: number } | undefined;
}

export interface Ticket {
  /** The line that sealed it, and its number there. Numbers go on in the lines that are restored from it. */
  readonly line: string;
  readonly number: number;
  readonly generation: number;
  readonly instance: number;
  /** End of what was consumed, and of the outputs that it covers; END counts one. */
  readonly received: number;
  readonly sent: number;
  /** Largest ticket that the client keeps. */
  readonly ticketBytes: number;
  /** `data` is empty in here: it is sealed beside. */
  readonly state: RecordState;
  readonly identity: RecordIdentity;
}

const FORMAT = 1;
const NAME_BYTES = 8;
const HEADER_BYTES = 1 + NAME_BYTES + 5 * 8 + 2 * 4;

export function encodeTicket(ticket: Ticket): Buffer {
  const { line, number, generation, instance, received, sent, ticketBytes } = ticket;
  const state = encodeState({ ...ticket.state, data: '' });
  const header = Buffer.alloc(HEADER_BYTES);
  header[0] = FORMAT;
  header.set(Buffer.from(line, 'hex'), 1);
  for (const [i, value] of [number, generation, instance, received, sent].entries()) writeU64(header, 9 + 8 * i, value);
  writeU32(header, 49, ticketBytes);
  writeU32(header, 53, state.length);
  return Buffer.concat([header, state, encodeIdentity(ticket.identity)]);
}

/** @throws SessionError ERR_STORE for bytes that are no ticket of this format: sealed by another version of this library */
export function decodeTicket(bytes: Buffer): Ticket {
  const stateEnd = bytes.length < HEADER_BYTES ? 0 : HEADER_BYTES + readU32(bytes, 53);
  if (bytes[0] !== FORMAT || stateEnd === 0 || stateEnd > bytes.length)
    throw new SessionError('ERR_STORE', `a ticket of format ${bytes[0]} and ${bytes.length} bytes, which this version cannot read`);
  const number = (i: number): number => readU64(bytes, 9 + 8 * i);
  return {
    line: bytes.toString('hex', 1, 1 + NAME_BYTES),
    number: number(0),
    generation: number(1),
    instance: number(2),
    received: number(3),
    sent: number(4),
    ticketBytes: readU32(bytes, 49),
    state: decodeState(bytes.subarray(HEADER_BYTES, stateEnd)),
    identity: decodeIdentity(bytes.subarray(stateEnd)),
  };
}

/** Whether the line's memory has everything that the ticket tells, and then perhaps more. */
export function descends(line: Line, ticket: Pick<Ticket, 'line' | 'number'>): boolean {
  return ticket.line === line.name || (ticket.line === line.origin?.line && ticket.number === line.origin.number);
}

export function newLine(randomBytes: (size: number) => Buffer, origin: Line['origin']): Line {
  return { name: randomBytes(NAME_BYTES).toString('hex'), origin };
}

/** What a core is rebuilt from. */
export function snapshotOfTicket(ticket: Ticket): Snapshot {
  const { identity, state, received, sent, generation, instance, number } = ticket;
  const head = { generation, instance, commit: number, received, base: baseOf(ticket), sent };
  return snapshotOf({ ...head, identity: NOTHING, state: NOTHING, outbox: NOTHING }, identity, state);
}

/** The positions of a process that has nothing but the ticket. */
export function positionsOfTicket(ticket: Ticket): Positions {
  const { received, sent } = ticket;
  const limit = Math.min(received + ticket.identity.window, Number.MAX_SAFE_INTEGER - 1);
  return { received, acked: received, limit, base: baseOf(ticket), sent };
}

function baseOf({ sent, state }: Ticket): number {
  return state.fin >= 0 ? state.fin : sent;
}

const NOTHING = Buffer.alloc(0);
