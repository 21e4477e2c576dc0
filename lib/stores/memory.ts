// memoryStore: records in the memory of this process, for tests and for several servers in one process. Bounded: above its bytes clean
// records go, the largest and oldest first, and their owner is told; what dies with the process is as lost as without a store.
import { SessionError } from '../errors.ts';
import { applied, type Header, judgeClaim, judgeWrite } from './internal/rules.ts';
import type {
  Claim,
  ClaimRequest,
  ClaimResult,
  CreateResult,
  Creation,
  Found,
  Store,
  StoredHead,
  StoredRecord,
  Write,
  WriteResult,
} from './store.ts';

export interface MemoryStoreOptions {
  /** All records together. 64 MiB. */
  readonly bytes?: number;
  /** A record went to make room: its session cannot be resumed elsewhere any more. */
  readonly onEvict?: (id: string, bytes: number) => void;
  /** Monotonic milliseconds. Only tests set it. */
  readonly now?: () => number;
}

/** @throws SessionError ERR_INVALID_OPTION */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  return new MemoryStore(options);
}

/** What a record costs beside its bytes. */
const ENTRY_BYTES = 512;

interface Piece {
  readonly from: number;
  readonly bytes: Buffer;
}

interface Entry {
  header: Header;
  readonly identity: Buffer;
  state: Buffer;
  /** Outgoing bytes as they were appended: copied once, however many wait. */
  outbox: readonly Piece[];
  /** Not null: it has ended. */
  tombstone: Buffer | null;
  untilMs: number;
  bytes: number;
}

class MemoryStore implements Store {
  readonly mayRollBack: boolean = false;
  readonly #limitBytes: number;
  readonly #onEvict: (id: string, bytes: number) => void;
  readonly #now: () => number;
  // In order of the last write, so that the first of equal size is the oldest.
  readonly #entries = new Map<string, Entry>();
  readonly #leases = new Map<string, number>();
  #bytes = 0;

  constructor(options: MemoryStoreOptions) {
    const { bytes = 64 * 1024 * 1024, onEvict = () => {}, now = () => performance.now() } = options;
    if (!Number.isSafeInteger(bytes) || bytes < ENTRY_BYTES)
      throw new SessionError('ERR_INVALID_OPTION', `option bytes must be a whole number from ${ENTRY_BYTES}, not ${bytes}`);
    this.#limitBytes = bytes;
    this.#onEvict = onEvict;
    this.#now = now;
  }

  async ready(): Promise<void> {}

  async create(creation: Creation): Promise<CreateResult> {
    const { id, owner, generation, instance, received, base, sent, keepMs } = creation;
    const before = this.#entry(id);
    const claim = { id, owner, tenure: generation };
    if (before !== undefined) {
      const mine = before.tombstone === null && before.header.owner === owner && before.header.tenure === generation;
      return mine ? { status: 'created', claim } : { status: 'exists' };
    }
    const header = { generation, instance, commit: 1, received, base, sent, owner, tenure: generation, live: true };
    const outbox = [{ from: base, bytes: Buffer.from(creation.outbox) }];
    const identity = Buffer.from(creation.identity);
    this.#put(id, { header, identity, state: Buffer.from(creation.state), outbox, tombstone: null, untilMs: 0, bytes: 0 }, keepMs);
    return { status: 'created', claim };
  }

  async find(id: string): Promise<Found | undefined> {
    const entry = this.#entry(id);
    if (entry === undefined) return undefined;
    return entry.tombstone === null ? { ended: false, record: headOf(entry) } : { ended: true, tombstone: Buffer.from(entry.tombstone) };
  }

  async claim(request: ClaimRequest): Promise<ClaimResult> {
    const { id, held } = request;
    const entry = this.#entry(id);
    if (entry === undefined) return { status: 'gone' };
    if (entry.tombstone !== null) return { status: 'ended', tombstone: Buffer.from(entry.tombstone) };
    const grant = judgeClaim(entry.header, request, this.#leaseMs(entry.header.owner));
    if ('status' in grant) return grant;
    const record = held === undefined ? recordOf(entry) : undefined;
    this.#put(id, { ...entry, header: { ...entry.header, ...grant, live: true } }, request.keepMs);
    return { status: 'claimed', claim: { id, owner: grant.owner, tenure: grant.tenure }, record };
  }

  async commit(write: Write): Promise<WriteResult> {
    return this.#write(write, true);
  }

  async release(write: Write): Promise<WriteResult> {
    return this.#write(write, false);
  }

  async commitAll(writes: readonly Write[]): Promise<readonly WriteResult[]> {
    const verdicts = writes.map((write) => this.#judge(write));
    const whole = verdicts.every((verdict) => verdict === 'apply' || verdict.status === 'done');
    if (whole) this.#applyAll(writes.filter((_, i) => verdicts[i] === 'apply'));
    return verdicts.map((verdict) => (verdict === 'apply' ? DONE : verdict));
  }

  async remove(claim: Claim, tombstone: Buffer, keepMs: number): Promise<WriteResult> {
    const entry = this.#entry(claim.id);
    if (entry === undefined) return { status: 'gone' };
    const { tenure, generation } = entry.header;
    if (tenure > claim.tenure) return { status: 'fenced', generation };
    if (entry.tombstone !== null) return tenure === claim.tenure ? DONE : { status: 'gone' };
    if (tombstone.length === 0) this.#drop(claim.id);
    else this.#put(claim.id, { ...entry, state: NOTHING, outbox: [], tombstone: Buffer.from(tombstone) }, keepMs);
    return DONE;
  }

  async renew(owner: string, leaseMs: number): Promise<void> {
    const now = this.#now();
    for (const [name, untilMs] of this.#leases) if (untilMs <= now) this.#leases.delete(name);
    this.#leases.set(owner, now + leaseMs);
  }

  async close(): Promise<void> {}

  #write(write: Write, live: boolean): WriteResult {
    const verdict = this.#judge(write);
    if (verdict !== 'apply') return verdict;
    this.#apply(write, live);
    return DONE;
  }

  #judge(write: Write): 'apply' | WriteResult {
    const entry = this.#entry(write.claim.id);
    return entry === undefined || entry.tombstone !== null ? { status: 'gone' } : judgeWrite(entry.header, write);
  }

  #apply(write: Write, live: boolean): void {
    const { claim, base, from, whole } = write;
    const entry = this.#entries.get(claim.id) as Entry;
    const kept = whole ? [] : entry.outbox.filter((piece) => piece.from + piece.bytes.length > base);
    const outbox = write.outbox.length === 0 ? kept : [...kept, { from, bytes: Buffer.from(write.outbox) }];
    this.#put(claim.id, { ...entry, header: applied(entry.header, write, live), state: Buffer.from(write.state), outbox }, write.keepMs);
  }

  /** @throws SessionError ERR_STORE where there is no room for all; then none is applied */
  #applyAll(writes: readonly Write[]): void {
    const before = writes.map(({ claim }) => [claim.id, this.#entries.get(claim.id) as Entry] as const);
    try {
      for (const write of writes) this.#apply(write, true);
    } catch (error) {
      for (const [id, entry] of before) {
        this.#drop(id);
        this.#entries.set(id, entry);
        this.#bytes += entry.bytes;
      }
      throw error;
    }
  }

  #leaseMs(owner: string): number {
    return Math.max(0, (this.#leases.get(owner) ?? 0) - this.#now());
  }

  #entry(id: string): Entry | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.untilMs > this.#now()) return entry;
    this.#drop(id);
    return undefined;
  }

  /** @throws SessionError ERR_STORE where there is no room; then nothing has changed */
  #put(id: string, entry: Entry, keepMs: number): void {
    const held = entry.outbox.reduce((sum, piece) => sum + piece.bytes.length, 0);
    const bytes = ENTRY_BYTES + entry.identity.length + entry.state.length + held + (entry.tombstone?.length ?? 0);
    const before = this.#entries.get(id)?.bytes ?? 0;
    const room = this.#makeRoom(bytes - before, id);
    if (!room) throw new SessionError('ERR_STORE', `memoryStore is full: ${this.#bytes} of ${this.#limitBytes} bytes are in live records`);
    this.#drop(id);
    entry.bytes = bytes;
    entry.untilMs = this.#now() + keepMs;
    this.#entries.set(id, entry);
    this.#bytes += bytes;
  }

  /** Clean records and tombstones go, the largest first; what a process has live never. */
  #makeRoom(bytes: number, but: string): boolean {
    while (this.#bytes + bytes > this.#limitBytes) {
      let largest: string | undefined;
      let most = 0;
      for (const [id, entry] of this.#entries) {
        if (id === but || entry.bytes <= most || (entry.header.live && entry.tombstone === null && entry.untilMs > this.#now())) continue;
        largest = id;
        most = entry.bytes;
      }
      if (largest === undefined) return false;
      this.#drop(largest);
      this.#onEvict(largest, most);
    }
    return true;
  }

  #drop(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    this.#bytes -= entry.bytes;
  }
}

function headOf(entry: Entry): StoredHead {
  const { generation, instance, commit, received, base, sent } = entry.header;
  const { identity, state } = entry;
  return { generation, instance, commit, received, base, sent, identity: Buffer.from(identity), state: Buffer.from(state) };
}

function recordOf(entry: Entry): StoredRecord {
  const { base } = entry.header;
  const outbox = Buffer.concat(entry.outbox.map(({ from, bytes }) => bytes.subarray(Math.max(0, base - from))));
  return { ...headOf(entry), outbox };
}

const DONE: WriteResult = { status: 'done' };
const NOTHING = Buffer.alloc(0);
