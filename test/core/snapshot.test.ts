// Snapshot: what outlives the process comes back as it was; what is no snapshot is refused.
import { expect } from 'chai';
import fc from 'fast-check';
import type { SessionCore } from '../../lib/core/session-core.ts';
import { decodeSnapshot, encodeSnapshot, restore } from '../../lib/core/snapshot.ts';
import { SessionError } from '../../lib/errors.ts';
import { lines } from '../../lib/framing/lines.ts';
import { ack, attachedLines, coreOf, data, end, FRESH, framesIn, give, takeAll, WINDOW, written } from '../support/cores.ts';

function restored(record: Buffer): SessionCore<string> {
  const snapshot = decodeSnapshot(record);
  const core = coreOf('dial', { framing: lines(), window: snapshot.window, peerWindow: snapshot.peerWindow, holdMs: snapshot.holdMs });
  restore(core, snapshot);
  return core;
}

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return SessionError.is(error) ? error.code : `not ours: ${error}`;
  }
  return 'nothing thrown';
}

describe('snapshot', () => {
  it('brings back positions, END, identity and every byte that is not acked', () => {
    const texts = fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 20 });
    fc.assert(
      fc.property(texts, fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(5), fc.boolean(), (sizes, share, unsent, ends) => {
        const core = attachedLines('dial');
        for (const size of sizes) core.send('x'.repeat(size), false);
        written(core, 0);
        const acked = Math.floor(share * core.outbound.sent);
        give(core, ack(acked, WINDOW + acked), 0);
        for (let i = 0; i < unsent; i++) core.send(`later ${i}`, false);
        if (ends) core.end(0);
        give(core, data(0, 'one\ntwo\nha'), 0);
        core.inbound.next();
        core.inbound.consume();
        core.settle(0);
        core.generation = 9;
        core.instance = 3;
        const again = restored(encodeSnapshot(core));
        expect(again.state).to.equal('detached');
        const { outbound, inbound } = again;
        expect([outbound.peerAcked, outbound.sent, outbound.end, outbound.fin]).to.deep.equal([
          acked,
          core.outbound.end,
          core.outbound.end,
          core.outbound.fin,
        ]);
        expect([again.generation, again.instance, inbound.received, inbound.acked]).to.deep.equal([9, 3, 4, 4]);
        const bytes = (of: SessionCore<string>): Buffer => of.outbound.egress.replay.slice(acked, of.outbound.egress.end);
        outbound.egress.seal();
        expect(bytes(again).equals(bytes(core))).to.equal(true);
        expect(encodeSnapshot(again).equals(encodeSnapshot(core))).to.equal(true);
      }),
      { numRuns: 60 },
    );
  });

  it('takes a session up in another process, without loss and without repeating', () => {
    const core = attachedLines('dial');
    for (const text of ['a', 'b']) core.send(text, false);
    written(core, 0);
    give(core, Buffer.concat([data(0, 'x\ny\n'), ack(2, WINDOW + 2)]), 0);
    core.inbound.next();
    core.inbound.consume();
    core.settle(0);
    core.send('c', false);
    const again = restored(encodeSnapshot(core));
    // The peer has received 'b' as well; it keeps 'y', which nobody acked.
    again.circuitUp({ ...FRESH, received: 4, acked: 2, limit: WINDOW + 2, base: 2, sent: 4 }, again.positions(), 0, 0);
    const sent = framesIn(written(again, 0)).filter(({ type }) => type === 1);
    expect(sent.map(({ body }) => [Number(body.readBigUInt64BE(0)), body.subarray(8).toString()])).to.deep.equal([[4, 'c\n']]);
    give(again, data(2, 'y\nz\n'), 0);
    expect(takeAll(again, 0)).to.deep.equal(['y', 'z']);
  });

  it('remembers the END of the peer only once it was consumed', () => {
    const core = attachedLines('dial');
    give(core, Buffer.concat([data(0, 'a\n'), end(2)]), 0);
    expect(decodeSnapshot(encodeSnapshot(core)).peerEnd).to.equal(-1);
    takeAll(core, 0);
    const again = restored(encodeSnapshot(core));
    expect([again.inbound.ended, again.inbound.acked]).to.deep.equal([true, 3]);
  });

  it('keeps END that was acked', () => {
    const core = attachedLines('dial');
    core.send('a', false);
    core.end(0);
    written(core, 0);
    give(core, ack(3, WINDOW + 2), 0);
    const again = restored(encodeSnapshot(core));
    expect([again.outbound.fin, again.outbound.sent, again.outbound.heldBytes]).to.deep.equal([2, 3, 0]);
    again.applyFinals({ ...FRESH, received: 3, acked: 3 }, false);
    expect(again.outbound.finAcked).to.equal(true);
  });

  it('ends cleanly at the end of all numbers', () => {
    const snapshot = { ...decodeSnapshot(encodeSnapshot(attachedLines('dial'))) };
    const at = 2 ** 53 - 10;
    const core = coreOf('dial', { framing: lines() });
    restore(core, { ...snapshot, acked: at, peerLimit: Number.MAX_SAFE_INTEGER - 1, base: at, sent: at });
    const theirs = { received: at, acked: at, limit: Number.MAX_SAFE_INTEGER - 1, base: at, sent: at };
    expect(core.judge(theirs)).to.equal(null);
    core.circuitUp(theirs, core.positions(), 0, 0);
    expect(codeOf(() => core.send('123456789', false))).to.equal('ERR_EXHAUSTED');
    core.send('1234567', false);
    give(core, data(at, '12345678'.replace('8', '\n')), 0);
    expect(takeAll(core, 0)).to.deep.equal(['1234567']);
    core.sync();
    core.end(0);
    for (const { type, body } of framesIn(written(core, 0))) {
      // Nothing on the wire exceeds what the peer takes.
      if (type <= 4) expect(Number(body.readBigUInt64BE(0))).to.be.at.most(Number.MAX_SAFE_INTEGER);
      if (type === 2) expect(body.readBigUInt64BE(8) <= BigInt(Number.MAX_SAFE_INTEGER)).to.equal(true);
    }
    expect(core.fault).to.equal(null);
  });

  it('refuses what is no snapshot', () => {
    const core = attachedLines('dial');
    core.send('abc', false);
    written(core, 0);
    const record = encodeSnapshot(core);
    const bent = (change: (bytes: Buffer) => void): Buffer => {
      const bytes = Buffer.from(record);
      change(bytes);
      return bytes;
    };
    const u64At = (index: number, value: bigint): Buffer => bent((bytes) => bytes.writeBigUInt64BE(value, 18 + 8 * index));
    const cases: [name: string, record: Buffer][] = [
      ['nothing', Buffer.alloc(0)],
      ['another format', bent((bytes) => bytes.writeUInt8(2, 0))],
      ['half a header', record.subarray(0, 81)],
      ['bytes cut off below sent', record.subarray(0, record.length - 1)],
      ['acked above 2^53-1', u64At(0, 2n ** 53n)],
      ['a limit above 2^53-1', u64At(1, 2n ** 64n - 1n)],
      ['base above sent', u64At(2, 5n)],
      [
        'base at the end of all numbers',
        bent((bytes) => {
          bytes.writeBigUInt64BE(2n ** 53n - 2n, 34);
          bytes.writeBigUInt64BE(2n ** 53n - 2n, 42);
        }),
      ],
      ['sent above the end', u64At(3, 5n)],
      ['an instance above the generation', u64At(5, 2n)],
      ['END elsewhere than at the end', bent((bytes) => bytes.writeUInt8(1, 1))],
      ["the peer's END elsewhere than at acked", bent((bytes) => bytes.writeUInt8(2, 1))],
    ];
    for (const [name, bytes] of cases) {
      if (name === "the peer's END elsewhere than at acked") bytes.writeBigUInt64BE(7n, 18 + 56);
      expect(
        codeOf(() => decodeSnapshot(bytes)),
        name,
      ).to.equal('ERR_INVALID_OPTION');
    }
    expect(codeOf(() => decodeSnapshot(record))).to.equal('nothing thrown');
  });

  it('reads any bytes without throwing anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const record = Buffer.from(bytes);
        if (record.length > 0) record[0] = 1;
        expect(codeOf(() => decodeSnapshot(record))).to.be.oneOf(['ERR_INVALID_OPTION', 'nothing thrown']);
      }),
    );
  });
});
