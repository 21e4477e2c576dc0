// The judge of a soak finds what grows and what stays.

import { expect } from 'chai';
import type { HostCensus } from '../chaos/host.ts';
import { judge, type Moment, type Soaked } from './judge.ts';

const MIB = 1_048_576;
const sessions = 100;
const empty: HostCensus = { heapBytes: 10 * MIB, descriptors: 20, timers: 1, sessions: 0 };
const busy: HostCensus = { heapBytes: 30 * MIB, descriptors: 20 + sessions, timers: 2 + sessions, sessions };

function soaked(meanwhile: (minute: number) => Partial<HostCensus>, afterwards: Partial<HostCensus> = {}): Soaked {
  const moment = (minute: number, far: HostCensus): Moment => ({ atMs: minute * 60_000, near: far === empty ? empty : busy, far });
  return {
    sessions,
    before: moment(0, empty),
    moments: Array.from({ length: 40 }, (_, i) => moment(1 + i / 10, { ...busy, ...meanwhile(i / 10) })),
    after: { atMs: 300_000, near: empty, far: { ...empty, ...afterwards } },
    verdict: { problems: [], messages: 1_000, circuits: 200 },
  };
}

describe('soak: the judge', () => {
  const failed = (one: Soaked): string[] =>
    judge(one)
      .filter(({ passed }) => !passed)
      .map(({ what }) => what);

  it('lets pass what neither grows nor stays', () => {
    expect(failed(soaked(() => ({})))).to.deep.equal([]);
    expect(failed(soaked((minute) => ({ heapBytes: (30 + ((minute * 10) % 3)) * MIB })))).to.deep.equal([]);
  });

  it('finds a heap, descriptors and timers that grow', () => {
    expect(failed(soaked((minute) => ({ heapBytes: (30 + 3 * minute) * MIB })))).to.deep.equal(['servers, growth of the heap']);
    expect(failed(soaked((minute) => ({ descriptors: 120 + 20 * minute })))).to.deep.equal(['servers, descriptors']);
    expect(failed(soaked((minute) => ({ timers: 102 + 20 * minute })))).to.deep.equal(['servers, timers']);
  });

  it('finds what stays', () => {
    for (const rest of [{ sessions: 1 }, { descriptors: 21 }, { timers: 2 }]) {
      expect(failed(soaked(() => ({}), rest))).to.deep.equal(['servers, afterwards']);
    }
    expect(failed(soaked(() => ({}), { heapBytes: 20 * MIB }))).to.deep.equal(['servers, heap afterwards']);
  });

  it('finds a history that is broken, or empty', () => {
    const whole = soaked(() => ({}));
    expect(failed({ ...whole, verdict: { ...whole.verdict, problems: ['H2'] } })).to.have.length(1);
    expect(failed({ ...whole, verdict: { ...whole.verdict, messages: 0 } })).to.have.length(1);
  });
});
