// npm run bench [-- --quick] [--only NAME,…] [--points W1,…] [--rounds N] [--out FOLDER]
// Every peer does the same work, server and client in processes of their own, over loopback. Peers take turns in a new order each round,
// and every figure is set against the bare tuned socket of the same round. Prints a table; writes JSON and charts.

import { parseArgs } from 'node:util';
import {
  acksPoint,
  broadcastPoint,
  durablePoint,
  echoPoint,
  idlePoint,
  opensPoint,
  outagePoint,
  type Point,
  resumePoint,
  type Sample,
  streamPoint,
} from './measure.ts';
import { Pair } from './pair.ts';
import { BASELINE, type PeerInfo, peers } from './peer.ts';
import { machine } from './report/machine.ts';
import { Results } from './report/results.ts';
import { printTable } from './report/table.ts';
import { writeReport } from './report/write.ts';

const { values: given } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    points: { type: 'string' },
    rounds: { type: 'string' },
    out: { type: 'string' },
  },
});
const rounds = Number(given.rounds ?? (given.quick ? 3 : 5));
const ms = 300;

const all: readonly Point[] = [
  streamPoint('W1', 32, ms, rounds),
  streamPoint('W1', 128, ms, rounds),
  streamPoint('W1', 1024, ms, rounds),
  echoPoint(1, ms, rounds),
  echoPoint(64, ms, rounds),
  streamPoint('W3', 65_536, ms, rounds),
  opensPoint(given.quick ? 500 : 2000, 200, Math.min(3, rounds)),
  broadcastPoint(given.quick ? 200 : 1000, 1000, Math.min(3, rounds)),
  outagePoint(given.quick ? 200 : 1000, 500, Math.min(3, rounds)),
  ...[0.125, 1, 8, 64].map((mib) => resumePoint(mib, rounds)),
  ...[10, 1000, 100_000].map((unacked) => acksPoint(unacked, ms, rounds)),
  durablePoint(1, ms, rounds),
  durablePoint(200, ms, rounds),
  given.quick ? idlePoint([1000], 3000) : idlePoint([1000, 5000, 9000], 15_000),
];
const wantedPoints = given.points?.split(',');
const wantedPeers = given.only?.split(';');
const points = all.filter(({ name, workload }) => wantedPoints?.some((want) => want === workload || want === name) ?? true);
const chosen = peers.filter((peer) => peer.name === BASELINE || (wantedPeers?.includes(peer.name) ?? (!given.quick || peer.quick)));

const results = new Results();
const pairs = new Map<string, Pair>();
for (const info of chosen) await startPair(info);
process.stderr.write(`${pairs.size} peers, ${points.length} points, ${rounds} rounds\n`);

for (const point of points) {
  // Code that runs for the first time is compiled while it runs.
  if (point.warm) for (const { info } of [...pairs.values()]) if (info.workloads.includes(point.workload)) await one(info, point, -1);
  for (let round = 0; round < point.rounds; round++) {
    const turns = withBaseline(shuffled([...pairs.values()].filter(({ info }) => info.workloads.includes(point.workload))), point);
    for (const { info } of turns) await one(info, point, round);
    process.stderr.write(`${point.name}, round ${round + 1} of ${point.rounds}\n`);
  }
}
for (const pair of pairs.values()) await pair.end();

printTable(results, points, chosen);
if (given.out !== undefined) await writeReport(given.out, results, points, chosen, await machine(chosen));
process.exitCode = results.failures.length === 0 ? 0 : 1;

async function startPair(info: PeerInfo): Promise<void> {
  try {
    pairs.set(info.name, await Pair.start(info));
  } catch (error) {
    results.failed(info.name, 'start', error);
  }
}

/** @param round less than zero: to warm up, not counted */
async function one(info: PeerInfo, point: Point, round: number): Promise<void> {
  const pair = pairs.get(info.name);
  if (pair === undefined) return;
  let sample: Sample;
  try {
    sample = await point.measure(pair);
  } catch (error) {
    results.failed(info.name, point.name, error);
    // Its processes may be in any state: the next turn gets new ones.
    await pair.end();
    pairs.delete(info.name);
    await startPair(info);
    return;
  }
  if (round >= 0) results.add(info.name, point.name, round, sample);
}

/** The baseline runs first, and again after every few others: the machine changes within a round. */
function withBaseline(turns: readonly Pair[], point: Point): readonly Pair[] {
  const baseline = pairs.get(BASELINE);
  if (baseline === undefined) throw new Error('the baseline did not start');
  const others = turns.filter((pair) => pair !== baseline);
  if (!baseline.info.workloads.includes(point.workload)) return others;
  const again = point.workload === 'W4' ? Number.POSITIVE_INFINITY : 7;
  return [baseline, ...others.flatMap((pair, i) => ((i + 1) % again === 0 ? [pair, baseline] : [pair]))];
}

function shuffled<T>(items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  }
  return items;
}
