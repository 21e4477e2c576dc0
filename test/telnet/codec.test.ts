// telnet(): the contract of all framings, the bytes of RFC 854 and RFC 855, limits, and what is refused.

import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import { command, data, negotiation, subnegotiation, type TelnetEvent, telnet } from '../../examples/telnet/telnet.ts';
import { encodeMessage } from '../../lib/framing/standalone.ts';
import type { Random } from '../../lib/testing/random.ts';
import { framingContract, randomPayload } from '../contract/framing.ts';
import { LIMIT } from '../contract/framing-subject.ts';
import { countWork } from '../contract/work.ts';
import { importsOf } from '../support/source-text.ts';
import { bytewise, decoded, decodedEvents, encoded, hex, shown } from './support.ts';

const verbs = ['will', 'wont', 'do', 'dont'] as const;

function randomEvent(random: Random): TelnetEvent {
  const payload = randomPayload(random);
  const kind = random.integer(0, 3);
  if (kind === 0) return command(random.integer(0xec, 0xf9));
  if (kind === 1) return negotiation(random.pick(verbs), random.integer(0, 255));
  if (kind === 2) return subnegotiation(random.pick([0, 24, 240, 255]), payload);
  return data(payload.length === 0 ? 'x' : payload);
}

framingContract<TelnetEvent>(
  'telnet',
  () => telnet({ subnegotiationBytes: 1_048_576 }),
  [
    data('hello'),
    command(0xf4),
    negotiation('do', 6),
    data(hex('ff')),
    data(hex('61 ff ff 62')),
    negotiation('will', 255),
    subnegotiation(31, hex('00 ff ff f0')),
    subnegotiation(255),
    data(hex('0d 0a 0d 00')),
    command(0xf1),
    subnegotiation(24, 0, Buffer.alloc(LIMIT - 1, 0xff)),
    data(Buffer.alloc(LIMIT, 0x61)),
  ],
  [],
  {
    overheadBytes: 4,
    sized: (size) => data(Buffer.alloc(size, 0x61)),
    random: randomEvent,
    refused: [
      data(''),
      command(0xff),
      command(0xfa),
      command(0xfb),
      command(0x41),
      command(Number.NaN),
      negotiation('will', 256),
      negotiation('maybe' as 'will', 1),
      subnegotiation(-1, 'x'),
      { kind: 'discarded', option: 24, reason: 'overflow' },
      { kind: 'data', bytes: 'text' },
      { kind: 'data' },
      {},
      null,
      undefined,
      5,
      'text',
    ],
    endless: () => ({ head: hex('ff fa 18'), filler: hex('61 62 ff ff 63') }),
    arrived: (message) => shown(message as TelnetEvent),
    unbounded: true,
  },
);

describe('telnet codec', () => {
  it('needs nothing but itself, and types of the framing seam', () => {
    const reached = new Set(['host.ts', 'guest.ts', 'nvt.ts', 'synch.ts']);
    for (const file of reached) {
      const source = readFileSync(new URL(`../../examples/telnet/${file}`, import.meta.url), 'utf8');
      expect(source, file).to.not.match(/\b(Date|performance|setTimeout|Math\.random|process|Promise|console|await)\b/);
      for (const { specifier } of importsOf(source)) {
        if (specifier.startsWith('./')) reached.add(specifier.slice(2));
        else expect(specifier, file).to.equal('outlast/framing/framing');
      }
      expect(source, file).to.not.match(/^import \{.*'outlast/m);
    }
    const files = readdirSync(new URL('../../examples/telnet/', import.meta.url)).filter(
      (name) => name.endsWith('.ts') && name !== 'main.ts',
    );
    expect([...reached].sort()).to.deep.equal(files.sort());
  });

  it('reads commands, negotiations and subnegotiations out of the text around them', () => {
    expect(decoded([hex('61 ff f4 62 ff fd 06 ff fa 1f 00 50 00 18 ff f0 63')])).to.equal('61<f4>62<do 6><sb 31 00500018>63');
  });

  it('writes what RFC 854 and RFC 855 say', () => {
    expect(encoded(data(hex('61 ff 62')))).to.deep.equal(hex('61 ff ff 62'));
    expect(encoded(command(0xf6), negotiation('dont', 34))).to.deep.equal(hex('ff f6 ff fe 22'));
    expect(encoded(subnegotiation(31, hex('00 ff 00 18')))).to.deep.equal(hex('ff fa 1f 00 ff ff 00 18 ff f0'));
    expect(encoded(subnegotiation(255, 'x'))).to.deep.equal(hex('ff fa ff ff 78 ff f0'));
  });

  it('undoes doubled IACs wherever they are cut', () => {
    for (const stream of [hex('ff ff'), hex('61 ff ff 62 ff ff ff ff 63'), hex('ff ff ff f1 ff ff')]) {
      const whole = decoded([stream]);
      expect(decoded(bytewise(stream))).to.equal(whole);
      for (let cut = 0; cut <= stream.length; cut++) expect(decoded([stream.subarray(0, cut), stream.subarray(cut)])).to.equal(whole);
    }
    expect(decoded([hex('61 ff ff 62 ff ff ff ff 63')])).to.equal('61ff62ffff63');
  });

  it('reports bytes behind an IAC that mean nothing as commands, and goes on', () => {
    expect(decoded([hex('61 ff 80 62 ff 00 63 ff f0 64')])).to.equal('61<80>62<0>63<f0>64');
  });

  it('ends a subnegotiation at any other command, and obeys that command', () => {
    const streams: [string, string][] = [
      ['ff fa 18 00 61 ff f1 62', '<interrupted 24><f1>62'],
      ['ff fa 18 00 ff fb 01 62', '<interrupted 24><will 1>62'],
      ['ff fa 18 00 ff fa 1f 00 ff f0', '<interrupted 24><sb 31 00>'],
      ['ff fa ff f1', '<interrupted 0><f1>'],
      ['ff fa ff f0 61', '<empty 0>61'],
      ['ff fa 18 ff f0 61', '<sb 24 >61'],
    ];
    for (const [stream, events] of streams) {
      expect(decoded([hex(stream)]), stream).to.equal(events);
      expect(decoded(bytewise(hex(stream))), stream).to.equal(events);
    }
  });

  it('takes a subnegotiation of exactly the limit and discards one more byte, doubled IACs counted once', () => {
    const framed = (body: Buffer): Buffer => encodeMessage(telnet(), subnegotiation(24, body));
    for (const filler of [0x61, 0xff]) {
      for (const cut of [bytewise, (stream: Buffer): Buffer[] => [stream]]) {
        expect(decoded(cut(framed(Buffer.alloc(8, filler))), 8)).to.equal(`<sb 24 ${Buffer.alloc(8, filler).toString('hex')}>`);
        expect(decoded(cut(Buffer.concat([framed(Buffer.alloc(9, filler)), hex('62')])), 8)).to.equal('<overflow 24>62');
      }
    }
  });

  it('names the option of an overflow whose first piece already is too long', () => {
    const stream = Buffer.concat([hex('ff fa 27'), Buffer.alloc(20, 0x61), hex('ff f0 62')]);
    for (let cut = 0; cut <= stream.length; cut++) {
      expect(decoded([stream.subarray(0, cut), stream.subarray(cut)], 8)).to.equal('<overflow 39><overflow 39>62');
    }
  });

  it('reports an unterminated subnegotiation again for every limit that goes by, and holds no memory for it', () => {
    const decoder = telnet({ subnegotiationBytes: 100 }).decoder({ messageBytes: 65_536 });
    const seen: string[] = [];
    const sink = {
      range: (buffer: Buffer, start: number, end: number): boolean => seen.push(shown(decoder.message(buffer, start, end))) > 0,
    };
    const flood = Buffer.concat([hex('ff fa 18'), Buffer.alloc(100_000, 0x61)]);
    const work = countWork(() => {
      for (let at = 0; at < flood.length; at += 1000) decoder.decode(flood, at, Math.min(at + 1000, flood.length), sink);
    });
    expect(seen).to.have.length(999);
    expect(new Set(seen)).to.deep.equal(new Set(['<overflow 24>']));
    expect(decoder.residueBytes).to.be.at.most(2);
    expect(work.largestAllocation).to.be.at.most(256);
    decoder.decode(hex('ff ff ff f1 ff f0 62'), 0, 7, sink);
    expect(seen.at(-1)).to.equal('62');
  });

  it('counts doubled IACs and commands in what it discards', () => {
    for (const filler of ['ffff', 'fff1', '41ff80']) {
      const flood = Buffer.concat([hex('ff fa 18'), Buffer.alloc(101, 0x61), Buffer.alloc(6000, hex(filler)), hex('ff f0 62')]);
      const events = decoded([flood], 100);
      expect(events.split('<overflow 24>').length - 1, filler).to.be.within(59, 61);
      expect(decoded(bytewise(flood), 100), filler).to.equal(events);
    }
  });

  it('stops behind each event, also behind the two that one byte can cause', () => {
    const stream = hex('61 ff fa 18 00 ff fd 06 ff ff 62');
    const decoder = telnet().decoder({ messageBytes: 100 });
    const seen: string[] = [];
    const sink = {
      range: (buffer: Buffer, start: number, end: number): boolean => {
        seen.push(shown(decoder.message(buffer, start, end)));
        return false;
      },
    };
    const ends: number[] = [];
    for (let at = 0; at < stream.length; ) {
      at = decoder.decode(stream, at, stream.length, sink);
      ends.push(at);
    }
    expect(seen).to.deep.equal(['61', '<interrupted 24>', '<do 6>', 'ff', '62']);
    expect(ends).to.deep.equal([1, 6, 8, 10, 11]);
  });

  it('makes no copy of user data', () => {
    const decoder = telnet().decoder({ messageBytes: 65_536 });
    const chunk = Buffer.alloc(65_536, 0x61);
    const work = countWork(() => decoder.decode(chunk, 0, chunk.length, { range: (buffer) => buffer === chunk }));
    expect(work).to.include({ views: 0, allocatedBytes: 0, copiedBytes: 0, scannedBytes: 65_536 });
  });

  it('gives events whose bytes belong to whoever reads them', () => {
    const events = decodedEvents([hex('ff ff 61 ff ff'), hex('ff fa 18 61 ff f0')]);
    for (const event of events) if ('bytes' in event) event.bytes.fill(0);
    expect(decoded([hex('ff ff ff f1 ff fb 01')])).to.equal('ff<f1><will 1>');
  });

  it('refuses limits that are none', () => {
    for (const subnegotiationBytes of [0, -1, 1.5, 2 ** 20 + 1, Number.NaN]) {
      expect(() => telnet({ subnegotiationBytes }))
        .to.throw()
        .with.property('code', 'ERR_INVALID_OPTION');
    }
    expect(() => encodeMessage(telnet(), subnegotiation(24, Buffer.alloc(2049))))
      .to.throw()
      .with.property('code', 'ERR_MESSAGE_TOO_LARGE');
  });

  it('throws nothing but coded errors for anything that is given to the encoder', () => {
    const loose = fc.record(
      {
        kind: fc.oneof(fc.constantFrom('data', 'command', 'negotiation', 'subnegotiation', 'discarded'), fc.string()),
        bytes: fc.oneof(fc.uint8Array({ maxLength: 30 }), fc.anything()),
        command: fc.oneof(fc.integer({ min: -1, max: 300 }), fc.anything()),
        verb: fc.oneof(fc.constantFrom(...verbs), fc.string()),
        option: fc.oneof(fc.integer({ min: -1, max: 300 }), fc.anything()),
      },
      { requiredKeys: [] },
    );
    const property = fc.property(fc.oneof({ weight: 4, arbitrary: loose }, fc.anything()), (value) => {
      try {
        const bytes = encodeMessage(telnet(), value as TelnetEvent);
        expect(decodedEvents([bytes]).map((event) => event.kind)).to.include((value as TelnetEvent).kind);
      } catch (error) {
        expect(error).to.have.property('name', 'TelnetError');
        expect(error).to.include({ blame: 'caller', retryable: false });
        expect(error).to.have.property('code').that.is.oneOf(['ERR_INVALID_MESSAGE', 'ERR_MESSAGE_TOO_LARGE']);
      }
    });
    fc.assert(property, { numRuns: 500, seed: 1 });
  });
});
