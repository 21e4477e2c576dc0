// The window that every peer works under: at most this much is on its way. Its receiver tells over the session itself how many messages it
// has taken, each quarter of a window. Several peers have no other bound on what they buffer.

import { numberOf } from '../payload.ts';
import type { Link } from '../peer.ts';

const WINDOW_MESSAGES = 16_384;
const WINDOW_BYTES = 4 * 1024 * 1024;

export function windowOf(messageBytes: number): number {
  return Math.max(4, Math.min(WINDOW_MESSAGES, Math.floor(WINDOW_BYTES / messageBytes)));
}

/** The receiver's end: counts, and tells. */
export class Granter {
  readonly #link: Link;
  readonly #every: number;
  #taken = 0;
  #told = 0;

  constructor(link: Link, messageBytes: number) {
    this.#link = link;
    this.#every = Math.floor(windowOf(messageBytes) / 4);
  }

  took(): void {
    if (++this.#taken - this.#told < this.#every) return;
    this.#told = this.#taken;
    const grant = Buffer.allocUnsafe(4);
    grant.writeUInt32BE(this.#taken, 0);
    this.#link.send(grant);
  }
}

/** What the sender learns from a grant: how many messages were taken so far. */
export function granted(bytes: Uint8Array, start: number): number {
  return numberOf(bytes, start);
}
