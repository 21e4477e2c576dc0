// lmdbStore: records in an LMDB file of this machine, shared by any number of its processes, so that sessions survive restarts and rolling
// deploys without a server. Every change is conditional on the version that it was judged by, so that the lock of all writers is held for
// the write itself and never while JavaScript runs. A process that dies with it lets it go; one that is stopped (SIGSTOP) keeps it.
import { randomInt } from 'node:crypto';
import { type Key, open, type RootDatabase } from 'lmdb';
import { SessionError } from '../errors.ts';
import { decodeEntry, type Entry, encodeEntry } from './internal/entry.ts';
import { applied, judgeClaim, judgeWrite } from './internal/rules.ts';
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

export interface LmdbStoreOptions {
  /** A folder that only these processes use; made where it is missing. On a local disk: LMDB's locks do not work over a network. */
  readonly path: string;
  /**
   * What an answered write survives. `disk` (default): a power cut, one sync for all writes of that moment. `process`: the death of any
   * process; a power cut may take the last seconds, which is noticed by whoever knows better, and never passes for the newest state.
   */
  readonly survives?: 'disk' | 'process';
  /** Wall clock, milliseconds since 1970: it must outlast a restart. Only tests set it. */
  readonly now?: () => number;
}

/** @throws SessionError ERR_INVALID_OPTION, ERR_STORE where the file cannot be opened */
export function lmdbStore(options: LmdbStoreOptions): Store {
  const { path, survives = 'disk', now = Date.now } = options;
  if (typeof path !== 'string' || path === '') throw new SessionError('ERR_INVALID_OPTION', 'option path must name a folder');
  if (survives !== 'disk' && survives !== 'process')
    throw new SessionError('ERR_INVALID_OPTION', 'option survives must be disk or process');
  try {
    const overlappingSync = survives === 'process';
    // noSubdir: a path with a dot in it is a folder too.
    const database = open<Buffer, Key>({ path, encoding: 'binary', useVersions: true, overlappingSync, noSubdir: false });
    return new LmdbStore(database, overlappingSync, now);
  } catch (cause) {
    throw failed(`opening ${path}`, cause);
  }
}

/** An entry, and the version that a change of it is conditional on. */
interface Versioned extends Entry {
  readonly version: number;
}

/** What is written in one condition: it takes the new version. */
type Change = (version: number) => void;

class LmdbStore implements Store {
  readonly mayRollBack: boolean;
  readonly #database: RootDatabase<Buffer, Key>;
  readonly #now: () => number;
  #sweptTo = '';

  constructor(database: RootDatabase<Buffer, Key>, mayRollBack: boolean, now: () => number) {
    this.#database = database;
    this.mayRollBack = mayRollBack;
    this.#now = now;
  }

  async ready(): Promise<void> {}

  async create(creation: Creation): Promise<CreateResult> {
    // Whoever adds one takes some away that are over, so that the file does not grow for ever.
    await this.#sweep(SWEPT_PER_CREATE);
    const { id, owner, generation, instance, received, base, sent, identity, state, outbox, keepMs } = creation;
    const header = { generation, instance, commit: 1, received, base, sent, owner, tenure: generation, live: true };
    const created: CreateResult = { status: 'created', claim: { id, owner, tenure: generation } };
    return this.#step<CreateResult>('create', id, (before) => {
      if (before !== undefined) {
        const mine = before.tombstone === null && before.header.owner === owner && before.header.tenure === generation;
        return { answer: mine ? created : { status: 'exists' } };
      }
      const entry: Entry = { header, untilMs: this.#now() + keepMs, identity, state, tombstone: null };
      return { answer: created, change: this.#change(id, entry, () => this.#append(id, base, outbox)) };
    });
  }

  async find(id: string): Promise<Found | undefined> {
    const entry = this.#read(id);
    if (entry === undefined) return undefined;
    return entry.tombstone === null ? { ended: false, record: headOf(entry) } : { ended: true, tombstone: Buffer.from(entry.tombstone) };
  }

  claim(request: ClaimRequest): Promise<ClaimResult> {
    const { id, held, keepMs } = request;
    return this.#step<ClaimResult>('claim', id, (entry) => {
      if (entry === undefined) return { answer: { status: 'gone' } };
      if (entry.tombstone !== null) return { answer: { status: 'ended', tombstone: Buffer.from(entry.tombstone) } };
      const grant = judgeClaim(entry.header, request, this.#leaseMs(entry.header.owner));
      if ('status' in grant) return { answer: grant };
      const record = held === undefined ? this.#recordOf(id, entry) : undefined;
      const next: Entry = { ...entry, header: { ...entry.header, ...grant, live: true }, untilMs: this.#now() + keepMs };
      return {
        answer: { status: 'claimed', claim: { id, owner: grant.owner, tenure: grant.tenure }, record },
        change: this.#change(id, next),
      };
    });
  }

  commit(write: Write): Promise<WriteResult> {
    return this.#write('commit', write, true);
  }

  release(write: Write): Promise<WriteResult> {
    return this.#write('release', write, false);
  }

  /** In a transaction of its own, since several entries are judged at one instant. */
  async commitAll(writes: readonly Write[]): Promise<readonly WriteResult[]> {
    try {
      return await this.#database.transaction(() => {
        const entries = writes.map((write) => this.#read(write.claim.id));
        const verdicts = writes.map((write, i) => judge(entries[i], write));
        const whole = verdicts.every((verdict) => verdict === 'apply' || verdict.status === 'done');
        if (whole) {
          verdicts.forEach((verdict, i) => {
            const entry = entries[i];
            if (verdict === 'apply' && entry !== undefined) this.#apply(entry, writes[i] as Write, true)(entry.version + 1);
          });
        }
        return verdicts.map((verdict) => (verdict === 'apply' ? DONE : verdict));
      });
    } catch (cause) {
      throw failed('commitAll', cause);
    }
  }

  remove(claim: Claim, tombstone: Buffer, keepMs: number): Promise<WriteResult> {
    const { id } = claim;
    return this.#step<WriteResult>('remove', id, (entry) => {
      if (entry === undefined) return { answer: { status: 'gone' } };
      const { tenure, generation } = entry.header;
      if (tenure > claim.tenure) return { answer: { status: 'fenced', generation } };
      if (entry.tombstone !== null) return { answer: tenure === claim.tenure ? DONE : { status: 'gone' } };
      if (tombstone.length === 0) return { answer: DONE, change: () => this.#erase(id) };
      const next: Entry = { ...entry, state: NOTHING, tombstone, untilMs: this.#now() + keepMs };
      return { answer: DONE, change: this.#change(id, next, () => this.#dropOutbox(id, Infinity)) };
    });
  }

  async renew(owner: string, leaseMs: number): Promise<void> {
    const until = Buffer.allocUnsafe(8);
    until.writeDoubleBE(this.#now() + leaseMs);
    try {
      await this.#database.put(leaseKey(owner), until, 1);
    } catch (cause) {
      throw failed('renew', cause);
    }
    await this.#sweep(SWEPT_PER_RENEW);
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  #write(what: string, write: Write, live: boolean): Promise<WriteResult> {
    return this.#step<WriteResult>(what, write.claim.id, (entry) => {
      const verdict = judge(entry, write);
      return verdict === 'apply' ? { answer: DONE, change: this.#apply(entry as Versioned, write, live) } : { answer: verdict };
    });
  }

  /**
   * Judges what is there and changes it iff it is still that; else once more. Each round lost is a step that another has done, so
   * somebody always gets on.
   */
  async #step<Answer>(
    what: string,
    id: string,
    decide: (entry: Versioned | undefined) => { readonly answer: Answer; readonly change?: Change },
  ): Promise<Answer> {
    try {
      for (;;) {
        const raw = this.#readAny(id);
        const { answer, change } = decide(raw !== undefined && raw.untilMs > this.#now() ? raw : undefined);
        if (change === undefined) return answer;
        const changed =
          raw === undefined
            ? this.#database.ifNoExists(recordKey(id), () => change(randomInt(2 ** 47)))
            : this.#database.ifVersion(recordKey(id), raw.version, () => change(raw.version + 1));
        if (await changed) return answer;
      }
    } catch (cause) {
      throw SessionError.is(cause) ? cause : failed(what, cause);
    }
  }

  #change(id: string, entry: Entry, also: () => void = () => {}): Change {
    const bytes = encodeEntry(entry);
    return (version) => {
      this.#database.put(recordKey(id), bytes, version);
      also();
    };
  }

  #apply(entry: Versioned, write: Write, live: boolean): Change {
    const { claim, base, from, whole, outbox, state } = write;
    const next: Entry = { ...entry, header: applied(entry.header, write, live), state, untilMs: this.#now() + write.keepMs };
    return this.#change(claim.id, next, () => {
      if (whole || base > entry.header.base) this.#dropOutbox(claim.id, whole ? Infinity : base);
      this.#append(claim.id, from, outbox);
    });
  }

  #append(id: string, from: number, outbox: Buffer): void {
    if (outbox.length > 0) this.#database.put(outboxKey(id, from), outbox, 1);
  }

  /** Pieces that end at or below `base`. They lie in order, so that those that stay are not looked at. */
  #dropOutbox(id: string, base: number): void {
    for (const { from, bytes } of this.#pieces(id)) {
      if (from + bytes.length > base) return;
      this.#database.remove(outboxKey(id, from));
    }
  }

  #erase(id: string): void {
    this.#dropOutbox(id, Infinity);
    this.#database.remove(recordKey(id));
  }

  *#pieces(id: string): Iterable<{ readonly from: number; readonly bytes: Buffer }> {
    for (const { key, value } of this.#database.getRange({ start: outboxKey(id, 0), end: outboxKey(id, Infinity) })) {
      yield { from: (key as [string, string, number])[2], bytes: value };
    }
  }

  #recordOf(id: string, entry: Entry): StoredRecord {
    const { base } = entry.header;
    const pieces = [...this.#pieces(id)];
    return { ...headOf(entry), outbox: Buffer.concat(pieces.map(({ from, bytes }) => bytes.subarray(Math.max(0, base - from)))) };
  }

  #leaseMs(owner: string): number {
    return Math.max(0, (this.#database.get(leaseKey(owner))?.readDoubleBE() ?? 0) - this.#now());
  }

  #read(id: string): Versioned | undefined {
    const entry = this.#readAny(id);
    return entry !== undefined && entry.untilMs > this.#now() ? entry : undefined;
  }

  #readAny(id: string): Versioned | undefined {
    // What another process has written since the last read must be seen.
    this.#database.resetReadTxn();
    const found = this.#database.getEntry(recordKey(id));
    return found === undefined ? undefined : { ...decodeEntry(Buffer.from(found.value)), version: found.version as number };
  }

  /** Erases what is over among the next `most` records. */
  async #sweep(most: number): Promise<void> {
    const now = this.#now();
    try {
      const range = { start: recordKey(this.#sweptTo), end: recordKey(LAST), limit: most, versions: true };
      const found = [...this.#database.getRange(range)].map(({ key, value, version }) => ({
        id: (key as [string, string])[1],
        over: decodeEntry(value).untilMs <= now,
        version: version as number,
      }));
      this.#sweptTo = found.length < most ? '' : (found.at(-1)?.id ?? '');
      for (const { id, over, version } of found) {
        if (over) await this.#database.ifVersion(recordKey(id), version, () => this.#erase(id));
      }
      for (const { key, value } of this.#database.getRange({ start: leaseKey(''), end: leaseKey(LAST), limit: most })) {
        if (value.readDoubleBE() <= now - LEASE_KEPT_MS) await this.#database.remove(key);
      }
    } catch (cause) {
      throw failed('sweep', cause);
    }
  }
}

const NOTHING: Buffer = Buffer.alloc(0);
const DONE: WriteResult = { status: 'done' };
const SWEPT_PER_CREATE = 4;
const SWEPT_PER_RENEW = 256;
const LEASE_KEPT_MS = 60_000;
/** Behind every id and owner in the order of keys. */
const LAST = '\uffff';

function recordKey(id: string): Key {
  return ['record', id];
}

function outboxKey(id: string, from: number): Key {
  return ['outbox', id, from];
}

function leaseKey(owner: string): Key {
  return ['lease', owner];
}

function judge(entry: Entry | undefined, write: Write): 'apply' | WriteResult {
  return entry === undefined || entry.tombstone !== null ? { status: 'gone' } : judgeWrite(entry.header, write);
}

function headOf(entry: Entry): StoredHead {
  const { generation, instance, commit, received, base, sent } = entry.header;
  return { generation, instance, commit, received, base, sent, identity: Buffer.from(entry.identity), state: Buffer.from(entry.state) };
}

function failed(what: string, cause: unknown): SessionError {
  return new SessionError('ERR_STORE', `lmdbStore: ${what} failed (${cause instanceof Error ? cause.message : String(cause)})`, { cause });
}
