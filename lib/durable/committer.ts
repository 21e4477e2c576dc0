// Committer: keeps one session's record in step with its core. Boundaries are captured as they come, one write is in flight, the newest
// boundary is next; acks and outputs are released when the record that holds them is stored. Nothing here runs on the core's stack.
import type { SessionCore } from '../core/session-core.ts';
import { SessionError } from '../errors.ts';
import type { Claim, ClaimResult, Store, StoredHead, Write, WriteResult } from '../stores/store.ts';
import type { Bond, Bonded } from './bond.ts';
import { type Boundary, capture, dataEnd, isBehind, stateOf, writeOf } from './boundary.ts';
import { freeze } from './data.ts';
import { LiveMark } from './live-mark.ts';

/** What a committer needs of its session's shell. */
export interface CommitHost<Message> {
  readonly core: SessionCore<Message>;
  node(): number;
  /** Runs the task behind the code that runs now. */
  soon(task: () => void): void;
  wait(ms: number): Promise<void>;
  /** In [0, 1). */
  random(): number;
  /** The boundary of this serial is stored: what waited for it may go. */
  stored(serial: number): void;
  /** The record is not this process's any more: the session ends here, without a word to its peer. */
  lost(error: SessionError): void;
  /** A call failed, and is repeated. */
  troubled(error: unknown): void;
}

export interface CommitterOptions {
  readonly store: Store;
  readonly id: string;
  readonly owner: string;
  readonly identity: Buffer;
  /** commit: acks and outputs wait for the record. detach: written only while no circuit carries the session. */
  readonly mode: 'commit' | 'detach';
  /** Its record is live while a circuit carries it, or while this process has it: others then send its peer here. */
  readonly liveWhile: 'attached' | 'held';
  /** How long a record is kept that nobody touches. */
  readonly keepMs: number;
}

/** Where a session that was taken from a store goes on. */
export interface Taken {
  readonly claim: Claim;
  readonly record: StoredHead;
  readonly data: unknown;
}

const RETRY_MS = { first: 50, most: 2_000 };
/** Of the record of a session that has ended: after keepMs it goes by itself. */
const REMOVE_TRIES = 10;
const CLEAN_POLL_MS = 20;

export class Committer<Message> implements Bonded {
  readonly kind = 'record' as const;
  readonly #host: CommitHost<Message>;
  readonly #options: CommitterOptions;
  #claim: Claim | null = null;
  #commit = 0;
  /** Outgoing bytes below are in the store; -1: it needs all of them. */
  #writtenEnd = -1;
  #data: unknown;
  #captured: Boundary;
  #stored: Boundary | null = null;
  /** Not stored yet, oldest first, and the newest boundary that may be stored without each. */
  #bonds: { readonly bond: Bond; readonly before: Boundary }[] = [];
  /** Operations on the record run one at a time. */
  #tail: Promise<unknown> = Promise.resolve();
  #writeDue = false;
  #soonDue = false;
  #refreshDue = false;
  readonly #mark: LiveMark;
  #over = false;

  constructor(host: CommitHost<Message>, options: CommitterOptions, taken?: Taken) {
    this.#host = host;
    this.#options = options;
    this.#data = taken?.data;
    this.#mark = new LiveMark(options.liveWhile, taken?.claim.tenure ?? 0);
    this.#captured = capture(host.core, this.#data, 0);
    if (taken !== undefined) {
      this.#claim = taken.claim;
      this.#commit = taken.record.commit;
      this.#stored = this.#captured;
      this.#writtenEnd = dataEnd(this.#captured);
    }
    this.#release(this.#captured);
  }

  get data(): unknown {
    return this.#data;
  }

  /** @throws SessionError ERR_INVALID_MESSAGE for what is not JSON */
  set data(value: unknown) {
    this.#data = freeze(value);
    this.soon();
  }

  /** The record is not this process's any more, or never was. */
  get over(): boolean {
    return this.#over;
  }

  /** Makes the record of a session that is new, once `ready` has resolved. */
  begin(ready: Promise<unknown> = Promise.resolve()): void {
    // One that has ended meanwhile has nothing left to be written.
    this.#queue(() => ready.then(() => (this.#over ? undefined : this.#create())));
  }

  /** Outputs wait here whose boundary has not come: so long they cannot leave. 0 where nothing is held back. */
  get heldBytes(): number {
    return this.#options.mode === 'detach' ? 0 : this.#host.core.outbound.end - this.#captured.end;
  }

  get holdsBack(): boolean {
    return this.#options.mode === 'commit';
  }

  /** Resolves when the record has been made, or the session has ended before. */
  get begun(): Promise<unknown> {
    return this.#tail;
  }

  /** Serial of the newest boundary, and of the last one stored. */
  get serial(): number {
    return this.#captured.serial;
  }
  get storedSerial(): number {
    return this.#stored?.serial ?? -1;
  }

  // ---------------------------------------------------------------- what the session tells

  /** No message is in progress now, or may not be: if so, this is a boundary. */
  capture(): void {
    const { core } = this.#host;
    if (this.#over || !this.#writes() || core.inbound.inProgress) return;
    const awaited = this.#bonds.filter(({ bond }) => bond.awaits(this));
    const moved = awaited.length > 0 || isBehind(this.#captured, core, this.#data);
    if (!moved && !this.#mark.stale) return;
    if (moved) this.#captured = capture(core, this.#data, this.#captured.serial + 1);
    for (const { bond } of awaited) bond.offer(this, this.#captured);
    this.#due();
  }

  /** The session was touched: a boundary at the end of this tick, where nothing is in progress. Groups what is done in one go. */
  soon(): void {
    if (this.#soonDue || this.#over || !this.#writes()) return;
    if (!this.#mark.stale && !isBehind(this.#captured, this.#host.core, this.#data)) return;
    this.#soonDue = true;
    this.#host.soon(this.#now);
  }

  /** A circuit carries the session; its record is live since the claim. */
  attached(): void {
    this.#mark.attachedNow();
    // From now on the session runs ahead of its record.
    if (this.#options.mode === 'detach') this.#writtenEnd = -1;
  }

  /** No circuit does: once the record tells everything it is clean. */
  detached(): void {
    this.#mark.detachedNow();
    this.capture();
  }

  /** The circuit of this generation has its verdict: if it does not carry the session, the record may be clean again. */
  judged(generation: number): void {
    if (this.#mark.judged(generation)) this.soon();
  }

  /** A record that nothing was written to for long is touched, so that it is kept. */
  refresh(): void {
    if (this.#over) return;
    const { core } = this.#host;
    const stale = !core.inbound.inProgress && isBehind(this.#captured, core, this.#data);
    if (stale) this.#captured = capture(core, this.#data, this.#captured.serial + 1);
    this.#refreshDue = true;
    this.#due();
  }

  /** A new circuit of this process takes the session. undefined: the session ended meanwhile. */
  reclaim(generation: number, instance: number): Promise<ClaimResult | undefined> {
    return this.#queue(async () => {
      const { store, id, owner, keepMs } = this.#options;
      for (;;) {
        if (this.#claim === null || this.#over) return undefined;
        const request = { id, owner, generation, instance, positions: undefined, held: this.#claim, exclusive: false, keepMs };
        const result = await this.repeat(() => store.claim(request));
        if (result?.status === 'behind') {
          this.#writtenEnd = -1;
          await this.#write(true);
          continue;
        }
        if (result?.status === 'fenced') this.letGo(fenced(result.generation));
        if (result?.status === 'gone' || result?.status === 'ended') this.letGo(gone());
        if (result?.status === 'claimed') this.#mark.claimed(generation);
        return result;
      }
    });
  }

  /** Asks the store whether this process still has the record, by a write that changes nothing. @returns false where another has it */
  async confirm(): Promise<boolean> {
    await this.#queue(() => this.#write(true));
    return !this.#over;
  }

  /** The session has ended: nothing is left but the tombstone. */
  end(tombstone: Buffer, keepMs: number): void {
    if (this.#over) return;
    this.#finish();
    this.#queue(async () => {
      const claim = this.#claim;
      if (claim !== null) await this.repeat(() => this.#options.store.remove(claim, tombstone, keepMs), REMOVE_TRIES);
    });
  }

  /** Resolves when the record of a detached session is clean: another process may take it up as it is. */
  async clean(): Promise<void> {
    this.#mark.leave();
    for (this.capture(); this.#mark.stale && !this.#over; this.capture()) {
      await this.#tail;
      // A message is in progress.
      if (this.#mark.stale) await this.#host.wait(CLEAN_POLL_MS);
    }
  }

  /** This process lets go: from here on nothing is written. @returns whether the session may be taken up as its record tells it */
  abandon(): boolean {
    this.#finish();
    return this.#options.mode === 'commit' || !this.#mark.live;
  }

  // ---------------------------------------------------------------- with other sessions at one instant

  get store(): Store {
    return this.#options.store;
  }

  get quiet(): boolean {
    return !this.#over && !this.#host.core.inbound.inProgress;
  }

  get bonds(): readonly Bond[] {
    return this.#bonds.map(({ bond }) => bond);
  }

  join(bond: Bond): void {
    this.#bonds.push({ bond, before: this.#captured });
  }

  turn(): Promise<() => void> {
    return new Promise((entered) => void this.#queue(() => new Promise<void>(entered)));
  }

  writeOf(boundary: Boundary): Write {
    return this.#writeOf(boundary, this.#claim as Claim);
  }

  written(bond: Bond, boundary: Boundary): void {
    this.#bonds = this.#bonds.filter((each) => each.bond !== bond);
    this.#done(boundary, this.#commit + 1);
    // What came behind it was held back.
    if (this.#captured !== boundary || this.#mark.stale) this.#due();
  }

  refused(result: WriteResult): void {
    if (result.status === 'fenced') this.letGo(fenced(result.generation));
    if (result.status === 'gone') this.letGo(gone());
    if (result.status === 'behind') this.#writtenEnd = -1;
  }

  letGo(error: SessionError): void {
    if (this.#over) return;
    this.#finish();
    this.#host.lost(error);
  }

  // ---------------------------------------------------------------- the store

  #writes(): boolean {
    return this.#mark.detached || this.#options.mode === 'commit';
  }

  readonly #now = (): void => {
    this.#soonDue = false;
    this.capture();
  };

  #due(): void {
    if (this.#writeDue) return;
    this.#writeDue = true;
    this.#queue(() => this.#write(false));
  }

  #queue<T>(operation: () => Promise<T>): Promise<T> {
    const run = this.#tail.then(operation);
    this.#tail = run.catch((error: unknown) => this.#host.troubled(error));
    return run;
  }

  async #create(): Promise<void> {
    const { store, id, owner, identity, keepMs } = this.#options;
    const { core } = this.#host;
    const boundary = this.#captured;
    const { generation, instance } = core;
    const state = stateOf(core, boundary, this.#host.node());
    const { egress } = core.outbound;
    egress.seal();
    // Where nothing is held back the peer may have acked more already: then the record is live, and only its numbers count.
    const end = dataEnd(boundary);
    const base = Math.min(egress.replay.base, end);
    const outbox = egress.replay.base > end ? Buffer.alloc(0) : egress.replay.slice(base, end);
    const numbers = { received: boundary.cursor, base, sent: boundary.end };
    const result = await this.repeat(() => store.create({ id, owner, generation, instance, identity, state, outbox, ...numbers, keepMs }));
    if (result === undefined) return;
    if (result.status === 'exists') return this.letGo(new SessionError('ERR_FENCED', `the store holds a record ${id} of somebody else`));
    this.#claim = result.claim;
    this.#done(boundary, 1);
  }

  /** @param always also where the newest boundary is stored */
  async #write(always: boolean): Promise<void> {
    this.#writeDue = false;
    const { core } = this.#host;
    const { store } = this.#options;
    const boundary = this.#storable();
    const clean = this.#mark.mayGo && !core.inbound.inProgress && !isBehind(boundary, core, this.#data);
    if (this.#claim === null || (boundary === this.#stored && !(clean && this.#mark.stale) && !this.#refreshDue && !always)) return;
    for (let result: WriteResult | undefined; result?.status !== 'done'; ) {
      // Only where nothing is held back: a boundary so old that the peer has acked beyond it. A newer one follows.
      if (this.#over || core.outbound.egress.replay.base > dataEnd(boundary)) return;
      const write = this.#writeOf(boundary, this.#claim);
      result = await this.repeat(() => (clean ? store.release(write) : store.commit(write)));
      if (result === undefined) return;
      this.refused(result);
    }
    this.#refreshDue = false;
    this.#mark.written(clean);
    this.#done(boundary, this.#commit + 1);
  }

  /** The newest boundary that is not tied to those of other sessions. */
  #storable(): Boundary {
    const [tied] = this.#bonds;
    if (tied === undefined) return this.#captured;
    return this.#stored !== null && this.#stored.serial > tied.before.serial ? this.#stored : tied.before;
  }

  #writeOf(boundary: Boundary, claim: Claim): Write {
    const { keepMs } = this.#options;
    const options = { claim, commit: this.#commit + 1, node: this.#host.node(), from: this.#writtenEnd, keepMs };
    return writeOf(this.#host.core, boundary, options);
  }

  #done(boundary: Boundary, commit: number): void {
    this.#commit = commit;
    this.#writtenEnd = this.#writes() ? dataEnd(boundary) : -1;
    this.#stored = boundary;
    if (this.#over) return;
    this.#release(boundary);
    this.#host.stored(boundary.serial);
  }

  #release(boundary: Boundary): void {
    if (this.#options.mode === 'detach') return;
    const { inbound, outbound } = this.#host.core;
    const stored = this.#stored === boundary;
    inbound.released = stored ? boundary.cursor : 0;
    outbound.released = stored ? boundary.end : 0;
  }

  #finish(): void {
    this.#over = true;
    for (const { bond } of this.#bonds.splice(0)) bond.break();
  }

  /** Repeats a call until it is answered: what was asked may have been done. @returns undefined where the session ended meanwhile */
  async repeat<T>(call: () => Promise<T>, most: number = Infinity): Promise<T | undefined> {
    for (let tries = 0; ; tries++) {
      try {
        return await call();
      } catch (error) {
        this.#host.troubled(error);
      }
      if (most === Infinity ? this.#over : tries + 1 >= most) return undefined;
      const ms = Math.min(RETRY_MS.most, RETRY_MS.first * 2 ** Math.min(10, tries));
      await this.#host.wait(ms * (0.5 + this.#host.random() / 2));
    }
  }
}

function gone(): SessionError {
  return new SessionError('ERR_STATE_LOST', 'the store has no record of this session any more');
}

function fenced(generation: number): SessionError {
  return new SessionError('ERR_FENCED', `its record was claimed with generation ${generation}`);
}
