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

  for (const [kind, busy, bytes, most] of [
    ['large', true, LARGE_SLAB_BYTES, 64] as const,
    ['small', false, SMALL_SLAB_BYTES, 256] as const,
  ]) {
    it(`goes back to its pool when its last use ends, and not before (${kind})`, () => {
      const slab = takeSlab(busy);
      slab.uses = 3;
      for (const left of [2, 1]) {
        releaseSlab(slab, true);
        expect(slab.uses).to.equal(left);
        expect(takeSlab(busy)).to.not.equal(slab);
      }
      releaseSlab(slab, true);
      expect(takeSlab(!busy)).to.not.equal(slab);
      expect(takeSlab(busy)).to.equal(slab);
    });

    it(`stays out of the pool for ever once a socket may hold it (${kind})`, () => {
      const slab = takeSlab(busy);
      slab.uses = 2;
      releaseSlab(slab, false);
      releaseSlab(slab, true);
      expect(slab.tainted).to.equal(true);
      expect(takeSlab(busy)).to.not.equal(slab);
    });

    it(`is pooled ${most} times at most (${kind})`, () => {
      const slabs = Array.from({ length: most + 40 }, () => new Slab(bytes));
      for (const slab of slabs) {
        slab.uses = 1;
        releaseSlab(slab, true);
      }
      const mine = new Set(slabs);
      const again = slabs.map(() => takeSlab(busy)).filter((slab) => mine.has(slab));
      expect(again.length).to.be.within(1, most);
      expect(new Set(again).size).to.equal(again.length);
    });
  }
});
