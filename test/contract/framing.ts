// The contract of every framing, as one suite. A codec's test calls framingContract() with its messages, its garbage and its traits;
// a framing of your own passes the same suite before a session can trust it.

import { expect } from 'chai';
import fc from 'fast-check';
import { SessionError, type SessionErrorCode } from '../../lib/errors.ts';
import type { Framing, RangeSink, Sendable } from '../../lib/framing/framing.ts';
import { GrowingWriter } from '../../lib/framing/internal/growing-writer.ts';
import { Random } from '../../lib/testing/random.ts';
import { LIMIT, limits, type Outcome, randomCuts, Subject, type Traits } from './framing-subject.ts';
import { countWork } from './work.ts';

/** Bytes that break the layout right behind a whole message. */
export interface Garbage {
  readonly what: string;
  readonly bytes: Uint8Array;
  readonly code: SessionErrorCode;
}

const MANY = 131_072;

export function framingContract<Message>(
  name: string,
  make: () => Framing<Message>,
  samples: readonly Sendable<Message>[],
  garbage: readonly Garbage[],
  traits: Traits<Message>,
): void {
  describe(`framing contract: ${name}`, () => {
    const subject: Subject<Message> = new Subject(make, traits);
    namesItself(subject);
    survivesSplits(subject, samples);
    keepsMemoryApart(subject, samples);
    reportsFaults(subject, samples, garbage);
    refusesToSend(subject);
    comesBackEqual(subject);
    staysBounded(subject);
    survivesAnything(subject, samples, garbage);
  });
}

function namesItself<Message>(subject: Subject<Message>): void {
  const { make } = subject;
  it('has a name that a handshake can carry, and no state of its own', () => {
    expect(make().name).to.match(/^[\x21-\x7e]{1,64}$/);
    expect(make().name).to.equal(make().name);
    expect(() => make().decoder({ messageBytes: 0 }))
      .to.throw()
      .with.property('code', 'ERR_INVALID_OPTION');
    expect(() => make().encoder({ messageBytes: 1.5 }))
      .to.throw()
      .with.property('code', 'ERR_INVALID_OPTION');
    const framing = make();
    const first = framing.decoder(limits);
    const second = framing.decoder(limits);
    first.decode(subject.encode(subject.traits.sized(LIMIT)), 0, 3, { range: () => true });
    expect(second.residueBytes).to.equal(0);
  });
}

function survivesSplits<Message>(subject: Subject<Message>, samples: readonly Sendable<Message>[]): void {
  const expected = (): unknown => subject.expected(samples);
  const ends = (): number[] => {
    let end = 0;
    return samples.map((sample) => {
      end += subject.encode(sample).length;
      return end;
    });
  };
  const check = (outcome: Outcome): void => {
    if (outcome.error !== null) throw outcome.error;
    expect(subject.comparable(outcome.messages)).to.deep.equal(expected());
    expect(outcome.residueBytes).to.equal(0);
    if (subject.traits.unbounded !== true) expect(outcome.ends).to.deep.equal(ends());
  };

  it('gives the same messages, with the right ends, for every split in two', () => {
    const stream = subject.stream(samples);
    for (let cut = 0; cut <= stream.length; cut++) {
      check(subject.feed(stream, { cuts: [cut] }));
      check(subject.feed(stream, { cuts: [cut], inPlace: true }));
      check(subject.feed(stream, { cuts: [cut], stop: true }));
    }
  });

  it('gives the same messages byte by byte, also when told to stop after each', () => {
    const stream = subject.stream(samples);
    const cuts = Array.from({ length: stream.length }, (_, index) => index);
    check(subject.feed(stream, { cuts }));
    check(subject.feed(stream, { cuts, inPlace: true }));
    check(subject.feed(stream, { cuts, stop: true, inPlace: true }));
    check(subject.feed(stream, { cuts: [], stop: true }));
  });

  it('gives the same messages for random chunks', () => {
    const stream = subject.stream(samples);
    for (let seed = 1; seed <= 60; seed++) {
      const random = new Random(seed);
      const cuts = randomCuts(random, stream.length, random.integer(1, 30));
      check(subject.feed(stream, { cuts, inPlace: random.chance(0.5), stop: random.chance(0.5) }));
    }
  });

  it('shows a truncated message as residue, and starts afresh where there is none', () => {
    const stream = subject.stream(samples);
    const boundaries = new Set(
      [0, ...ends()].flatMap((end) => Array.from({ length: 1 + (subject.traits.leadBytes ?? 0) }, (_, lead) => end + lead)),
    );
    for (let cut = 0; cut <= stream.length; cut++) {
      const before = subject.feed(stream.subarray(0, cut), { cuts: [] });
      if (subject.traits.unbounded !== true) expect(before.residueBytes === 0, `residue at ${cut}`).to.equal(boundaries.has(cut));
      if (before.residueBytes > 0) continue;
      const behind = subject.feed(stream.subarray(cut), { cuts: [] });
      expect(subject.comparable([...before.messages, ...behind.messages])).to.deep.equal(expected());
    }
  });
}

function keepsMemoryApart<Message>(subject: Subject<Message>, samples: readonly Sendable<Message>[]): void {
  it('leaves messages intact while later ones are decoded', () => {
    const many = [...samples, ...samples, ...samples];
    const stream = subject.stream(many);
    for (let seed = 1; seed <= 20; seed++) {
      const cuts = randomCuts(new Random(seed), stream.length, 1 + seed * 2);
      const outcome = subject.feed(stream, { cuts });
      expect(subject.comparable(outcome.messages)).to.deep.equal(subject.expected(many));
    }
  });

  it('keeps no reference to a chunk behind the call', () => {
    const stream = subject.stream(samples);
    for (let cut = 0; cut <= stream.length; cut++) {
      const outcome = subject.feed(stream, { cuts: [cut], scribble: true });
      expect(subject.comparable(outcome.messages)).to.deep.equal(subject.expected(samples));
    }
  });
}

function reportsFaults<Message>(subject: Subject<Message>, samples: readonly Sendable<Message>[], garbage: readonly Garbage[]): void {
  const whole = samples.slice(0, 3);

  function expectFault(bytes: Uint8Array, code: SessionErrorCode): void {
    const stream = Buffer.concat([subject.stream(whole), bytes]);
    const step = Math.ceil(stream.length / 2000);
    for (let cut = 0; cut <= stream.length; cut += step) {
      const outcome = subject.feed(stream, { cuts: [cut], stop: (cut / step) % 2 === 0 });
      expect(subject.comparable(outcome.messages), `messages, cut at ${cut}`).to.deep.equal(subject.expected(whole));
      expect(outcome.error?.code, `cut at ${cut}`).to.equal(code);
      expect(outcome.error?.blame).to.equal('peer');
      expect(outcome.residueBytes, 'a fault frees the memory').to.equal(0);
    }
  }

  for (const { what, bytes, code } of garbage) {
    it(`reports ${what} as ${code}, behind all earlier messages`, () => expectFault(bytes, code));
  }

  it('reports a message above the limit, behind all earlier messages', () => {
    const large = subject.encode(subject.traits.sized(LIMIT + 1), LIMIT * 2);
    if (subject.traits.unbounded === true) expect(subject.feed(large, { cuts: [] }).messages).to.have.length(2);
    else expectFault(large, 'ERR_MESSAGE_TOO_LARGE');
  });

  it('repeats a fault for good', () => {
    const large = subject.encode(subject.traits.sized(LIMIT + 1), LIMIT * 2);
    const faulty = garbage[0]?.bytes ?? (subject.traits.unbounded === true ? null : large);
    if (faulty === null) return;
    const decoder = subject.make().decoder(limits);
    const errors = new Set<unknown>();
    const valid = subject.stream(whole);
    for (const bytes of [Buffer.from(faulty), valid, Buffer.alloc(0), valid]) {
      try {
        decoder.decode(bytes, 0, bytes.length, { range: () => expect.fail('no message comes behind a fault') });
        expect.fail('decode() went on after a fault');
      } catch (error) {
        errors.add(error);
      }
    }
    expect(errors.size).to.equal(1);
    expect([...errors].every((error) => SessionError.is(error))).to.equal(true);
  });
}

function refusesToSend<Message>(subject: Subject<Message>): void {
  it('writes nothing of a message that it refuses', () => {
    const encoder = subject.make().encoder(limits);
    const out = new GrowingWriter();
    out.byte(0x5a);
    const refused = [...subject.traits.refused.map((message) => ({ message, code: 'ERR_INVALID_MESSAGE' }))];
    refused.push({ message: subject.traits.sized(LIMIT + 1), code: 'ERR_MESSAGE_TOO_LARGE' });
    refused.push({ message: subject.traits.sized(LIMIT * 100), code: 'ERR_MESSAGE_TOO_LARGE' });
    for (const { message, code } of refused) {
      let thrown: unknown;
      try {
        encoder.encode(message as Message, out);
      } catch (error) {
        thrown = error;
      }
      expect(thrown, `for ${String(message).slice(0, 40)}`).to.include({ code, blame: 'caller' });
      expect(out.position, 'position').to.equal(1);
    }
    encoder.encode(subject.traits.sized(LIMIT) as Message, out);
    expect(Buffer.from(out.bytes().subarray(1))).to.deep.equal(subject.encode(subject.traits.sized(LIMIT)));
  });
}

function comesBackEqual<Message>(subject: Subject<Message>): void {
  it('encodes a message alike whatever came before it, so that one encoding serves many sessions', () => {
    const encoder = subject.make().encoder(limits);
    const message = subject.traits.sized(LIMIT);
    for (const before of [LIMIT, LIMIT - 1, LIMIT]) {
      encoder.encode(subject.traits.sized(before) as Message, new GrowingWriter());
      const out = new GrowingWriter();
      encoder.encode(message as Message, out);
      expect(out.bytes()).to.deep.equal(subject.encode(message));
    }
  });

  it('decodes what it encodes: 400 random messages and one of exactly the limit', () => {
    const encoder = subject.make().encoder(limits);
    const out = new GrowingWriter();
    const sent: Sendable<Message>[] = [];
    const random = new Random(1);
    for (let count = 0; count <= 400; count++) {
      const message = count === 200 ? subject.traits.sized(LIMIT) : subject.traits.random(random);
      try {
        encoder.encode(message as Message, out);
        sent.push(message);
      } catch (error) {
        if (!SessionError.is(error, 'ERR_INVALID_MESSAGE')) throw error;
      }
    }
    expect(sent.length, 'messages that could be sent').to.be.greaterThan(100);
    const stream = out.bytes();
    for (const cuts of [[], randomCuts(random, stream.length, 500), randomCuts(random, stream.length, 5000)]) {
      const outcome = subject.feed(stream, { cuts });
      if (outcome.error !== null) throw outcome.error;
      expect(subject.comparable(outcome.messages)).to.deep.equal(subject.expected(sent));
    }
  });
}

function staysBounded<Message>(subject: Subject<Message>): void {
  const { endless, overheadBytes, endlessBytes: many = MANY } = subject.traits;
  if (endless === null) return;

  it('holds no more than a message, in memory that follows what has arrived', () => {
    const { head, filler } = endless(many);
    const decoder = subject.make().decoder({ messageBytes: many });
    const chunk = Buffer.concat(Array.from({ length: Math.ceil(1024 / filler.length) }, () => filler));
    let over = false;
    const sink: RangeSink = {
      range: () => {
        over = true;
        return false;
      },
    };
    const work = countWork((counts) => {
      let piece: Buffer = Buffer.from(head);
      for (let fed = 0; fed < many * 3; fed += piece.length, piece = chunk) {
        try {
          decoder.decode(piece, 0, piece.length, sink);
        } catch (error) {
          expect(error).to.have.property('code', 'ERR_MESSAGE_TOO_LARGE');
          over = true;
        }
        if (over) return;
        expect(decoder.residueBytes).to.be.at.most(many + overheadBytes);
        expect(counts.largestAllocation).to.be.at.most(4 * Math.max(decoder.residueBytes, 64));
      }
    });
    expect(over, 'the message came to its end or to the limit').to.equal(true);
    expect(work.largestAllocation).to.be.at.most(2 * (many + overheadBytes) + 65_536);
  });

  it('does work in proportion to the bytes of a message that comes byte by byte', () => {
    const { head, filler } = endless(many);
    const decoder = subject.make().decoder({ messageBytes: many });
    const stream = Buffer.concat([head, ...Array.from({ length: Math.floor(many / filler.length) - head.length - 1 }, () => filler)]);
    const work = countWork(() => {
      for (let at = 0; at < stream.length; at++) decoder.decode(stream, at, at + 1, { range: () => true });
    });
    expect(decoder.residueBytes).to.be.greaterThan(many / 8);
    expect(work.scannedBytes).to.be.at.most(4 * stream.length);
    expect(work.copiedBytes).to.be.at.most(4 * stream.length);
    expect(work.allocatedBytes).to.be.at.most(6 * stream.length);
  });
}

function survivesAnything<Message>(subject: Subject<Message>, samples: readonly Sendable<Message>[], garbage: readonly Garbage[]): void {
  it('throws nothing but a SessionError for any bytes, and means the same however they are split', () => {
    const valid = samples.map((sample) => new Uint8Array(subject.encode(sample)));
    const piece = fc.oneof(
      fc.constantFrom(...valid, ...garbage.map(({ bytes }) => bytes)),
      fc.uint8Array({ maxLength: 20 }),
      fc.constantFrom(0, 1, 2, 3, 0x0a, 0x0d, 0x2c, 0x30, 0x31, 0x3a, 0x80, 0xc0, 0xdb, 0xdc, 0xff).map((byte) => Uint8Array.of(byte)),
      fc.tuple(fc.constantFrom(...valid), fc.nat(400), fc.nat(255)).map(([bytes, at, byte]) => damaged(bytes, at, byte)),
    );
    const cases = fc.tuple(fc.array(piece, { maxLength: 8 }), fc.integer({ min: 1, max: 0x7fff_ffff }));
    const property = fc.property(cases, ([pieces, seed]) => {
      const stream = Buffer.concat(pieces);
      const random = new Random(seed);
      const whole = subject.feed(stream, { cuts: [] });
      for (const count of [3, 10, stream.length]) {
        const split = subject.feed(stream, {
          cuts: randomCuts(random, stream.length, count),
          stop: random.chance(0.5),
          inPlace: random.chance(0.5),
        });
        expect(subject.comparable(split.messages)).to.deep.equal(subject.comparable(whole.messages));
        expect(split.error?.code).to.equal(whole.error?.code);
        expect(split.residueBytes).to.equal(whole.residueBytes);
      }
      if (whole.error !== null) expect(whole.error.code).to.be.oneOf(['ERR_FRAMING', 'ERR_MESSAGE_TOO_LARGE']);
    });
    const { FUZZ_RUNS = '300', FUZZ_SEED = '1' } = process.env;
    fc.assert(property, { numRuns: Number(FUZZ_RUNS), seed: Number(FUZZ_SEED) });
  });
}

/** Random bytes of 0 to LIMIT, half of them drawn from the bytes that layouts use themselves. */
export function randomPayload(random: Random): Buffer {
  const length = random.chance(0.2) ? random.integer(LIMIT - 50, LIMIT) : random.integer(0, 40);
  if (random.chance(0.5)) return random.bytes(length);
  const special = [0x00, 0xff, 0x0a, 0x0d, 0x02, 0x03, 0xc0, 0xdb, 0xdc, 0xdd, 0x2c, 0x3a, 0x30];
  const few = [random.pick(special), random.pick(special), 0x61];
  return Buffer.from(Array.from({ length }, () => random.pick(few)));
}

export function bytes(...values: readonly (number | string)[]): Buffer {
  return Buffer.concat(values.map((value) => (typeof value === 'string' ? Buffer.from(value, 'latin1') : Buffer.of(value))));
}

function damaged(source: Uint8Array, at: number, byte: number): Uint8Array {
  const copy = Uint8Array.from(source);
  if (copy.length > 0) copy[at % copy.length] = byte;
  return copy;
}
