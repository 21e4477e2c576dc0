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
  // A plain array of doubles: fields would be an object each. Behind the deadlines stand other times of a subclass.
  protected readonly times: number[];

  /** @param times none is set, and what a subclass adds */
  constructor(times: number[] = [Infinity, Infinity, Infinity, Infinity, Infinity]) {
    this.times = times;
  }

  set(which: Deadline, atMs: number): void {
    this.times[which] = atMs;
  }

  clear(which: Deadline): void {
    this.times[which] = Infinity;
  }

  /** When `which` is due, in the caller's monotonic milliseconds; Infinity when it is not set. */
  at(which: Deadline): number {
    return this.times[which] as number;
  }

  due(which: Deadline, now: number): boolean {
    return (this.times[which] as number) <= now;
  }

  get earliest(): number {
    const { times } = this;
    let first = Infinity;
    for (let i = 0; i < COUNT; i++) if ((times[i] as number) < first) first = times[i] as number;
    return first;
  }

  clearAll(): void {
    this.times.fill(Infinity, 0, COUNT);
  }
}
