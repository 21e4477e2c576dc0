// Terminal type (RFC 1091) with the MUD convention MTTS on top. In: the answers to SEND, one after the other. Out: when to ask again, and
// in the end the name for TERM and what the terminal says it can do. A name is an environment variable to be: it passes a pattern or does
// not count.

import { IS, Option, SEND } from './protocol.ts';
import { type SubnegotiationEvent, subnegotiation } from './telnet.ts';

/** Three names (client, terminal, MTTS), and the repeat of the last that ends the list. */
const MOST_ANSWERS = 4;
const NAME = /^[a-z0-9][a-z0-9+._-]{0,39}$/;
const MTTS = /^mtts ([0-9]{1,5})$/;
/** What every terminal understands. */
const FALLBACK = 'vt100';

/** Bits of MTTS that matter to a server. */
const MTTS_UTF8 = 4;

export interface TerminalType {
  /** For TERM, in lower case. 'vt100' where the client named nothing usable. */
  readonly name: string;
  /** All answers that passed, in order, without repeats and MTTS. */
  readonly names: readonly string[];
  /** The MTTS bit vector, or null. */
  readonly mtts: number | null;
  /** The client says that it speaks UTF-8. */
  readonly utf8: boolean;
}

/** Asks until an answer repeats, four times at most: a client that invents names for ever gets no further. */
export class TerminalTypeCycle {
  readonly #names: string[] = [];
  #answers = 0;
  #last: string | null = null;
  #mtts: number | null = null;

  /** Takes an answer. @returns true where another SEND is due; false: the cycle is over. */
  take(bytes: Buffer): boolean {
    if (bytes[0] !== IS || this.#answers >= MOST_ANSWERS) return false;
    this.#answers++;
    // GNU telnet and Kermit send upper case.
    const text = bytes.toString('latin1', 1, 64).toLowerCase();
    if (text === this.#last) return false;
    this.#last = text;
    const bits = MTTS.exec(text)?.[1];
    if (bits !== undefined) this.#mtts = Number(bits);
    else if (NAME.test(text) && !this.#names.includes(text)) this.#names.push(text);
    return this.#answers < MOST_ANSWERS;
  }

  get result(): TerminalType {
    // With MTTS the first name is the client's own and the second the terminal's.
    const name = (this.#mtts === null ? this.#names[0] : (this.#names[1] ?? this.#names[0])) ?? FALLBACK;
    return { name, names: [...this.#names], mtts: this.#mtts, utf8: this.#mtts !== null && (this.#mtts & MTTS_UTF8) !== 0 };
  }
}

export function terminalTypeRequest(): SubnegotiationEvent {
  return subnegotiation(Option.terminalType, SEND);
}

/** A client's answer. */
export function terminalType(name: string): SubnegotiationEvent {
  return subnegotiation(Option.terminalType, IS, name);
}
