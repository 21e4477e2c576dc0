// Token bucket: bounds how often something may happen, for frames that advance nothing and for addresses that misbehave.

/**
 * Takes one token of a bucket that gives `burst` at once and `perSecond` in the long run. All there is to know of a bucket is when it will
 * be full again, and a session keeps no more of its own than that: 0 at first.
 * @returns when it will be full with this token taken; NaN when none is left
 */
export function take(fullMs: number, now: number, perSecond: number, burst: number): number {
  const emptyMs = fullMs > now ? fullMs - now : 0;
  // Compared in tokens, as they are granted: whole ones.
  if (burst - (emptyMs * perSecond) / 1000 < 1) return Number.NaN;
  return now + emptyMs + 1000 / perSecond;
}

/** A token bucket that keeps its numbers together. */
export class Bucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #fullMs = 0;

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
  }

  /** Takes one token; false when none is left. */
  take(now: number): boolean {
    const fullMs = take(this.#fullMs, now, this.#perSecond, this.#burst);
    if (Number.isNaN(fullMs)) return false;
    this.#fullMs = fullMs;
    return true;
  }

  /** True when take() would fail. */
  spent(now: number): boolean {
    return Number.isNaN(take(this.#fullMs, now, this.#perSecond, this.#burst));
  }
}
