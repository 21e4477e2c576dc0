// A process that runs seeds for another one (pool.ts): ranges of seeds come in as messages, tallies and failures go out.

import type { Failure, Range, Report } from './pool.ts';
import { simulate } from './simulate.ts';
import { addOutcome, emptyTally } from './tally.ts';

let current = 0;
let rejections: Failure[] = [];
process.on('unhandledRejection', (error) => {
  const told = error instanceof Error ? (error.stack ?? error.message) : String(error);
  rejections.push({ seed: current, family: 'any', what: `an unhandled rejection: ${told}` });
});
process.on('message', (range: Range) => {
  runRange(range).then((report) => process.send?.(report));
});
// Nobody listens any more.
process.on('disconnect', () => process.exit(0));

async function runRange({ from, count, stopAtFirst }: Range): Promise<Report> {
  const tally = emptyTally();
  const failures: Failure[] = [];
  for (current = from; current < from + count; current++) {
    const outcome = await simulate(current);
    // Other events of this process, such as the report of an unhandled rejection, get their turn between two seeds.
    await new Promise((resolve) => setImmediate(resolve));
    addOutcome(tally, outcome);
    const [first] = outcome.failures;
    if (first !== undefined) failures.push({ seed: current, family: outcome.family, what: first });
    failures.push(...rejections);
    rejections = [];
    if (stopAtFirst && failures.length > 0) break;
  }
  return { tally, failures };
}
