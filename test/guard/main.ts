// `npm run guard [-- --update]`: counts what messages cost (heap, system calls, instructions) and idle sessions (heap), and compares with
// baseline.json, which --update writes anew. Fails when a figure is worse than its tolerance. Needs strace and valgrind; installs them on Debian.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { installMissing } from '../../scripts/debian.ts';
import { type Baseline, judge, line, rounded } from './figures.ts';
import { type Measure, measures } from './measures.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const baselineFile = fileURLToPath(new URL('baseline.json', import.meta.url));

const { values: given } = parseArgs({ options: { update: { type: 'boolean', default: false } } });
const baseline = JSON.parse(readFileSync(baselineFile, 'utf8')) as Baseline;
const node = process.versions.node.split('.')[0] ?? '';
const figures = new Map<string, number>();
const begunMs = performance.now();
let worse = 0;

installMissing(['strace', 'valgrind']);
const folder = build();
try {
  const left = [...measures];
  // Counts do not mind company.
  await Promise.all(Array.from({ length: availableParallelism() }, () => work(left)));
} finally {
  rmSync(folder, { recursive: true });
}

if (given.update) {
  const ordered = Object.fromEntries(measures.map(({ name }) => [name, rounded(figures.get(name) ?? Number.NaN)]));
  writeFileSync(baselineFile, `${JSON.stringify({ node, figures: ordered } satisfies Baseline, null, 2)}\n`);
  console.log(`wrote ${baselineFile}`);
} else if (node !== baseline.node) {
  console.log(`The baseline is for Node ${baseline.node}, this is ${node}: the verdicts mean nothing.`);
  worse++;
}
console.log(`${figures.size} figures, ${worse} worse, ${((performance.now() - begunMs) / 1000).toFixed(0)} s`);
if (worse > 0) {
  console.log('Where that is meant: npm run guard -- --update, and say in the commit why.');
  process.exitCode = 1;
}

/** Compiled code is what users run, and what is fast to start under valgrind. @returns the folder of the probes */
function build(): string {
  const out = mkdtempSync(join(tmpdir(), 'outlast-guard-'));
  execFileSync('npx', ['tsc', '-p', 'test/guard', '--outDir', out], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  writeFileSync(join(out, 'package.json'), '{ "type": "module" }');
  return out;
}

async function work(left: Measure[]): Promise<void> {
  for (let next = left.shift(); next !== undefined; next = left.shift()) {
    const figure = await next.measure(join(folder, 'test/guard/probes'));
    figures.set(next.name, figure);
    const before = given.update ? undefined : baseline.figures[next.name];
    const verdict = judge(figure, before, next.tolerance);
    if (!given.update && (verdict === 'WORSE' || verdict === 'NEW')) worse++;
    console.log(line(next.name, figure, before, next.unit, verdict));
  }
}
