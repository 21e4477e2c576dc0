// One world: the library's own server and client in one process, on a virtual network in virtual time, with applications that do what a
// plan says, faults that stop after a while, and an oracle that sees everything.

import type { Duplex } from 'node:stream';
import { type Budget, processBudget } from '../../lib/budget.ts';
import { SessionClient } from '../../lib/client.ts';
import { SessionError } from '../../lib/errors.ts';
import type { Limits } from '../../lib/options.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { Random } from '../../lib/testing/random.ts';
import { Clock, Host } from './clock.ts';
import { Faults } from './faults.ts';
import { framingOf, type Message } from './messages.ts';
import { Network } from './network.ts';
import { Oracle, Stream } from './oracle.ts';
import { Party, type PartyOptions } from './party.ts';
import type { Plan, SidePlan } from './plan.ts';
import { Trace } from './trace.ts';
import { Witness } from './witness.ts';

/** One session: what its two ends know of it. */
export interface Pair {
  readonly id: string;
  readonly number: number;
  /** By the server's clock, when the client began: the server may have known, and lost it, long before the client heard. */
  readonly begunMs: number;
  readonly up: Stream;
  readonly down: Stream;
  readonly client: Party;
  server: Party | null;
}

export type PartyChange = Partial<Pick<PartyOptions, 'deaf' | 'throwsAt' | 'closeTimeoutMs'>>;

const MIB = 1_048_576;

export class World {
  readonly plan: Plan;
  readonly trace: Trace;
  readonly clock: Clock;
  readonly oracle: Oracle;
  readonly network: Network;
  readonly witness: Witness;
  readonly faults: Faults;
  readonly random: Random;
  readonly serverHost: Host;
  readonly clientHost: Host;
  readonly hosts: Host[];
  readonly server: SessionServer<Message>;
  readonly stranger: SessionServer<Message>;
  readonly client: SessionClient<Message>;
  /** All of them, second processes too. */
  readonly clients: SessionClient<Message>[];
  readonly pairs: Map<string, Pair> = new Map();
  readonly budget: Budget = processBudget(512 * MIB);
  /** Sessions being opened: their dials carry an OPEN. */
  opening: number = 0;
  /** Opens that nobody waits for any more, and how many there were. */
  readonly giveUp: AbortController = new AbortController();
  abandoned: number = 0;
  /** A frame was put in that breaks a rule. */
  offended: boolean = false;
  /** What clocks have lost: so much later alarms ring that were armed before. */
  lostMs: number = 0;
  /** What one side does differently, as its family asks. */
  change: (side: 'client' | 'server', number: number) => PartyChange = () => ({});
  onPair: (pair: Pair) => void = () => {};
  onServed: (server: Party) => void = () => {};
  readonly #clientHosts: Map<SessionClient<Message>, Host> = new Map();
  /** RESUMEs whose MAC was good and that have had no verdict: these signals are not aborted. */
  readonly #judged: Set<AbortSignal> = new Set();

  constructor(plan: Plan, verbose: boolean) {
    this.plan = plan;
    this.trace = new Trace(verbose);
    this.clock = new Clock(this.trace);
    this.oracle = new Oracle(this.clock);
    this.faults = new Faults(plan);
    this.random = new Random(plan.seed, 3);
    this.serverHost = this.makeHost('server');
    this.clientHost = this.makeHost('client');
    this.hosts = [this.serverHost, this.clientHost];
    this.witness = new Witness(this.clock, this.oracle.history, plan.family === 'evict');
    this.network = new Network(
      this.clock,
      new Random(plan.seed, 4),
      { ...plan.network },
      {
        outside: this.makeHost('outside'),
        witness: this.witness,
        complain: (who, what) => this.oracle.fail(who, what),
      },
    );
    this.server = this.#makeServer();
    this.stranger = this.#makeServer();
    this.server.on('session', (session) => this.#served(session));
    this.stranger.on('session', () => this.oracle.fail('stranger', 'a session'));
    this.client = this.makeClient(this.clientHost);
    this.clients = [this.client];
  }

  get nowMs(): number {
    return this.clock.nowMs;
  }

  makeHost(name: string): Host {
    const { alarmSlackMs, alarmsFirst } = this.plan;
    return new Host(name, this.clock, this.random, { alarmSlackMs, alarmsFirst });
  }

  makeClient(host: Host): SessionClient<Message> {
    const client = new SessionClient<Message>({
      ...this.#shared(host, this.plan.client),
      credentials: 'somebody',
      allowCleartextCredentials: true,
      connect: (_address, { signal }) => this.#dial(host, signal),
    });
    this.#clientHosts.set(client, host);
    client.on('retry', ({ attempt, delayMs, cause }) => this.trace.note(this.nowMs, host.name, `retry ${attempt} ${cause.code}`, delayMs));
    return client;
  }

  hostOf(client: SessionClient<Message>): Host {
    return this.#clientHosts.get(client) as Host;
  }

  /** Opens one more session, and starts its application. */
  async open(number: number): Promise<void> {
    this.opening++;
    const { signal } = this.giveUp;
    const begunMs = this.serverHost.now();
    const session = await this.client.open({ retry: true, signal }).catch((error: unknown) => {
      if (!SessionError.is(error, 'ERR_ABORTED')) throw error;
    });
    this.opening--;
    if (session === undefined) {
      this.abandoned++;
      return;
    }
    const up = new Stream(`${number} up`);
    const down = new Stream(`${number} down`);
    const options = this.partyOptions('client', this.clientHost, number, up, down);
    const client = new Party(`client ${number}`, session, options);
    client.onAttached = () => this.#attached();
    const pair: Pair = { id: session.id, number, begunMs, up, down, client, server: null };
    this.pairs.set(session.id, pair);
    this.onPair(pair);
    client.start();
  }

  partyOptions(side: 'client' | 'server', host: Host, number: number, out: Stream, into: Stream): PartyOptions {
    const { plan, clock, oracle } = this;
    return {
      clock,
      host,
      oracle,
      random: new Random(plan.seed, 100 + number * 2 + (side === 'client' ? 0 : 1)),
      plan: plan[side],
      framing: plan.framing,
      echo: side === 'server' && plan.echo,
      closeTimeoutMs: plan.closeTimeoutMs,
      holdMs: plan.holdMs,
      outboxHardCap: this.#hardCap(plan[side]),
      out,
      into,
      author: number * 2 + (side === 'client' ? 0 : 1),
      send: side === 'server' ? this.#broadcastNowAndThen(number) : (session, message, lend) => session.send(message, { lend }),
      deaf: false,
      throwsAt: Infinity,
      hurry: () => this.faults.healed,
      brimBytes: plan[side].traffic.brim ? plan[side === 'server' ? 'client' : 'server'].window : 0,
      offended: () => this.offended,
      congested: () => this.network.congested(host),
      ...this.change(side, number),
    };
  }

  /** Faults stop: the network is fast and whole, nobody pauses any more. Connections that died without a word stay dead. */
  heal(): void {
    this.trace.note(this.nowMs, 'world', 'healed');
    this.faults.healed = true;
    Object.assign(this.network.options, {
      delayMs: Math.min(1, this.network.options.delayMs),
      jitterMs: 0,
      chunkBytes: 65_536,
      capacity: MIB,
    });
    this.network.heal();
  }

  /** After faults have stopped: time enough to find a dead circuit and to make two attempts at a new one. */
  get patienceMs(): number {
    const { heartbeatMs, connectMs } = this.plan;
    return this.lostMs + 2 * heartbeatMs + 5_000 + 30_000 + 2 * (connectMs + this.#verdictMs) + 10_000;
  }

  get #verdictMs(): number {
    return this.plan.handshakeMs + this.#hookMs;
  }

  get #hookMs(): number {
    return 2_000 + this.plan.authorizeMs;
  }

  #limits(side: SidePlan): Partial<Limits> {
    const { messageBytes, socketBytes, connectMs, handshakeMs, tombstones } = this.plan;
    const { batchMessages, outboxHighWater } = side;
    const outboxHardCap = this.#hardCap(side);
    return {
      messageBytes,
      socketBytes,
      connectMs,
      handshakeMs,
      hookMs: this.#hookMs,
      tombstones,
      batchMessages,
      outboxHighWater,
      outboxHardCap,
    };
  }

  #hardCap(side: SidePlan): number {
    return 2 * (side.outboxHighWater + this.plan.messageBytes) + 4_096;
  }

  #shared(host: Host, side: SidePlan) {
    const { framing, heartbeatMs, holdMs, seed } = this.plan;
    const { window, allowHalfOpen } = side;
    const flushMs = new Random(seed, side === this.plan.client ? 9 : 10).pick([0, 0, 0, 0, 0, 1, 30]);
    if (flushMs > 0) this.clock.coverage.count('messages gathered for an interval');
    return { framing: framingOf(framing), heartbeatMs, holdMs, window, allowHalfOpen, flushMs, limits: this.#limits(side), runtime: host };
  }

  #makeServer(): SessionServer<Message> {
    const { challenge, onDuplicate, authorizeMs } = this.plan;
    return new SessionServer<Message>({
      ...this.#shared(this.serverHost, this.plan.server),
      challenge,
      onDuplicate,
      authenticate: () => (onDuplicate === 'parallel' ? true : 'somebody'),
      ...(authorizeMs === 0 ? {} : { authorizeResume: (_request, { signal }) => this.#authorize(signal) }),
    });
  }

  /** One of eight messages goes as a broadcast, in order with the others. */
  #broadcastNowAndThen(number: number): PartyOptions['send'] {
    const random = new Random(this.plan.seed, 10_000 + number);
    return (session, message, lend) => {
      if (!random.chance(0.125)) return session.send(message, { lend });
      const { full, refused } = this.server.broadcast(message, { to: [session], lend });
      if (refused[0] !== undefined) throw refused[0].error;
      this.clock.coverage.count('broadcast among messages');
      return full.length === 0;
    };
  }

  #attached(): void {
    this.faults.attached();
    // One session has one attempt at a time, so all that was dialed for it has had its verdict.
    if (this.plan.sessions === 1 && this.clients.length === 1) for (const recording of this.network.recordings) recording.settled = true;
  }

  async #authorize(signal: AbortSignal): Promise<boolean> {
    this.#judged.add(signal);
    const beganMs = this.serverHost.now();
    const server = [...this.pairs.values()][0]?.server;
    const expiresMs = server?.expiresMs ?? Infinity;
    await this.clock.sleep(this.serverHost, this.faults.integer(0, this.plan.authorizeMs));
    if (beganMs < expiresMs && this.serverHost.now() >= expiresMs && !signal.aborted)
      this.clock.coverage.count('RESUME judged across the end of the hold time');
    return true;
  }

  #dial(host: Host, signal: AbortSignal): Promise<Duplex> {
    const dial = this.faults.dial(this.opening === 0 && this.pairs.size === 1, this.nowMs, host === this.clientHost);
    const to = dial.kind === 'stranger' ? this.stranger : this.server;
    return this.network.dial(host, this.serverHost, dial, (end) => to.accept(end), signal);
  }

  #served(session: Session<Message>): void {
    const pair = this.pairs.get(session.id);
    if (pair === undefined) return this.oracle.fail('server', 'a session that no client has opened');
    if (pair.server !== null) return this.oracle.fail('server', `the session event of ${pair.number} came twice`);
    const { number, up, down } = pair;
    const options = this.partyOptions('server', this.serverHost, number, down, up);
    pair.server = new Party(`server ${number}`, session, options);
    session.once('close', (cause) => {
      const judging = [...this.#judged].some((signal) => !signal.aborted);
      if (judging && cause?.code === 'ERR_EXPIRED' && this.plan.sessions === 1)
        this.oracle.fail('server', 'expired while it judged a RESUME');
    });
    this.onServed(pair.server);
    const { server } = pair;
    // Announced by a CONFIRM, or by a RESUME that passed: with a circuit, in the same turn.
    this.clock.defer(() => {
      if (server.circuits === 0) this.oracle.fail(server.name, 'announced without a circuit');
    });
    server.start();
  }
}
