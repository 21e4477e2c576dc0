// A process of its own, run under valgrind, which counts its instructions: two cores and no shell, sockets or clock. Takes what to do and
// how many rounds of it; the difference between two numbers of rounds is what the rounds cost once their code is compiled.

import type { Inbound } from '../../../lib/core/inbound.ts';
import type { Visitor } from '../../../lib/core/inbox.ts';
import type { SessionCore } from '../../../lib/core/session-core.ts';
import { lengthPrefix } from '../../../lib/framing/length-prefix.ts';
import { coreOf } from '../../support/cores.ts';

const WINDOW_BYTES = 16 * 1024 * 1024;
/** Messages of a round. */
const BURST = 256;
/** More than there ever are. */
const ALL = 0x3fff_ffff;

type Core = SessionCore<Buffer>;

const framing = lengthPrefix();
const limits = { messageBytes: 1_048_576, outboxHighWater: 1_048_576, outboxHardCap: 4 * WINDOW_BYTES };
const dialer = coreOf('dial', { framing, limits, window: WINDOW_BYTES, peerWindow: WINDOW_BYTES });
const acceptor = coreOf('accept', { framing, limits, window: WINDOW_BYTES, peerWindow: WINDOW_BYTES });
const [ofDialer, ofAcceptor] = [dialer.positions(), acceptor.positions()];
dialer.circuitUp(ofAcceptor, ofDialer, 0, 0);
acceptor.circuitUp(ofDialer, ofAcceptor, 0, 0);

const out: Buffer[] = [];
let nowMs = 0;
let taken = 0;
let sent = 0;

/** All that `from` has to write goes to `to`, which consumes messages, as their driver does it. */
function carry(from: Core, to: Core, most = ALL): void {
  from.recyclable = true;
  from.transmit(out, WINDOW_BYTES, nowMs);
  for (const chunk of out) {
    for (let at = 0; at < chunk.length; ) {
      at = to.receive(chunk, at, nowMs);
      readers.get(to)?.read(most);
      to.inbound.inbox.own();
    }
  }
  out.length = 0;
}

/** Consumes messages as a consumer of ranges does. */
class Reader implements Visitor {
  readonly #inbound: Inbound<Buffer>;
  #left = 0;

  constructor(core: Core) {
    this.#inbound = core.inbound;
  }

  read(most: number): void {
    this.#left = most;
    if (most > 0) this.#inbound.inbox.each(this);
  }

  visit(_buffer: Buffer, start: number, end: number): boolean {
    const inbound = this.#inbound;
    inbound.inProgress = true;
    taken += end - start;
    inbound.consume();
    return --this.#left > 0;
  }
}

const readers = new Map([dialer, acceptor].map((core) => [core, new Reader(core)]));
const message = Buffer.alloc(32, 0x61);
const UNACKED = 100_000;
const ACK_MS = 60;

const works: Readonly<Record<string, () => void>> = {
  /** Messages one way, and their ack. */
  'one way'() {
    for (let i = 0; i < BURST; i++) dialer.send(message, false);
    carry(dialer, acceptor);
    acceptor.settle(nowMs);
    carry(acceptor, dialer);
  },
  /** A message there and one back, each in a write of its own. */
  echo() {
    dialer.send(message, false);
    carry(dialer, acceptor);
    acceptor.send(message, false);
    carry(acceptor, dialer);
  },
  /** A message there, and an ack for the oldest of many, each in a write of its own. */
  ack() {
    for (; sent < UNACKED; sent++) {
      dialer.send(message, false);
      if (sent % BURST === 0) carry(dialer, acceptor, 0);
    }
    dialer.send(message, false);
    carry(dialer, acceptor, 1);
    acceptor.settle(nowMs);
    nowMs += ACK_MS;
    acceptor.tick(nowMs, 0);
    carry(acceptor, dialer);
  },
};

const [name = '', rounds = ''] = process.argv.slice(2);
const work = works[name];
if (work === undefined) throw new Error(`no such work: '${name}'`);
for (let round = 0; round < Number(rounds); round++) {
  nowMs++;
  work();
}
if (taken % message.length !== 0 || taken === 0) throw new Error(`${taken} bytes were taken`);
