// One measurement of one peer at one point: gives the orders to its two processes and makes one sample of their figures.

import type { Child, Pair } from './pair.ts';
import { BASELINE, type Endpoint, type Workload } from './peer.ts';
import { Relay } from './relay.ts';
import type { Figures, Options, Order } from './worker.ts';

export interface Point {
  readonly name: string;
  readonly workload: Workload;
  readonly unit: string;
  /** Whether less is better. */
  readonly less?: boolean;
  readonly rounds: number;
  /** Behind each of them, so many of those alone that bars are set for, each time with processes of its own. */
  readonly shortRounds?: number;
  /** Runs so many times before it counts. */
  readonly warm?: number;
  /** What a bare connection cannot be asked for. */
  readonly sessionsOnly?: boolean;
  /** Wants new processes. */
  readonly afresh?: boolean;
  /** So many peers at a time: what is measured is their own, and most of the time they wait. */
  readonly atOnce?: number;
  /** @param warming its figures do not count */
  measure(pair: Pair, warming: boolean): Promise<Sample>;
}

export interface Sample {
  /** What is compared. */
  readonly value: number;
  /** CPU seconds per million messages (streams and echoes) or per thousand sessions, both processes. */
  readonly cpu?: { readonly server: number; readonly client: number };
  /** Anything else worth telling, such as percentiles. */
  readonly more?: Figures;
}

/** The payload that arrived is not the one that was sent: no figure counts then. */
export class Mismatch extends Error {}

async function serve(pair: Pair, workload: string, options: Options): Promise<Endpoint> {
  const { endpoint } = (await pair.server.ask({ do: 'serve', workload, options })) as unknown as { endpoint: Endpoint };
  return endpoint;
}

const run = (pair: Pair, workload: string, endpoint: Endpoint, options: Options): Promise<Figures> =>
  pair.client.ask({ do: 'run', workload, endpoint, options });
const ask = (child: Child, question: string): Promise<Figures> => child.ask({ do: 'ask', question });
async function finish(pair: Pair): Promise<Figures> {
  const order: Order = { do: 'finish' };
  await pair.client.ask(order);
  return pair.server.ask(order);
}
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const figure = (figures: Figures, name: string): number => figures[name] ?? Number.NaN;

/** Some processes are slower than others that do the same, for as long as they live: by a tenth where memory is copied. */
const SHORT_ROUNDS = 2;
/** Of the round that does not count. It is what V8 takes, beside two busy processes on two cores, to compile all that messages pass. */
const FIRST_MS = 1500;
/** Of each sample, before it counts: a new session, in processes that have rested. */
const WARM_MS = 300;
/** In an echo less passes in that time, and what V8 compiles meanwhile would count as latency. */
const WARM_ECHO_MS = 600;
const WARM_OPENS_MS = 1500;
/** Unconfirmed messages that cost next to nothing, whatever follows from their number. */
const FEW = 10;

/** W1, W3. */
export function streamPoint(workload: Workload, bytes: number, ms: number, rounds: number, warmings = 1): Point {
  const large = bytes >= 65_536;
  const name = `${workload} ${bytes < 1024 ? `${bytes} B` : `${bytes / 1024} KiB`}`;
  return {
    name,
    workload,
    unit: large ? 'MB/s' : 'messages/s',
    rounds,
    shortRounds: SHORT_ROUNDS,
    warm: warmings,
    async measure(pair, warming) {
      const endpoint = await serve(pair, 'stream', { bytes });
      const sent = await run(pair, 'stream', endpoint, { bytes, ms: warming ? FIRST_MS : ms, warmMs: WARM_MS });
      const seen = await ask(pair.server, String(figure(sent, 'sent')));
      const served = await finish(pair);
      const count = figure(sent, 'sent');
      if (figure(seen, 'seen') !== count || figure(seen, 'sum') !== figure(sent, 'sum'))
        throw new Mismatch(`${figure(seen, 'seen')} of ${count} messages arrived, sum ${figure(seen, 'sum')} of ${figure(sent, 'sum')}`);
      const perSecond = (count - figure(sent, 'before')) / ((figure(seen, 'lastMs') - figure(sent, 'startMs')) / 1000);
      return {
        value: large ? (perSecond * bytes) / 1e6 : perSecond,
        cpu: { server: (figure(served, 'cpuMs') * 1000) / count, client: (figure(sent, 'cpuMs') * 1000) / count },
      };
    },
  };
}

/** W2. */
export function echoPoint(inFlight: number, ms: number, rounds: number): Point {
  return {
    name: `W2 ${inFlight} in flight`,
    workload: 'W2',
    unit: 'round trips/s',
    rounds,
    shortRounds: SHORT_ROUNDS,
    warm: 1,
    async measure(pair) {
      const options = { bytes: 128, ms, inFlight, warmMs: WARM_ECHO_MS };
      const endpoint = await serve(pair, 'echo', options);
      const figures = await run(pair, 'echo', endpoint, options);
      const served = await finish(pair);
      if (figure(figures, 'wrong') > 0) throw new Mismatch(`${figure(figures, 'wrong')} answers out of order`);
      const sent = figure(figures, 'sent');
      return {
        value: figure(figures, 'count') / (figure(figures, 'ms') / 1000),
        cpu: { server: (figure(served, 'cpuMs') * 1000) / sent, client: (figure(figures, 'cpuMs') * 1000) / sent },
        more: { 'p50 µs': figure(figures, 'p50'), 'p99 µs': figure(figures, 'p99'), 'p99.9 µs': figure(figures, 'p999') },
      };
    },
  };
}

/**
 * W8: milliseconds from the moment when a connection can be had to the confirmation of so many bytes, and what they took of memory. The
 * rate is that of the transfer, without the connection and its handshake. The baseline sends as much through a new connection.
 */
export function resumePoint(mib: number, rounds: number): Point {
  const bytes = 65_536;
  const count = (mib * 1_048_576) / bytes;
  return {
    name: `W8 resume ${mib} MiB`,
    workload: 'W8',
    unit: 'ms',
    less: true,
    rounds,
    warm: 1,
    async measure(pair) {
      const side = pair.info.name === BASELINE ? 'fresh' : 'resume';
      const endpoint = await serve(pair, side, { count });
      const sent = await run(pair, side, endpoint, { bytes, count });
      const seen = await ask(pair.server, String(figure(sent, 'sent')));
      await finish(pair);
      if (figure(seen, 'seen') !== figure(sent, 'sent') || figure(seen, 'sum') !== figure(sent, 'sum'))
        throw new Mismatch(`${figure(seen, 'seen')} of ${figure(sent, 'sent')} messages arrived, or not the same`);
      const ms = figure(sent, 'ms');
      const connectMs = figure(sent, 'connectMs');
      const rate = (count * bytes) / 1e3 / (ms - connectMs);
      return { value: ms, more: { 'connect ms': connectMs, 'transfer MB/s': rate, 'held MiB': figure(sent, 'heldBytes') / 1_048_576 } };
    },
  };
}

/** W8: messages per second that are sent, consumed and acked while so many others wait to be, and what that costs beside `FEW`. */
export function acksPoint(unacked: number, ms: number, rounds: number): Point {
  const once = async (pair: Pair, unacked: number): Promise<{ readonly value: number; readonly cpuUs: number; readonly kib: number }> => {
    const endpoint = await serve(pair, 'acks', {});
    const figures = await run(pair, 'acks', endpoint, { bytes: 128, unacked, ms });
    const served = await finish(pair);
    if (figure(served, 'wrong') > 0) throw new Mismatch(`${figure(served, 'wrong')} messages out of order`);
    const count = figure(figures, 'count');
    const cpuUs = (figure(figures, 'senderMs') * 1000) / count;
    return { value: count / (figure(figures, 'ms') / 1000), cpuUs, kib: figure(figures, 'unackedBytes') / 1024 };
  };
  return {
    name: `W8 ${unacked} unacked`,
    workload: 'W8',
    unit: 'messages/s',
    rounds,
    warm: 1,
    sessionsOnly: true,
    async measure(pair) {
      const few = await once(pair, FEW);
      const { value, cpuUs, kib } = await once(pair, unacked);
      return { value, more: { 'sender CPU µs': cpuUs, [`beside ${FEW}`]: cpuUs / few.cpuUs, 'unacked KiB': kib } };
    },
  };
}

/** W9: answers per second of so many clients, and the round trip. */
export function durablePoint(count: number, ms: number, rounds: number): Point {
  return {
    name: `W9 ${count} durable`,
    workload: 'W9',
    unit: 'answers/s',
    rounds,
    warm: 1,
    async measure(pair) {
      const options = { count, bytes: 128, ms, warmMs: WARM_MS };
      const endpoint = await serve(pair, 'durable', options);
      const figures = await run(pair, 'durable', endpoint, options);
      const served = await finish(pair);
      if (figure(figures, 'wrong') > 0) throw new Mismatch(`${figure(figures, 'wrong')} answers out of order`);
      const answers = figure(figures, 'count');
      return {
        value: answers / (figure(figures, 'ms') / 1000),
        cpu: { server: (figure(served, 'cpuMs') * 1000) / answers, client: (figure(figures, 'cpuMs') * 1000) / answers },
        more: { 'p50 µs': figure(figures, 'p50'), 'p99 µs': figure(figures, 'p99') },
      };
    },
  };
}

/**
 * W4. Memory of the server per session with the last of `counts` sessions, in bytes, as soon as all are open, and once they have been idle
 * for a while: V8 gives back what it took for their opening. Idle CPU of its process in percent of one core, over `idleMs`, behind a rest
 * of `restMs`: until the code of the heartbeats is compiled, to compile it is what is measured.
 */
export function idlePoint(counts: readonly number[], restMs: number, idleMs: number): Point {
  const last = counts.at(-1) ?? 0;
  return {
    name: `W4 ${last} idle`,
    workload: 'W4',
    unit: 'B/session',
    less: true,
    rounds: 1,
    afresh: true,
    atOnce: 4,
    async measure(pair) {
      const endpoint = await serve(pair, 'idle', {});
      await run(pair, 'idle', endpoint, { count: FIRST_SESSIONS });
      const before = await ask(pair.server, 'memory');
      const more: Record<string, number> = {};
      let open = 0;
      let after = before;
      const each = (name: string, then = after): number => (figure(then, name) - figure(before, name)) / open;
      for (const count of counts) {
        await run(pair, 'idle', endpoint, { count: count - open });
        open = count;
        await allOpen(pair, count + FIRST_SESSIONS);
        after = await ask(pair.server, 'memory');
        if (count !== last) more[`B at ${count}`] = each('rss');
      }
      await wait(restMs);
      const { share = Number.NaN } = await ask(pair.server, String(idleMs));
      const rested = await ask(pair.server, 'memory');
      await finish(pair);
      return {
        value: each('rss'),
        more: { ...more, 'heap B': each('heapUsed'), 'rested B': each('rss', rested), 'idle CPU %': share * 100 },
      };
    },
  };
}

/** Ends of links are told to both ends. */
const SETTLE_MS = 300;
/** Clients that have heard nothing new by then are not back. */
const BACK_MS = 8000;
const QUIET_MS = 1500;

async function until(longestMs: number, done: () => Promise<boolean>): Promise<void> {
  for (const endMs = performance.now() + longestMs; !(await done()) && performance.now() < endMs; ) await wait(250);
}

/** They take what is there once for all. */
const FIRST_SESSIONS = 100;
const OPEN_MS = 10_000;

/** A client may be connected before its server knows. */
async function allOpen(pair: Pair, count: number): Promise<void> {
  for (const untilMs = performance.now() + OPEN_MS; ; await wait(100)) {
    const { links = 0 } = await ask(pair.server, 'links');
    if (links === count) return;
    if (performance.now() > untilMs) throw new Mismatch(`${links} sessions of ${count} are there`);
  }
}

/**
 * W5. Some are opened before that do not count, for so long: in a process that has had no session for a while, as all between their turns,
 * V8 compiles the code of opening anew.
 */
export function opensPoint(count: number, atOnce: number, rounds: number): Point {
  const once = async (pair: Pair, options: Options): Promise<Sample> => {
    const endpoint = await serve(pair, 'opens', {});
    const startMs = performance.now();
    const opened = await run(pair, 'opens', endpoint, { atOnce, ...options });
    const all = figure(opened, 'count');
    await ask(pair.server, String(all));
    const ms = performance.now() - startMs;
    await wait(SETTLE_MS);
    const served = await finish(pair);
    return { value: all / (ms / 1000), cpu: { server: figure(served, 'cpuMs') / all, client: figure(opened, 'cpuMs') / all } };
  };
  return {
    name: 'W5 opens',
    workload: 'W5',
    unit: 'sessions/s',
    rounds,
    shortRounds: SHORT_ROUNDS,
    async measure(pair) {
      await once(pair, { count: 3 * count, ms: WARM_OPENS_MS });
      return once(pair, { count });
    },
  };
}

/** W6: milliseconds from the end of the outage to the first new message, the median of all clients. */
export function outagePoint(count: number, outageMs: number, rounds: number): Point {
  return {
    name: `W6 outage of ${outageMs} ms`,
    workload: 'W6',
    unit: 'ms',
    less: true,
    rounds,
    async measure(pair) {
      const options = { count, everyMs: 100 };
      const { port, ...rest } = await serve(pair, 'outage', options);
      const relay = await Relay.to(port);
      const phase = (number: number, atMs = 0): Promise<Figures> =>
        run(pair, 'outage', { port: relay.port, ...rest }, { ...options, phase: number, atMs });
      try {
        await phase(0);
        await phase(1);
        await ask(pair.server, 'speak');
        await wait(1000);
        relay.cut();
        await wait(outageMs);
        relay.resume();
        await phase(2, Number(process.hrtime.bigint()) / 1e6);
        await until(BACK_MS, async () => figure(await phase(4), 'back') === count);
        await ask(pair.server, 'hush');
        await phase(3);
        // What is on its way arrives, or never will.
        await wait(QUIET_MS);
        await until(QUIET_MS, async () => figure(await phase(4), 'heard') === figure(await ask(pair.server, 'sums'), 'sent'));
        const up = await phase(4);
        const down = await ask(pair.server, 'sums');
        const lost = figure(up, 'sent') - figure(down, 'heard') + figure(down, 'sent') - figure(up, 'heard');
        return {
          value: figure(up, 'medianMs'),
          more: {
            'slowest ms': figure(up, 'slowestMs'),
            back: figure(up, 'back'),
            lost,
            doubled: figure(up, 'doubled') + figure(down, 'doubled'),
            disordered: figure(up, 'disordered') + figure(down, 'disordered'),
          },
        };
      } finally {
        await phase(5).catch(() => {});
        await wait(SETTLE_MS);
        relay.close();
        await finish(pair);
      }
    },
  };
}

/** W7. */
export function broadcastPoint(count: number, ms: number, rounds: number): Point {
  return {
    name: `W7 to ${count}`,
    workload: 'W7',
    unit: 'deliveries/s',
    rounds,
    async measure(pair) {
      const options = { bytes: 128, count, ms };
      const endpoint = await serve(pair, 'broadcast', options);
      await run(pair, 'broadcast', endpoint, { ...options, phase: 0 });
      await ask(pair.server, 'start');
      await wait(300);
      const figures = await run(pair, 'broadcast', endpoint, { ...options, phase: 1 });
      await ask(pair.server, 'stop');
      await wait(SETTLE_MS);
      const served = await finish(pair);
      if (figure(figures, 'wrong') > 0) throw new Mismatch(`${figure(figures, 'wrong')} messages out of order`);
      const count1 = figure(figures, 'delivered');
      return {
        value: count1 / (figure(figures, 'ms') / 1000),
        cpu: { server: (figure(served, 'cpuMs') * 1000) / count1, client: (figure(figures, 'cpuMs') * 1000) / count1 },
      };
    },
  };
}
