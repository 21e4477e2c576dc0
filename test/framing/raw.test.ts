// raw(): the contract, and what is special about bytes without boundaries.

import { expect } from 'chai';
import { raw } from '../../lib/framing/raw.ts';
import { encodeMessage } from '../../lib/framing/standalone.ts';
import { framingContract, randomPayload } from '../contract/framing.ts';
import { LIMIT } from '../contract/framing-subject.ts';
import { countWork } from '../contract/work.ts';

framingContract('raw', raw, ['hello', Buffer.from([0, 255]), Buffer.alloc(LIMIT, 7), 'x'], [], {
  overheadBytes: 0,
  sized: (size) => Buffer.alloc(size, 0x61),
  random: randomPayload,
  refused: ['', Buffer.alloc(0), 5, null, undefined, {}, [1], new ArrayBuffer(2), '\ud800'],
  endless: null,
  unbounded: true,
});

describe('raw', () => {
  it('hands over what a chunk holds, in pieces of at most the limit', () => {
    const pieces: [number, number, number][] = [];
    const chunk = Buffer.alloc(25);
    const taken = raw()
      .decoder({ messageBytes: 10 })
      .decode(chunk, 2, 25, { range: (_buffer, start, end, next) => pieces.push([start, end, next]) > 0 });
    expect(taken).to.equal(25);
    expect(pieces).to.deep.equal([
      [2, 12, 12],
      [12, 22, 22],
      [22, 25, 25],
    ]);
  });

  it('stops behind a piece when told to', () => {
    const decoder = raw().decoder({ messageBytes: 10 });
    let count = 0;
    expect(decoder.decode(Buffer.alloc(25), 0, 25, { range: () => ++count > 1 })).to.equal(10);
    expect(decoder.decode(Buffer.alloc(25), 10, 25, { range: () => ++count < 3 })).to.equal(25);
    expect(count).to.equal(3);
  });

  it('sends text as UTF-8, small and large', () => {
    expect(encodeMessage(raw(), 'grün')).to.deep.equal(Buffer.from('grün'));
    expect(encodeMessage(raw(), 'ü'.repeat(3000))).to.deep.equal(Buffer.from('ü'.repeat(3000)));
    expect(encodeMessage(raw(), new Uint8Array(3000).fill(3))).to.deep.equal(Buffer.alloc(3000, 3));
  });

  it('makes no object while decoding', () => {
    const decoder = raw().decoder({ messageBytes: 16 });
    const chunk = Buffer.alloc(65_536);
    const work = countWork(() => decoder.decode(chunk, 0, chunk.length, { range: () => true }));
    expect(work).to.include({ views: 0, allocatedBytes: 0, copiedBytes: 0 });
  });
});
