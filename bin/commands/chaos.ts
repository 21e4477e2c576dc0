// outlast chaos: a TCP proxy that misbehaves on purpose and repeatably, to see what a program does about it. ChaosProxy as a command.

import { setTimeout as delay } from 'node:timers/promises';
import { type ChaosCircuit, ChaosProxy, type ChaosProxyStats, type Plan, type Random } from '../../lib/testing.ts';
import type { Command, Given } from '../command.ts';
import { place, showPlace, showSize, UsageError } from '../values.ts';

export const chaos: Command = {
  name: 'chaos',
  summary: 'a proxy that cuts, delays and half-opens connections, repeatably',
  usage: ['chaos LISTENPORT HOST:PORT --cut 2s'],
  about: `Passes connections from a local port on to HOST:PORT and spoils them as told. What happens to which connection depends on
--seed and the order of the connections alone, so that a run can be repeated. Ends with SIGINT, SIGTERM or --for, and tells
what it has done. On this machine only.`,
  examples: [
    ['outlast chaos 7001 127.0.0.1:7000 --cut 500ms-3s', 'then: outlast forward 2222 127.0.0.1:7001, and see that nobody notices'],
    [
      'outlast chaos 7001 127.0.0.1:7000 --cut 2s --half-open 10% --seed 7',
      'one in ten goes silent instead of being cut, as behind a NAT that forgets',
    ],
    ['outlast chaos 5433 127.0.0.1:5432 --delay 80ms', 'a database at the other end of the world'],
  ],
  flags: {
    cut: { value: 'TIME', text: 'cut each connection after this long, or after a random time of a range such as 500ms-3s' },
    how: { value: 'HOW', text: 'rst, fin, or mixed', fallback: 'mixed' },
    'half-open': {
      value: 'SHARE',
      text: 'of the connections go silent instead of being cut: bytes are swallowed, nobody is told',
      fallback: '0%',
    },
    refuse: { value: 'SHARE', text: 'of the connections are reset at once', fallback: '0%' },
    'black-hole': { value: 'SHARE', text: 'of the connections are taken and never answered', fallback: '0%' },
    delay: { value: 'TIME', text: 'everything arrives this much later' },
    rate: { value: 'SIZE', text: 'at most so many bytes a second, each direction of each connection' },
    seed: { value: 'N', text: 'what happens when, repeatably', fallback: '1' },
    for: { value: 'TIME', text: 'end after this long' },
    json: { text: 'tell where it listens, each fault and the summary as JSON lines on standard output' },
  },
  words: [2, 2],
  run: async (given) => {
    const listen = place('LISTENPORT', given.word(0), 0);
    if ('path' in listen || listen.host !== '127.0.0.1')
      throw new UsageError('LISTENPORT is a port of this machine: a spoiled proxy is not for others');
    return await misbehave(given, listen.port);
  },
};

const TRICKLE_EVERY_MS = 10;
const PROGRESS_MS = 1_000;

async function misbehave(given: Given, port: number): Promise<number> {
  const target = place('HOST:PORT', given.word(1));
  const tell = teller(given.has('json'));
  const plan = planner(given);
  const silencing = new Set<NodeJS.Timeout>();
  const proxy: ChaosProxy = new ChaosProxy({
    target,
    seed: given.whole('seed', 0, 0xffff_ffff) as number,
    plan: (index, random) => {
      const { silentAfterMs, ...rest } = plan(random);
      if (silentAfterMs === undefined) return rest;
      const timer = setTimeout(() => {
        silencing.delete(timer);
        circuitOf(proxy, index)?.halfOpen();
        tell('half-open', `connection ${index} is silent now`, { index });
      }, silentAfterMs);
      silencing.add(timer);
      return rest;
    },
  });
  const bound = await proxy.listen(port);
  tell('listening', `listening on 127.0.0.1:${bound}, connections go to ${showPlace(target)}`, { on: `127.0.0.1:${bound}` });
  await untilTold(given.duration('for'), () => showProgress(proxy.stats));
  for (const timer of silencing) clearTimeout(timer);
  const { stats } = proxy;
  await proxy.close();
  tell('summary', summary(stats), { ...stats });
  return 0;
}

/** Draws the faults of each connection; the order of the draws is what makes a seed repeatable. */
function planner(given: Given): (random: Random) => Plan & { readonly silentAfterMs?: number } {
  const cut = given.durations('cut');
  const how = given.text('how') as string;
  if (!['rst', 'fin', 'mixed'].includes(how)) throw new UsageError(`--how takes rst, fin or mixed, not '${how}'`);
  const [halfOpen, refuse, blackHole] = [given.share('half-open'), given.share('refuse'), given.share('black-hole')];
  const delayMs = given.duration('delay');
  const rate = given.size('rate');
  const slow = {
    ...(delayMs === undefined ? {} : { delayMs }),
    ...(rate === undefined
      ? {}
      : { trickle: { bytes: Math.max(1, Math.round((rate * TRICKLE_EVERY_MS) / 1000)), everyMs: TRICKLE_EVERY_MS } }),
  };
  return (random) => {
    const [refused, lost, silent, fin] = [random.chance(refuse), random.chance(blackHole), random.chance(halfOpen), random.chance(0.5)];
    const afterMs = cut === undefined ? undefined : random.integer(cut.leastMs, cut.mostMs);
    if (refused) return { connect: 'refuse' };
    if (lost) return { connect: 'blackHole' };
    if (silent) return { ...slow, silentAfterMs: afterMs ?? 0 };
    if (afterMs === undefined) return slow;
    return { ...slow, cutAfterMs: afterMs, how: how === 'mixed' ? (fin ? 'fin' : 'rst') : (how as 'fin' | 'rst') };
  };
}

function circuitOf(proxy: ChaosProxy, index: number): ChaosCircuit | undefined {
  return proxy.circuits.find((circuit) => circuit.index === index);
}

function teller(json: boolean): (event: string, text: string, detail: object) => void {
  if (json) return (event, _, detail) => process.stdout.write(`${JSON.stringify({ event, ...detail })}\n`);
  return (_, text) => process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[K' : ''}outlast chaos: ${text}\n`);
}

async function untilTold(ms: number | undefined, progress: () => void): Promise<void> {
  const stop = new AbortController();
  const end = (): void => stop.abort();
  for (const name of ['SIGINT', 'SIGTERM']) process.once(name, end);
  const ticking = process.stderr.isTTY ? setInterval(progress, PROGRESS_MS) : undefined;
  // Without a time it runs until it is told; the proxy's own socket keeps the process up.
  await (ms === undefined
    ? new Promise((resolve) => stop.signal.addEventListener('abort', resolve))
    : delay(ms, undefined, stop).catch(() => {}));
  clearInterval(ticking);
  for (const name of ['SIGINT', 'SIGTERM']) process.removeListener(name, end);
}

function showProgress(stats: ChaosProxyStats): void {
  process.stderr.write(`\r\x1b[K${summary(stats)}`);
}

function summary({ connections, open, cuts, bytesUp, bytesDown }: ChaosProxyStats): string {
  return `${connections} connections, ${open} open, ${cuts} cut, ${showSize(bytesUp)} up, ${showSize(bytesDown)} down`;
}
