// The simulator over those seeds that once failed, and over 2,000 fresh ones. Each failure names the one command that replays it.
// SIM_BASE=n repeats a run's fresh seeds. More of them in less time: `npm run sim:ci`.

import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { faultKinds } from './coverage.ts';
import { families } from './plan.ts';
import { type Outcome, simulate } from './simulate.ts';
import { addOutcome, emptyTally, tallyLine } from './tally.ts';

interface KnownSeed {
  readonly seed: number;
  readonly note: string;
}

const known: readonly KnownSeed[] = JSON.parse(readFileSync(new URL('seeds.json', import.meta.url), 'utf8'));
const base = Number(process.env.SIM_BASE ?? Date.now() % 1_000_000_000);
const FRESH_SEEDS = 2_000;
const REPEATED = 50;

let current = 0;

/** Runs one seed; a failure is an error that tells how to replay it. */
async function run(seed: number): Promise<Outcome> {
  current = seed;
  const outcome = await simulate(seed);
  // Other events of this process, such as the report of an unhandled rejection, get their turn between two seeds.
  await new Promise((resolve) => setImmediate(resolve));
  const { failures, family } = outcome;
  if (failures.length > 0) throw new Error(`npm run sim -- ${seed}    (${family})\n  ${failures.join('\n  ')}`);
  return outcome;
}

function tellSeed(): void {
  console.log(`      an unhandled rejection in: npm run sim -- ${current}`);
}

describe('simulator', function () {
  this.timeout(0);
  before(() => process.on('unhandledRejection', tellSeed));
  after(() => process.off('unhandledRejection', tellSeed));

  for (const { seed, note } of known) {
    it(`seed ${seed}: ${note}`, async () => {
      await run(seed);
    });
  }

  it(`does the same for the same seed, ${REPEATED} times two`, async () => {
    for (let i = 0; i < REPEATED; i++) {
      const first = await run(base + i);
      const second = await run(base + i);
      const facts = ({ hash, events, virtualMs, cuts, bytes }: Outcome): object => ({ hash, events, virtualMs, cuts, bytes });
      expect(facts(second), `npm run sim -- ${base + i}`).to.deep.equal(facts(first));
    }
  });

  it(`keeps every promise on ${FRESH_SEEDS} fresh seeds from ${base}`, async () => {
    const tally = emptyTally();
    const began = performance.now();
    for (let i = 0; i < FRESH_SEEDS; i++) addOutcome(tally, await run(base + i));
    console.log(`      ${tallyLine(tally, performance.now() - began)}`);
    expect(Object.keys(tally.families).sort(), 'each family had its turn').to.deep.equal([...families].sort());
    expect(tally.resumes, 'circuits were cut and sessions resumed').to.be.greaterThan(FRESH_SEEDS / 2);
    const missing = faultKinds.filter((kind) => (tally.kinds[kind] ?? 0) === 0);
    expect(missing, 'faults that never happened').to.deep.equal([]);
  });
});
