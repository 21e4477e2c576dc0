// Redial: when the dialing side tries again. In go circuits that come and go, out come delays: short while an outage is young, half as
// long as it has lasted while it grows, never in step with other sessions.

/** A circuit that stood this long shows that the network is good again. */
const STABLE_MS = 10_000;
/** A loss is most often of this one connection: the first dial only needs to be out of step with those of other sessions. */
const FIRST_MS = 50;
const LEAST_MS = 200;
const YOUNG_MS = 30_000;
const YOUNG_CEILING_MS = 2_000;
const OLD_CEILING_MS = 30_000;
const SPREAD_MS = 1_000;

export class Redial {
  /** Dials since a circuit last stood for 10 s. */
  dials = 0;
  // Time without the circuit that is wanted, since a circuit last stood for 10 s: searches that are over, and the one that goes on.
  #searchedMs = 0;
  #sinceMs: number = Number.NaN;
  #attachedMs: number = Number.NaN;

  /** A circuit is wanted from now on: the one there was is lost, or is to be left. */
  search(now: number): void {
    if (!Number.isNaN(this.#sinceMs)) return;
    this.#sinceMs = now;
    if (now - this.#attachedMs >= STABLE_MS) {
      this.dials = 0;
      this.#searchedMs = 0;
    }
  }

  attached(now: number): void {
    if (!Number.isNaN(this.#sinceMs)) this.#searchedMs += now - this.#sinceMs;
    this.#sinceMs = Number.NaN;
    this.#attachedMs = now;
  }

  /**
   * Milliseconds until the next dial (PROTOCOL.md D-1).
   * @param random in [0, 1) @param leastMs the server asked for so many: all whom it told so must not come back at the same moment
   */
  delayMs(now: number, random: number, leastMs: number): number {
    const searchedMs = this.#searchedMs + (Number.isNaN(this.#sinceMs) ? 0 : now - this.#sinceMs);
    const ceilingMs = searchedMs < YOUNG_MS ? YOUNG_CEILING_MS : OLD_CEILING_MS;
    const spanMs = Math.min(ceilingMs, Math.max(LEAST_MS, searchedMs / 2));
    if (leastMs > 0) return leastMs + random * Math.max(SPREAD_MS, spanMs);
    return this.dials === 0 ? random * FIRST_MS : (spanMs * (1 + random)) / 2;
  }
}
