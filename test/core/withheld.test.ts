// What waits for a ticket: comes out as it went in, in few pieces, and is nobody else's memory.

import { expect } from 'chai';
import { Withheld } from '../../lib/core/withheld.ts';
import { Random } from '../../lib/testing/random.ts';

describe('withheld bytes', () => {
  it('come out in order, however they were taken and released', () => {
    const random = new Random(7);
    const withheld = new Withheld(0);
    const went: Buffer[] = [];
    const came: Buffer[] = [];
    let waiting = 0;
    for (let i = 0; i < 400; i++) {
      const read = Buffer.alloc(1 + random.integer(0, i % 50 === 0 ? 200_000 : 3000), i);
      const start = random.integer(0, read.length - 1);
      withheld.take(read, start, read.length);
      went.push(Buffer.from(read.subarray(start)));
      read.fill(0xff);
      waiting += read.length - start;
      const bytes = random.integer(0, waiting);
      const released = withheld.release(bytes);
      expect(released.reduce((sum, { length }) => sum + length, 0)).to.equal(bytes);
      came.push(...released);
      waiting -= bytes;
    }
    came.push(...withheld.release(waiting));
    expect(Buffer.concat(came).equals(Buffer.concat(went))).to.equal(true);
    expect(withheld.blocks).to.equal(0);
  });

  it('are gathered: ten thousand reads of one byte are few pieces', () => {
    const withheld = new Withheld(0);
    for (let i = 0; i < 10_000; i++) withheld.take(Buffer.of(i), 0, 1);
    expect(withheld.blocks).to.be.at.most(5);
    expect(Buffer.concat(withheld.release(10_000))).to.deep.equal(Buffer.from(Array.from({ length: 10_000 }, (_, i) => i & 0xff)));
  });

  it('released earlier stay as they are', () => {
    const withheld = new Withheld(0);
    withheld.take(Buffer.from('first'), 0, 5);
    const [first] = withheld.release(5);
    withheld.take(Buffer.from('second'), 0, 6);
    expect(String(first)).to.equal('first');
    expect(withheld.release(6).map(String)).to.deep.equal(['second']);
  });

  it('are forgotten together', () => {
    const withheld = new Withheld(0);
    withheld.take(Buffer.alloc(3000, 1), 0, 3000);
    withheld.release(10);
    withheld.clear();
    expect(withheld.release(5)).to.deep.equal([]);
    withheld.take(Buffer.from('anew'), 0, 4);
    expect(withheld.release(4).map(String)).to.deep.equal(['anew']);
  });
});
