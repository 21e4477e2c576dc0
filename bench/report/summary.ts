// The summary that the README of the repository shows: the cells of results.json go in, a small table comes out. A test compares the
// README with the results, so neither is changed alone.

/** What it needs of a cell of results.json; null is what JSON makes of NaN. */
export interface ReportedCell {
  readonly peer: string;
  readonly point: string;
  readonly median: number | null;
  readonly ratio: number | null;
  readonly more: Readonly<Record<string, number | null>>;
}

export interface Report {
  readonly machine: { readonly date: string; readonly node: string; readonly cpu: string };
  readonly cells: readonly ReportedCell[];
}

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

export function summary({ machine, cells }: Report): string {
  const cell = (peer: string, point: string): ReportedCell | undefined =>
    cells.find((other) => other.peer === peer && other.point === point);
  const peers = PEERS.filter((peer) => cells.some((other) => other.peer === peer));
  const rows = peers.map((peer) => `| ${peer} | ${POINTS.map(([point]) => ratio(cell(peer, point)?.ratio)).join(' | ')} |`);
  const lines = [
    `Rates beside a bare socket tuned by hand (1.00), median of interleaved rounds; ${machine.cpu}, Node ${machine.node}, ${machine.date}:`,
    '',
    `| | ${POINTS.map(([, heading]) => heading).join(' | ')} |`,
    `|---|${POINTS.map(() => '---|').join('')}`,
    ...rows,
  ];
  const outage = cells.filter(({ point }) => point.startsWith('W6 ')).map(outageOf);
  if (outage.length > 0) lines.push('', `1,000 clients, every connection cut for 500 ms: ${outage.join('; ')}.`);
  return lines.join('\n');
}

function outageOf({ peer, median, more }: ReportedCell): string {
  return `${peer} ${median?.toFixed(0) ?? '?'} ms to the first new message, ${more.lost ?? '?'} lost, ${more.doubled ?? '?'} doubled`;
}

/** `text` with the summary in its place. @throws where it has none */
export function withSummary(text: string, report: Report): string {
  const from = text.indexOf(BEGIN);
  const to = text.indexOf(END, from);
  if (from < 0 || to < 0) throw new Error(`no place for the summary: '${BEGIN}' and '${END}'`);
  return `${text.slice(0, from)}${BEGIN}\n\n${summary(report)}\n\n${text.slice(to)}`;
}

function ratio(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  return value >= 0.095 ? value.toFixed(2) : value.toFixed(3);
}
