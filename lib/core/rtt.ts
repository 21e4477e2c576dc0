// Round-trip time from the PINGs of a session: tokens go out, a smoothed time comes out (the SRTT of RFC 6298 §2).

export class Rtt {
  /** Smoothed round trip in milliseconds; NaN before the first PONG. */
  smoothedMs: number = Number.NaN;
  #token = 0;
  /** Of the PING that has not been answered; NaN when all were. */
  #sentAtMs = Number.NaN;

  /** A new token for a PING that is written now. */
  ping(now: number): number {
    this.#token = (this.#token + 1) % 0xffff_ffff;
    this.#sentAtMs = now;
    return this.#token;
  }

  /** A PONG came; one with another token belongs to an earlier circuit or was invented, and counts only as a sign of life. */
  pong(token: number, now: number): void {
    if (Number.isNaN(this.#sentAtMs) || token !== this.#token) return;
    const sample = now - this.#sentAtMs;
    this.#sentAtMs = Number.NaN;
    if (Number.isNaN(this.smoothedMs)) this.smoothedMs = sample;
    else this.smoothedMs += (sample - this.smoothedMs) / 8;
  }
}
