// What every TicketRegister keeps: the newest mark of each session, whoever asks and however often.

import { expect } from 'chai';
import type { TicketMark, TicketRegister } from '../../lib/stores/store.ts';

const KEEP_MS = 60_000;

export interface RegisterUnderTest {
  readonly register: TicketRegister;
  /** The same through another connection. */
  readonly other: TicketRegister;
  end(): Promise<void>;
}

export function registerContract(name: string, make: () => Promise<RegisterUnderTest>): void {
  describe(`register contract: ${name}`, () => {
    let tested: RegisterUnderTest;
    before(async () => {
      tested = await make();
    });
    after(() => tested.end());

    const mark = (generation: number, number: number): TicketMark => ({ generation, number });

    it('keeps a later generation, then a higher number, and tells it', async () => {
      const { register, other } = tested;
      const steps: [given: TicketMark, newest: TicketMark][] = [
        [mark(1, 5), mark(1, 5)],
        [mark(1, 4), mark(1, 5)],
        [mark(1, 5), mark(1, 5)],
        [mark(1, 9), mark(1, 9)],
        [mark(2, 1), mark(2, 1)],
        [mark(1, 99), mark(2, 1)],
        [mark(10, 0), mark(10, 0)],
        [mark(9, 7), mark(10, 0)],
      ];
      for (const [at, [given, newest]] of steps.entries())
        expect(await (at % 2 === 0 ? register : other).advance('one', given, KEEP_MS)).to.deep.equal(newest);
    });

    it('keeps sessions apart, and numbers up to 2^53-1', async () => {
      const most = mark(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
      expect(await tested.register.advance('two', most, KEEP_MS)).to.deep.equal(most);
      expect(await tested.register.advance('three', mark(1, 1), KEEP_MS)).to.deep.equal(mark(1, 1));
      expect(await tested.other.advance('two', mark(most.generation, most.number - 1), KEEP_MS)).to.deep.equal(most);
    });

    it('tells the newest of many that come at once', async () => {
      const all = Array.from({ length: 100 }, (_, i) => mark(1 + (i % 3), (i * 37) % 101));
      await Promise.all(all.map((each, i) => (i % 2 === 0 ? tested.register : tested.other).advance('four', each, KEEP_MS)));
      const numbers = all.filter(({ generation }) => generation === 3).map(({ number }) => number);
      expect(await tested.register.advance('four', mark(1, 0), KEEP_MS)).to.deep.equal(mark(3, Math.max(...numbers)));
    });
  });
}
