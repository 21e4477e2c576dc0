// Two processes and one identity: a record of a session is taken up in a second process while the first lives (twin), or after it has
// died (restore). One of them goes on; the other must learn why not, and their outputs must never be spliced into one stream.

import type { SessionClient } from '../../lib/client.ts';
import { SessionError, type SessionErrorCode } from '../../lib/errors.ts';
import type { Session } from '../../lib/session.ts';
import type { Host } from './clock.ts';
import type { Message } from './messages.ts';
import type { Stream } from './oracle.ts';
import { Party } from './party.ts';
import type { Scenario } from './scenarios.ts';
import type { Pair, World } from './world.ts';

/** How a process that came too late, or has been overtaken, ends. */
const CONFLICT: readonly SessionErrorCode[] = ['ERR_TAKEN_OVER', 'ERR_STATE_LOST'];
/** The heir's end may have taken even the tombstone along. */
const LOST: readonly SessionErrorCode[] = [...CONFLICT, 'ERR_UNKNOWN_SESSION'];
/** How a process ends that takes up a session which is over. */
const OVER: readonly SessionErrorCode[] = [
  ...CONFLICT,
  'ERR_CLOSED',
  'ERR_EXPIRED',
  'ERR_GAVE_UP',
  'ERR_UNKNOWN_SESSION',
  'ERR_STALE_GENERATION',
];

/** How long somebody waits, in milliseconds, for a session to be all but over. */
const POLLS_MOST = 5_000;

interface Second {
  readonly pair: Pair;
  readonly client: SessionClient<Message>;
  readonly up: Stream;
  readonly down: Stream;
  /** Nothing can have happened between the record and the death of the first process. */
  readonly exact: boolean;
  party: Party | null;
  over: boolean;
  refusal: SessionError | null;
}

/** The first process lives on: exactly one of the two may keep the session. */
export function twin(world: World): Scenario {
  return processes(world, () => {
    world.clock.coverage.count('two processes with one identity');
    // It goes on writing what nobody gets, and comes back when the other has written something else in its place.
    if (!world.random.chance(0.6)) return;
    world.network.silence(world.clientHost, world.random.integer(0, 5_000), world.random.chance(0.7));
    // Else it comes back with the generation that the other has taken, and is refused for that alone.
    world.faults.spoilt = world.random.integer(0, 4);
  });
}

/** The first process dies, now or a while after its record was written. */
export function restore(world: World): Scenario {
  return processes(world, (pair) => {
    const { clientHost, network } = world;
    if (pair.client.closed) return;
    world.trace.note(world.nowMs, 'client', 'dies');
    world.clock.coverage.count('process restored from an older state');
    pair.client.gone = true;
    network.bury(clientHost, world.random.chance(0.5) ? 'rst' : 'silent');
    clientHost.die();
    // Gives its buffers back; the process itself does nothing any more.
    pair.client.session.destroy();
  });
}

function processes(world: World, first: (pair: Pair) => void): Scenario {
  const { plan, clock, random } = world;
  let second: Second | null = null;
  // The record is written at the plan's time, or when the session is all but over: done, and not yet told so.
  const late = random.chance(0.25);
  world.onPair = (pair) => {
    when(world, pair, late, () => {
      const record = world.client.record(pair.client.session);
      const laterMs = late ? 0 : random.pick([0, 0, random.integer(0, 50), random.integer(0, 1_000)]);
      second = prepare(world, pair, laterMs === 0);
      clock.after(laterMs, null, () => first(pair));
      clock.after(laterMs + random.pick([0, random.integer(0, 100), random.integer(0, 1_000)]), null, () =>
        begin(world, second as Second, record),
      );
    });
  };
  const ended = (party: Party | null): boolean => party === null || party.closed || party.gone;
  return {
    done: () => {
      const over = second === null || second.refusal !== null || (second.party !== null && ended(second.party));
      return over && [...world.pairs.values()].every(({ client, server }) => ended(client) && ended(server));
    },
    patienceMs: 2 * plan.holdMs + 4 * plan.heartbeatMs + 120_000,
    judge: () => {
      for (const pair of world.pairs.values()) judge(world, pair, second);
    },
  };
}

/** Calls back once, when this process can write its record. */
function when(world: World, { client }: Pair, late: boolean, act: () => void): void {
  const { plan, clock, clientHost } = world;
  let polls = 0;
  const look = (): void => {
    const { state } = client.session;
    if (state === 'closed' || clientHost.suspendedUntilMs > clock.nowMs) return;
    if (!late || state === 'closing') return act();
    if (++polls < POLLS_MOST) clock.after(1, null, look);
  };
  clock.after(late ? 0 : plan.incidentMs, null, look);
}

function prepare(world: World, pair: Pair, exact: boolean): Second {
  world.trace.note(world.nowMs, 'client', 'record');
  const host: Host = world.makeHost('second');
  world.hosts.push(host);
  const client = world.makeClient(host);
  world.clients.push(client);
  return { pair, client, up: world.oracle.fork(pair.up), down: pair.down.reread(), exact, party: null, over: false, refusal: null };
}

function begin(world: World, second: Second, record: Buffer): void {
  const host = world.hosts[world.hosts.length - 1] as Host;
  world.trace.note(world.nowMs, 'second', 'resume');
  const resumed = second.client.resume(record);
  const [waiting] = second.client.sessions.values();
  // Some have much to say at once, before any server has accepted them: none of that may get on a circuit.
  if (waiting !== undefined && world.random.chance(0.5)) start(world, second, waiting, host, true);
  resumed.then(
    (session) => {
      if (second.party === null) start(world, second, session, host, false);
    },
    (error: unknown) => {
      if (!SessionError.is(error)) return world.oracle.fail('second', `resume() rejected with ${String(error)}`);
      world.trace.note(world.nowMs, 'second', `refused ${error.code}`);
      second.refusal = error;
      // What the record held and nobody confirmed is handed back here, since there is no session to tell it.
      if (second.party === null) world.oracle.ended('second', second.up, second.down, error);
    },
  );
}

function start(world: World, second: Second, session: Session<Message>, host: Host, eager: boolean): void {
  const options = world.partyOptions('client', host, 0, second.up, second.down);
  const traffic = eager ? { ...options.plan.traffic, burst: 1_000, pauseMs: 0 } : options.plan.traffic;
  second.party = new Party('second', session, { ...options, plan: { ...options.plan, traffic }, author: 9 });
  // The session had ended, and this process had nothing more to say or to hear.
  second.over = second.party.closed;
  second.party.start();
}

function judge(world: World, pair: Pair, second: Second | null): void {
  const { oracle } = world;
  const { client, server } = pair;
  const heir = second === null || second.over ? null : second.party;
  const cause = heir === null ? (second?.refusal ?? undefined) : heir.cause;
  const inherited = heir?.closed === true && heir.cause === undefined;
  const lapsed = server === null && world.serverHost.now() - pair.begunMs >= 60_000;
  if (!client.gone) {
    // Clean beside an heir: it had read everything as well, and its END was consumed. The oracle has seen to that.
    oracle.allow(client.name, client.cause, inherited || second?.over === true ? LOST : lapsed ? ['ERR_UNKNOWN_SESSION'] : [], true);
  }
  if (second !== null && !second.over && !inherited) {
    const must = client.gone && second.exact && server !== null && !lapsed;
    oracle.allow('second', cause, must ? [] : OVER, must);
  }
  const { up } = pair;
  // The dead report no loss.
  if (client.gone) oracle.history.lost(up.name, { from: up.delivered, count: up.accepted.length - up.delivered, exact: false });
  // A process that died and has no heir leaves the server waiting.
  const orphaned = client.gone && !inherited;
  if (server?.closed === true) oracle.allow(server.name, server.cause, orphaned ? ['ERR_EXPIRED'] : [], true);
}
