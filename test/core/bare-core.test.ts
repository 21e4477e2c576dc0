// BareCore: a framing over one connection, with the inputs and outputs of a session.
import { expect } from 'chai';
import { BareCore } from '../../lib/core/bare-core.ts';
import { lines } from '../../lib/framing/lines.ts';
import { LIMITS, takeAll } from '../support/cores.ts';

function bareOf(window = 100): BareCore<string> {
  const core = new BareCore({ framing: lines(), limits: LIMITS }, window);
  core.circuitUp(core.positions(), core.positions(), 0, 0);
  return core;
}

function written(core: BareCore<string>, budget = Number.MAX_SAFE_INTEGER): string {
  const out: Buffer[] = [];
  const bytes = core.transmit(out, budget, 0);
  const all = Buffer.concat(out);
  expect(bytes).to.equal(all.length);
  return all.toString();
}

describe('bare core', () => {
  it('writes the bytes of the framing and nothing else', () => {
    const core = bareOf();
    expect(core.wantsTransmit).to.equal(false);
    core.send('a', false);
    core.send('b', false);
    expect(core.wantsTransmit).to.equal(true);
    expect(written(core)).to.equal('a\nb\n');
    expect([core.wantsTransmit, core.outbound.heldBytes, core.outbound.egress.replay.segments]).to.deep.equal([false, 0, 0]);
  });

  it('writes what was sent before its connection came', () => {
    const core = new BareCore({ framing: lines(), limits: LIMITS }, 100);
    core.send('early', false);
    expect(core.wantsTransmit).to.equal(false);
    core.circuitUp(core.positions(), core.positions(), 0, 0);
    expect(written(core)).to.equal('early\n');
  });

  it('stops at its budget and goes on later', () => {
    const core = bareOf();
    for (let i = 0; i < 4; i++) core.send('x'.repeat(40_000), false);
    const first = written(core, 1);
    expect(first.length).to.be.within(1, 65_600);
    expect((first + written(core)).length).to.equal(4 * 40_001);
  });

  it('cuts what it reads, and says when the socket should wait', () => {
    const core = bareOf(10);
    const chunk = Buffer.from('..abc\ndefgh\n');
    expect(core.receive(chunk, 2, 0)).to.equal(chunk.length);
    expect(core.wantsPause).to.equal(false);
    core.receive(Buffer.from('x\n'), 0, 0);
    expect(core.wantsPause, '12 bytes of 10').to.equal(true);
    expect(core.inbound.next()).to.equal(true);
    core.inbound.consume();
    core.settle(0);
    expect(core.wantsPause, '8 bytes: not before half is free').to.equal(true);
    expect(takeAll(core, 0)).to.deep.equal(['defgh', 'x']);
    expect([core.wantsPause, core.inbound.acked]).to.deep.equal([false, 12]);
  });

  it('half-closes when everything up to the end was written', () => {
    const core = bareOf();
    core.send('last', false);
    core.end(0);
    expect(core.halfCloses).to.equal(false);
    expect(written(core)).to.equal('last\n');
    expect([core.halfCloses, core.state]).to.deep.equal([true, 'attached']);
    core.inbound.end(core.inbound.received);
    core.settle(0);
    expect([core.state, core.cause]).to.deep.equal(['closed', undefined]);
  });

  it('ends with its connection, unless both sides were done', () => {
    const core = bareOf();
    core.circuitLost(false, 5);
    expect([core.state, core.cause?.code]).to.deep.equal(['closed', 'ERR_CIRCUIT_LOST']);
    const halfDone = bareOf();
    halfDone.inbound.end(0);
    halfDone.settle(0);
    halfDone.circuitLost(true, 5);
    expect(halfDone.cause?.code).to.equal('ERR_CIRCUIT_LOST');
  });

  it('ends with the fault of the framing that it reads', () => {
    const core = bareOf(1_000_000);
    core.receive(Buffer.from(`ok\n${'x'.repeat(70_000)}`), 0, 0);
    expect(takeAll(core, 0)).to.deep.equal(['ok']);
    expect([core.state, core.cause?.code]).to.deep.equal(['closed', 'ERR_MESSAGE_TOO_LARGE']);
    expect(core.receive(Buffer.from('more\n'), 0, 0)).to.equal(5);
    expect(core.inbound.next()).to.equal(false);
  });

  it('has nothing to write but its bytes, and no time to keep', () => {
    const core = bareOf();
    expect(core.deadlines.earliest).to.equal(Infinity);
    core.tick(1e9, 0);
    expect([core.fault, core.wantsTransmit, core.state]).to.deep.equal([null, false, 'attached']);
  });

  it('lets a slow peer be slow: without heartbeats silence says nothing', () => {
    const core = bareOf();
    core.queued();
    core.tick(1e9, 1000);
    expect([core.fault, core.deadlines.earliest]).to.deep.equal([null, Infinity]);
  });

  it('hands back whole messages: one that was written in part is not confirmed', () => {
    const core = bareOf();
    core.send('first', false);
    written(core);
    const long = 'x'.repeat(60_000);
    core.send(long, false);
    core.send(long, false);
    // One slab of 64 KiB, which ends within the second.
    core.transmit([], 1, 0);
    const { messages, bytes } = core.outbound.unconfirmed(core.framing.decoder(core.limits));
    expect(messages).to.deep.equal([long, long]);
    expect(bytes).to.equal(120_002);
  });

  it('throws away what nobody reads', () => {
    const core = bareOf();
    core.discard(0);
    core.receive(Buffer.from('unread\n'), 0, 0);
    expect([core.inbound.discardedBytes, core.inbound.acked, core.inbound.next()]).to.deep.equal([7, 0, false]);
    core.end(0);
    written(core);
    expect([core.state, core.cause?.code]).to.deep.equal(['closed', 'ERR_UNREAD']);
  });
});
