// What a peer may make us do: a burst, and then so many a second. In: a take and its time. Out: whether it is allowed. No clock of its own.

export interface Allowance {
  readonly burst: number;
  readonly perSecond: number;
}

/** A token bucket over the time that it is given. */
export class Budget {
  readonly #allowance: Allowance;
  #tokens: number;
  #atMs: number | null = null;

  constructor(allowance: Allowance) {
    this.#allowance = allowance;
    this.#tokens = allowance.burst;
  }

  /** @param now in ms, monotonic. */
  take(now: number): boolean {
    const passedMs = this.#atMs === null ? 0 : Math.max(0, now - this.#atMs);
    this.#atMs = now;
    this.#tokens = Math.min(this.#allowance.burst, this.#tokens + (passedMs / 1000) * this.#allowance.perSecond);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
