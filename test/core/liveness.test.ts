// The times of a session: round trips by the numbers of RFC 6298 §2, PONGs that do not count, and when it must write.
import { expect } from 'chai';
import fc from 'fast-check';
import { Deadline } from '../../lib/core/deadlines.ts';
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

describe('liveness: heartbeats', () => {
  const heartbeat = fc.integer({ min: 1000, max: 300_000 });
  const instant = fc.double({ min: 0, max: 1e9, noNaN: true });

  it('come within a heartbeat of the last write, and little before', () => {
    fc.assert(
      fc.property(
        heartbeat,
        instant,
        fc.array(fc.double({ min: 0, max: 2, noNaN: true }), { maxLength: 20 }),
        (heartbeatMs, upMs, waits) => {
          const live = new Liveness(heartbeatMs, 20_000);
          live.circuitUp(upMs);
          let wroteMs = upMs;
          for (const wait of waits) {
            const dueMs = live.at(Deadline.HEARTBEAT);
            expect(dueMs).to.be.within(wroteMs, wroteMs + heartbeatMs);
            // The application writes meanwhile, or nobody does until it rings.
            const writesMs = wroteMs + wait * heartbeatMs;
            if (writesMs < dueMs) {
              live.wroteMs = writesMs;
              wroteMs = writesMs;
            }
            if (!live.heartbeat(dueMs)) continue;
            expect(dueMs - wroteMs).to.be.above(heartbeatMs * (1 - 1 / 32));
            live.wroteMs = dueMs;
            wroteMs = dueMs;
          }
        },
      ),
    );
  });

  it('of many sessions fall together', () => {
    const dues = new Set<number>();
    for (let i = 0; i < 10_000; i++) {
      const live = new Liveness(15_000, 20_000);
      live.circuitUp(i * 1.5);
      dues.add(live.at(Deadline.HEARTBEAT));
    }
    expect(dues.size).to.be.within(60, 66);
  });
});
