// ReplayBuffer against a plain array of bytes, and its promises about memory.
import { expect } from 'chai';
import fc from 'fast-check';
import { ReplayBuffer, Segment } from '../../lib/core/replay.ts';
import { LARGE_SLAB_BYTES, ROOM_BYTES, Slab, takeSlab } from '../../lib/core/slab.ts';

/** A segment of `bytes` at the end of the replay, in memory of its own. */
function pushBytes(replay: ReplayBuffer, bytes: Buffer, lent = false): Segment {
  const slab = lent ? null : new Slab(ROOM_BYTES + bytes.length);
  const buffer = slab?.buffer ?? Buffer.alloc(ROOM_BYTES + bytes.length);
  buffer.set(bytes, ROOM_BYTES);
  const segment = new Segment(buffer, ROOM_BYTES, ROOM_BYTES + bytes.length, replay.end, slab);
  replay.push(segment);
  return segment;
}

let seed = 0;
function nextBytes(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) {
    seed = (seed * 61 + 17) & 0xff;
    bytes[i] = seed;
  }
  return bytes;
}

type Step =
  | { readonly kind: 'push'; readonly bytes: number; readonly lent: boolean }
  | { readonly kind: 'free' | 'truncate'; readonly share: number }
  | { readonly kind: 'clear' };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('push' as const), bytes: fc.integer({ min: 1, max: 300 }), lent: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('push' as const), bytes: fc.constantFrom(32_784, 32_785, 65_536), lent: fc.boolean() }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('free' as const, 'truncate' as const),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const) }) },
);

describe('replay buffer', () => {
  it('behaves as a plain array of bytes, even with two segments at most', () => {
    const begins = fc.constantFrom(0, 1, 0xffff_ffff, Number.MAX_SAFE_INTEGER - 2 ** 24);
    fc.assert(
      fc.property(begins, fc.integer({ min: 1, max: 6 }), fc.array(step, { maxLength: 30 }), (begin, segmentsMax, steps) => {
        const replay = new ReplayBuffer(segmentsMax);
        replay.begin(begin);
        let base = begin;
        let model = Buffer.alloc(0);
        for (const step of steps) {
          if (step.kind === 'push') {
            const bytes = nextBytes(step.bytes);
            pushBytes(replay, bytes, step.lent);
            model = Buffer.concat([model, bytes]);
          } else if (step.kind === 'clear') {
            replay.clear();
            base += model.length;
            model = Buffer.alloc(0);
          } else {
            const cut = Math.floor(step.share * model.length);
            if (step.kind === 'free') {
              replay.free(base + cut, true, 1);
              base += cut;
              model = model.subarray(cut);
            } else {
              replay.truncate(base + cut);
              model = model.subarray(0, cut);
            }
          }
          expect([replay.base, replay.end]).to.deep.equal([base, base + model.length]);
          expect(replay.slice(base, base + model.length).equals(model)).to.equal(true);
          expect(replay.find(replay.end)).to.equal(undefined);
          const probe = Math.floor(model.length / 3);
          if (probe === 0) continue;
          const segment = replay.find(base + probe) as Segment;
          expect(segment.buffer[segment.start + base + probe - segment.offset]).to.equal(model[probe]);
          expect(replay.slice(base + probe, base + probe + 1)[0]).to.equal(model[probe]);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('merges small segments into blocks and leaves large ones where they are', () => {
    const replay = new ReplayBuffer(3);
    const large = pushBytes(replay, nextBytes(40_000));
    for (let i = 0; i < 100; i++) pushBytes(replay, nextBytes(10));
    expect(replay.segments).to.be.at.most(4);
    expect(replay.find(0)).to.equal(large);
    const merged = replay.find(40_000) as Segment;
    expect(merged.buffer.length).to.equal(LARGE_SLAB_BYTES);
    // Room for headers, and never used again by others: nobody knows which circuits its parts were written to.
    expect(merged.start).to.be.at.least(ROOM_BYTES);
    expect(merged.slab?.tainted).to.equal(true);
  });

  it('holds at most one segment for each half block above its limit', () => {
    const replay = new ReplayBuffer(8);
    for (let i = 0; i < 3000; i++) {
      pushBytes(replay, Buffer.alloc(100 + (i % 200)));
      expect(replay.segments).to.be.at.most(8 + Math.ceil((2 * replay.end) / LARGE_SLAB_BYTES));
    }
  });

  it('frees whole segments only, and knows its base to the byte', () => {
    const replay = new ReplayBuffer(10);
    for (const size of [10, 10, 10]) pushBytes(replay, nextBytes(size));
    replay.free(9, true, 1);
    expect([replay.base, replay.segments]).to.deep.equal([9, 3]);
    replay.free(10, true, 1);
    expect([replay.base, replay.segments]).to.deep.equal([10, 2]);
    replay.free(30, true, 1);
    expect([replay.base, replay.segments]).to.deep.equal([30, 0]);
  });

  it('keeps the array of segments short while thousands come and go', () => {
    const replay = new ReplayBuffer(16_384);
    for (let i = 0; i < 20_000; i++) {
      pushBytes(replay, Buffer.from([i & 0xff]), true);
      if (i >= 700) replay.free(i - 700, true, 1);
    }
    expect(replay.segments).to.equal(20_000 - (19_999 - 700));
    expect([...replay.slice(19_990, 20_000)]).to.deep.equal(Array.from({ length: 10 }, (_, i) => (19_990 + i) & 0xff));
  });

  it('gives memory back to the pool only when one live circuit has carried it and its socket is empty', () => {
    const cases = [
      { recyclable: true, carriedBy: 4, again: true },
      { recyclable: false, carriedBy: 4, again: false },
      { recyclable: true, carriedBy: 3, again: false },
      { recyclable: true, carriedBy: 0, again: false },
    ];
    for (const { recyclable, carriedBy, again } of cases) {
      const replay = new ReplayBuffer(10);
      const slab = takeSlab(true);
      const segment = new Segment(slab.buffer, ROOM_BYTES, ROOM_BYTES + 5, 0, slab);
      replay.push(segment);
      segment.circuit = carriedBy;
      replay.free(5, recyclable, 4);
      const next = takeSlab(true);
      expect(next === slab, JSON.stringify({ recyclable, carriedBy })).to.equal(again);
    }
  });

  it('never gives memory of a cleared buffer back: its socket may hold it', () => {
    const replay = new ReplayBuffer(10);
    const slab = takeSlab(true);
    replay.push(new Segment(slab.buffer, ROOM_BYTES, ROOM_BYTES + 5, 0, slab));
    replay.clear();
    expect(slab.uses).to.equal(0);
    expect(takeSlab(true)).to.not.equal(slab);
  });
});
