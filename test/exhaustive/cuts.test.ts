// The first circuit of one exchange, cut after every byte of each direction, in virtual time: handshake, data, SYNC, END and CLOSE alike.
// Each end learns of the cut at once, or later, or has to find out by itself.

import { expect } from 'chai';
import type { Fate } from '../sim/lane.ts';
import { BULK, type Exchange, exchange, type Manner, type Seen, UP, WELCOME } from './exchange.ts';

type Direction = 'up' | 'down';

interface Variant {
  readonly name: string;
  readonly fate: Partial<Fate>;
  readonly challenge: 'always' | 'never';
  readonly chunkBytes: number;
  readonly heartbeatMs: number;
  readonly delayMs: number;
  /** Virtual time that the whole exchange may take. */
  readonly mostMs: number;
}

// Told at once: an attempt or two, and three UNKNOWNs where only the last CLOSE was lost. The heartbeat is too slow to repair what was
// forgotten. Found by the heartbeat: two of them and five seconds more, and that twice where the second circuit is cut as well.
const TOLD_MS = 8_000;
const SLOW_MS = 15_000;
const FAST_MS = 1_000;
const FOUND_MS: number = TOLD_MS + 2 * FAST_MS + 5_000;

const told = { heartbeatMs: SLOW_MS, delayMs: 1, mostMs: TOLD_MS } as const;
const found = { heartbeatMs: FAST_MS, delayMs: 1, mostMs: FOUND_MS } as const;
const atOnce: Variant = { name: 'both ends learn at once', fate: {}, challenge: 'never', chunkBytes: 65_536, ...told };
const variants: readonly Variant[] = [
  atOnce,
  { name: 'both ends learn at once, byte by byte', fate: { how: 'fin' }, challenge: 'always', chunkBytes: 1, ...told },
  { name: 'only the client learns', fate: { serverLearnsMs: Infinity }, challenge: 'always', chunkBytes: 65_536, ...told },
  { name: 'only the server learns', fate: { clientLearnsMs: Infinity }, challenge: 'never', chunkBytes: 65_536, ...found },
  {
    name: 'nobody learns, and the other direction goes on',
    fate: { clientLearnsMs: Infinity, serverLearnsMs: Infinity, tailBytes: 1_000_000 },
    challenge: 'never',
    chunkBytes: 20,
    ...found,
  },
];

/** Runs with the cut at byte 0, 1, 2, … until one gets by without. @returns all of them, the whole one too */
async function everyByte(direction: Direction, variant: Variant, manner: Manner, step: number = 1): Promise<Seen[]> {
  const runs: Seen[] = [];
  for (let at = 0; ; at += step) {
    const { fate, challenge, chunkBytes, heartbeatMs, delayMs } = variant;
    const cut = direction === 'up' ? { cutUp: at } : { cutDown: at };
    // Every third run loses its second circuit as well, somewhere else.
    const again = at % 3 === 0 ? [direction === 'up' ? { cutDown: at % 200 } : { cutUp: at % 200 }] : [];
    const options: Exchange = { fates: [{ ...fate, ...cut }, ...again], manner, challenge, chunkBytes, heartbeatMs, delayMs, seed: at };
    const run = await exchange(options);
    runs.push(run);
    if (run.cuts === 0) return runs;
    if (at % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

function expectWhole(run: Seen, where: string): void {
  expect(run.sessions, `${where}: session events`).to.equal(1);
  expect(run.up, where).to.deep.equal(UP);
  expect(run.down, where).to.deep.equal([WELCOME, ...UP.map((message) => `re: ${message}`)]);
  expect(run.flushedAt, `${where}: flushed()`).to.equal(UP.length);
  expectClean(run, where);
}

function expectClean(run: Seen, where: string): void {
  const { client, server, clientClose, serverClose, leftovers } = run;
  const clean = { client: 'clean', server: 'clean', clientClose: 'clean', serverClose: 'clean', leftovers: 0 };
  expect({ client, server, clientClose, serverClose, leftovers }, where).to.deep.equal(clean);
}

describe('a cut after every byte, in virtual time', function () {
  this.timeout(120_000);

  for (const direction of ['up', 'down'] as const) {
    for (const variant of variants) {
      it(`${direction}, ${variant.name}: exactly once, in order, clean on both sides`, async () => {
        const runs = await everyByte(direction, variant, 'answered');
        expect(runs.length, 'the exchange has so many bytes').to.be.greaterThan(300);
        for (const [at, run] of runs.entries()) {
          expectWhole(run, `cut ${direction} at ${at}`);
          expect(run.virtualMs, `cut ${direction} at ${at}`).to.be.at.most(variant.mostMs);
        }
      });
    }

    it(`${direction}, with a full window and a slow reader: nothing waits for the heartbeat`, async () => {
      for (const [i, run] of (await everyByte(direction, { ...atOnce, delayMs: 15 }, 'bulk', direction === 'up' ? 3 : 29)).entries()) {
        expect(run.down, `run ${i}`).to.deep.equal([WELCOME, ...BULK]);
        expectClean(run, `run ${i}`);
        expect(run.virtualMs, `run ${i}`).to.be.at.most(TOLD_MS);
      }
    });

    it(`${direction}, the server reads nothing: UNREAD on both sides, and never a hang`, async () => {
      for (const [at, run] of (await everyByte(direction, atOnce, 'deaf server')).entries()) {
        const where = `cut ${direction} at ${at}`;
        expect(run.sessions, where).to.equal(1);
        expect(run.up, where).to.deep.equal([]);
        expect(run.down, where).to.deep.equal([WELCOME]);
        expect([run.server, run.client], where).to.deep.equal(['ERR_UNREAD', 'ERR_PEER_UNREAD']);
        // All that the closing side sent was confirmed: for its own part it has closed well.
        expect([run.serverClose, run.clientClose, run.leftovers], where).to.deep.equal(['clean', 'ERR_PEER_UNREAD', 0]);
        expect(run.virtualMs, where).to.be.at.most(TOLD_MS);
      }
    });

    it(`${direction}, the client reads nothing: UNREAD on both sides, and all that it sent arrives`, async () => {
      for (const [at, run] of (await everyByte(direction, atOnce, 'deaf client')).entries()) {
        const where = `cut ${direction} at ${at}`;
        expect(run.sessions, where).to.equal(1);
        expect(run.up, where).to.deep.equal(UP);
        expect(run.down, where).to.deep.equal([]);
        expect([run.server, run.client], where).to.deep.equal(['ERR_PEER_UNREAD', 'ERR_UNREAD']);
        expect([run.serverClose, run.clientClose, run.leftovers], where).to.deep.equal(['ERR_PEER_UNREAD', 'clean', 0]);
        expect(run.virtualMs, where).to.be.at.most(TOLD_MS);
      }
    });

    it(`${direction}, nobody reads and nothing is unread: clean on both sides`, async () => {
      for (const [at, run] of (await everyByte(direction, atOnce, 'silent')).entries()) {
        const where = `cut ${direction} at ${at}`;
        expect(run.sessions, where).to.equal(1);
        expect(run.down, where).to.deep.equal([WELCOME]);
        expectClean(run, where);
        expect(run.virtualMs, where).to.be.at.most(TOLD_MS);
      }
    });
  }
});
