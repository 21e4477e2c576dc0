// What was measured: samples by peer, point and round. Their medians and ratios are the report.

import type { Point, Sample } from '../measure.ts';
import { BASELINE, type PeerInfo } from '../peer.ts';
import type { Machine } from './machine.ts';
import type { Failure, PointReport, Report, Row, Spread } from './report.ts';

export class Results {
  readonly #samples = new Map<string, { round: number; sample: Sample }[]>();
  readonly failures: Failure[] = [];
  readonly #host = { samples: 0, again: 0, shares: 0 };

  add(peer: string, point: string, round: number, sample: Sample): void {
    const key = `${peer}\n${point}`;
    const samples = this.#samples.get(key) ?? [];
    samples.push({ round, sample });
    this.#samples.set(key, samples);
  }

  /** The share of a sample's time that the machine's host took. @param again for that reason it was taken a second time */
  stolen(share: number, again: boolean): void {
    this.#host.samples++;
    this.#host.shares += share;
    if (again) this.#host.again++;
  }

  failed(peer: string, point: string, error: unknown): void {
    const why = (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
    process.stderr.write(`${peer}, ${point}: ${why}\n`);
    this.failures.push({ peer, point, why });
  }

  /** Of everything so far. Points without a figure are left out. */
  report(points: readonly Point[], peers: readonly PeerInfo[], machine: Machine): Report {
    const found = points.map((point) => this.#pointReport(point, peers)).filter(({ rows }) => rows.length > 0);
    // They run in an order of their own.
    found.sort((a, b) => a.workload.localeCompare(b.workload));
    const { samples, again, shares } = this.#host;
    return { machine, stolen: { share: shares / samples, samples, again }, points: found, failures: this.failures };
  }

  #pointReport({ name, workload, unit, less = false }: Point, peers: readonly PeerInfo[]): PointReport {
    const rows = peers.flatMap((peer) => this.#row(peer.name, name) ?? []);
    rows.sort((a, b) => (less ? a.median - b.median : b.median - a.median));
    const without = peers.flatMap(({ name: peer, cannot }) => {
      const why = cannot[workload] ?? this.failures.find((failure) => failure.peer === peer && failure.point === name)?.why;
      return why === undefined ? [] : [{ peer, why }];
    });
    return { name, workload, unit, less, rows, without };
  }

  #row(peer: string, point: string): Row | undefined {
    const samples = this.#samples.get(`${peer}\n${point}`);
    if (samples === undefined) return undefined;
    const ratios = samples.map(({ round, sample }) => sample.value / this.#baseline(point, round)).filter(Number.isFinite);
    const cpus = samples.flatMap(({ sample }) => sample.cpu ?? []);
    const names = new Set(samples.flatMap(({ sample }) => Object.keys(sample.more ?? {})));
    const more = [...names].map((name): [string, number] => [name, median(samples.map(({ sample }) => sample.more?.[name] ?? Number.NaN))]);
    return {
      peer,
      ...spread(samples.map(({ sample }) => sample.value)),
      ...(ratios.length === 0 ? {} : { ratio: spread(ratios) }),
      ...(cpus.length === 0
        ? {}
        : { cpu: { server: median(cpus.map(({ server }) => server)), client: median(cpus.map(({ client }) => client)) } }),
      // JSON has no NaN.
      more: Object.fromEntries(more.filter(([, value]) => Number.isFinite(value))),
      samples: samples.length,
    };
  }

  #baseline(point: string, round: number): number {
    const samples = this.#samples.get(`${BASELINE}\n${point}`) ?? [];
    return median(samples.filter((other) => other.round === round).map(({ sample }) => sample.value));
  }
}

function spread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
