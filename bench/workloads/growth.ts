// W8: what much that is not confirmed costs, for sessions of ours. `resume`: so many bytes are written while no connection is there; how
// long until the other end has them once there is one, and what they took of memory. `fresh`, beside it: as many bytes that lie ready go
// through a new connection of any peer. `acks`: so many messages stay unconfirmed, while for each further step of messages the oldest are
// consumed and acked. Window and caps are raised for it, and nothing else.

import { connect, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { type Session, SessionClient, SessionServer } from 'outlast';
import { lengthPrefix } from 'outlast/framing/length-prefix';
import { settled } from '../memory.ts';
import { Judge, numberOf, Source } from '../payload.ts';
import type { Endpoint, Peer } from '../peer.ts';
import type { Figures, Options, Serving } from '../worker.ts';
import type { Side } from './sides.ts';
import { nowMs } from './stream.ts';

const MIB = 1024 * 1024;
const RAISED = { window: 128 * MIB, limits: { outboxHighWater: 128 * MIB, outboxHardCap: 512 * MIB, processBytes: 1024 * MIB } };
const LONGEST_MS = 20_000;
/** Before what counts, on both ways: what it takes of 64 KiB messages until code and memory of both ends are warm. */
const WARM_PASSES = 6;
const PASS_MESSAGES = 1024;
/** Between what is written and the connection: V8 marks its memory behind 64 MiB of new Buffers, which is what writing costs. */
const OUTAGE_MS = 150;
/** Messages of a step of `acks`: sent in one write, acked by one. */
const STEP = 64;

export const resume: Side = {
  async serve(): Promise<Serving> {
    const judge = new Judge();
    let wanted = Number.POSITIVE_INFINITY;
    let arrived = (): void => {};
    const { server, port } = await listen((session) =>
      session.receive((message) => {
        judge.take(message, 0, message.length);
        if (judge.seen === wanted) arrived();
      }),
    );
    return {
      endpoint: { port },
      /** Waits for the last message; the question is its number. */
      async ask(question) {
        wanted = Number(question);
        if (judge.seen < wanted) {
          await new Promise<void>((resolve) => {
            const timer = setTimeout(resolve, LONGEST_MS);
            arrived = () => {
              clearTimeout(timer);
              resolve();
            };
          });
        }
        return { seen: judge.seen, sum: judge.sum };
      },
      async finish() {
        await server.close();
        return {};
      },
    };
  },

  async run(_peer: Peer, { port }: Endpoint, { bytes = 0, count = 0 }: Options): Promise<Figures> {
    const line = new Line(port);
    const client = new SessionClient({ framing: lengthPrefix(), ...RAISED, connect: () => line.dial() });
    const session = await client.open();
    const source = new Source(bytes, 1);
    for (let i = 0; i < WARM_PASSES; i++) {
      for (let j = 0; j < PASS_MESSAGES; j++) session.send(source.next());
      await session.flushed();
    }
    const write = async (): Promise<void> => {
      const detached = new Promise((resolve) => session.once('detached', resolve));
      line.cut();
      await detached;
      for (let i = 0; i < count; i++) session.send(source.next());
    };
    await write();
    await wait(OUTAGE_MS);
    let attachedMs = Number.NaN;
    session.once('attached', () => {
      attachedMs = nowMs();
    });
    const startMs = nowMs();
    line.mend();
    client.nudge();
    await session.flushed();
    const endMs = nowMs();
    const { made: sent, sum } = source;
    // Memory for itself, and behind it: the collections that it takes to measure it also take the code of what comes next.
    const before = await held();
    await write();
    const heldBytes = (await held()) - before;
    session.destroy();
    await client.close();
    return { sent, sum, connectMs: attachedMs - startMs, ms: endMs - startMs, heldBytes };
  },
};

export const fresh: Side = {
  async serve(peer: Peer, { count = 0 }: Options): Promise<Serving> {
    let connections = 0;
    let judge = new Judge();
    const serving = await peer.serve((link) => {
      const wanted = connections++ < WARM_PASSES ? PASS_MESSAGES : count;
      const own = new Judge();
      judge = own;
      return {
        take(message, start, end) {
          own.take(message, start, end);
          if (own.seen === wanted) link.send(Buffer.alloc(4));
        },
        room() {},
      };
    });
    return {
      endpoint: serving.endpoint,
      ask: async () => ({ seen: judge.seen, sum: judge.sum }),
      async finish() {
        await serving.close();
        return {};
      },
    };
  },

  async run(peer: Peer, endpoint: Endpoint, { bytes = 0, count = 0 }: Options): Promise<Figures> {
    for (let i = 0; i < WARM_PASSES; i++) await transfer(peer, endpoint, bytes, PASS_MESSAGES);
    return transfer(peer, endpoint, bytes, count);
  },
};

/** Through a new connection, until the other end says that it has all. */
async function transfer(peer: Peer, endpoint: Endpoint, bytes: number, count: number): Promise<Figures> {
  const source = new Source(bytes, count);
  const messages = Array.from({ length: count }, () => source.next());
  let confirmed = (): void => {};
  const all = new Promise<void>((resolve) => {
    confirmed = resolve;
  });
  await wait(OUTAGE_MS);
  const startMs = nowMs();
  const link = await peer.connect(endpoint, { take: () => confirmed(), room() {} });
  const connectedMs = nowMs();
  for (const message of messages) link.send(message);
  await all;
  const endMs = nowMs();
  link.close();
  return { sent: source.made, sum: source.sum, connectMs: connectedMs - startMs, ms: endMs - startMs };
}

export const acks: Side = {
  async serve(): Promise<Serving> {
    let main: Session<Buffer> | undefined;
    let wrong = 0;
    let taken = 0;
    const { server, port } = await listen((session) => {
      if (main === undefined) {
        main = session;
        return;
      }
      const messages = main[Symbol.asyncIterator]();
      const answer = Buffer.alloc(4);
      // The other session says when a step was sent: who reads the first cannot know how much is behind.
      session.receive(async () => {
        for (let i = 0; i < STEP; i++) {
          const { value } = await messages.next();
          if (value === undefined || numberOf(value, 0) !== taken++) wrong++;
        }
        main?.send(answer);
      });
    });
    return {
      endpoint: { port },
      async finish() {
        await server.close();
        return { wrong };
      },
    };
  },

  async run(_peer: Peer, { port }: Endpoint, { bytes = 0, unacked = 0, ms = 0 }: Options): Promise<Figures> {
    const client = new SessionClient({ framing: lengthPrefix(), ...RAISED, port });
    const main = await client.open();
    const source = new Source(bytes, 1);
    for (let i = 0; i < unacked; i++) main.send(source.next());
    const other = await client.open();
    const go = Buffer.alloc(4);
    const answers = main[Symbol.asyncIterator]();
    const step = async (): Promise<void> => {
      for (let i = 0; i < STEP; i++) main.send(source.next());
      other.send(go);
      await answers.next();
    };
    for (const untilMs = nowMs() + ms / 2; nowMs() < untilMs; ) await step();
    const before = process.cpuUsage();
    const startMs = nowMs();
    let steps = 0;
    for (; nowMs() < startMs + ms; steps++) await step();
    const tookMs = nowMs() - startMs;
    const { user, system } = process.cpuUsage(before);
    const unackedBytes = main.stats.outboundBytes;
    main.destroy();
    other.destroy();
    await client.close();
    return { count: steps * STEP, ms: tookMs, senderMs: (user + system) / 1000, unackedBytes };
  },
};

async function listen(
  take: (session: Session<Buffer>) => void,
): Promise<{ readonly server: SessionServer<Buffer>; readonly port: number }> {
  const server = new SessionServer({ framing: lengthPrefix(), ...RAISED });
  server.on('session', take);
  const { port } = await server.listen({ port: 0 });
  return { server, port };
}

/** A way to the server that can be cut, and then refuses until it is mended. */
class Line {
  readonly #port: number;
  #socket: Socket | undefined;
  #up = true;

  constructor(port: number) {
    this.#port = port;
  }

  dial(): Socket {
    if (!this.#up) throw new Error('the line is cut');
    this.#socket = connect({ port: this.#port, host: '127.0.0.1' });
    return this.#socket;
  }

  cut(): void {
    this.#up = false;
    this.#socket?.destroy();
  }

  mend(): void {
    this.#up = true;
  }
}

/** Bytes of this process's memory that are in use. */
async function held(): Promise<number> {
  const { heapUsed, arrayBuffers } = await settled();
  return heapUsed + arrayBuffers;
}
