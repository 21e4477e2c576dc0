// npm run bench [-- --rounds N] [--only WAY] [--profile FOLDER]
// A rough comparison over loopback, one way, sender and receiver in processes of their own: what a session costs beside a bare net.Socket
// that does the same framing with one coalesced write per tick. Ways take turns within a round; medians are printed.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Answer, Order, Way } from './rough.ts';

const ways: readonly Way[] = ['bare socket', 'bare socket, views', 'receiveRanges()', 'receive()', 'batches()', 'for await'];

interface Load {
  readonly name: string;
  readonly size: number;
  readonly count: number;
  readonly show: (perSecond: number) => string;
}

const thousands = (perSecond: number): string => `${Math.round(perSecond / 1000)} k/s`;
const loads: readonly Load[] = [
  { name: '32 B', size: 32, count: 4_000_000, show: thousands },
  { name: '1 KiB', size: 1024, count: 600_000, show: thousands },
  { name: '64 KiB', size: 65_536, count: 12_000, show: (perSecond) => `${Math.round((perSecond * 65_536) / 1e6)} MB/s` },
];

/** No measurement takes a tenth of it. */
const LONGEST_MS = 30_000;

/** A sender and a receiver that stay up over all rounds, so that their code is warm. */
class Pair {
  readonly way: Way;
  readonly #sender: ChildProcess;
  readonly #receiver: ChildProcess;
  readonly #figures = new Map<Load, number[]>();

  constructor(way: Way, profile: string | undefined) {
    this.way = way;
    const path = fileURLToPath(new URL('rough.ts', import.meta.url));
    const start = (role: string): ChildProcess => {
      const profiling = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', join(profile, role)];
      return fork(path, { execArgv: ['--import', 'tsx', ...profiling] });
    };
    this.#sender = start('sender');
    this.#receiver = start('receiver');
  }

  async measure(load: Load, round: number): Promise<void> {
    const { way } = this;
    const { count, size } = load;
    const { port } = await ask<{ port: number }>(this.#receiver, { role: 'receive', way, count });
    const { ms } = await ask<{ ms: number }>(this.#sender, { role: 'send', way, count, size, port });
    if (round >= 0) this.figures(load)[round] = count / (ms / 1000);
  }

  /** Messages a second, a figure for each round. */
  figures(load: Load): number[] {
    const figures = this.#figures.get(load) ?? [];
    this.#figures.set(load, figures);
    return figures;
  }

  async end(): Promise<void> {
    const children = [this.#sender, this.#receiver];
    const gone = children.map((child) => once(child, 'exit'));
    for (const child of children) child.disconnect();
    await Promise.all(gone);
  }
}

async function ask<A extends Answer>(child: ChildProcess, order: Order): Promise<A> {
  child.send(order);
  const stop = AbortSignal.timeout(LONGEST_MS);
  try {
    const [answer] = (await once(child, 'message', { signal: stop })) as [A];
    return answer;
  } catch (cause) {
    throw new Error(`no answer to ${JSON.stringify(order)} (exit code ${child.exitCode})`, { cause });
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;
}

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, only: { type: 'string' }, size: { type: 'string' }, profile: { type: 'string' } },
});
const rounds = Number(options.rounds);
const pairs = ways.filter((way) => (options.only ?? way) === way).map((way) => new Pair(way, options.profile));
const chosenLoads = loads.filter(({ size }) => Number(options.size ?? size) === size);
// Round 0 warms up.
for (let round = 0; round <= rounds; round++) {
  for (const load of chosenLoads) {
    for (const pair of pairs) await pair.measure(load, round - 1);
  }
}
await Promise.all(pairs.map((pair) => pair.end()));

const row = (first: string, cells: readonly string[]): string => `${first.padEnd(20)}${cells.map((cell) => cell.padStart(20)).join('')}`;
const names = chosenLoads.map(({ name }) => name);
console.log(
  `Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}, median of ${rounds} rounds (and of the ratios to the first row)`,
);
console.log(row('', names));
for (const pair of pairs) {
  const cells = chosenLoads.map((load) => {
    const figures = pair.figures(load);
    const ratios = figures.map((figure, round) => figure / (pairs[0]?.figures(load)[round] ?? Number.NaN));
    return `${load.show(median(figures))} (${median(ratios).toFixed(2)})`;
  });
  console.log(row(pair.way, cells));
}
