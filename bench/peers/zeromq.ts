// zeromq.js: PAIR sockets where one link is enough, ROUTER at the server and DEALER at each client.

import type { Dealer, Router } from 'zeromq';
import type { Endpoint, Link, Peer, Serving, Taker } from '../peer.ts';

const HIGH_WATER_MESSAGES = 512;

/** One send is in flight on a socket at a time: the rest waits here. */
class Queue {
  readonly #send: (message: Buffer) => Promise<void>;
  readonly #room: () => void;
  #waiting: Buffer[] = [];
  #sending = false;

  constructor(send: (message: Buffer) => Promise<void>, room: () => void) {
    this.#send = send;
    this.#room = room;
  }

  push(message: Buffer): boolean {
    this.#waiting.push(message);
    if (!this.#sending) void this.#run();
    return this.#waiting.length < HIGH_WATER_MESSAGES;
  }

  async #run(): Promise<void> {
    this.#sending = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        for (const message of batch) await this.#send(message);
      } catch {
        break;
      }
      if (batch.length >= HIGH_WATER_MESSAGES) this.#room();
    }
    this.#sending = false;
  }
}

export function make(): Peer {
  return {
    async serve(accept): Promise<Serving> {
      const { Router, context } = await import('zeromq');
      context.maxSockets = 20_000;
      const router: Router = new Router({ sendHighWaterMark: 0, receiveHighWaterMark: 0, mandatory: false });
      await router.bind('tcp://127.0.0.1:*');
      const takers = new Map<string, Taker>();
      const queue: { readonly id: Buffer; readonly message: Buffer }[] = [];
      let sending = false;
      const run = async (): Promise<void> => {
        sending = true;
        for (let next = queue.shift(); next !== undefined; next = queue.shift()) await router.send([next.id, next.message]);
        sending = false;
      };
      void (async () => {
        for await (const [id, message] of router as AsyncIterable<[Buffer, Buffer]>) {
          const name = id.toString('latin1');
          let taker = takers.get(name);
          if (taker === undefined) {
            taker = accept({
              send(bytes) {
                queue.push({ id, message: bytes });
                if (!sending) void run();
                return true;
              },
              close() {},
            });
            takers.set(name, taker);
          }
          // The first message of a client is empty: it only says who is there.
          if (message.length > 0) taker.take(message, 0, message.length);
        }
      })();
      return { endpoint: { port: Number(router.lastEndpoint?.split(':').at(-1)) }, close: async () => router.close() };
    },
    async connect({ port }: Endpoint, taker: Taker): Promise<Link> {
      const { Dealer, context } = await import('zeromq');
      context.maxSockets = 20_000;
      const dealer: Dealer = new Dealer({ sendHighWaterMark: 0, receiveHighWaterMark: 0, linger: 0 });
      dealer.connect(`tcp://127.0.0.1:${port}`);
      await dealer.send(Buffer.alloc(0));
      void (async () => {
        for await (const [message] of dealer as AsyncIterable<[Buffer]>) taker.take(message, 0, message.length);
      })();
      const queue = new Queue(
        (message) => dealer.send(message),
        () => taker.room(),
      );
      return { send: (message) => queue.push(message), close: () => dealer.close() };
    },
  };
}
