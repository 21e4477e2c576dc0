// Throttles per address: what counts as one address, and what each limit does.
import { expect } from 'chai';
import { key, Throttle } from '../../lib/security/throttle.ts';

const LIMITS = { unfinishedPerAddress: 3, acceptsPerSecond: 10, acceptsBurst: 5, failuresPerMinute: 2 };
const A = '192.0.2.1';

describe('throttle', () => {
  const keys: [string, string][] = [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::1', '0:0:0:0'],
    ['::', '0:0:0:0'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['2001:db8:0:0:ffff::1', '2001:db8:0:0'],
    ['2001:0db8:0000:0000:1:2:3:4', '2001:db8:0:0'],
    ['2001:db8:0:1::', '2001:db8:0:1'],
    ['2001:db8::1:2:3:4:5', '2001:db8:0:1'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4'],
    ['::2:3:4:5:6:7:8', '0:2:3:4'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
    ['FE80::1', 'fe80:0:0:0'],
  ];
  for (const [address, name] of keys) {
    it(`${address} counts as ${name}`, () => {
      expect(key(address)).to.equal(name);
    });
  }

  it('bounds the unfinished handshakes of one address', () => {
    const throttle = new Throttle(LIMITS);
    const takes = [A, A, A, A, '192.0.2.2'].map((address) => throttle.accepted(address, 0));
    expect(takes).to.deep.equal([true, true, true, false, true]);
    throttle.finished(A);
    expect([throttle.accepted(A, 0), throttle.accepted(A, 0)]).to.deep.equal([true, false]);
  });

  it('bounds how fast one address connects', () => {
    const throttle = new Throttle(LIMITS);
    const connect = (now: number): boolean => {
      const taken = throttle.accepted(A, now);
      if (taken) throttle.finished(A);
      return taken;
    };
    expect([0, 0, 0, 0, 0, 0, 99, 100, 101].map(connect)).to.deep.equal([true, true, true, true, true, false, false, true, false]);
  });

  it('keeps an address out that failed too often, and lets it in again', () => {
    const throttle = new Throttle(LIMITS);
    throttle.failed(A, 0);
    expect(throttle.accepted(A, 0)).to.equal(true);
    throttle.finished(A);
    throttle.failed(A, 0);
    expect(throttle.accepted(A, 0)).to.equal(false);
    expect(throttle.accepted('192.0.2.2', 0), 'others are not touched').to.equal(true);
    expect(throttle.accepted(A, 29_000)).to.equal(false);
    expect(throttle.accepted(A, 30_001)).to.equal(true);
  });

  it('counts all addresses of one IPv6 /64 together', () => {
    const throttle = new Throttle(LIMITS);
    const takes = [1, 2, 3, 4].map((i) => throttle.accepted(`2001:db8::${i}`, 0));
    expect(takes).to.deep.equal([true, true, true, false]);
  });

  it('forgets nothing that is unfinished, however many addresses come', () => {
    const throttle = new Throttle(LIMITS);
    for (let i = 0; i < 3; i++) throttle.accepted(A, 0);
    for (let i = 0; i < 25_000; i++) {
      const address = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
      expect(throttle.accepted(address, i)).to.equal(true);
      throttle.finished(address);
    }
    expect(throttle.accepted(A, 25_000)).to.equal(false);
  });

  it('does not count below zero', () => {
    const throttle = new Throttle(LIMITS);
    throttle.finished(A);
    throttle.accepted(A, 0);
    throttle.finished(A);
    throttle.finished(A);
    expect([1, 2, 3, 4].map(() => throttle.accepted(A, 0))).to.deep.equal([true, true, true, false]);
  });
});
