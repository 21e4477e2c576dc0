// Sessions that wait for their write: each once, behind the code that runs, and others get a turn between slices.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { type Flushable, FlushQueue } from '../../lib/flush-queue.ts';

/** What was put off, to be run by hand. */
class Loop {
  readonly deferred: (() => void)[] = [];
  readonly yielded: (() => void)[] = [];

  defer<T>(task: (argument: T) => void, argument: T): void {
    this.deferred.push(() => task(argument));
  }

  yield<T>(task: (argument: T) => void, argument: T): void {
    this.yielded.push(() => task(argument));
  }

  tick(): void {
    for (const task of this.deferred.splice(0)) task();
  }

  turn(): void {
    for (const task of this.yielded.splice(0)) task();
  }
}

describe('flush queue', () => {
  let loop: Loop;
  let queue: FlushQueue;
  let flushed: number[];
  const add = (name: number, then?: () => void): void =>
    queue.add({
      flushScheduled() {
        flushed.push(name);
        then?.();
      },
    });

  beforeEach(() => {
    loop = new Loop();
    queue = new FlushQueue(loop);
    flushed = [];
  });

  it('flushes few at the end of the tick, in the order in which they came', () => {
    for (let i = 0; i < 10; i++) add(i);
    expect(flushed).to.deep.equal([]);
    loop.tick();
    expect(flushed).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect([loop.deferred.length, loop.yielded.length]).to.deep.equal([0, 0]);
    add(10);
    loop.tick();
    expect(flushed[10]).to.equal(10);
  });

  it('flushes many in slices, and gives others a turn between them', () => {
    const all = Array.from({ length: 1000 }, (_, i) => i);
    for (const i of all) add(i);
    loop.tick();
    expect(flushed.length).to.be.greaterThan(0).and.lessThan(200);
    let turns = 0;
    for (; loop.yielded.length > 0; turns++) {
      expect(loop.yielded.length).to.equal(1);
      loop.turn();
    }
    expect(turns).to.be.greaterThan(5);
    expect(flushed).to.deep.equal(all);
  });

  it('takes those that come meanwhile behind the others', () => {
    for (let i = 0; i < 100; i++) add(i, i === 0 ? () => add(1000) : undefined);
    loop.tick();
    add(1001);
    while (loop.yielded.length > 0) loop.turn();
    expect(flushed.slice(98)).to.deep.equal([98, 99, 1000, 1001]);
    expect(loop.deferred).to.deep.equal([]);
  });

  it('lets go of whoever had its turn, though others never stop', () => {
    setFlagsFromString('--expose_gc');
    const collect = runInNewContext('gc') as () => void;
    const busy: Flushable = { flushScheduled: () => queue.add(busy) };
    let flushes = 0;
    const once = (): WeakRef<Flushable> => {
      const waiting = { flushScheduled: () => void flushes++ };
      queue.add(waiting);
      return new WeakRef(waiting);
    };
    queue.add(busy);
    const gone = once();
    loop.tick();
    for (let i = 0; i < 10; i++) loop.turn();
    // What a WeakRef was made of lives until the job is over.
    return new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      collect();
      expect(flushes).to.equal(1);
      expect(gone.deref()).to.equal(undefined);
      expect(loop.yielded.length).to.equal(1);
    });
  });

  it('goes on behind one that throws', () => {
    const fail = (): never => {
      throw new Error('planted');
    };
    add(0);
    add(1, fail);
    add(2);
    expect(() => loop.tick()).to.throw('planted');
    loop.turn();
    expect(flushed).to.deep.equal([0, 1, 2]);
    add(3, fail);
    expect(() => loop.tick()).to.throw('planted');
    add(4);
    loop.tick();
    expect(flushed).to.deep.equal([0, 1, 2, 3, 4]);
  });
});
