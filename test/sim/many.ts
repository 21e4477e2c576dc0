// `npm run sim:ci` and `npm run sim:nightly`: the simulator over so many fresh seeds, one process a core. SIM_BASE=n says which; failing
// seeds are told with the one command that replays them.

import { type Report, runSeeds } from './pool.ts';
import { kindLines, tallyLine } from './tally.ts';

const TOLD_EVERY_MS = 10_000;

const count = Number(process.argv[2] ?? 10_000);
const base = Number(process.env.SIM_BASE ?? Date.now() % 1_000_000_000);
const begun = performance.now();
let toldMs = begun;
let told = 0;

function progress({ tally, failures }: Report): void {
  for (const { seed, family, what } of failures.slice(told)) console.log(`npm run sim -- ${seed}    (${family})\n  ${what}`);
  told = failures.length;
  if (performance.now() - toldMs < TOLD_EVERY_MS) return;
  toldMs = performance.now();
  console.log(`${tally.seeds} of ${count} seeds, ${failures.length} failed`);
}

console.log(`${count} seeds from ${base} (SIM_BASE=${base} repeats them)`);
const { tally, failures } = await runSeeds(base, count, progress);
console.log('faults by kind:');
for (const line of kindLines(tally)) console.log(line);
console.log(tallyLine(tally, performance.now() - begun));
console.log(`${tally.seeds - failures.length} passed, ${failures.length} failed`);
process.exitCode = failures.length === 0 && tally.seeds === count ? 0 : 1;
