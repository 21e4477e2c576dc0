// W7: one server, many clients in one process, each message to all of them. A few messages are outstanding at a time: the first client
// tells how far it is.

import { numberOf, Source } from '../payload.ts';
import type { Endpoint, Link, Peer } from '../peer.ts';
import type { Figures, Options, Serving } from '../worker.ts';
import type { Side } from './sides.ts';

const OUTSTANDING = 8;
const CONNECTED_AT_ONCE = 50;

export const broadcast: Side = {
  async serve(peer: Peer, { bytes = 0, count = 0 }: Options): Promise<Serving> {
    const source = new Source(bytes, OUTSTANDING * 4);
    const links: Link[] = [];
    let taken = 0;
    let started = false;
    let stopped = false;
    let pumping = false;
    const pump = (): void => {
      pumping = false;
      // A client may be connected before its server knows.
      if (!started || stopped || links.length < count || source.made - taken >= OUTSTANDING) return;
      const message = source.next();
      if (serving.broadcast !== undefined) serving.broadcast(message);
      else for (const link of links) link.send(message);
      again();
    };
    const again = (): void => {
      if (pumping || stopped) return;
      pumping = true;
      setImmediate(pump);
    };
    const serving = await peer.serve((link) => {
      links.push(link);
      again();
      return {
        take(message, start) {
          taken = numberOf(message, start);
          again();
        },
        room() {},
      };
    });
    return {
      endpoint: serving.endpoint,
      async ask(question) {
        if (question === 'start') started = true;
        else stopped = true;
        again();
        return { sent: source.made, links: links.length };
      },
      async finish() {
        stopped = true;
        await serving.close();
        return {};
      },
    };
  },

  /** Phase 0 connects the clients, phase 1 counts what they get in so many milliseconds. */
  async run(peer: Peer, endpoint: Endpoint, { count = 0, ms = 0, phase = 0 }: Options): Promise<Figures> {
    if (phase === 0) {
      const clients = new Clients();
      crowd = clients;
      for (let i = 0; i < count; i += CONNECTED_AT_ONCE) {
        await Promise.all(Array.from({ length: Math.min(CONNECTED_AT_ONCE, count - i) }, () => clients.add(peer, endpoint)));
      }
      return { count };
    }
    const clients = crowd as Clients;
    const before = clients.delivered;
    const startMs = performance.now();
    await new Promise((resolve) => setTimeout(resolve, ms));
    const figures = { delivered: clients.delivered - before, ms: performance.now() - startMs, wrong: clients.wrong };
    clients.closeLater();
    return figures;
  },
};

let crowd: Clients | undefined;

class Clients {
  delivered = 0;
  wrong = 0;
  readonly #links: Link[] = [];
  readonly #seen: number[] = [];
  /** Messages that every client has, and how many clients have the one behind. */
  #complete = 0;
  #ahead = 0;

  async add(peer: Peer, endpoint: Endpoint): Promise<void> {
    const who = this.#seen.push(0) - 1;
    this.#links.push(await peer.connect(endpoint, { take: (message, start) => this.#took(who, numberOf(message, start)), room() {} }));
  }

  closeLater(): void {
    setTimeout(() => {
      for (const link of this.#links) link.close();
    }, 200);
  }

  #took(who: number, number: number): void {
    const expected = this.#seen[who] as number;
    if (number !== expected) this.wrong++;
    this.#seen[who] = expected + 1;
    this.delivered++;
    if (expected !== this.#complete || ++this.#ahead < this.#seen.length) return;
    this.#complete++;
    this.#ahead = this.#seen.filter((seen) => seen > this.#complete).length;
    const message = Buffer.alloc(4);
    message.writeUInt32BE(this.#complete, 0);
    this.#links[0]?.send(message);
  }
}
