// Writes the report: results.json with every figure, README.md with the tables, and a chart for each point. Into docs/benchmarks: the
// summary in the README of the repository as well.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { MOST_STOLEN } from '../stolen.ts';
import { barsTable } from './bars.ts';
import { chart } from './chart.ts';
import type { PointReport, Report } from './report.ts';
import { withSummary } from './summary.ts';
import { overview, section } from './table.ts';

/** The benchmarks run in the folder of the repository. */
const COMMITTED = 'docs/benchmarks';
const README = 'README.md';

export async function writeResults(folder: string, report: Report): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'results.json'), `${JSON.stringify(report, null, 1)}\n`);
}

export async function readResults(folder: string): Promise<Report> {
  return JSON.parse(await readFile(join(folder, 'results.json'), 'utf8')) as Report;
}

export async function writeReport(folder: string, report: Report): Promise<void> {
  await writeResults(folder, report);
  for (const point of report.points) await writeFile(join(folder, chartFile(point)), chart(point));
  await writeFile(join(folder, 'README.md'), page(report));
  if (resolve(folder) !== resolve(COMMITTED)) return;
  await writeFile(README, withSummary(await readFile(README, 'utf8'), report));
}

export function chartFile({ name }: Pick<PointReport, 'name'>): string {
  return `${name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}.svg`;
}

function page(report: Report): string {
  const { date, commit, node, cpu, memoryGiB, kernel, versions } = report.machine;
  const used = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const sections = report.points.map((point) => `${section(point)}\n![${point.name}](${chartFile(point)})\n`);
  return `# Benchmarks

${date}, commit ${commit}, Node ${node}, ${cpu}, ${memoryGiB} GiB, Linux ${kernel}.
${used.join(', ')}.
${processors(report)} ${theft(report)}

Ratios are to the bare tuned socket of the same round (\`net, tuned\`), medians of all rounds; in brackets the figure itself, or the
least and the most. Written by \`npm run bench -- --out docs/benchmarks\`; [bench/README.md](../../bench/README.md) tells how it is
measured.

## What was aimed at

${barsTable(report)}
## All peers

${overview(report)}
${failed(report)}${sections.join('\n')}`;
}

function processors({ machine }: Report): string {
  return machine.apart ? 'Servers and clients had a processor each, kept awake.' : 'Servers and clients shared all processors.';
}

function theft({ stolen: { share, samples, again } }: Report): string {
  const taken = `The machine's host took ${(100 * share).toFixed(1)} % of its time meanwhile`;
  return `${taken}; ${again} of ${samples} samples were taken again, because an earlier one had lost more than ${100 * MOST_STOLEN} %.`;
}

function failed({ failures }: Report): string {
  if (failures.length === 0) return '';
  return `Failed: ${failures.map(({ peer, point, why }) => `${peer} in ${point} (${why})`).join('; ')}.\n\n`;
}
