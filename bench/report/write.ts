// Writes the report: results.json with every figure, README.md with the tables, and a chart for each point. Into docs/benchmarks: the
// summary in the README of the repository as well.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Point } from '../measure.ts';
import type { PeerInfo } from '../peer.ts';
import { chart } from './chart.ts';
import type { Machine } from './machine.ts';
import type { Results } from './results.ts';
import { withSummary } from './summary.ts';
import { markdown, rowsOf, section } from './table.ts';

export async function writeReport(
  folder: string,
  results: Results,
  points: readonly Point[],
  peers: readonly PeerInfo[],
  machine: Machine,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const cells = points.flatMap((point) =>
    rowsOf(results, point, peers).map(({ name, cell }) => ({ peer: name, point: point.name, unit: point.unit, ...cell })),
  );
  const report = JSON.stringify({ machine, cells, failures: results.failures }, null, 1);
  await writeFile(join(folder, 'results.json'), `${report}\n`);
  const sections: string[] = [];
  for (const point of points) {
    const rows = rowsOf(results, point, peers);
    if (rows.length === 0) continue;
    const file = `${point.name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}.svg`;
    await writeFile(join(folder, file), chart(point, rows));
    sections.push(`${section(point, rows)}\n![${point.name}](${file})\n`);
  }
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  const text = `# Benchmarks

${machine.date}, commit ${machine.commit}, Node ${machine.node}, ${machine.cpu}, ${machine.memoryGiB} GiB, Linux ${machine.kernel}.
${versions.join(', ')}.

Ratio to the bare tuned socket of the same round, median of all rounds; in brackets the figure itself. For W4 and W6 less is better.
Written by \`npm run bench -- --out docs/benchmarks\`; how it is measured is told in [bench/README.md](../../bench/README.md).

${markdown(results, points, peers)}
${failed(results)}${sections.join('\n')}`;
  await writeFile(join(folder, 'README.md'), text);
  if (resolve(folder) !== resolve(COMMITTED)) return;
  const readme = await readFile(README, 'utf8');
  await writeFile(README, withSummary(readme, JSON.parse(report)));
}

/** The benchmarks run in the folder of the repository. */
const COMMITTED = 'docs/benchmarks';
const README = 'README.md';

function failed({ failures }: Results): string {
  if (failures.length === 0) return '';
  return `Failed: ${failures.map(({ peer, point, why }) => `${peer} in ${point} (${why.split('\n')[0]})`).join('; ')}.\n\n`;
}
