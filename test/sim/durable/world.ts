// A world of durable sessions: a client and two server nodes, each a process that can be killed at any event and comes back empty, over
// a network that cuts and a store that is late, lost and away; or without a store, where all that nodes have is what the client shows
// them. Messages count on session.data at both ends; whatever died, each must act once and in order, and pushes of an idle session as well.

import type { Duplex } from 'node:stream';
import { SessionClient } from '../../../lib/client.ts';
import { SessionError } from '../../../lib/errors.ts';
import { lines } from '../../../lib/framing/lines.ts';
import type { Address } from '../../../lib/options.ts';
import { SessionServer } from '../../../lib/server.ts';
import type { Session } from '../../../lib/session.ts';
import { Random } from '../../../lib/testing/random.ts';
import { type Keyring, keyring } from '../../../lib/tickets/keyring.ts';
import { Clock, Host } from '../clock.ts';
import { type Fate, unharmed } from '../lane.ts';
import { type Dial, Network } from '../network.ts';
import { Oracle } from '../oracle.ts';
import { Trace } from '../trace.ts';
import { Witness } from '../witness.ts';
import { SimStore } from './store.ts';

/** Where the nodes keep their sessions; `detach`: in a store while no circuit carries them. A client without a store is not killed. */
export type Kept = 'store' | 'tickets' | 'detach';

export interface DurablePlan {
  readonly seed: number;
  readonly kept: Kept;
  readonly messages: number;
  readonly pushes: number;
  /** Handlers take 0 to so many milliseconds; 0: they are synchronous. */
  readonly handlerMs: number;
  /** Mean time between two deaths of server nodes, and of the client; Infinity: none. */
  readonly nodeLifeMs: number;
  readonly clientLifeMs: number;
  /** A node is sometimes closed in order instead. */
  readonly closesInOrder: boolean;
  readonly cutChance: number;
  readonly networkMs: number;
  readonly storeMs: number;
  readonly storeFaults: number;
  /** How often a call or an answer takes up to two seconds. */
  readonly storeLate: number;
  readonly faultyMs: number;
  readonly window: number;
  /** What is added to each answer, and to session.data of the nodes. */
  readonly fillBytes: number;
  readonly dataBytes: number;
  /** What a node does with a session that another has. */
  readonly peering: 'takeover' | 'redirect';
}

export function makeDurablePlan(seed: number): DurablePlan {
  const random = new Random(seed, 11);
  return {
    seed,
    kept: 'store',
    messages: random.pick([5, 40, 150]),
    pushes: random.pick([0, 10]),
    handlerMs: random.pick([0, 0, 5, 50]),
    nodeLifeMs: random.pick([Infinity, 100, 400, 1_500]),
    clientLifeMs: random.pick([Infinity, Infinity, 200, 1_000]),
    closesInOrder: random.chance(0.3),
    cutChance: random.pick([0, 0.3, 0.8]),
    networkMs: random.pick([0, 3, 30]),
    storeMs: random.pick([0, 2, 20]),
    storeFaults: random.pick([0, 0, 0.05, 0.2]),
    storeLate: random.pick([0.02, 0.02, 0.2]),
    faultyMs: random.pick([500, 3_000, 10_000]),
    window: WINDOW,
    fillBytes: 0,
    dataBytes: 0,
    peering: random.chance(0.4) ? 'redirect' : 'takeover',
  };
}

/** The same without a store. A narrow window makes answers leave in steps, and large data makes tickets follow RESUME. */
export function makeTicketPlan(seed: number): DurablePlan {
  const random = new Random(seed, 15);
  return {
    ...makeDurablePlan(seed),
    kept: 'tickets',
    clientLifeMs: Infinity,
    storeFaults: 0,
    window: random.pick([WINDOW, 16_384, 4_096]),
    fillBytes: random.pick([0, 0, 50, 500]),
    dataBytes: random.pick([0, 0, 100, 9_000]),
    peering: 'takeover',
  };
}

/** A store that is written while no circuit carries a session. What a crash takes with it must be told, and never run again in silence. */
export function makeDetachPlan(seed: number): DurablePlan {
  const random = new Random(seed, 16);
  return {
    ...makeDurablePlan(seed),
    kept: 'detach',
    clientLifeMs: Infinity,
    nodeLifeMs: random.pick([Infinity, 400, 1_500, 5_000]),
    closesInOrder: random.chance(0.7),
    cutChance: random.pick([0.3, 0.8]),
  };
}

export interface DurableOutcome {
  readonly failures: readonly string[];
  readonly hash: number;
  /** Deaths of server nodes and of clients, and what the store went through. */
  readonly kinds: Readonly<Record<string, number>>;
  readonly trace: readonly string[];
}

/** What both ends keep in session.data. */
interface Progress {
  /** Messages acted on. */
  readonly seen: number;
  readonly sum: number;
  /** Messages sent by this end's own will. */
  readonly told: number;
  readonly pushed: number;
  readonly filler?: string;
}

const START: Progress = { seen: 0, sum: 0, told: 0, pushed: 0 };
const PATIENCE_MS = 400_000;
const NODES = 2;
const WINDOW = 2 * 1024 * 1024;
const MESSAGE_BYTES = 1_024;
const SECRET = Buffer.from('9d4e1c77a2b05f3866e1d9487b20cc35f1a86d0e43975bb2c81f60da247e93b8', 'hex');
const WALL_MS = 1_700_000_000_000;

class DurableWorld {
  readonly plan: DurablePlan;
  readonly clock: Clock;
  readonly oracle: Oracle;
  readonly network: Network;
  readonly store: SimStore;
  readonly ring: Keyring;
  readonly #fill: string;
  readonly random: Random;
  readonly kinds: Record<string, number> = {};
  readonly nodes: { host: Host; server: SessionServer<string> | null }[] = [];
  clientHost: Host;
  client: SessionClient<string> | null = null;
  healed: boolean = false;
  /** The client's session has ended, and how. */
  over: { readonly cause: SessionError | undefined; readonly progress: Progress } | null = null;
  #lives = 0;
  /** Messages that any node has begun to act on. */
  #begun = 0;
  /** A node has gone, which may have had the session. */
  #crashed = false;

  constructor(plan: DurablePlan, verbose: boolean) {
    this.plan = plan;
    this.random = new Random(plan.seed, 12);
    this.clock = new Clock(new Trace(verbose));
    this.oracle = new Oracle(this.clock);
    const witness = new Witness(this.clock, this.oracle.history, true);
    const complain = (who: string, what: string): void => this.oracle.fail(who, what);
    const lane = {
      delayMs: plan.networkMs,
      jitterMs: plan.networkMs,
      capacity: 65_536,
      chunkBytes: 1_000,
      together: false,
      resetOvertakes: true,
    };
    const options = { ...lane, transport: 'loopback' as const, highWaterMark: 16_384 };
    this.network = new Network(this.clock, new Random(plan.seed, 13), options, { outside: this.makeHost('outside'), witness, complain });
    const trouble = {
      delayMs: plan.storeMs,
      lostChance: plan.storeFaults,
      unansweredChance: plan.storeFaults,
      lateMs: 2_000,
      lateChance: plan.storeLate,
    };
    this.store = new SimStore(this.clock, new Random(plan.seed, 14), trouble, complain);
    this.ring = keyring([SECRET], { audience: 'sim', now: () => WALL_MS + this.clock.nowMs });
    this.#fill = 'x'.repeat(plan.fillBytes);
    for (let i = 0; i < NODES; i++) this.startNode(i);
    this.clientHost = this.makeHost('client');
  }

  makeHost(name: string): Host {
    return new Host(`${name}${this.#lives++}`, this.clock, this.random, { alarmSlackMs: 0, alarmsFirst: false });
  }

  count(kind: string): void {
    this.kinds[kind] = (this.kinds[kind] ?? 0) + 1;
  }

  // ---------------------------------------------------------------- server nodes

  startNode(i: number): void {
    const host = this.makeHost(`node ${i} life `);
    const { peering, kept } = this.plan;
    const server = new SessionServer<string>({
      framing: lines(),
      ...(peering === 'redirect' ? { peering, address: `node:${i}` } : {}),
      ...(kept === 'tickets' ? { tickets: this.ring } : { store: this.store.of(host) }),
      ...(kept === 'detach' ? { durability: 'detach' } : {}),
      runtime: host,
      holdMs: 3_600_000,
      window: this.plan.window,
      limits: { takeovers: 1_000_000, messageBytes: MESSAGE_BYTES },
    });
    server.on('session', (session) => this.#serve(host, session));
    server.on('rejected', ({ message }) => {
      if (message.includes('live elsewhere')) this.count('sent on');
    });
    this.nodes[i] = { host, server };
  }

  /** SIGKILL: nothing of it happens any more. What it sent is on its way. */
  killNode(i: number): void {
    const node = this.nodes[i] as { host: Host; server: SessionServer<string> | null };
    if (node.server === null) return;
    this.count('node killed');
    this.#crashed = true;
    this.clock.trace.note(this.clock.nowMs, node.host.name, 'killed');
    this.network.bury(node.host, this.random.chance(0.7) ? 'rst' : 'silent');
    node.host.die();
    node.server = null;
    this.clock.after(this.random.integer(0, 300), null, () => this.startNode(i));
  }

  closeNode(i: number): void {
    const node = this.nodes[i] as { host: Host; server: SessionServer<string> | null };
    if (node.server === null) return;
    this.count('node closed');
    const { server } = node;
    // It waits for its store for a second, and no longer.
    this.#crashed = true;
    node.server = null;
    const closed = (): void => {
      if (!node.host.dead) this.startNode(i);
    };
    server.close().then(closed, (error: unknown) => this.oracle.fail(node.host.name, `close() failed: ${String(error)}`));
  }

  #serve(host: Host, session: Session<string>): void {
    // A restored one has none where its first process died behind the record's making.
    session.data ??= { ...START, filler: 'x'.repeat(this.plan.dataBytes) };
    const progress = (): Progress => session.data as Progress;
    this.#guard(host, session);
    session.receive((line) => {
      const { seen, sum } = progress();
      if (line !== `m${seen}`) this.oracle.fail(host.name, `message ${line} came where m${seen} was due`);
      if (this.plan.kept === 'detach' && seen < this.#begun) this.oracle.fail(host.name, `message ${line} ran a second time`);
      this.#begun = seen + 1;
      session.send(`a${seen} ${sum + seen}${this.#fill}`);
      const done = (): void => {
        session.data = { ...(session.data as Progress), seen: seen + 1, sum: sum + seen };
      };
      if (this.plan.handlerMs === 0) return done();
      // The answer is written, and the data not yet: nothing of it may be stored before both are.
      return this.clock.sleep(host, this.random.integer(0, this.plan.handlerMs)).then(done);
    });
    this.#pushNow(host, session);
  }

  /** The node takes no circuit that the store did not grant it, and is fenced by another process only. */
  #guard(host: Host, session: Session<string>): void {
    const { audit } = this.store;
    let taken = session.restored ? 0 : -1;
    session.on('attached', () => {
      taken++;
      if (this.plan.kept === 'store' && taken > audit.grants(host, session.id))
        this.oracle.fail(host.name, `took ${taken} circuits, and was granted ${audit.grants(host, session.id)}`);
    });
    session.on('close', (cause) => {
      if (this.plan.kept === 'store' && SessionError.is(cause, 'ERR_FENCED') && audit.owns(host, session.id))
        this.oracle.fail(host.name, 'was fenced, and nobody else was granted its record');
    });
  }

  /** Pushes of its own will, beside the messages, in one turn with the count of them: at a boundary, or in the middle of a message. */
  #pushNow(host: Host, session: Session<string>): void {
    this.clock.after(this.random.integer(1, 100), host, () => {
      const progress = session.data as Progress;
      if (session.state === 'closed' || progress.pushed >= this.plan.pushes) return;
      try {
        session.send(`p${progress.pushed}`);
        session.data = { ...(session.data as Progress), pushed: progress.pushed + 1 };
      } catch (error) {
        // The session has ended its half.
        if (!SessionError.is(error)) throw error;
        return;
      }
      this.#pushNow(host, session);
    });
  }

  // ---------------------------------------------------------------- the client

  async startClient(): Promise<void> {
    const host = this.makeHost('client life ');
    this.clientHost = host;
    const durable = this.plan.kept === 'store';
    const client = new SessionClient<string>({
      framing: lines(),
      ...(durable ? { store: this.store.of(host) } : {}),
      runtime: host,
      window: this.plan.window,
      limits: { messageBytes: MESSAGE_BYTES },
      ...(this.plan.peering === 'redirect' ? { addresses: this.nodes.map((_, port) => ({ host: 'node', port })) } : {}),
      connect: (address, { signal }) => this.#dial(host, address, signal),
    });
    this.client = client;
    let session: Session<string>;
    try {
      session = await client.open(durable ? { key: 'it', retry: true } : { retry: true });
    } catch (error) {
      if (host.dead) return;
      this.over = { cause: error as SessionError, progress: START };
      return;
    }
    if (host.dead) return;
    this.#talk(host, session);
  }

  killClient(): void {
    if (this.over !== null || this.clientHost.dead) return;
    this.count('client killed');
    this.clock.trace.note(this.clock.nowMs, this.clientHost.name, 'killed');
    this.network.bury(this.clientHost, this.random.chance(0.7) ? 'rst' : 'silent');
    this.clientHost.die();
    this.clock.after(this.random.pick([0, this.random.integer(0, 500)]), null, () => this.begin());
  }

  begin(): void {
    this.startClient().catch((error: unknown) => this.oracle.fail('client', String(error)));
  }

  #talk(host: Host, session: Session<string>): void {
    session.data ??= START;
    const progress = (): Progress => session.data as Progress;
    const end = (cause: SessionError | undefined): void => {
      if (!host.dead) this.over = { cause, progress: progress() };
    };
    if (session.state === 'closed') return end(undefined);
    session.on('close', end);
    session.receive((line) => {
      if (line.startsWith('p')) {
        const { pushed } = progress();
        if (line !== `p${pushed}`) this.oracle.fail(host.name, `push ${line} came where p${pushed} was due`);
        session.data = { ...progress(), pushed: pushed + 1 };
        return;
      }
      const { seen, sum } = progress();
      const due = `a${seen} ${sum + seen}${this.#fill}`;
      if (line !== due) this.oracle.fail(host.name, `answer ${line} came where ${due} was due`);
      session.data = { ...progress(), seen: seen + 1, sum: sum + seen };
    });
    this.#tell(host, session);
  }

  /** Sends what is left, some at a time; then waits for all answers and ends. */
  #tell(host: Host, session: Session<string>): void {
    this.clock.after(this.random.integer(0, 40), host, () => {
      if (session.state === 'closed') return;
      const { messages, pushes } = this.plan;
      let { told } = session.data as Progress;
      for (let left = this.random.integer(1, 30); left > 0 && told < messages; left--) session.send(`m${told++}`);
      session.data = { ...(session.data as Progress), told };
      const { seen, pushed } = session.data as Progress;
      if (told === messages && seen === messages && pushed === pushes) session.end();
      else this.#tell(host, session);
    });
  }

  /** @param address undefined: any node. Where there is one a balancer sends some elsewhere all the same */
  #dial(host: Host, address: Address | undefined, signal: AbortSignal): Promise<Duplex> {
    const wanted =
      address !== undefined && 'port' in address && !this.random.chance(0.3) ? address.port : this.random.integer(0, NODES - 1);
    const node = this.nodes[wanted] as { host: Host; server: SessionServer<string> | null };
    const { server } = node;
    const delayMs = this.random.integer(0, this.plan.networkMs);
    const dial: Dial = server === null ? { kind: 'refused', delayMs } : { kind: 'server', delayMs, fate: this.#fate() };
    return this.network.dial(host, node.host, dial, (end) => (server === null ? end.destroy() : server.accept(end)), signal);
  }

  #fate(): Fate {
    if (this.healed || !this.random.chance(this.plan.cutChance)) return unharmed;
    const at = this.random.pick([400, 2_000, 8_000]);
    const half = this.random.chance(0.2);
    const ends = { clientLearnsMs: this.random.integer(0, 50), serverLearnsMs: half ? Infinity : this.random.integer(0, 50) };
    if (this.random.chance(0.5)) return { ...unharmed, ...ends, cutUp: this.random.integer(0, at) };
    return { ...unharmed, ...ends, cutDown: this.random.integer(0, at) };
  }

  // ---------------------------------------------------------------- the whole

  /** Deaths and outages, at random, until faults stop. */
  trouble(): void {
    const again = (meanMs: number, act: () => void): void => {
      if (meanMs === Infinity) return;
      this.clock.after(this.random.integer(1, meanMs * 2), null, () => {
        if (this.healed) return;
        act();
        again(meanMs, act);
      });
    };
    again(this.plan.nodeLifeMs, () => {
      const i = this.random.integer(0, NODES - 1);
      if (this.plan.closesInOrder && this.random.chance(0.5)) this.closeNode(i);
      else this.killNode(i);
    });
    again(this.plan.clientLifeMs, () => this.killClient());
    if (this.plan.storeFaults > 0)
      again(2_000, () => {
        this.count('store away');
        this.store.awayUntilMs = this.clock.nowMs + this.random.integer(0, 1_000);
      });
    if (this.plan.nodeLifeMs === Infinity)
      again(300, () => {
        this.count('move');
        this.client?.nudge();
      });
  }

  heal(): void {
    this.healed = true;
    this.store.healed = true;
    this.store.awayUntilMs = 0;
    this.network.heal();
  }

  judge(): void {
    const { over, plan, oracle } = this;
    if (over === null) return oracle.fail('world', 'the session has not ended');
    if (over.cause !== undefined && plan.kept === 'detach' && this.#crashed && over.cause.code === 'ERR_STATE_LOST') {
      if (!/the server has .*, this end /.test(over.cause.message)) oracle.fail('client', `not both numbers: ${over.cause.message}`);
      return this.count('crash told');
    }
    if (over.cause !== undefined) {
      // The node died before it had made a record of the session that it had confirmed: nothing was acked where that is held back.
      const heldBack = plan.kept !== 'detach';
      const nothing = over.progress.seen === 0 && over.progress.pushed === 0;
      const neverMade = over.cause.code === 'ERR_UNKNOWN_SESSION' && (nothing || !heldBack);
      if (!neverMade) oracle.fail('client', `ended with ${over.cause.message}`);
      else this.count('ended before its record was made');
      return;
    }
    const { seen, sum, pushed } = over.progress;
    const right = (plan.messages * (plan.messages - 1)) / 2;
    if (seen !== plan.messages || sum !== right)
      oracle.fail('client', `${seen} answers with sum ${sum}, ${plan.messages} with ${right} were due`);
    if (pushed !== plan.pushes) oracle.fail('client', `${pushed} pushes, ${plan.pushes} were due`);
    this.count('sum exact');
  }
}

export function simulateDurable(seed: number, verbose: boolean = false): Promise<DurableOutcome> {
  return simulate(makeDurablePlan(seed), verbose);
}

/** Nothing is stored: a node that dies has only what its client shows to the next. */
export function simulateTickets(seed: number, verbose: boolean = false): Promise<DurableOutcome> {
  return simulate(makeTicketPlan(seed), verbose);
}

/** Written while detached only: a crash is told. */
export function simulateDetach(seed: number, verbose: boolean = false): Promise<DurableOutcome> {
  return simulate(makeDetachPlan(seed), verbose);
}

async function simulate(plan: DurablePlan, verbose: boolean): Promise<DurableOutcome> {
  const world = new DurableWorld(plan, verbose);
  const { clock, oracle, store } = world;
  try {
    world.begin();
    world.trouble();
    const done = (): boolean => world.over !== null;
    await clock.run(plan.faultyMs, done);
    world.heal();
    await clock.run(clock.nowMs + PATIENCE_MS, done);
    world.judge();
    const ends = world.nodes.map(({ server }) => server?.close());
    await clock.run(clock.nowMs + 120_000, () => false);
    await Promise.all(ends);
  } catch (error) {
    oracle.fail('world', error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  const kinds = { ...world.kinds, ...store.counts, cuts: world.network.cuts };
  return { failures: oracle.failures, hash: clock.trace.hash, kinds, trace: clock.trace.lines ?? [] };
}
