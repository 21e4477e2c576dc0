// Throttle: counts unfinished handshakes, accepts and failures per address, never per session id.
import { Bucket } from '../core/bucket.ts';

export interface ThrottleLimits {
  readonly unfinishedPerAddress: number;
  readonly acceptsPerSecond: number;
  readonly acceptsBurst: number;
  readonly failuresPerMinute: number;
}

/** Addresses remembered; more than that at once is an attack from many addresses, which per-address counts cannot stop. */
const ADDRESSES_MAX = 10_000;

class Origin {
  unfinished = 0;
  readonly accepts: Bucket;
  readonly failures: Bucket;
  usedMs: number;

  constructor(limits: ThrottleLimits, now: number) {
    this.accepts = new Bucket(limits.acceptsPerSecond, limits.acceptsBurst);
    this.failures = new Bucket(limits.failuresPerMinute / 60, limits.failuresPerMinute);
    this.usedMs = now;
  }
}

export class Throttle {
  readonly #limits: ThrottleLimits;
  readonly #origins = new Map<string, Origin>();

  constructor(limits: ThrottleLimits) {
    this.#limits = limits;
  }

  /** A connection came. @returns false when it must go at once; true must be followed by finished(). */
  accepted(address: string, now: number): boolean {
    const origin = this.#origin(address, now);
    if (origin.unfinished >= this.#limits.unfinishedPerAddress || origin.failures.spent(now) || !origin.accepts.take(now)) return false;
    origin.unfinished++;
    return true;
  }

  finished(address: string): void {
    const origin = this.#origins.get(key(address));
    if (origin !== undefined && origin.unfinished > 0) origin.unfinished--;
  }

  failed(address: string, now: number): void {
    this.#origin(address, now).failures.take(now);
  }

  #origin(address: string, now: number): Origin {
    const name = key(address);
    let origin = this.#origins.get(name);
    if (origin === undefined) {
      if (this.#origins.size >= ADDRESSES_MAX) this.#forget();
      origin = new Origin(this.#limits, now);
    } else {
      this.#origins.delete(name);
    }
    // Moved to the end: the map is in order of use.
    origin.usedMs = now;
    this.#origins.set(name, origin);
    return origin;
  }

  /** Drops the addresses used longest ago that have nothing going on. */
  #forget(): void {
    let left = ADDRESSES_MAX / 10;
    for (const [name, origin] of this.#origins) {
      if (left-- === 0) return;
      if (origin.unfinished === 0) this.#origins.delete(name);
    }
  }
}

/** One customer has one IPv4 address or one IPv6 /64. */
export function key(address: string): string {
  if (address.startsWith('::ffff:') && address.includes('.')) return address.slice(7);
  if (!address.includes(':')) return address;
  const [head = '', tail] = address.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const behind = tail === '' ? 0 : tail.split(':').length;
    while (groups.length < 8 - behind && groups.length < 4) groups.push('0');
    if (groups.length < 4 && tail !== '') groups.push(...tail.split(':'));
  }
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
