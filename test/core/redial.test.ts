// Redial: how soon a lost session comes back, and how many dials that costs, for crowds of sessions and outages of any length.
import { expect } from 'chai';
import { Redial } from '../../lib/core/redial.ts';
import { Random } from '../../lib/testing/random.ts';

/** Sessions that lose their circuit at the same moment; each dial up to `outageMs` fails, after `attemptMs`. */
function outage(sessions: number, outageMs: number, attemptMs: number): { readonly lateMs: number[]; readonly dials: number[] } {
  const lateMs: number[] = [];
  const dials: number[] = [];
  for (let session = 0; session < sessions; session++) {
    const random = new Random(outageMs, session);
    const redial = new Redial();
    redial.attached(0);
    redial.search(20_000);
    let now = 20_000;
    for (;;) {
      now += redial.delayMs(now, random.next(), 0);
      redial.dials++;
      if (now >= 20_000 + outageMs) break;
      now += attemptMs;
    }
    lateMs.push(now - 20_000 - outageMs);
    dials.push(redial.dials);
  }
  return { lateMs: lateMs.sort((a, b) => a - b), dials: dials.sort((a, b) => a - b) };
}

const median = (sorted: readonly number[]): number => sorted[sorted.length >> 1] as number;
const last = (sorted: readonly number[]): number => sorted.at(-1) as number;

describe('redial', () => {
  it('brings 1,000 sessions back within 260 ms of an outage of half a second, the median within 100, with 6 dials each at most', () => {
    const { lateMs, dials } = outage(1000, 500, 3);
    expect(median(lateMs)).to.be.below(100);
    expect(last(lateMs)).to.be.below(260);
    expect(last(dials)).to.be.at.most(6);
  });

  it('spreads them: no 10 ms of the first quarter of a second sees more than a tenth', () => {
    const { lateMs } = outage(1000, 500, 3);
    const perSlot = new Map<number, number>();
    for (const ms of lateMs) perSlot.set(Math.floor(ms / 10), (perSlot.get(Math.floor(ms / 10)) ?? 0) + 1);
    expect(Math.max(...perSlot.values())).to.be.below(100);
    expect(perSlot.size).to.be.above(20);
  });

  it('waits at most half as long as the outage has lasted, 2 s within half a minute, 30 s later', () => {
    for (const [outageMs, mostMs, dialsMost] of [
      [1_000, 520, 11],
      [4_000, 2_000, 17],
      [25_000, 2_000, 36],
      [60_000, 30_000, 45],
      [600_000, 30_000, 80],
    ] as const) {
      const { lateMs, dials } = outage(200, outageMs, 3);
      expect(last(lateMs), `${outageMs} ms`).to.be.below(mostMs);
      expect(last(dials), `${outageMs} ms`).to.be.at.most(dialsMost);
    }
  });

  it('dials no faster where attempts hang, and counts the time they take', () => {
    const { dials } = outage(200, 25_000, 10_000);
    expect(last(dials)).to.be.at.most(4);
  });

  it('goes on where it was after a circuit that did not stand for 10 s, and starts anew after one that did', () => {
    const redial = new Redial();
    redial.attached(0);
    const dialed = (now: number): number => {
      const delayMs = redial.delayMs(now, 0.999_999, 0);
      redial.dials++;
      return Math.round(delayMs);
    };
    redial.search(10_000);
    expect(dialed(10_000)).to.equal(50);
    expect(dialed(12_000)).to.equal(1000);
    redial.attached(12_000);
    redial.search(21_999);
    expect(dialed(21_999), 'two seconds of searching count still').to.equal(1000);
    redial.attached(22_000);
    redial.search(32_000);
    expect([redial.dials, dialed(32_000)]).to.deep.equal([0, 50]);
  });

  it('counts the search for another circuit while one still stands, and once only', () => {
    const redial = new Redial();
    redial.attached(0);
    redial.search(60_000);
    redial.dials++;
    redial.search(62_000);
    expect(redial.delayMs(64_000, 0, 0)).to.equal(1000);
    redial.attached(64_000);
    redial.search(64_000);
    expect(redial.delayMs(65_000, 0, 0), 'four seconds, and one').to.equal(1000);
    expect(redial.delayMs(64_000 + 200_000, 0, 0)).to.equal(15_000);
  });

  it('a time that the server asked for comes first, with a second or more of spread', () => {
    const redial = new Redial();
    redial.search(0);
    expect(redial.delayMs(0, 0, 5000)).to.equal(5000);
    expect(redial.delayMs(0, 0.5, 5000)).to.equal(5500);
    redial.dials++;
    expect(redial.delayMs(20_000, 0.5, 5000)).to.equal(6000);
  });
});
