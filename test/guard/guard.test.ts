// The guard's own judgement: doctored figures must be found, and the baseline must name what is measured.

import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { type Baseline, judge, line } from './figures.ts';
import { measures } from './measures.ts';

describe('guard of costs', () => {
  const tolerance = { share: 0.02, plus: 8 };

  it('finds a figure that grew by more than its room', () => {
    expect(judge(108, 100, tolerance)).to.equal('as before');
    expect(judge(109, 100, tolerance)).to.equal('WORSE');
    expect(judge(1020, 1000, tolerance)).to.equal('as before');
    expect(judge(1021, 1000, tolerance)).to.equal('WORSE');
    expect(judge(Number.NaN, 100, tolerance)).to.equal('WORSE');
  });

  it('tells what became better, and what is new', () => {
    expect(judge(91, 100, tolerance)).to.equal('better');
    expect(judge(92, 100, tolerance)).to.equal('as before');
    expect(judge(1, undefined, tolerance)).to.equal('NEW');
    expect(line('a', 1234.5, 12.3456, 'B', 'WORSE')).to.match(/a +1235 +12.35 {2}B +WORSE/);
  });

  it('has room for less than the smallest object that a message could cost', () => {
    const heap = measures.filter(({ unit }) => unit === 'heap bytes a message');
    expect(heap.length).to.be.greaterThan(0);
    for (const { name, tolerance: room } of heap) {
      if (name.includes('32 B')) expect(room.plus, name).to.be.lessThan(16).and.greaterThan(0);
    }
  });

  it('has a baseline for every measure, and no other', () => {
    const baseline = JSON.parse(readFileSync(new URL('baseline.json', import.meta.url), 'utf8')) as Baseline;
    expect(Object.keys(baseline.figures)).to.deep.equal(measures.map(({ name }) => name));
  });
});
