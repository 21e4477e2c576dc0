// The measure of growth that the soak judges by.

import { expect } from 'chai';
import { Random } from '../../lib/testing/random.ts';
import { floors, median, slope } from './slope.ts';

describe('soak: growth', () => {
  const samples = (value: (at: number) => number): { at: number; value: number }[] =>
    Array.from({ length: 40 }, (_, at) => ({ at, value: value(at) }));

  it('is found in noise, and not found where there is none', () => {
    const random = new Random(1);
    const noise = (): number => random.integer(-50, 50);
    expect(slope(samples((at) => 1_000 + 10 * at + noise()))).to.be.within(8, 12);
    expect(slope(samples(() => 1_000 + noise()))).to.be.within(-2, 2);
  });

  it('is not what a few odd samples say', () => {
    expect(slope(samples((at) => (at % 10 === 9 ? 1_000_000 : 500)))).to.equal(0);
  });

  it('is what the lowest samples say, where a load lifts others for a while', () => {
    const lifted = (at: number): number => 500 + 10 * at + (at % 8 < 5 ? 5_000 * at : 0);
    expect(slope(samples(lifted))).to.be.greaterThan(1_000);
    expect(slope(floors(samples(lifted), 5))).to.equal(10);
    expect(
      floors(
        samples((at) => at),
        8,
      ).map(({ at }) => at),
    ).to.deep.equal([0, 5, 10, 15, 20, 25, 30, 35]);
    expect(floors([{ at: 1, value: 2 }], 8)).to.deep.equal([{ at: 1, value: 2 }]);
    expect(floors([], 8)).to.deep.equal([]);
  });

  it('of too few samples is none', () => {
    expect(slope([])).to.equal(0);
    expect(slope([{ at: 1, value: 5 }])).to.equal(0);
    expect(slope([1, 1].map((at) => ({ at, value: at })))).to.equal(0);
    expect([median([3, 1, 2]), median([4, 1, 2, 3])]).to.deep.equal([2, 2.5]);
  });
});
