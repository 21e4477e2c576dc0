// FrameReader: every type with every interesting length, whole and byte by byte, against a table of the rules.
import { expect } from 'chai';
import fc from 'fast-check';
import { FRAMES_PER_TURN, FrameReader, type FrameSink } from '../../lib/core/frame-reader.ts';
import { data, frame, u64 } from '../support/cores.ts';

class Recorder implements FrameSink {
  readonly reader: FrameReader = new FrameReader(this);
  readonly controls: string[] = [];
  stream: Buffer = Buffer.alloc(0);
  next = -1;
  fault = '';
  stopAtType = -1;

  onData(bytes: Buffer, start: number, end: number, offset: number): void {
    if (this.next >= 0 && offset !== this.next) throw new Error(`DATA goes on at ${offset} and not at ${this.next}`);
    this.next = offset + (end - start);
    this.stream = Buffer.concat([this.stream, bytes.subarray(start, end)]);
  }

  onControl(type: number, bytes: Buffer, start: number, length: number): void {
    this.controls.push(`${type}:${bytes.toString('hex', start, start + length)}`);
    if (type === this.stopAtType) this.reader.stop();
  }

  onFault(rule: string): void {
    if (this.fault !== '') throw new Error('a second fault');
    this.fault = rule;
  }

  /** Gives `bytes` in chunks of one size, each with something in front. */
  give(bytes: Buffer, size: number): this {
    for (let at = 0; at < bytes.length; at += size) {
      const chunk = Buffer.concat([Buffer.from([0xff, 0xff, 0xff]), bytes.subarray(at, at + size)]);
      for (let from = 3; from < chunk.length; ) from = this.reader.read(chunk, from, chunk.length);
    }
    return this;
  }
}

function header(type: number, length: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt8(type, 0);
  out.writeUIntBE(length, 1, 3);
  return out;
}

/** The rule that a header of this type and length breaks. */
function ruleFor(type: number, length: number): string {
  if (type === 0x01) return length < 9 || length > 131_080 ? 'F-3' : '';
  if (length > 1024) return 'F-2';
  return type === 0x00 || type === 0x0c || (type > 0x0d && type < 0x80) ? 'F-4' : '';
}

const LENGTHS = [0, 1, 7, 8, 9, 16, 1023, 1024, 1025, 131_080, 131_081, 0xff_ffff];

describe('frame reader', () => {
  for (const size of [1, 5, 10_000]) {
    it(`judges every type with every length, in chunks of ${size}`, () => {
      for (let type = 0; type < 256; type++) {
        for (const length of LENGTHS) {
          const rule = ruleFor(type, length);
          const recorder = new Recorder().give(header(type, length), size);
          const where = `type ${type}, length ${length}`;
          if (rule !== '') expect(recorder.fault.slice(0, 3), where).to.equal(rule);
          else if (length > 0 || type === 0x01) expect([recorder.fault, recorder.controls.length], where).to.deep.equal(['', 0]);
          else expect([recorder.fault, recorder.controls], where).to.deep.equal(['', [`${type}:`]]);
        }
      }
    });

    it(`hands over every body that is allowed, in chunks of ${size}`, () => {
      for (const length of [0, 1, 8, 16, 1024]) {
        const body = Buffer.alloc(length, 0x5a);
        for (const type of [0x02, 0x03, 0x08, 0x0b, 0x80, 0xff]) {
          const recorder = new Recorder().give(Buffer.concat([frame(type, body), frame(0x06, u64(7))]), size);
          expect(recorder.controls).to.deep.equal([`${type}:${body.toString('hex')}`, '6:0000000000000007']);
        }
      }
    });
  }

  it('takes offsets up to 2^53-1', () => {
    const offsets: [bigint, boolean][] = [
      [0n, true],
      [0xffff_ffffn, true],
      [0x1_0000_0000n, true],
      [2n ** 53n - 1n, true],
      [2n ** 53n, false],
      [2n ** 63n, false],
      [2n ** 64n - 1n, false],
    ];
    for (const [offset, good] of offsets) {
      for (const size of [1, 100]) {
        const recorder = new Recorder().give(data(offset, 'x'), size);
        expect(recorder.fault.slice(0, 3), String(offset)).to.equal(good ? '' : 'F-1');
        expect(recorder.stream.toString()).to.equal(good ? 'x' : '');
      }
    }
  });

  it('passes the largest DATA on without keeping it', () => {
    const body = Buffer.alloc(131_072, 0x61);
    const recorder = new Recorder().give(data(5, body), 7777);
    expect([recorder.stream.equals(body), recorder.next, recorder.fault]).to.deep.equal([true, 5 + 131_072, '']);
  });

  it('reads any frames from any chunks', () => {
    const piece = fc.oneof(
      fc.record({ type: fc.constant(0x01), body: fc.uint8Array({ minLength: 1, maxLength: 600 }) }),
      fc.record({ type: fc.constantFrom(0x02, 0x05, 0x08, 0x80, 0xfe), body: fc.uint8Array({ maxLength: 40 }) }),
    );
    const cuts = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), cuts, (pieces, cuts) => {
        let offset = 0;
        const stream: Uint8Array[] = [];
        const controls: string[] = [];
        const bytes = Buffer.concat(
          pieces.map(({ type, body }) => {
            if (type !== 0x01) {
              controls.push(`${type}:${Buffer.from(body).toString('hex')}`);
              return frame(type, body);
            }
            stream.push(body);
            offset += body.length;
            return data(offset - body.length, body);
          }),
        );
        const recorder = new Recorder();
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = cuts[i % cuts.length] as number;
          recorder.give(bytes.subarray(at, at + size), size);
          at += size;
        }
        expect([recorder.fault, recorder.controls]).to.deep.equal(['', controls]);
        expect(recorder.stream.equals(Buffer.concat(stream))).to.equal(true);
      }),
    );
  });

  it('gives others a turn after so many frames, and goes on where it stood', () => {
    const bytes = Buffer.concat(Array.from({ length: 2 * FRAMES_PER_TURN + 1 }, (_, i) => frame(0x05, u64(i))));
    const recorder = new Recorder();
    const reached: number[] = [];
    for (let at = 0; at < bytes.length; reached.push(at)) at = recorder.reader.read(bytes, at, bytes.length);
    expect(reached).to.deep.equal([FRAMES_PER_TURN * 12, 2 * FRAMES_PER_TURN * 12, bytes.length]);
    expect(recorder.controls.length).to.equal(2 * FRAMES_PER_TURN + 1);
  });

  it('says nothing more once it was stopped or has found a fault', () => {
    for (const size of [1, 1000]) {
      const stopped = new Recorder();
      stopped.stopAtType = 0x08;
      stopped.give(
        Buffer.concat([frame(0x05, u64(1)), frame(0x08, Buffer.alloc(2)), frame(0x05, u64(2)), data(0, 'x'), frame(0x00)]),
        size,
      );
      expect([stopped.controls.length, stopped.stream.length, stopped.fault]).to.deep.equal([2, 0, '']);
      const faulty = new Recorder().give(Buffer.concat([frame(0x00), frame(0x05, u64(2)), frame(0x00)]), size);
      expect([faulty.controls.length, faulty.fault.slice(0, 3)]).to.deep.equal([0, 'F-4']);
    }
  });
});
