// Egress against concatenation: whatever is written, in whatever way, is what the replay holds.
import { expect } from 'chai';
import fc from 'fast-check';
import { Egress, LEND_MIN_BYTES } from '../../lib/core/egress.ts';
import type { Segment } from '../../lib/core/replay.ts';
import { LARGE_SLAB_BYTES, ROOM_BYTES, SMALL_SLAB_BYTES } from '../../lib/core/slab.ts';
import { MAX_RESERVE } from '../../lib/framing/framing.ts';

type Step =
  | { readonly kind: 'byte' | 'seal' | 'rest' }
  | { readonly kind: 'copy' | 'payload' | 'lend' | 'text' | 'reserve'; readonly bytes: number }
  | { readonly kind: 'truncate' | 'free'; readonly share: number };

const sizes = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.constantFrom(
    MAX_RESERVE - 1,
    MAX_RESERVE,
    MAX_RESERVE + 1,
    LEND_MIN_BYTES,
    LEND_MIN_BYTES + 1,
    SMALL_SLAB_BYTES,
    65_535,
    65_536,
    65_537,
  ),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('byte' as const, 'seal' as const, 'seal' as const, 'rest' as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('copy' as const, 'payload' as const, 'lend' as const, 'text' as const, 'reserve' as const),
      bytes: sizes,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('truncate' as const, 'free' as const),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
);

let seed = 1;
function someBytes(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) {
    seed = (seed * 75 + 74) % 65_537;
    bytes[i] = seed & 0x7f;
  }
  return bytes;
}

function write(egress: Egress, kind: string, bytes: Buffer): void {
  if (kind === 'byte') egress.byte(bytes[0] as number);
  else if (kind === 'copy') egress.copy(Buffer.concat([Buffer.from([1]), bytes, Buffer.from([2])]), 1, 1 + bytes.length);
  else if (kind === 'text') egress.text(bytes.toString('latin1'), 'latin1', bytes.length);
  else if (kind === 'payload' || kind === 'lend') {
    egress.lending = kind === 'lend';
    egress.payload(bytes);
  } else {
    egress.reserve(bytes.length);
    egress.buffer.set(bytes, egress.position);
    egress.position += bytes.length;
  }
}

function segmentsOf(egress: Egress): Segment[] {
  egress.seal();
  const { replay } = egress;
  const found: Segment[] = [];
  for (let at = replay.base; at < replay.end; ) {
    const segment = replay.find(at) as Segment;
    found.push(segment);
    at = segment.offset + (segment.end - segment.start);
  }
  return found;
}

describe('egress', () => {
  it('holds what was written, and leaves room for headers in front of every region', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 2, max: 40 }), (steps, segmentsMax) => {
        const egress = new Egress(segmentsMax);
        let base = 0;
        let model = Buffer.alloc(0);
        for (const step of steps) {
          if (step.kind === 'seal') egress.seal();
          else if (step.kind === 'rest') {
            // Allowed at any time: it does nothing while something is open.
            egress.rest(false);
          } else if (step.kind === 'truncate') {
            const cut = Math.floor(step.share * model.length);
            egress.truncate(base + cut);
            model = model.subarray(0, cut);
          } else if (step.kind === 'free') {
            const cut = Math.floor(step.share * model.length);
            egress.seal();
            egress.replay.free(base + cut, false, 1);
            base += cut;
            model = model.subarray(cut);
          } else {
            const wanted = 'bytes' in step ? step.bytes : 1;
            const bytes = someBytes(step.kind === 'reserve' ? Math.min(wanted, MAX_RESERVE) : wanted);
            write(egress, step.kind, bytes);
            model = Buffer.concat([model, bytes]);
          }
          expect(egress.end).to.equal(base + model.length);
        }
        // A header written into the room of one segment must not hurt another one.
        for (const { slab, buffer, start } of segmentsOf(egress)) if (slab !== null) buffer.fill(0xee, start - ROOM_BYTES, start);
        expect(egress.replay.slice(base, egress.end).equals(model)).to.equal(true);
      }),
      { numRuns: 200 },
    );
  });

  it('copies lent payloads up to 4 KiB and refers to larger ones', () => {
    for (const [bytes, byReference] of [
      [LEND_MIN_BYTES, false],
      [LEND_MIN_BYTES + 1, true],
    ] as const) {
      const egress = new Egress(100);
      const payload = Buffer.alloc(bytes, 1);
      write(egress, 'lend', payload);
      egress.seal();
      payload.fill(2);
      expect(egress.replay.slice(0, 1)[0], String(bytes)).to.equal(byReference ? 2 : 1);
    }
  });

  it('copies payloads that are not lent, whatever their size', () => {
    const egress = new Egress(100);
    const payload = Buffer.alloc(200_000, 1);
    write(egress, 'payload', payload);
    egress.seal();
    payload.fill(2);
    expect(egress.replay.slice(0, 200_000).every((byte) => byte === 1)).to.equal(true);
  });

  it('refers to the lent bytes only, when they are a view of something larger', () => {
    const egress = new Egress(100);
    const whole = Buffer.alloc(20_000, 7);
    whole.fill(8, 5000, 15_000);
    write(egress, 'lend', whole.subarray(5000, 15_000));
    write(egress, 'byte', Buffer.from([9]));
    egress.seal();
    expect([...new Set(egress.replay.slice(0, 10_000))]).to.deep.equal([8]);
    expect(egress.replay.slice(10_000, 10_001)[0]).to.equal(9);
  });

  it('begins with a small slab and goes on with large ones', () => {
    const egress = new Egress(100);
    write(egress, 'byte', Buffer.from([1]));
    expect(egress.buffer.length).to.equal(SMALL_SLAB_BYTES);
    write(egress, 'copy', someBytes(SMALL_SLAB_BYTES));
    expect(egress.buffer.length).to.equal(LARGE_SLAB_BYTES);
  });

  it('owns no slab once all is acked, and then one for as much as was written before', () => {
    const egress = new Egress(100);
    egress.begin(1_000_000);
    const [few, many] = [1, 2 * SMALL_SLAB_BYTES];
    const slabs = [few, few, many, many, few, few].map((bytes) => {
      write(egress, 'byte', Buffer.from([1]));
      const slab = egress.buffer.length;
      write(egress, 'copy', someBytes(bytes));
      egress.seal();
      egress.replay.free(egress.end, true, 0);
      egress.rest(true);
      expect([egress.buffer.length, egress.replay.segments]).to.deep.equal([0, 0]);
      return slab;
    });
    const [small, large] = [SMALL_SLAB_BYTES, LARGE_SLAB_BYTES];
    expect(slabs).to.deep.equal([small, small, small, large, large, small]);
    expect(egress.end).to.equal(1_000_000 + 4 * few + 2 * many + slabs.length);
  });

  it('does not rest while something is open', () => {
    const egress = new Egress(100);
    write(egress, 'byte', Buffer.from([5]));
    egress.rest(true);
    egress.seal();
    expect(egress.replay.slice(0, 1)[0]).to.equal(5);
  });

  it('drops all bytes and keeps its place', () => {
    const egress = new Egress(100);
    write(egress, 'copy', someBytes(5000));
    egress.clear();
    expect([egress.end, egress.replay.base, egress.replay.segments, egress.buffer.length]).to.deep.equal([5000, 5000, 0, 0]);
    write(egress, 'byte', Buffer.from([5]));
    egress.seal();
    expect(egress.replay.slice(5000, 5001)[0]).to.equal(5);
  });

  it('never writes into memory that a sealed region shares', () => {
    const egress = new Egress(100);
    write(egress, 'copy', someBytes(100));
    egress.seal();
    const before = egress.replay.slice(0, 100);
    for (let i = 0; i < 50; i++) write(egress, 'copy', Buffer.alloc(77, 0xaa));
    expect(egress.replay.slice(0, 100).equals(before)).to.equal(true);
  });
});
