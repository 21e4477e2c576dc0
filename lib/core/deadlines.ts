// Named deadlines of one session, as numbers: the core sets and clears them, the shell asks for the earliest and calls tick().

export const Deadline = {
  /** An ACK must go out although nothing else is written. */
  ACK: 0,
  /** Something must be written, so that the peer hears us. */
  HEARTBEAT: 1,
  /** Something must have been heard by now, or the circuit is dead. */
  LIVENESS: 2,
  /** A write must have completed, or something been heard, by now. */
  WRITE_STALL: 3,
  /** Detached for too long: the accepting side expires, the dialing side gives up. */
  HOLD: 4,
} as const;
export type Deadline = (typeof Deadline)[keyof typeof Deadline];

const COUNT = 5;

export class Deadlines {
  // A plain array of doubles: one small object a session, no closure and no timer.
  readonly #at: number[] = [Infinity, Infinity, Infinity, Infinity, Infinity];

  set(which: Deadline, atMs: number): void {
    this.#at[which] = atMs;
  }

  clear(which: Deadline): void {
    this.#at[which] = Infinity;
  }

  /** When `which` is due, in the caller's monotonic milliseconds; Infinity when it is not set. */
  at(which: Deadline): number {
    return this.#at[which] as number;
  }

  due(which: Deadline, now: number): boolean {
    return (this.#at[which] as number) <= now;
  }

  get earliest(): number {
    const at = this.#at;
    let first = Infinity;
    for (let i = 0; i < COUNT; i++) if ((at[i] as number) < first) first = at[i] as number;
    return first;
  }

  clearAll(): void {
    this.#at.fill(Infinity);
  }
}
