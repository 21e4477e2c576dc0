// The pool of slabs: who comes back, who never does.
import { expect } from 'chai';
import { LARGE_SLAB_BYTES, releaseSlab, Slab, SMALL_SLAB_BYTES, takeSlab } from '../../lib/core/slab.ts';

describe('slab', () => {
  it('is small for a quiet session and large for a busy one', () => {
    expect(takeSlab(false).buffer.length).to.equal(SMALL_SLAB_BYTES);
    expect(takeSlab(true).buffer.length).to.equal(LARGE_SLAB_BYTES);
  });

  it('owns its memory alone', () => {
    for (const large of [true, false]) {
      const { buffer } = takeSlab(large);
      expect(buffer.buffer.byteLength).to.equal(buffer.length);
    }
  });

  it('goes back to the pool when its last use ends, and not before', () => {
    const slab = takeSlab(true);
    slab.uses = 3;
    for (const left of [2, 1]) {
      releaseSlab(slab, true);
      expect(slab.uses).to.equal(left);
      expect(takeSlab(true)).to.not.equal(slab);
    }
    releaseSlab(slab, true);
    expect(takeSlab(true)).to.equal(slab);
  });

  it('stays out of the pool for ever once a socket may hold it', () => {
    const slab = takeSlab(true);
    slab.uses = 2;
    releaseSlab(slab, false);
    releaseSlab(slab, true);
    expect(slab.tainted).to.equal(true);
    expect(takeSlab(true)).to.not.equal(slab);
  });

  it('is not pooled when small', () => {
    const slab = takeSlab(false);
    slab.uses = 1;
    releaseSlab(slab, true);
    expect(takeSlab(false)).to.not.equal(slab);
  });

  it('is pooled 64 times at most', () => {
    const slabs = Array.from({ length: 100 }, () => new Slab(LARGE_SLAB_BYTES));
    for (const slab of slabs) {
      slab.uses = 1;
      releaseSlab(slab, true);
    }
    const mine = new Set(slabs);
    const again = Array.from({ length: 100 }, () => takeSlab(true)).filter((slab) => mine.has(slab));
    expect(again.length).to.be.within(1, 64);
    expect(new Set(again).size).to.equal(again.length);
  });
});
