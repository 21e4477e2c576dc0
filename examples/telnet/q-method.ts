// Option negotiation by the Q method (RFC 1143 §7). In: verbs received, and what this end wants. Out: the verb to send, and what is in
// effect. One byte of state for each option and side: no peer can make it grow, and no two ends can answer each other for ever.

import type { Verb } from './protocol.ts';

/** Who performs the option: this end (WILL sent, DO received) or the peer (WILL received, DO sent). */
export type Side = 'own' | 'peer';

/**
 * RFC 1143's NO, YES, WANTNO and WANTYES, each of the last two with its queue bit: '-opposite' means that the answer will be turned
 * round.
 */
export type QState = 'no' | 'yes' | 'want-no' | 'want-no-opposite' | 'want-yes' | 'want-yes-opposite';

/** The verb received, as RFC 1143 sees it: on agreed to, on refused, off; or what this end wants. */
export type QInput = 'on' | 'on-refused' | 'off' | 'ask-on' | 'ask-off';

/** What a verb or a wish led to. */
export interface Negotiated {
  readonly side: Side;
  /** To be sent. null: nothing. */
  readonly send: Verb | null;
  /** The option came into effect (true) or went out of it (false). null: neither. */
  readonly changed: boolean | null;
}

interface Transition {
  readonly next: QState;
  /** Says on (WILL or DO) or off (WONT or DONT) to the peer. Absent: silence. */
  readonly say?: 'on' | 'off';
}

/** RFC 1143 §7, line by line. */
export const transitions: Readonly<Record<QState, Readonly<Record<QInput, Transition>>>> = {
  no: {
    on: { next: 'yes', say: 'on' },
    'on-refused': { next: 'no', say: 'off' },
    off: { next: 'no' },
    'ask-on': { next: 'want-yes', say: 'on' },
    'ask-off': { next: 'no' },
  },
  yes: {
    on: { next: 'yes' },
    'on-refused': { next: 'yes' },
    off: { next: 'no', say: 'off' },
    'ask-on': { next: 'yes' },
    'ask-off': { next: 'want-no', say: 'off' },
  },
  // An answer "on" to "off" is the peer's mistake; RFC 1143 takes it for the end of the matter.
  'want-no': {
    on: { next: 'no' },
    'on-refused': { next: 'no' },
    off: { next: 'no' },
    'ask-on': { next: 'want-no-opposite' },
    'ask-off': { next: 'want-no' },
  },
  'want-no-opposite': {
    on: { next: 'yes' },
    'on-refused': { next: 'yes' },
    off: { next: 'want-yes', say: 'on' },
    'ask-on': { next: 'want-no-opposite' },
    'ask-off': { next: 'want-no' },
  },
  'want-yes': {
    on: { next: 'yes' },
    'on-refused': { next: 'yes' },
    off: { next: 'no' },
    'ask-on': { next: 'want-yes' },
    'ask-off': { next: 'want-yes-opposite' },
  },
  'want-yes-opposite': {
    on: { next: 'want-no', say: 'off' },
    'on-refused': { next: 'want-no', say: 'off' },
    off: { next: 'no' },
    'ask-on': { next: 'want-yes' },
    'ask-off': { next: 'want-yes-opposite' },
  },
};

const states: readonly QState[] = ['no', 'yes', 'want-no', 'want-no-opposite', 'want-yes', 'want-yes-opposite'];
const STATE_BITS = 0x07;
/** A request was refused: the same one again gets no second answer. */
const REFUSED = 0x08;
/** Such a second request is still open on the peer's side. */
const OWED = 0x10;

/** All options of one connection, both sides. */
export class OptionStates {
  readonly #states: Uint8Array;

  /** @param states 512 bytes, which are all that is known; those of another object make a copy of it. Default: nothing is in effect. */
  constructor(states: Uint8Array = new Uint8Array(512)) {
    this.#states = Uint8Array.from(states);
  }

  get bytes(): Uint8Array {
    return Uint8Array.from(this.#states);
  }

  state(side: Side, option: number): QState {
    return states[(this.#states[slot(side, option)] as number) & STATE_BITS] as QState;
  }

  /** True while the option is in effect: the peer's until it has confirmed its end, our own until we say so. */
  inEffect(side: Side, option: number): boolean {
    return isInEffect(side, this.state(side, option));
  }

  /**
   * Takes a verb from the peer.
   * @param agree Whether this end wants the option that the verb offers or asks for.
   */
  receive(verb: Verb, option: number, agree: boolean): Negotiated {
    const side: Side = verb === 'will' || verb === 'wont' ? 'peer' : 'own';
    const at = slot(side, option);
    const flags = (this.#states[at] as number) & ~STATE_BITS;
    const off = verb === 'wont' || verb === 'dont';
    if (off) this.#states[at] = (this.#states[at] as number) & ~OWED;
    else if (!agree && this.state(side, option) === 'no') {
      this.#states[at] = (this.#states[at] as number) | ((flags & REFUSED) === 0 ? REFUSED : OWED);
      if ((flags & REFUSED) !== 0) return { side, send: null, changed: null };
    }
    return this.#step(side, option, off ? 'off' : agree ? 'on' : 'on-refused');
  }

  /** This end wants the option on or off; the peer is asked where that is news to it. */
  ask(side: Side, option: number, on: boolean): Negotiated {
    const at = slot(side, option);
    const owed = ((this.#states[at] as number) & OWED) !== 0;
    if (on) this.#states[at] = (this.#states[at] as number) & STATE_BITS;
    // The peer waits for an answer: to ask it back would leave both waiting.
    return this.#step(side, option, on ? (owed ? 'on' : 'ask-on') : 'ask-off');
  }

  #step(side: Side, option: number, input: QInput): Negotiated {
    const at = slot(side, option);
    const before = this.state(side, option);
    const { next, say } = transitions[before][input];
    this.#states[at] = ((this.#states[at] as number) & ~STATE_BITS) | states.indexOf(next);
    const now = isInEffect(side, next);
    return { side, send: say === undefined ? null : verbOf(side, say), changed: now === isInEffect(side, before) ? null : now };
  }
}

function slot(side: Side, option: number): number {
  return (side === 'own' ? 0 : 256) + (option & 0xff);
}

function verbOf(side: Side, say: 'on' | 'off'): Verb {
  if (side === 'own') return say === 'on' ? 'will' : 'wont';
  return say === 'on' ? 'do' : 'dont';
}

function isInEffect(side: Side, state: QState): boolean {
  return state === 'yes' || (side === 'peer' && (state === 'want-no' || state === 'want-no-opposite'));
}
