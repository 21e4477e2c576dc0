// Inbox against a naive decoder: any chunks, any pattern of asking, the same messages at the same offsets.
import { expect } from 'chai';
import fc from 'fast-check';
import { Inbox } from '../../lib/core/inbox.ts';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { lines } from '../../lib/framing/lines.ts';

const limits = { messageBytes: 5000 };

function inboxOf(): Inbox<string> {
  return new Inbox(lines().decoder(limits));
}

/** Gives a chunk as a socket does: a part of something larger, or alone. */
function take(inbox: Inbox<string>, chunk: Buffer, padding: number): void {
  const around = Buffer.alloc(chunk.length + 2 * padding, 0x0a);
  around.set(chunk, padding);
  inbox.take(around, padding, padding + chunk.length);
}

const texts = fc.array(fc.oneof(fc.string({ maxLength: 12 }), fc.constant('x'.repeat(4000))), { maxLength: 60 });

describe('inbox', () => {
  it('cuts as a naive decoder does, for any chunks and any pattern of asking', () => {
    const chunks = fc.array(
      fc.record({
        bytes: fc.integer({ min: 1, max: 3000 }),
        asks: fc.integer({ min: 0, max: 9 }),
        visits: fc.integer({ min: 0, max: 9 }),
        padding: fc.constantFrom(0, 0, 70_000),
        owns: fc.boolean(),
      }),
      {
        minLength: 1,
        maxLength: 40,
      },
    );
    fc.assert(
      fc.property(texts, chunks, (texts, chunks) => {
        const wanted = texts.map((text) => text.replaceAll('\n', '_'));
        const stream = Buffer.from(wanted.map((text) => `${text}\n`).join(''));
        const inbox = inboxOf();
        inbox.begin(1000);
        const got: string[] = [];
        let offset = 1000;
        const look = (text: string): void => {
          got.push(text);
          offset += Buffer.byteLength(text) + 1;
          expect(inbox.endOffset).to.equal(offset);
        };
        const ask = (): boolean => {
          const { ready } = inbox;
          expect(inbox.next()).to.equal(ready);
          if (ready) look(inbox.message());
          return ready;
        };
        const visit = (most: number): void => {
          let left = most;
          inbox.each({
            visit(buffer, start, end) {
              look(inbox.decoder.message(buffer, start, end));
              return --left > 0;
            },
          });
          if (left > 0) expect(inbox.ready).to.equal(false);
        };
        for (let at = 0, i = 0; at < stream.length; i++) {
          const { bytes, asks, visits, padding, owns } = chunks[i % chunks.length] as (typeof chunks)[number];
          take(inbox, stream.subarray(at, at + bytes), padding);
          at += bytes;
          for (let left = asks; left > 0; left--) ask();
          if (visits > 0) visit(visits);
          if (owns) inbox.own();
        }
        visit(Number.POSITIVE_INFINITY);
        expect(got).to.deep.equal(wanted);
        expect(inbox.empty).to.equal(true);
      }),
      { numRuns: 150 },
    );
  });

  it('may be given more within a visit, and asked to own it', () => {
    const inbox = inboxOf();
    const got: string[] = [];
    take(inbox, Buffer.from('one\ntwo\nth'), 70_000);
    inbox.each({
      visit(buffer, start, end) {
        got.push(inbox.decoder.message(buffer, start, end));
        if (got.length === 1) take(inbox, Buffer.from('ree\nfour\nfi'), 70_000);
        inbox.own();
        expect(inbox.ready).to.equal(false);
        expect(inbox.next()).to.equal(false);
        return true;
      },
    });
    expect(got).to.deep.equal(['one', 'two', 'three', 'four']);
    inbox.own();
    take(inbox, Buffer.from('ve\n'), 0);
    expect(inbox.next() && inbox.message()).to.equal('five');
  });

  for (const counted of ['within', 'behind']) {
    it(`may be cleared within a visit; what was left is counted ${counted} it`, () => {
      const inbox = inboxOf();
      const got: string[] = [];
      let count = 0;
      let left = (): number => 0;
      take(inbox, Buffer.from('one\ntwo\nthree\nfour\n'), 0);
      take(inbox, Buffer.from('five\n'), 0);
      inbox.each({
        visit(buffer, start, end) {
          got.push(inbox.decoder.message(buffer, start, end));
          if (got.length < 2) return true;
          left = inbox.clear();
          if (counted === 'within') count = left();
          return false;
        },
      });
      if (counted === 'behind') count = left();
      expect(got).to.deep.equal(['one', 'two']);
      expect(count).to.equal(3);
      expect(inbox.empty).to.equal(true);
      expect(inbox.ready).to.equal(false);
    });
  }

  it('may be cleared at the first message of a visit, which was found before', () => {
    const inbox = inboxOf();
    let count = 0;
    take(inbox, Buffer.from('one\n'), 0);
    take(inbox, Buffer.from('two\nthree\n'), 0);
    inbox.each({
      visit() {
        count = inbox.clear()();
        return false;
      },
    });
    expect(count).to.equal(2);
  });

  it('gathers small reads: a slow reader is not left with one piece for each', () => {
    const decoder = lines().decoder(limits);
    let pieces = 0;
    const inbox = new Inbox<string>({
      get residueBytes() {
        return decoder.residueBytes;
      },
      message: (buffer, start, end) => decoder.message(buffer, start, end),
      decode(bytes, start, end, sink) {
        pieces++;
        return decoder.decode(bytes, start, end, sink);
      },
    });
    for (let i = 0; i < 10_000; i++) {
      // As a socket reads it: in memory of its own.
      const read = Buffer.allocUnsafeSlow(16).fill(0x61);
      read[15] = 0x0a;
      inbox.take(read, 0, read.length);
      inbox.own();
    }
    pieces = 0;
    let messages = 0;
    inbox.each({
      visit() {
        messages++;
        return true;
      },
    });
    expect([messages, pieces < 20]).to.deep.equal([10_000, true]);
  });

  it('decodes one message ahead and no further', () => {
    let decoded = 0;
    const decoder = lines().decoder(limits);
    const inbox = new Inbox<string>({
      get residueBytes() {
        return decoder.residueBytes;
      },
      message: (buffer, start, end) => decoder.message(buffer, start, end),
      decode: (bytes, start, end, sink) =>
        decoder.decode(bytes, start, end, {
          range(...found) {
            decoded++;
            return sink.range(...found);
          },
        }),
    });
    take(inbox, Buffer.from('a\nb\nc\n'), 0);
    take(inbox, Buffer.from('d\n'), 0);
    expect(decoded).to.equal(1);
    let all = '';
    for (let asked = 1; inbox.next(); asked++) {
      all += inbox.message();
      expect(decoded).to.equal(asked);
    }
    expect(all).to.equal('abcd');
  });

  it('is not empty while a message, a byte or half a message is held', () => {
    const inbox = inboxOf();
    expect(inbox.empty).to.equal(true);
    take(inbox, Buffer.from('a'), 0);
    expect([inbox.empty, inbox.ready]).to.deep.equal([false, false]);
    take(inbox, Buffer.from('\nb'), 0);
    expect([inbox.empty, inbox.ready]).to.deep.equal([false, true]);
    inbox.next();
    expect([inbox.empty, inbox.ready]).to.deep.equal([false, false]);
    take(inbox, Buffer.from('\n'), 0);
    inbox.next();
    expect(inbox.empty).to.equal(true);
  });

  it('keeps small pieces of large chunks in memory of their own', () => {
    const inbox = inboxOf();
    take(inbox, Buffer.from('a\n'), 0);
    const chunk = Buffer.alloc(100_000, 0x2e);
    chunk.write('one\ntwo\n', 500);
    inbox.take(chunk, 500, 504);
    inbox.take(chunk, 504, 508);
    inbox.own();
    chunk.fill(0x21);
    let all = '';
    while (inbox.next()) all += `${inbox.message()} `;
    expect(all).to.equal('a one two ');
  });

  it('hands out everything in front of a fault, and nothing behind it', () => {
    const inbox = inboxOf();
    take(inbox, Buffer.from(`a\nb\n${'x'.repeat(6000)}`), 0);
    take(inbox, Buffer.from('\nc\n'), 0);
    const got: string[] = [];
    while (inbox.next()) got.push(inbox.message());
    expect(got).to.deep.equal(['a', 'b']);
    expect(inbox.error?.code).to.equal('ERR_MESSAGE_TOO_LARGE');
    take(inbox, Buffer.from('d\n'), 0);
    expect(inbox.ready).to.equal(false);
  });

  it('takes anything that a codec throws for a fault of the framing', () => {
    const broken = {
      ...lines().decoder(limits),
      residueBytes: 0,
      decode: () => {
        throw new TypeError('a bug');
      },
    };
    const inbox = new Inbox<string>(broken as never);
    take(inbox, Buffer.from('a\n'), 0);
    expect(inbox.error?.code).to.equal('ERR_FRAMING');
    expect(inbox.error?.cause).to.be.instanceOf(TypeError);
  });

  it('counts whole messages when it is cleared', () => {
    const inbox = inboxOf();
    take(inbox, Buffer.from('a\nb\nc\nhalf'), 0);
    const count = inbox.clear();
    expect([inbox.ready, inbox.next()]).to.deep.equal([false, false]);
    // Counted when it is asked for, and once.
    expect([count(), count()]).to.deep.equal([3, 3]);
    expect([inbox.ready, inbox.next()]).to.deep.equal([false, false]);
    const faulty = inboxOf();
    take(faulty, Buffer.from(`a\nb\n${'x'.repeat(6000)}`), 0);
    expect(faulty.clear()()).to.equal(2);
  });

  it('lets go of the chunk that an idle session read last, and works again afterwards', () => {
    const inbox = inboxOf();
    take(inbox, Buffer.from('a\n'.repeat(1000)), 0);
    while (inbox.next());
    inbox.rest();
    expect(inbox.buffer.length).to.equal(0);
    take(inbox, Buffer.from('b\nc\n'), 0);
    expect([inbox.next(), inbox.message(), inbox.next(), inbox.message(), inbox.next()]).to.deep.equal([true, 'b', true, 'c', false]);
  });

  it('does not rest what still waits', () => {
    const inbox = inboxOf();
    take(inbox, Buffer.from('a\n'.repeat(100)), 0);
    inbox.rest();
    let count = 0;
    while (inbox.next()) count++;
    expect(count).to.equal(100);
  });

  it('gives views that stay as they are', () => {
    const inbox = new Inbox(lengthPrefix().decoder(limits));
    const messages: Buffer[] = [];
    for (let i = 0; i < 100; i++) {
      const bytes = Buffer.alloc(14, i);
      bytes.writeUInt32BE(10, 0);
      // In two chunks, so that the residue is used.
      inbox.take(Buffer.from(bytes.subarray(0, 7)), 0, 7);
      inbox.take(Buffer.from(bytes.subarray(7)), 0, 7);
      if (inbox.next()) messages.push(inbox.message());
    }
    expect(messages.map((message) => [...new Set(message)])).to.deep.equal(messages.map((_, i) => [i]));
  });
});
