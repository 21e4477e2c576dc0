// Runs points: the peers take turns in a new order each round, each in processes of its own that stay up. One that fails loses its point
// and nothing else.

import type { Point, Sample } from './measure.ts';
import { Pair } from './pair.ts';
import { BASELINE, type PeerInfo } from './peer.ts';
import type { Results } from './report/results.ts';

/** The baseline runs again after so many others: the machine changes within a round. */
const BASELINE_EVERY = 7;
const WARMING = -1;

export class Rounds {
  readonly #results: Results;
  readonly #pairs = new Map<string, Pair>();
  /** Those that failed at the point that runs. */
  readonly #out = new Set<PeerInfo>();

  constructor(results: Results) {
    this.#results = results;
  }

  async run(point: Point, peers: readonly PeerInfo[]): Promise<void> {
    this.#out.clear();
    const able = peers.filter(({ name, workloads }) => workloads.includes(point.workload) && !(point.sessionsOnly && name === BASELINE));
    const beganMs = performance.now();
    // Their memory is what is measured: without what earlier points have left in it.
    if (point.afresh) for (const { name } of able) await this.#end(name);
    // Code that runs for the first time is compiled while it runs.
    for (let i = 0; i < (point.warm ?? 0); i++) for (const info of able) await this.#one(info, point, WARMING);
    for (let round = 0; round < point.rounds; round++) {
      const waiting = withBaseline(shuffled(able), point.atOnce === undefined);
      const lane = async (): Promise<void> => {
        for (let info = waiting.shift(); info !== undefined; info = waiting.shift()) await this.#one(info, point, round);
      };
      await Promise.all(Array.from({ length: point.atOnce ?? 1 }, lane));
    }
    process.stderr.write(`${point.name}: ${point.rounds} rounds, ${((performance.now() - beganMs) / 1000).toFixed(0)} s\n`);
  }

  async end(): Promise<void> {
    for (const name of [...this.#pairs.keys()]) await this.#end(name);
  }

  async #one(info: PeerInfo, point: Point, round: number): Promise<void> {
    if (this.#out.has(info)) return;
    let sample: Sample;
    try {
      sample = await point.measure(await this.#pair(info), round === WARMING);
    } catch (error) {
      this.#results.failed(info.name, point.name, error);
      this.#out.add(info);
      // Its processes may be in any state: the next point gets new ones.
      await this.#end(info.name);
      return;
    }
    if (round !== WARMING) this.#results.add(info.name, point.name, round, sample);
  }

  async #pair(info: PeerInfo): Promise<Pair> {
    const pair = this.#pairs.get(info.name) ?? (await Pair.start(info));
    this.#pairs.set(info.name, pair);
    return pair;
  }

  async #end(name: string): Promise<void> {
    const pair = this.#pairs.get(name);
    this.#pairs.delete(name);
    await pair?.end();
  }
}

/** The baseline first, and, where they take turns one by one, again between the others. */
function withBaseline(turns: readonly PeerInfo[], again: boolean): PeerInfo[] {
  const baseline = turns.filter(({ name }) => name === BASELINE);
  const others = turns.filter(({ name }) => name !== BASELINE);
  return [...baseline, ...others.flatMap((info, i) => (again && (i + 1) % BASELINE_EVERY === 0 ? [info, ...baseline] : [info]))];
}

function shuffled<T>(items: readonly T[]): T[] {
  const turns = [...items];
  for (let i = turns.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [turns[i], turns[j]] = [turns[j] as T, turns[i] as T];
  }
  return turns;
}
