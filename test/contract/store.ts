// The contract of every store, as one suite. A store's test calls storeContract() with a maker; a store of your own passes the same
// suite before sessions can trust it. Everything in it is asked through two connections, as two processes have them.

import { expect } from 'chai';
import fc from 'fast-check';
import type { Claim, ClaimRequest, ClaimResult, Creation, Store, StoredRecord, Write, WriteResult } from '../../lib/stores/store.ts';
import { type Fault, FaultyStore } from '../support/faulty-store.ts';

export interface StoreSubject {
  readonly store: Store;
  /** Another connection to the same records. */
  readonly other: Store;
  /** Lets so many milliseconds pass for the store. */
  wait(ms: number): Promise<void>;
  /** The span that tests of expiry measure in: longer where time is real and a step may be late. */
  readonly leaseMs?: number;
  end(): Promise<void>;
}

/** @param runs how many random histories, where each costs real time */
export function storeContract(name: string, make: () => Promise<StoreSubject>, runs: number = 100): void {
  describe(`store contract: ${name}`, () => {
    let subject: StoreSubject;
    beforeEach(async () => {
      subject = await make();
      LEASE_MS = subject.leaseMs ?? 120;
      await subject.store.ready();
      await subject.other.ready();
    });
    afterEach(() => subject.end());
    const now = (): StoreSubject => subject;
    keepsRecords(now);
    grantsOneOwner(now);
    fencesWriters(now);
    judgesPositions(now);
    protectsLiveRecords(now);
    endsRecords(now);
    survivesFaults(now);
    noticesRollback(now);
    commitsTogether(now);
    survivesAnyHistory(now, runs);
  });
}

type Now = () => StoreSubject;

const KEEP_MS = 60_000;
let LEASE_MS = 120;
let serial = 0;
/** An id that no other test of this run has used: stores may be shared. */
function freshId(): string {
  return `contract-${process.pid}-${serial++}`;
}

function creation(id: string, changes: Partial<Creation> = {}): Creation {
  const identity = Buffer.from([0, 255, 1, 10, 13]);
  const state = Buffer.from('first state');
  const bytes = { identity, state, outbox: Buffer.from('ab') };
  return { id, owner: 'A', generation: 1, instance: 1, received: 10, base: 5, sent: 7, ...bytes, keepMs: KEEP_MS, ...changes };
}

/** The write behind `commit` - 1 that appends two bytes for each number. */
function write(claim: Claim, commit: number, changes: Partial<Write> = {}): Write {
  const from = 7 + 2 * (commit - 2);
  const numbers = { commit, generation: claim.tenure, instance: 1, received: 10 + commit, base: 5, sent: from + 2 };
  const bytes = { state: Buffer.from(`state ${commit}`), outbox: Buffer.from('cd'), from, whole: false };
  return { claim, ...numbers, ...bytes, keepMs: KEEP_MS, ...changes };
}

function request(id: string, owner: string, generation: number, changes: Partial<ClaimRequest> = {}): ClaimRequest {
  const positions = { received: 7, base: 10, sent: 10 };
  return { id, owner, generation, instance: 1, positions, held: undefined, exclusive: false, keepMs: KEEP_MS, ...changes };
}

async function created(store: Store, id: string, changes: Partial<Creation> = {}): Promise<Claim> {
  const result = await store.create(creation(id, changes));
  if (result.status !== 'created') throw new Error(`create: ${result.status}`);
  return result.claim;
}

function granted(result: ClaimResult): { claim: Claim; record: StoredRecord | undefined } {
  if (result.status !== 'claimed') throw new Error(`claim: ${result.status}`);
  return result;
}

async function stored(store: Store, id: string): Promise<Record<string, unknown>> {
  const found = await store.find(id);
  return found === undefined ? { gone: true } : found.ended ? { tombstone: found.tombstone.toString() } : { ...found.record };
}

function keepsRecords(now: Now): void {
  it('gives back what was written, bytes and numbers, through another connection', async () => {
    const { store, other } = now();
    const id = freshId();
    expect(await other.find(id)).to.equal(undefined);
    const claim = await created(store, id);
    expect(claim).to.deep.equal({ id, owner: 'A', tenure: 1 });
    const { identity, state } = creation(id);
    const numbers = { generation: 1, instance: 1, commit: 1, received: 10, base: 5, sent: 7 };
    expect(await stored(other, id)).to.deep.equal({ ...numbers, identity, state });
    expect((await store.commit(write(claim, 2))).status).to.equal('done');
    expect((await store.commit(write(claim, 3, { outbox: Buffer.alloc(0), sent: 9, state: Buffer.alloc(0) }))).status).to.equal('done');
    expect((await store.commit(write(claim, 4, { from: 9, base: 8, sent: 12, outbox: Buffer.from('ef') }))).status).to.equal('done');
    const { record } = granted(await other.claim(request(id, 'B', 2, { positions: { received: 9, base: 10, sent: 99 } })));
    expect(record?.outbox.toString()).to.equal('def');
    expect(record?.state.toString()).to.equal('state 4');
    expect(record?.identity.equals(identity)).to.equal(true);
    expect([record?.commit, record?.received, record?.base, record?.sent]).to.deep.equal([4, 14, 8, 12]);
  });

  it('keeps numbers up to 2^53-1, and large outboxes in order', async () => {
    const { store, other } = now();
    const id = freshId();
    const top = Number.MAX_SAFE_INTEGER;
    const claim = await created(store, id, { received: top, base: top - 300_000, sent: top - 300_000, outbox: Buffer.alloc(0) });
    let from = top - 300_000;
    for (let commit = 2; commit < 5; commit++) {
      const outbox = Buffer.alloc(100_000, commit);
      const numbers = { received: top, base: top - 300_000, sent: from + 100_000 };
      expect((await store.commit(write(claim, commit, { ...numbers, outbox, from }))).status).to.equal('done');
      from += 100_000;
    }
    const positions = { received: top, base: top, sent: top };
    const { record } = granted(await other.claim(request(id, 'B', top, { instance: top, positions })));
    expect(record?.outbox.length).to.equal(300_000);
    expect([record?.outbox[0], record?.outbox[150_000], record?.outbox[299_999]]).to.deep.equal([2, 3, 4]);
    expect(await stored(other, id)).to.include({ generation: top, instance: top, received: top, sent: top });
  });

  it('copies what it is given, and gives away what it returns', async () => {
    const { store } = now();
    const id = freshId();
    const given = creation(id);
    const claim = await created(store, id, given);
    const second = write(claim, 2);
    await store.commit(second);
    for (const bytes of [given.identity, given.state, given.outbox, second.state, second.outbox]) bytes.fill(0);
    const first = granted(await store.claim(request(id, 'A', 2, { positions: undefined }))).record as StoredRecord;
    expect([first.outbox.toString(), first.state.toString()]).to.deep.equal(['abcd', 'state 2']);
    for (const bytes of [first.outbox, first.state, first.identity]) bytes.fill(0);
    const again = granted(await store.claim(request(id, 'C', 3, { positions: undefined }))).record as StoredRecord;
    expect([again.outbox.toString(), again.state.toString()]).to.deep.equal(['abcd', 'state 2']);
    expect(again.identity.equals(creation(id).identity)).to.equal(true);
  });

  it('forgets what nobody touched for keepMs', async () => {
    const { store, other, wait } = now();
    const id = freshId();
    const claim = await created(store, id, { keepMs: LEASE_MS });
    await store.commit(write(claim, 2, { keepMs: KEEP_MS }));
    await wait(LEASE_MS * 2);
    expect(await stored(other, id)).to.include({ commit: 2 });
    await store.commit(write(claim, 3, { keepMs: LEASE_MS }));
    await wait(LEASE_MS * 2);
    expect(await other.find(id)).to.equal(undefined);
    expect((await store.commit(write(claim, 4))).status).to.equal('gone');
    expect((await other.claim(request(id, 'B', 2))).status).to.equal('gone');
  });
}

function grantsOneOwner(now: Now): void {
  it('creates an id once', async () => {
    const { store, other } = now();
    const id = freshId();
    await created(store, id);
    expect((await other.create(creation(id, { owner: 'B' }))).status).to.equal('exists');
    expect((await store.create(creation(id, { generation: 2 }))).status).to.equal('exists');
    const ids = [...Array(8)].map((_, i) => (i < 4 ? 'A' : 'B'));
    const raced = freshId();
    const results = await Promise.all(ids.map((owner, i) => (i % 2 ? store : other).create(creation(raced, { owner }))));
    const winners = new Set(results.flatMap((result) => (result.status === 'created' ? [result.claim.owner] : [])));
    expect(winners.size).to.equal(1);
  });

  it('grants by generation and instance, and tells the stored ones otherwise', async () => {
    const { store, other } = now();
    const id = freshId();
    await created(store, id, { generation: 5, instance: 3 });
    const stale = { status: 'stale', generation: 5, instance: 3 };
    const asked: readonly (readonly [generation: number, instance: number, granted: boolean])[] = [
      [5, 3, false],
      [4, 3, false],
      [5, 5, false],
      [7, 4, false],
      [7, 5, false],
      [6, 3, true],
      [8, 7, true],
    ];
    for (const [generation, instance, good] of asked) {
      const result = await other.claim(request(id, 'B', generation, { instance }));
      if (good) expect(granted(result).claim).to.deep.equal({ id, owner: 'B', tenure: generation });
      else expect(result, `${generation}, ${instance}`).to.deep.equal(stale);
    }
    expect(await stored(store, id)).to.include({ generation: 8, instance: 7 });
  });

  it('grants one of two claims of the same generation, and the later of two', async () => {
    const { store, other } = now();
    for (let round = 0; round < 8; round++) {
      const id = freshId();
      await created(store, id);
      const same = await Promise.all([store.claim(request(id, 'B', 2)), other.claim(request(id, 'C', 2))]);
      expect(same.map((result) => result.status).sort()).to.deep.equal(['claimed', 'stale']);
      const two = await Promise.all([store.claim(request(id, 'B', 3)), other.claim(request(id, 'C', 4))]);
      expect(two[1].status).to.equal('claimed');
      expect(await stored(store, id)).to.include({ generation: 4 });
    }
  });
}

function fencesWriters(now: Now): void {
  it('refuses every write of an owner whose record another has claimed', async () => {
    const { store, other } = now();
    const id = freshId();
    const claim = await created(store, id);
    const { claim: foreign } = granted(await other.claim(request(id, 'B', 2)));
    const fenced = { status: 'fenced', generation: 2 };
    expect(await store.commit(write(claim, 2))).to.deep.equal(fenced);
    expect(await store.commit(write(claim, 2, { whole: true, from: 5 }))).to.deep.equal(fenced);
    expect(await store.release(write(claim, 2))).to.deep.equal(fenced);
    expect(await store.remove(claim, Buffer.from('end'), KEEP_MS)).to.deep.equal(fenced);
    expect(await store.claim(request(id, 'A', 3, { held: claim }))).to.deep.equal(fenced);
    expect(await stored(store, id)).to.include({ commit: 1, generation: 2 });
    expect((await other.commit(write(foreign, 2))).status).to.equal('done');
  });

  it('does not fence an owner by its own new circuit, and lets its write in flight count', async () => {
    const { store } = now();
    const id = freshId();
    const claim = await created(store, id);
    // The owner's memory judges: positions that would be refused do not matter.
    const positions = { received: 99, base: 99, sent: 99 };
    const result = granted(await store.claim(request(id, 'A', 2, { held: claim, positions })));
    expect(result).to.deep.include({ claim, record: undefined });
    expect((await store.commit(write(claim, 2))).status).to.equal('done');
    expect(await stored(store, id)).to.include({ generation: 2, commit: 2 });
  });

  it('fences the earlier tenure of an owner that has claimed its record again', async () => {
    const { store, other } = now();
    const id = freshId();
    const first = await created(store, id);
    granted(await other.claim(request(id, 'B', 2)));
    const { claim: second } = granted(await store.claim(request(id, 'A', 3)));
    // A write of the first tenure, on its way all this time, has the right number and the right owner.
    expect((await store.commit(write(first, 2))).status).to.equal('fenced');
    expect((await store.commit(write(second, 2))).status).to.equal('done');
  });

  it('fences an owner that slept longer than its lease', async () => {
    const { store, other, wait } = now();
    const id = freshId();
    const claim = await created(store, id);
    await store.renew('A', LEASE_MS);
    await wait(LEASE_MS * 2);
    granted(await other.claim(request(id, 'B', 2)));
    await store.renew('A', LEASE_MS);
    expect((await store.commit(write(claim, 2))).status).to.equal('fenced');
  });
}

function judgesPositions(now: Now): void {
  it('refuses a circuit whose peer misses bytes or has too many, and changes nothing', async () => {
    const { store, other } = now();
    const id = freshId();
    const claim = await created(store, id);
    const lost = { status: 'lost', received: 10, base: 5, sent: 7 };
    const bad = [
      { received: 4, base: 10, sent: 10 },
      { received: 8, base: 10, sent: 10 },
      { received: 7, base: 11, sent: 12 },
      { received: 7, base: 5, sent: 9 },
    ];
    for (const positions of bad) expect(await other.claim(request(id, 'B', 2, { positions }))).to.deep.equal(lost);
    expect((await store.commit(write(claim, 2))).status).to.equal('done');
    for (const received of [5, 9]) granted(await other.claim(request(id, 'B', received, { positions: { received, base: 0, sent: 12 } })));
    granted(await other.claim(request(id, 'B', 11, { positions: undefined })));
  });
}

function protectsLiveRecords(now: Now): void {
  it('refuses an exclusive claim of what another process has live, and tells whether it runs', async () => {
    const { store, other, wait } = now();
    const id = freshId();
    const claim = await created(store, id);
    await store.renew('A', LEASE_MS * 10);
    const held = await other.claim(request(id, 'B', 2, { exclusive: true }));
    expect(held).to.include({ status: 'live', owner: 'A', received: 10, base: 5, sent: 7 });
    if (held.status === 'live') expect(held.leaseMs).to.be.within(1, LEASE_MS * 10);
    await store.renew('A', LEASE_MS);
    await wait(LEASE_MS * 2);
    expect(await other.claim(request(id, 'B', 2, { exclusive: true }))).to.include({ status: 'live', leaseMs: 0 });
    expect((await store.release(write(claim, 2, { received: 10 }))).status).to.equal('done');
    granted(await other.claim(request(id, 'B', 2, { exclusive: true })));
    expect(await store.claim(request(id, 'C', 3, { exclusive: true }))).to.include({ status: 'live', leaseMs: 0 });
  });

  it('lets an owner go on with a record that it released', async () => {
    const { store, other } = now();
    const id = freshId();
    const claim = await created(store, id);
    await store.release(write(claim, 2));
    expect((await store.release(write(claim, 3))).status).to.equal('done');
    granted(await store.claim(request(id, 'A', 2, { held: claim })));
    expect((await other.claim(request(id, 'B', 3, { exclusive: true }))).status).to.equal('live');
    // What arrives twice must not mark it clean again.
    expect((await store.release(write(claim, 3))).status).to.equal('done');
    expect((await other.claim(request(id, 'B', 3, { exclusive: true }))).status).to.equal('live');
    // Its own process, which does not hold it any more, is no stranger.
    granted(await store.claim(request(id, 'A', 3, { exclusive: true, positions: undefined })));
  });
}

function endsRecords(now: Now): void {
  it('answers with the tombstone after the end, for keepMs', async () => {
    const { store, other, wait } = now();
    const id = freshId();
    const claim = await created(store, id);
    expect((await store.remove(claim, Buffer.from('it ended'), LEASE_MS * 3)).status).to.equal('done');
    expect(await stored(other, id)).to.deep.equal({ tombstone: 'it ended' });
    const ended = await other.claim(request(id, 'B', 2));
    expect(ended.status === 'ended' && ended.tombstone.toString()).to.equal('it ended');
    expect((await store.commit(write(claim, 2))).status).to.equal('gone');
    expect((await store.remove(claim, Buffer.from('it ended'), LEASE_MS * 3)).status).to.equal('done');
    expect((await store.create(creation(id))).status).to.equal('exists');
    await wait(LEASE_MS * 6);
    expect(await other.find(id)).to.equal(undefined);
  });

  it('leaves nothing of a record that ends without a tombstone', async () => {
    const { store, other } = now();
    const id = freshId();
    const claim = await created(store, id);
    expect((await store.remove(claim, Buffer.alloc(0), 0)).status).to.equal('done');
    expect(await other.find(id)).to.equal(undefined);
    expect((await store.remove(claim, Buffer.alloc(0), 0)).status).to.equal('gone');
    await created(other, id, { owner: 'B' });
  });
}

function survivesFaults(now: Now): void {
  it('gives the same answer again where the first was lost', async () => {
    const { store, other } = now();
    let fault: Fault = 'none';
    const faulty = new FaultyStore(store, () => fault);
    const id = freshId();
    /** Calls until it is answered: the first call is applied unanswered. */
    const repeated = async <T>(call: () => Promise<T>): Promise<T> => {
      for (const each of ['lost', 'unanswered'] as const) {
        fault = each;
        await call().then(
          () => expect.fail('answered'),
          () => {},
        );
      }
      fault = 'none';
      return call();
    };
    const { claim } = (await repeated(() => faulty.create(creation(id)))) as { claim: Claim };
    expect(claim).to.deep.equal({ id, owner: 'A', tenure: 1 });
    for (const commit of [2, 3]) expect((await repeated(() => faulty.commit(write(claim, commit)))).status).to.equal('done');
    granted(await repeated(() => faulty.claim(request(id, 'A', 2, { held: claim }))));
    expect((await repeated(() => faulty.release(write(claim, 4)))).status).to.equal('done');
    const asked = request(id, 'B', 3, { exclusive: true, positions: { received: 13, base: 0, sent: 14 } });
    const { claim: foreign, record } = granted(await repeated(() => faulty.claim(asked)));
    expect(foreign.tenure).to.equal(3);
    expect([record?.outbox.toString(), record?.commit]).to.deep.equal(['abcdcdcd', 4]);
    expect((await repeated(() => faulty.remove(foreign, Buffer.from('over'), KEEP_MS))).status).to.equal('done');
    expect(await stored(other, id)).to.deep.equal({ tombstone: 'over' });
  });

  it('keeps order where the store is slow', async () => {
    const { store, other } = now();
    const slow = new FaultyStore(store, () => new Promise((resolve) => setTimeout(resolve, 5, 'none' as const)));
    const id = freshId();
    const claim = await created(slow, id);
    const late = slow.commit(write(claim, 2));
    granted(await other.claim(request(id, 'B', 2)));
    expect((await late).status).to.equal('fenced');
    expect(await stored(store, id)).to.include({ commit: 1 });
  });
}

function noticesRollback(now: Now): void {
  it('tells an owner that it has lost its writes, and takes the whole record again', async () => {
    const { store, other } = now();
    const id = freshId();
    const claim = await created(store, id);
    // As after a failover to a copy that lacks commits 2 and 3.
    expect(await store.commit(write(claim, 4))).to.deep.equal({ status: 'behind', commit: 1 });
    expect(await store.release(write(claim, 4))).to.deep.equal({ status: 'behind', commit: 1 });
    const all = { whole: true, base: 6, from: 6, outbox: Buffer.from('bcdcdcd'), sent: 13 };
    expect((await store.commit(write(claim, 4, all))).status).to.equal('done');
    const { record } = granted(await other.claim(request(id, 'B', 2, { positions: undefined })));
    expect([record?.outbox.toString(), record?.commit, record?.base]).to.deep.equal(['bcdcdcd', 4, 6]);
  });

  it('tells an owner that it has lost its claim, and takes that again too', async () => {
    const { store, other } = now();
    const id = freshId();
    await created(store, id);
    const lost: Claim = { id, owner: 'B', tenure: 6 };
    expect(await other.commit(write(lost, 2))).to.deep.equal({ status: 'behind', commit: 1 });
    expect(await other.claim(request(id, 'B', 8, { held: lost }))).to.deep.equal({ status: 'behind', commit: 1 });
    const all = { whole: true, from: 5, outbox: Buffer.from('abcd'), generation: 7, instance: 6 };
    expect((await other.commit(write(lost, 2, all))).status).to.equal('done');
    expect(await stored(store, id)).to.include({ generation: 7, instance: 6, commit: 2 });
    granted(await other.claim(request(id, 'B', 8, { held: lost, instance: 6 })));
    expect((await store.commit(write({ id, owner: 'A', tenure: 1 }, 3))).status).to.equal('fenced');
  });
}

function commitsTogether(now: Now): void {
  const done = [{ status: 'done' }, { status: 'done' }];

  it('applies writes of several sessions at once, or none (where it can)', async () => {
    const { store, other } = now();
    if (store.commitAll === undefined) return;
    const [a, b] = [await created(store, freshId()), await created(store, freshId())];
    expect(await store.commitAll([write(a, 2), write(b, 2)])).to.deep.equal(done);
    expect(await store.commitAll([write(a, 2), write(b, 3)])).to.deep.equal(done);
    expect(await store.commitAll([write(a, 4), write(b, 4)])).to.deep.equal([{ status: 'behind', commit: 2 }, { status: 'done' }]);
    granted(await other.claim(request(b.id, 'B', 2, { positions: undefined })));
    const results = await store.commitAll([write(a, 3), write(b, 4)]);
    expect(results.map(({ status }) => status)).to.deep.equal(['done', 'fenced']);
    expect(await stored(other, a.id)).to.include({ commit: 2 });
    expect(await stored(other, b.id)).to.include({ commit: 3 });
    expect((await store.commit(write(a, 3))).status).to.equal('done');
    await store.remove(a, Buffer.from('over'), KEEP_MS);
    const { claim: c } = granted(await store.claim(request(b.id, 'A', 3, { positions: undefined })));
    expect(await store.commitAll([write(c, 4), write(a, 4)])).to.deep.equal([{ status: 'done' }, { status: 'gone' }]);
    expect(await stored(other, b.id)).to.include({ commit: 3 });
    const { record } = granted(await other.claim(request(b.id, 'B', 4, { positions: undefined })));
    expect(record?.outbox.toString()).to.equal('abcdcd');
  });

  it('writes several sessions once where the answer was lost', async () => {
    const { store, other } = now();
    if (store.commitAll === undefined) return;
    const faults: Fault[] = ['lost', 'unanswered', 'none'];
    const faulty = new FaultyStore(store, () => faults.shift() as Fault);
    const [a, b] = [await created(store, freshId()), await created(store, freshId())];
    const writes = [write(a, 2), write(b, 2)];
    const answers = [];
    for (let tries = 0; tries < 3; tries++) answers.push(await faulty.commitAll?.(writes).catch(() => 'failed'));
    expect(answers).to.deep.equal(['failed', 'failed', done]);
    for (const { id } of [a, b]) {
      const { record } = granted(await other.claim(request(id, 'B', 2, { positions: undefined })));
      expect([record?.commit, record?.outbox.toString()]).to.deep.equal([2, 'abcd']);
    }
  });

  it('never shows one of several without the others', async () => {
    const { store, other } = now();
    if (store.commitAll === undefined) return;
    const claims = [await created(store, freshId()), await created(store, freshId()), await created(store, freshId())];
    for (let commit = 2; commit < 8; commit++) {
      const [[status], claimed] = await Promise.all([
        store.commitAll(claims.map((claim) => write(claim, commit))),
        other.claim(request(claims[0]?.id as string, 'B', commit, { positions: undefined })),
      ]);
      const { claim, record } = granted(claimed);
      const last = status?.status === 'done' ? commit : commit - 1;
      for (const { id } of claims) expect(await stored(other, id)).to.include({ commit: last });
      // What was seen by the claim is all or nothing of one write.
      expect([last, commit - 1]).to.include(record?.commit);
      claims[0] = claim;
      if (last !== commit) await store.commitAll(claims.map((each) => write(each, commit)));
    }
  });
}

/** One step of a random history: who does what, with which number added. */
interface Step {
  readonly by: 0 | 1;
  readonly what: 'commit' | 'release' | 'claim' | 'reclaim' | 'repeat' | 'late';
  readonly jump: number;
}

const steps = fc.array(
  fc.record({
    by: fc.constantFrom(0 as const, 1 as const),
    what: fc.constantFrom('commit' as const, 'release' as const, 'claim' as const, 'reclaim' as const, 'repeat' as const, 'late' as const),
    jump: fc.integer({ min: -1, max: 2 }),
  }),
  { maxLength: 30 },
);

function survivesAnyHistory(now: Now, runs: number): void {
  it('after any history its numbers never fell, and the outbox is that of the writes that were done', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (history) => new History(now()).run(history)),
      { numRuns: runs },
    );
  });
}

/** Two owners that act at random, and what must be true of the record behind each step. */
class History {
  readonly #stores: readonly [Store, Store];
  readonly #id: string = freshId();
  readonly #claims: (Claim | undefined)[] = [undefined, undefined];
  readonly #sentWrites: Write[] = [];
  #outbox = 'ab';
  #commit = 1;
  #generation = 1;
  /** Who was granted the record last. */
  #owner = 0;

  constructor(subject: StoreSubject) {
    this.#stores = [subject.store, subject.other];
  }

  async run(history: readonly Step[]): Promise<void> {
    this.#claims[0] = await created(this.#stores[0], this.#id, { owner: '0' });
    for (const step of history) {
      if (step.what === 'claim' || step.what === 'reclaim') await this.#claim(step);
      else await this.#write(step);
      const found = await stored(this.#stores[step.by], this.#id);
      expect(found).to.include({ commit: this.#commit, generation: this.#generation });
    }
    const last = granted(await this.#stores[1].claim(request(this.#id, 'last', this.#generation + 1, { positions: undefined })));
    expect(last.record?.outbox.toString()).to.equal(this.#outbox);
  }

  async #claim({ by, what, jump }: Step): Promise<void> {
    const held = what === 'reclaim' ? this.#claims[by] : undefined;
    const generation = Math.max(1, this.#generation + jump);
    // Another generation of the same owner would be granted again as the same request.
    if (generation === this.#generation) return;
    const result = await this.#stores[by].claim(request(this.#id, String(by), generation, { positions: undefined, held }));
    const fenced = held !== undefined && this.#owner !== by;
    expect(result.status).to.equal(fenced ? 'fenced' : generation > this.#generation ? 'claimed' : 'stale');
    if (result.status !== 'claimed') return;
    this.#generation = generation;
    this.#owner = by;
    this.#claims[by] = result.claim;
  }

  async #write({ by, what, jump }: Step): Promise<void> {
    const claim = this.#claims[by];
    const again = what === 'repeat' ? this.#sentWrites.at(-1) : what === 'late' ? this.#sentWrites[0] : undefined;
    if (claim === undefined) return;
    const next = again ?? write(claim, Math.max(2, this.#commit + jump), { from: 5 + this.#outbox.length });
    const { status }: WriteResult = await this.#stores[by][what === 'release' ? 'release' : 'commit'](next);
    const owner = this.#claims[this.#owner] as Claim;
    const fenced = next.claim.tenure !== owner.tenure;
    expect(status).to.equal(fenced ? 'fenced' : next.commit > this.#commit + 1 ? 'behind' : 'done');
    if (fenced || next.commit !== this.#commit + 1) return;
    if (again === undefined) this.#sentWrites.push(next);
    this.#commit = next.commit;
    this.#outbox += next.outbox.toString();
  }
}
