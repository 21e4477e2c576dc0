// The scenarios of a chaos run: what is done to two processes that hold a session between them, and how it must end.

import { setTimeout as pause } from 'node:timers/promises';
import { ChaosProxy } from '../../lib/testing/chaos-proxy.ts';
import { Random } from '../../lib/testing/random.ts';
import { Router } from '../support/net.ts';
import type { Talk } from './conversation.ts';
import type { HostOptions } from './host.ts';
import type { HostProcess } from './host-process.ts';
import type { Expected, Verdict } from './ledger.ts';
import { plansFor, type Trouble } from './plans.ts';
import type { Stage } from './stage.ts';

export interface Outcome extends Verdict {
  /** Connections that the proxy has cut. */
  readonly cuts: number;
}

/** Where a scenario is played. */
export interface Scene {
  readonly key: string;
  readonly seed: number;
  readonly stage: Stage;
  readonly near: HostProcess;
  readonly far: HostProcess;
}

const LOOPBACK = '127.0.0.1';
/** Detection of a silent circuit: twice the least heartbeat that the protocol allows, and five seconds. */
export const HEARTBEAT_MS = 1_000;
export const SILENCE_MS: number = 2 * HEARTBEAT_MS + 5_000;
/** What anything may take on a busy machine. Never a measure: where all is well nothing waits for it. */
const PATIENCE_MS = 90_000;

/** Opens sessions through a proxy that harms the first connections, talks meanwhile, and ends them in order. */
export async function throughProxy(scene: Scene, trouble: Trouble): Promise<Outcome> {
  const { key, seed, stage, near, far } = scene;
  const random = new Random(seed);
  const plans = plansFor(trouble, random);
  const options = hasty(optionsOf(random, 120_000));
  const port = await far.tell({ act: 'serve', key, host: LOOPBACK, port: 0, options });
  await using proxy = new ChaosProxy({ target: { port: port as number }, seed, plan: (index) => plans[index] ?? {} });
  const dialed = near.tell({
    act: 'dial',
    key,
    host: LOOPBACK,
    port: await proxy.listen(),
    options,
    talk: talkOf(random, seed, options),
    sessions: 1,
  });
  const nudges = trouble === 'late' || random.chance(0.2) ? nudgeNowAndThen(scene, random) : undefined;
  await stage.until(() => proxy.stats.connections > plans.length, PATIENCE_MS, 'a connection behind those that are harmed');
  nudges?.stop();
  await dialed;
  await untilOpened(scene, 1);
  await pause(random.integer(0, 300));
  const verdict = await inOrder(scene, 1);
  return { ...verdict, cuts: proxy.stats.cuts };
}

/** Kills the accepting side's process. @param reborn a new one is reached there soon afterwards, and knows nothing */
export async function killFar(scene: Scene, reborn: boolean): Promise<Outcome> {
  const { key, seed, stage, near, far } = scene;
  const random = new Random(seed);
  const options = optionsOf(random, reborn ? 60_000 : 5_000);
  const target = (await far.tell({ act: 'serve', key, host: LOOPBACK, port: 0, options })) as number;
  // The new process listens elsewhere: the old port may be another's by then.
  await using router = new Router(target);
  const port = reborn ? await router.listen() : target;
  await near.tell({ act: 'dial', key, host: LOOPBACK, port, options, talk: talkOf(random, seed, options), sessions: 2 });
  await untilOpened(scene, 2);
  await pause(random.integer(0, 2_500));
  await stage.kill(far);
  const heir = reborn ? stage.start(`${far.name}, reborn`) : undefined;
  if (heir !== undefined) router.target = (await heir.tell({ act: 'serve', key, host: LOOPBACK, port: 0, options })) as number;
  await stage.until(() => stage.ledger.ended(key, 'near') === 2, PATIENCE_MS, 'the end at the surviving side');
  await Promise.all([near.tell({ act: 'close', key }), heir?.end()]);
  const code = reborn ? 'ERR_UNKNOWN_SESSION' : 'ERR_GAVE_UP';
  return { ...settle(scene, { sessions: 2, near: [code], far: 'killed' }), cuts: 0 };
}

/** Kills the dialing side's process: the other one holds the sessions for their time, and then says what was lost. */
export async function killNear(scene: Scene): Promise<Outcome> {
  const { key, seed, stage, near, far } = scene;
  const random = new Random(seed);
  const options = optionsOf(random, random.integer(3_000, 6_000));
  const port = (await far.tell({ act: 'serve', key, host: LOOPBACK, port: 0, options })) as number;
  await near.tell({ act: 'dial', key, host: LOOPBACK, port, options, talk: talkOf(random, seed, options), sessions: 2 });
  await untilOpened(scene, 2);
  await pause(random.integer(0, 2_500));
  await stage.kill(near);
  await stage.until(() => stage.ledger.ended(key, 'far') === 2, PATIENCE_MS, 'the end at the surviving side');
  await far.tell({ act: 'close', key });
  return { ...settle(scene, { sessions: 2, near: 'killed', far: ['ERR_EXPIRED'] }), cuts: 0 };
}

export interface Stop {
  readonly who: 'near' | 'far' | 'both';
  readonly ms: number;
  readonly holdMs: number;
  /** The sessions do not outlive it. */
  readonly expires: boolean;
}

/** Stops processes, lets them go on, and expects that nothing has happened to the sessions, or that both sides tell of their end. */
export async function stopped(scene: Scene, { who, ms, holdMs, expires }: Stop): Promise<Outcome> {
  const { key, seed, near, far } = scene;
  const random = new Random(seed);
  const options = optionsOf(random, holdMs);
  const port = (await far.tell({ act: 'serve', key, host: LOOPBACK, port: 0, options })) as number;
  await near.tell({ act: 'dial', key, host: LOOPBACK, port, options, talk: talkOf(random, seed, options), sessions: 2 });
  await untilOpened(scene, 2);
  await pause(random.integer(0, 1_500));
  const hosts = who === 'both' ? [near, far] : [who === 'near' ? near : far];
  for (const host of hosts) host.stop();
  await pause(ms);
  for (const host of hosts) host.continue();
  if (!expires) {
    await pause(random.integer(0, 1_000));
    return { ...(await inOrder(scene, 2)), cuts: 0 };
  }
  await untilEnded(scene, 2);
  await Promise.all([near.tell({ act: 'close', key }), far.tell({ act: 'close', key })]);
  return { ...settle(scene, { sessions: 2, near: ['ERR_EXPIRED'], far: ['ERR_EXPIRED'] }), cuts: 0 };
}

/** Ends all sessions of the scenario in order, and expects them clean. */
export async function inOrder(scene: Scene, sessions: number): Promise<Verdict> {
  const { key, near, far } = scene;
  await Promise.all([near.tell({ act: 'finish', key }), far.tell({ act: 'finish', key })]);
  await untilEnded(scene, sessions);
  await Promise.all([near.tell({ act: 'close', key }), far.tell({ act: 'close', key })]);
  return settle(scene, { sessions, near: 'clean', far: 'clean' });
}

export async function untilOpened({ key, stage }: Scene, sessions: number): Promise<void> {
  const { ledger } = stage;
  const all = (): boolean => ledger.opened(key, 'near') >= sessions && ledger.opened(key, 'far') >= sessions;
  await stage.until(() => all() || ledger.failed(key), PATIENCE_MS, 'the sessions at both sides');
}

async function untilEnded({ key, stage }: Scene, sessions: number): Promise<void> {
  const { ledger } = stage;
  const all = (): boolean => ledger.ended(key, 'near') >= sessions && ledger.ended(key, 'far') >= sessions;
  await stage.until(() => all() || ledger.failed(key), PATIENCE_MS, 'the end at both sides');
}

function settle({ key, stage }: Scene, expected: Expected): Verdict {
  return stage.ledger.verdict(key, expected);
}

/** A new circuit at any moment, while the one before it may hold bytes that arrive later. */
function nudgeNowAndThen({ key, near }: Scene, random: Random): { stop(): void } {
  let timer: NodeJS.Timeout | undefined;
  const next = (): void => {
    timer = setTimeout(
      () => {
        near.tell({ act: 'nudge', key });
        next();
      },
      random.integer(50, 2_500),
    );
  };
  next();
  return { stop: () => clearTimeout(timer) };
}

/** Often there is so little room that both sides meet the window and the high-water mark. */
export function optionsOf(random: Random, holdMs: number): HostOptions {
  const narrow = random.chance(0.4);
  return {
    framing: random.pick(['prefix', 'lines'] as const),
    heartbeatMs: HEARTBEAT_MS,
    holdMs,
    window: narrow ? 70_000 : 2_097_152,
    tls: random.chance(0.2),
    limits: narrow ? { messageBytes: 65_536, outboxHighWater: 4_096 } : {},
  };
}

/** Short waits, so that a black hole is noticed soon. Not where sessions are held briefly: a busy machine may not confirm one in this time. */
export function hasty(options: HostOptions): HostOptions {
  return { ...options, limits: { ...options.limits, handshakeMs: 2_000, hookMs: 500, connectMs: 2_000 } };
}

export function talkOf(random: Random, seed: number, { framing }: HostOptions): Talk {
  return {
    seed,
    framing,
    mostBytes: random.pick([400, 4_000, 60_000]),
    burst: random.pick([1, 3, 5, 30]),
    pauseMs: random.integer(20, 250),
    readerMs: random.pick([0, 0, 30, 200]),
  };
}
