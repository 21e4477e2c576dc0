// `npm run soak`: many sessions for a long time, between a process of servers and a process of clients, while a proxy cuts their connections.
// Every message is judged by the History of outlast/testing; what the processes hold is sampled, and must neither grow nor stay.

import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ChaosProxy, type ChaosProxyStats } from '../../lib/testing/chaos-proxy.ts';
import type { Talk } from '../chaos/conversation.ts';
import type { HostCensus, HostOptions } from '../chaos/host.ts';
import type { HostProcess } from '../chaos/host-process.ts';
import type { Verdict } from '../chaos/ledger.ts';
import { Stage } from '../chaos/stage.ts';
import { type Check, judge, type Moment } from './judge.ts';

const HELP = `npm run soak -- [options]

  --sessions N             how many at the same time; default 300
  --seconds N              for how long, behind the last open; default 60
  --cuts-per-minute X      how often the connection of a session is cut; default 1
  --messages-per-minute X  of each session and direction; default 12
  --seed N                 of the cuts; default: a fresh one
`;

const KEY = 'soak';
const HOST = '127.0.0.1';
const MIB = 1_048_576;
/** What opening or ending may take on a busy machine. Never a measure: where all is well nothing waits for it. */
const PATIENCE_MS = 180_000;

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '300' },
    seconds: { type: 'string', default: '60' },
    'cuts-per-minute': { type: 'string', default: '1' },
    'messages-per-minute': { type: 'string', default: '12' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1e9)) },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const sessions = Number(values.sessions);
const seconds = Number(values.seconds);
const seed = Number(values.seed);
const cutEveryMs = 60_000 / Number(values['cuts-per-minute']);
const sayEveryMs = 60_000 / Number(values['messages-per-minute']);
/** The defaults of the library. */
const options: HostOptions = { framing: 'prefix', heartbeatMs: 15_000, holdMs: 300_000, window: 2_097_152, tls: false, limits: {} };
const talk: Talk = { seed, framing: 'prefix', mostBytes: 20_000, burst: 1, pauseMs: Math.round(2 * sayEveryMs), readerMs: 0 };

if (values.help) process.stdout.write(HELP);
else process.exitCode = await main();

async function main(): Promise<number> {
  process.stdout.write(`soak: ${sessions} sessions for ${seconds} s, a cut every ${cutEveryMs / 1000} s, seed ${seed}\n`);
  const begun = performance.now();
  const stage = new Stage();
  const [near, far] = ['clients', 'servers'].map((name) => stage.start(name, { nodeOptions: ['--expose-gc'] })) as [
    HostProcess,
    HostProcess,
  ];
  const look = async (): Promise<Moment> => {
    const [atNear, atFar] = await Promise.all([near, far].map((host) => host.tell({ act: 'census', key: KEY })));
    return { atMs: performance.now() - begun, near: atNear as HostCensus, far: atFar as HostCensus };
  };
  const before = await look();
  const port = (await far.tell({ act: 'serve', key: KEY, host: HOST, port: 0, options })) as number;
  await using proxy = new ChaosProxy({
    target: { port },
    seed,
    // Exponential: as likely at each moment, whatever was before.
    plan: (_, random) => ({ cutAfterMs: -Math.log(1 - random.next()) * cutEveryMs, how: random.pick(['fin', 'rst'] as const) }),
  });
  await near.tell({ act: 'dial', key: KEY, host: HOST, port: await proxy.listen(), options, talk, sessions });
  await stage.until(() => stage.ledger.opened(KEY, 'far') >= sessions, PATIENCE_MS, 'the sessions at the accepting side');
  process.stdout.write(`all are open after ${((performance.now() - begun) / 1000).toFixed(0)} s\n`);
  const moments = await hold(look, () => proxy.stats);
  const { cuts } = proxy.stats;
  const verdict = await finish(stage, near, far);
  await proxy.close();
  const after = await look();
  await stage.end();
  const rows = judge({ sessions, before, moments, after, verdict });
  return tell(rows, verdict, cuts, performance.now() - begun);
}

/** Samples what the processes hold until the time is over. */
async function hold(look: () => Promise<Moment>, stats: () => ChaosProxyStats): Promise<Moment[]> {
  const moments: Moment[] = [];
  const untilMs = performance.now() + seconds * 1000;
  const everyMs = Math.max(1_000, (seconds * 1000) / 60);
  for (let leftMs = seconds * 1000; leftMs > 0; leftMs = untilMs - performance.now()) {
    await pause(Math.min(everyMs, leftMs));
    const moment = await look();
    moments.push(moment);
    if (moments.length % 5 !== 0) continue;
    const { near, far } = moment;
    const held = (side: HostCensus): string => `${(side.heapBytes / MIB).toFixed(1)} MiB, ${side.descriptors} fds, ${side.timers} timers`;
    const { connections, cuts } = stats();
    process.stdout.write(
      `  ${(moment.atMs / 1000).toFixed(0)} s: ${connections} circuits, ${cuts} cuts; near ${held(near)}; far ${held(far)}\n`,
    );
  }
  return moments;
}

/** Brings all sessions to their end, and lets go of client and server. */
async function finish(stage: Stage, near: HostProcess, far: HostProcess): Promise<Verdict> {
  const { ledger } = stage;
  await Promise.all([near, far].map((host) => host.tell({ act: 'finish', key: KEY })));
  const ended = (): boolean => ledger.ended(KEY, 'near') >= sessions && ledger.ended(KEY, 'far') >= sessions;
  await stage.until(ended, PATIENCE_MS, 'the end of all sessions');
  await Promise.all([near, far].map((host) => host.tell({ act: 'close', key: KEY })));
  return ledger.verdict(KEY, { sessions, near: 'clean', far: 'clean' });
}

function tell(checks: readonly Check[], { messages, circuits, problems }: Verdict, cuts: number, tookMs: number): number {
  for (const problem of problems.slice(0, 20)) process.stdout.write(`BROKEN ${problem}\n`);
  for (const { passed, what, found, bar } of checks)
    process.stdout.write(`${passed ? 'ok    ' : 'FAILED'} ${what}: ${found}${bar === '' ? '' : ` (${bar})`}\n`);
  process.stdout.write(`${messages} messages, ${circuits} circuits, ${cuts} cuts, ${(tookMs / 1000).toFixed(0)} s\n`);
  const failed = checks.filter(({ passed }) => !passed).length;
  process.stdout.write(`${checks.length - failed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}
