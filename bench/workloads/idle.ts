// W4: many sessions that say nothing, heartbeats as each library has them. What one costs the server in memory, and all of them in CPU.

import { settled } from '../memory.ts';
import type { Endpoint, Link, Peer, Taker } from '../peer.ts';
import type { Figures, Options, Serving } from '../worker.ts';
import type { Side } from './sides.ts';

const OPENED_AT_ONCE = 100;
/** One for all, so that what is measured is the peer's and not ours. */
const NOBODY: Taker = { take() {}, room() {} };

export const idle: Side = {
  async serve(peer: Peer): Promise<Serving> {
    const links: Link[] = [];
    const serving = await peer.serve((link) => {
      links.push(link);
      return NOBODY;
    });
    return {
      endpoint: serving.endpoint,
      async ask(question) {
        if (question === 'links') return { links: links.length };
        if (question === 'memory') {
          const { rss, heapUsed } = await settled();
          return { rss, heapUsed };
        }
        // Idle CPU over so many milliseconds.
        const before = process.cpuUsage();
        const startMs = performance.now();
        await new Promise((resolve) => setTimeout(resolve, Number(question)));
        const { user, system } = process.cpuUsage(before);
        return { share: (user + system) / 1000 / (performance.now() - startMs) };
      },
      async finish() {
        await serving.close();
        return {};
      },
    };
  },

  async run(peer: Peer, endpoint: Endpoint, { count = 0 }: Options): Promise<Figures> {
    for (let left = count; left > 0; left -= OPENED_AT_ONCE) {
      const some = Array.from({ length: Math.min(left, OPENED_AT_ONCE) }, () => peer.connect(endpoint, NOBODY));
      held.push(...(await Promise.all(some)));
    }
    return { count };
  },
};

const held: Link[] = [];
