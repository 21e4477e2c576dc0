// The times of a session: round trips by the numbers of RFC 6298 §2, and PONGs that do not count.
import { expect } from 'chai';
import { Liveness } from '../../lib/core/liveness.ts';

describe('liveness: round trips', () => {
  it('begins with the first sample (2.2)', () => {
    const live = new Liveness(15_000, 20_000);
    expect(live.rttMs).to.be.NaN;
    live.pong(live.ping(1000), 1080);
    expect(live.rttMs).to.equal(80);
  });

  it('goes on with an eighth (2.3)', () => {
    const live = new Liveness(15_000, 20_000);
    live.pong(live.ping(0), 80);
    live.pong(live.ping(100), 260);
    expect(live.rttMs).to.equal(80 * 0.875 + 160 * 0.125);
  });

  it('takes only the answer to the newest PING, and only once', () => {
    const live = new Liveness(15_000, 20_000);
    const first = live.ping(0);
    const second = live.ping(50);
    for (const token of [first, second + 1, 0]) live.pong(token, 60);
    expect(live.rttMs).to.be.NaN;
    live.pong(second, 70);
    live.pong(second, 500);
    expect(live.rttMs).to.equal(20);
  });

  it('counts an invented PONG before any PING as nothing', () => {
    const live = new Liveness(15_000, 20_000);
    live.pong(0, 100);
    expect(live.rttMs).to.be.NaN;
  });
});
