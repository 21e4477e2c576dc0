// W6: many clients behind a relay that destroys every connection at once and refuses new ones for a while. Both ends of every session
// send all the time. How soon does the first new message arrive at each client, and was anything lost, doubled or out of order?

import { numberOf } from '../payload.ts';
import type { Endpoint, Link, Peer } from '../peer.ts';
import type { Figures, Options, Serving } from '../worker.ts';
import type { Side } from './sides.ts';
import { nowMs } from './stream.ts';

const MESSAGE_BYTES = 128;
const CONNECTED_AT_ONCE = 50;

/** Sends numbers all the time at one end of a link, and checks those of the other. */
class Talker {
  link: Link | undefined;
  sent = 0;
  expected = 0;
  lost = 0;
  doubled = 0;
  disordered = 0;
  readonly #seen = new Set<number>();
  /** When the first message came that was sent behind this instant. */
  firstNewMs = Number.NaN;
  afterMs = Number.POSITIVE_INFINITY;

  say(): void {
    const message = Buffer.alloc(MESSAGE_BYTES);
    message.writeUInt32BE(this.sent++, 0);
    message.writeDoubleBE(nowMs(), 8);
    this.link?.send(message);
  }

  hear(bytes: Uint8Array, start: number): void {
    const number = numberOf(bytes, start);
    const sentMs = new DataView(bytes.buffer, bytes.byteOffset + start).getFloat64(8);
    if (Number.isNaN(this.firstNewMs) && sentMs >= this.afterMs) this.firstNewMs = nowMs();
    if (this.#seen.has(number)) this.doubled++;
    else if (number < this.expected) this.disordered++;
    this.#seen.add(number);
    if (number >= this.expected) this.expected = number + 1;
  }

  get heard(): number {
    return this.#seen.size;
  }
}

/** Every talker speaks once in `everyMs`, spread over it. */
function speak(talkers: readonly Talker[], everyMs: number): NodeJS.Timeout {
  let turn = 0;
  const slices = 20;
  return setInterval(() => {
    for (let i = turn; i < talkers.length; i += slices) talkers[i]?.say();
    turn = (turn + 1) % slices;
  }, everyMs / slices);
}

function sum(talkers: readonly Talker[], field: 'sent' | 'heard' | 'doubled' | 'disordered'): number {
  return talkers.reduce((total, talker) => total + talker[field], 0);
}

let talkers: Talker[] = [];
let speaking: NodeJS.Timeout | undefined;

export const outage: Side = {
  async serve(peer: Peer, { everyMs = 100 }: Options): Promise<Serving> {
    const accepted: Talker[] = [];
    let timer: NodeJS.Timeout | undefined;
    const serving = await peer.serve((link) => {
      const talker = new Talker();
      talker.link = link;
      accepted.push(talker);
      return { take: (bytes, start) => talker.hear(bytes, start), room() {} };
    });
    return {
      endpoint: serving.endpoint,
      async ask(question) {
        if (question === 'speak') timer = speak(accepted, everyMs);
        if (question === 'hush') clearInterval(timer);
        return {
          links: accepted.length,
          sent: sum(accepted, 'sent'),
          heard: sum(accepted, 'heard'),
          doubled: sum(accepted, 'doubled'),
          disordered: sum(accepted, 'disordered'),
        };
      },
      async finish() {
        await serving.close();
        return {};
      },
    };
  },

  /**
   * Phase 0 connects, 1 speaks, 2 says that the outage ends at `atMs`, 3 falls silent, 5 closes; each reports, and 4 does nothing else.
   */
  async run(peer: Peer, endpoint: Endpoint, { phase = 0, count = 0, everyMs = 100, atMs = 0 }: Options): Promise<Figures> {
    if (phase === 0) {
      talkers = Array.from({ length: count }, () => new Talker());
      for (let i = 0; i < count; i += CONNECTED_AT_ONCE) {
        const some = talkers.slice(i, i + CONNECTED_AT_ONCE).map(async (talker) => {
          talker.link = await peer.connect(endpoint, { take: (bytes, start) => talker.hear(bytes, start), room() {} });
        });
        await Promise.all(some);
      }
      return { count };
    }
    if (phase === 1) speaking = speak(talkers, everyMs);
    if (phase === 2) for (const talker of talkers) talker.afterMs = atMs;
    if (phase === 3) clearInterval(speaking);
    // Clients of a round that is over would dial its relay all through those that follow, of this peer and the others.
    if (phase === 5) for (const { link } of talkers) link?.close();
    const waited = talkers.map(({ firstNewMs, afterMs }) => firstNewMs - afterMs).filter((ms) => !Number.isNaN(ms));
    waited.sort((a, b) => a - b);
    return {
      back: waited.length,
      medianMs: waited[Math.floor(waited.length / 2)] ?? Number.NaN,
      slowestMs: waited.at(-1) ?? Number.NaN,
      sent: sum(talkers, 'sent'),
      heard: sum(talkers, 'heard'),
      doubled: sum(talkers, 'doubled'),
      disordered: sum(talkers, 'disordered'),
    };
  },
};
