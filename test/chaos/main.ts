// `npm run chaos`: sessions between real processes over real sockets, while connections are harmed in every way and processes are stopped
// and killed. Every message of both directions is judged by the History of outlast/testing. Exit code 1 where a promise was broken.

import { parseArgs } from 'node:util';
import { jobsFor, playAll } from './jobs.ts';

const HELP = `npm run chaos -- [options]

  --scenarios N   how many; default 200: 144 through a proxy, 20 kills of each side's process, 16 stops
  --seed N        seed of the first one, the others follow; default: a fresh one
  --only TEXT     only scenarios whose name has TEXT in it, for example killFar or 'copy'
  --list          print their names, and run none
`;

const { values } = parseArgs({
  options: {
    scenarios: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1e9)) },
    only: { type: 'string', default: '' },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const base = Number(values.seed);
const chosen = jobsFor(Number(values.scenarios)).filter(({ name, index }) => `${name} #${index} `.includes(values.only));

if (values.help) process.stdout.write(HELP);
else if (values.list) for (const { name, index } of chosen) process.stdout.write(`${name} #${index}\n`);
else process.exitCode = await main();

async function main(): Promise<number> {
  const begun = performance.now();
  const elapsed = (): string => `${((performance.now() - begun) / 1000).toFixed(0)} s`;
  process.stdout.write(`chaos: ${chosen.length} scenarios, seed ${base}\n`);
  const totals = { passed: 0, failed: 0, messages: 0, circuits: 0, cuts: 0 };
  const passed = new Map<string, number>();
  const progress = setInterval(() => process.stdout.write(`  ${elapsed()}: ${totals.passed + totals.failed} done\n`), 10_000);
  await playAll(chosen, base, ({ name, index }, { problems, messages, circuits, cuts }) => {
    totals.messages += messages;
    totals.circuits += circuits;
    totals.cuts += cuts;
    if (problems.length === 0) {
      totals.passed++;
      passed.set(name, (passed.get(name) ?? 0) + 1);
      return;
    }
    totals.failed++;
    process.stdout.write(`FAILED ${name} #${index}\n  ${problems.join('\n  ')}\n`);
    process.stdout.write(`  again: npm run chaos -- --scenarios ${values.scenarios} --seed ${base} --only '#${index} '\n`);
  });
  clearInterval(progress);
  for (const [name, count] of passed) process.stdout.write(`${String(count).padStart(5)} × ${name}\n`);
  process.stdout.write(`${totals.messages} messages, ${totals.circuits} circuits, ${totals.cuts} cuts by the proxies, ${elapsed()}\n`);
  process.stdout.write(`${totals.passed} passed, ${totals.failed} failed\n`);
  return totals.failed === 0 && totals.passed > 0 ? 0 : 1;
}
