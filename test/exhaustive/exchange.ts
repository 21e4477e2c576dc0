// One scripted exchange in both directions on the simulator's network: messages, flushed(), END and clean close, while its first circuits
// have the fate that the caller gives them. What both applications saw comes out.

import type { Duplex } from 'node:stream';
import { SessionClient } from '../../lib/client.ts';
import type { SessionError } from '../../lib/errors.ts';
import { lines } from '../../lib/framing/lines.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { History } from '../../lib/testing/history.ts';
import { Random } from '../../lib/testing/random.ts';
import { Clock, Host } from '../sim/clock.ts';
import { type Fate, unharmed } from '../sim/lane.ts';
import { Network } from '../sim/network.ts';
import { Trace } from '../sim/trace.ts';
import { Witness } from '../sim/witness.ts';

export const UP: readonly string[] = ['', 'one', 'two', 'x'.repeat(70), 'four', 'five'];
export const WELCOME = 'welcome';

/**
 * answered: the server reads, and answers each message. deaf server: it closes at once and reads nothing. silent: the same, and nothing is
 * sent to it. deaf client: the client closes at once and reads nothing; the server reads, and answers. bulk: the server sends more than
 * fits the window, to a client that takes its time.
 */
export type Manner = 'answered' | 'deaf server' | 'silent' | 'deaf client' | 'bulk';

export const BULK: readonly string[] = Array.from({ length: 40 }, (_, i) => String.fromCharCode(65 + i).repeat(300));

export interface Exchange {
  /** Of the first circuits, in order; later ones are whole. */
  readonly fates: readonly Partial<Fate>[];
  readonly manner: Manner;
  readonly challenge: 'always' | 'never';
  readonly heartbeatMs: number;
  /** Largest piece in which bytes arrive. */
  readonly chunkBytes: number;
  /** One way. */
  readonly delayMs: number;
  /** Of the jitter. */
  readonly seed: number;
  /** When a first circuit that stands still goes on: once a newer one carries the session, or as soon as its first flight is written. */
  readonly thaws?: 'resumed' | 'dialed';
}

export interface Seen {
  readonly cuts: number;
  /** What stood still on the first circuit was delivered late. */
  readonly thawed: boolean;
  /** Session events of the server. */
  readonly sessions: number;
  readonly up: readonly string[];
  readonly down: readonly string[];
  /** Messages consumed at the server when the client's flushed() resolved; -1: it did not. */
  readonly flushedAt: number;
  /** How the two sides ended: a code, 'clean', or 'never'. */
  readonly client: string;
  readonly server: string;
  /** How close() ended at both. */
  readonly clientClose: string;
  readonly serverClose: string;
  readonly virtualMs: number;
  /** Alarms and open ends that are left. */
  readonly leftovers: number;
}

const PAUSE_MS = 30;
const PATIENCE_MS = 120_000;
const REST_MS = 60_000;

export async function exchange(options: Exchange): Promise<Seen> {
  const script = new Script(options);
  await script.run();
  return script.seen;
}

class Script {
  readonly #options: Exchange;
  readonly #clock: Clock = new Clock(new Trace(false));
  readonly #witness: Witness;
  readonly #network: Network;
  readonly #serverHost: Host;
  readonly #clientHost: Host;
  readonly #server: SessionServer<string>;
  readonly #client: SessionClient<string>;
  readonly #up: string[] = [];
  readonly #down: string[] = [];
  readonly #ends: Record<'client' | 'server' | 'clientClose' | 'serverClose', string> = {
    client: 'never',
    server: 'never',
    clientClose: 'never',
    serverClose: 'never',
  };
  #dials = 0;
  #sessions = 0;
  #flushedAt = -1;
  #endMs = 0;
  #leftovers = 0;
  #thawed = false;

  constructor(options: Exchange) {
    this.#options = options;
    const random = new Random(options.seed);
    const host = (name: string): Host => new Host(name, this.#clock, random, { alarmSlackMs: 0, alarmsFirst: true });
    this.#serverHost = host('server');
    this.#clientHost = host('client');
    const { chunkBytes, challenge, heartbeatMs, delayMs } = options;
    const network = { transport: 'duplex', highWaterMark: 16_384, delayMs, jitterMs: 0, capacity: 65_536 } as const;
    const lanes = { ...network, chunkBytes, together: true, resetOvertakes: true };
    this.#witness = new Witness(this.#clock, new History(), false);
    this.#network = new Network(this.#clock, new Random(2), lanes, {
      outside: host('outside'),
      witness: this.#witness,
      complain: () => {},
    });
    const limits = { handshakeMs: 1_000, hookMs: 1_000, messageBytes: 1_000, outboxHighWater: 20_000 };
    const shared = { framing: lines(), heartbeatMs, window: 4_096, limits };
    this.#server = new SessionServer({ ...shared, runtime: this.#serverHost, challenge });
    this.#server.on('session', (session) => this.#serve(session));
    const connect = (_address: unknown, { signal }: { signal: AbortSignal }): Promise<Duplex> => this.#dial(signal);
    this.#client = new SessionClient({ ...shared, runtime: this.#clientHost, connect });
  }

  get seen(): Seen {
    return {
      cuts: this.#network.cuts,
      thawed: this.#thawed,
      sessions: this.#sessions,
      up: this.#up,
      down: this.#down,
      flushedAt: this.#flushedAt,
      ...this.#ends,
      virtualMs: this.#endMs,
      leftovers: this.#leftovers,
    };
  }

  async run(): Promise<void> {
    const clock = this.#clock;
    this.#speak().catch((error: unknown) => {
      this.#ends.client = String(error);
    });
    if (this.#options.thaws !== undefined) this.#watchFrozen();
    await clock.run(PATIENCE_MS, () => Object.values(this.#ends).every((end) => end !== 'never'));
    this.#endMs = clock.nowMs;
    await clock.run(clock.nowMs + REST_MS, () => false);
    this.#leftovers = this.#serverHost.armed + this.#clientHost.armed + this.#network.openEnds.length;
    for (const session of this.#client.sessions) session.destroy();
    const closed = this.#server.close();
    await clock.run(clock.nowMs + REST_MS, () => false);
    await closed;
  }

  /** The first circuit stands still: the client is told to make another, and then the first goes on. */
  #watchFrozen(): void {
    const [first, ...newer] = this.#network.links;
    const lane = first === undefined ? undefined : [first.up, first.down].find(({ frozen }) => frozen);
    if (lane !== undefined) {
      const { thaws } = this.#options;
      const over = this.#ends.client !== 'never';
      if (over || newer.some((link) => (thaws === 'resumed' ? link.established : link.up.watch?.units === 0))) {
        lane.thaw();
        this.#thawed = true;
        return;
      }
      if (newer.length === 0) this.#client.nudge();
    }
    this.#clock.after(1, null, () => this.#watchFrozen());
  }

  #dial(signal: AbortSignal): Promise<Duplex> {
    const fate = { ...unharmed, ...this.#options.fates[this.#dials++] };
    const accept = (end: Duplex): void => this.#server.accept(end);
    return this.#network.dial(this.#clientHost, this.#serverHost, { kind: 'server', fate, delayMs: 1 }, accept, signal);
  }

  #serve(session: Session<string>): void {
    this.#sessions++;
    session.once('close', (cause) => {
      this.#ends.server = told(cause);
    });
    session.send(WELCOME);
    const { manner } = this.#options;
    if (manner === 'deaf server' || manner === 'silent') return this.#close(session, 'serverClose');
    for (const message of manner === 'bulk' ? BULK : []) session.send(message);
    session.receive((line) => {
      this.#up.push(line);
      if (manner === 'answered') session.send(`re: ${line}`);
    });
    session.once('close', () => this.#close(session, 'serverClose'));
  }

  async #speak(): Promise<void> {
    const session = await this.#client.open({ retry: true });
    session.once('close', (cause) => {
      this.#ends.client = told(cause);
    });
    const { manner } = this.#options;
    for (const message of manner === 'silent' || manner === 'bulk' ? [] : UP) session.send(message);
    if (manner === 'deaf client') return this.#close(session, 'clientClose');
    const reading = this.#read(session);
    if (manner !== 'deaf server') {
      await session.flushed();
      this.#flushedAt = this.#up.length;
    }
    await reading;
    this.#close(session, 'clientClose');
  }

  async #read(session: Session<string>): Promise<void> {
    const last = 1 + (this.#options.manner === 'bulk' ? BULK : UP).length;
    try {
      for await (const batch of session.batches()) {
        this.#down.push(...batch);
        // All of a batch is consumed at one moment, which may lie between RESUME and RESUMED.
        if (this.#options.manner === 'bulk') await this.#clock.sleep(this.#clientHost, PAUSE_MS);
        if (this.#down.length === last) session.end();
      }
    } catch {
      // The session has ended, and `close` has told why.
    }
  }

  #close(session: Session<string>, name: 'clientClose' | 'serverClose'): void {
    session.close().then(
      () => {
        this.#ends[name] = 'clean';
      },
      (error: SessionError) => {
        this.#ends[name] = error.code;
      },
    );
  }
}

function told(cause: SessionError | undefined): string {
  return cause === undefined ? 'clean' : cause.code;
}
