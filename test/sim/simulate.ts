// Runs one seed: builds its world, lets faults happen, stops them, waits for everything to come to rest, and judges what is left.

import { mishaps } from './mishaps.ts';
import type { Party } from './party.ts';
import { type Family, makePlan, type Plan } from './plan.ts';
import { scenarios } from './scenarios.ts';
import { World } from './world.ts';

export interface Outcome {
  readonly seed: number;
  readonly family: Family;
  readonly failures: readonly string[];
  readonly hash: number;
  readonly events: number;
  readonly virtualMs: number;
  readonly cuts: number;
  readonly resumes: number;
  readonly bytes: number;
  /** How often each kind of fault happened. */
  readonly kinds: Readonly<Record<string, number>>;
  readonly trace: readonly string[];
  readonly plan: Plan;
}

/** Behind the end of all sessions: handshakes of dead circuits time out, sockets linger, alarms go. */
const REST_MS = 120_000;

export async function simulate(seed: number, options: { readonly verbose?: boolean; readonly plan?: Plan } = {}): Promise<Outcome> {
  const plan = options.plan ?? makePlan(seed);
  const world = new World(plan, options.verbose === true);
  const { oracle, clock } = world;
  const usedBefore = world.budget.usedBytes;
  try {
    const patienceMs = await live(world);
    await rest(world, usedBefore, patienceMs);
  } catch (error) {
    oracle.fail('world', error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  world.witness.settle();
  oracle.check();
  return {
    seed,
    family: plan.family,
    failures: oracle.failures,
    hash: world.trace.hash,
    events: clock.events,
    virtualMs: clock.nowMs,
    cuts: world.network.cuts,
    resumes: partiesOf(world).reduce((sum, party) => sum + Math.max(0, party.circuits - 1), 0) / 2,
    bytes: oracle.bytes,
    kinds: clock.coverage.counts,
    trace: world.trace.lines ?? [],
    plan,
  };
}

/** @returns how long the family may take beyond the common time */
async function live(world: World): Promise<number> {
  const { plan, clock } = world;
  const scenario = scenarios[plan.family](world);
  for (let i = 0; i < plan.sessions; i++) {
    world.open(i).catch((error: unknown) => world.oracle.fail(`client ${i}`, `open() failed: ${String(error)}`));
  }
  mishaps(world);
  const done = (): boolean => world.pairs.size + world.abandoned === plan.sessions && scenario.done();
  await clock.run(plan.faultyMs, done);
  if (!done()) {
    world.heal();
    await clock.run(clock.nowMs + world.patienceMs + scenario.patienceMs, done);
  } else {
    world.heal();
  }
  if (!done()) tellStuck(world);
  scenario.judge();
  return scenario.patienceMs;
}

/** Everything has ended: nothing may be left of it, and what hangs on is over soon. */
async function rest(world: World, usedBefore: number, patienceMs: number): Promise<void> {
  const { clock, oracle, server, network, budget } = world;
  const awakeMs = Math.max(clock.nowMs, ...world.hosts.map((host) => host.suspendedUntilMs));
  await clock.run(awakeMs + REST_MS + patienceMs, () => false);
  for (const party of partiesOf(world)) party.atRest();
  if (server.sessions.size > 0) oracle.fail('server', `${server.sessions.size} sessions are left`);
  for (const { sessions } of world.clients) if (sessions.size > 0) oracle.fail('client', `${sessions.size} sessions are left`);
  for (const host of world.hosts) if (host.armed > 0 && !host.dead) oracle.fail(host.name, `${host.armed} alarms are left`);
  for (const end of network.openEnds) oracle.fail(end, 'is still open');
  if (budget.usedBytes !== usedBefore) oracle.fail('budget', `${budget.usedBytes - usedBefore} bytes are left`);
  budget.add(usedBefore - budget.usedBytes);
  const ends = Promise.allSettled([...world.clients.map((client) => client.close()), server.close(), world.stranger.close()]);
  await clock.run(clock.nowMs + REST_MS, () => false);
  await ends;
}

function partiesOf(world: World): Party[] {
  return [...world.pairs.values()].flatMap(({ client, server }) => (server === null ? [client] : [client, server]));
}

function tellStuck(world: World): void {
  for (const { client, server } of world.pairs.values()) {
    for (const party of [client, server]) {
      if (party === null || party.closed || party.gone) continue;
      const { state, stats } = party.session;
      world.oracle.fail(
        party.name,
        `has not ended (${state}, ${JSON.stringify(stats)}, ${String(party.reading)}, close ${String(party.closing)})`,
      );
    }
  }
  if (world.opening > 0) world.oracle.fail('client', `${world.opening} sessions could not be opened`);
}
