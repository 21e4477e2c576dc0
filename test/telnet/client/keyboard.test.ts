// What is typed: the client's escapes, and what waits while there is no circuit.

import { expect } from 'chai';
import { Escapes } from '../../../examples/telnet/client/escapes.ts';
import { ASK_ABOVE_MS, PENDING_BYTES, Pending } from '../../../examples/telnet/client/pending.ts';

/** What keys lead to: text as it is passed on, <d> for an escape. */
function typed(keys: string, ...reads: readonly string[]): string {
  const escapes = new Escapes();
  return reads
    .flatMap((read) => escapes.take(Buffer.from(read), keys))
    .map((piece) => (piece.kind === 'escape' ? `<${piece.key}>` : piece.bytes.toString()))
    .join('');
}

describe('telnet client: escapes', () => {
  it('are a tilde at the beginning of a line and a letter that is wanted', () => {
    expect(typed('d.', '~d')).to.equal('<d>');
    expect(typed('d.', 'ls\r~d')).to.equal('ls\r<d>');
    expect(typed('d.', 'ls\r~.ls')).to.equal('ls\r<.>ls');
    expect(typed('d.', 'ls ~d')).to.equal('ls ~d');
    expect(typed('d.', '\u0003~d')).to.equal('\u0003<d>');
    expect(typed('d.', '~d~.')).to.equal('<d><.>');
  });

  it('are the same when every key is a read of its own', () => {
    for (const line of ['~d', 'ls\r~d', 'a~d', '~~d', '~l\r~.x', '~', '~c']) {
      const whole = typed('d.', line);
      expect(typed('d.', ...line), JSON.stringify(line)).to.equal(whole);
    }
  });

  it("leave the server's pairs alone, and hold a tilde until its key is there", () => {
    expect(typed('d.', '~l')).to.equal('~l');
    expect(typed('d.', '~~')).to.equal('~~');
    expect(typed('d.', '~c')).to.equal('~c');
    expect(typed('d.', '~')).to.equal('');
    // Behind a pair that was passed on no line begins.
    expect(typed('d.', '~x~d')).to.equal('~x~d');
  });

  it('can be let begin in the middle of a line, which does not make it another line', () => {
    const escapes = new Escapes();
    escapes.take(Buffer.from('half a li'), 'd');
    escapes.open = true;
    expect(escapes.lineBegins).to.equal(false);
    expect(escapes.take(Buffer.from('~d'), 'd')).to.deep.equal([{ kind: 'escape', key: 'd' }]);
    escapes.take(Buffer.from('x'), 'd');
    escapes.open = true;
    escapes.open = false;
    expect(escapes.take(Buffer.from('~d'), 'd')).to.deep.equal([{ kind: 'bytes', bytes: Buffer.from('~d') }]);
    escapes.lineBegins = true;
    expect(escapes.take(Buffer.from('~d'), 'd')).to.deep.equal([{ kind: 'escape', key: 'd' }]);
  });
});

describe('telnet client: what was typed offline', () => {
  it('keeps its order and is given once', () => {
    const pending = new Pending();
    const read = Buffer.from('ls ');
    pending.add(read, 0);
    // As a stream that uses its memory again.
    read.fill('x');
    pending.add(Buffer.from('-l\r'), 5);
    expect([pending.bytes, pending.shown(40)]).to.deep.equal([6, 'ls -l⏎']);
    expect(pending.take().toString()).to.equal('ls -l\r');
    expect([pending.bytes, pending.take().length, pending.shown(40)]).to.deep.equal([0, 0, '']);
  });

  it('asks when the first of it is older than a minute', () => {
    const pending = new Pending();
    expect(pending.asks(ASK_ABOVE_MS * 2)).to.equal(false);
    pending.add(Buffer.from('rm '), 1_000);
    pending.add(Buffer.from('x\r'), ASK_ABOVE_MS);
    expect(pending.asks(1_000 + ASK_ABOVE_MS)).to.equal(false);
    expect(pending.asks(1_001 + ASK_ABOVE_MS)).to.equal(true);
    pending.take();
    pending.add(Buffer.from('y'), 100_000);
    expect([pending.asks(100_001), pending.ageMs(100_500)]).to.deep.equal([false, 500]);
  });

  it('is bounded, and refuses whole what is too much', () => {
    const pending = new Pending();
    expect(pending.add(Buffer.alloc(PENDING_BYTES - 1, 'a'), 0)).to.equal(true);
    expect(pending.add(Buffer.from('bc'), 0)).to.equal(false);
    expect(pending.add(Buffer.from('b'), 0)).to.equal(true);
    expect(pending.take().length).to.equal(PENDING_BYTES);
  });

  it('is shown without anything that could move a cursor, its end where it is long', () => {
    const pending = new Pending();
    pending.add(Buffer.from('a\u001b[2J\t\u007f世é\u009b\r'), 0);
    expect(pending.shown(40)).to.equal('a^[[2J^I^?·é·⏎');
    expect(pending.shown(4)).to.equal('…é·⏎');
    pending.take();
    pending.add(Buffer.from('x'.repeat(100)), 0);
    expect(pending.shown(10)).to.equal(`…${'x'.repeat(9)}`);
  });
});
