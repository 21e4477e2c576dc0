// The budget: who has to go when memory is used up, who is woken when there is room, and who never goes.
import { expect } from 'chai';
import { Budget, type Holder } from '../../lib/budget.ts';
import { SessionError } from '../../lib/errors.ts';

class Session implements Holder {
  readonly stats: { outboundBytes: number; inboundBytes: number };
  readonly #budget: Budget;
  readonly gone: string[];
  readonly name: string;
  touches = 0;
  error: Error | undefined;

  constructor(budget: Budget, name: string, outboundBytes: number, inboundBytes: number, gone: string[]) {
    this.#budget = budget;
    this.name = name;
    this.gone = gone;
    this.stats = { outboundBytes, inboundBytes };
    budget.add(outboundBytes + inboundBytes);
  }

  destroy(error: Error): void {
    this.gone.push(this.name);
    this.error = error;
    this.#budget.forget(this);
    this.#budget.add(-(this.stats.outboundBytes + this.stats.inboundBytes));
  }

  touched(): void {
    this.touches++;
  }
}

describe('budget', () => {
  it('is full above its limit, not at it', () => {
    const budget = new Budget(100);
    budget.add(100);
    expect([budget.usedBytes, budget.full]).to.deep.equal([100, false]);
    budget.add(1);
    expect(budget.full).to.equal(true);
    budget.add(-1);
    expect(budget.full).to.equal(false);
  });

  it('lets who holds little go on while it is full, and nobody once the small ones hold a tenth', () => {
    const budget = new Budget(1000);
    for (let i = 0; i < 10; i++) budget.resized(0, 100);
    expect(budget.presses(100)).to.equal(false);
    budget.resized(100, 101);
    expect([0, 10, 11, 100].map((bytes) => budget.presses(bytes))).to.deep.equal([false, false, true, true]);
    for (let i = 0; i < 9; i++) budget.resized(100, 0);
    budget.resized(0, 1000);
    expect([50, 51].map((bytes) => budget.presses(bytes))).to.deep.equal([false, true]);
  });

  it('ends detached sessions, the largest first and the older of equals, until it is enough', () => {
    const budget = new Budget(100);
    const gone: string[] = [];
    for (const [name, outbound, inbound] of [
      ['small', 10, 0],
      ['old', 10, 20],
      ['young', 30, 0],
      ['mid', 0, 20],
    ] as const) {
      budget.detached(new Session(budget, name, outbound, inbound, gone));
    }
    budget.add(20);
    expect(gone).to.deep.equal(['old']);
    budget.add(40);
    expect(gone).to.deep.equal(['old', 'young']);
    budget.add(35);
    expect(gone).to.deep.equal(['old', 'young', 'mid', 'small']);
    expect(budget.usedBytes).to.equal(95);
  });

  it('never ends an attached session, nor one that is attached again', () => {
    const budget = new Budget(100);
    const gone: string[] = [];
    new Session(budget, 'attached', 80, 0, gone);
    const again = new Session(budget, 'again', 15, 0, gone);
    budget.detached(again);
    budget.attached(again);
    budget.add(1000);
    expect([gone, budget.full]).to.deep.equal([[], true]);
  });

  it('judges a session that is detached while memory is used up', () => {
    const budget = new Budget(100);
    const gone: string[] = [];
    const session = new Session(budget, 'late', 150, 0, gone);
    expect(gone).to.deep.equal([]);
    budget.detached(session);
    expect(gone).to.deep.equal(['late']);
    expect(SessionError.is(session.error, 'ERR_MEMORY_BUDGET')).to.equal(true);
    expect(session.error?.message).to.include('150 bytes buffered of 100, 150 of them here');
  });

  it('leaves detached sessions that hold nothing', () => {
    const budget = new Budget(100);
    const gone: string[] = [];
    budget.detached(new Session(budget, 'empty', 0, 0, gone));
    budget.add(1000);
    expect(gone).to.deep.equal([]);
  });

  it('wakes each waiting sender once when an eighth is free', () => {
    const budget = new Budget(100);
    const waiting = new Session(budget, 'waiting', 90, 0, []);
    const forgotten = new Session(budget, 'forgotten', 0, 20, []);
    budget.waitForRoom(waiting);
    budget.waitForRoom(waiting);
    budget.waitForRoom(forgotten);
    budget.forget(forgotten);
    budget.add(-22);
    expect(waiting.touches, 'still 88').to.equal(0);
    budget.add(-1);
    budget.add(-1);
    expect([waiting.touches, forgotten.touches]).to.deep.equal([1, 0]);
  });
});
