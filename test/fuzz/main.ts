// `npm run fuzz [TARGET] [SECONDS]`: searches for inputs that break a promise. Without a target all of them, two at a time, each in a process
// of its own. Exit code 1 where something was found; the input is printed with the command that replays it.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Coverage } from './coverage.ts';
import { type FuzzOutcome, fuzz, judge } from './fuzzer.ts';
import type { FuzzTarget } from './target.ts';

// Before the targets, and with them the library, are loaded.
const coverage = new Coverage();
const { readCorpus, targets, writeCorpus } = await import('./targets.ts');

const HELP = `npm run fuzz -- [TARGET] [SECONDS] [options]

  TARGET        ${targets.map(({ name }) => name).join(', ')}; default: all, two at a time
  SECONDS       for each target; default 60
  --seed N      repeats a search (as far as the speed of the machine allows)
  --input HEX   runs one input and no search
  --keep        replaces the committed corpus of the target by what was reached
`;
const LANES = 2;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string' },
    input: { type: 'string' },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const name = positionals.find((word) => !/^\d+$/.test(word));
const seconds = Number(positionals.find((word) => /^\d+$/.test(word)) ?? 60);
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const target = targets.find((one) => one.name === name);

if (values.help || (name !== undefined && target === undefined)) {
  console.log(HELP);
  process.exitCode = values.help ? 0 : 2;
} else if (target === undefined) {
  process.exitCode = await all();
} else if (values.input !== undefined) {
  const error = await judge(target, Buffer.from(values.input, 'hex'));
  console.log(error === null ? `${target.name}: every promise was kept` : error.stack);
  process.exitCode = error === null ? 0 : 1;
} else {
  process.exitCode = await one(target);
}

async function one(target: FuzzTarget): Promise<number> {
  console.log(`${target.name}: ${target.what}; ${seconds} s, seed ${seed}`);
  const outcome = await fuzz(target, { coverage, seconds, seed, corpus: readCorpus(target), progress: (text) => console.log(text) });
  tell(target, outcome);
  if (outcome.failure === null && values.keep) await keep(target, outcome.corpus);
  return outcome.failure === null ? 0 : 1;
}

/** The shortest inputs first: what they reach, longer ones are not kept for. */
async function keep(target: FuzzTarget, corpus: readonly Buffer[]): Promise<void> {
  const shortest = [...corpus].sort((a, b) => a.length - b.length);
  const outcome = await fuzz(
    { ...target, seeds: () => [] },
    { coverage, seconds: 0, seed, corpus: shortest, trim: true, progress: () => {} },
  );
  writeCorpus(target, outcome.corpus);
  console.log(
    `${target.name}: ${outcome.corpus.length} inputs of ${outcome.corpus.reduce((sum, input) => sum + input.length, 0)} bytes kept`,
  );
}

function tell(target: FuzzTarget, { runs, features, corpus, failure }: FuzzOutcome): void {
  const speed = `${Math.round(runs / seconds).toLocaleString('en')}/s`;
  console.log(`${target.name}: ${runs.toLocaleString('en')} runs (${speed}), ${features} features, corpus ${corpus.length}`);
  if (failure === null) return;
  console.log(`${target.name}: FOUND ${failure.error.stack}`);
  console.log(`replay: npm run fuzz -- ${target.name} --input ${failure.input.toString('hex')}`);
}

/** Every target in a child, so that the coverage, memory and time of one are its own. */
async function all(): Promise<number> {
  const waiting = [...targets];
  let failed = 0;
  const lane = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const options = [next.name, String(seconds), '--seed', String(seed), ...(values.keep ? ['--keep'] : [])];
      const code = await child(options);
      if (code !== 0) failed++;
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  console.log(`${targets.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

function child(options: readonly string[]): Promise<number | null> {
  return new Promise((resolve) => {
    const own = [...process.execArgv, fileURLToPath(import.meta.url), ...options];
    spawn(process.execPath, own, { stdio: ['ignore', 'inherit', 'inherit'] }).on('close', resolve);
  });
}
