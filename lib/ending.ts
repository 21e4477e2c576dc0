// Ending: how far the end of a session has come in its shell. Kept from the first step on: a session that goes on has none.
import type { SessionError } from './errors.ts';

export class Ending {
  /** close() was called: what comes while nobody reads is thrown away. */
  discards = false;
  /** The consumer has been woken for the peer's end. */
  heard = false;
  /** This side's own end follows it. */
  scheduled = false;
  /** The session is another process's: its peer is told nothing. */
  silent = false;
  /** The cause with its loss. */
  told: SessionError | undefined;
}
