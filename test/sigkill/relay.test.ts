// A relay that is killed at random moments, over LMDB: what its sources send arrives once at the sink. With Redis it runs in test/interop.

import { expect } from 'chai';
import { runRelay } from './relay-run.ts';

describe('a relay that is killed', () => {
  it('passes every message on once: commit({ with }) over LMDB', async function () {
    this.timeout(60_000);
    const seed = Date.now() % 1_000_000;
    const { arrived, sent, kills, broken } = await runRelay({ kills: 4, seed });
    expect(broken).to.deep.equal([]);
    expect([arrived, kills]).to.deep.equal([sent, 4]);
    expect(sent).to.be.greaterThan(100);
  });
});
