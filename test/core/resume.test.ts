// The two judgements of a resume, as tables with all boundaries.
import { expect } from 'chai';
import type { Positions } from '../../lib/core/handshake.ts';
import { judgeGeneration, judgePositions, tell } from '../../lib/core/resume.ts';
import { RejectCode } from '../../lib/core/wire.ts';

const { STALE_GENERATION, TAKEN_OVER } = RejectCode;

describe('judging a resume by generation', () => {
  const stored = { generation: 7, instance: 4 };
  const cases: [generation: number, instance: number, answer: number][] = [
    [8, 4, 0],
    [99, 4, 0],
    [7, 4, STALE_GENERATION],
    [6, 4, STALE_GENERATION],
    [1, 4, STALE_GENERATION],
    [8, 8, 0],
    [9, 8, 0],
    [8, 7, TAKEN_OVER],
    [8, 5, TAKEN_OVER],
    [8, 3, TAKEN_OVER],
    [7, 7, TAKEN_OVER],
    [7, 8, TAKEN_OVER],
    [2, 2, TAKEN_OVER],
  ];
  for (const [generation, instance, answer] of cases) {
    it(`generation ${generation} of instance ${instance}, while 7 of 4 is known: ${answer}`, () => {
      expect(judgeGeneration(stored, { generation, instance })).to.equal(answer);
    });
  }

  it('accepts exactly what the rule says, in the whole neighbourhood', () => {
    for (let g = 0; g < 8; g++)
      for (let i = 0; i <= g; i++)
        for (let ag = 0; ag < 10; ag++)
          for (let ai = 0; ai <= ag; ai++) {
            const accepted = judgeGeneration({ generation: g, instance: i }, { generation: ag, instance: ai }) === 0;
            expect(accepted).to.equal(ag > g && (ai === i || ai > g));
          }
  });
});

describe('judging a resume by positions', () => {
  const mine: Positions = { received: 50, acked: 40, limit: 140, base: 10, sent: 30 };
  const theirs: Positions = { received: 20, acked: 20, limit: 120, base: 45, sent: 60 };
  const cases: [name: string, change: Partial<Positions>, text: RegExp | null][] = [
    ['what fits', {}, null],
    ['received = my base', { received: 10, acked: 10 }, null],
    ['received below my base', { received: 9, acked: 9 }, /has 9 bytes and this end begins at 10/],
    ['received = my sent', { received: 30 }, null],
    ['received above my sent', { received: 31 }, /has 31 bytes of 30 sent/],
    ['base = my received', { base: 50 }, null],
    ['base above my received', { base: 51 }, /has 50 bytes and the peer begins at 51/],
    ['sent = my received', { sent: 50 }, null],
    ['sent below my received', { sent: 49 }, /has 50 bytes of 49/],
    ['the limit seen before', { limit: 110 }, null],
    ['a limit below the one seen', { limit: 109 }, /limit fell from 110 to 109/],
    ['acked above received', { acked: 21 }, /contradict/],
    ['base above sent', { base: 50, sent: 49 }, /contradict/],
  ];
  for (const [name, change, text] of cases) {
    it(`${text === null ? 'accepts' : 'refuses'} ${name}`, () => {
      const answer = judgePositions(mine, 110, { ...theirs, ...change });
      if (text === null) expect(answer).to.equal(null);
      else expect(answer).to.match(text);
    });
  }

  it('tells all five numbers', () => {
    expect(tell(mine)).to.equal('received 50, acked 40, limit 140, base 10, sent 30');
  });
});
