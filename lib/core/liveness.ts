// Liveness: the times of a session. Its deadlines and what follows when they come: when something must be written, when a silent circuit
// is dead, and when a detached session is over; how long a PING takes, and how many frames for nothing its peer may write. Numbers and
// `now` in, verdicts out. A timer that rings late means that this host slept; then nothing is judged before it has been asked for.
import { SessionError } from '../errors.ts';
import { take } from './bucket.ts';
import { Deadline, Deadlines } from './deadlines.ts';

/** How long after two heartbeats a circuit may be silent. */
export const LIVENESS_GRACE_MS = 5000;
/** The most that an expiry check which ran late adds: asleep, this host could not hear the peer. */
const LATE_GRACE_MS = 30_000;
/** Heartbeats of all sessions of a process fall on so many instants each: one wakeup serves many, and none is late. */
const BEATS = 64;

/** Where the other times stand, behind the deadlines. */
const HEARD = 5;
const WROTE = 6;
const HOLD_LEFT = 7;
/** Of the PING that has not been answered; NaN when all were. */
const PINGED = 8;
const RTT = 9;
/** When the bucket of frames that advance nothing is full again. */
const FULL = 10;

/** Heartbeats without a word from the peer until it is asked for one. At 1, two ends that beat at once would ask each other each time. */
const OVERDUE_BEATS = 1.25;

export class Liveness extends Deadlines {
  readonly #writeStallMs: number;
  heartbeatMs: number;
  /** The round trip of this circuit was not measured: a PING goes with the first DATA, ACK or SYNC. Alone it would cost a wakeup. */
  tripDue = false;
  #queuedBytes = 0;
  #pauses = 0;
  #token = 0;

  constructor(heartbeatMs: number, writeStallMs: number) {
    super([Infinity, Infinity, Infinity, Infinity, Infinity, 0, 0, 0, Number.NaN, Number.NaN, 0]);
    this.heartbeatMs = heartbeatMs;
    this.#writeStallMs = writeStallMs;
  }

  get heardMs(): number {
    return this.times[HEARD] as number;
  }

  set heardMs(now: number) {
    this.times[HEARD] = now;
  }

  set wroteMs(now: number) {
    this.times[WROTE] = now;
  }

  /** Smoothed round trip in milliseconds (the SRTT of RFC 6298 §2); NaN before the first PONG. */
  get rttMs(): number {
    return this.times[RTT] as number;
  }

  /** Nothing heard for this long means that the circuit is dead. */
  get deadAfterMs(): number {
    return 2 * this.heartbeatMs + LIVENESS_GRACE_MS;
  }

  /** The peer's own heartbeat is overdue, by more than what two clocks and a network make of the same instant. */
  overdue(now: number): boolean {
    return now - this.heardMs >= this.heartbeatMs * OVERDUE_BEATS;
  }

  circuitUp(now: number): void {
    this.heardMs = now;
    this.wroteMs = now;
    this.tripDue = true;
    this.#queuedBytes = 0;
    this.#pauses = 0;
    this.clearAll();
    this.set(Deadline.HEARTBEAT, this.#beatBehind(now));
    this.set(Deadline.LIVENESS, now + this.deadAfterMs);
  }

  detached(untilMs: number): void {
    this.#pauses = 0;
    this.clearAll();
    this.set(Deadline.HOLD, untilMs);
  }

  /** Expiry stands still while a resume with a good MAC waits for its verdict; there may be several at once. */
  pauseHold(paused: boolean, now: number): void {
    if (paused) {
      if (this.#pauses++ > 0) return;
      this.times[HOLD_LEFT] = Math.max(0, this.at(Deadline.HOLD) - now);
      this.clear(Deadline.HOLD);
    } else if (this.#pauses > 0 && --this.#pauses === 0) {
      this.set(Deadline.HOLD, now + (this.times[HOLD_LEFT] as number));
    }
  }

  /** HEARTBEAT is due. @returns whether nothing was written for so long that the next time would be too late */
  heartbeat(now: number): boolean {
    const nextMs = this.#beatBehind(this.times[WROTE] as number);
    const quiet = nextMs <= now;
    this.set(Deadline.HEARTBEAT, quiet ? this.#beatBehind(now) : nextMs);
    return quiet;
  }

  /** The last of those instants within a heartbeat. */
  #beatBehind(wroteMs: number): number {
    const everyMs = this.heartbeatMs / BEATS;
    return Math.floor((wroteMs + this.heartbeatMs) / everyMs) * everyMs;
  }

  /** LIVENESS is due. @returns why the circuit is dead; 'ask' when the peer must be asked first; null when it has been heard */
  liveness(now: number): SessionError | 'ask' | null {
    const dueMs = this.heardMs + this.deadAfterMs;
    const lateMs = now - this.at(Deadline.LIVENESS);
    if (dueMs > now) {
      this.set(Deadline.LIVENESS, dueMs);
      return null;
    }
    if (lateMs < this.heartbeatMs) return new SessionError('ERR_HEARTBEAT', `nothing heard for ${Math.round(now - this.heardMs)} ms`);
    this.set(Deadline.LIVENESS, now + LIVENESS_GRACE_MS);
    return 'ask';
  }

  /** The socket holds so many bytes that the kernel has not taken. */
  queued(bytes: number, now: number): void {
    if (bytes === 0) this.clear(Deadline.WRITE_STALL);
    else if (this.at(Deadline.WRITE_STALL) === Infinity) this.set(Deadline.WRITE_STALL, now + this.#writeStallMs);
    this.#queuedBytes = bytes;
  }

  /** WRITE_STALL is due. @returns why the circuit is dead, or null */
  writeStall(queuedBytes: number, now: number): SessionError | null {
    const moved = queuedBytes < this.#queuedBytes;
    this.#queuedBytes = queuedBytes;
    const heardDueMs = this.heardMs + this.#writeStallMs;
    if (queuedBytes === 0) this.clear(Deadline.WRITE_STALL);
    else if (moved) this.set(Deadline.WRITE_STALL, now + this.#writeStallMs);
    else if (heardDueMs > now) this.set(Deadline.WRITE_STALL, heardDueMs);
    else return new SessionError('ERR_WRITE_STALL', `${queuedBytes} bytes wait and nothing was heard for ${this.#writeStallMs} ms`);
    return null;
  }

  /** HOLD is due. @returns whether the session is over; a check that ran late gives the peer time to come back */
  held(holdMs: number, now: number): boolean {
    if (now - this.at(Deadline.HOLD) < this.heartbeatMs) return true;
    this.set(Deadline.HOLD, now + Math.min(holdMs, LATE_GRACE_MS));
    return false;
  }

  /** A new token for a PING that is written now. */
  ping(now: number): number {
    this.#token = (this.#token + 1) % 0xffff_ffff;
    this.times[PINGED] = now;
    this.tripDue = false;
    return this.#token;
  }

  /** A PONG came; one with another token belongs to an earlier circuit or was invented, and counts only as a sign of life. */
  pong(token: number, now: number): void {
    const pingedMs = this.times[PINGED] as number;
    if (Number.isNaN(pingedMs) || token !== this.#token) return;
    const sampleMs = now - pingedMs;
    this.times[PINGED] = Number.NaN;
    this.times[RTT] = Number.isNaN(this.rttMs) ? sampleMs : this.rttMs + (sampleMs - this.rttMs) / 8;
  }

  /** A frame came that advances nothing. @returns false when there are too many of them */
  charge(perSecond: number, burst: number): boolean {
    const fullMs = take(this.times[FULL] as number, this.heardMs, perSecond, burst);
    if (Number.isNaN(fullMs)) return false;
    this.times[FULL] = fullMs;
    return true;
  }
}
