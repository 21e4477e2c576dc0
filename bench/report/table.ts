// The table on the terminal and in Markdown: a row for each peer, the ratio to the baseline first.

import { peers } from '../peer.ts';
import { type PointReport, type Report, type Row, rowOf, type Spread, titleOf } from './report.ts';

export function printTable({ points, failures }: Report): void {
  for (const point of points) {
    console.log(`\n${point.name}, ${point.unit}`);
    for (const row of point.rows) console.log(`  ${row.peer.padEnd(31)}${line(row, point)}`);
    for (const { peer, why } of point.without) console.log(`  ${peer.padEnd(31)}– ${why}`);
  }
  for (const { peer, point, why } of failures) console.log(`FAILED ${peer}, ${point}: ${why}`);
}

/** A column for each point in which most peers are compared. */
export function overview(report: Report): string {
  const columns = report.points.filter(({ workload }) => workload !== 'W6' && workload !== 'W8' && workload !== 'W9');
  const names = peers.map(({ name }) => name).filter((name) => columns.some((point) => rowOf(report, name, point.name)));
  const rows = names.map((name) => {
    const cells = columns.map((point) => {
      const row = rowOf(report, name, point.name);
      return row === undefined ? '–' : `${ratioText(row.ratio?.median)} (${short(row.median)})`;
    });
    return `| ${name} | ${cells.join(' | ')} |`;
  });
  const heads = columns.map(({ name, unit, less }) => `${name}, ${unit}${less ? ' (less is better)' : ''}`);
  return `| | ${heads.join(' | ')} |\n|---|${columns.map(() => '---|').join('')}\n${rows.join('\n')}\n`;
}

/** Everything that was measured at one point. */
export function section(point: PointReport): string {
  const { workload, unit, rows, without } = point;
  const names = [...new Set(rows.flatMap(({ more }) => Object.keys(more)))];
  const hasRatio = rows.some(({ ratio }) => ratio !== undefined);
  const hasCpu = rows.some(({ cpu }) => cpu !== undefined);
  const heads = ['', unit, ...(hasRatio ? ['ratio'] : []), ...(hasCpu ? [`CPU ${cpuUnit(workload)}, server + client`] : []), ...names];
  const lines = rows.map(({ peer, ratio, cpu, more, ...value }) => {
    const used = cpu === undefined ? '–' : `${cpu.server.toFixed(2)} + ${cpu.client.toFixed(2)}`;
    const beside = ratio === undefined ? '–' : spreadText(ratio, ratioText);
    const figures = [spreadText(value, short), ...(hasRatio ? [beside] : []), ...(hasCpu ? [used] : [])];
    return `| ${[peer, ...figures, ...names.map((extra) => short(more[extra] ?? Number.NaN))].join(' | ')} |`;
  });
  const reasons = [...new Set(without.map(({ why }) => why))];
  const rest = reasons.map((why) => `${without.flatMap((one) => (one.why === why ? one.peer : [])).join('; ')}: ${why}`);
  const note = rest.length === 0 ? '' : `\nWithout a figure:\n\n${rest.map((line) => `- ${line}`).join('\n')}\n`;
  return `## ${titleOf(point)}\n\n| ${heads.join(' | ')} |\n|${heads.map(() => '---|').join('')}\n${lines.join('\n')}\n${note}`;
}

function line({ ratio, cpu, more, ...value }: Row, { workload }: PointReport): string {
  const parts = [spreadText(value, short).padEnd(26)];
  if (ratio !== undefined) parts.push(spreadText(ratio, ratioText).padEnd(22));
  if (cpu !== undefined) parts.push(`CPU ${cpu.server.toFixed(2)} + ${cpu.client.toFixed(2)} ${cpuUnit(workload)}`.padEnd(26));
  for (const [name, extra] of Object.entries(more)) parts.push(`${name} ${short(extra)}`);
  return parts.join(' ');
}

function cpuUnit(workload: string): string {
  return workload === 'W5' ? 'ms/session' : 's/M';
}

function spreadText({ median, min, max }: Spread, text: (value: number) => string): string {
  return `${text(median)} [${text(min)}–${text(max)}]`;
}

export function short(value: number): string {
  if (Number.isNaN(value)) return '–';
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)}M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(0)}k`;
  if (value >= 1e3) return Math.round(value).toLocaleString('en');
  return value >= 99.5 || value === 0 ? value.toFixed(0) : value.toPrecision(2);
}

export function ratioText(value: number | undefined): string {
  if (value === undefined) return '–';
  return value >= 0.095 ? value.toFixed(2) : value.toFixed(3);
}
