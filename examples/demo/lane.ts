// One stream of the demo: a server, a ChaosProxy before it, a client, and one session through all three. One end sends numbered
// messages at a steady pace, the other judges what it is handed.

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Framing, type Session, SessionClient, type SessionError, SessionServer } from 'outlast';
import { ChaosProxy, type Plan, type Random } from 'outlast/testing';
import { HEARTBEAT_MS, redialSoon } from './haste.ts';
import type { Spoil } from './spoil.ts';
import { ReceivedTally, SentTally } from './tally.ts';

export interface LaneOptions {
  readonly name: string;
  readonly framing: Framing<Buffer>;
  /** up: the client sends. down: the server sends. */
  readonly direction: 'up' | 'down';
  readonly messages: Iterator<Buffer, never, void>;
  readonly bytesPerSecond: number;
  readonly seed: number;
  /** What the receiver is handed in place of a message: that message, unless the demo spoils it to show that it would notice. */
  readonly spoil: Spoil;
}

const CATCH_UP_MS = 50;

export class Lane {
  readonly options: LaneOptions;
  readonly sent: SentTally = new SentTally();
  readonly received: ReceivedTally = new ReceivedTally();
  readonly proxy: ChaosProxy;
  readonly #server: SessionServer;
  readonly #client: SessionClient;
  readonly #session: Session;
  readonly #peer: Session;
  #stopping = false;

  private constructor(options: LaneOptions, server: SessionServer, proxy: ChaosProxy, client: SessionClient, ends: [Session, Session]) {
    this.options = options;
    this.#server = server;
    this.proxy = proxy;
    this.#client = client;
    [this.#session, this.#peer] = ends;
    redialSoon(client);
  }

  static async open(options: LaneOptions): Promise<Lane> {
    const { framing, seed } = options;
    const server = new SessionServer({ framing, heartbeatMs: HEARTBEAT_MS });
    const { port } = await server.listen({ port: 0 });
    const proxy = new ChaosProxy({ target: { port }, seed, plan: (_index, random) => cutInTraffic(options, random) });
    const client = new SessionClient({ framing, heartbeatMs: HEARTBEAT_MS, port: await proxy.listen() });
    const accepted = once(server, 'session') as Promise<[Session]>;
    const session = await client.open({ retry: true });
    const [peer] = await accepted;
    return new Lane(options, server, proxy, client, [session, peer]);
  }

  get attached(): boolean {
    return this.#session.state === 'attached';
  }

  get resumes(): number {
    return this.#session.stats.resumes;
  }

  get rttMs(): number {
    return this.#session.stats.rttMs;
  }

  /** Bytes that were written again after a cut. */
  get replayedBytes(): number {
    return this.#session.stats.replayedBytes + this.#peer.stats.replayedBytes;
  }

  /** Sends until stop(); resolves when both ends have closed in order, rejects with what went wrong. */
  async run(): Promise<void> {
    const [sender, receiver] = this.options.direction === 'up' ? [this.#session, this.#peer] : [this.#peer, this.#session];
    const ends = [this.#session, this.#peer].map((session) => closed(session));
    await Promise.all([this.#send(sender), this.#receive(receiver), ...ends]);
  }

  /** The message under way is the last one. No more faults from here on. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.proxy.heal();
  }

  async close(): Promise<void> {
    await this.#client.close();
    await this.proxy.close();
    await this.#server.close();
  }

  async #send(session: Session): Promise<void> {
    let dueMs = performance.now();
    while (!this.#stopping) {
      const message = this.sent.number(this.options.messages.next().value);
      if (!session.send(message)) await session.drained();
      dueMs = Math.max(dueMs, performance.now() - CATCH_UP_MS) + (message.length / this.options.bytesPerSecond) * 1000;
      const earlyMs = dueMs - performance.now();
      if (earlyMs > 5) await sleep(earlyMs);
    }
    session.end();
  }

  async #receive(session: Session): Promise<void> {
    let index = 0;
    for await (const message of session) {
      for (const seen of this.options.spoil(message, index++)) this.received.take(seen, performance.now());
    }
  }
}

async function closed(session: Session): Promise<void> {
  const [cause] = (await once(session, 'close')) as [SessionError | undefined];
  if (cause !== undefined) throw cause;
}

/** Most circuits are cut in the middle of the traffic; some in the handshake or the first acks, where it hurts most. */
function cutInTraffic({ direction, bytesPerSecond }: LaneOptions, random: Random): Plan {
  const how = random.pick(['fin', 'rst'] as const);
  const traffic = random.integer(0, bytesPerSecond * 0.75);
  const other = direction === 'up' ? 'down' : 'up';
  if (random.chance(0.7)) return { how, cutAfter: { [direction]: traffic } };
  return { how, cutAfter: { [random.pick([direction, other])]: random.integer(0, 400) } };
}
