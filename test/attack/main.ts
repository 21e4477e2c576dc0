// `npm run attack [NAME …]`: attacks live servers, each in a process of its own, with an honest session beside, and judges what the attack did
// to it. A control, the same server and session left alone, runs at the same time: where the machine is so busy that even the control is
// slow, a multiple of its figures is the bar. The table has the attacked server's figures, and the control's in brackets.

import { once } from 'node:events';
import { parseArgs } from 'node:util';
import type { Attack } from './attack.ts';
import type { Done, Order } from './attacker.ts';
import { attacks } from './attacks.ts';
import { type Figures, heard, Post, pause, spawnChild } from './post.ts';
import { type Held, PROCESS_BYTES } from './server.ts';

const HELP = `npm run attack -- [NAME …] [options]

  NAME          ${attacks.map(({ name }) => name).join(', ')}; default: all
  --seconds N   for each attack; default 10
  --lanes N     attacks at a time, each on a server of its own; default 2
`;

/** Milliseconds; or so many times the control's figure, where that is more. */
const BARS = { loopP99Ms: 20, loopMaxMs: 100, echoP99Ms: 100 } as const;
const OVER_CONTROL = 4;
const MIB = 1024 * 1024;
/** Node with the library's code, the garbage that it lets lie while it is busy, and 1,024 handshakes that are not finished. */
const RUNTIME_BYTES: number = 192 * MIB;
/** Socket, objects and the block that is being filled, of each session at the peak. */
const SESSION_BYTES: number = 128 * 1024;
const RELEASE_MS = 6_000;
/** Tombstones stay for an hour, on purpose, and code that ran is compiled. */
const RELEASED_BYTES: number = 32 * MIB;
/** Of the honest session, the control channel, and what a process opens as it goes. */
const SPARE_FILES = 4;
const REOPEN_MS = 1_000;
const COLUMNS: readonly string[] = ['loop p99', 'loop max', 'echo p99', 'echo max', 'lost', 'rss MiB', 'rejected', 'left'];
const NAME_WIDTH = 22;
const CELL_WIDTH = 12;

interface Result {
  readonly name: string;
  readonly figures: Figures;
  readonly control: Figures;
  readonly counts: Readonly<Record<string, number>>;
  readonly before: Held;
  readonly after: Held;
  readonly openMs: number;
  readonly broken: string | null;
}

interface Fault {
  readonly what: string;
  /** It was too slow, which a busy machine is as well. */
  readonly time: boolean;
}

interface Failure {
  readonly attack: Attack;
  readonly forgivable: boolean;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '10' },
    lanes: { type: 'string', default: '2' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const seconds = Number(values.seconds);
const chosen = positionals.length === 0 ? attacks : attacks.filter(({ name }) => positionals.includes(name));
const strangers = positionals.filter((name) => !attacks.some((attack) => attack.name === name));

if (values.help || strangers.length > 0) {
  console.log(strangers.length > 0 ? `there is no attack ${strangers.join(', ')}\n\n${HELP}` : HELP);
  process.exitCode = strangers.length > 0 ? 2 : 0;
} else {
  process.exitCode = await siege(Number(values.lanes));
}

async function siege(lanes: number): Promise<number> {
  console.log(`${chosen.length} attacks of ${seconds} s, ${lanes} at a time; times in ms, in brackets the control that nobody attacks`);
  console.log(`     ${'attack'.padEnd(NAME_WIDTH)}${COLUMNS.map((word) => word.padStart(CELL_WIDTH)).join('')}`);
  const slow = await round(chosen, lanes);
  // What missed a bar of time has a second chance, alone on the machine. Nothing else has.
  const failed =
    slow.every(({ forgivable }) => forgivable) && slow.length > 0
      ? await round(
          slow.map(({ attack }) => attack),
          1,
        )
      : slow;
  const bars = Object.entries(BARS).map(([name, bar]) => `${name} ${bar}`);
  const rss = `rss ${mib(PROCESS_BYTES)} MiB of buffers + ${mib(RUNTIME_BYTES)} + 1/8 a session, + 10 %`;
  console.log(`bars: ${bars.join(', ')}, or ${OVER_CONTROL} × control; ${rss}; all released ${RELEASE_MS / 1000} s later`);
  console.log(`${chosen.length - failed.length} passed, ${failed.length} failed`);
  return failed.length === 0 ? 0 : 1;
}

/** Runs the attacks and prints their rows. @returns those that failed */
async function round(list: readonly Attack[], lanes: number): Promise<readonly Failure[]> {
  const waiting = [...list];
  const released: Promise<void>[] = [];
  const failures: Failure[] = [];
  const tell = (attack: Attack, result: Result): void => {
    const faults = judge(result);
    if (faults.length > 0) failures.push({ attack, forgivable: faults.every(({ time }) => time) });
    console.log(row(result, faults));
  };
  const lane = async (): Promise<void> => {
    const control = await Post.start({});
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const attack = next;
      // The lane goes on as soon as the attack is over; its server waits for the release beside the next attack.
      const { result } = await besiege(attack, control);
      released.push(result.then((told) => tell(attack, told)));
    }
    control.stop();
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  await Promise.all(released);
  return failures;
}

/** One attack on a server of its own. Resolves when it is over; its result follows when the server has had time to forget it. */
async function besiege(attack: Attack, control: Post): Promise<{ readonly result: Promise<Result> }> {
  const post = await Post.start(attack.server ?? {});
  const before = await post.held();
  await Promise.all([post.begin(), control.begin()]);
  const { counts, broken } = await strike({ name: attack.name, ports: post.ports, honestId: post.honestId, seconds });
  const [figures, controlled] = await Promise.all([post.report(), control.report()]);
  const release = async (): Promise<Result> => {
    await pause(RELEASE_MS);
    const after = await post.held();
    const openMs = await post.reopen();
    post.stop();
    return { name: attack.name, figures, control: controlled, counts, before, after, openMs, broken };
  };
  return { result: release() };
}

async function strike(order: Order): Promise<Done> {
  const attacker = spawnChild('attacker.ts', order);
  const gone = once(attacker, 'exit');
  const done = (await heard(attacker)) as Done;
  await gone;
  return done;
}

function judge({ figures, control, before, after, openMs, broken }: Result): Fault[] {
  const slow = (Object.keys(BARS) as (keyof typeof BARS)[]).flatMap((name) => {
    const most = Math.max(BARS[name], OVER_CONTROL * control[name]);
    return figures[name] <= most ? [] : [`${name} ${figures[name].toFixed(0)} > ${most.toFixed(0)}`];
  });
  if (openMs > REOPEN_MS) slow.push(`a new session took ${openMs.toFixed(0)} ms`);
  const faults: string[] = [];
  if (broken !== null) faults.push(broken);
  const rssBytes = 1.1 * (PROCESS_BYTES + RUNTIME_BYTES + SESSION_BYTES * figures.sessions);
  if (figures.rssBytes > rssBytes) faults.push(`rss ${mib(figures.rssBytes)} > ${mib(rssBytes)} MiB`);
  if (figures.lost > 0) faults.push(`${figures.lost} honest circuits lost`);
  if (figures.echoes === 0) faults.push('no honest echo at all');
  if (after.sessions !== 1) faults.push(`${after.sessions - 1} sessions left`);
  if (after.files > before.files + SPARE_FILES) faults.push(`${after.files - before.files} files left`);
  if (after.bytes > before.bytes + RELEASED_BYTES) faults.push(`${mib(after.bytes - before.bytes)} MiB left`);
  return [...slow.map((what) => ({ what, time: true })), ...faults.map((what) => ({ what, time: false }))];
}

function row({ name, figures, control, counts, before, after }: Result, faults: readonly Fault[]): string {
  const both = (key: 'loopP99Ms' | 'loopMaxMs' | 'echoP99Ms' | 'echoMaxMs'): string =>
    `${figures[key].toFixed(0)} (${control[key].toFixed(0)})`;
  const left = `${after.sessions - 1}/${Math.max(0, after.files - before.files)}`;
  const cells = [
    both('loopP99Ms'),
    both('loopMaxMs'),
    both('echoP99Ms'),
    both('echoMaxMs'),
    String(figures.lost),
    mib(figures.rssBytes),
    String(figures.rejected),
    left,
  ];
  const done = Object.entries(counts).map(([what, count]) => `${count.toLocaleString('en')} ${what}`);
  const mark = faults.length === 0 ? 'ok  ' : 'FAIL';
  return `${mark} ${name.padEnd(NAME_WIDTH)}${cells.map((cell) => cell.padStart(CELL_WIDTH)).join('')}  ${[...faults.map(({ what }) => what), ...done].join(', ')}`;
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(0);
}
