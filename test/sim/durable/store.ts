// The store of a simulated world: memoryStore in virtual time, behind a network of its own. Calls take time both ways, are lost on the
// way there or back, and a call of a process that has died meanwhile is applied all the same: late writes are what fencing is for.

import { memoryStore } from '../../../lib/stores/memory.ts';
import type { Store } from '../../../lib/stores/store.ts';
import type { Random } from '../../../lib/testing/random.ts';
import { type Fault, FaultyStore } from '../../support/faulty-store.ts';
import type { Clock, Host } from '../clock.ts';
import { Audit } from './audit.ts';

export interface StoreTrouble {
  /** One way, in milliseconds, 0 to this. */
  readonly delayMs: number;
  readonly lostChance: number;
  readonly unansweredChance: number;
  /** Longest delay of a call that is very late. */
  readonly lateMs: number;
  readonly lateChance: number;
}

export class SimStore {
  readonly store: Store;
  readonly audit: Audit;
  healed: boolean = false;
  /** No call gets through until then. */
  awayUntilMs: number = 0;
  /** Calls that were lost, applied without an answer, and applied for a process that was dead by then. */
  readonly counts: Record<'lost' | 'unanswered' | 'late' | 'posthumous', number> = { lost: 0, unanswered: 0, late: 0, posthumous: 0 };
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #trouble: StoreTrouble;

  constructor(clock: Clock, random: Random, trouble: StoreTrouble, complain: (who: string, what: string) => void) {
    this.#clock = clock;
    this.#random = random;
    this.#trouble = trouble;
    this.store = memoryStore({ now: () => clock.nowMs });
    this.audit = new Audit(this.store, complain);
  }

  /** The store as one process sees it. */
  of(host: Host): FaultyStore {
    const clock = this.#clock;
    const there = new FaultyStore(this.audit.of(host), async (method) => {
      if (method === 'ready') return 'none';
      const ms = this.#delay();
      const fault = this.#fault();
      // Of nobody's host: what was sent arrives, whatever becomes of its sender.
      await clock.sleep(null, ms);
      if (clock.nowMs < this.awayUntilMs || fault === 'lost') return this.#count('lost');
      if (host.dead) this.counts.posthumous++;
      clock.trace.note(clock.nowMs, host.name, `store ${method}`);
      return fault === 'unanswered' ? this.#count('unanswered') : 'none';
    });
    const back = new FaultyStore(there, () => 'none');
    return slowBack(back, () => clock.sleep(host, this.#delay()));
  }

  #delay(): number {
    const { delayMs, lateMs, lateChance } = this.#trouble;
    if (this.healed) return this.#random.integer(0, 1);
    if (!this.#random.chance(lateChance)) return this.#random.integer(0, delayMs);
    this.counts.late++;
    return this.#random.integer(delayMs, lateMs);
  }

  #fault(): Fault {
    if (this.healed) return 'none';
    if (this.#random.chance(this.#trouble.lostChance)) return 'lost';
    return this.#random.chance(this.#trouble.unansweredChance) ? 'unanswered' : 'none';
  }

  #count(fault: 'lost' | 'unanswered'): Fault {
    this.counts[fault]++;
    return fault;
  }
}

/** Answers take their time too, and reach no dead process. */
function slowBack(store: FaultyStore, back: () => Promise<void>): FaultyStore {
  const call = <K extends 'ready' | 'create' | 'find' | 'claim' | 'commit' | 'release' | 'remove' | 'renew'>(name: K): void => {
    const plain = store[name].bind(store) as (...given: unknown[]) => Promise<unknown>;
    const slow = async (...given: unknown[]): Promise<unknown> => {
      const answer = await plain(...given).then(
        (value) => () => value,
        (error: unknown) => () => {
          throw error;
        },
      );
      await back();
      return answer();
    };
    Object.assign(store, { [name]: slow });
  };
  for (const name of ['ready', 'create', 'find', 'claim', 'commit', 'release', 'remove', 'renew'] as const) call(name);
  return store;
}
