// delimited(): the contract with and without checksum, and the bytes of STX/ETX protocols.

import { expect } from 'chai';
import { type DelimitedOptions, delimited } from '../../lib/framing/delimited.ts';
import { Deframer, encodeMessage } from '../../lib/framing/standalone.ts';
import { bytes, framingContract, type Garbage, randomPayload } from '../contract/framing.ts';
import { LIMIT, type Traits } from '../contract/framing-subject.ts';

const STX = 0x02;
const ETX = 0x03;

function traits(overheadBytes: number, head: Buffer, refused: readonly unknown[]): Traits<Buffer> {
  return {
    overheadBytes,
    sized: (size) => Buffer.alloc(size, 0x61),
    random: randomPayload,
    refused: [5, null, undefined, {}, '\ud800', ...refused],
    endless: () => ({ head, filler: Buffer.from('y') }),
  };
}

const samples = ['hello', Buffer.alloc(0), bytes(STX), bytes(0, 255, STX), Buffer.alloc(LIMIT, 7)];
const stray: Garbage = { what: 'a byte between frames', bytes: bytes('\n', STX, 'a', ETX), code: 'ERR_FRAMING' };

framingContract('delimited()', () => delimited(), samples, [stray], traits(3, bytes(STX), [bytes(ETX), bytes('a', ETX, 'b')]));
framingContract(
  'delimited lrc',
  () => delimited({ checksum: 'lrc' }),
  samples,
  [stray, { what: 'a wrong checksum', bytes: bytes(STX, 'a', ETX, 0x61), code: 'ERR_FRAMING' }],
  traits(3, bytes(STX), [bytes(ETX)]),
);
framingContract(
  'delimited long, skip, lrc',
  () => delimited({ start: 'aab', end: 'xyxy', checksum: 'lrc', between: 'skip' }),
  ['hello', Buffer.alloc(0), 'aab', 'xyx y', Buffer.alloc(LIMIT, 7)],
  [{ what: 'a wrong checksum', bytes: bytes('aabaaab xyxy', 0), code: 'ERR_FRAMING' }],
  traits(8, bytes('aab'), ['xyxy', 'axyxyb', 'xy', 'axy']),
);
framingContract(
  'delimited two bytes',
  () => delimited({ start: bytes(0x10, STX), end: bytes(0x10, ETX) }),
  ['hello', Buffer.alloc(0), bytes(0x10), bytes(0x10, STX), Buffer.alloc(LIMIT, 0x10)],
  [{ what: 'half a start', bytes: bytes(0x10, ETX), code: 'ERR_FRAMING' }],
  traits(5, bytes(0x10, STX), [bytes(0x10, ETX)]),
);
framingContract(
  'delimited, start and end overlapping',
  () => delimited({ start: 'ab', end: 'b.' }),
  ['.', '', '.x', 'ab', 'b', 'abb', Buffer.alloc(LIMIT, 0x62)],
  [{ what: 'a wrong second byte', bytes: bytes('aa'), code: 'ERR_FRAMING' }],
  traits(4, bytes('ab'), ['b.', '.b.']),
);

describe('delimited', () => {
  it('counts payload and end into the checksum, and not the start', () => {
    expect(encodeMessage(delimited(), 'AB')).to.deep.equal(bytes(STX, 'AB', ETX));
    expect(encodeMessage(delimited({ checksum: 'lrc' }), 'AB')).to.deep.equal(bytes(STX, 'AB', ETX, 0x41 ^ 0x42 ^ ETX));
    expect(encodeMessage(delimited({ checksum: 'lrc' }), '')).to.deep.equal(bytes(STX, ETX, ETX));
    expect(encodeMessage(delimited({ checksum: 'lrc', end: '\r\n' }), 'A')).to.deep.equal(bytes(STX, 'A\r\n', 0x41 ^ 0x0d ^ 0x0a));
  });

  it('takes a checksum for what it is, even where it looks like a start or end', () => {
    const stream = Buffer.concat(['\x01', '\x00', 'ab', ''].map((text) => encodeMessage(delimited({ checksum: 'lrc' }), text)));
    expect([stream[3], stream[7]]).to.deep.equal([STX, ETX]);
    for (let cut = 0; cut <= stream.length; cut++) {
      const deframer = new Deframer(delimited({ checksum: 'lrc' }));
      const messages = [...deframer.push(stream.subarray(0, cut)), ...deframer.push(stream.subarray(cut))];
      expect(messages.map(String)).to.deep.equal(['\x01', '\x00', 'ab', '']);
    }
  });

  it('drops what stands between frames where told to, and holds no more of it than may begin a frame', () => {
    const framing = delimited({ start: 'aab', end: '.', between: 'skip' });
    const stream = bytes('noise\r\naaaabone.', 'aa', 'aabtwo.', 'a', '\x06', 'aab.', 'xaaxaabaab.', 'aaa');
    for (let first = 0; first <= stream.length; first++) {
      for (let second = first; second <= stream.length; second++) {
        const deframer = new Deframer(framing);
        const chunks = [stream.subarray(0, first), stream.subarray(first, second), stream.subarray(second)];
        expect(chunks.flatMap((chunk) => deframer.push(chunk)).map(String)).to.deep.equal(['one', 'two', '', 'aab']);
        expect(deframer.residueBytes).to.equal(2);
      }
    }
    const deframer = new Deframer(framing, { messageBytes: 4 });
    expect(deframer.push(Buffer.alloc(100_000, 0x62))).to.deep.equal([]);
    expect(deframer.residueBytes).to.equal(0);
  });

  it('sees a message that is too long at the same byte, however it comes', () => {
    const framing = delimited({ end: '\r\n' });
    const limits = { messageBytes: 3 };
    for (const text of ['abcd\n', 'abc\n\n', '\n\n\n\n\n', 'abcde', 'ab\r\r\r']) {
      const stream = Buffer.from(`\x02${text}`);
      expect(() => new Deframer(framing, limits).push(stream))
        .to.throw()
        .with.property('code', 'ERR_MESSAGE_TOO_LARGE');
      const slow = new Deframer(framing, limits);
      for (let at = 0; at < 5; at++) slow.push(stream.subarray(at, at + 1));
      expect(() => slow.push(stream.subarray(5)))
        .to.throw()
        .with.property('code', 'ERR_MESSAGE_TOO_LARGE');
    }
  });

  it('names every option that changes bytes', () => {
    expect(delimited().name).to.equal('delimited/x02/x03');
    const longest = delimited({ start: '12345678', end: '12345678', checksum: 'lrc', between: 'skip' }).name;
    expect(longest).to.equal('delimited/x3132333435363738/x3132333435363738/lrc/skip');
    expect(`json/${longest}`.length).to.be.at.most(64);
  });

  it('refuses options that make no sense', () => {
    const wrong: unknown[] = [{ start: '' }, { end: '' }, { end: '123456789' }, { start: 2 }, { checksum: 'crc' }, { between: 'drop' }];
    for (const options of wrong)
      expect(() => delimited(options as DelimitedOptions))
        .to.throw()
        .with.property('code', 'ERR_INVALID_OPTION');
  });
});
