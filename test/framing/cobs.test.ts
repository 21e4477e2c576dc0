// cobs(): the contract and the examples everyone tests with, around the block size of 254.

import { expect } from 'chai';
import { cobs } from '../../lib/framing/cobs.ts';
import { Deframer, encodeMessage } from '../../lib/framing/standalone.ts';
import { bytes, framingContract, randomPayload } from '../contract/framing.ts';
import { LIMIT } from '../contract/framing-subject.ts';

const run = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, index) => (index % 255) + 1));

framingContract(
  'cobs',
  cobs,
  ['hello', Buffer.alloc(0), bytes(0), Buffer.alloc(LIMIT), run(254), Buffer.concat([run(254), bytes(0)]), run(LIMIT)],
  [
    { what: 'a block longer than its packet', bytes: bytes(5, 'ab', 0), code: 'ERR_FRAMING' },
    { what: 'a second block longer than its packet', bytes: bytes(2, 'a', 4, 'b', 0), code: 'ERR_FRAMING' },
    { what: 'a packet without end', bytes: Buffer.alloc(LIMIT * 2, 1), code: 'ERR_MESSAGE_TOO_LARGE' },
  ],
  {
    overheadBytes: 1034,
    sized: (size) => Buffer.alloc(size, 0x61),
    random: randomPayload,
    refused: [5, null, undefined, {}, '\ud800'],
    endless: () => ({ head: bytes(1), filler: bytes('y') }),
  },
);

describe('cobs', () => {
  it('writes and reads the usual examples', () => {
    const pairs: [Buffer, Buffer][] = [
      [bytes(), bytes(1, 0)],
      [bytes(0), bytes(1, 1, 0)],
      [bytes(0, 0), bytes(1, 1, 1, 0)],
      [bytes(0, 0x11, 0), bytes(1, 2, 0x11, 1, 0)],
      [bytes(0x11, 0x22, 0, 0x33), bytes(3, 0x11, 0x22, 2, 0x33, 0)],
      [bytes(0x11, 0, 0, 0), bytes(2, 0x11, 1, 1, 1, 0)],
      [run(254), Buffer.concat([bytes(0xff), run(254), bytes(0)])],
      [Buffer.concat([bytes(0), run(254)]), Buffer.concat([bytes(1, 0xff), run(254), bytes(0)])],
      [Buffer.concat([run(254), bytes(0xff)]), Buffer.concat([bytes(0xff), run(254), bytes(2, 0xff, 0)])],
      [Buffer.concat([run(254), bytes(0)]), Buffer.concat([bytes(0xff), run(254), bytes(1, 1, 0)])],
      [Buffer.concat([run(253), bytes(0)]), Buffer.concat([bytes(0xfe), run(253), bytes(1, 0)])],
    ];
    for (const [message, packet] of pairs) {
      expect(encodeMessage(cobs(), message)).to.deep.equal(packet);
      const deframer = new Deframer(cobs());
      expect(deframer.push(Buffer.concat([packet, packet]))).to.deep.equal([message, message]);
    }
  });

  it('comes back equal for every size around the block', () => {
    for (let size = 250; size < 260; size++) {
      for (const message of [
        run(size),
        Buffer.alloc(size),
        Buffer.concat([run(size), bytes(0), run(size)]),
        Buffer.concat([bytes(0), run(size), bytes(0)]),
      ]) {
        expect(new Deframer(cobs()).push(encodeMessage(cobs(), message))).to.deep.equal([message]);
      }
    }
  });

  it('skips zeros with nothing between them, and takes a full block that is followed by an empty one', () => {
    expect(new Deframer(cobs()).push(bytes(0, 0, 2, 'a', 0, 0, 1, 0))).to.deep.equal([bytes('a'), bytes()]);
    expect(new Deframer(cobs()).push(Buffer.concat([bytes(0xff), run(254), bytes(1, 0)]))).to.deep.equal([run(254)]);
  });

  it('takes a message of exactly the limit however it is packed', () => {
    for (let limit = 250; limit < 520; limit++) {
      for (const message of [run(limit), Buffer.alloc(limit)]) {
        const packet = encodeMessage(cobs(), message);
        expect(new Deframer(cobs(), { messageBytes: limit }).push(packet)).to.deep.equal([message]);
        expect(() => new Deframer(cobs(), { messageBytes: limit - 1 }).push(packet))
          .to.throw()
          .with.property('code', 'ERR_MESSAGE_TOO_LARGE');
      }
    }
  });
});
