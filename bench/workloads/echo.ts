// W2: the server sends every message back; the client keeps a number of them on their way, and times each.

import { numberOf, Source } from '../payload.ts';
import type { Endpoint, Link, Peer } from '../peer.ts';
import type { Figures, Options, Serving } from '../worker.ts';
import type { Side } from './sides.ts';

export const echo: Side = {
  async serve(peer: Peer): Promise<Serving> {
    const serving = await peer.serve((link) => ({
      // A copy: the peer may own the memory that it hands out.
      take: (message, start, end) => void link.send(Buffer.from(message.subarray(start, end))),
      room() {},
    }));
    return {
      endpoint: serving.endpoint,
      async finish() {
        await serving.close();
        return {};
      },
    };
  },

  async run(peer: Peer, endpoint: Endpoint, { bytes = 0, ms = 0, inFlight = 1, warmMs = 0 }: Options): Promise<Figures> {
    const source = new Source(bytes, inFlight);
    const sentMs = new Float64Array(inFlight);
    const tookUs: number[] = [];
    let link: Link;
    let back = 0;
    let wrong = 0;
    let startMs = 0;
    let untilMs = Number.POSITIVE_INFINITY;
    let finished = (): void => {};
    const send = (): void => {
      sentMs[source.made % inFlight] = performance.now();
      link.send(source.next());
    };
    link = await peer.connect(endpoint, {
      take(message, start) {
        const number = numberOf(message, start);
        if (number !== back++) wrong++;
        const now = performance.now();
        if (startMs > 0) tookUs.push((now - (sentMs[number % inFlight] as number)) * 1000);
        if (now < untilMs) send();
        else if (back === source.made) finished();
      },
      room() {},
    });
    for (let i = 0; i < inFlight; i++) send();
    await new Promise((resolve) => setTimeout(resolve, warmMs));
    startMs = performance.now();
    untilMs = startMs + ms;
    await new Promise<void>((resolve) => {
      finished = resolve;
    });
    const endMs = performance.now();
    link.close();
    const sorted = Float64Array.from(tookUs).sort();
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
    return { sent: source.made, count: tookUs.length, ms: endMs - startMs, wrong, p50: at(0.5), p99: at(0.99), p999: at(0.999) };
  },
};
