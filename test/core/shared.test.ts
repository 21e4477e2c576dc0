// Shared messages: encoded once, referred to by the replay of many cores, in order with what each sends by itself, cut by cut.
import { expect } from 'chai';
import fc from 'fast-check';
import { LEND_MIN_BYTES } from '../../lib/core/egress.ts';
import type { SessionCore } from '../../lib/core/session-core.ts';
import { SharedEncoder } from '../../lib/core/shared.ts';
import { Frame } from '../../lib/core/wire.ts';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { begun, coreOf, FRESH, framesIn, give, LIMITS, takeAll, WINDOW, written } from '../support/cores.ts';

type Step =
  | { readonly kind: 'send' | 'share'; readonly who: number; readonly bytes: number; readonly lend: boolean }
  | { readonly kind: 'carry' | 'cut'; readonly who: number; readonly part: number };

const CORES = 3;
const who = fc.integer({ min: 0, max: CORES - 1 });
const bytes = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.constantFrom(LEND_MIN_BYTES - 4, LEND_MIN_BYTES, LEND_MIN_BYTES + 1, 9000));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('send', 'share'), who, bytes, lend: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('carry', 'cut'), who, part: fc.double({ min: 0, max: 1, noNaN: true }) }) },
);

/** A sender, its reader, and what was sent and taken. */
class Line {
  readonly near: SessionCore<Buffer> = coreOf('accept', { framing: lengthPrefix(), peerWindow: 8 * WINDOW });
  readonly far: SessionCore<Buffer> = coreOf('dial', { framing: lengthPrefix(), window: 8 * WINDOW });
  readonly sent: Buffer[] = [];
  readonly taken: Buffer[] = [];

  constructor() {
    this.up();
  }

  up(): void {
    const [near, far] = [this.near.positions(), this.far.positions()];
    this.near.circuitUp(far, near, far.received, 0);
    this.far.circuitUp(near, far, near.received, 0);
  }

  /** A part of what is written arrives, and the answers. */
  carry(part: number): void {
    const bytes = written(this.near, 0);
    give(this.far, bytes.subarray(0, Math.round(bytes.length * part)), 0);
    this.taken.push(...takeAll(this.far, 0).map((message) => Buffer.from(message)));
    if (part === 1) give(this.near, written(this.far, 0), 0);
  }

  cut(part: number): void {
    this.carry(part);
    this.near.circuitLost(false, 0);
    this.far.circuitLost(false, 0);
    this.up();
  }
}

describe('shared messages', () => {
  it('are taken once and in order with what each core sends by itself, through cuts at any byte', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const shared = new SharedEncoder(lengthPrefix(), LIMITS);
        const lines = Array.from({ length: CORES }, () => new Line());
        for (const [n, one] of steps.entries()) {
          const line = lines[one.who] as Line;
          if ('part' in one) {
            if (one.kind === 'cut') line.cut(one.part);
            else line.carry(1);
          } else {
            const message = Buffer.alloc(one.bytes, n + 1);
            const parts = one.kind === 'share' ? shared.encode(message, one.lend) : null;
            for (const to of parts === null ? [line] : lines) {
              if (parts === null) to.near.send(message, one.lend);
              else to.near.outbound.share(parts);
              to.sent.push(Buffer.from(message));
            }
            // What was not lent may be written over at once.
            if (!one.lend) message.fill(0);
          }
        }
        for (const line of lines) {
          line.cut(1);
          line.carry(1);
          line.carry(1);
          expect(line.taken).to.deep.equal(line.sent);
          expect(line.near.outbound.heldBytes).to.equal(0);
        }
      }),
      { numRuns: 300, seed: 5 },
    );
  });

  it('stand in memory once, whatever the number of sessions', () => {
    const shared = new SharedEncoder(lengthPrefix(), LIMITS);
    const cores = [new Line(), new Line()].map(({ near }) => near);
    for (const core of cores) core.outbound.share(shared.encode(Buffer.from('first'), false));
    const parts = shared.encode(Buffer.from('one for all'), false);
    for (const core of cores) core.outbound.share(parts);
    const blocks = cores.map((core) => core.outbound.egress.replay.find(core.outbound.end - 1)?.buffer);
    expect(parts).to.have.length(1);
    expect(blocks).to.deep.equal([parts[0]?.buffer, parts[0]?.buffer]);
    expect(blocks[0]).to.equal(blocks[1]);
  });

  it('that are small leave in one frame, with what was shared behind them', () => {
    const shared = new SharedEncoder(lengthPrefix(), LIMITS);
    const { near } = new Line();
    begun(near);
    for (let n = 0; n < 10; n++) near.outbound.share(shared.encode(Buffer.alloc(100, n), false));
    const out: Buffer[] = [];
    near.transmit(out, Number.MAX_SAFE_INTEGER, 0);
    expect(out).to.have.length(1);
    const [frame, ...others] = framesIn(out[0] as Buffer);
    expect([frame?.type, frame?.body.length, others.length]).to.deep.equal([Frame.DATA, 8 + 1040, 0]);
  });

  it('that are large and lent are never copied, and changed ones are noticed in development', () => {
    const shared = new SharedEncoder(lengthPrefix(), { ...LIMITS, checkLent: true });
    const [one, other] = [new Line().near, new Line().near];
    const payload = Buffer.alloc(2 * LEND_MIN_BYTES, 7);
    const parts = shared.encode(payload, true);
    for (const core of [one, other]) core.outbound.share(parts);
    const out: Buffer[] = [];
    one.transmit(out, Number.MAX_SAFE_INTEGER, 0);
    expect(out.some((buffer) => buffer.buffer === payload.buffer && buffer.length === payload.length)).to.equal(true);
    payload[5] = 8;
    written(other, 0);
    expect(other.cause?.code).to.equal('ERR_APPLICATION');
  });

  it('that find no room are refused whole, and leave what stands before them as it is', () => {
    const shared = new SharedEncoder(lengthPrefix(), LIMITS);
    const core = coreOf('accept', { framing: lengthPrefix(), limits: { outboxHighWater: 1000, outboxHardCap: 10_000 } });
    core.circuitUp(FRESH, core.positions(), 0, 0);
    core.send(Buffer.from('before'), false);
    const refused = shared.encode(Buffer.alloc(9_999), false);
    expect(() => core.outbound.share(refused))
      .to.throw()
      .with.property('code', 'ERR_BUFFER_FULL');
    expect(core.outbound.share(shared.encode(Buffer.from('behind'), false))).to.equal(false);
    core.send(Buffer.from('after'), false);
    const far = coreOf('dial', { framing: lengthPrefix() });
    far.circuitUp(FRESH, far.positions(), 0, 0);
    give(far, written(core, 0), 0);
    expect(takeAll(far, 0).map(String)).to.deep.equal(['before', 'behind', 'after']);
  });

  it('that no framing carries are thrown back, and the next one stands where it would have stood', () => {
    const shared = new SharedEncoder(lengthPrefix(), LIMITS);
    expect(() => shared.encode(Buffer.alloc(LIMITS.messageBytes + 1), false))
      .to.throw()
      .with.property('code', 'ERR_MESSAGE_TOO_LARGE');
    const [part] = shared.encode(Buffer.from('x'), false);
    expect(part?.buffer.subarray(part.start, part.end)).to.deep.equal(Buffer.from('\0\0\0\x01x'));
  });
});
