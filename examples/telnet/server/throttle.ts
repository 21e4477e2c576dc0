// Slows down who guesses passwords. In: failed and successful logins, each with its address and its name. Out: how long the next try has to
// wait. Five failures are free, then each doubles the wait, up to a quarter of an hour. Time comes in as `now`, in ms, monotonic.

/** Wrong passwords that cost nothing yet: people mistype. */
const FREE_FAILURES = 5;
const FIRST_WAIT_MS = 1_000;
const MOST_WAIT_MS = 15 * 60_000;
/** A failure is forgiven after this. */
const FORGIVEN_MS = 15 * 60_000;
/** Addresses and names remembered; the one that failed longest ago goes. */
const MOST_ENTRIES = 10_000;

interface Entry {
  failures: number;
  untilMs: number;
  lastMs: number;
}

export class LoginThrottle {
  readonly #entries: Map<string, Entry> = new Map();
  /** Pairs of address and name that logged in: guessing elsewhere must not lock the owner out. */
  readonly #known: Map<string, number> = new Map();

  /** Milliseconds that this try has to wait; 0: none. The same for names that exist and for others. */
  waitMs(address: string, name: string, now: number): number {
    return Math.max(...this.#keys(address, name).map((key) => (this.#entries.get(key)?.untilMs ?? 0) - now), 0);
  }

  failed(address: string, name: string, now: number): void {
    for (const key of this.#keys(address, name)) {
      const before = this.#entries.get(key);
      const failures = before === undefined || now - before.lastMs > FORGIVEN_MS ? 1 : before.failures + 1;
      const doublings = Math.min(failures - FREE_FAILURES, 20);
      const untilMs = doublings < 0 ? 0 : now + Math.min(FIRST_WAIT_MS * 2 ** doublings, MOST_WAIT_MS);
      remember(this.#entries, key, { failures, untilMs, lastMs: now });
    }
  }

  succeeded(address: string, name: string, now: number): void {
    remember(this.#known, `${addressKey(address)} ${name}`, now);
    this.#entries.delete(`address ${addressKey(address)}`);
  }

  #keys(address: string, name: string): string[] {
    const place = addressKey(address);
    const keys = [`address ${place}`];
    if (!this.#known.has(`${place} ${name}`)) keys.push(`name ${name.slice(0, 64)}`);
    return keys;
  }
}

function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= MOST_ENTRIES) return;
  const oldest = map.keys().next();
  if (!oldest.done) map.delete(oldest.value);
}

/** One IPv6 customer has a /64. */
export function addressKey(address: string): string {
  if (!address.includes(':') || address.includes('.')) return address;
  const [head = '', tail] = address.split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const middle = tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - front.length - back.length) }, () => '0');
  return [...front, ...middle, ...back].slice(0, 4).join(':');
}
