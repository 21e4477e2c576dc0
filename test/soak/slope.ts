// Does a measured quantity grow? Samples over time in, the rate of growth out, of which neither a few odd samples nor the first ones decide.

export interface Sample {
  readonly at: number;
  readonly value: number;
}

/** Theil-Sen: the median of the slopes between all pairs of samples, in units of value per unit of time. 0 for fewer than two. */
export function slope(samples: readonly Sample[]): number {
  const slopes: number[] = [];
  for (const [i, a] of samples.entries()) {
    for (const b of samples.slice(i + 1)) if (b.at !== a.at) slopes.push((b.value - a.value) / (b.at - a.at));
  }
  return median(slopes);
}

/** The lowest sample of each of `count` spans: what a load lifts for a while sinks again, what leaks does not. */
export function floors(samples: readonly Sample[], count: number): Sample[] {
  const width = Math.max(1, samples.length / count);
  const lowest: Sample[] = [];
  for (let from = 0; from < samples.length; from += width) {
    const span = samples.slice(Math.round(from), Math.round(from + width));
    const [first, ...rest] = span;
    if (first !== undefined) lowest.push(rest.reduce((low, sample) => (sample.value < low.value ? sample : low), first));
  }
  return lowest;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return 0;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
