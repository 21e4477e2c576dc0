// A bar chart as SVG: a bar for each peer, ours in another colour, the range as a thin line.

import type { Point } from '../measure.ts';
import type { Cell } from './results.ts';
import { short } from './table.ts';

const ROW = 22;
const LABEL = 200;
const WIDTH = 820;
const TOP = 44;

export function chart(point: Point, rows: readonly { readonly name: string; readonly cell: Cell }[]): string {
  const most = Math.max(...rows.map(({ cell }) => cell.max));
  const scale = (WIDTH - LABEL - 90) / most;
  const at = (value: number): number => LABEL + value * scale;
  const bars = rows.map(({ name, cell }, i) => {
    const y = TOP + i * ROW;
    const middle = y + ROW / 2 - 2;
    const colour = name.startsWith('outlast') ? '#c2410c' : name.startsWith('net,') ? '#475569' : '#94a3b8';
    return [
      `<text x="${LABEL - 8}" y="${middle + 4}" text-anchor="end">${escaped(name)}</text>`,
      `<rect x="${LABEL}" y="${y}" width="${Math.max(1, cell.median * scale).toFixed(1)}" height="${ROW - 6}" fill="${colour}"/>`,
      `<path d="M${at(cell.min).toFixed(1)} ${middle}H${at(cell.max).toFixed(1)}" stroke="#0f172a" stroke-width="1"/>`,
      `<text x="${(at(cell.max) + 6).toFixed(1)}" y="${middle + 4}">${short(cell.median)}</text>`,
    ].join('');
  });
  const height = TOP + rows.length * ROW + 10;
  const better = point.less === true ? 'less is better' : 'more is better';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12" fill="#0f172a">
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
<text x="12" y="24" font-size="15" font-weight="bold">${escaped(point.name)}: ${escaped(point.unit)}, ${better}</text>
${bars.join('\n')}
</svg>
`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
