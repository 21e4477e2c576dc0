// The judge is judged: an honest history passes, and for every rule a doctored one is found.

import { expect } from 'chai';
import { History, type HistoryRule } from '../../lib/testing.ts';

const stream = 's up';

/** Sends and delivers messages 0 … count-1 honestly. */
function honest(history: History, count: number): void {
  for (let n = 0; n < count; n++) {
    history.offered(stream, n, `message ${n}`);
    history.accepted(stream, n);
    history.delivered(stream, n, `message ${n}`);
  }
}

function accept(history: History, n: number): void {
  history.offered(stream, n, `message ${n}`);
  history.accepted(stream, n);
}

describe('History', () => {
  it('finds nothing in an honest history', () => {
    const history = new History();
    history.generation('s', 1, 'node a');
    honest(history, 3);
    history.acked(stream, 2);
    history.generation('s', 2, 'node a');
    history.generation('s', 3, 'node b');
    history.acked(stream, 3);
    history.endedClean(stream);
    expect(history.check()).to.deep.equal([]);
    expect(history.deliveredCount(stream)).to.equal(3);
  });

  it('finds nothing where a loss is reported with the true numbers', () => {
    for (const [from, exact] of [
      [2, true],
      [1, false],
    ] as const) {
      const history = new History();
      honest(history, 2);
      history.acked(stream, 1);
      accept(history, 2);
      accept(history, 3);
      history.lost(stream, { from, count: 4 - from, exact });
      expect(history.check()).to.deep.equal([]);
    }
  });

  it('takes a refused message for what it is: not accepted, nothing owed', () => {
    const history = new History();
    honest(history, 1);
    history.offered(stream, 1, 'refused');
    expect(history.check()).to.deep.equal([]);
  });

  const doctored: readonly [string, HistoryRule, (history: History) => void][] = [
    [
      'a message that was never accepted',
      'H1',
      (history) => {
        honest(history, 1);
        history.offered(stream, 1, 'refused');
        history.delivered(stream, 1, 'refused');
      },
    ],
    [
      'a message twice',
      'H2',
      (history) => {
        honest(history, 2);
        history.delivered(stream, 1, 'message 1');
      },
    ],
    [
      'a gap',
      'H3',
      (history) => {
        for (const n of [0, 1, 2]) accept(history, n);
        history.delivered(stream, 0, 'message 0');
        history.delivered(stream, 2, 'message 2');
      },
    ],
    [
      'an ack of what was not delivered',
      'H4',
      (history) => {
        honest(history, 1);
        accept(history, 1);
        history.acked(stream, 2);
        history.delivered(stream, 1, 'message 1');
      },
    ],
    [
      'a message that vanished',
      'H5',
      (history) => {
        honest(history, 1);
        accept(history, 1);
        history.endedClean(stream);
      },
    ],
    [
      'a message below the reported loss that vanished',
      'H5',
      (history) => {
        honest(history, 1);
        accept(history, 1);
        accept(history, 2);
        history.lost(stream, { from: 2, count: 1, exact: false });
      },
    ],
    [
      'a loss beside a clean end',
      'H6',
      (history) => {
        accept(history, 0);
        history.lost(stream, { from: 0, count: 1, exact: true });
        history.endedClean(stream);
      },
    ],
    [
      'a loss that hands back too little',
      'H6',
      (history) => {
        accept(history, 0);
        accept(history, 1);
        history.lost(stream, { from: 0, count: 1, exact: true });
      },
    ],
    [
      'an exact loss of what was delivered',
      'H6',
      (history) => {
        honest(history, 2);
        history.lost(stream, { from: 1, count: 1, exact: true });
      },
    ],
    [
      'a loss of what was acked',
      'H6',
      (history) => {
        honest(history, 2);
        history.acked(stream, 2);
        history.lost(stream, { from: 1, count: 1, exact: false });
      },
    ],
    [
      'two owners of one generation',
      'H7',
      (history) => {
        history.generation('s', 4, 'node a');
        history.generation('s', 4, 'node b');
      },
    ],
    [
      'a generation that goes back',
      'H8',
      (history) => {
        history.generation('s', 4, 'node a');
        history.generation('s', 3, 'node b');
      },
    ],
    [
      'an ack that goes back',
      'H8',
      (history) => {
        honest(history, 3);
        history.acked(stream, 3);
        history.acked(stream, 2);
      },
    ],
    [
      'other bytes',
      'H9',
      (history) => {
        accept(history, 0);
        history.delivered(stream, 0, 'message O');
      },
    ],
  ];
  for (const [name, rule, make] of doctored) {
    it(`finds ${name} (${rule}), and only that`, () => {
      const history = new History();
      make(history);
      expect(new Set(history.check().map((violation) => violation.rule))).to.deep.equal(new Set([rule]));
    });
  }
});
