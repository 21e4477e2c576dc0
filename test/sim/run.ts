// `npm run sim -- SEED [COUNT]`: replays one seed with its trace, or runs COUNT seeds from there and tells which fail.
import { simulate } from './simulate.ts';

const [first = '1', count] = process.argv.slice(2);
const seed = Number(first);
if (count === undefined) {
  const outcome = await simulate(seed, { verbose: true });
  for (const line of outcome.trace) console.log(line);
  console.log(JSON.stringify(outcome.plan));
  console.log(`seed ${seed} ${outcome.family}: ${outcome.events} events, ${outcome.virtualMs} ms, hash ${outcome.hash.toString(16)}`);
  for (const failure of outcome.failures) console.log(`  ${failure}`);
} else {
  let failed = 0;
  const began = performance.now();
  for (let i = 0; i < Number(count); i++) {
    const t = performance.now();
    const outcome = await simulate(seed + i);
    const ms = performance.now() - t;
    if (outcome.failures.length > 0) {
      failed++;
      console.log(`seed ${seed + i} ${outcome.family}: ${outcome.failures.length} · ${outcome.failures[0]?.slice(0, 300)}`);
    }
    if (ms > 400) console.log(`slow ${seed + i} ${outcome.family} ${ms.toFixed(0)} ms ${outcome.events} events`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  console.log(`${failed} of ${count} failed, ${(Number(count) / ((performance.now() - began) / 1000)).toFixed(1)} seeds/s`);
}
