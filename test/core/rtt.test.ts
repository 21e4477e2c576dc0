// Round-trip time: the numbers of RFC 6298 §2, and PONGs that do not count.
import { expect } from 'chai';
import { Rtt } from '../../lib/core/rtt.ts';

describe('rtt', () => {
  it('begins with the first sample (2.2)', () => {
    const rtt = new Rtt();
    expect(rtt.smoothedMs).to.be.NaN;
    rtt.pong(rtt.ping(1000), 1080);
    expect(rtt.smoothedMs).to.equal(80);
  });

  it('goes on with an eighth (2.3)', () => {
    const rtt = new Rtt();
    rtt.pong(rtt.ping(0), 80);
    rtt.pong(rtt.ping(100), 260);
    expect(rtt.smoothedMs).to.equal(80 * 0.875 + 160 * 0.125);
  });

  it('takes only the answer to the newest PING, and only once', () => {
    const rtt = new Rtt();
    const first = rtt.ping(0);
    const second = rtt.ping(50);
    for (const token of [first, second + 1, 0]) rtt.pong(token, 60);
    expect(rtt.smoothedMs).to.be.NaN;
    rtt.pong(second, 70);
    rtt.pong(second, 500);
    expect(rtt.smoothedMs).to.equal(20);
  });

  it('counts an invented PONG before any PING as nothing', () => {
    const rtt = new Rtt();
    rtt.pong(0, 100);
    expect(rtt.smoothedMs).to.be.NaN;
  });
});
