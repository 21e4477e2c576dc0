// What one seed stands for: a swarm configuration. Each class of fault is on or off with a rate of its own, sizes and times are drawn from
// wide ranges, and one family says what is to happen to the session and which ends are allowed.

import { Random } from '../../lib/testing/random.ts';
import type { NetworkOptions } from './network.ts';

/**
 * steady: nothing but faults, and every end is clean. expiry: outages around the hold time. sleep: suspensions around the hold time.
 * destroy, throw: one side gives up, or its handler fails. unread: close() without a reader. hurried: close() with little time.
 * twin: two processes with one identity. restore: a process dies and another goes on from an older record. evict: tombstones go early.
 * shutdown: the server drains and closes. duplicate: a principal's second session.
 */
export const families = [
  'steady',
  'expiry',
  'sleep',
  'destroy',
  'throw',
  'unread',
  'hurried',
  'twin',
  'restore',
  'evict',
  'shutdown',
  'duplicate',
] as const;
export type Family = (typeof families)[number];

/** Where identity is at stake there is most to find. */
const weighted: readonly Family[] = [...families, 'twin', 'twin', 'restore'];

export interface Traffic {
  readonly messages: number;
  readonly least: number;
  readonly most: number;
  /** Messages sent at once, and the pause between bursts. */
  readonly burst: number;
  readonly pauseMs: number;
  readonly flushChance: number;
  readonly lend: boolean;
  /** Waits for room when send() says so; otherwise goes on until it throws. */
  readonly obedient: boolean;
  /** Says exactly as much as fits the peer's window, at once, and ends. */
  readonly brim: boolean;
}

export interface Reading {
  readonly way: 'iterator' | 'batches' | 'handler' | 'async handler' | 'ranges' | 'stream';
  readonly pauseMs: number;
  readonly pauseChance: number;
  /** Leaves its loop now and then, and comes back later. */
  readonly leaveChance: number;
}

export interface SidePlan {
  readonly traffic: Traffic;
  readonly reading: Reading;
  /** What the side does when all is sent. none: it ends because its peer does. */
  readonly ending: 'end' | 'close' | 'none';
  readonly window: number;
  readonly batchMessages: number;
  readonly outboxHighWater: number;
  readonly allowHalfOpen: boolean;
}

export interface Faults {
  /** Mean bytes and mean time until a cut; Infinity: none. */
  readonly cutBytes: number;
  readonly cutMs: number;
  readonly halfOpenChance: number;
  readonly tailChance: number;
  readonly stallChance: number;
  readonly refuseChance: number;
  readonly holeChance: number;
  readonly forgeChance: number;
  readonly strangerChance: number;
  /** Mean times between such events; Infinity: never. */
  readonly nudgeMs: number;
  readonly replayMs: number;
  readonly suspendMs: number;
  /** Suspensions in which the clock stands still as well. */
  readonly standstillChance: number;
  /** Mean time between steps of a clock. */
  readonly stepMs: number;
  /** Circuits that are cut inside a frame or flight of their choice. */
  readonly aimChance: number;
  /** Mean time between frames that break a rule. */
  readonly offenceMs: number;
}

export interface Plan {
  readonly seed: number;
  readonly family: Family;
  readonly framing: 'prefix' | 'lines';
  readonly network: NetworkOptions;
  readonly faults: Faults;
  /** How long faults go on. */
  readonly faultyMs: number;
  readonly client: SidePlan;
  readonly server: SidePlan;
  /** The server sends back what it gets, and nothing of its own. */
  readonly echo: boolean;
  readonly sessions: number;
  readonly heartbeatMs: number;
  readonly holdMs: number;
  readonly closeTimeoutMs: number;
  readonly messageBytes: number;
  readonly socketBytes: number;
  readonly challenge: 'auto' | 'always' | 'never';
  /** authorizeResume() takes up to so long. */
  readonly authorizeMs: number;
  readonly connectMs: number;
  readonly handshakeMs: number;
  readonly alarmSlackMs: number;
  readonly alarmsFirst: boolean;
  readonly onDuplicate: 'parallel' | 'replace' | 'reject';
  readonly tombstones: number;
  /** For the families that do something at a time of their own. */
  readonly incidentMs: number;
  readonly incidentAtClient: boolean;
}

// Node's stream decides what is consumed, and a listener of it that throws is nobody's to catch: some families do without.
const WAYS: readonly Reading['way'][] = ['iterator', 'iterator', 'batches', 'handler', 'async handler', 'ranges', 'stream'];

export function makePlan(seed: number): Plan {
  const random = new Random(seed, 1);
  const family = random.chance(0.4) ? 'steady' : random.pick(weighted);
  // Of a stream of their own, so that a new kind of fault leaves the other draws of a seed as they are.
  const rare = new Random(seed, 6);
  const network = networkOf(random);
  const framing = random.chance(0.6) ? 'prefix' : 'lines';
  const windowed = random.chance(0.5);
  // Small windows and caps with small messages, or the room that messages of 64 KiB need.
  const messageBytes = windowed ? random.pick([64, 500, 2_000]) : random.pick([8_000, 65_536]);
  const leastWindow = Math.max(4096, messageBytes + 1024);
  const short = family === 'expiry' || family === 'sleep';
  const holdMs = short ? random.pick([1_000, 5_000, 20_000]) : 300_000;
  const faultyMs = family === 'expiry' ? 5 * holdMs : random.pick(apart(family) ? [10_000, 30_000] : [500, 3_000, 10_000, 30_000]);
  return {
    seed,
    family,
    framing,
    network,
    faults: { ...faultsOf(random, family), ...rareFaultsOf(rare, family) },
    faultyMs,
    ...brimming(sidesOf(random, family, network, messageBytes, leastWindow), rare),
    sessions: sessionsOf(random, family),
    heartbeatMs: random.pick([1_000, 2_500, 5_000, 15_000]),
    holdMs,
    closeTimeoutMs: family === 'hurried' ? random.pick([10, 200, 2_000, 10_000]) : 3_600_000,
    messageBytes,
    socketBytes: random.pick([1_000, 16_384, 262_144]),
    challenge: random.pick(['auto', 'always', 'never'] as const),
    authorizeMs: random.chance(family === 'expiry' ? 0.9 : 0.3) ? random.pick(family === 'expiry' ? [50, 800] : [1, 50, 800]) : 0,
    connectMs: random.pick([500, 2_000, 10_000]),
    handshakeMs: random.pick([1_000, 5_000]),
    alarmSlackMs: random.pick([0, 16, 40]),
    alarmsFirst: random.chance(0.6),
    onDuplicate: family === 'duplicate' ? random.pick(['replace', 'reject'] as const) : 'parallel',
    tombstones: family === 'evict' ? 1 : 65_536,
    incidentMs: random.pick(apart(family) ? [20, 150, 800] : [1, 30, 300, 3_000, 20_000]) * random.next(),
    incidentAtClient: random.chance(0.5),
  };
}

function rareFaultsOf(random: Random, family: Family): Pick<Faults, 'standstillChance' | 'stepMs' | 'aimChance' | 'offenceMs'> {
  return {
    standstillChance: random.chance(0.5) ? 0.5 : 0,
    stepMs: random.chance(0.15) ? random.pick([1_000, 5_000]) : Infinity,
    // An evicted tombstone is asked for only where the last words were lost.
    aimChance: random.chance(family === 'evict' ? 1 : 0.5) ? random.pick([0.3, 0.8]) : 0,
    offenceMs: random.chance(0.15) ? random.pick([100, 1_000]) : Infinity,
  };
}

/** Now and then the server fills the client's window to the last byte, where that takes no more than a few hundred messages. */
function brimming(sides: Sides, random: Random): Sides {
  const { client, server, echo } = sides;
  const fits = !echo && server.traffic.messages > 0 && client.window / Math.max(1, server.traffic.most) < 300;
  if (!random.chance(0.2) || !fits) return sides;
  const traffic: Traffic = { ...server.traffic, brim: true, pauseMs: 0, flushChance: 0, obedient: false };
  return { client, server: { ...server, traffic, ending: server.ending === 'none' ? 'end' : server.ending }, echo };
}

/** Two processes have one identity. */
export function apart(family: Family): boolean {
  return family === 'twin' || family === 'restore';
}

function sessionsOf(random: Random, family: Family): number {
  if (apart(family)) return 1;
  if (family === 'evict' || family === 'duplicate') return 3;
  return random.chance(0.1) ? 2 : 1;
}

function networkOf(random: Random): NetworkOptions {
  return {
    transport: random.pick(['duplex', 'loopback', 'remote'] as const),
    highWaterMark: random.pick([1, 1_000, 16_384, 262_144]),
    delayMs: random.pick([0, 0, 1, 20, 300]),
    jitterMs: random.pick([0, 0, 3, 50]),
    capacity: random.pick([64, 2_000, 65_536, 1_000_000]),
    chunkBytes: random.pick([1, 20, 500, 65_536, 65_536]),
    together: random.chance(0.5),
    resetOvertakes: random.chance(0.5),
  };
}

function faultsOf(random: Random, family: Family): Omit<Faults, keyof ReturnType<typeof rareFaultsOf>> {
  const chance = (on: number, values: readonly number[]): number => (random.chance(on) ? random.pick(values) : 0);
  const time = (on: number, values: readonly number[]): number => (random.chance(on) ? random.pick(values) : Infinity);
  return {
    cutBytes: time(0.6, [100, 500, 3_000, 20_000, 200_000]),
    cutMs: time(family === 'expiry' || family === 'twin' ? 1 : 0.4, [10, 100, 1_000, 5_000]),
    halfOpenChance: chance(0.4, [0.1, 0.5]),
    tailChance: chance(0.5, [0.3, 0.9]),
    stallChance: chance(0.4, [0.1, 0.4]),
    refuseChance: chance(0.3, [0.1, 0.5]),
    holeChance: chance(0.3, [0.05, 0.3]),
    forgeChance: chance(0.3, [0.1, 0.4]),
    strangerChance: chance(0.2, [0.1, 0.4]),
    nudgeMs: time(0.3, [20, 300, 3_000]),
    replayMs: time(0.3, [50, 1_000]),
    suspendMs: family === 'sleep' ? Infinity : time(0.2, [3_000, 10_000]),
  };
}

type Sides = Pick<Plan, 'client' | 'server' | 'echo'>;

/** Both sides, made to fit: somebody has to end the session, and who is left alone with it ends it as well. */
function sidesOf(random: Random, family: Family, network: NetworkOptions, messageBytes: number, leastWindow: number): Sides {
  // A network that brings one byte at a time gets less to do.
  const volume = Math.min(random.pick([2_000, 30_000, 200_000]), network.chunkBytes * 2_000, network.capacity * 200);
  const client = sideOf(random, family, messageBytes, leastWindow, volume);
  const server = sideOf(random, family, messageBytes, leastWindow, volume);
  const echo = random.chance(0.2) && !['twin', 'restore', 'unread'].includes(family);
  const alone = client.ending === 'none' && server.ending === 'none';
  const dialing: SidePlan =
    alone || echo || client.allowHalfOpen ? { ...client, ending: client.ending === 'none' ? 'end' : client.ending } : client;
  const reading: Reading = echo
    ? { ...server.reading, way: random.pick(['iterator', 'batches'] as const), leaveChance: 0 }
    : server.reading;
  const accepting: SidePlan =
    server.allowHalfOpen && server.ending === 'none' ? { ...server, reading, ending: 'end' } : { ...server, reading };
  // Where nothing comes back there is nothing but identity to tell two lives apart.
  const silent = apart(family) && random.chance(0.4);
  const listening: SidePlan = { ...accepting, traffic: { ...accepting.traffic, messages: 0 }, ending: 'none', allowHalfOpen: false };
  const speaking: SidePlan = dialing.ending === 'none' ? { ...dialing, ending: 'end' } : dialing;
  return silent ? { client: speaking, server: listening, echo } : { client: dialing, server: accepting, echo };
}

function sideOf(random: Random, family: Family, messageBytes: number, leastWindow: number, volume: number): SidePlan {
  // What happens is to meet sessions that still have something to say.
  const lasting = family === 'expiry' || apart(family);
  const most = Math.min(volume, random.pick(lasting ? [60, 400] : [8, 60, messageBytes, messageBytes]), messageBytes);
  return {
    traffic: {
      messages: random.chance(lasting ? 0 : 0.1) ? 0 : Math.max(lasting ? 40 : 1, Math.min(300, Math.ceil((volume * 2) / (most + 1)))),
      // Two processes with one identity are told apart by the bytes of their messages.
      least: apart(family) ? 8 : 0,
      most: Math.min(most, messageBytes),
      burst: random.pick(lasting ? [1, 5] : [1, 5, 50, 1_000]),
      pauseMs: random.pick(lasting ? [20, 200] : [0, 1, 20, 200]),
      flushChance: random.pick([0, 0, 0.02, 0.3]),
      lend: random.chance(0.3),
      obedient: random.chance(0.8),
      brim: false,
    },
    reading: {
      way: random.pick(family === 'throw' || apart(family) ? WAYS.filter((way) => way !== 'stream') : WAYS),
      pauseMs: random.pick([0, 1, 30, 400]),
      pauseChance: random.pick([0, 0, 0.05, 1]),
      leaveChance: random.pick([0, 0, 0, 0.05]),
    },
    ending: random.pick(['end', 'end', 'close', 'none'] as const),
    window: random.chance(0.5) ? leastWindow : random.pick([65_536 * 2, 2_097_152]),
    batchMessages: random.pick([1, 3, 1_024]),
    outboxHighWater: random.pick([1, 4_096, 1_048_576]),
    allowHalfOpen: random.chance(0.3),
  };
}
