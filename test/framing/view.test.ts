// view(): a Buffer like any other, whatever memory the last ones were in.
import { expect } from 'chai';
import { view } from '../../lib/framing/internal/view.ts';

describe('view of a message', () => {
  it('is what subarray() gives, from pools and memory of their own in turn', () => {
    const pooled = Buffer.from('a pool has others before this text');
    const alone = Buffer.allocUnsafeSlow(64).fill('another memory ');
    const shared = Buffer.from(new SharedArrayBuffer(48), 16, 32).fill('shared ');
    for (const buffer of [pooled, alone, shared, alone, pooled, pooled.subarray(3), shared]) {
      for (const [start, end] of [[0, buffer.length] as const, [0, 0] as const, [3, 9] as const, [buffer.length, buffer.length] as const]) {
        const made = view(buffer, start, end);
        expect(made).to.deep.equal(buffer.subarray(start, end));
        expect(Object.getPrototypeOf(made)).to.equal(Buffer.prototype);
        expect([made.buffer, made.byteOffset]).to.deep.equal([buffer.buffer, buffer.byteOffset + start]);
      }
    }
  });

  it('shows what is written to the memory later', () => {
    const buffer = Buffer.from('0123456789');
    const made = view(buffer, 2, 5);
    buffer[2] = 0x78;
    expect(made.toString()).to.equal('x34');
  });
});
