// Two cores back to back in memory: random sends, reads, cuts, half-open and stalled circuits, lost verdicts. Whatever happens, every
// message arrives once and in order, no fault is found, and nothing is held when all is acked.
import { expect } from 'chai';
import fc from 'fast-check';
import type { Positions } from '../../lib/core/handshake.ts';
import type { CoreLimits, SessionCore } from '../../lib/core/session-core.ts';
import { SessionError } from '../../lib/errors.ts';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { coreOf, FRESH } from '../support/cores.ts';

type Side = 'dial' | 'accept';

/** One core with the chunks that its socket still holds, by reference as in the shell. */
class End {
  readonly core: SessionCore<Buffer>;
  readonly #limits: Partial<CoreLimits>;
  queue: Buffer[] = [];
  /** Number of the circuit that `queue` belongs to; the chunks of an older one go nowhere. */
  circuit = 0;
  sentCount = 0;
  readonly got: number[] = [];
  ackedBefore = 0;

  constructor(role: Side, window: number, limits: Partial<CoreLimits>) {
    this.#limits = limits;
    this.core = coreOf(role, { framing: lengthPrefix(), window, peerWindow: window, limits, holdMs: 1e9 });
  }

  /** Sends a message that names its number and can be told from damage. */
  send(size: number, lend: boolean): void {
    const message = Buffer.alloc(4 + size, (this.sentCount * 7) & 0xff);
    message.writeUInt32BE(this.sentCount, 0);
    try {
      this.core.send(message, lend);
      this.sentCount++;
    } catch (error) {
      if (!SessionError.is(error, 'ERR_BUFFER_FULL')) throw error;
      expect(this.core.outbound.heldBytes + message.length + 4).to.be.greaterThan(this.#limits.outboxHardCap ?? 0);
    }
  }

  take(): boolean {
    if (!this.core.inbound.next()) return false;
    const message = this.core.inbound.inbox.message();
    const number = message.readUInt32BE(0);
    expect(number, 'in order, once').to.equal(this.got.length);
    expect(message.subarray(4).every((byte) => byte === ((number * 7) & 0xff))).to.equal(true);
    this.got.push(number);
    return true;
  }

  consume(): void {
    this.core.inbound.consume();
    this.core.settle(0);
  }
}

class Link {
  readonly dial: End;
  readonly accept: End;
  now = 0;
  #circuits = 0;

  constructor(window: number, limits: Partial<CoreLimits>) {
    this.dial = new End('dial', window, limits);
    this.accept = new End('accept', window, limits);
    const fresh: Positions = { ...FRESH, limit: window };
    this.#circuits++;
    for (const end of [this.dial, this.accept]) {
      end.circuit = this.#circuits;
      end.core.circuitUp(fresh, end.core.positions(), 0, 0);
    }
  }

  get connected(): boolean {
    return this.dial.core.attached && this.accept.core.attached && this.dial.circuit === this.accept.circuit;
  }

  other(end: End): End {
    return end === this.dial ? this.accept : this.dial;
  }

  /** The core writes into its socket. */
  transmit(end: End, budget: number): void {
    end.core.transmit(end.queue, budget, this.now);
  }

  /** Up to `bytes` bytes cross the network, in pieces of `piece`. */
  deliver(end: End, bytes: number, piece: number): void {
    const peer = this.other(end);
    let left = bytes;
    while (left > 0 && end.queue.length > 0) {
      const chunk = end.queue.shift() as Buffer;
      const taken = Math.min(left, piece, chunk.length);
      if (taken < chunk.length) end.queue.unshift(chunk.subarray(taken));
      left -= taken;
      if (!peer.core.attached || peer.circuit !== end.circuit) continue;
      // As the shell does: memory may be used again once this side's own socket holds nothing.
      peer.core.recyclable = peer.queue.length === 0;
      const copy = Buffer.from(chunk.subarray(0, taken));
      for (let at = 0; at < copy.length; ) at = peer.core.receive(copy, at, this.now);
      expect(peer.core.fault, peer.core.fault?.message).to.equal(null);
    }
  }

  /** Time passes; a circuit that was silent for too long is dropped, as the shell does. */
  wait(ms: number): void {
    this.now += ms;
    for (const end of [this.dial, this.accept]) {
      end.core.tick(this.now, 0);
      if (end.core.fault?.code === 'ERR_HEARTBEAT') this.lose(end);
      else expect(end.core.fault).to.equal(null);
    }
  }

  lose(end: End): void {
    if (!end.core.attached) return;
    end.core.circuitLost(false, this.now);
    end.queue = [];
  }

  /** The dialing side resumes. The accepting side may still believe in the old circuit; the verdict may be lost; time may pass between. */
  resume(verdictLost: boolean, between: () => void): void {
    const { dial, accept } = this;
    if (dial.core.attached) this.lose(dial);
    const early = dial.core.earlyData(true);
    const asked = dial.core.positions();
    const answer = accept.core.positions();
    expect(accept.core.judge(asked)).to.equal(null);
    accept.queue = [];
    accept.circuit = ++this.#circuits;
    accept.core.circuitUp(asked, answer, 0, this.now);
    for (let at = 0; at < early.bytes.length; ) at = accept.core.receive(early.bytes, at, this.now);
    expect(accept.core.fault, accept.core.fault?.message).to.equal(null);
    between();
    if (verdictLost) return;
    expect(dial.core.judge(answer)).to.equal(null);
    dial.circuit = this.#circuits;
    dial.queue = [];
    dial.core.circuitUp(answer, asked, early.end, this.now);
  }

  /** Lets everything that is under way arrive. */
  settle(): void {
    // An ACK may wait 200 ms for company: only several silent rounds are rest.
    let silent = 0;
    for (let round = 0; round < 10_000 && silent < 4; round++) {
      this.wait(60);
      if (!this.connected && this.accept.core.state !== 'closed') this.resume(false, () => {});
      for (const end of [this.dial, this.accept]) {
        if (end.core.inbound.inProgress) end.consume();
        while (end.take()) end.consume();
        while (end.core.wantsTransmit) this.transmit(end, 1 << 30);
      }
      silent = this.dial.queue.length === 0 && this.accept.queue.length === 0 ? silent + 1 : 0;
      for (const end of [this.dial, this.accept]) this.deliver(end, 1 << 30, 50_000);
    }
    expect(silent, 'the two come to rest').to.equal(4);
  }

  check(): void {
    for (const end of [this.dial, this.accept]) {
      const { inbound, outbound } = end.core;
      const peer = this.other(end).core;
      expect(inbound.acked).to.be.at.least(end.ackedBefore);
      end.ackedBefore = inbound.acked;
      expect(inbound.acked).to.be.at.most(inbound.received);
      expect(inbound.received - inbound.acked).to.be.at.most(inbound.window);
      expect(outbound.peerAcked).to.be.at.most(peer.inbound.acked);
      expect(outbound.sent).to.be.at.least(peer.inbound.received);
      expect(outbound.egress.replay.base).to.be.at.most(peer.inbound.acked);
    }
  }
}

interface Model {
  steps: number;
}

class Step implements fc.Command<Model, Link> {
  readonly #text: string;
  readonly #apply: (link: Link) => void;

  constructor(text: string, apply: (link: Link) => void) {
    this.#text = text;
    this.#apply = apply;
  }

  check(): boolean {
    return true;
  }

  run(model: Model, link: Link): void {
    model.steps++;
    link.now++;
    this.#apply(link);
    link.check();
  }

  toString(): string {
    return this.#text;
  }
}

const side = fc.constantFrom<Side>('dial', 'accept');
const size = fc.oneof(fc.integer({ min: 0, max: 60 }), fc.constantFrom(1000, 4097, 9000));
const some = fc.constantFrom(1, 7, 40, 500, 100_000);

const commands: fc.Arbitrary<Step>[] = [
  fc.tuple(side, size, fc.integer({ min: 1, max: 20 }), fc.boolean()).map(
    ([who, size, count, lend]) =>
      new Step(`${who} sends ${count} × ${size}${lend ? ' lent' : ''}`, (link) => {
        for (let left = count; left > 0; left--) link[who].send(size, lend);
      }),
  ),
  fc.tuple(side, some).map(([who, budget]) => new Step(`${who} writes ${budget}`, (link) => link.transmit(link[who], budget))),
  fc
    .tuple(side, some, some)
    .map(([who, bytes, piece]) => new Step(`${bytes} bytes of ${who} arrive by ${piece}`, (link) => link.deliver(link[who], bytes, piece))),
  fc.tuple(side, fc.integer({ min: 1, max: 30 }), fc.boolean()).map(
    ([who, count, keepLast]) =>
      new Step(`${who} takes ${count}${keepLast ? ', one in progress' : ''}`, (link) => {
        const end = link[who];
        for (let left = count; left > 0; left--) {
          if (end.core.inbound.inProgress) end.consume();
          if (!end.take()) break;
        }
        if (!keepLast && end.core.inbound.inProgress) end.consume();
      }),
  ),
  side.map((who) => new Step(`${who} loses its circuit`, (link) => link.lose(link[who]))),
  side.map((who) => new Step(`${who} asks for an ACK`, (link) => void link[who].core.sync())),
  fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 5 })).map(
    ([lost, takes]) =>
      new Step(`resume${lost ? ', verdict lost' : ''}, ${takes} taken between`, (link) =>
        link.resume(lost, () => {
          for (let left = takes; left > 0 && link.dial.take(); left--) link.dial.consume();
        }),
      ),
  ),
  fc.constantFrom(60, 20_000).map(
    (ms) =>
      new Step(`${ms} ms pass`, (link) => {
        link.wait(ms);
      }),
  ),
];

describe('two cores', () => {
  const variants: [name: string, window: number, limits: Partial<CoreLimits>][] = [
    ['usual limits', 131_072, { outboxHighWater: 20_000, outboxHardCap: 60_000, messageBytes: 10_000 }],
    ['a window of hardly more than a message', 9100, { outboxHighWater: 1000, outboxHardCap: 40_000, messageBytes: 9004 }],
    ['three segments of replay', 131_072, { outboxHardCap: 60_000, messageBytes: 10_000, replaySegments: 3 }],
  ];
  for (const [name, window, limits] of variants) {
    it(`deliver everything once and in order: ${name}`, () => {
      fc.assert(
        fc.property(fc.commands(commands, { maxCommands: 60, size: 'max' }), (steps) => {
          const link = new Link(window, limits);
          fc.modelRun(() => ({ model: { steps: 0 }, real: link }), steps);
          link.settle();
          expect(link.dial.got.length).to.equal(link.accept.sentCount);
          expect(link.accept.got.length).to.equal(link.dial.sentCount);
          for (const { core } of [link.dial, link.accept]) {
            expect([core.outbound.heldBytes, core.outbound.egress.replay.segments, core.outbound.egress.buffer.length]).to.deep.equal([
              0, 0, 0,
            ]);
            expect(core.inbound.acked).to.equal(core.inbound.received);
          }
          link.dial.core.end(link.now);
          link.accept.core.end(link.now);
          link.settle();
          expect([link.accept.core.state, link.accept.core.cause]).to.deep.equal(['closed', undefined]);
          expect([link.dial.core.state, link.dial.core.cause]).to.deep.equal(['closed', undefined]);
        }),
        { numRuns: 150 },
      );
    });
  }
});
