// The decisions of a store as pure functions: what is stored and what is asked go in, the answer comes out. Stores written in
// JavaScript use these inside of their transaction; a script in a database says the same in its own words.
import type { ClaimRequest, ClaimResult, Write, WriteResult } from '../store.ts';

/** The part of a stored record that decisions are made on. */
export interface Header {
  readonly generation: number;
  readonly instance: number;
  readonly commit: number;
  readonly received: number;
  readonly base: number;
  readonly sent: number;
  readonly owner: string;
  readonly tenure: number;
  /** Something may have happened in its process that the record does not tell. */
  readonly live: boolean;
}

/** What a granted claim changes. */
export interface Grant {
  readonly generation: number;
  readonly instance: number;
  readonly owner: string;
  readonly tenure: number;
}

type Refusal = Exclude<ClaimResult, { readonly status: 'claimed' | 'ended' | 'gone' }>;

/** @param leaseMs how long the record's owner said that it runs; 0 where that is over. @returns what to store, or the refusal */
export function judgeClaim(stored: Header, asked: ClaimRequest, leaseMs: number): Grant | Refusal {
  const { generation, instance, owner, held } = asked;
  const { received, base, sent } = stored;
  const tenure = held === undefined ? generation : held.tenure;
  const same = stored.generation === generation && stored.instance === instance && stored.owner === owner;
  if (same && stored.tenure === tenure) return { generation, instance, owner, tenure };
  if (held !== undefined && stored.tenure !== held.tenure) return outrun(stored, held.tenure);
  const newer = generation > stored.generation;
  if (!newer || (instance !== stored.instance && instance <= stored.generation))
    return { status: 'stale', generation: stored.generation, instance: stored.instance };
  if (held === undefined) {
    if (asked.exclusive && stored.live && stored.owner !== owner)
      return { status: 'live', owner: stored.owner, leaseMs, received, base, sent };
    if (asked.positions !== undefined && !fit(stored, asked.positions)) return { status: 'lost', received, base, sent };
  }
  return { generation, instance, owner, tenure };
}

/** @returns 'apply', or the answer to a write that must not be applied (again) */
export function judgeWrite(stored: Header, write: Write): 'apply' | WriteResult {
  const { tenure } = write.claim;
  if (stored.tenure > tenure) return { status: 'fenced', generation: stored.generation };
  // A claim that the store does not know of any more: it was rolled back. Generations never fall, so nobody else has it.
  if (stored.tenure < tenure) return write.whole ? 'apply' : { status: 'behind', commit: stored.commit };
  if (write.commit <= stored.commit) return { status: 'done' };
  return write.whole || write.commit === stored.commit + 1 ? 'apply' : { status: 'behind', commit: stored.commit };
}

/** What a write leaves in the header. */
export function applied(stored: Header, write: Write, live: boolean): Header {
  const { claim, commit, received, base, sent } = write;
  const { generation, instance } = write.generation > stored.generation ? write : stored;
  return { generation, instance, owner: claim.owner, tenure: claim.tenure, commit, received, base, sent, live };
}

function outrun(stored: Header, tenure: number): Refusal {
  if (stored.tenure > tenure) return { status: 'fenced', generation: stored.generation };
  return { status: 'behind', commit: stored.commit };
}

/** Each side still holds what the other has not received, and has sent what the other has. */
function fit(stored: Header, asked: NonNullable<ClaimRequest['positions']>): boolean {
  const out = stored.base <= asked.received && asked.received <= stored.sent;
  return out && asked.base <= stored.received && stored.received <= asked.sent;
}
