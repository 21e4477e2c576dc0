// What a session is in a store, as bytes and back: its identity (fixed), its state (one per write) and its tombstone. Pure, versioned;
// a reader refuses what it does not know. The numbers that a store compares and the outgoing bytes stand beside them.
import type { Positions } from '../core/handshake.ts';
import type { Snapshot } from '../core/snapshot.ts';
import { CloseCode, readU16, readU32, readU64, writeU16, writeU32, writeU64 } from '../core/wire.ts';
import { SessionError } from '../errors.ts';
import type { StoredHead, StoredRecord } from '../stores/store.ts';

const FORMAT = 1;
export const KEYS_BYTES = 64;

/** Who a session is and what was agreed on when it opened. */
export interface RecordIdentity {
  /** The session's public name. A client's record has a name of its own. */
  readonly id: string;
  /** Both MAC keys: whoever reads a store can take its sessions over. */
  readonly keys: Buffer;
  readonly bound: boolean;
  readonly principal: string | undefined;
  readonly framing: string;
  readonly window: number;
  readonly peerWindow: number;
  readonly metadata: Buffer;
  /** The circuit that opened it, as JSON. */
  readonly opened: string;
}

/** What changes from boundary to boundary beside the store's own numbers. */
export interface RecordState {
  readonly heartbeatMs: number;
  readonly holdMs: number;
  readonly peerLimit: number;
  /** Offsets of the two ENDs; -1 where there is none, or where the peer's was not consumed. */
  readonly fin: number;
  readonly peerEnd: number;
  readonly finAcked: boolean;
  /** Hint for load balancers on the next dial; 0: none. */
  readonly node: number;
  /** session.data as JSON; empty: undefined. */
  readonly data: string;
}

/** How a session ended, for a peer that was away. */
export interface RecordTombstone {
  readonly generation: number;
  readonly instance: number;
  readonly cause: CloseCode;
  readonly finals: Positions;
  readonly identity: RecordIdentity;
}

const IdentityFlag = { BOUND: 1, PRINCIPAL: 2 } as const;
const IDENTITY_HEADER_BYTES = 10 + KEYS_BYTES;

export function encodeIdentity(identity: RecordIdentity): Buffer {
  const { id, keys, bound, principal, framing, window, peerWindow, metadata, opened } = identity;
  const header = Buffer.alloc(IDENTITY_HEADER_BYTES);
  header[0] = FORMAT;
  header[1] = (bound ? IdentityFlag.BOUND : 0) | (principal === undefined ? 0 : IdentityFlag.PRINCIPAL);
  writeU32(header, 2, window);
  writeU32(header, 6, peerWindow);
  header.set(keys, 10);
  const parts = [Buffer.from(id), Buffer.from(framing), Buffer.from(principal ?? ''), metadata, Buffer.from(opened)];
  return Buffer.concat([header, ...parts.flatMap((part) => [lengthOf(part), part])]);
}

/** @throws SessionError ERR_STORE for bytes that are no identity of this format */
export function decodeIdentity(bytes: Buffer): RecordIdentity {
  if (bytes.length < IDENTITY_HEADER_BYTES || bytes[0] !== FORMAT) throw broken('identity', bytes);
  const flags = bytes[1] as number;
  let at = IDENTITY_HEADER_BYTES;
  const part = (): Buffer => {
    const end = at + 4 + (at + 4 <= bytes.length ? readU32(bytes, at) : bytes.length);
    if (end > bytes.length) throw broken('identity', bytes);
    const value = Buffer.from(bytes.subarray(at + 4, end));
    at = end;
    return value;
  };
  const [id, framing, principal] = [part().toString(), part().toString(), part().toString()];
  const [metadata, opened] = [part(), part().toString()];
  if (at !== bytes.length) throw broken('identity', bytes);
  return {
    id,
    keys: Buffer.from(bytes.subarray(10, IDENTITY_HEADER_BYTES)),
    bound: (flags & IdentityFlag.BOUND) !== 0,
    principal: (flags & IdentityFlag.PRINCIPAL) !== 0 ? principal : undefined,
    framing,
    window: readU32(bytes, 2),
    peerWindow: readU32(bytes, 6),
    metadata,
    opened,
  };
}

const StateFlag = { FIN: 1, PEER_END: 2, FIN_ACKED: 4 } as const;
const STATE_HEADER_BYTES = 35;

export function encodeState(state: RecordState): Buffer {
  const { heartbeatMs, holdMs, peerLimit, fin, peerEnd, finAcked, node, data } = state;
  const header = Buffer.alloc(STATE_HEADER_BYTES);
  header[0] = FORMAT;
  header[1] = (fin >= 0 ? StateFlag.FIN : 0) | (peerEnd >= 0 ? StateFlag.PEER_END : 0) | (finAcked ? StateFlag.FIN_ACKED : 0);
  header[2] = node;
  writeU32(header, 3, heartbeatMs);
  writeU32(header, 7, holdMs);
  writeU64(header, 11, peerLimit);
  writeU64(header, 19, Math.max(0, fin));
  writeU64(header, 27, Math.max(0, peerEnd));
  return Buffer.concat([header, Buffer.from(data)]);
}

/** @throws SessionError ERR_STORE for bytes that are no state of this format */
export function decodeState(bytes: Buffer): RecordState {
  if (bytes.length < STATE_HEADER_BYTES || bytes[0] !== FORMAT) throw broken('state', bytes);
  const flags = bytes[1] as number;
  return {
    node: bytes[2] as number,
    heartbeatMs: readU32(bytes, 3),
    holdMs: readU32(bytes, 7),
    peerLimit: readU64(bytes, 11),
    fin: (flags & StateFlag.FIN) !== 0 ? readU64(bytes, 19) : -1,
    peerEnd: (flags & StateFlag.PEER_END) !== 0 ? readU64(bytes, 27) : -1,
    finAcked: (flags & StateFlag.FIN_ACKED) !== 0,
    data: bytes.toString('utf8', STATE_HEADER_BYTES),
  };
}

const TOMBSTONE_HEADER_BYTES = 3 + 7 * 8;

export function encodeTombstone(tombstone: RecordTombstone): Buffer {
  const { generation, instance, cause, finals, identity } = tombstone;
  const header = Buffer.alloc(TOMBSTONE_HEADER_BYTES);
  header[0] = FORMAT;
  writeU16(header, 1, cause);
  const numbers = [generation, instance, finals.received, finals.acked, finals.limit, finals.base, finals.sent];
  for (const [i, number] of numbers.entries()) writeU64(header, 3 + 8 * i, number);
  return Buffer.concat([header, encodeIdentity(identity)]);
}

/** @throws SessionError ERR_STORE for bytes that are no tombstone of this format */
export function decodeTombstone(bytes: Buffer): RecordTombstone {
  const cause = bytes.length < TOMBSTONE_HEADER_BYTES ? -1 : readU16(bytes, 1);
  if (bytes[0] !== FORMAT || !closeCodes.has(cause)) throw broken('tombstone', bytes);
  const number = (i: number): number => readU64(bytes, 3 + 8 * i);
  return {
    generation: number(0),
    instance: number(1),
    cause: cause as CloseCode,
    finals: { received: number(2), acked: number(3), limit: number(4), base: number(5), sent: number(6) },
    identity: decodeIdentity(bytes.subarray(TOMBSTONE_HEADER_BYTES)),
  };
}

/** What a core is rebuilt from. @throws SessionError ERR_STORE where the parts of the record contradict each other */
export function snapshotOf(record: StoredRecord, identity: RecordIdentity, state: RecordState): Snapshot {
  const { generation, instance, received, base, sent, outbox } = record;
  const { heartbeatMs, holdMs, peerLimit, fin, peerEnd, finAcked } = state;
  const end = base + outbox.length;
  const outputs = fin < 0 ? sent === end && !finAcked : fin === end && sent === end + 1 && (!finAcked || base === end);
  if (!outputs || (peerEnd >= 0 && received !== peerEnd + 1)) throw contradicting(record, fin, peerEnd);
  const { window, peerWindow } = identity;
  const terms = { window, peerWindow, heartbeatMs, holdMs };
  return { ...terms, acked: received, peerLimit, base, sent, generation, instance, fin, peerEnd, finAcked, bytes: outbox };
}

const closeCodes: ReadonlySet<number> = new Set(Object.values(CloseCode));

function lengthOf(part: Buffer): Buffer {
  const length = Buffer.alloc(4);
  writeU32(length, 0, part.length);
  return length;
}

function broken(what: string, bytes: Buffer): SessionError {
  return new SessionError('ERR_STORE', `a ${what} of format ${bytes[0]} and ${bytes.length} bytes, which this version cannot read`);
}

function contradicting(head: StoredHead, fin: number, peerEnd: number): SessionError {
  const { received, base, sent } = head;
  return new SessionError('ERR_STORE', `a record that contradicts itself: ${received}, ${base}, ${sent}, ENDs at ${fin} and ${peerEnd}`);
}
