// A store between a session and its real store, which fails as networks and disks do: slow, away, or applied while the answer is lost.

import type { Claim, ClaimRequest, ClaimResult, CreateResult, Creation, Found, Store, Write, WriteResult } from '../../lib/stores/store.ts';

/** What happens to one call: nothing, it never arrives, or it is applied and its answer is lost. */
export type Fault = 'none' | 'lost' | 'unanswered';

export class FaultyStore implements Store {
  readonly mayRollBack: boolean;
  readonly #store: Store;
  readonly #next: (method: string) => Fault | Promise<Fault>;
  /** Calls that arrived, by method. */
  readonly calls: Record<string, number> = {};
  readonly #held = new Map<string, Promise<void>>();
  commitAll?: (writes: readonly Write[]) => Promise<readonly WriteResult[]>;

  /** @param next asked for each call; a promise delays it */
  constructor(store: Store, next: (method: string) => Fault | Promise<Fault>) {
    this.#store = store;
    this.#next = next;
    this.mayRollBack = store.mayRollBack;
    const { commitAll } = store;
    if (commitAll !== undefined) this.commitAll = (writes) => this.#call('commitAll', () => commitAll.call(store, writes));
  }

  ready(): Promise<void> {
    return this.#call('ready', () => this.#store.ready());
  }
  create(creation: Creation): Promise<CreateResult> {
    return this.#call('create', () => this.#store.create(creation));
  }
  find(id: string): Promise<Found | undefined> {
    return this.#call('find', () => this.#store.find(id));
  }
  claim(request: ClaimRequest): Promise<ClaimResult> {
    return this.#call('claim', () => this.#store.claim(request));
  }
  commit(write: Write): Promise<WriteResult> {
    return this.#call('commit', () => this.#store.commit(write));
  }
  release(write: Write): Promise<WriteResult> {
    return this.#call('release', () => this.#store.release(write));
  }
  remove(claim: Claim, tombstone: Buffer, keepMs: number): Promise<WriteResult> {
    return this.#call('remove', () => this.#store.remove(claim, tombstone, keepMs));
  }
  renew(owner: string, leaseMs: number): Promise<void> {
    return this.#call('renew', () => this.#store.renew(owner, leaseMs));
  }
  close(): Promise<void> {
    return this.#store.close();
  }

  /** Calls of this method wait, until the function that is returned is called. */
  hold(method: string): () => void {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#held.set(method, held);
    return () => {
      this.#held.delete(method);
      release();
    };
  }

  async #call<T>(method: string, run: () => Promise<T>): Promise<T> {
    const held = this.#held.get(method);
    if (held !== undefined) await held;
    const fault = await this.#next(method);
    if (fault === 'lost') throw new Error(`${method}: no connection to the store`);
    this.calls[method] = (this.calls[method] ?? 0) + 1;
    const answer = await run();
    if (fault === 'unanswered') throw new Error(`${method}: the connection broke before the answer`);
    return answer;
  }
}
