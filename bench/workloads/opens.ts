// W5: sessions opened per second, a fixed number at a time, until each is ready to be used at both ends.

import type { Endpoint, Link, Peer } from '../peer.ts';
import type { Figures, Options, Serving } from '../worker.ts';
import type { Side } from './sides.ts';

export const opens: Side = {
  async serve(peer: Peer): Promise<Serving> {
    let accepted = 0;
    let wanted = Number.POSITIVE_INFINITY;
    let reached = (): void => {};
    const serving = await peer.serve(() => {
      if (++accepted === wanted) reached();
      return { take() {}, room() {} };
    });
    return {
      endpoint: serving.endpoint,
      /** Waits until so many sessions were accepted: a raw client is connected before its server knows. */
      async ask(question) {
        wanted = Number(question);
        if (accepted < wanted) {
          await new Promise<void>((resolve) => {
            reached = resolve;
          });
        }
        return { accepted };
      },
      async finish() {
        await serving.close();
        return {};
      },
    };
  },

  /** @param ms opens no more behind this time */
  async run(peer: Peer, endpoint: Endpoint, { count = 0, atOnce = 1, ms: mostMs = Number.POSITIVE_INFINITY }: Options): Promise<Figures> {
    const links: Link[] = [];
    let begun = 0;
    const startMs = performance.now();
    const one = async (): Promise<void> => {
      while (begun < count && performance.now() - startMs < mostMs) {
        begun++;
        links.push(await peer.connect(endpoint, { take() {}, room() {} }));
      }
    };
    await Promise.all(Array.from({ length: atOnce }, one));
    const ms = performance.now() - startMs;
    setTimeout(() => {
      for (const link of links) link.close();
    }, 200);
    return { count: links.length, ms };
  },
};
