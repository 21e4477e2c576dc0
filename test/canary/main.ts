// `npm run canaries [-- NAME…]`: builds each planted bug of canaries.ts into a copy of lib, and runs the simulator on it, seed by seed, until
// it fails. A bug that survives SEEDS_MOST seeds fails the job: then the simulator is too weak. So does a seed that fails without any bug.

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type Failure, runSeeds, SeedProcess } from '../sim/pool.ts';
import { type Canary, canaries } from './canaries.ts';
import { plant } from './plant.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** From this seed on, the same each time: chance is not to decide whether the job passes. */
const FIRST_SEED = 1;
const SEEDS_MOST = 2_000;
/** Few at a time: most are found at once. */
const RANGE_SEEDS = 20;

interface Verdict {
  readonly canary: Canary;
  readonly seeds: number;
  readonly failure: Failure | undefined;
}

/** A copy of what the simulator needs, with the bug in it. @returns its folder */
function build(canary: Canary): string {
  const folder = mkdtempSync(join(tmpdir(), 'outlast-canary-'));
  for (const part of ['lib', 'test/sim', 'package.json']) cpSync(join(root, part), join(folder, part), { recursive: true });
  const edited = plant(canary, (file) => readFileSync(join(root, file), 'utf8'));
  for (const [file, source] of edited) writeFileSync(join(folder, file), source);
  return folder;
}

async function judge(canary: Canary): Promise<Verdict> {
  const folder = build(canary);
  const simulator = new SeedProcess(pathToFileURL(`${folder}/`));
  try {
    for (let seeds = 0; seeds < SEEDS_MOST; seeds += RANGE_SEEDS) {
      const report = await simulator.run({ from: FIRST_SEED + seeds, count: RANGE_SEEDS, stopAtFirst: true });
      const [failure] = report.failures;
      if (failure !== undefined) return { canary, seeds: failure.seed - FIRST_SEED + 1, failure };
    }
    return { canary, seeds: SEEDS_MOST, failure: undefined };
  } finally {
    simulator.end();
    rmSync(folder, { recursive: true });
  }
}

function tell({ canary, seeds, failure }: Verdict): void {
  const found = failure === undefined ? 'SURVIVED' : `${failure.family}: ${failure.what.split('\n')[0]}`;
  console.log(`${canary.name.padEnd(34)} ${String(seeds).padStart(5)}  ${found.slice(0, 130)}`);
}

const wanted = process.argv.slice(2);
const chosen = canaries.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
const begun = performance.now();
let survivors = 0;

console.log(`${'planted bug'.padEnd(34)} seeds  what was reported`);
const waiting = [...chosen];
const lane = async (): Promise<void> => {
  for (let canary = waiting.shift(); canary !== undefined; canary = waiting.shift()) {
    const verdict = await judge(canary);
    if (verdict.failure === undefined) survivors++;
    tell(verdict);
  }
};
await Promise.all(Array.from({ length: availableParallelism() }, lane));

const clean = wanted.length > 0 ? 0 : await control();
const seconds = ((performance.now() - begun) / 1_000).toFixed(0);
console.log(`${chosen.length} canaries in ${seconds} s, ${survivors} survived, ${clean} failures without a bug`);
console.log(`${chosen.length - survivors} passed, ${survivors + clean} failed`);
process.exitCode = chosen.length > 0 && survivors + clean === 0 ? 0 : 1;

/** The same seeds on lib as it is. @returns how many failed */
async function control(): Promise<number> {
  const { failures, tally } = await runSeeds(FIRST_SEED, SEEDS_MOST);
  for (const { seed, family, what } of failures) console.log(`npm run sim -- ${seed}    (${family})\n  ${what}`);
  console.log(`${'no bug'.padEnd(34)} ${String(tally.seeds).padStart(5)}  ${failures.length === 0 ? 'nothing, as it must be' : 'FAILED'}`);
  return failures.length;
}
