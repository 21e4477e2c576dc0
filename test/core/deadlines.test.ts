// Deadlines against a Map.
import { expect } from 'chai';
import fc from 'fast-check';
import { Deadline, Deadlines } from '../../lib/core/deadlines.ts';

const all = Object.values(Deadline);

describe('deadlines', () => {
  it('has a number of its own for each', () => {
    expect(new Set(all).size).to.equal(5);
  });

  it('is due from its instant on, and not before', () => {
    const deadlines = new Deadlines();
    deadlines.set(Deadline.HOLD, 100);
    expect([99, 99.999, 100, 101].map((now) => deadlines.due(Deadline.HOLD, now))).to.deep.equal([false, false, true, true]);
    deadlines.clear(Deadline.HOLD);
    expect(deadlines.due(Deadline.HOLD, Number.MAX_SAFE_INTEGER)).to.equal(false);
    expect(deadlines.at(Deadline.HOLD)).to.equal(Infinity);
  });

  it('tells the earliest, whatever is set and cleared', () => {
    const step = fc.oneof(
      fc.record({ which: fc.constantFrom(...all), at: fc.double({ min: 0, max: 1e9, noNaN: true }) }),
      fc.record({ which: fc.constantFrom(...all), at: fc.constant(Infinity) }),
      fc.constant(null),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const deadlines = new Deadlines();
        const model = new Map<Deadline, number>();
        for (const step of steps) {
          if (step === null) {
            deadlines.clearAll();
            model.clear();
          } else if (step.at === Infinity) {
            deadlines.clear(step.which);
            model.delete(step.which);
          } else {
            deadlines.set(step.which, step.at);
            model.set(step.which, step.at);
          }
          expect(deadlines.earliest).to.equal(Math.min(Infinity, ...model.values()));
          for (const which of all) expect(deadlines.at(which)).to.equal(model.get(which) ?? Infinity);
        }
      }),
    );
  });
});
