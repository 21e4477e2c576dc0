// Runs points: the peers take turns in a new order each round, each in processes of its own that stay up. One that fails loses its point
// and nothing else. The baseline has several turns a round, each with processes of its own: had it but one pair, that would have rested a
// quarter as long as any other peer's, and V8 forgets the code of processes that rest. Between those rounds come short ones of the peers
// that bars are set for: what is set side by side there was measured within seconds.

import type { Point, Sample } from './measure.ts';
import { Pair } from './pair.ts';
import { BASELINE, JUDGED, type PeerInfo } from './peer.ts';
import type { Results } from './report/results.ts';
import { MOST_STOLEN, Theft } from './stolen.ts';

/** The baseline runs again after so many others: the machine changes within a round. */
const BASELINE_EVERY = 7;
const WARMING = -1;
/** So often is a sample taken again of which the machine's host took too much; the one that lost least counts. */
const REPEATS = 2;
/** All of one point together, in rounds: a host that always takes too much would make it three times as long. */
const REPEATED_ROUNDS = 1;

interface Turn {
  readonly info: PeerInfo;
  /** Whose processes. */
  readonly name: string;
}

export class Rounds {
  readonly #results: Results;
  readonly #pairs = new Map<string, Pair>();
  /** Those that failed at the point that runs. */
  readonly #out = new Set<string>();
  /** Samples that may still be taken again at this point. */
  #repeats = 0;

  constructor(results: Results) {
    this.#results = results;
  }

  async run(point: Point, peers: readonly PeerInfo[]): Promise<void> {
    this.#out.clear();
    const able = peers.filter(({ name, workloads }) => workloads.includes(point.workload) && !(point.sessionsOnly && name === BASELINE));
    const beganMs = performance.now();
    const again = point.atOnce === undefined;
    // Their memory is what is measured: without what earlier points have left in it.
    if (point.afresh) await this.end();
    // Those that are measured beside others stay in step with them.
    this.#repeats = again ? REPEATED_ROUNDS * turnsOf(able, again).length : 0;
    const judged = able.filter(({ name }) => JUDGED.has(name));
    // Where they are half of all, every round is short.
    const shorts = Array.from({ length: 2 * judged.length < able.length ? (point.shortRounds ?? 0) : 0 }, (_, i) => `, short ${i + 1}`);
    // Code that runs for the first time is compiled while it runs.
    for (let i = 0; i < (point.warm ?? 0); i++) {
      for (const turn of turnsOf(able, again)) await this.#one(turn, point, WARMING);
      for (const processes of shorts) for (const turn of turnsOf(judged, again, processes)) await this.#one(turn, point, WARMING);
    }
    let round = 0;
    for (let i = 0; i < point.rounds; i++) {
      await this.#round(turnsOf(shuffled(able), again), point, round++);
      for (const processes of shorts) await this.#round(turnsOf(shuffled(judged), again, processes), point, round++);
    }
    process.stderr.write(`${point.name}: ${round} rounds, ${((performance.now() - beganMs) / 1000).toFixed(0)} s\n`);
  }

  async end(): Promise<void> {
    for (const name of [...this.#pairs.keys()]) await this.#end(name);
  }

  async #round(turns: Turn[], point: Point, round: number): Promise<void> {
    // In step, where several are measured at once: what one does first is not done beside another's last.
    while (turns.length > 0) await Promise.all(turns.splice(0, point.atOnce ?? 1).map((turn) => this.#one(turn, point, round)));
  }

  async #one({ info, name }: Turn, point: Point, round: number): Promise<void> {
    if (this.#out.has(name)) return;
    let sample: Sample;
    try {
      sample = await this.#sample(await this.#pair(info, name), point, round);
    } catch (error) {
      this.#results.failed(info.name, point.name, error);
      this.#out.add(name);
      // Its processes may be in any state: the next point gets new ones.
      await this.#end(name);
      return;
    }
    if (round !== WARMING) this.#results.add(info.name, point.name, round, sample);
  }

  async #sample(pair: Pair, point: Point, round: number): Promise<Sample> {
    if (round === WARMING) return point.measure(pair, true);
    let best: Sample | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (let taken = 0; best === undefined || (least > MOST_STOLEN && taken <= REPEATS && this.#repeats > 0); taken++) {
      if (taken > 0) this.#repeats--;
      const theft = new Theft();
      const sample = await point.measure(pair, false);
      const { share } = theft;
      this.#results.stolen(share, taken > 0);
      if (share >= least) continue;
      least = share;
      best = sample;
    }
    return best;
  }

  async #pair(info: PeerInfo, name: string): Promise<Pair> {
    const pair = this.#pairs.get(name) ?? (await Pair.start(info));
    this.#pairs.set(name, pair);
    return pair;
  }

  async #end(name: string): Promise<void> {
    const pair = this.#pairs.get(name);
    this.#pairs.delete(name);
    await pair?.end();
  }
}

/**
 * The baseline first, and, where they take turns one by one, again between the others.
 * @param processes whose: those of full rounds unless it says something
 */
function turnsOf(peers: readonly PeerInfo[], again: boolean, processes = ''): Turn[] {
  const baseline = peers.find(({ name }) => name === BASELINE);
  const turns: Turn[] = [];
  const measure = (i: number): void => {
    if (baseline !== undefined) turns.push({ info: baseline, name: `${baseline.name} ${i}${processes}` });
  };
  measure(0);
  const others = peers.filter((info) => info !== baseline);
  for (const [i, info] of others.entries()) {
    turns.push({ info, name: `${info.name}${processes}` });
    if (again && (i + 1) % BASELINE_EVERY === 0) measure(i + 1);
  }
  return turns;
}

function shuffled<T>(items: readonly T[]): T[] {
  const turns = [...items];
  for (let i = turns.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [turns[i], turns[j]] = [turns[j] as T, turns[i] as T];
  }
  return turns;
}
