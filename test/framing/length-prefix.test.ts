// lengthPrefix(): the contract for its forms, the examples of Netty's documentation, and the limits of each field.

import { expect } from 'chai';
import { type LengthPrefixOptions, lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { Deframer, encodeMessage } from '../../lib/framing/standalone.ts';
import { bytes, framingContract, randomPayload } from '../contract/framing.ts';
import { LIMIT, type Traits } from '../contract/framing-subject.ts';
import { countWork } from '../contract/work.ts';

const refused = [5, null, undefined, {}, [1], new ArrayBuffer(2), '\ud800'];

function traits(head: (size: number) => Buffer, overheadBytes: number): Traits<Buffer> {
  return {
    overheadBytes,
    sized: (size) => Buffer.alloc(size, 0x61),
    random: randomPayload,
    refused,
    endless: (size) => ({ head: head(size), filler: Buffer.of(0) }),
  };
}

const u32be = (value: number): Buffer => bytes((value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
const samples = ['hello', Buffer.alloc(0), bytes(0, 255, 10), Buffer.alloc(LIMIT, 9), 'grün', Buffer.alloc(0)];
const huge = { what: 'a length of 4 GiB', bytes: bytes(0xff, 0xff, 0xff, 0xff), code: 'ERR_MESSAGE_TOO_LARGE' } as const;

framingContract(
  'lengthPrefix()',
  () => lengthPrefix(),
  samples,
  [huge, { what: 'HTTP', bytes: bytes('GET / HTTP/1.1\r\n\r\n'), code: 'ERR_MESSAGE_TOO_LARGE' }],
  traits(u32be, 4),
);
framingContract(
  'lengthPrefix little',
  () => lengthPrefix({ endian: 'little' }),
  samples,
  [huge],
  traits((size) => u32be(size).reverse(), 4),
);
framingContract('lengthPrefix 2', () => lengthPrefix({ bytes: 2 }), samples, [{ ...huge, bytes: bytes(0xff, 0xff) }], {
  ...traits(() => bytes(0xff, 0xff), 2),
  endlessBytes: 65_535,
});
framingContract(
  'lengthPrefix 3 little',
  () => lengthPrefix({ bytes: 3, endian: 'little' }),
  samples,
  [{ ...huge, bytes: bytes(0, 0, 1) }],
  traits((size) => bytes(size & 255, (size >> 8) & 255, size >> 16), 3),
);
framingContract(
  'lengthPrefix counting itself',
  () => lengthPrefix({ bytes: 4, adjustment: -4 }),
  samples,
  [{ what: 'a length below its own', bytes: bytes(0, 0, 0, 3), code: 'ERR_FRAMING' }],
  traits((size) => u32be(size + 4), 4),
);

/** Frames of 02 01, a big-endian 16-bit length of what follows it, a type byte, and the rest. */
const wholeFrame = (payload: Uint8Array): Buffer => bytes(2, 1, payload.length >> 8, payload.length & 255, ...payload);
framingContract(
  'lengthPrefix whole frames',
  () => lengthPrefix({ bytes: 2, offset: 2 }),
  [wholeFrame(bytes('hello')), wholeFrame(bytes()), wholeFrame(Buffer.alloc(LIMIT - 4, 1)), bytes(9, 9, 0, 1, 7)],
  [{ ...huge, bytes: bytes(2, 1, 0xff, 0xff) }],
  {
    overheadBytes: 0,
    sized: (size) => wholeFrame(Buffer.alloc(size - 4, 0x61)),
    random: (random) => wholeFrame(randomPayload(random).subarray(0, LIMIT - 4)),
    refused: [
      ...refused,
      'abc',
      bytes(2, 1, 0, 5, 1),
      bytes(2, 1, 0, 0, 1),
      Buffer.concat([wholeFrame(bytes('a')), wholeFrame(bytes('b'))]),
    ],
    endless: (size) => ({ head: bytes(2, 1, (size - 4) >> 8, (size - 4) & 255), filler: Buffer.of(0) }),
    endlessBytes: 60_000,
  },
);

describe('lengthPrefix', () => {
  it('decodes as the examples of Netty do', () => {
    const text = 'HELLO, WORLD';
    const cases: [LengthPrefixOptions, Buffer, Buffer][] = [
      [{ bytes: 2, strip: 0 }, bytes(0, 12, text), bytes(0, 12, text)],
      [{ bytes: 2, strip: 2 }, bytes(0, 12, text), bytes(text)],
      [{ bytes: 2, adjustment: -2, strip: 0 }, bytes(0, 14, text), bytes(0, 14, text)],
      [{ bytes: 3, offset: 2, strip: 0 }, bytes(0xca, 0xfe, 0, 0, 12, text), bytes(0xca, 0xfe, 0, 0, 12, text)],
      [{ bytes: 3, adjustment: 2, strip: 0 }, bytes(0, 0, 12, 0xca, 0xfe, text), bytes(0, 0, 12, 0xca, 0xfe, text)],
      [{ bytes: 2, offset: 1, adjustment: 1, strip: 3 }, bytes(0xca, 0, 12, 0xfe, text), bytes(0xfe, text)],
      [{ bytes: 2, offset: 1, adjustment: -3, strip: 3 }, bytes(0xca, 0, 16, 0xfe, text), bytes(0xfe, text)],
    ];
    for (const [options, stream, message] of cases) {
      const deframer = new Deframer(lengthPrefix(options));
      expect(deframer.push(Buffer.concat([stream, stream])), JSON.stringify(options)).to.deep.equal([message, message]);
      if (options.strip === 0) expect(encodeMessage(lengthPrefix(options), message)).to.deep.equal(stream);
    }
  });

  it('writes each size and order', () => {
    const message = Buffer.alloc(0x0102, 7);
    expect(encodeMessage(lengthPrefix(), message).subarray(0, 5)).to.deep.equal(bytes(0, 0, 1, 2, 7));
    expect(encodeMessage(lengthPrefix({ endian: 'little' }), message).subarray(0, 5)).to.deep.equal(bytes(2, 1, 0, 0, 7));
    expect(encodeMessage(lengthPrefix({ bytes: 3 }), message).subarray(0, 4)).to.deep.equal(bytes(0, 1, 2, 7));
    expect(encodeMessage(lengthPrefix({ bytes: 2, endian: 'little' }), message).subarray(0, 3)).to.deep.equal(bytes(2, 1, 7));
    expect(encodeMessage(lengthPrefix({ bytes: 1 }), 'a')).to.deep.equal(bytes(1, 'a'));
    expect(encodeMessage(lengthPrefix({ bytes: 2, adjustment: -2 }), 'a')).to.deep.equal(bytes(0, 3, 'a'));
    expect(encodeMessage(lengthPrefix({ bytes: 2, adjustment: 1 }), 'ab')).to.deep.equal(bytes(0, 1, 'ab'));
    for (const size of [1019, 1020, 1021, 5000]) {
      expect(encodeMessage(lengthPrefix(), 'ü'.repeat(size))).to.deep.equal(
        Buffer.concat([u32be(size * 2), Buffer.from('ü'.repeat(size))]),
      );
      expect(encodeMessage(lengthPrefix(), Buffer.alloc(size, 1))).to.deep.equal(Buffer.concat([u32be(size), Buffer.alloc(size, 1)]));
    }
  });

  it('refuses what the field cannot tell', () => {
    expect(encodeMessage(lengthPrefix({ bytes: 1 }), Buffer.alloc(255))).to.have.length(256);
    expect(() => encodeMessage(lengthPrefix({ bytes: 1 }), Buffer.alloc(256)))
      .to.throw()
      .with.property('code', 'ERR_MESSAGE_TOO_LARGE');
    expect(() => encodeMessage(lengthPrefix({ bytes: 1, adjustment: -1 }), Buffer.alloc(255)))
      .to.throw()
      .with.property('code', 'ERR_MESSAGE_TOO_LARGE');
    expect(() => encodeMessage(lengthPrefix({ bytes: 2, adjustment: 2 }), 'a'))
      .to.throw()
      .with.property('code', 'ERR_INVALID_MESSAGE');
  });

  it('does not invent the header bytes that it strips', () => {
    for (const options of [{ offset: 2, strip: 2 }, { offset: 2, strip: 6 }, { strip: 5 }]) {
      expect(() => encodeMessage(lengthPrefix(options), 'a'))
        .to.throw()
        .with.property('code', 'ERR_INVALID_MESSAGE');
      expect(() => encodeMessage(lengthPrefix(options), Buffer.alloc(9), { messageBytes: 8 }))
        .to.throw()
        .with.property('code', 'ERR_MESSAGE_TOO_LARGE');
    }
    expect(new Deframer(lengthPrefix({ bytes: 1, strip: 3 })).push(bytes(4, 'abcd', 2, 'ab'))).to.deep.equal([bytes('cd'), bytes()]);
    expect(() => new Deframer(lengthPrefix({ bytes: 1, strip: 3 })).push(bytes(1, 'a')))
      .to.throw()
      .with.property('code', 'ERR_FRAMING');
  });

  it('reads lengths without a sign', () => {
    const large = { messageBytes: 2 ** 33 };
    const decoder = lengthPrefix().decoder(large);
    const bytesOf = bytes(0xff, 0xff, 0xff, 0xff, 1);
    decoder.decode(bytesOf, 0, 5, { range: () => expect.fail('4 GiB have not arrived') });
    expect(decoder.residueBytes).to.equal(5);
  });

  it('says what text was taken for a length', () => {
    expect(() => new Deframer(lengthPrefix()).push(Buffer.from('GET / HTTP/1.1'))).to.throw('"GET "');
  });

  it('names every option that changes bytes', () => {
    expect(lengthPrefix().name).to.equal('length-prefix/4/big');
    expect(lengthPrefix({ bytes: 1, endian: 'little' }).name).to.equal('length-prefix/1');
    expect(lengthPrefix({ bytes: 2, offset: 1, adjustment: -3, strip: 3 }).name).to.equal('length-prefix/2/big/offset1/adjust-3/strip3');
    const longest = lengthPrefix({ bytes: 4, endian: 'little', offset: 255, adjustment: -65_536, strip: 65_536 }).name;
    expect(`json/${longest}`.length).to.be.at.most(64);
  });

  it('refuses options out of range', () => {
    const wrong: unknown[] = [
      { bytes: 0 },
      { bytes: 5 },
      { bytes: '4' },
      { endian: 'middle' },
      { offset: -1 },
      { offset: 256 },
      { adjustment: 1e9 },
    ];
    wrong.push({ strip: -1 }, { strip: 2 }, { strip: 1.5 }, { offset: 1, bytes: 2, strip: 2 }, { bytes: 1, adjustment: -256 });
    for (const options of wrong)
      expect(() => lengthPrefix(options as LengthPrefixOptions))
        .to.throw()
        .with.property('code', 'ERR_INVALID_OPTION');
  });

  it('gives a message that is half there by now the memory of the whole, and no more', () => {
    const decoder = lengthPrefix().decoder({ messageBytes: 65_536 });
    const stream = encodeMessage(lengthPrefix(), Buffer.alloc(65_536));
    const work = countWork(() => {
      decoder.decode(stream, 0, 40_000, { range: () => true });
      decoder.decode(stream, 40_000, stream.length, { range: () => true });
    });
    expect(work).to.include({ allocatedBytes: stream.length, copiedBytes: stream.length });
  });

  it('makes no object a message', () => {
    const decoder = lengthPrefix().decoder({ messageBytes: 100 });
    const chunk = Buffer.concat(Array.from({ length: 5000 }, () => bytes(0, 0, 0, 3, 'abc')));
    let count = 0;
    const work = countWork(() => decoder.decode(chunk, 0, chunk.length, { range: () => ++count > 0 }));
    expect(count).to.equal(5000);
    expect(work).to.include({ views: 0, allocatedBytes: 0, copiedBytes: 0, scannedBytes: 0 });
  });
});
