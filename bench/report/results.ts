// What was measured: samples by peer, point and round, and their medians and ratios.

import type { Sample } from '../measure.ts';
import { BASELINE } from '../peer.ts';

export interface Cell {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Median of the ratios to the baseline of the same round. */
  readonly ratio: number;
  readonly ratioMin: number;
  readonly ratioMax: number;
  readonly cpu?: { readonly server: number; readonly client: number };
  readonly more: Readonly<Record<string, number>>;
  readonly samples: number;
}

export interface Failure {
  readonly peer: string;
  readonly point: string;
  readonly why: string;
}

export class Results {
  readonly #samples = new Map<string, { round: number; sample: Sample }[]>();
  readonly failures: Failure[] = [];

  add(peer: string, point: string, round: number, sample: Sample): void {
    const key = `${peer}\n${point}`;
    const samples = this.#samples.get(key) ?? [];
    samples.push({ round, sample });
    this.#samples.set(key, samples);
  }

  failed(peer: string, point: string, error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${peer}, ${point}: ${why.split('\n')[0]}\n`);
    this.failures.push({ peer, point, why });
  }

  cell(peer: string, point: string): Cell | undefined {
    const samples = this.#samples.get(`${peer}\n${point}`);
    if (samples === undefined) return undefined;
    const values = samples.map(({ sample }) => sample.value);
    const ratios = samples.map(({ round, sample }) => sample.value / this.#baseline(point, round));
    const cpus = samples.flatMap(({ sample }) => (sample.cpu === undefined ? [] : [sample.cpu]));
    const names = new Set(samples.flatMap(({ sample }) => Object.keys(sample.more ?? {})));
    const more = Object.fromEntries(
      [...names].map((name) => [name, median(samples.map(({ sample }) => sample.more?.[name] ?? Number.NaN))]),
    );
    return {
      median: median(values),
      min: Math.min(...values),
      max: Math.max(...values),
      ratio: median(ratios),
      ratioMin: Math.min(...ratios),
      ratioMax: Math.max(...ratios),
      ...(cpus.length === 0
        ? {}
        : { cpu: { server: median(cpus.map(({ server }) => server)), client: median(cpus.map(({ client }) => client)) } }),
      more,
      samples: samples.length,
    };
  }

  #baseline(point: string, round: number): number {
    const samples = this.#samples.get(`${BASELINE}\n${point}`) ?? [];
    return median(samples.filter((other) => other.round === round).map(({ sample }) => sample.value));
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
