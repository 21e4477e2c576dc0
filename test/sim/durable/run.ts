// `npm run sim:durable -- SEED` replays one seed with its trace. `npm run sim:durable -- SEED COUNT` runs so many from there; `first` stops at the first failure.

import { makeDurablePlan, simulateDurable } from './world.ts';

const [first = '', count = '', stop = ''] = process.argv.slice(2);
const seed = Number(first);
if (first === '' || !Number.isInteger(seed) || !Number.isInteger(Number(count))) {
  console.log('usage: npm run sim:durable -- SEED [COUNT]');
  process.exitCode = 2;
} else if (count === '') {
  const { trace, failures, kinds } = await simulateDurable(seed, true);
  for (const line of trace) console.log(line);
  console.log(JSON.stringify(makeDurablePlan(seed)), JSON.stringify(kinds));
  for (const failure of failures) console.log(failure);
  if (failures.length > 0) process.exitCode = 1;
} else {
  const kinds: Record<string, number> = {};
  let failed = 0;
  const began = performance.now();
  for (let at = seed; at < seed + Number(count); at++) {
    const outcome = await simulateDurable(at);
    for (const [kind, times] of Object.entries(outcome.kinds)) kinds[kind] = (kinds[kind] ?? 0) + times;
    if (outcome.failures.length === 0) continue;
    failed++;
    console.log(`npm run sim:durable -- ${at}\n  ${outcome.failures[0]}`);
    if (stop === 'first') break;
  }
  console.log(`${count} seeds, ${failed} failed, ${((performance.now() - began) / 1000).toFixed(1)} s, ${JSON.stringify(kinds)}`);
  if (failed > 0) process.exitCode = 1;
}
