// What a run found out, as results.json keeps it: plain data, from which tables, charts and the README's summary are made.

import type { Workload } from '../peer.ts';
import type { Machine } from './machine.ts';

export interface Report {
  readonly machine: Machine;
  readonly stolen: Stolen;
  readonly points: readonly PointReport[];
  readonly failures: readonly Failure[];
}

/** What the host of a virtual machine took while it measured. */
export interface Stolen {
  /** Of all time of all processors, on average of the samples. */
  readonly share: number;
  readonly samples: number;
  /** Those of them that were taken because an earlier one had lost too much. */
  readonly again: number;
}

export interface PointReport {
  readonly name: string;
  readonly workload: Workload;
  readonly unit: string;
  /** Whether less is better. */
  readonly less: boolean;
  /** Best first. */
  readonly rows: readonly Row[];
  /** Peers that have no figure here, and why. */
  readonly without: readonly { readonly peer: string; readonly why: string }[];
}

export interface Row {
  readonly peer: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** To the baseline of the same round; absent where that is not measured. */
  readonly ratio?: Spread;
  /** Seconds per million messages, or milliseconds per session. */
  readonly cpu?: { readonly server: number; readonly client: number };
  /** Medians of whatever else was measured. */
  readonly more: Readonly<Record<string, number>>;
  readonly samples: number;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface Failure {
  readonly peer: string;
  readonly point: string;
  readonly why: string;
}

export function rowOf(report: Report, peer: string, point: string): Row | undefined {
  return report.points.find(({ name }) => name === point)?.rows.find((row) => row.peer === peer);
}

const TITLES: Readonly<Record<Workload, string>> = {
  W1: 'one way',
  W2: 'echo of 128 B',
  W3: 'one way',
  W4: 'resident memory of the server per session',
  W5: 'opened 200 at a time',
  W6: 'time to the first new message after it',
  W7: 'one server to many, 128 B',
  W8: 'what waits for a confirmation',
  W9: 'answers, each behind a record',
};

/** What its heading says. */
export function titleOf({ name, workload }: Pick<PointReport, 'name' | 'workload'>): string {
  return `${name}: ${TITLES[workload]}`;
}
