// Audit: looks at a store each time that a process has called it. No number of a record may fall; and it remembers who was granted what,
// so that a process which takes a circuit without a grant, or is fenced by nobody but itself, is found.

import type { ClaimRequest, Creation, Store, StoreNumbers, Write } from '../../../lib/stores/store.ts';
import type { Host } from '../clock.ts';

const NUMBERS = ['generation', 'commit', 'received', 'base', 'sent'] as const;

export class Audit {
  readonly #store: Store;
  readonly #complain: (who: string, what: string) => void;
  readonly #last = new Map<string, StoreNumbers>();
  readonly #owners = new Map<string, Host>();
  /** Generations of a record that a process was granted. */
  readonly #granted = new Map<Host, Map<string, Set<number>>>();

  constructor(store: Store, complain: (who: string, what: string) => void) {
    this.#store = store;
    this.#complain = complain;
  }

  /** The store, as this process calls it. */
  of(host: Host): Store {
    const store = this.#store;
    const look = (id: string): Promise<void> => this.#look(host, id);
    return {
      mayRollBack: store.mayRollBack,
      ready: () => store.ready(),
      find: (id) => store.find(id),
      remove: (claim, tombstone, keepMs) => store.remove(claim, tombstone, keepMs),
      renew: (owner, leaseMs) => store.renew(owner, leaseMs),
      close: () => store.close(),
      create: async (creation: Creation) => {
        const result = await store.create(creation);
        if (result.status === 'created') {
          this.#last.delete(creation.id);
          this.#owners.set(creation.id, host);
        }
        return result;
      },
      claim: async (request: ClaimRequest) => {
        const result = await store.claim(request);
        if (result.status === 'claimed') this.#grant(host, request);
        await look(request.id);
        return result;
      },
      commit: async (write: Write) => {
        const result = await store.commit(write);
        await look(write.claim.id);
        return result;
      },
      release: async (write: Write) => {
        const result = await store.release(write);
        await look(write.claim.id);
        return result;
      },
    };
  }

  /** How many circuits this process may have taken for the session, beside the one that opened it. */
  grants(host: Host, id: string): number {
    return this.#granted.get(host)?.get(id)?.size ?? 0;
  }

  /** Whether this process was the last that was granted the record. */
  owns(host: Host, id: string): boolean {
    return this.#owners.get(id) === host;
  }

  #grant(host: Host, { id, generation }: ClaimRequest): void {
    this.#owners.set(id, host);
    const byId = this.#granted.get(host) ?? new Map<string, Set<number>>();
    this.#granted.set(host, byId.set(id, (byId.get(id) ?? new Set()).add(generation)));
  }

  async #look(host: Host, id: string): Promise<void> {
    const found = await this.#store.find(id);
    if (found === undefined || found.ended) return;
    const { record } = found;
    const last = this.#last.get(id);
    for (const name of NUMBERS) {
      const before = last?.[name] ?? 0;
      if (record[name] < before) this.#complain(host.name, `${name} of ${id} fell from ${before} to ${record[name]} in the store`);
    }
    this.#last.set(id, record);
  }
}
