// Traffic between a client and a server of one process over loopback: numbers of messages go in, a promise says when all were consumed.
// One process, so that what is counted does not hang on how two of them share the cores.

import { once } from 'node:events';
import { SessionClient } from '../../../lib/client.ts';
import { lengthPrefix } from '../../../lib/framing/length-prefix.ts';
import { SessionServer } from '../../../lib/server.ts';
import type { Session } from '../../../lib/session.ts';

export type Read = (session: Session<Buffer>, took: () => void) => Promise<void> | void;

/** The ways to read a session. */
export const READS: Readonly<Record<string, Read>> = {
  receiveRanges: (session, took) => session.receiveRanges(took),
  receive: (session, took) => session.receive(took),
  async batches(session, took) {
    for await (const batch of session.batches()) for (const _ of batch) took();
  },
  async 'for await'(session, took) {
    for await (const _ of session) took();
  },
  async stream(session, took) {
    for await (const _ of session.stream()) took();
  },
};

/** Sent in one turn of the event loop. */
const BURST = 1024;

/** One session, and how to send through it. */
export class Traffic {
  readonly #server: SessionServer<Buffer>;
  readonly #client: SessionClient<Buffer>;
  readonly #session: Session<Buffer>;
  readonly #message: Buffer;
  readonly #lend: boolean;
  #left = 0;
  #finished: () => void = () => {};

  private constructor(
    server: SessionServer<Buffer>,
    client: SessionClient<Buffer>,
    session: Session<Buffer>,
    bytes: number,
    lend: boolean,
  ) {
    this.#server = server;
    this.#client = client;
    this.#session = session;
    this.#message = Buffer.alloc(bytes, 0x61);
    this.#lend = lend;
  }

  /** One way: the server reads. */
  static async oneWay(read: Read, bytes: number, lend = false): Promise<Traffic> {
    const traffic: Traffic = await Traffic.#open(bytes, lend, (session) => read(session, () => traffic.#took()));
    return traffic;
  }

  /** There and back: the server answers each message with itself, the client waits for it. */
  static async echo(bytes: number): Promise<Traffic> {
    const traffic = await Traffic.#open(bytes, false, (session) => session.receive((message) => void session.send(message)));
    traffic.#session.receive(() => {
      traffic.#took();
      if (traffic.#left > 0) traffic.#session.send(traffic.#message);
    });
    return traffic;
  }

  static async #open(bytes: number, lend: boolean, serve: (session: Session<Buffer>) => Promise<void> | void): Promise<Traffic> {
    const framing = lengthPrefix();
    const server = new SessionServer({ framing });
    // Traffic ends by destroy(), which is no news.
    server.on('session', (session) => void Promise.resolve(serve(session)).catch(() => {}));
    const { port } = await server.listen({ port: 0 });
    const client = new SessionClient({ framing, port });
    return new Traffic(server, client, await client.open(), bytes, lend);
  }

  /** Sends so many messages as fast as it goes. Resolves when the other end has consumed them. */
  async send(count: number): Promise<void> {
    const consumed = this.#expect(count);
    const session = this.#session;
    const options = this.#lend ? { lend: true } : undefined;
    for (let left = count; left > 0; ) {
      let room = true;
      for (let n = Math.min(BURST, left); n > 0 && room; n--, left--) room = session.send(this.#message, options);
      if (room) await new Promise((resolve) => setImmediate(resolve));
      else await once(session, 'drain');
    }
    await consumed;
  }

  /** One round trip after the other, so many. */
  async roundTrips(count: number): Promise<void> {
    const consumed = this.#expect(count);
    this.#session.send(this.#message);
    await consumed;
  }

  async close(): Promise<void> {
    this.#session.destroy();
    await this.#client.close();
    await this.#server.close();
  }

  #expect(count: number): Promise<void> {
    this.#left = count;
    return new Promise((resolve) => {
      this.#finished = resolve;
    });
  }

  #took(): void {
    if (--this.#left === 0) this.#finished();
  }
}
