// The inputs that the fuzzer has found worth keeping, each against every oracle of its target; and the fuzzer itself, on mistakes planted
// for it. `npm run fuzz` searches for new ones.

import { expect } from 'chai';
import { Coverage } from './fuzz/coverage.ts';
import { BLOCK_MS, type FuzzOutcome, fuzz, judge } from './fuzz/fuzzer.ts';
import { planted } from './fuzz/planted.ts';
import { check, Finding, type FuzzTarget } from './fuzz/target.ts';
import { readCorpus, targets } from './fuzz/targets.ts';

describe('fuzz corpus', () => {
  for (const target of targets) {
    it(`${target.name}: ${target.what}`, async function () {
      this.timeout(60_000);
      const inputs = [...target.seeds(), ...readCorpus(target)];
      const outcomes = new Set<string>();
      for (const input of inputs) {
        const error = await judge(target, input, outcomes);
        if (error !== null) throw new Error(`npm run fuzz -- ${target.name} --input ${input.toString('hex')}`, { cause: error });
      }
      expect(target.wanted.filter((outcome) => !outcomes.has(outcome))).to.deep.equal([]);
    });
  }
});

const LETTERS: readonly Buffer[] = Array.from('ABCDEFGU', (letter) => Buffer.from(letter));

describe('fuzzer', () => {
  const target = (run: FuzzTarget['run']): FuzzTarget => {
    return {
      name: 'planted',
      what: '',
      files: /\/test\/fuzz\/planted\.ts/,
      seeds: () => [Buffer.alloc(3)],
      tokens: LETTERS,
      wanted: [],
      mostBytes: 4,
      run,
    };
  };
  const search = async (target: FuzzTarget): Promise<FuzzOutcome> => {
    const coverage = new Coverage();
    try {
      return await fuzz(target, { coverage, seconds: 60, seed: 1, corpus: [], progress: () => {} });
    } finally {
      coverage.stop();
    }
  };

  it('finds a mistake that lies behind three right bytes, one behind the other', async function () {
    this.timeout(90_000);
    const { failure, runs } = await search(target(planted));
    expect(failure?.error.message).to.equal('planted');
    expect(failure?.input.subarray(0, 3).toString('latin1')).to.equal('BUG');
    expect(runs).to.be.lessThan(1_000_000);
  });

  it('finds what is thrown in the open, past the target', async () => {
    const stray = target(async () => {
      setImmediate(() => {
        throw new RangeError('nobody catches this');
      });
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    });
    // Mocha must not take the error for its own.
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    try {
      expect((await judge(stray, Buffer.alloc(1)))?.message).to.equal('nobody catches this');
    } finally {
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
  });

  it('finds an input that blocks, a broken promise, and nothing where nothing is', async () => {
    const slow = target(() => {
      for (const untilMs = performance.now() + 2 * BLOCK_MS; performance.now() < untilMs; );
    });
    expect((await judge(slow, Buffer.alloc(1)))?.message).to.match(/^blocks for \d+ ms/);
    const broken = target((input) => check(input.length < 5, 'it is short'));
    expect(await judge(broken, Buffer.alloc(5))).to.be.instanceOf(Finding);
    expect(await judge(broken, Buffer.alloc(4))).to.equal(null);
  });

  it('finds memory that stays', async function () {
    this.timeout(90_000);
    const kept: Buffer[] = [];
    const leak = target(() => {
      if (kept.length < 5000) kept.push(Buffer.alloc(65_536, 1));
    });
    const { failure } = await search(leak);
    expect(failure?.error.message).to.match(/^the process holds \d+ bytes more/);
  });
});
