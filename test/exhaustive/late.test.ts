// The first circuit of one exchange stands still in front of each frame and flight, in each direction. A newer circuit takes over, and only
// then the older one delivers what it held: nothing of that may count, and nothing may be missed.

import { expect } from 'chai';
import { BULK, exchange, type Manner, type Seen, UP, WELCOME } from './exchange.ts';

const HEARTBEAT_MS = 15_000;
/**
 * The heartbeat is too slow to repair what was forgotten. Longest is who is done and waits for the last CLOSE: its peer has read its own and
 * remembers nothing, so UNKNOWN is all it hears beside a circuit that seems to live. It ends clean with the timeout of close(), 10 s.
 */
const MOST_MS = 11_000;

interface Expected {
  readonly up: readonly string[];
  readonly down: readonly string[];
  /** How client, server, and their close() end. */
  readonly ends: readonly [client: string, server: string, clientClose: string, serverClose: string];
}

const CLEAN: Expected['ends'] = ['clean', 'clean', 'clean', 'clean'];
const expected: Readonly<Record<Manner, Expected>> = {
  answered: { up: UP, down: [WELCOME, ...UP.map((message) => `re: ${message}`)], ends: CLEAN },
  bulk: { up: [], down: [WELCOME, ...BULK], ends: CLEAN },
  silent: { up: [], down: [WELCOME], ends: CLEAN },
  'deaf server': { up: [], down: [WELCOME], ends: ['ERR_PEER_UNREAD', 'ERR_UNREAD', 'ERR_PEER_UNREAD', 'clean'] },
  'deaf client': { up: UP, down: [], ends: ['ERR_UNREAD', 'ERR_PEER_UNREAD', 'clean', 'ERR_PEER_UNREAD'] },
};

/** Runs with the first, second, … frame held back, until one gets by in which there is no such frame. @returns those in which there was */
async function everyFrame(
  direction: 'up' | 'down',
  manner: Manner,
  thaws: 'resumed' | 'dialed',
  challenge: 'always' | 'never',
): Promise<Seen[]> {
  const runs: Seen[] = [];
  for (let unit = 0; ; unit++) {
    const fates = [{ freeze: { direction, unit } }];
    const run = await exchange({ fates, manner, challenge, chunkBytes: 65_536, heartbeatMs: HEARTBEAT_MS, delayMs: 1, seed: unit, thaws });
    if (!run.thawed) return runs;
    runs.push(run);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('every frame held back past a resume, in virtual time', function () {
  this.timeout(60_000);

  for (const manner of Object.keys(expected) as Manner[]) {
    for (const direction of ['up', 'down'] as const) {
      for (const [thaws, challenge] of [
        ['resumed', 'never'],
        ['resumed', 'always'],
        ['dialed', 'never'],
      ] as const) {
        it(`${manner}, ${direction}, delivered when the newer circuit was ${thaws}, challenge ${challenge}`, async () => {
          const runs = await everyFrame(direction, manner, thaws, challenge);
          expect(runs.length, 'frames of this direction').to.be.at.least(3);
          for (const [unit, run] of runs.entries()) {
            const where = `frame ${unit} ${direction}`;
            const { up, down, ends } = expected[manner];
            expect(run.sessions, `${where}: session events`).to.equal(1);
            expect(run.up, where).to.deep.equal(up);
            expect(run.down, where).to.deep.equal(down);
            expect([run.client, run.server, run.clientClose, run.serverClose, run.leftovers], where).to.deep.equal([...ends, 0]);
            expect(run.virtualMs, where).to.be.at.most(MOST_MS);
          }
        });
      }
    }
  }
});
