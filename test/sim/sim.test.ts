// The simulator over thousands of seeds: those that once failed, and fresh ones, as many as fit in a fixed time. Each failure names the one
// command that replays it. SIM_BASE=n repeats a run's fresh seeds, SIM_SECONDS=n gives them more or less time.

import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { families } from './plan.ts';
import { type Outcome, simulate } from './simulate.ts';

interface KnownSeed {
  readonly seed: number;
  readonly note: string;
}

const known: readonly KnownSeed[] = JSON.parse(readFileSync(new URL('seeds.json', import.meta.url), 'utf8'));
const base = Number(process.env.SIM_BASE ?? Date.now() % 1_000_000_000);
const seconds = Number(process.env.SIM_SECONDS ?? 40);
/** However slow the machine is. */
const SEEDS_LEAST = 1_000;
const REPEATED = 50;

/** What all seeds of a run did together. */
class Tally {
  seeds: number = 0;
  cuts: number = 0;
  resumes: number = 0;
  bytes: number = 0;
  virtualMs: number = 0;
  events: number = 0;
  readonly families: Map<string, number> = new Map();

  add(outcome: Outcome): void {
    this.seeds++;
    this.cuts += outcome.cuts;
    this.resumes += outcome.resumes;
    this.bytes += outcome.bytes;
    this.virtualMs += outcome.virtualMs;
    this.events += outcome.events;
    this.families.set(outcome.family, (this.families.get(outcome.family) ?? 0) + 1);
  }

  /** @param ms of real time */
  line(ms: number): string {
    const rate = (this.seeds / (ms / 1_000)).toFixed(0);
    const days = (this.virtualMs / 86_400_000).toFixed(1);
    const mib = (this.bytes / 1_048_576).toFixed(0);
    return `${this.seeds} seeds (${rate}/s), ${days} virtual days, ${this.events} events, ${this.cuts} cuts, ${this.resumes} resumes, ${mib} MiB verified`;
  }
}

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

  it(`keeps every promise on fresh seeds from ${base}`, async () => {
    const tally = new Tally();
    const began = performance.now();
    for (let i = 0; i < SEEDS_LEAST || performance.now() - began < seconds * 1_000; i++) tally.add(await run(base + i));
    console.log(`      ${tally.line(performance.now() - began)}`);
    expect([...tally.families.keys()].sort(), 'each family had its turn').to.deep.equal([...families].sort());
    expect(tally.resumes, 'circuits were cut and sessions resumed').to.be.greaterThan(tally.seeds / 2);
  });
});
