// Linemode (RFC 1184), as little of it as a server must answer. In: the bytes of a subnegotiation. Out: what it says, and the one answer
// that is due. The list of special characters (SLC) overflowed a buffer in every server of the BSD line: here it has a bound, and so has
// the answer.

import { Command, Option } from './protocol.ts';
import { type SubnegotiationEvent, subnegotiation } from './telnet.ts';

const MODE = 1;
const FORWARDMASK = 2;
const SLC = 3;

/** Bits of a mode: the client edits lines, the client turns ^C and the like into commands, and: this is an answer. */
export const EDIT = 0x01;
export const TRAPSIG = 0x02;
const MODE_ACK = 0x04;
const MODE_BITS = 0x1f;

/** RFC 1184 has 18 functions, its drafts up to 30. */
export const MOST_TRIPLETS = 30;
const LEVEL_BITS = 0x03;
const SLC_ACK = 0x80;

/** One special character: function, flags (level, ACK, flush bits) and the character. */
export interface Triplet {
  readonly function: number;
  readonly flags: number;
  readonly character: number;
}

export type LinemodeMessage =
  | { readonly kind: 'mode'; readonly mode: number; readonly acknowledged: boolean }
  | { readonly kind: 'slc'; readonly triplets: readonly Triplet[]; readonly dropped: number }
  | { readonly kind: 'forwardmask'; readonly willing: boolean };

export function parseLinemode(bytes: Buffer): LinemodeMessage | null {
  const word = bytes[0];
  const second = bytes[1];
  if (word === MODE && second !== undefined && bytes.length === 2)
    return { kind: 'mode', mode: second & MODE_BITS & ~MODE_ACK, acknowledged: (second & MODE_ACK) !== 0 };
  if (word === SLC) return parseTriplets(bytes);
  if (word !== undefined && word >= Command.will && word <= Command.dont && second === FORWARDMASK)
    return { kind: 'forwardmask', willing: word === Command.will };
  return null;
}

/** Asks for a mode, or agrees to one. */
export function linemode(mode: number, acknowledged = false): SubnegotiationEvent {
  return subnegotiation(Option.linemode, MODE, (mode & MODE_BITS & ~MODE_ACK) | (acknowledged ? MODE_ACK : 0));
}

/**
 * Agrees to the characters of a client. An answer is never answered, so two ends cannot go on for ever; nor is function 0, which
 * asks for our characters: we have none.
 * @returns null where no answer is due.
 */
export function slcReply(triplets: readonly Triplet[]): SubnegotiationEvent | null {
  const due = triplets
    .slice(0, MOST_TRIPLETS)
    .filter(({ function: number, flags }) => number !== 0 && (flags & SLC_ACK) === 0 && (flags & LEVEL_BITS) !== 0);
  if (due.length === 0) return null;
  return subnegotiation(Option.linemode, SLC, ...due.map((one) => Buffer.of(one.function, one.flags | SLC_ACK, one.character)));
}

/** Says no to a forward mask, which nobody here has asked for. */
export function forwardmaskRefused(): SubnegotiationEvent {
  return subnegotiation(Option.linemode, Command.dont, FORWARDMASK);
}

function parseTriplets(bytes: Buffer): LinemodeMessage {
  const count = Math.floor((bytes.length - 1) / 3);
  const taken = Math.min(count, MOST_TRIPLETS);
  const triplets = Array.from({ length: taken }, (_, index): Triplet => {
    const at = 1 + 3 * index;
    return { function: bytes[at] as number, flags: bytes[at + 1] as number, character: bytes[at + 2] as number };
  });
  return { kind: 'slc', triplets, dropped: count - taken };
}
