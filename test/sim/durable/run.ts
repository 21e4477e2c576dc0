// `npm run sim:durable -- SEED` replays one seed with its trace. `npm run sim:durable -- SEED COUNT` runs so many from there. `first` stops at
// the first failure; `tickets` is the world without a store, `detach` the one in which it is written while no circuit carries a session.

import { makeDetachPlan, makeDurablePlan, makeTicketPlan, simulateDetach, simulateDurable, simulateTickets } from './world.ts';

const worlds = {
  store: [simulateDurable, makeDurablePlan],
  tickets: [simulateTickets, makeTicketPlan],
  detach: [simulateDetach, makeDetachPlan],
} as const;

const words = process.argv.slice(2);
const [first = '', count = ''] = words.filter((word) => /^\d+$/.test(word));
const world = (['tickets', 'detach'] as const).find((name) => words.includes(name)) ?? 'store';
const [simulate, planOf] = worlds[world];
const command = `npm run sim:durable -- ${world === 'store' ? '' : `${world} `}`;
const seed = Number(first);
if (first === '') {
  console.log('usage: npm run sim:durable -- [tickets | detach] SEED [COUNT [first]]');
  process.exitCode = 2;
} else if (count === '') {
  const { trace, failures, kinds } = await simulate(seed, true);
  for (const line of trace) console.log(line);
  console.log(JSON.stringify(planOf(seed)), JSON.stringify(kinds));
  for (const failure of failures) console.log(failure);
  if (failures.length > 0) process.exitCode = 1;
} else {
  const kinds: Record<string, number> = {};
  let failed = 0;
  const began = performance.now();
  for (let at = seed; at < seed + Number(count); at++) {
    const outcome = await simulate(at);
    for (const [kind, times] of Object.entries(outcome.kinds)) kinds[kind] = (kinds[kind] ?? 0) + times;
    if (outcome.failures.length === 0) continue;
    failed++;
    console.log(`${command}${at}\n  ${outcome.failures[0]}`);
    if (words.includes('first')) break;
  }
  console.log(`${count} seeds, ${failed} failed, ${((performance.now() - began) / 1000).toFixed(1)} s, ${JSON.stringify(kinds)}`);
  if (failed > 0) process.exitCode = 1;
}
