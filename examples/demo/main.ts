// npm run demo [-- FILE] [--cuts N] [--seed N] [--spoil lose|double|change]
// Two sessions over real loopback sockets, a file as lines from client to server and as 64 KiB blocks from server to client, while a
// proxy between them cuts circuits in the middle of the traffic. Ends with the SHA-256 of both ends; exit code 1 if anything differs.
// With --durable [--rounds N] processes are killed as well: see durable/stage.ts.

import { relative } from 'node:path';
import { parseArgs } from 'node:util';
import { lengthPrefix } from 'outlast/framing/length-prefix';
import { lines } from 'outlast/framing/lines';
import { runDurable } from './durable/run.ts';
import { Lane } from './lane.ts';
import { blocksOf, findMaterial, linesOf } from './material.ts';
import { Screen, verdict } from './screen.ts';
import { spoilerOf } from './spoil.ts';
import { lineOf } from './view.ts';

const MIB = 1024 * 1024;
const POLL_MS = 50;
/** Without a terminal nobody is there to stop it. */
const LONGEST_MS = 50_000;
const KILLED_MS = 1_000;

interface Run {
  readonly lanes: readonly Lane[];
  readonly cutsWanted: number;
  /** So many bytes are the whole file, through each lane. */
  readonly fileBytes: number;
  readonly startedMs: number;
  /** A person took over, and ends it with q. */
  manual: boolean;
  over: boolean;
}

const options = {
  cuts: { type: 'string', default: '50' },
  seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  spoil: { type: 'string', default: 'nothing' },
  durable: { type: 'boolean', default: false },
  rounds: { type: 'string', default: '4' },
} as const;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const spoil = spoilerOf(values.spoil);
  const seed = whole('seed', values.seed);
  if (values.durable) {
    process.exitCode = (await runDurable({ seed, rounds: whole('rounds', values.rounds), spoil: values.spoil })) ? 0 : 1;
    return;
  }
  const cutsWanted = whole('cuts', values.cuts);
  const material = await findMaterial(positionals[0]);
  const fileBytes = material.bytes.length;
  const shared = { bytesPerSecond: Math.max(4 * MIB, Math.ceil(fileBytes / 15)), seed };
  const up = { ...shared, name: 'lines', framing: lines({ encoding: 'buffer' }), direction: 'up', spoil } as const;
  const down = { ...shared, name: 'blocks', framing: lengthPrefix(), direction: 'down', seed: seed + 1 } as const;
  const lanes = await Promise.all([
    Lane.open({ ...up, messages: linesOf(material.bytes) }),
    Lane.open({ ...down, messages: blocksOf(material.bytes), spoil: (message) => [message] }),
  ]);
  console.log(`${relative(process.cwd(), material.name)} (${(fileBytes / MIB).toFixed(1)} MiB, seed ${seed})`);
  console.log('lines go from the client to the server, blocks of 64 KiB from the server to the client, over a network that is cut');
  const run: Run = { lanes, cutsWanted, fileBytes, startedMs: performance.now(), manual: false, over: false };
  const screen = new Screen((wide) => lineOf(lanes, performance.now() - run.startedMs, wide));
  if (Screen.keys((key) => press(run, key))) console.log('keys: c cut · h half-open · k kill and restart the proxies · q quit');
  const watching = watch(run);
  try {
    await Promise.all([...lanes.map((lane) => lane.run()), watching]);
  } finally {
    run.over = true;
    screen.close();
  }
  process.exitCode = report(run) ? 0 : 1;
  await Promise.all(lanes.map((lane) => lane.close()));
}

/** Waits until enough was cut and the whole file went through, makes two faults of other kinds on the way, and stops the senders. */
async function watch(run: Run): Promise<void> {
  const faults = [
    { atCuts: 15, make: () => run.lanes[1]?.proxy.halfOpen() },
    { atCuts: 35, make: () => kill(run) },
  ];
  while (!run.over && !enough(run)) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    const [fault] = faults;
    if (fault === undefined || run.manual || cutsOf(run) < fault.atCuts) continue;
    faults.shift();
    fault.make();
  }
  await Promise.all(run.lanes.map((lane) => lane.stop()));
}

function enough({ lanes, cutsWanted, fileBytes, startedMs, manual }: Run): boolean {
  if (manual) return false;
  if (performance.now() - startedMs > LONGEST_MS) return true;
  const through = lanes.every(({ proxy, options: { direction } }) => proxy.stats[direction === 'up' ? 'bytesUp' : 'bytesDown'] > fileBytes);
  return through && cutsOf({ lanes }) >= cutsWanted;
}

function press(run: Run, key: string): void {
  run.manual = 'chk'.includes(key) || run.manual;
  if (key === 'q') {
    run.over = true;
  } else if (key === 'c') {
    for (const { proxy } of run.lanes) proxy.cutAll();
  } else if (key === 'h') {
    for (const { proxy } of run.lanes) proxy.halfOpen();
  } else if (key === 'k') {
    kill(run);
  }
}

function kill({ lanes }: Pick<Run, 'lanes'>): void {
  for (const { proxy } of lanes) {
    proxy.kill();
    setTimeout(() => void proxy.restart(), KILLED_MS);
  }
}

function cutsOf({ lanes }: Pick<Run, 'lanes'>): number {
  return lanes.reduce((total, { proxy }) => total + proxy.stats.cuts, 0);
}

/** Prints what both ends saw. @returns whether it is the same */
function report(run: Run): boolean {
  const { lanes, cutsWanted, manual } = run;
  let good = true;
  for (const { options, sent, received, replayedBytes } of lanes) {
    const lost = received.lost + Math.max(0, sent.count - received.count - received.lost + received.duplicates);
    const same = sent.digest() === received.digest();
    good &&= same && lost === 0 && received.duplicates === 0 && sent.count === received.count;
    console.log(`${options.name}: ${sent.count} sent, ${received.count} received, ${received.duplicates} duplicates, ${lost} lost`);
    console.log(`  ${(replayedBytes / MIB).toFixed(1)} MiB were written again after cuts`);
    console.log(`  SHA-256 sent     ${sent.digest()}`);
    console.log(`  SHA-256 received ${received.digest()}  ${verdict(same ? 'equal' : 'DIFFERENT', same)}`);
  }
  const cuts = cutsOf(run);
  const resumes = lanes.reduce((total, lane) => total + lane.resumes, 0);
  const survived = `${cuts} cuts, ${resumes} resumes`;
  if (good && !manual && cuts < cutsWanted) {
    console.log(verdict(`too few cuts to show anything: ${survived}, ${cutsWanted} were wanted`, false));
    return false;
  }
  console.log(
    verdict(good ? `passed: every message arrived once and in order (${survived})` : `FAILED: messages differ (${survived})`, good),
  );
  return good;
}

function whole(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`--${name} takes a whole number, not '${text}'`);
  return Number(text);
}

try {
  await main();
} catch (error) {
  console.log(`FAILED: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
