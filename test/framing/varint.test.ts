// varint(): the contract and protobuf's numbers.

import { expect } from 'chai';
import { Deframer, encodeMessage } from '../../lib/framing/standalone.ts';
import { varint } from '../../lib/framing/varint.ts';
import { bytes, framingContract, randomPayload } from '../contract/framing.ts';
import { LIMIT } from '../contract/framing-subject.ts';

framingContract(
  'varint',
  varint,
  ['hello', Buffer.alloc(0), Buffer.alloc(127, 0x80), Buffer.alloc(128, 1), Buffer.alloc(LIMIT, 0xff), 'ü'],
  [
    { what: 'a length of two bytes that needs one', bytes: bytes(0x85, 0x00, 'hello'), code: 'ERR_FRAMING' },
    { what: 'a zero in five bytes', bytes: bytes(0x80, 0x80, 0x80, 0x80, 0x00), code: 'ERR_FRAMING' },
    { what: 'a length of six bytes', bytes: bytes(0x80, 0x80, 0x80, 0x80, 0x80), code: 'ERR_FRAMING' },
    { what: 'a length of 2^32', bytes: bytes(0x80, 0x80, 0x80, 0x80, 0x10), code: 'ERR_FRAMING' },
    { what: 'a length of 2^32-1', bytes: bytes(0xff, 0xff, 0xff, 0xff, 0x0f), code: 'ERR_MESSAGE_TOO_LARGE' },
  ],
  {
    overheadBytes: 5,
    sized: (size) => Buffer.alloc(size, 0x61),
    random: randomPayload,
    refused: [5, null, undefined, {}, '\ud800'],
    endless: (size) => ({ head: bytes(0x80 | (size & 127), 0x80 | ((size >> 7) & 127), size >> 14), filler: Buffer.of(0) }),
  },
);

describe('varint', () => {
  it('writes low bits first, in as few bytes as it can', () => {
    const heads: [number, number[]][] = [
      [0, [0]],
      [1, [1]],
      [127, [0x7f]],
      [128, [0x80, 1]],
      [300, [0xac, 2]],
      [16_383, [0xff, 0x7f]],
      [16_384, [0x80, 0x80, 1]],
      [2_097_152, [0x80, 0x80, 0x80, 1]],
    ];
    for (const [size, head] of heads) {
      const encoded = encodeMessage(varint(), Buffer.alloc(size, 9), { messageBytes: 4_000_000 });
      expect(encoded).to.have.length(head.length + size);
      expect([...encoded.subarray(0, head.length)]).to.deep.equal(head);
    }
  });

  it('reads five bytes without a sign', () => {
    const decoder = varint().decoder({ messageBytes: 2 ** 33 });
    const stream = bytes(0xff, 0xff, 0xff, 0xff, 0x0f, 1);
    decoder.decode(stream, 0, 6, { range: () => expect.fail('4 GiB have not arrived') });
    expect(decoder.residueBytes).to.equal(6);
    expect(() => new Deframer(varint()).push(stream)).to.throw('4294967295');
  });
});
