// Durability: what a server or client with a store has once: its name, its lease, and how a session's driver is tied to its record.
import { report } from './diagnostics.ts';
import type { SessionDriver } from './driver.ts';
import { Committer, type Taken } from './durable/committer.ts';
import { SessionError } from './errors.ts';
import { ownerName } from './peering.ts';
import { Alarm, delay, type Runtime } from './runtime.ts';
import type { Store } from './stores/store.ts';

/** A process that was not heard for so long does not run: three times the interval at which it says so. */
const LEASE_MS = 15_000;
const RENEW_MS = 5_000;
/** So soon again, where it could not say so. */
const RENEW_AGAIN_MS = 500;
/** A record is kept for the hold time and this: a store need not be swept often, and no living session is swept with it. */
const KEEP_MS = 24 * 3_600_000;
const REFRESH_MS = 6 * 3_600_000;

export interface RecordOptions {
  readonly id: string;
  readonly identity: Buffer;
  readonly node: () => number;
}

export class Durability {
  readonly store: Store;
  readonly mode: 'detach' | 'commit';
  /** Name of this process for its store. */
  readonly owner: string;
  /** Where clients reach it, where processes send them to each other. */
  readonly address: string | undefined;
  readonly #runtime: Runtime;
  readonly #alarm: Alarm;
  readonly #committers = new Set<{ refresh(): void; readonly over: boolean }>();
  #refreshedMs: number;
  #renewedMs = Number.NEGATIVE_INFINITY;

  constructor(store: Store, mode: 'detach' | 'commit', runtime: Runtime, address?: string) {
    this.store = store;
    this.mode = mode;
    this.address = address;
    this.owner = ownerName(runtime.randomBytes(16).toString('hex'), address);
    this.#runtime = runtime;
    this.#refreshedMs = runtime.now();
    this.#alarm = new Alarm((now) => this.#ring(now));
  }

  keepMs(holdMs: number): number {
    return holdMs + KEEP_MS;
  }

  /** Resolves when the store knows that this process runs: before that what it has live would look like the rest of a crash. */
  async leased(): Promise<void> {
    const known = this.#runtime.now() - this.#renewedMs < LEASE_MS - RENEW_MS;
    if (this.#leases() && !known) await this.persist(() => this.#renew(), LEASE_MS).catch(() => {});
  }

  /** Ties a session to its record. @param taken where it was found in the store; else the record is made now */
  tie<Message>(driver: SessionDriver<Message>, options: RecordOptions, taken?: Taken): void {
    const { runtime } = driver.settings;
    const { id, identity, node } = options;
    const host = {
      core: driver.core,
      node,
      soon: (task: () => void) => runtime.defer(run, task),
      wait: (ms: number) => delay(runtime, ms, undefined),
      random: () => runtime.random(),
      stored: (serial: number) => driver.stored(serial),
      lost: (error: SessionError) => driver.lost(error),
      troubled: (error: unknown) => report('store', { id }, asError(error)),
    };
    const keepMs = this.keepMs(driver.core.holdMs);
    const { store, owner, mode } = this;
    // What is not detached anywhere stays where it is; a crash is found by the lease.
    const liveWhile = mode === 'commit' && this.address !== undefined ? 'held' : 'attached';
    const committer = new Committer(host, { store, id, owner, identity, mode, liveWhile, keepMs }, taken);
    driver.durable = committer;
    this.#committers.add(committer);
    if (this.#alarm.dueMs === Infinity) this.#ring(runtime.now());
  }

  /** A session is over. */
  untie<Message>(driver: SessionDriver<Message>): void {
    if (driver.durable !== null) this.#committers.delete(driver.durable);
    if (this.#committers.size === 0) this.#runtime.disarm(this.#alarm);
  }

  /** Calls until there is an answer: what was asked may have been done. @throws what the store said last, after `withinMs` */
  async persist<T>(call: () => Promise<T>, withinMs: number): Promise<T> {
    const untilMs = this.#runtime.now() + withinMs;
    for (let waitMs = 50; ; waitMs = Math.min(2_000, waitMs * 2)) {
      try {
        return await call();
      } catch (error) {
        report('store', { id: '' }, asError(error));
        if (this.#runtime.now() + waitMs > untilMs) throw asError(error);
      }
      await delay(this.#runtime, waitMs, undefined);
    }
  }

  #leases(): boolean {
    return this.mode === 'detach' || this.address !== undefined;
  }

  async #renew(): Promise<void> {
    const now = this.#runtime.now();
    await this.store.renew(this.owner, LEASE_MS);
    this.#renewedMs = now;
  }

  #failed(error: unknown): void {
    report('store', { id: '' }, asError(error));
    if (this.#committers.size > 0) this.#runtime.arm(this.#alarm, this.#runtime.now() + RENEW_AGAIN_MS);
  }

  #ring(now: number): void {
    this.#runtime.arm(this.#alarm, now + (this.#leases() ? RENEW_MS : REFRESH_MS));
    if (this.#leases()) this.#renew().catch((error: unknown) => this.#failed(error));
    if (now - this.#refreshedMs < REFRESH_MS) return;
    this.#refreshedMs = now;
    for (const committer of this.#committers) committer.refresh();
  }
}

function run(task: () => void): void {
  task();
}

export function asError(error: unknown): SessionError {
  return SessionError.is(error) ? error : new SessionError('ERR_STORE', 'a call to the store failed', { cause: error });
}
