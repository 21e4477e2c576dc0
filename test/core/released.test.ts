// The two limits of a session that is recorded: nothing is acked, and no byte, END or early data leaves, beyond what a record holds.

import { expect } from 'chai';
import { attachedLines, data, framesIn, give, takeAll, typesWritten, written } from '../support/cores.ts';

const DATA = 1;
const ACK = 2;
const END = 3;

describe('what waits for a record', () => {
  it('holds outputs back on every way out, and lets them go in pieces', () => {
    const core = attachedLines('dial');
    core.outbound.released = 0;
    core.send('a'.repeat(9), false);
    expect(core.wantsTransmit).to.equal(false);
    expect(written(core, 0).length).to.equal(0);
    core.outbound.released = 10;
    core.send('b'.repeat(9), false);
    const [first] = framesIn(written(core, 0));
    expect([first?.type, first?.body.length]).to.deep.equal([DATA, 18]);
    // Sealed by now, and a whole block of them.
    for (let i = 0; i < 10_000; i++) core.send('c'.repeat(9), false);
    expect(typesWritten(core, 0)).to.deep.equal([]);
    expect(core.transmit([], 1_000_000, 0, true)).to.equal(0);
    expect(core.outbound.sent).to.equal(10);
    core.outbound.released = 15;
    const [half] = framesIn(written(core, 0));
    expect(half?.body.subarray(8).toString()).to.equal('bbbbb');
  });

  it('holds END back, and early data', () => {
    const core = attachedLines('dial');
    core.outbound.released = 0;
    core.send('x', false);
    core.end(0);
    expect(typesWritten(core, 0)).to.deep.equal([]);
    core.circuitLost(false, 0);
    expect(core.earlyData(true).bytes.length).to.equal(0);
    core.outbound.released = 2;
    expect(framesIn(core.earlyData(true).bytes).map(({ type }) => type)).to.deep.equal([DATA]);
    core.outbound.released = 3;
    expect(framesIn(core.earlyData(true).bytes).map(({ type }) => type)).to.deep.equal([DATA, END]);
  });

  it('acks what was consumed up to the record, END included, and opens the window no further', () => {
    const core = attachedLines('accept');
    core.inbound.released = 0;
    const { limit } = core.inbound;
    give(core, data(0, 'a\nb\nc'), 0);
    expect(takeAll(core, 0)).to.deep.equal(['a', 'b']);
    expect([core.inbound.acked, core.inbound.cursor, core.inbound.limit]).to.deep.equal([0, 4, limit]);
    core.inbound.released = 2;
    core.settle(0);
    expect([core.inbound.acked, core.inbound.limit]).to.deep.equal([2, limit + 2]);
    give(core, data(5, '\n'), 0);
    give(core, Buffer.from('03000008000000000000000600', 'hex').subarray(0, 12), 0);
    expect(takeAll(core, 0)).to.deep.equal(['c']);
    core.inbound.released = 6;
    core.settle(0);
    expect([core.inbound.ended, core.inbound.cursor]).to.deep.equal([false, 7]);
    core.inbound.released = 7;
    core.settle(0);
    expect([core.inbound.ended, core.inbound.acked]).to.deep.equal([true, 7]);
    expect(typesWritten(core, 0)).to.include(ACK);
  });

  it('counts what was consumed before discard() and waits for the record', () => {
    const core = attachedLines('accept');
    core.inbound.released = 0;
    give(core, data(0, 'a\nb\n'), 0);
    core.inbound.next();
    core.inbound.consume();
    core.discard(0);
    expect([core.inbound.acked, core.inbound.cursor, core.inbound.discardedBytes]).to.deep.equal([0, 2, 2]);
    give(core, data(4, 'c\n'), 0);
    core.inbound.released = 100;
    core.settle(0);
    expect(core.inbound.acked).to.equal(2);
  });

  it('passes over messages that the application consumed in an earlier life', () => {
    const core = attachedLines('accept');
    core.inbound.passOver = 4;
    give(core, data(0, 'a\n'), 0);
    expect(takeAll(core, 0)).to.deep.equal([]);
    give(core, data(2, 'b\nc\n'), 0);
    expect(takeAll(core, 0)).to.deep.equal(['c']);
    expect([core.inbound.passOver, core.inbound.acked]).to.deep.equal([0, 6]);
  });
});
