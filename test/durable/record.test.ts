// The bytes of a record: what goes in comes back, and anything else is refused with ERR_STORE, whatever the bytes are.

import { expect } from 'chai';
import fc from 'fast-check';
import { CloseCode } from '../../lib/core/wire.ts';
import {
  decodeIdentity,
  decodeState,
  decodeTombstone,
  encodeIdentity,
  encodeState,
  encodeTombstone,
  KEYS_BYTES,
  type RecordIdentity,
  type RecordState,
  type RecordTombstone,
  snapshotOf,
} from '../../lib/durable/record.ts';
import { SessionError } from '../../lib/errors.ts';
import type { StoredRecord } from '../../lib/stores/store.ts';

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u64 = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));

const identities: fc.Arbitrary<RecordIdentity> = fc.record({
  id: fc.string(),
  keys: fc.uint8Array({ minLength: KEYS_BYTES, maxLength: KEYS_BYTES }).map((array) => Buffer.from(array)),
  bound: fc.boolean(),
  principal: fc.option(fc.string(), { nil: undefined }),
  framing: fc.string(),
  window: u32,
  peerWindow: u32,
  metadata: bytes,
  opened: fc.json(),
});

const states: fc.Arbitrary<RecordState> = fc.record({
  heartbeatMs: u32,
  holdMs: u32,
  peerLimit: u64,
  fin: fc.oneof(fc.constant(-1), u64),
  peerEnd: fc.oneof(fc.constant(-1), u64),
  finAcked: fc.boolean(),
  node: fc.integer({ min: 0, max: 255 }),
  data: fc.json(),
});

const tombstones: fc.Arbitrary<RecordTombstone> = fc.record({
  generation: u64,
  instance: u64,
  cause: fc.constantFrom(...Object.values(CloseCode)),
  finals: fc.record({ received: u64, acked: u64, limit: u64, base: u64, sent: u64 }),
  identity: identities,
});

function codeOf(read: () => unknown): string {
  try {
    read();
    return 'nothing thrown';
  } catch (error) {
    return SessionError.is(error) ? error.code : String(error);
  }
}

describe('records', () => {
  it('come back as they were', () => {
    const returns = <T>(values: fc.Arbitrary<T>, encode: (value: T) => Buffer, decode: (bytes: Buffer) => T): void =>
      fc.assert(
        fc.property(values, (value) => {
          expect(decode(encode(value))).to.deep.equal(value);
        }),
      );
    returns(identities, encodeIdentity, decodeIdentity);
    returns(states, encodeState, decodeState);
    returns(tombstones, encodeTombstone, decodeTombstone);
  });

  it('are refused where they are cut, of another format, or no record at all', () => {
    const identity = encodeIdentity(fc.sample(identities, 1)[0] as RecordIdentity);
    for (let length = 0; length < identity.length; length++)
      expect(codeOf(() => decodeIdentity(identity.subarray(0, length)))).to.equal('ERR_STORE');
    expect(codeOf(() => decodeIdentity(Buffer.concat([identity, Buffer.alloc(1)])))).to.equal('ERR_STORE');
    fc.assert(
      fc.property(bytes, fc.boolean(), (any, ours) => {
        if (ours && any.length > 0) any[0] = 1;
        for (const read of [decodeIdentity, decodeState, decodeTombstone])
          expect(codeOf(() => read(any))).to.be.oneOf(['ERR_STORE', 'nothing thrown']);
      }),
    );
    for (const read of [decodeIdentity, decodeState, decodeTombstone])
      expect(codeOf(() => read(Buffer.alloc(400, 2)))).to.equal('ERR_STORE');
  });

  it('make a snapshot only where their parts agree', () => {
    const identity = { ...(fc.sample(identities, 1)[0] as RecordIdentity), window: 65_536, peerWindow: 65_536 };
    const state: RecordState = { heartbeatMs: 1, holdMs: 1, peerLimit: 100, fin: -1, peerEnd: -1, finAcked: false, node: 0, data: '' };
    const numbers = { generation: 3, instance: 1, commit: 2, received: 8, base: 10, sent: 14 };
    const record: StoredRecord = { ...numbers, identity: Buffer.alloc(0), state: Buffer.alloc(0), outbox: Buffer.from('abcd') };
    const made = (changes: Partial<RecordState>, more: Partial<StoredRecord> = {}): string =>
      codeOf(() => snapshotOf({ ...record, ...more }, identity, { ...state, ...changes }));
    expect(made({})).to.equal('nothing thrown');
    expect(made({ fin: 14 }, { sent: 15 })).to.equal('nothing thrown');
    expect(made({ fin: 14, finAcked: true }, { sent: 15, base: 14, outbox: Buffer.alloc(0) })).to.equal('nothing thrown');
    expect(made({ peerEnd: 7 })).to.equal('nothing thrown');
    expect(made({}, { sent: 15 })).to.equal('ERR_STORE');
    expect(made({}, { outbox: Buffer.alloc(3) })).to.equal('ERR_STORE');
    expect(made({ fin: 14 })).to.equal('ERR_STORE');
    expect(made({ fin: 13 }, { sent: 14 })).to.equal('ERR_STORE');
    expect(made({ finAcked: true })).to.equal('ERR_STORE');
    expect(made({ fin: 14, finAcked: true }, { sent: 15 })).to.equal('ERR_STORE');
    expect(made({ peerEnd: 8 })).to.equal('ERR_STORE');
  });
});
