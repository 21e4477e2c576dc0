// SHA-256 and HMAC of parts beside Node's own, for parts of every kind: none, empty, many, and more than the memory that they share.
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { add, beginHash, beginHmac, endHash, endHmac } from '../../lib/security/hmac.ts';

const sizes: readonly (readonly number[])[] = [
  [],
  [0],
  [1],
  [31, 1],
  [64],
  [16, 0, 150, 170],
  [8218, 58, 8218],
  [40_000],
  [3, 70_000, 200_000, 5],
  [16, 90],
];

describe('security/hmac', () => {
  for (const lengths of sizes) {
    const parts = lengths.map((length) => randomBytes(length));
    const name = `parts of ${lengths.join(', ') || 'no'} bytes`;

    it(`sha256 of ${name}`, () => {
      const out = Buffer.alloc(40, 0xee);
      beginHash();
      for (const part of parts) add(part);
      endHash(out, 4);
      const expected = createHash('sha256').update(Buffer.concat(parts)).digest('hex');
      expect(out.toString('hex')).to.equal(`eeeeeeee${expected}eeeeeeee`);
    });

    it(`hmac of ${name}`, () => {
      const key = randomBytes(40);
      const out = Buffer.alloc(40, 0xee);
      beginHmac(key, 5);
      for (const part of parts) add(part);
      endHmac(out, 4);
      const expected = createHmac('sha256', key.subarray(5, 37)).update(Buffer.concat(parts)).digest('hex');
      expect(out.toString('hex')).to.equal(`eeeeeeee${expected}eeeeeeee`);
    });
  }

  it('puts the result where the key was', () => {
    const key = randomBytes(32);
    const expected = createHmac('sha256', key).update('x').digest('hex');
    beginHmac(key, 0);
    add(Buffer.from('x'));
    endHmac(key, 0);
    expect(key.toString('hex')).to.equal(expected);
  });

  it('leaves key and parts as they are', () => {
    const key = randomBytes(32);
    const part = randomBytes(50);
    const before = Buffer.concat([key, part]).toString('hex');
    beginHmac(key, 0);
    add(part);
    endHmac(Buffer.alloc(32), 0);
    expect(Buffer.concat([key, part]).toString('hex')).to.equal(before);
  });
});
