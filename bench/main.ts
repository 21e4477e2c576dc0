// npm run bench [-- --rounds N] [--only WAY] [--profile FOLDER]
// A rough comparison over loopback, one way, sender and receiver in processes of their own: what a session costs beside a bare net.Socket
// that does the same framing with one coalesced write per tick. Ways take turns within a round; medians are printed.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
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
  { name: '32 B', size: 32, count: 400_000, show: thousands },
  { name: '1 KiB', size: 1024, count: 150_000, show: thousands },
  { name: '64 KiB', size: 65_536, count: 4_000, show: (perSecond) => `${Math.round((perSecond * 65_536) / 1e6)} MB/s` },
];

/** A sender and a receiver that stay up over all rounds, so that their code is warm. */
class Pair {
  readonly way: Way;
  readonly #sender: ChildProcess;
  readonly #receiver: ChildProcess;

  constructor(way: Way, profile: string | undefined) {
    this.way = way;
    const path = fileURLToPath(new URL('rough.ts', import.meta.url));
    const start = (role: string): ChildProcess => {
      const profiling = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile, '--cpu-prof-name', `${role}.cpuprofile`];
      return fork(path, { execArgv: ['--import', 'tsx', ...profiling] });
    };
    this.#sender = start('sender');
    this.#receiver = start('receiver');
  }

  /** @returns messages a second */
  async measure({ count, size }: Load): Promise<number> {
    const { way } = this;
    const { port } = await ask<{ port: number }>(this.#receiver, { role: 'receive', way, count });
    const { ms } = await ask<{ ms: number }>(this.#sender, { role: 'send', way, count, size, port });
    return count / (ms / 1000);
  }

  async end(): Promise<void> {
    const children = [this.#sender, this.#receiver];
    const gone = children.map((child) => once(child, 'exit'));
    for (const child of children) child.send('end');
    await Promise.all(gone);
  }
}

async function ask<A extends Answer>(child: ChildProcess, order: Order): Promise<A> {
  child.send(order);
  const stopped = once(child, 'exit').then(([code]) => Promise.reject(new Error(`a child ended with ${code}`)));
  const [answer] = (await Promise.race([once(child, 'message'), stopped])) as [A];
  stopped.catch(() => {});
  return answer;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;
}

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, only: { type: 'string' }, size: { type: 'string' }, profile: { type: 'string' } },
});
const chosenWays = ways.filter((way) => options.only === undefined || way === options.only);
const chosenLoads = loads.filter((load) => options.size === undefined || load.size === Number(options.size));
const pairs = chosenWays.map((way) => new Pair(way, options.profile));
const found = new Map<string, number[]>();
for (let round = 0; round <= Number(options.rounds); round++) {
  for (const load of chosenLoads) {
    for (const pair of pairs) {
      const perSecond = await pair.measure(load);
      const key = `${pair.way} ${load.name}`;
      // Round 0 warms up.
      if (round > 0) found.set(key, [...(found.get(key) ?? []), perSecond]);
    }
  }
}
await Promise.all(pairs.map((pair) => pair.end()));

console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}, median of ${options.rounds} rounds`);
const row = (first: string, cells: readonly string[]): string => `${first.padEnd(20)}${cells.map((cell) => cell.padStart(20)).join('')}`;
console.log(
  row(
    '',
    chosenLoads.map((load) => load.name),
  ),
);
for (const { way } of pairs) {
  const cells = chosenLoads.map((load) => {
    const figure = median(found.get(`${way} ${load.name}`) ?? []);
    const bare = median(found.get(`${chosenWays[0]} ${load.name}`) ?? []);
    return `${load.show(figure)} (${(figure / bare).toFixed(2)})`;
  });
  console.log(row(way, cells));
}
