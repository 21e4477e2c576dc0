// `npm run sim -- SEED` replays one seed with its trace. `npm run sim -- SEED COUNT` runs so many seeds from there and tells which fail.

import { type Outcome, simulate } from './simulate.ts';

const [first = '', count = ''] = process.argv.slice(2);
const seed = Number(first);
if (first === '' || !Number.isInteger(seed) || !Number.isInteger(Number(count))) {
  console.log('usage: npm run sim -- SEED [COUNT]');
  process.exitCode = 2;
} else if (count === '') {
  tell(await simulate(seed, { verbose: true }));
} else {
  await many(seed, Number(count));
}

/** The whole story of one seed: what happened when, what its plan was, and what was broken. */
function tell(outcome: Outcome): void {
  const { trace, plan, family, events, virtualMs, hash, failures } = outcome;
  for (const line of trace) console.log(line);
  console.log(JSON.stringify(plan));
  console.log(`seed ${plan.seed}, ${family}: ${events} events, ${virtualMs.toFixed(0)} virtual ms, hash ${hash.toString(16)}`);
  for (const failure of failures) console.log(`  ${failure}`);
  console.log(failures.length === 0 ? 'every promise was kept' : `${failures.length} broken promises`);
  if (failures.length > 0) process.exitCode = 1;
}

async function many(from: number, seeds: number): Promise<void> {
  let failed = 0;
  const began = performance.now();
  for (let at = from; at < from + seeds; at++) {
    const { failures, family } = await simulate(at);
    if (failures.length > 0) {
      failed++;
      console.log(`seed ${at}, ${family}: ${failures[0]}`);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  const rate = seeds / ((performance.now() - began) / 1_000);
  console.log(`${failed} of ${seeds} seeds failed, ${rate.toFixed(0)} seeds/s`);
  if (failed > 0) process.exitCode = 1;
}
