// lmdbStore passes the contract of all stores, through two openings of one folder; and what only it can show: it survives.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { SessionError } from '../../lib/errors.ts';
import { decodeEntry, encodeEntry } from '../../lib/stores/internal/entry.ts';
import { type LmdbStoreOptions, lmdbStore } from '../../lib/stores/lmdb.ts';
import { fencesSleeper, survivesKills } from '../support/owner-process.ts';
import { storeContract } from './store.ts';

/** A folder, which is removed with everything in it. */
async function inFolder(work: (path: string) => Promise<void>): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), 'outlast-lmdb-'));
  try {
    await work(path);
  } finally {
    await rm(path, { recursive: true });
  }
}

// lmdb listens to the end of the process from its first opening of this kind on: that is none of what a suite leaves over.
before(() => inFolder((path) => lmdbStore({ path, survives: 'process' }).close()));

for (const survives of ['disk', 'process'] as const) {
  storeContract(
    `lmdbStore, survives: ${survives}`,
    async () => {
      const path = await mkdtemp(join(tmpdir(), 'outlast-lmdb-'));
      let nowMs = 1_800_000_000_000;
      const options = { path, survives, now: () => nowMs };
      const store = lmdbStore(options);
      const other = lmdbStore(options);
      return {
        store,
        other,
        wait: async (ms) => {
          nowMs += ms;
        },
        end: async () => {
          await Promise.all([store.close(), other.close()]);
          await rm(path, { recursive: true });
        },
      };
    },
    10,
  );
}

describe('lmdbStore', () => {
  it('has every answered commit after SIGKILL of its owner', async function () {
    this.timeout(30_000);
    await inFolder((path) => survivesKills('lmdb', path, 3));
  });

  it('stops an owner that slept through a foreign claim', async function () {
    this.timeout(30_000);
    await inFolder((path) => fencesSleeper('lmdb', path));
  });

  it('sweeps what is over while it renews leases, and nothing else', () =>
    inFolder(async (path) => {
      let nowMs = 0;
      const store = lmdbStore({ path, survives: 'process', now: () => nowMs });
      const numbers = { generation: 1, instance: 1, received: 0, base: 0, sent: 3 };
      const bytes = { identity: Buffer.from('i'), state: Buffer.from('s'), outbox: Buffer.from('abc') };
      const ids = Array.from({ length: 600 }, (_, i) => `id ${i}`);
      await Promise.all(ids.map((id, i) => store.create({ id, owner: 'A', ...numbers, ...bytes, keepMs: i % 2 === 0 ? 1 : 60_000 })));
      nowMs = 2;
      // Each time a part of the file is looked at.
      for (let i = 0; i < 4; i++) await store.renew('A', 1000);
      await store.close();
      const { open } = await import('lmdb');
      const file = open<Buffer>({ path, encoding: 'binary', useVersions: true, overlappingSync: false, noSubdir: false });
      const keys = [...file.getKeys()] as unknown as readonly (readonly [string, string])[];
      const left = (kind: string): readonly string[] => keys.filter(([name]) => name === kind).map(([, id]) => id);
      await file.close();
      const kept = Array.from({ length: 300 }, (_, i) => `id ${2 * i + 1}`);
      expect(left('record')).to.have.members(kept);
      expect(left('outbox')).to.have.members(kept);
      expect(left('lease')).to.deep.equal(['A']);
    }));

  it('refuses bad options, and says what is wrong with a path', () =>
    inFolder(async (path) => {
      for (const options of [{}, { path: '' }, { path, survives: 'never' }]) {
        expect(() => lmdbStore(options as LmdbStoreOptions))
          .to.throw(SessionError)
          .with.property('code', 'ERR_INVALID_OPTION');
      }
      await writeFile(join(path, 'file'), '');
      expect(() => lmdbStore({ path: join(path, 'file') }))
        .to.throw(SessionError, /file/)
        .with.property('code', 'ERR_STORE');
    }));

  it('reads what it writes, and refuses the layout of another version', () => {
    const numbers = { generation: 2 ** 53 - 1, instance: 3, commit: 4, received: 5, base: 6, sent: 7, tenure: 8 };
    for (const live of [true, false]) {
      for (const tombstone of [null, Buffer.from('over')]) {
        const state = Buffer.from(tombstone === null ? 'state' : '');
        const entry = { header: { ...numbers, owner: 'grüße', live }, untilMs: 9.5, identity: Buffer.from('who'), state, tombstone };
        expect(decodeEntry(encodeEntry(entry))).to.deep.equal(entry);
      }
    }
    expect(() => decodeEntry(Buffer.of(2, 0))).to.throw(SessionError, /layout 2/);
  });
});
