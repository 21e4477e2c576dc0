// What a run must show: the bars that the project has set itself, each judged by the figures of one report.

import { BASELINE } from '../peer.ts';
import { type PointReport, type Report, type Row, rowOf } from './report.ts';

interface Bar {
  readonly what: string;
  /** Text of the bar. */
  readonly bar: string;
  readonly found: number | undefined;
  readonly holds: boolean;
  /** Decimals of `found`. */
  readonly digits: number;
  readonly unit: string;
}

const KIB = 1024;

/** A Markdown table, one row for each bar that this report has figures for. */
export function barsTable(report: Report): string {
  const bars = barsOf(report).filter(({ found }) => found !== undefined);
  const rows = bars.map(
    ({ what, bar, found, holds, digits, unit }) =>
      `| ${what} | ${bar} | ${found?.toFixed(digits)}${unit} | ${holds ? 'holds' : '**does not hold**'} |`,
  );
  const count = bars.filter(({ holds }) => holds).length;
  return `${count} of ${bars.length} hold in this run.\n\n| | bar | found | |\n|---|---|---|---|\n${rows.join('\n')}\n`;
}

export function barsOf(report: Report): readonly Bar[] {
  return [streams, echoes, idle, opens, outage, many, growth, peers].flatMap((bars) => bars(report));
}

function streams(report: Report): Bar[] {
  const sizes: readonly (readonly [point: string, least: number])[] = [
    ['W1 32 B', 1],
    ['W1 128 B', 1],
    ['W1 1 KiB', 0.9],
  ];
  const bars = sizes.flatMap(([point, least]) => [
    atLeast(`${point}, receive or batches`, least, best(ratioOf(report, 'outlast', point), ratioOf(report, 'outlast, batches', point))),
    atLeast(`${point}, ranges`, 1.4, ratioOf(report, 'outlast, ranges', point)),
    atLeast(`${point}, for await`, 0.4, ratioOf(report, 'outlast, for await', point)),
  ]);
  return [...bars, atLeast('W3 64 KiB', 0.95, ratioOf(report, 'outlast', 'W3 64 KiB'))];
}

function echoes(report: Report): Bar[] {
  return ['W2 1 in flight', 'W2 64 in flight'].flatMap((point) => {
    const ours = rowOf(report, 'outlast', point);
    const late = quotient(ours?.more['p99 µs'], rowOf(report, BASELINE, point)?.more['p99 µs']);
    return [atLeast(point, 0.9, ours?.ratio?.median), atMost(`${point}, p99 beside bare`, 1.2, late)];
  });
}

function idle(report: Report): Bar[] {
  const row = rowOf(report, 'outlast', 'W4 9000 idle');
  return [
    atMost('W4 resident memory of a session, all just opened', 7, quotient(row?.median, KIB), ' KiB'),
    atMost('W4 resident memory of a session, at rest', 7, quotient(row?.more['rested B'], KIB), ' KiB'),
    atMost('W4 heap of a session', 3, quotient(row?.more['heap B'], KIB), ' KiB'),
    atMost('W4 idle CPU, 9,000 sessions', 1, row?.more['idle CPU %'], ' % of a core'),
  ];
}

function opens(report: Report): Bar[] {
  const point = 'W5 opens';
  const rate = (peer: string): number | undefined => rowOf(report, peer, point)?.median;
  return [
    atLeast('W5 with key agreement', 0.35, ratioOf(report, 'outlast', point)),
    atLeast('W5 without, keys from TLS, beside bare TLS', 0.6, quotient(rate('outlast, TLS'), rate('net, tuned, TLS'))),
    atLeast('W5 beside ws', 1, quotient(rate('outlast'), rate('ws'))),
  ];
}

function outage(report: Report): Bar[] {
  const point = report.points.find(({ workload }) => workload === 'W6');
  const row = point?.rows.find(({ peer }) => peer === 'outlast');
  if (point === undefined || row === undefined) return [];
  const { lost = 0, doubled = 0, disordered = 0 } = row.more;
  const next = Math.min(...point.rows.filter(isPeer).map(({ median }) => median));
  return [
    atMost('W6 lost, doubled, out of order', 0, lost + doubled + disordered, '', 0),
    atMost('W6 first new message, median', 250, row.median, ' ms', 0),
    atMost('W6 first new message, slowest client', 600, row.more['slowest ms'], ' ms', 0),
    atMost('W6 median beside the fastest peer', 1, Number.isFinite(next) ? row.median / next : undefined),
  ];
}

function many(report: Report): Bar[] {
  return [atLeast('W7 to 1000', 1, ratioOf(report, 'outlast', 'W7 to 1000'))];
}

function growth(report: Report): Bar[] {
  const rate = (point: string): number | undefined => rowOf(report, 'outlast', point)?.median;
  const beside = rowOf(report, 'outlast', 'W8 100000 unacked')?.more['beside 10'];
  const last = 'W8 resume 64 MiB';
  const transfer = rowOf(report, 'outlast', last)?.more['transfer MB/s'];
  return [
    atMost('W8 sender CPU of a message and its ack, 100,000 unconfirmed beside 10', 1.1, beside),
    atLeast('W8 transfer of a resume of 64 MiB beside W3', 0.8, quotient(transfer, rate('W3 64 KiB'))),
    atLeast(
      'W8 the same beside 64 MiB through a new bare connection',
      0.8,
      quotient(transfer, rowOf(report, BASELINE, last)?.more['transfer MB/s']),
    ),
  ];
}

/** Other libraries, none of which may be faster. */
function peers(report: Report): Bar[] {
  const points = report.points.filter(({ name, workload }) => workload === 'W1' || workload === 'W3' || name === 'W2 64 in flight');
  return points.flatMap((point) => {
    const next = fastestPeer(point);
    const ours = rowOf(report, 'outlast', point.name);
    return next === undefined
      ? []
      : [atLeast(`${point.name} beside the fastest peer, ${next.peer}`, 1, quotient(ours?.median, next.median))];
  });
}

function ratioOf(report: Report, peer: string, point: string): number | undefined {
  return rowOf(report, peer, point)?.ratio?.median;
}

function best(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || (b !== undefined && b > a) ? b : a;
}

function fastestPeer(point: PointReport): Row | undefined {
  return point.rows.find(isPeer);
}

function isPeer({ peer }: Row): boolean {
  return !peer.startsWith('outlast') && !peer.startsWith('net,');
}

function atLeast(what: string, least: number, found: number | undefined, unit = '', digits = 2): Bar {
  return { what, bar: `≥ ${least}${unit}`, found, holds: found !== undefined && found >= least, digits, unit };
}

function atMost(what: string, most: number, found: number | undefined, unit = '', digits = 2): Bar {
  return { what, bar: `≤ ${most}${unit}`, found, holds: found !== undefined && found <= most, digits, unit };
}

function quotient(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a / b;
}
