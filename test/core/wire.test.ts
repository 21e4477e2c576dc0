// Pins every number of the wire: a changed constant is a changed protocol, and must be changed in PROTOCOL.md and here as well.

import { expect } from 'chai';
import fc from 'fast-check';
import * as wire from '../../lib/core/wire.ts';

const offsets = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 1, 0xffff_ffff, 0x1_0000_0000, Number.MAX_SAFE_INTEGER));

describe('wire', () => {
  it('keeps every number of the handshake', () => {
    expect(wire.MAGIC).to.deep.equal([0x8f, 0x4f, 0x54, 0x4c]);
    expect(wire.VERSION).to.equal(1);
    expect(wire.FLIGHT_HEADER_BYTES).to.equal(26);
    expect(wire.FlightAt).to.deep.equal({ VERSION: 4, KIND: 5, NODE: 6, SESSION_ID: 8, BODY_LENGTH: 24 });
    expect(wire.TLV_HEADER_BYTES).to.equal(3);
    expect(wire.MAX_FLIGHT_BODY_BYTES).to.equal(8192);
    expect(wire.SESSION_ID_BYTES).to.equal(16);
    expect(wire.NONCE_BYTES).to.equal(16);
    expect(wire.CHALLENGE_BYTES).to.equal(32);
    expect(wire.PUBLIC_KEY_BYTES).to.equal(32);
    expect(wire.MAC_BYTES).to.equal(16);
    expect(wire.POSITIONS_BYTES).to.equal(40);
    expect(wire.MAX_FRAMING_NAME_BYTES).to.equal(64);
    expect(wire.MAX_REASON_BYTES).to.equal(256);
    expect(wire.MAX_VERSIONS).to.equal(16);
    expect(wire.MAX_INLINE_TICKET_BYTES).to.equal(6_144);
    expect(wire.MAX_TICKET_BYTES).to.equal(73_728);
    expect(wire.TICKET_HEADER_BYTES).to.equal(8);
    expect(wire.TICKET_NOTICE_BYTES).to.equal(36);
    expect(wire.MAX_EARLY_DATA_BYTES).to.equal(14_336);
    expect(wire.FIRST_IGNORABLE_TAG).to.equal(0x80);
    expect(wire.Kind).to.deep.equal({ OPEN: 0x01, RESUME: 0x02, OPENED: 0x81, RESUMED: 0x82, CHALLENGE: 0x83, REJECTED: 0x8f });
    expect(wire.Tag).to.deep.equal({
      NONCE: 0x01,
      KEY_METHODS: 0x02,
      PUBLIC_KEY: 0x03,
      FRAMING: 0x04,
      WINDOW: 0x05,
      HEARTBEAT: 0x06,
      HOLD: 0x07,
      CREDENTIALS: 0x08,
      METADATA: 0x09,
      MAX_VERSION: 0x0a,
      GENERATION: 0x0b,
      INSTANCE: 0x0c,
      POSITIONS: 0x0d,
      TICKET: 0x0e,
      CODE: 0x0f,
      RETRY_AFTER: 0x10,
      VERSIONS: 0x11,
      CAUSE: 0x12,
      REASON: 0x13,
      TICKET_FOLLOWS: 0x14,
      MAC: 0x7f,
      TICKETS: 0xa0,
      ADDRESS: 0xa1,
    });
    expect(wire.KeyMethod).to.deep.equal({ EXPORTER: 1, X25519: 2, PSK: 4 });
    expect(wire.RejectCode).to.deep.equal({
      BUSY: 1,
      DRAINING: 2,
      RETRY_LATER: 3,
      VERSION: 4,
      DOWNGRADE: 5,
      FRAMING: 6,
      KEY_METHOD: 7,
      UNSUPPORTED: 8,
      AUTH: 9,
      UNKNOWN: 10,
      CLOSED: 11,
      EXPIRED: 12,
      STATE_LOST: 13,
      STALE_GENERATION: 14,
      TAKEN_OVER: 15,
    });
  });

  it('keeps every number of the frames', () => {
    expect(wire.FRAME_HEADER_BYTES).to.equal(4);
    expect(wire.DATA_HEADER_BYTES).to.equal(12);
    expect(wire.MAX_DATA_BYTES).to.equal(131_072);
    expect(wire.MAX_CONTROL_BYTES).to.equal(1024);
    expect(wire.ACK_FRAME_BYTES).to.equal(20);
    expect(wire.FIRST_IGNORABLE_FRAME).to.equal(0x80);
    expect(wire.Frame).to.deep.equal({
      DATA: 0x01,
      ACK: 0x02,
      END: 0x03,
      SYNC: 0x04,
      PING: 0x05,
      PONG: 0x06,
      DRAIN: 0x07,
      CLOSE: 0x08,
      SUPERSEDED: 0x09,
      PROOF: 0x0a,
      CONFIRM: 0x0b,
      TICKET: 0x0c,
      DISCARD: 0x0d,
    });
    expect(wire.CloseCode).to.deep.equal({
      CLEAN: 0,
      APPLICATION: 1,
      FRAMING: 2,
      UNREAD: 3,
      DUPLICATE: 4,
      REPLACED: 5,
      SHUTDOWN: 6,
      DESTROYED: 7,
      PROTOCOL: 8,
      MEMORY_BUDGET: 9,
      EXPIRED: 10,
      TIMEOUT: 11,
    });
    expect(wire.DrainFlag).to.deep.equal({ FINISH: 0, MOVE: 1 });
  });

  it('writes integers big-endian, as Buffer does', () => {
    fc.assert(
      fc.property(offsets, fc.nat({ max: 0xffff_ffff }), fc.nat({ max: 0xffff }), (u64, u32, u16) => {
        const ours = Buffer.alloc(16, 0xaa);
        wire.writeU64(ours, 1, u64);
        wire.writeU32(ours, 9, u32);
        wire.writeU16(ours, 13, u16);
        const theirs = Buffer.alloc(16, 0xaa);
        theirs.writeBigUInt64BE(BigInt(u64), 1);
        theirs.writeUInt32BE(u32, 9);
        theirs.writeUInt16BE(u16, 13);
        expect(ours.equals(theirs)).to.equal(true);
        expect([wire.readU64(ours, 1), wire.readU32(ours, 9), wire.readU16(ours, 13)]).to.deep.equal([u64, u32, u16]);
      }),
    );
  });

  it('refuses a u64 above 2^53-1', () => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(2n ** 53n - 1n);
    expect(wire.readU64(bytes, 0)).to.equal(Number.MAX_SAFE_INTEGER);
    for (const above of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
      bytes.writeBigUInt64BE(above);
      expect(wire.readU64(bytes, 0)).to.equal(-1);
    }
  });

  it('writes each frame in place and returns the index behind it', () => {
    const written = (put: (out: Buffer) => number): string => {
      const out = Buffer.alloc(64, 0xee);
      const end = put(out);
      expect(out.subarray(end).every((byte) => byte === 0xee)).to.equal(true);
      return out.toString('hex', 0, end);
    };
    expect(written((out) => wire.putDataHeader(out, 0, 0x0102030405, 0x01fff8))).to.equal('010200000000000102030405');
    expect(written((out) => wire.putAck(out, 0, 5, 0x1_0000_0005))).to.equal('0200001000000000000000050000000100000005');
    expect(written((out) => wire.putU64Frame(out, 0, wire.Frame.END, 7))).to.equal('030000080000000000000007');
    expect(written((out) => wire.putBytesFrame(out, 0, wire.Frame.PING, Buffer.from('0011223344556677', 'hex')))).to.equal(
      '050000080011223344556677',
    );
    expect(written((out) => wire.putFrameHeader(out, 0, wire.Frame.CLOSE, 0xabcdef))).to.equal('08abcdef');
  });

  it('writes a frame at any index', () => {
    const out = Buffer.alloc(23);
    expect(wire.putAck(out, 3, 1, 2)).to.equal(23);
    expect(out.toString('hex')).to.equal('0000000200001000000000000000010000000000000002');
  });
});
