// W9: many clients, each with one message on its way, which the server answers. Where the peer is durable the answer waits for a record, so
// answers per second are commits per second, and what the round trip takes longer is what durability costs.

import { numberOf, Source } from '../payload.ts';
import type { Endpoint, Link, Peer } from '../peer.ts';
import type { Figures, Options } from '../worker.ts';
import { echo } from './echo.ts';
import type { Side } from './sides.ts';

const CONNECTED_AT_ONCE = 50;

/** One client: times each round trip, and sees that the answers come in order. */
class Asker {
  readonly #source: Source;
  readonly #answered: (tookUs: number) => void;
  #sentMs = 0;
  #back = 0;
  wrong = 0;
  link: Link | undefined;

  constructor(bytes: number, answered: (tookUs: number) => void) {
    this.#source = new Source(bytes, 1);
    this.#answered = answered;
  }

  ask(): void {
    this.#sentMs = performance.now();
    this.link?.send(this.#source.next());
  }

  take(message: Uint8Array, start: number): void {
    if (numberOf(message, start) !== this.#back++) this.wrong++;
    this.#answered((performance.now() - this.#sentMs) * 1000);
  }
}

export const durable: Side = {
  serve: echo.serve,

  async run(peer: Peer, endpoint: Endpoint, { count = 1, bytes = 0, ms = 0, warmMs = 0 }: Options): Promise<Figures> {
    const tookUs: number[] = [];
    const askers: Asker[] = [];
    let startMs = Number.POSITIVE_INFINITY;
    let untilMs = Number.POSITIVE_INFINITY;
    let open = count;
    let finished = (): void => {};
    for (let i = 0; i < count; i++) {
      const asker: Asker = new Asker(bytes, (us) => {
        const now = performance.now();
        if (now >= startMs) tookUs.push(us);
        if (now < untilMs) asker.ask();
        else if (--open === 0) finished();
      });
      askers.push(asker);
    }
    for (let i = 0; i < count; i += CONNECTED_AT_ONCE) {
      const some = askers.slice(i, i + CONNECTED_AT_ONCE).map(async (asker) => {
        asker.link = await peer.connect(endpoint, { take: (message, start) => asker.take(message, start), room() {} });
      });
      await Promise.all(some);
    }
    for (const asker of askers) asker.ask();
    await new Promise((resolve) => setTimeout(resolve, warmMs));
    startMs = performance.now();
    untilMs = startMs + ms;
    await new Promise<void>((resolve) => {
      finished = resolve;
    });
    const endMs = performance.now();
    for (const { link } of askers) link?.close();
    const sorted = Float64Array.from(tookUs).sort();
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
    const wrong = askers.reduce((sum, asker) => sum + asker.wrong, 0);
    return { count: tookUs.length, ms: endMs - startMs, wrong, p50: at(0.5), p99: at(0.99) };
  },
};
