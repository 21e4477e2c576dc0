// Token bucket: the burst, the rate, and nothing beyond.
import { expect } from 'chai';
import fc from 'fast-check';
import { Bucket } from '../../lib/core/bucket.ts';

describe('bucket', () => {
  it('gives its burst at once and then its rate', () => {
    const bucket = new Bucket(100, 3);
    const takes = [0, 0, 0, 0, 9, 10, 11, 20].map((now) => bucket.take(now));
    expect(takes).to.deep.equal([true, true, true, false, false, true, false, true]);
  });

  it('keeps no more than its burst', () => {
    const bucket = new Bucket(100, 2);
    expect([1e9, 1e9, 1e9].map((now) => bucket.take(now))).to.deep.equal([true, true, false]);
  });

  it('can be asked without taking', () => {
    const bucket = new Bucket(1, 1);
    expect([bucket.spent(0), bucket.spent(0), bucket.take(0), bucket.spent(0), bucket.spent(1000)]).to.deep.equal([
      false,
      false,
      true,
      true,
      false,
    ]);
  });

  it('never gives more than burst plus rate times time', () => {
    const steps = fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 100 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 20 }), steps, (perSecond, burst, steps) => {
        const bucket = new Bucket(perSecond, burst);
        let now = 0;
        let given = 0;
        for (const step of steps) {
          now += step;
          if (bucket.take(now)) given++;
          expect(given).to.be.at.most(burst + (now * perSecond) / 1000 + 1e-6);
        }
      }),
    );
  });
});
