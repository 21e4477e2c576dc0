// Store: where sessions outlive a process. Numbers that must be compared go in as numbers, everything else as bytes that a store does not
// read. One contract for all stores: test/contract/store.ts.

/** What a store compares and counts (DESIGN §7). All are whole numbers up to 2^53-1, and none of the first three ever falls. */
export interface StoreNumbers {
  /** Of the last circuit that was granted the session. */
  readonly generation: number;
  /** Generation with which the dialing process first took part. */
  readonly instance: number;
  /** Number of the last write: create() is 1. */
  readonly commit: number;
  /** Everything below was consumed. */
  readonly received: number;
  /** Lowest own byte that the peer may still need. */
  readonly base: number;
  /** End of the outputs that this record releases. */
  readonly sent: number;
}

/** The right to write a record, until another process claims it. */
export interface Claim {
  readonly id: string;
  readonly owner: string;
  /** Generation at which this owner took the record from another. It fences: a new circuit of the same owner leaves it as it is. */
  readonly tenure: number;
}

/** One boundary of a session, as far as it differs from the one before. */
export interface Write {
  readonly claim: Claim;
  /** The last one plus 1. */
  readonly commit: number;
  /** As the owner has them. claim() has stored them already; they count where `whole` heals a store that lost that. */
  readonly generation: number;
  readonly instance: number;
  readonly received: number;
  readonly base: number;
  readonly sent: number;
  /** Replaces the state before. */
  readonly state: Buffer;
  /** Outgoing bytes that begin at offset `from`: they follow those of the last write. Those below `base` may be dropped. */
  readonly outbox: Buffer;
  readonly from: number;
  /** `outbox` is all of it, from `base` on, and replaces what is there: how an owner heals a store that lost its last writes. */
  readonly whole: boolean;
  /** The record may go when it was not touched for so long. */
  readonly keepMs: number;
}

export interface Creation {
  readonly id: string;
  readonly owner: string;
  readonly generation: number;
  readonly instance: number;
  /** Fixed for the life of the session: keys, terms, who opened it. */
  readonly identity: Buffer;
  readonly received: number;
  readonly base: number;
  readonly sent: number;
  readonly state: Buffer;
  /** From `base` on. */
  readonly outbox: Buffer;
  readonly keepMs: number;
}

export interface ClaimRequest {
  readonly id: string;
  /** Name of the process that asks: another one at every start. */
  readonly owner: string;
  /** Of the circuit that asks. */
  readonly generation: number;
  readonly instance: number;
  /** The peer's own positions; undefined: a process of the dialing side takes up its own record, and nothing is compared. */
  readonly positions: { readonly received: number; readonly base: number; readonly sent: number } | undefined;
  /** The claim that this process holds. Its memory judges the positions then, and it does not fence itself. */
  readonly held: Claim | undefined;
  /** Refuse a record that another process has live: what it did since its last write would be done twice. */
  readonly exclusive: boolean;
  readonly keepMs: number;
}

/** A record without its outgoing bytes. */
export interface StoredHead extends StoreNumbers {
  readonly identity: Buffer;
  readonly state: Buffer;
}

export interface StoredRecord extends StoredHead {
  /** Outgoing bytes from `base` on. */
  readonly outbox: Buffer;
}

export type Found = { readonly ended: false; readonly record: StoredHead } | { readonly ended: true; readonly tombstone: Buffer };

export type CreateResult = { readonly status: 'created'; readonly claim: Claim } | { readonly status: 'exists' };

export type ClaimResult =
  /** Granted. `record`: undefined where the caller held it already. Its generation and instance may be the old or the new ones. */
  | { readonly status: 'claimed'; readonly claim: Claim; readonly record: StoredRecord | undefined }
  /** A newer circuit, or another process of the dialing side, was granted it. Nothing changed. */
  | { readonly status: 'stale'; readonly generation: number; readonly instance: number }
  /** Bytes are missing, in one direction or the other. Nothing changed. */
  | { readonly status: 'lost'; readonly received: number; readonly base: number; readonly sent: number }
  /** Exclusive, and live elsewhere. leaseMs: so long its owner may still be running; 0: it is not. Nothing changed. */
  | {
      readonly status: 'live';
      readonly owner: string;
      readonly leaseMs: number;
      readonly received: number;
      readonly base: number;
      readonly sent: number;
    }
  /** The claim held is no longer good: another process has the record. */
  | { readonly status: 'fenced'; readonly generation: number }
  /** The store has lost the claim held, or writes made under it: write the whole record, then claim again. */
  | { readonly status: 'behind'; readonly commit: number }
  | { readonly status: 'ended'; readonly tombstone: Buffer }
  | { readonly status: 'gone' };

export type WriteResult =
  /** Applied, by this call or by an earlier one with the same number. */
  | { readonly status: 'done' }
  /** Another process has claimed the record. Nothing changed. */
  | { readonly status: 'fenced'; readonly generation: number }
  /** The store has lost writes (a failover to an older copy). Nothing changed; repeat with `whole`. */
  | { readonly status: 'behind'; readonly commit: number }
  /** There is no such record, or it has ended. */
  | { readonly status: 'gone' };

/**
 * Every method is one atomic step, checks included, whichever process calls it; where a check fails nothing has changed.
 *
 * A rejection means an *unknown* outcome: the step was done, or not, or will be. The caller then repeats the same call until it is
 * answered, so every method gives the same answer again when it is repeated with the same arguments. A store may repeat by itself.
 *
 * Buffers given are copied or written before the promise resolves, and those returned are the caller's.
 */
export interface Store {
  /** True where a write that was answered may still be lost: replication that lags, a log not synced. Resumes are then challenged. */
  readonly mayRollBack: boolean;

  /** Resolves when the store can be used. @throws SessionError ERR_STORE that says what to configure */
  ready(): Promise<void>;

  /** Makes a record with commit number 1, live, claimed by `owner` with tenure = generation. `exists`: the id is taken. */
  create(creation: Creation): Promise<CreateResult>;

  /** Looks without claiming: what a MAC is checked against. undefined: nothing is known by this id. */
  find(id: string): Promise<Found | undefined>;

  /**
   * Grants the record to one circuit, and marks it live. In this order: there is one (gone, ended) · the same request was granted before
   * (claimed) · the claim held is good (fenced, behind) · generation > stored, and instance = stored or > stored generation (stale) ·
   * exclusive (live) · base ≤ asked.received ≤ sent and asked.base ≤ received ≤ asked.sent (lost; not judged for a holder).
   * Stores generation, instance and owner; the tenure becomes the generation where the caller did not hold the record.
   */
  claim(request: ClaimRequest): Promise<ClaimResult>;

  /** Applies a boundary iff the tenure is the claim's and `commit` is the last one plus 1. */
  commit(write: Write): Promise<WriteResult>;

  /** commit(), and marks the record clean: nothing has happened in its process that it does not tell. The claim stays good. */
  release(write: Write): Promise<WriteResult>;

  /**
   * Several sessions at one instant: all are applied, or none. Absent where the store cannot, which is certain once ready() has resolved.
   * @returns one result for each; where any is not `done`, none was applied, and those that could have been are `done` all the same
   */
  commitAll?(writes: readonly Write[]): Promise<readonly WriteResult[]>;

  /** Ends the record. `tombstone` is kept for keepMs, for a peer that was away; an empty one leaves nothing. */
  remove(claim: Claim, tombstone: Buffer, keepMs: number): Promise<WriteResult>;

  /** The process `owner` runs, and will say so again within leaseMs. */
  renew(owner: string, leaseMs: number): Promise<void>;

  /** Lets go of what the store itself opened. Records stay. */
  close(): Promise<void>;
}

/** Where a ticket stands among those of its session: a later generation, then a higher number, is newer. */
export interface TicketMark {
  readonly generation: number;
  readonly number: number;
}

/** Remembers the newest ticket that a session's client is known to have, for all servers. Numbers only: no state is in it. */
export interface TicketRegister {
  /**
   * One atomic step: keeps the newer of what is kept and `mark`, and tells it. What nobody has advanced for keepMs may go: by then all
   * tickets that it knows of have expired. A rejection means that it cannot be told now: the client is asked to come again.
   */
  advance(id: string, mark: TicketMark, keepMs: number): Promise<TicketMark>;
}
