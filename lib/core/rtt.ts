// Round-trip time by RFC 6298 §2, from the PINGs of a session: tokens go out, a smoothed time comes out.

export class Rtt {
  /** Smoothed round trip in milliseconds; NaN before the first PONG. */
  smoothedMs: number = Number.NaN;
  variationMs = 0;
  #token = 0;
  #sentAtMs = 0;
  #outstanding = false;

  /** A new token for a PING that is written now. */
  ping(now: number): number {
    this.#token = (this.#token + 1) % 0xffff_ffff;
    this.#sentAtMs = now;
    this.#outstanding = true;
    return this.#token;
  }

  /** A PONG came; one with another token belongs to an earlier circuit or was invented, and counts only as a sign of life. */
  pong(token: number, now: number): void {
    if (!this.#outstanding || token !== this.#token) return;
    this.#outstanding = false;
    const sample = now - this.#sentAtMs;
    if (Number.isNaN(this.smoothedMs)) {
      this.smoothedMs = sample;
      this.variationMs = sample / 2;
      return;
    }
    this.variationMs += (Math.abs(this.smoothedMs - sample) - this.variationMs) / 4;
    this.smoothedMs += (sample - this.smoothedMs) / 8;
  }
}
