// The families of worlds: what each does to its sessions beside the faults, when it is over, and which ends it allows.

import type { SessionErrorCode } from '../../lib/errors.ts';
import { SessionError } from '../../lib/errors.ts';
import type { Family } from './plan.ts';
import { restore, twin } from './processes.ts';
import type { Pair, World } from './world.ts';

export interface Scenario {
  /** All sessions have come to their end. */
  readonly done: () => boolean;
  /** Time that this family needs on top of the common one. */
  readonly patienceMs: number;
  /** Which ends are right. */
  readonly judge: () => void;
}

interface Ends {
  readonly client?: readonly SessionErrorCode[];
  readonly server?: readonly SessionErrorCode[];
}

/** Codes of a session that one end forgot for lack of contact. */
const LAPSED: readonly SessionErrorCode[] = ['ERR_EXPIRED', 'ERR_GAVE_UP', 'ERR_UNKNOWN_SESSION'];

/** Ends that one side decides on while the other may be done already. */
const OWN_DECISIONS: readonly SessionErrorCode[] = [
  'ERR_APPLICATION',
  'ERR_CLOSE_TIMEOUT',
  'ERR_DESTROYED',
  'ERR_EXPIRED',
  // Its last ACK may lie unread at a server that sleeps, which then wakes, and is done.
  'ERR_GAVE_UP',
  'ERR_REPLACED',
  'ERR_SHUTDOWN',
];

export const scenarios: Readonly<Record<Family, (world: World) => Scenario>> = {
  steady: (world) => plain(world, {}),
  expiry: (world) => {
    outages(world);
    return plain(world, { client: LAPSED, server: ['ERR_EXPIRED'] }, holdTime(world));
  },
  sleep: (world) => {
    sleeps(world);
    return plain(world, { client: LAPSED, server: ['ERR_EXPIRED'] }, holdTime(world) + 600_000);
  },
  destroy: (world) => {
    // At any moment, or in the middle of what the library is telling.
    const event = world.random.pick([null, null, 'drain', 'attached', 'detached'] as const);
    incident(world, (pair) => {
      const session = (world.plan.incidentAtClient ? pair.client : pair.server)?.session;
      const destroy = (): void => {
        world.clock.coverage.count('destroyed');
        session?.destroy();
      };
      if (event === null) destroy();
      else session?.once(event, destroy);
    });
    const codes: readonly SessionErrorCode[] = ['ERR_DESTROYED', 'ERR_PEER_DESTROYED', ...LAPSED];
    return plain(world, { client: codes, server: codes }, holdTime(world));
  },
  throw: (world) => {
    const at = world.random.integer(0, 20);
    world.change = (side) => ((side === 'client') === world.plan.incidentAtClient ? { throwsAt: at } : {});
    const codes: readonly SessionErrorCode[] = [
      'ERR_APPLICATION',
      'ERR_DESTROYED',
      'ERR_PEER_APPLICATION',
      'ERR_PEER_DESTROYED',
      // A loop that is left by an error while close() waits leaves the rest unread.
      'ERR_UNREAD',
      'ERR_PEER_UNREAD',
      ...LAPSED,
    ];
    return plain(world, { client: codes, server: codes }, holdTime(world));
  },
  unread: (world) => {
    world.change = (side) => ((side === 'client') === world.plan.incidentAtClient ? { deaf: true } : {});
    const codes: readonly SessionErrorCode[] = ['ERR_UNREAD', 'ERR_PEER_UNREAD'];
    // The dialing side takes an end of stream behind its CLOSE for an answer (C-9). If it was a middlebox, the server has to find out.
    const server: readonly SessionErrorCode[] = world.plan.incidentAtClient ? [...codes, 'ERR_EXPIRED'] : codes;
    return plain(world, { client: codes, server }, holdTime(world));
  },
  hurried: (world) => {
    const codes: readonly SessionErrorCode[] = ['ERR_CLOSE_TIMEOUT', 'ERR_PEER_DESTROYED', ...LAPSED];
    return plain(world, { client: codes, server: codes }, holdTime(world));
  },
  twin,
  restore,
  evict: (world) => plain(world, { client: ['ERR_UNKNOWN_SESSION'] }),
  shutdown: (world) => {
    shutdown(world);
    const client: readonly SessionErrorCode[] = ['ERR_SHUTDOWN', 'ERR_GAVE_UP', 'ERR_UNKNOWN_SESSION'];
    return plain(world, { client, server: ['ERR_SHUTDOWN'] }, holdTime(world));
  },
  duplicate: (world) => {
    const codes: readonly SessionErrorCode[] = ['ERR_DUPLICATE', 'ERR_REPLACED'];
    return plain(world, { client: codes, server: codes });
  },
};

/** Until the accepting side has forgotten a session, and the dialing side has given up. */
function holdTime(world: World): number {
  return 2 * world.plan.holdMs + 4 * world.plan.heartbeatMs + 120_000;
}

function plain(world: World, ends: Ends, patienceMs: number = 0): Scenario {
  return {
    done: () => [...world.pairs.values()].every((pair) => pair.client.closed && (pair.server === null || pair.server.closed)),
    patienceMs,
    judge: () => {
      for (const pair of world.pairs.values()) judge(world, pair, ends);
    },
  };
}

export function judge(world: World, pair: Pair, ends: Ends): void {
  const { oracle, plan } = world;
  const { client, server } = pair;
  const provisionalMs = Math.min(plan.holdMs, 60_000);
  // A session whose CONFIRM never arrived is forgotten after a minute; nobody at the server has seen it.
  const forgotten: SessionErrorCode[] =
    server === null && world.serverHost.now() - pair.begunMs >= provisionalMs ? ['ERR_UNKNOWN_SESSION'] : [];
  if (client.closed) oracle.allow(client.name, client.cause, [...(ends.client ?? []), ...forgotten], true);
  if (server?.closed === true) oracle.allow(server.name, server.cause, ends.server ?? [], true);
  if (server === null && client.closed && client.cause === undefined)
    oracle.fail(client.name, 'ended clean, and the server never saw the session');
  if (client.closed && server?.closed === true) judgeBoth(world, pair);
}

/** What the end of one side says of the other. */
function judgeBoth(world: World, { client, server }: Pair): void {
  const { oracle, plan } = world;
  const cause = server?.cause;
  if (client.cause === undefined && cause !== undefined && !OWN_DECISIONS.includes(cause.code)) {
    oracle.fail('world', `the client ended clean, the server with ${cause.code}`);
  }
  if (client.cause !== undefined && cause === undefined) {
    // Tombstones go early, or with the server.
    const forgets = plan.family === 'evict' || plan.family === 'shutdown';
    if (!OWN_DECISIONS.includes(client.cause.code) && !forgets)
      oracle.fail('world', `the server ended clean, the client with ${client.cause.code}`);
  }
  for (const party of [client, server]) {
    if (party === null || party === undefined) continue;
    const { reading, closed, cause: told } = party;
    if (reading === 'finished' && told !== undefined && SessionError.is(told, 'ERR_TRUNCATED'))
      oracle.fail(party.name, 'read a truncated stream to its end');
    if (closed && reading instanceof SessionError && reading.code !== told?.code) {
      oracle.fail(party.name, `the loop threw ${reading.code}, the session ended ${told?.code ?? 'clean'}`);
    }
  }
}

/** Does something to each session, once, at the plan's time. */
function incident(world: World, act: (pair: Pair) => void): void {
  world.onPair = (pair) => {
    world.clock.after(world.plan.incidentMs, world.plan.incidentAtClient ? world.clientHost : world.serverHost, () => {
      world.trace.note(world.nowMs, 'world', 'incident');
      act(pair);
    });
  };
}

/** Once the server has lost its circuit nobody gets through until its hold time is over, a millisecond more or less. */
function outages(world: World): void {
  const { plan, faults, clock } = world;
  let races = 3;
  world.onServed = (server) => {
    server.onDetached = () => {
      if (faults.healed || races-- <= 0) return;
      // The handshake takes its time: a race is what begins before the hold time is over and ends behind it.
      const { delayMs, jitterMs } = plan.network;
      const aheadMs = delayMs + jitterMs + faults.pick([0, plan.authorizeMs / 4, plan.authorizeMs / 2, plan.authorizeMs]);
      clock.coverage.count('outage of the hold time ±2 ms');
      faults.darkUntilMs = clock.nowMs + plan.holdMs + faults.integer(-2, 2) - aheadMs;
      faults.prompt = true;
      clock.at(faults.darkUntilMs, world.clientHost, () => world.client.nudge());
    };
  };
}

/** One long suspension: of the server, which must not then expire what it could not hear; or of the client, which may come too late. */
function sleeps(world: World): void {
  const { plan, clock } = world;
  const host = plan.incidentAtClient ? world.clientHost : world.serverHost;
  clock.after(plan.incidentMs, null, () => {
    const ms = world.random.pick([1_000, plan.holdMs, plan.holdMs + 10_000, 600_000]);
    world.trace.note(world.nowMs, host.name, 'suspended', ms);
    host.suspend(ms);
  });
}

/** The server drains for a while, and then closes. */
function shutdown(world: World): void {
  const { plan, clock, random, serverHost } = world;
  world.onPair = (pair) => {
    if (pair.number > 0) return;
    clock.after(plan.incidentMs, serverHost, () => {
      const drains = random.chance(0.7);
      if (drains) clock.coverage.count('server drains');
      clock.coverage.count('server closes');
      const drained = drains ? world.server.drain({ deadlineMs: random.integer(0, 5_000) }) : Promise.resolve(0);
      drained
        .then(() => world.server.close())
        .then(() => world.giveUp.abort())
        .catch((error: unknown) => world.oracle.fail('server', `drain() or close() failed: ${String(error)}`));
    });
  };
}
