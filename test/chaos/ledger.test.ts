// The judge of chaos and soak runs is judged itself: a true course of events passes, and each doctored one is found.

import { expect } from 'chai';
import { Random } from '../../lib/testing/random.ts';
import { type Expected, Ledger } from './ledger.ts';
import { digestOf, digestOfAll, makeMessage, numberOf } from './messages.ts';
import { plansFor, troubles } from './plans.ts';
import { type End, type LossReport, Merge, type Report, type Told } from './reports.ts';

const up = 'id up';
const digests = [0, 1, 2].map((n) => digestOf(makeMessage('prefix', up, n, 50)));
const clean: End = { code: null, message: '', circuits: 1, replayedBytes: 0, loss: null };

const opened: readonly Told[] = [
  { what: 'opened', key: 's', session: 'id', side: 'near' },
  { what: 'opened', key: 's', session: 'id', side: 'far' },
];
const send = (n: number): Told[] => [
  { what: 'offered', stream: up, n, digest: digests[n] as string },
  { what: 'accepted', stream: up, n },
];
const read = (n: number, digest = digests[n] as string): Told => ({ what: 'delivered', stream: up, n, digest });
const end = (side: 'near' | 'far', how: Partial<End> = {}): Told => ({
  what: 'ended',
  key: 's',
  session: 'id',
  side,
  end: { ...clean, ...how },
});
const loss = (from: number | null, count: number, more: Partial<LossReport> = {}): Partial<End> => ({
  code: 'ERR_EXPIRED',
  loss: { from, count, exact: false, undelivered: 0, digest: digestOfAll(digests.slice(from ?? 3)), ...more },
});
const allSent = [...opened, ...send(0), ...send(1), ...send(2)];
const inOrder: Expected = { sessions: 1, near: 'clean', far: 'clean' };
const expired: Expected = { sessions: 1, near: ['ERR_EXPIRED'], far: 'killed' };

function problems(expected: Expected, told: readonly Told[], dead?: string): readonly string[] {
  const ledger = new Ledger();
  if (dead !== undefined) ledger.died(dead);
  for (const one of told) ledger.take({ ...one, at: 0 }, 'session' in one && 'side' in one ? one.side : 'near');
  return ledger.verdict('s', expected).problems;
}

describe('chaos: the judge', () => {
  it('lets a true course of events pass', () => {
    const told = [...allSent, read(0), read(1), { what: 'acked', stream: up, count: 2 } as const, read(2), end('near'), end('far')];
    expect(problems(inOrder, told)).to.deep.equal([]);
    expect(problems(expired, [...allSent, read(0), read(1), end('near', loss(1, 2))])).to.deep.equal([]);
    expect(problems(expired, [...allSent, read(0), read(1), read(2), end('near', loss(null, 0))])).to.deep.equal([]);
  });

  const both = [end('near'), end('far')];
  const doctored: readonly [what: string, found: RegExp, expected: Expected, told: readonly Told[]][] = [
    ['a message that is missing', /H5 up/, inOrder, [...allSent, read(0), read(1), ...both]],
    ['a message that came twice', /H2 up/, inOrder, [...allSent, read(0), read(1), read(1), read(2), ...both]],
    ['a gap', /H3 up/, inOrder, [...allSent, read(0), read(2), ...both]],
    ['other bytes', /H9 up/, inOrder, [...allSent, read(0), read(1, digests[0]), read(2), ...both]],
    ['a message of nobody', /H1 up/, inOrder, [...opened, read(0), ...both]],
    ['an ack of the unread', /H4 up/, inOrder, [...allSent, { what: 'acked', stream: up, count: 1 }, read(0), read(1), read(2), ...both]],
    ['a loss that leaves a gap', /H5 up/, expired, [...allSent, read(0), end('near', loss(2, 1))]],
    ['a loss of too many', /H6 up/, expired, [...allSent, end('near', loss(0, 2, { digest: digestOfAll(digests) }))]],
    ['a loss of other messages', /not the last of 3/, expired, [...allSent, read(0), end('near', loss(1, 2, { digest: 'other' }))]],
    ['an error without its loss', /no loss/, expired, [...allSent, end('near', { code: 'ERR_EXPIRED' })]],
    ['the wrong cause', /expected ERR_EXPIRED/, expired, [...allSent, end('near', { ...loss(0, 3), code: 'ERR_PROTOCOL' })]],
    ['a clean end where one was killed', /ended clean/, expired, [...allSent, read(0), read(1), read(2), end('near')]],
    ['a side that never ended', /far side never ended/, inOrder, [...allSent, read(0), read(1), read(2), end('near')]],
    ['a side that never began', /far side never had it/, inOrder, [...opened.slice(0, 1), end('near')]],
    ['a session announced twice', /announced twice/, inOrder, [...opened, ...opened.slice(1), ...both]],
    ['two ends', /ended twice/, inOrder, [...opened, ...both, end('far')]],
    ['a session too many', /2 sessions were seen/, inOrder, [...opened, ...both, { ...opened[1], session: 'phantom' } as Told]],
    ['a failing application', /it broke/, inOrder, [...opened, ...both, { what: 'wrong', key: 's', why: 'it broke' }]],
    [
      'undelivered messages that never were',
      /counts 2 messages undelivered/,
      { ...expired, near: ['ERR_EXPIRED'] },
      [...opened, end('near', loss(null, 0, { undelivered: 2, digest: digestOfAll([]) }))],
    ],
  ];
  for (const [what, found, expected, told] of doctored) {
    it(`finds ${what}`, () => {
      expect(problems(expected, told).join('\n')).to.match(found);
    });
  }

  it('counts a message as accepted when it arrives from a process that was killed before it could say so', () => {
    const told = [...opened, ...send(0).slice(0, 1), read(0), end('far', loss(null, 0, { digest: digestOfAll([]) }))];
    const killed: Expected = { sessions: 1, near: 'killed', far: ['ERR_EXPIRED'] };
    expect(problems(killed, told, 'near')).to.deep.equal([]);
    expect(problems(killed, told).join()).to.match(/H1 up/);
  });
});

describe('chaos: reports', () => {
  it('of a session that has had its verdict are ignored, of one that nobody has opened they are a mistake', () => {
    const ledger = new Ledger();
    const take = (told: Told): void => ledger.take({ ...told, at: 0 }, 'near');
    expect(() => take(read(0))).to.throw(/nobody has opened/);
    for (const told of opened) take(told);
    expect(ledger.verdict('s', inOrder).problems).not.to.deep.equal([]);
    for (const told of [...allSent, read(0), end('near')]) take(told);
    expect([ledger.opened('s', 'near'), ledger.describe('s')]).to.deep.equal([0, '']);
  });

  it('of several processes come in the order of their stamps, as soon as nothing earlier can come', () => {
    const seen: number[] = [];
    const merge = new Merge((report) => seen.push(report.at));
    const at = (...stamps: number[]): Report[] => stamps.map((stamp) => ({ what: 'tick', at: stamp }));
    for (const name of ['a', 'b']) merge.open(name);
    merge.push('a', at(1, 4, 5));
    expect(seen).to.deep.equal([]);
    merge.push('b', at(2, 3, 6));
    expect(seen).to.deep.equal([1, 2, 3, 4, 5]);
    merge.close('a');
    expect(seen).to.deep.equal([1, 2, 3, 4, 5, 6]);
    expect(() => merge.push('a', at(7))).to.throw(/not open/);
  });

  it('name messages that are known again', () => {
    for (const framing of ['prefix', 'lines'] as const) {
      for (const bytes of [0, 50, 70_000]) {
        const message = makeMessage(framing, 'abc up', 17, bytes);
        expect(numberOf('abc up', message)).to.equal(17);
        expect(numberOf('abc down', message)).to.equal(-1);
        expect(message.length).to.equal(Math.max(bytes, 'abc up 17|'.length));
        expect(digestOf(message)).to.equal(digestOf(makeMessage(framing, 'abc up', 17, bytes)));
      }
    }
    expect(numberOf('abc up', 'something else')).to.equal(-1);
  });
});

describe('chaos: plans', () => {
  it('depend on kind and seed alone, and harm as many connections as they say', () => {
    for (const trouble of troubles) {
      const plans = Array.from({ length: 20 }, (_, seed) => plansFor(trouble, new Random(seed)));
      expect(plans).to.deep.equal(Array.from({ length: 20 }, (_, seed) => plansFor(trouble, new Random(seed))));
      for (const plan of plans) expect(plan.length, trouble).to.be.within(1, 10);
      for (const plan of plans.flat()) expect(Object.keys(plan).length, trouble).to.be.greaterThan(0);
    }
  });
});
