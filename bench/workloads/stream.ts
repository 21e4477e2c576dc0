// W1 and W3: one way, as fast as it goes, for a fixed time, of which the first part does not count: connections and code that have rested
// take a while to be fast again. The server counts and sums what arrives; main compares with what was sent.

import { setTimeout as wait } from 'node:timers/promises';
import { Judge, Source } from '../payload.ts';
import type { Endpoint, Link, Peer, Taker } from '../peer.ts';
import type { Figures, Options, Serving } from '../worker.ts';
import { Granter, granted, windowOf } from './credit.ts';
import type { Side } from './sides.ts';

/** Sent in one go before others get their turn: a socket that takes everything at once would starve the reading side for ever. */
const BURST = 1024;
const LONGEST_MS = 20_000;

export const stream: Side = {
  async serve(peer: Peer, { bytes = 0 }: Options): Promise<Serving> {
    const judge = new Judge();
    let lastMs = 0;
    let wanted = Number.POSITIVE_INFINITY;
    let arrived = (): void => {};
    const serving = await peer.serve((link) => {
      const granter = new Granter(link, bytes);
      return {
        take(message, start, end) {
          judge.take(message, start, end);
          granter.took();
          if (judge.seen === wanted) arrived();
        },
        room() {},
      };
    });
    return {
      endpoint: serving.endpoint,
      /** Waits for the last message; the question is its number. */
      async ask(question) {
        wanted = Number(question);
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, LONGEST_MS);
          arrived = () => {
            lastMs = nowMs();
            clearTimeout(timer);
            resolve();
          };
          if (judge.seen >= wanted) arrived();
        });
        return { seen: judge.seen, sum: judge.sum, lastMs };
      },
      async finish() {
        await serving.close();
        return {};
      },
    };
  },

  async run(peer: Peer, endpoint: Endpoint, { bytes = 0, ms = 0, warmMs = 0 }: Options): Promise<Figures> {
    const window = windowOf(bytes);
    const source = new Source(bytes, window);
    let taken = 0;
    let blocked = false;
    let stopped = false;
    let pumping = false;
    let link: Link;
    const pump = (): void => {
      pumping = false;
      for (let left = BURST; left > 0; left--) {
        if (source.made - taken >= window || blocked || stopped) return;
        if (!link.send(source.next())) blocked = true;
      }
      again();
    };
    const again = (): void => {
      if (pumping || stopped) return;
      pumping = true;
      setImmediate(pump);
    };
    const taker: Taker = {
      take(message, start) {
        taken = granted(message, start);
        again();
      },
      room() {
        blocked = false;
        again();
      },
    };
    link = await peer.connect(endpoint, taker);
    pump();
    await wait(warmMs);
    const before = source.made;
    const startMs = nowMs();
    await wait(ms);
    stopped = true;
    open = link;
    return { sent: source.made, before, sum: source.sum, startMs };
  },

  leave() {
    open?.close();
    open = undefined;
  },
};

/** Stays up until the server has everything. */
let open: Link | undefined;

/** The same clock in all processes of this machine. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
