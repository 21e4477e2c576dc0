// npm run bench [-- --quick] [--only NAME;…] [--points W1,…] [--rounds N] [--out FOLDER] [--report FOLDER]
// Every peer does the same work, server and client in processes of their own, over loopback. Peers take turns in a new order each round,
// and every figure is set against the bare tuned socket of the same round. Prints tables; writes JSON as it goes, and pages and charts.

import { parseArgs } from 'node:util';
import { keepAwake } from './cores.ts';
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
  streamPoint,
} from './measure.ts';
import { BASELINE, peers } from './peer.ts';
import { machine } from './report/machine.ts';
import { Results } from './report/results.ts';
import { printTable } from './report/table.ts';
import { readResults, writeReport, writeResults } from './report/write.ts';
import { Rounds } from './rounds.ts';

/** Of the point that starts the processes: what V8 assumed of a first connection, a second one proves wrong. */
const FIRST_WARMINGS = 2;

const { values: given } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    points: { type: 'string' },
    rounds: { type: 'string' },
    out: { type: 'string' },
    report: { type: 'string' },
  },
});

if (given.report === undefined) await measure();
else await writeReport(given.report, await readResults(given.report));

async function measure(): Promise<void> {
  const wantedPoints = given.points?.split(',');
  const wantedPeers = given.only?.split(';');
  const points = allPoints().filter(({ name, workload }) => wantedPoints?.some((want) => want === workload || want === name) ?? true);
  const chosen = peers.filter((peer) => peer.name === BASELINE || (wantedPeers?.includes(peer.name) ?? (!given.quick || peer.quick)));
  const where = machine(chosen);
  const results = new Results();
  const rounds = new Rounds(results);
  const sleep = keepAwake();
  for (const point of points) {
    await rounds.run(point, chosen);
    // Whatever happens later, these figures are kept.
    if (given.out !== undefined) await writeResults(given.out, results.report(points, chosen, where));
  }
  await rounds.end();
  sleep();
  const report = results.report(points, chosen, where);
  printTable(report);
  if (given.out !== undefined) await writeReport(given.out, report);
  process.exitCode = report.failures.length === 0 ? 0 : 1;
}

function allPoints(): readonly Point[] {
  const { quick } = given;
  const rounds = Number(given.rounds ?? (quick ? 3 : 5));
  const few = Math.min(3, rounds);
  const ms = 300;
  return [
    streamPoint('W1', 32, ms, rounds, FIRST_WARMINGS),
    streamPoint('W1', 128, ms, rounds),
    streamPoint('W1', 1024, ms, rounds),
    echoPoint(1, ms, rounds),
    echoPoint(64, ms, rounds),
    streamPoint('W3', 65_536, ms, rounds),
    // Here, beside W3: V8 collects more often in a process that has had many sessions.
    ...[0.125, 1, 8, 64].map((mib) => resumePoint(mib, rounds)),
    opensPoint(quick ? 500 : 2000, 200, rounds),
    outagePoint(quick ? 200 : 1000, 500, few),
    broadcastPoint(quick ? 200 : 1000, 500, rounds),
    ...[1000, 100_000].map((unacked) => acksPoint(unacked, 1000, rounds)),
    durablePoint(1, ms, rounds),
    durablePoint(200, ms, rounds),
    // Last: it leaves no warm processes.
    quick ? idlePoint([1000], 3000, 3000) : idlePoint([1000, 5000, 9000], 50_000, 15_000),
  ];
}
