// What window size (RFC 1073), status (RFC 859) and charset (RFC 2066) say inside their subnegotiations. In: the bytes between IAC SB
// option and IAC SE, or the thing to say. Out: the thing said, null where the bytes say nothing of the kind; or the event to send.
// Nothing throws on a peer's bytes.

import { Command, IS, Option, SEND } from './protocol.ts';
import { type SubnegotiationEvent, subnegotiation } from './telnet.ts';

export interface WindowSize {
  readonly columns: number;
  readonly rows: number;
}

/** Sizes that are worth drawing on. A screen costs memory by its area, and a peer may claim 65,535 × 65,535. */
export const WINDOW_LIMITS: {
  readonly leastColumns: number;
  readonly mostColumns: number;
  readonly leastRows: number;
  readonly mostRows: number;
} = {
  leastColumns: 2,
  mostColumns: 1000,
  leastRows: 1,
  mostRows: 500,
};

/** @returns the size within WINDOW_LIMITS. A 0 means "unknown" (curl sends it): that side keeps what it was in `before`. */
export function parseWindowSize(bytes: Buffer, before: WindowSize): WindowSize | null {
  if (bytes.length !== 4) return null;
  const { leastColumns, mostColumns, leastRows, mostRows } = WINDOW_LIMITS;
  const columns = bytes.readUInt16BE(0);
  const rows = bytes.readUInt16BE(2);
  return {
    columns: columns === 0 ? before.columns : clamp(columns, leastColumns, mostColumns),
    rows: rows === 0 ? before.rows : clamp(rows, leastRows, mostRows),
  };
}

export function windowSize(size: WindowSize): SubnegotiationEvent {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16BE(clamp(size.columns, 0, 0xffff), 0);
  bytes.writeUInt16BE(clamp(size.rows, 0, 0xffff), 2);
  return subnegotiation(Option.windowSize, bytes);
}

/** Options in effect. 'own' is the side of whoever sends the status. */
export interface Status {
  readonly own: readonly number[];
  readonly peer: readonly number[];
}

/** IAC SB STATUS SEND IAC SE. */
export function isStatusRequest(bytes: Buffer): boolean {
  return bytes.length === 1 && bytes[0] === SEND;
}

/** @returns null for anything but a status. Options that are off (WONT, DONT) and the subnegotiations in it are passed over. */
export function parseStatus(bytes: Buffer): Status | null {
  if (bytes[0] !== IS) return null;
  const own = new Set<number>();
  const peer = new Set<number>();
  for (let at = 1; at < bytes.length; ) {
    const verb = bytes[at];
    if (verb === Command.sb) {
      at = behindStatusBody(bytes, at + 1);
      continue;
    }
    const option = bytes[at + 1];
    if (option === undefined || verb === undefined || verb < Command.will || verb > Command.dont) return null;
    if (verb === Command.will) own.add(option);
    else if (verb === Command.do) peer.add(option);
    // SE stands twice where it is data (RFC 859 §8); as an option it has no meaning anyway.
    at += option === Command.se && bytes[at + 2] === Command.se ? 3 : 2;
  }
  return { own: [...own], peer: [...peer] };
}

export function status(options: Status): SubnegotiationEvent {
  const pairs = (verb: number, numbers: readonly number[]): Buffer[] =>
    numbers.map((option) => (option === Command.se ? Buffer.of(verb, option, option) : Buffer.of(verb, option)));
  return subnegotiation(Option.status, IS, ...pairs(Command.will, options.own), ...pairs(Command.do, options.peer));
}

/** Asks the peer for its status. */
export function statusRequest(): SubnegotiationEvent {
  return subnegotiation(Option.status, SEND);
}

/** RFC 2066. A translation table is only ever refused. */
export type CharsetMessage =
  | { readonly kind: 'request'; readonly names: readonly string[] }
  | { readonly kind: 'accepted'; readonly name: string }
  | { readonly kind: 'rejected' }
  | { readonly kind: 'table' };

/** Names above these are not looked at. */
const CHARSET_NAMES = 32;
const CHARSET_NAME = /^[\x21-\x7e]{1,40}$/;
const TABLE_PREFIX = '[TTABLE]';
const REQUEST = 1;
const ACCEPTED = 2;
const REJECTED = 3;
const TTABLE_IS = 4;
const TTABLE_REJECTED = 5;

export function parseCharset(bytes: Buffer): CharsetMessage | null {
  const word = bytes[0];
  if (word === ACCEPTED) {
    const name = bytes.toString('latin1', 1);
    return CHARSET_NAME.test(name) ? { kind: 'accepted', name } : null;
  }
  if (word === REJECTED) return { kind: 'rejected' };
  if (word === TTABLE_IS) return { kind: 'table' };
  if (word !== REQUEST) return null;
  // "[TTABLE]" and a version byte may stand in front of the list.
  const prefixed = bytes.toString('latin1', 1, 1 + TABLE_PREFIX.length) === TABLE_PREFIX;
  const list = bytes.toString('latin1', prefixed ? 2 + TABLE_PREFIX.length : 1);
  const separator = list.slice(0, 1);
  if (separator === '') return { kind: 'request', names: [] };
  const names = list.slice(1).split(separator, CHARSET_NAMES);
  return { kind: 'request', names: names.filter((name) => CHARSET_NAME.test(name)) };
}

export function charsetRequest(...names: readonly string[]): SubnegotiationEvent {
  return subnegotiation(Option.charset, REQUEST, names.map((name) => `;${name}`).join(''));
}

export function charsetAccepted(name: string): SubnegotiationEvent {
  return subnegotiation(Option.charset, ACCEPTED, name);
}

export function charsetRejected(): SubnegotiationEvent {
  return subnegotiation(Option.charset, REJECTED);
}

export function charsetTableRejected(): SubnegotiationEvent {
  return subnegotiation(Option.charset, TTABLE_REJECTED);
}

/** @returns the index behind the SE that ends a subnegotiation inside a status, or the end. */
function behindStatusBody(bytes: Buffer, from: number): number {
  for (let at = from; at < bytes.length; at++) {
    if (bytes[at] !== Command.se) continue;
    if (bytes[at + 1] !== Command.se) return at + 1;
    at++;
  }
  return bytes.length;
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}
