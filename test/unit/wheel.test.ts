// The timer wheel on a fake clock: never early, little late, in order, and no timer left when nothing is armed.
import { expect } from 'chai';
import fc from 'fast-check';
import { Alarm, delay, processRuntime, type Timers, Wheel } from '../../lib/runtime.ts';

interface Pending {
  readonly atMs: number;
  readonly task: () => void;
}

/** A clock that moves only when told, and the one Node timer that a wheel may have. */
class Clock implements Timers {
  now: number;
  sets = 0;
  readonly pending: Set<Pending> = new Set();
  readonly wheel: Wheel;

  constructor(startMs = 0) {
    this.now = startMs;
    this.wheel = new Wheel(() => this.now, this);
  }

  set(task: (wheel: Wheel) => void, ms: number, wheel: Wheel): NodeJS.Timeout {
    expect(ms).to.be.at.least(1);
    this.sets++;
    const pending: Pending = { atMs: this.now + ms, task: () => task(wheel) };
    this.pending.add(pending);
    expect(this.pending.size, 'one Node timer').to.equal(1);
    return pending as unknown as NodeJS.Timeout;
  }

  clear(timer: NodeJS.Timeout): void {
    this.pending.delete(timer as unknown as Pending);
  }

  /** Runs to an instant; Node's timer rings `lateMs` late. */
  runTo(atMs: number, lateMs = 0): void {
    for (;;) {
      const [next] = this.pending;
      if (next === undefined || next.atMs + lateMs > atMs) break;
      this.now = Math.max(this.now, next.atMs + lateMs);
      this.pending.delete(next);
      next.task();
    }
    this.now = Math.max(this.now, atMs);
  }
}

/** Two slots: an alarm rings in the slot behind its own, and Node's timer counts whole milliseconds. */
const LATE_MS = 33;

describe('wheel', () => {
  it('rings each alarm once, never early, at most two slots late, in order of time', () => {
    const times = fc.array(fc.double({ min: 0, max: 60_000, noNaN: true }), { maxLength: 60 });
    fc.assert(
      fc.property(times, fc.double({ min: 0, max: 1e6, noNaN: true }), (times, startMs) => {
        const clock = new Clock(startMs);
        const rung: { readonly dueMs: number; readonly atMs: number }[] = [];
        for (const time of times) {
          const dueMs = startMs + time;
          clock.wheel.arm(new Alarm((now) => rung.push({ dueMs, atMs: now })), dueMs);
        }
        clock.runTo(startMs + 70_000);
        expect(rung.length).to.equal(times.length);
        for (const { dueMs, atMs } of rung) expect(atMs - dueMs).to.be.within(0, LATE_MS);
        const slots = rung.map(({ dueMs }) => Math.floor(dueMs / 16));
        expect(slots).to.deep.equal([...slots].sort((a, b) => a - b));
        expect(clock.pending.size).to.equal(0);
      }),
    );
  });

  it('follows an alarm that is armed again and again, earlier and later, and disarmed', () => {
    const step = fc.record({
      alarm: fc.nat(4),
      inMs: fc.option(fc.double({ min: 0, max: 40_000, noNaN: true }), { nil: Infinity }),
      waitMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 20_000 })),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(0, 3, 500), (steps, lateMs) => {
        const clock = new Clock(1000.5);
        const due = new Map<number, number>();
        const alarms = Array.from(
          { length: 5 },
          (_, i) =>
            new Alarm((now) => {
              expect(due.has(i), 'was armed').to.equal(true);
              expect(now - (due.get(i) as number)).to.be.within(0, LATE_MS + lateMs);
              due.delete(i);
            }),
        );
        for (const { alarm, inMs, waitMs } of steps) {
          if (inMs === Infinity) {
            clock.wheel.disarm(alarms[alarm] as Alarm);
            due.delete(alarm);
          } else {
            clock.wheel.arm(alarms[alarm] as Alarm, clock.now + inMs);
            due.set(alarm, clock.now + inMs);
          }
          clock.runTo(clock.now + waitMs, lateMs);
          for (const dueMs of due.values()) expect(dueMs + LATE_MS + lateMs).to.be.at.least(clock.now);
        }
        clock.runTo(clock.now + 50_000, lateMs);
        expect([due.size, clock.pending.size]).to.deep.equal([0, 0]);
      }),
      { numRuns: 300 },
    );
  });

  it('rings many that are due at once a few at a time, in order, and all the same', () => {
    const clock = new Clock();
    const rung: number[] = [];
    const alarms = Array.from({ length: 1000 }, (_, i) => new Alarm(() => rung.push(i)));
    for (const [i, alarm] of alarms.entries()) clock.wheel.arm(alarm, 100 + i / 1e6);
    const most: number[] = [];
    for (let ms = 101; rung.length < 700; ms++) {
      const before = rung.length;
      clock.runTo(ms);
      most.push(rung.length - before);
    }
    expect(Math.max(...most)).to.be.within(1, 200);
    // Those that wait for their turn can still be moved, and told not to ring.
    const moved = rung.length + 150;
    clock.wheel.arm(alarms[moved] as Alarm, 5000);
    for (const alarm of alarms.slice(moved + 1)) clock.wheel.disarm(alarm);
    clock.runTo(1000);
    expect(rung).to.deep.equal(Array.from({ length: moved }, (_, i) => i));
    clock.runTo(6000);
    expect([rung.length, rung.at(-1), clock.pending.size]).to.deep.equal([moved + 1, moved, 0]);
  });

  it('lets a ring arm and disarm others, and itself', () => {
    const clock = new Clock();
    const rung: string[] = [];
    const third = new Alarm(() => rung.push('third'));
    const second = new Alarm(() => rung.push('second'));
    const later = new Alarm(() => rung.push('later'));
    const first = new Alarm((now) => {
      rung.push('first');
      clock.wheel.disarm(second);
      clock.wheel.arm(third, now + 100);
      clock.wheel.arm(later, now + 200);
      if (rung.length < 3) clock.wheel.arm(first, now + 50);
    });
    for (const [alarm, atMs] of [
      [first, 10],
      [second, 11],
      [third, 12],
    ] as const)
      clock.wheel.arm(alarm, atMs);
    clock.runTo(90);
    expect(rung).to.deep.equal(['first', 'first']);
    clock.runTo(1000);
    expect(rung.slice(2)).to.have.members(['first', 'third', 'later']);
    expect(clock.pending.size).to.equal(0);
  });

  it('rings alarms beyond one round of the wheel in time', () => {
    const clock = new Clock(123);
    const rung: number[] = [];
    for (const ms of [16_384, 16_385, 32_768, 300_000, 3_600_000]) clock.wheel.arm(new Alarm((now) => rung.push(now - 123 - ms)), 123 + ms);
    clock.runTo(4_000_000);
    expect(rung.length).to.equal(5);
    for (const lateMs of rung) expect(lateMs).to.be.within(0, LATE_MS);
    // Looked at once a round and not once a slot.
    expect(clock.sets).to.be.below(1000);
  });

  it('rings what is due in the past soon', () => {
    const clock = new Clock(100_000);
    let rungMs = 0;
    clock.wheel.arm(
      new Alarm((now) => {
        rungMs = now;
      }),
      5,
    );
    clock.runTo(100_100);
    expect(rungMs).to.be.within(100_000, 100_000 + LATE_MS);
  });

  it('rings soon after the host slept', () => {
    const clock = new Clock();
    let rungMs = 0;
    clock.wheel.arm(
      new Alarm((now) => {
        rungMs = now;
      }),
      500,
    );
    clock.now = 5_000_000;
    clock.runTo(5_000_100);
    expect(rungMs).to.be.within(5_000_000, 5_000_100);
  });

  it('does not ring for Infinity', () => {
    const clock = new Clock();
    clock.wheel.arm(new Alarm(() => expect.fail('rang')), Infinity);
    expect(clock.pending.size).to.equal(0);
  });

  it('has no timer when the last alarm is disarmed, and makes none when one moves later', () => {
    const clock = new Clock();
    const alarms = Array.from({ length: 5000 }, () => new Alarm(() => {}));
    for (const [i, alarm] of alarms.entries()) clock.wheel.arm(alarm, 1000 + i);
    const { sets } = clock;
    for (const alarm of alarms) clock.wheel.arm(alarm, 9000);
    expect(clock.sets).to.equal(sets);
    for (const alarm of alarms) clock.wheel.disarm(alarm);
    expect(clock.pending.size).to.equal(0);
    for (const alarm of alarms) clock.wheel.disarm(alarm);
    expect(clock.pending.size).to.equal(0);
  });

  it('rings the others when one throws', () => {
    const clock = new Clock();
    let rung = 0;
    clock.wheel.arm(
      new Alarm(() => {
        throw new Error('a bug');
      }),
      10,
    );
    clock.wheel.arm(new Alarm(() => rung++), 11);
    clock.wheel.arm(new Alarm(() => rung++), 5000);
    expect(() => clock.runTo(100)).to.throw('a bug');
    clock.runTo(6000);
    expect(rung).to.equal(2);
  });
});

describe('runtime', () => {
  it('gives as many fresh random bytes as are asked for', () => {
    const seen = new Set<string>();
    for (let i = 0; i < 1000; i++) {
      const bytes = processRuntime.randomBytes(16);
      expect([bytes.length, bytes.buffer.byteLength >= 16]).to.deep.equal([16, true]);
      seen.add(bytes.toString('hex'));
    }
    expect(seen.size).to.equal(1000);
    for (const size of [0, 1, 4096, 10_000]) expect(processRuntime.randomBytes(size).length).to.equal(size);
  });

  it('waits, and stops waiting when it is told to', async () => {
    await delay(processRuntime, 1, undefined);
    const controller = new AbortController();
    const waiting = delay(processRuntime, 1e9, controller.signal);
    controller.abort(new Error('enough'));
    for (const late of [waiting, delay(processRuntime, 1e9, controller.signal)]) {
      const error = await late.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect((error as Error | undefined)?.message).to.equal('enough');
    }
  });

  it('defers before any I/O and yields behind it', async () => {
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      processRuntime.yield((name) => {
        order.push(name);
        resolve();
      }, 'yielded');
      processRuntime.defer((name) => order.push(name), 'deferred');
      order.push('now');
    });
    expect(order).to.deep.equal(['now', 'deferred', 'yielded']);
  });
});
