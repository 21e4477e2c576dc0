// Figures against a baseline: what was counted, what it may be, and the line that tells it. Counts, not times; worse is more.

export interface Baseline {
  /** Major version of Node; another one compiles and allocates otherwise. */
  readonly node: string;
  readonly figures: Readonly<Record<string, number>>;
}

/** What a figure may differ by, either of the two: measured spread with room, and less than a mistake would add. */
export interface Tolerance {
  readonly share: number;
  readonly plus: number;
}

export type Verdict = 'as before' | 'WORSE' | 'better' | 'NEW';

export function judge(figure: number, before: number | undefined, { share, plus }: Tolerance): Verdict {
  if (before === undefined) return 'NEW';
  const room = Math.max(before * share, plus);
  // Written this way round, NaN is worse.
  if (!(figure <= before + room)) return 'WORSE';
  return figure < before - room ? 'better' : 'as before';
}

export function line(name: string, figure: number, before: number | undefined, unit: string, verdict: Verdict): string {
  const was = before === undefined ? '' : `${short(before)}`;
  return `${name.padEnd(36)} ${short(figure).padStart(9)} ${was.padStart(9)}  ${unit.padEnd(28)} ${verdict}`;
}

/** Four digits are more than repeats. */
export function rounded(figure: number): number {
  return Number(figure.toPrecision(4));
}

function short(figure: number): string {
  return figure >= 1000 ? figure.toFixed(0) : String(rounded(figure));
}
