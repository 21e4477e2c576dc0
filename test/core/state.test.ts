// The table of states: every state with every input.
import { expect } from 'chai';
import { type CoreInput, type CoreState, coreInputs, coreStates, next } from '../../lib/core/state.ts';

const expected: Record<CoreState, Record<CoreInput, CoreState | undefined>> = {
  detached: { circuitUp: 'attached', circuitLost: undefined, done: 'lingering', ended: 'closed' },
  attached: { circuitUp: 'attached', circuitLost: 'detached', done: 'finishing', ended: 'closed' },
  finishing: { circuitUp: 'finishing', circuitLost: 'lingering', done: undefined, ended: 'closed' },
  lingering: { circuitUp: 'finishing', circuitLost: undefined, done: undefined, ended: 'closed' },
  closed: { circuitUp: undefined, circuitLost: undefined, done: undefined, ended: undefined },
};

describe('state', () => {
  for (const state of Object.keys(expected) as CoreState[]) {
    for (const input of Object.keys(expected[state]) as CoreInput[]) {
      it(`${state} + ${input} → ${expected[state][input] ?? 'nothing'}`, () => {
        expect(next(state, input)).to.equal(expected[state][input]);
      });
    }
  }

  it('lists every state and input once', () => {
    expect([...coreStates].sort()).to.deep.equal(Object.keys(expected).sort());
    expect([...coreInputs].sort()).to.deep.equal(Object.keys(expected.closed).sort());
  });

  it('leads from every state but closed to closed', () => {
    for (const state of coreStates) expect(next(state, 'ended')).to.equal(state === 'closed' ? undefined : 'closed');
  });
});
