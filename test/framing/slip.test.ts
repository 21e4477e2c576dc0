// slip(): the contract and the bytes of RFC 1055.

import { expect } from 'chai';
import { slip } from '../../lib/framing/slip.ts';
import { Deframer, encodeMessage } from '../../lib/framing/standalone.ts';
import { bytes, framingContract, randomPayload } from '../contract/framing.ts';
import { LIMIT } from '../contract/framing-subject.ts';

framingContract(
  'slip',
  slip,
  ['hello', bytes(0xc0), bytes(0xdb, 0xdc, 0xdd, 0xc0, 0xdb), bytes(0, 0xff), Buffer.alloc(LIMIT, 0xc0), Buffer.alloc(LIMIT, 1)],
  [
    { what: 'an END behind an ESC', bytes: bytes('a', 0xdb, 0xc0), code: 'ERR_FRAMING' },
    { what: 'two ESCs', bytes: bytes(0xc0, 0xdb, 0xdb, 0xdc), code: 'ERR_FRAMING' },
    { what: 'an ESC in front of nothing special', bytes: bytes('a', 0xdb, 'b'), code: 'ERR_FRAMING' },
  ],
  {
    overheadBytes: 1,
    sized: (size) => Buffer.alloc(size, 0xdb),
    random: randomPayload,
    refused: ['', Buffer.alloc(0), 5, null, undefined, {}, '\ud800'],
    endless: () => ({ head: bytes(0xc0), filler: bytes('abc', 0xdb, 0xdc) }),
    leadBytes: 1,
  },
);

describe('slip', () => {
  it('writes a packet between two ENDs, with the escapes of RFC 1055', () => {
    expect(encodeMessage(slip(), bytes('a', 0xc0, 'b', 0xdb))).to.deep.equal(bytes(0xc0, 'a', 0xdb, 0xdc, 'b', 0xdb, 0xdd, 0xc0));
    expect(encodeMessage(slip(), 'abc')).to.deep.equal(bytes(0xc0, 'abc', 0xc0));
  });

  it('reads packets with one END or many between them, and skips empty ones', () => {
    const deframer = new Deframer(slip());
    expect(
      deframer.push(bytes(0xc0, 0xc0, 0xc0, 'a', 0xc0, 'b', 0xc0, 0xc0, 0xdb, 0xdc, 0xc0, 0xc0)).map((packet) => [...packet]),
    ).to.deep.equal([[0x61], [0x62], [0xc0]]);
    expect(deframer.residueBytes).to.equal(0);
  });

  it('counts an ESC at the end of a chunk as an unfinished message', () => {
    const deframer = new Deframer(slip());
    deframer.push(bytes(0xdb));
    expect(deframer.residueBytes).to.equal(1);
    expect(() => deframer.end())
      .to.throw()
      .with.property('code', 'ERR_TRUNCATED');
  });

  it('counts the limit without escapes', () => {
    const framing = slip();
    const limits = { messageBytes: 3 };
    const packet = encodeMessage(framing, bytes(0xc0, 0xc0, 0xc0), limits);
    expect(new Deframer(framing, limits).push(packet)).to.deep.equal([bytes(0xc0, 0xc0, 0xc0)]);
  });
});
