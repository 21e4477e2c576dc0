// The summary that the README of the repository shows: a report goes in, a small table comes out. A test compares the README with the
// committed results, so neither is changed alone.

import { type Report, type Row, rowOf } from './report.ts';
import { ratioText } from './table.ts';

const PEERS = ['outlast', 'outlast, ranges', 'outlast, for await', 'net, naive', 'rsocket', 'ws', 'mqtt, QoS 1', 'socket.io', 'grpc'];
const POINTS: readonly (readonly [name: string, heading: string])[] = [
  ['W1 32 B', '32 B'],
  ['W1 128 B', '128 B'],
  ['W1 1 KiB', '1 KiB'],
  ['W3 64 KiB', '64 KiB'],
  ['W2 1 in flight', 'echo'],
  ['W2 64 in flight', 'echo, 64 in flight'],
  ['W7 to 1000', 'to 1,000'],
];
const BEGIN = '<!-- bench: written by npm run bench -- --out docs/benchmarks -->';
const END = '<!-- /bench -->';

export function summary(report: Report): string {
  const { cpu, node, date } = report.machine;
  const peers = PEERS.filter((peer) => report.points.some(({ rows }) => rows.some((row) => row.peer === peer)));
  const ratio = (peer: string, point: string): string => ratioText(rowOf(report, peer, point)?.ratio?.median);
  const lines = [
    `Rates beside a bare socket tuned by hand (1.00), median of interleaved rounds; ${cpu}, Node ${node}, ${date}:`,
    '',
    `| | ${POINTS.map(([, heading]) => heading).join(' | ')} |`,
    `|---|${POINTS.map(() => '---|').join('')}`,
    ...peers.map((peer) => `| ${peer} | ${POINTS.map(([point]) => ratio(peer, point)).join(' | ')} |`),
  ];
  const outage = report.points.filter(({ workload }) => workload === 'W6').flatMap(({ rows }) => rows.map(outageOf));
  if (outage.length > 0) lines.push('', `Every connection of many clients cut at once, for 500 ms: ${outage.join('; ')}.`);
  lines.push('', 'All peers, what was aimed at and what of it holds: [docs/benchmarks](docs/benchmarks/README.md).');
  return lines.join('\n');
}

function outageOf({ peer, median, more: { lost = 0, doubled = 0 } }: Row): string {
  return `${peer} ${median.toFixed(0)} ms to the first new message, ${lost} lost, ${doubled} doubled`;
}

/** `text` with the summary in its place. @throws where it has none */
export function withSummary(text: string, report: Report): string {
  const from = text.indexOf(BEGIN);
  const to = text.indexOf(END, from);
  if (from < 0 || to < 0) throw new Error(`no place for the summary: '${BEGIN}' and '${END}'`);
  return `${text.slice(0, from)}${BEGIN}\n\n${summary(report)}\n\n${text.slice(to)}`;
}
