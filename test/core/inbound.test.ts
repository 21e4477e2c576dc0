// The inbound half: what is taken, trimmed and refused, and where `acked` stands.
import { expect } from 'chai';
import { Inbound } from '../../lib/core/inbound.ts';
import { lines } from '../../lib/framing/lines.ts';

function inboundOf(window = 1000, messageBytes = 500): Inbound<string> {
  return new Inbound({ framing: lines(), limits: { messageBytes } }, window);
}

function give(inbound: Inbound<string>, offset: number, text: string): string | null {
  const bytes = Buffer.from(text);
  return inbound.data(bytes, 0, bytes.length, offset);
}

function takeOne(inbound: Inbound<string>): string | null {
  if (!inbound.next()) return null;
  const text = inbound.inbox.message();
  inbound.consume();
  return text;
}

describe('inbound', () => {
  const begun = (): Inbound<string> => {
    const inbound = inboundOf(100);
    give(inbound, 0, 'abcdefghi\n');
    return inbound;
  };
  const cases: [name: string, offset: number, text: string, rule: RegExp | null, received: number, duplicates: number][] = [
    ['takes what follows', 10, 'x', null, 11, 0],
    ['trims what came before', 5, '12345x', null, 11, 5],
    ['drops what came before as a whole', 0, '1234567890', null, 10, 10],
    ['drops what came before as a whole and ends earlier', 2, '123', null, 10, 3],
    ['refuses a gap of one', 11, 'x', /^S-2/, 10, 0],
    ['refuses a gap at the end of all numbers', Number.MAX_SAFE_INTEGER, 'x', /^S-2/, 10, 0],
    ['takes bytes up to the limit', 10, 'x'.repeat(90), null, 100, 0],
    ['refuses one byte beyond the limit', 10, 'x'.repeat(91), /^S-4/, 10, 0],
    ['refuses duplicates that go on beyond the limit', 0, 'x'.repeat(101), /^S-4/, 10, 10],
  ];
  for (const [name, offset, text, rule, received, duplicates] of cases) {
    it(name, () => {
      const inbound = begun();
      const answer = give(inbound, offset, text);
      if (rule === null) expect(answer).to.equal(null);
      else expect(answer).to.match(rule);
      expect([inbound.received, inbound.duplicateBytes]).to.deep.equal([received, duplicates]);
    });
  }

  it('takes END in its place, again as it was, and nothing behind it', () => {
    const inbound = begun();
    expect(inbound.end(9)).to.match(/^S-6/);
    expect(inbound.end(11)).to.match(/^S-6/);
    expect(inbound.end(10)).to.equal(null);
    expect([inbound.received, inbound.ended]).to.deep.equal([11, false]);
    expect(inbound.end(10)).to.equal(null);
    expect(inbound.end(11)).to.match(/^S-6/);
    expect(give(inbound, 0, '1234567890')).to.equal(null);
    expect(give(inbound, 11, 'x')).to.match(/^S-6/);
    takeOne(inbound);
    expect([inbound.settle(), inbound.acked, inbound.ended]).to.deep.equal([true, 11, true]);
  });

  it('takes END of an empty stream', () => {
    const inbound = inboundOf();
    expect(inbound.end(0)).to.equal(null);
    expect([inbound.settle(), inbound.acked, inbound.ended]).to.deep.equal([true, 1, true]);
  });

  it('acks the end of the last message consumed, and all only when nothing is left', () => {
    const inbound = inboundOf();
    const acked = (): number => {
      inbound.settle();
      return inbound.acked;
    };
    give(inbound, 0, 'ab\ncd\ne');
    expect(acked()).to.equal(0);
    inbound.next();
    expect(acked(), 'in progress').to.equal(0);
    inbound.consume();
    expect(acked()).to.equal(3);
    takeOne(inbound);
    expect(acked(), 'half a message is held').to.equal(6);
    give(inbound, 7, 'f\n');
    inbound.next();
    expect(acked()).to.equal(6);
    inbound.consume();
    expect(acked()).to.equal(9);
    expect(inbound.settle(), 'moved already').to.equal(false);
  });

  it('holds the ack of what was consumed when the next message is handed out', () => {
    const inbound = inboundOf();
    give(inbound, 0, 'a\nb\n');
    takeOne(inbound);
    inbound.next();
    inbound.settle();
    expect([inbound.acked, inbound.inProgress]).to.deep.equal([2, true]);
  });

  it('never lowers the limit, and leaves the last offset for END', () => {
    const inbound = inboundOf(1000);
    inbound.restore(Number.MAX_SAFE_INTEGER - 10, -1);
    expect(inbound.limit).to.equal(Number.MAX_SAFE_INTEGER - 1);
    expect(give(inbound, Number.MAX_SAFE_INTEGER - 10, '12345678\n')).to.equal(null);
    expect(takeOne(inbound)).to.equal('12345678');
    inbound.settle();
    expect(give(inbound, Number.MAX_SAFE_INTEGER - 1, '\n')).to.match(/^S-4/);
    expect(inbound.end(Number.MAX_SAFE_INTEGER - 1)).to.equal(null);
    inbound.settle();
    expect([inbound.acked, inbound.ended]).to.deep.equal([Number.MAX_SAFE_INTEGER, true]);
  });

  it('goes on where another process had consumed everything', () => {
    const inbound = inboundOf(1000);
    inbound.restore(5000, -1);
    expect([inbound.received, inbound.acked, inbound.ackTold, inbound.limit, inbound.limitTold]).to.deep.equal([
      5000, 5000, 5000, 6000, 6000,
    ]);
    give(inbound, 4998, 'zzab\n');
    expect([takeOne(inbound), inbound.inbox.endOffset]).to.deep.equal(['ab', 5003]);
    const ended = inboundOf(1000);
    ended.restore(5001, 5000);
    expect([ended.ended, ended.settle(), ended.acked]).to.deep.equal([true, false, 5001]);
  });

  it('throws unread bytes away and never acks them', () => {
    const inbound = inboundOf();
    give(inbound, 0, 'ab\ncd\ne');
    takeOne(inbound);
    inbound.discard();
    inbound.settle();
    expect([inbound.acked, inbound.discardedBytes]).to.deep.equal([3, 4]);
    give(inbound, 5, 'xx\n\n');
    inbound.settle();
    expect([inbound.acked, inbound.discardedBytes, inbound.received]).to.deep.equal([3, 6, 9]);
    inbound.end(9);
    inbound.settle();
    expect([inbound.acked, inbound.ended, inbound.discardedBytes]).to.deep.equal([3, false, 6]);
    expect(inbound.next()).to.equal(false);
  });

  it('counts a message in progress among what was thrown away', () => {
    const inbound = inboundOf();
    give(inbound, 0, 'ab\n');
    inbound.next();
    inbound.discard();
    expect(inbound.discardedBytes).to.equal(3);
  });

  it('acks on as long as there was nothing to throw away', () => {
    const inbound = inboundOf();
    give(inbound, 0, 'ab\n');
    takeOne(inbound);
    inbound.discard();
    inbound.end(3);
    expect([inbound.settle(), inbound.acked, inbound.ended, inbound.discardedBytes]).to.deep.equal([true, 4, true, 0]);
  });

  it('tells a fault of the framing behind the last message', () => {
    const inbound = inboundOf(1000, 10);
    give(inbound, 0, 'a\nb\nlonger than allowed\nc\n');
    for (const text of ['a', 'b']) {
      expect(inbound.streamError).to.equal(null);
      expect(inbound.next()).to.equal(true);
      expect([inbound.inbox.message(), inbound.streamError]).to.deep.equal([text, null]);
      inbound.consume();
    }
    // Nobody asks for another message, and no further chunk comes: the fault is told all the same.
    expect(inbound.streamError?.code).to.equal('ERR_MESSAGE_TOO_LARGE');
    inbound.settle();
    expect(inbound.acked).to.equal(4);
  });

  it('tells END within a message behind the last message', () => {
    const inbound = inboundOf(1000);
    give(inbound, 0, 'a\nb\nhalf');
    inbound.end(8);
    for (let left = 2; left > 0; left--) {
      expect(inbound.streamError).to.equal(null);
      inbound.next();
      expect(inbound.streamError).to.equal(null);
      inbound.consume();
    }
    expect(inbound.streamError?.code).to.equal('ERR_TRUNCATED');
    inbound.settle();
    expect([inbound.acked, inbound.ended]).to.deep.equal([4, false]);
  });

  it('goes on where it was when an idle session gives its memory back', () => {
    const inbound = inboundOf();
    expect([inbound.idle, inbound.endOffset]).to.deep.equal([true, 0]);
    give(inbound, 0, 'one\ntw');
    expect(takeOne(inbound)).to.equal('one');
    inbound.rest();
    expect([inbound.idle, inbound.endOffset], 'half a message').to.deep.equal([false, 4]);
    give(inbound, 6, 'o\n');
    expect([inbound.next(), inbound.inbox.message()]).to.deep.equal([true, 'two']);
    inbound.rest();
    expect([inbound.idle, inbound.cursor], 'in progress').to.deep.equal([false, 4]);
    inbound.consume();
    inbound.rest();
    expect([inbound.idle, inbound.endOffset, inbound.cursor, inbound.next()]).to.deep.equal([true, 8, 8, false]);
    give(inbound, 8, 'three\n');
    expect([takeOne(inbound), inbound.endOffset]).to.deep.equal(['three', 14]);
    inbound.end(14);
    inbound.rest();
    expect([inbound.idle, inbound.endOffset, inbound.settle(), inbound.ended]).to.deep.equal([true, 14, true, true]);
    expect(inbound.clear()()).to.equal(0);
  });

  it('counts as handed out nothing of what it throws away while it rests', () => {
    const inbound = inboundOf();
    give(inbound, 0, 'one\n');
    takeOne(inbound);
    inbound.rest();
    inbound.discard();
    give(inbound, 4, 'two\n');
    expect([inbound.endOffset, inbound.discardedBytes, inbound.received, inbound.acked]).to.deep.equal([4, 4, 8, 4]);
  });
});
