// The simulator's own eyes: in whatever pieces bytes come, the same flights and frames are found in them.

import { expect } from 'chai';
import { encodeRejected } from '../../lib/core/handshake.ts';
import { Frame, Kind, putAck, putDataHeader, putU64Frame, RejectCode } from '../../lib/core/wire.ts';
import { Scanner, type Unit } from './scanner.ts';

function stream(): Buffer {
  const rejected = encodeRejected(
    {
      sessionId: Buffer.alloc(16, 1),
      code: RejectCode.BUSY,
      retryAfterMs: 5,
      versions: [],
      positions: undefined,
      generation: undefined,
      cause: undefined,
      reason: '',
    },
    false,
  );
  const frames = Buffer.alloc(20 + 12 + 100 + 12);
  let at = putAck(frames, 0, 1, 2);
  at = putDataHeader(frames, at, 7, 96);
  putU64Frame(frames, 20 + 12 + 96, Frame.END, 103);
  expect(at).to.equal(20 + 12);
  return Buffer.concat([rejected, frames.subarray(0, 20 + 12 + 96 + 12)]);
}

function scan(bytes: Buffer, pieceBytes: number): Unit[] {
  const units: Unit[] = [];
  const scanner = new Scanner((unit) => units.push(unit));
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const piece = Buffer.from(bytes.subarray(at, at + pieceBytes));
    scanner.push(piece);
    // Writers use their memory again.
    piece.fill(0xee);
  }
  return units;
}

describe('Scanner', () => {
  it('finds flights and frames, whatever the pieces', () => {
    const bytes = stream();
    const whole = scan(bytes, bytes.length);
    expect(whole.map(({ flight, type }) => [flight, type])).to.deep.equal([
      [true, Kind.REJECTED],
      [false, Frame.ACK],
      [false, Frame.DATA],
      [false, Frame.END],
    ]);
    let at = 0;
    for (const { start, length } of whole) {
      expect(start).to.equal(at);
      at += length;
    }
    expect(at).to.equal(bytes.length);
    for (let pieceBytes = 1; pieceBytes < bytes.length; pieceBytes++)
      expect(scan(bytes, pieceBytes), `pieces of ${pieceBytes}`).to.deep.equal(whole);
  });

  it('says nothing of another protocol', () => {
    expect(scan(Buffer.from([0x8f, 1, 2, 3, ...Buffer.alloc(40)]), 7)).to.deep.equal([]);
  });
});
