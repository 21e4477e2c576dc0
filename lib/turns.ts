// Turns: how many messages one turn of the event loop hands to the applications of a server or client. A peer that fills a window with
// empty messages makes its consumer rest between turns; the more of them rest, the less each gets: a crowd takes no longer than one.
import type { Runtime } from './runtime.ts';

export interface Resting {
  /** Others had their turn; called once. */
  rested(): void;
}

/** In all, between turns. A read of honest messages brings fewer, and then nobody rests. */
const MESSAGES_PER_TURN = 2048;
/** For each, however many rest: a turn that moves nobody on would be wasted. */
const LEAST_MESSAGES = 32;

export class Turns {
  readonly #runtime: Pick<Runtime, 'yield'>;
  #resting = 0;

  constructor(runtime: Pick<Runtime, 'yield'>) {
    this.#runtime = runtime;
  }

  /** What a consumer may hand out before it rests for the first time. */
  get first(): number {
    return MESSAGES_PER_TURN;
  }

  /** The consumer has had its share: it goes on when others had their turn. */
  rest(consumer: Resting): void {
    this.#resting++;
    this.#runtime.yield(rested, consumer);
  }

  /** A consumer that was resting goes on. @returns its share of this turn */
  next(): number {
    const share = Math.floor(MESSAGES_PER_TURN / this.#resting--);
    return Math.max(LEAST_MESSAGES, share);
  }
}

function rested(consumer: Resting): void {
  consumer.rested();
}
