// memoryStore passes the contract of all stores, and stays within its bytes.

import { expect } from 'chai';
import { SessionError } from '../../lib/errors.ts';
import { memoryStore } from '../../lib/stores/memory.ts';
import type { Claim, Creation } from '../../lib/stores/store.ts';
import { storeContract } from './store.ts';

storeContract('memoryStore', async () => {
  let nowMs = 1000;
  const store = memoryStore({ now: () => nowMs });
  return {
    store,
    other: store,
    wait: async (ms) => {
      nowMs += ms;
    },
    end: () => store.close(),
  };
});

describe('memoryStore', () => {
  const NOTHING = Buffer.alloc(0);
  const record = (id: string, bytes: number): Creation => ({
    id,
    owner: 'A',
    generation: 1,
    instance: 1,
    identity: NOTHING,
    received: 0,
    base: 0,
    sent: bytes,
    state: NOTHING,
    outbox: Buffer.alloc(bytes),
    keepMs: 1000,
  });
  const released = (claim: Claim, base: number) => ({
    claim,
    commit: 2,
    generation: 1,
    instance: 1,
    received: 0,
    base,
    sent: base,
    state: NOTHING,
    outbox: NOTHING,
    from: base,
    whole: false,
    keepMs: 1000,
  });

  it('evicts clean records for room, the largest and oldest first, and never live ones', async () => {
    const evicted: string[] = [];
    const store = memoryStore({ bytes: 20_000, onEvict: (id) => evicted.push(id) });
    for (const [id, bytes] of [
      ['small', 100],
      ['large', 4000],
      ['also large', 4000],
      ['live', 4000],
    ] as const) {
      const created = await store.create(record(id, bytes));
      if (created.status !== 'created') throw new Error(created.status);
      if (id !== 'live') await store.release(released(created.claim, 0));
    }
    await store.create(record('next', 6000));
    expect(evicted).to.deep.equal(['large']);
    await store.create(record('and next', 4000));
    expect(evicted).to.deep.equal(['large', 'also large']);
    const full = await store.create(record('too much', 9000)).catch((error: unknown) => error);
    expect(SessionError.is(full, 'ERR_STORE')).to.equal(true);
    expect((await store.find('live'))?.ended).to.equal(false);
    expect(await store.find('too much')).to.equal(undefined);
  });

  it('gives room back when a record shrinks, ends or is forgotten', async () => {
    let nowMs = 0;
    const store = memoryStore({ bytes: 6000, now: () => nowMs });
    const first = await store.create(record('a', 5000));
    if (first.status !== 'created') throw new Error(first.status);
    await store.commit(released(first.claim, 5000));
    await store.create(record('b', 4000));
    nowMs = 2000;
    await store.create(record('c', 5000));
    expect(await store.find('b')).to.equal(undefined);
  });

  it('applies none of several writes where there is no room for all', async () => {
    const store = memoryStore({ bytes: 6000 });
    const claims: Claim[] = [];
    for (const id of ['a', 'b']) {
      const created = await store.create(record(id, 100));
      if (created.status === 'created') claims.push(created.claim);
    }
    const writes = claims.map((claim, i) => ({ ...released(claim, 0), outbox: Buffer.alloc(i === 0 ? 100 : 6000), from: 100 }));
    const full = await store.commitAll?.(writes).catch((error: unknown) => error);
    expect(SessionError.is(full, 'ERR_STORE')).to.equal(true);
    for (const id of ['a', 'b']) {
      const found = await store.find(id);
      expect(found?.ended === false && found.record.commit).to.equal(1);
    }
    const smaller = writes.map((each) => ({ ...each, outbox: Buffer.alloc(2000) }));
    expect(await store.commitAll?.(smaller)).to.deep.equal([{ status: 'done' }, { status: 'done' }]);
  });

  it('refuses a limit that holds nothing', () => {
    expect(() => memoryStore({ bytes: 10 })).to.throw(/bytes/);
  });
});
