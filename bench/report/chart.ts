// A bar chart as SVG: a bar for each peer, ours in another colour, the range as a thin line, and where the baseline is. It brings its own
// background, light or dark as the reader has it, since a page may be of the other kind.

import { BASELINE } from '../peer.ts';
import { type PointReport, type Row, titleOf } from './report.ts';
import { ratioText, short } from './table.ts';

const WIDTH = 860;
const ROW = 24;
const BAR = 14;
const LABEL = 224;
const TOP = 84;
const FOOT = 14;
/** For the figures behind the longest bar. */
const FIGURES = 150;

const STYLE = `
.back { fill: #ffffff; stroke: #d0d7de }
.text { fill: #1f2328 }
.halo { stroke: #ffffff; stroke-width: 4; paint-order: stroke }
.faint { fill: #59636e }
.ours { fill: #c2410c }
.bare { fill: #57606a }
.other { fill: #a9b4c0 }
.range { stroke: #1f2328 }
.line { stroke: #57606a }
@media (prefers-color-scheme: dark) {
.back { fill: #0d1117; stroke: #3d444d }
.text { fill: #f0f6fc }
.halo { stroke: #0d1117 }
.faint, .bare { fill: #9198a1 }
.ours { fill: #f0883e }
.other { fill: #4b5563 }
.range { stroke: #f0f6fc }
.line { stroke: #9198a1 }
}`;

export function chart(point: PointReport): string {
  const { rows } = point;
  const scale = (WIDTH - LABEL - FIGURES) / Math.max(...rows.map(({ max }) => max));
  const x = (value: number): string => (LABEL + value * scale).toFixed(1);
  const height = TOP + rows.length * ROW + FOOT;
  const bare = rows.find(({ peer }) => peer === BASELINE);
  const line =
    bare === undefined
      ? ''
      : `<path class="line" stroke-dasharray="3 3" d="M${x(bare.median)} ${TOP - 6}V${height - FOOT}"/>` +
        `<text class="faint" x="${x(bare.median)}" y="${TOP - 12}" text-anchor="middle" font-size="11">bare = 1</text>`;
  const shown = bare === undefined ? 'Median' : 'Median · its ratio to the bare tuned socket';
  const legend = `${point.less ? 'less' : 'more'} is better. ${shown}; thin lines: least to most`;
  const size = `width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="system-ui, Helvetica, Arial, sans-serif" font-size="12.5">
<style>${STYLE}
</style>
<rect class="back" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="6"/>
<text class="text" x="16" y="26" font-size="15" font-weight="600">${escaped(titleOf(point))}</text>
<text class="faint" x="16" y="44" font-size="11.5">${escaped(point.unit)}, ${legend}</text>
${line}
${rows.map((row, i) => barOf(row, TOP + i * ROW, x)).join('\n')}
</svg>
`;
}

function barOf({ peer, median, min, max, ratio }: Row, y: number, x: (value: number) => string): string {
  const middle = y + ROW / 2;
  const kind = peer.startsWith('outlast') ? 'ours' : peer.startsWith('net,') ? 'bare' : 'other';
  const width = Math.max(1, Number(x(median)) - LABEL).toFixed(1);
  const beside = ratio === undefined || peer === BASELINE ? '' : ` · ${ratioText(ratio.median)}`;
  return [
    `<text class="text" x="${LABEL - 10}" y="${middle + 4.5}" text-anchor="end">${escaped(peer)}</text>`,
    `<rect class="${kind}" x="${LABEL}" y="${middle - BAR / 2}" width="${width}" height="${BAR}" rx="2"/>`,
    `<path class="range" d="M${x(min)} ${middle}H${x(max)}"/>`,
    `<text class="text halo" x="${(Number(x(max)) + 8).toFixed(1)}" y="${middle + 4.5}">${short(median)}${beside}</text>`,
  ].join('');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
