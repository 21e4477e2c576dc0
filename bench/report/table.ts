// The table on the terminal and in Markdown: a row for each peer, a column for each point, the ratio to the baseline first.

import type { Point } from '../measure.ts';
import type { PeerInfo } from '../peer.ts';
import type { Cell, Results } from './results.ts';

export function printTable(results: Results, points: readonly Point[], peers: readonly PeerInfo[]): void {
  for (const point of points) {
    const rows = rowsOf(results, point, peers);
    if (rows.length === 0) continue;
    console.log(`\n${point.name}, ${point.unit}`);
    for (const { name, cell } of rows) console.log(`  ${name.padEnd(31)}${line(cell, point)}`);
  }
  for (const { peer, point, why } of results.failures) console.log(`FAILED ${peer}, ${point}: ${why.split('\n')[0]}`);
}

export function markdown(results: Results, points: readonly Point[], peers: readonly PeerInfo[]): string {
  const columns = points.filter((point) => IN_ONE_TABLE.has(point.workload) && rowsOf(results, point, peers).length > 0);
  const head = `| | ${columns.map(({ name }) => name).join(' | ')} |\n|---|${columns.map(() => '---|').join('')}`;
  const rows = peers.flatMap(({ name }) => {
    if (columns.every((point) => results.cell(name, point.name) === undefined)) return [];
    const cells = columns.map((point) => {
      const cell = results.cell(name, point.name);
      return cell === undefined ? '–' : `${ratio(cell.ratio)} (${short(cell.median)})`;
    });
    return [`| ${name} | ${cells.join(' | ')} |`];
  });
  return `${head}\n${rows.join('\n')}\n`;
}

const IN_ONE_TABLE: ReadonlySet<string> = new Set(['W1', 'W2', 'W3', 'W4', 'W5', 'W7']);

/** Everything that was measured at one point. */
export function section(point: Point, rows: readonly { readonly name: string; readonly cell: Cell }[]): string {
  const names = [...new Set(rows.flatMap(({ cell }) => Object.keys(cell.more)))];
  const heads = ['', point.unit, 'ratio', point.workload === 'W5' ? 'CPU ms/session' : 'CPU s/M', ...names];
  const lines = rows.map(({ name, cell }) => {
    const { cpu } = cell;
    const spread = Number.isNaN(cell.ratio) ? '–' : `${ratio(cell.ratio)} [${ratio(cell.ratioMin)}–${ratio(cell.ratioMax)}]`;
    const used = cpu === undefined ? '–' : `${cpu.server.toFixed(2)} + ${cpu.client.toFixed(2)}`;
    const figures = [`${short(cell.median)} [${short(cell.min)}–${short(cell.max)}]`, spread, used];
    return `| ${[name, ...figures, ...names.map((more) => short(cell.more[more] ?? Number.NaN))].join(' | ')} |`;
  });
  return `## ${point.name}\n\n| ${heads.join(' | ')} |\n|${heads.map(() => '---|').join('')}\n${lines.join('\n')}\n`;
}

/** Best first. */
export function rowsOf(results: Results, point: Point, peers: readonly PeerInfo[]): { name: string; cell: Cell }[] {
  const rows = peers.flatMap(({ name }) => {
    const cell = results.cell(name, point.name);
    return cell === undefined ? [] : [{ name, cell }];
  });
  return rows.sort((a, b) => (point.less === true ? a.cell.median - b.cell.median : b.cell.median - a.cell.median));
}

function line(cell: Cell, point: Point): string {
  const parts = [`${short(cell.median)} [${short(cell.min)}–${short(cell.max)}]`.padEnd(26)];
  if (!Number.isNaN(cell.ratio)) parts.push(`${ratio(cell.ratio)} [${ratio(cell.ratioMin)}–${ratio(cell.ratioMax)}]`.padEnd(22));
  if (cell.cpu !== undefined) {
    const unit = point.workload === 'W5' ? 'ms/session' : 's/M';
    parts.push(`CPU ${cell.cpu.server.toFixed(2)} + ${cell.cpu.client.toFixed(2)} ${unit}`.padEnd(26));
  }
  for (const [name, value] of Object.entries(cell.more)) parts.push(`${name} ${short(value)}`);
  return parts.join(' ');
}

export function short(value: number): string {
  if (Number.isNaN(value)) return '–';
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)}M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(0)}k`;
  if (value >= 1e3) return `${(value / 1e3).toFixed(1)}k`;
  return value >= 100 || value === 0 ? value.toFixed(0) : value.toPrecision(2);
}

function ratio(value: number): string {
  return Number.isNaN(value) ? '–' : value >= 0.1 ? value.toFixed(2) : value.toFixed(3);
}
