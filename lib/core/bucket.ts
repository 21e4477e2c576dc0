// Token bucket: bounds how often something may happen, for frames that advance nothing and for addresses that misbehave.

/** A token bucket: `burst` at once, `perSecond` in the long run. */
export class Bucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #atMs: number;

  constructor(perSecond: number, burst: number, now: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#atMs = now;
  }

  /** Takes one token; false when none is left. */
  take(now: number): boolean {
    if (this.spent(now)) return false;
    this.#tokens--;
    return true;
  }

  /** True when take() would fail. */
  spent(now: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#atMs) * this.#perSecond) / 1000);
    this.#atMs = now;
    return this.#tokens < 1;
  }
}
