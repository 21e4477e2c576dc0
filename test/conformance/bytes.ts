// The wire by hand: flights and frames of PROTOCOL.md as plain bytes, right or wrong. Shares no code with lib, so that a mistake there is
// not repeated here. Fields in, bytes out; and bytes of an accepting side in, checked against every rule of form, records out.

export const Kind = { OPEN: 0x01, RESUME: 0x02, OPENED: 0x81, RESUMED: 0x82, CHALLENGE: 0x83, REJECTED: 0x8f } as const;
export const Tag = {
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
} as const;
export const Type = {
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
} as const;
export const Reject = {
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
} as const;

export const HEADER_BYTES = 26;
export const MAC_BYTES = 16;
export const BODY_BYTES = 8192;
export const EARLY_BYTES = 14_336;
/** 2^53: the first number that no field may hold. */
export const TOO_HIGH: bigint = 1n << 53n;

/** What an implementation did against PROTOCOL.md. */
export class Failure extends Error {}

export type Tlv = readonly [tag: number, value: Uint8Array];
/** A TLV, or bytes that are none. */
export type Part = Tlv | Buffer;

export interface Header {
  readonly magic?: Buffer;
  readonly version?: number;
  readonly node?: number;
  readonly reserved?: number;
  readonly sessionId?: Buffer;
  /** What the length field says, where it is not the truth. */
  readonly length?: number;
}

export interface Positions {
  readonly received: number;
  readonly acked: number;
  readonly limit: number;
  readonly base: number;
  readonly sent: number;
}

export interface Reply {
  readonly kind: number;
  readonly bytes: Buffer;
  readonly node: number;
  readonly sessionId: Buffer;
  readonly fields: ReadonlyMap<number, Buffer>;
}

export interface Frame {
  readonly type: number;
  readonly body: Buffer;
}

// -- writing

export function uint(bytes: 1 | 2 | 3 | 4, value: number): Buffer {
  const out = Buffer.alloc(bytes);
  out.writeUIntBE(value, 0, bytes);
  return out;
}

export function u64(value: number | bigint): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt(value));
  return out;
}

export function tlv(part: Part): Buffer {
  if (Buffer.isBuffer(part)) return part;
  const [tag, value] = part;
  return Buffer.concat([uint(1, tag), uint(2, value.length), value]);
}

export function flight(kind: number, body: readonly Part[] | Buffer, header: Header = {}): Buffer {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.concat(body.map(tlv));
  const { magic = MAGIC, version = 1, node = 0, reserved = 0, sessionId = NO_SESSION, length = bytes.length } = header;
  return Buffer.concat([magic, Buffer.of(version, kind, node, reserved), sessionId, uint(2, length), bytes]);
}

export function positionBytes(p: Positions | readonly (number | bigint)[]): Buffer {
  const values = Array.isArray(p) ? (p as (number | bigint)[]) : positionList(p as Positions);
  return Buffer.concat(values.map(u64));
}

export function positionList({ received, acked, limit, base, sent }: Positions): number[] {
  return [received, acked, limit, base, sent];
}

export function frame(type: number, ...body: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat(body);
  return Buffer.concat([uint(1, type), uint(3, bytes.length), bytes]);
}

/** A header that promises more than follows. */
export function frameHeader(type: number, length: number): Buffer {
  return Buffer.concat([uint(1, type), uint(3, length)]);
}

export function data(offset: number | bigint, bytes: Uint8Array): Buffer {
  return frame(Type.DATA, u64(offset), bytes);
}

export function ack(acked: number | bigint, limit: number | bigint): Buffer {
  return frame(Type.ACK, u64(acked), u64(limit));
}

export function end(offset: number | bigint): Buffer {
  return frame(Type.END, u64(offset));
}

export function sync(offset: number | bigint): Buffer {
  return frame(Type.SYNC, u64(offset));
}

export function ping(token: string): Buffer {
  return frame(Type.PING, Buffer.from(token.padEnd(8, '.').slice(0, 8)));
}

export function close(code: number, detail: Uint8Array = EMPTY): Buffer {
  return frame(Type.CLOSE, uint(2, code), detail);
}

/** One message of the framing length-prefix/4/big. */
export function message(payload: string | Buffer): Buffer {
  const bytes = Buffer.from(payload as string);
  return Buffer.concat([uint(4, bytes.length), bytes]);
}

// -- reading what an accepting side wrote

interface Layout {
  readonly must: readonly number[];
  readonly may: readonly number[];
}

const layouts: Readonly<Record<number, Layout>> = {
  [Kind.OPENED]: { must: [Tag.NONCE, Tag.KEY_METHODS, Tag.WINDOW, Tag.HEARTBEAT, Tag.HOLD, Tag.MAC], may: [Tag.PUBLIC_KEY] },
  [Kind.RESUMED]: { must: [Tag.NONCE, Tag.HEARTBEAT, Tag.HOLD, Tag.GENERATION, Tag.POSITIONS, Tag.MAC], may: [] },
  [Kind.CHALLENGE]: { must: [Tag.NONCE], may: [] },
  [Kind.REJECTED]: {
    must: [Tag.CODE],
    may: [Tag.GENERATION, Tag.POSITIONS, Tag.RETRY_AFTER, Tag.VERSIONS, Tag.CAUSE, Tag.REASON, Tag.MAC],
  },
};

/** Least and most bytes of a value. */
const lengths: Readonly<Record<number, readonly [number, number]>> = {
  [Tag.NONCE]: [16, 16],
  [Tag.KEY_METHODS]: [1, 1],
  [Tag.PUBLIC_KEY]: [32, 32],
  [Tag.WINDOW]: [4, 4],
  [Tag.HEARTBEAT]: [4, 4],
  [Tag.HOLD]: [4, 4],
  [Tag.GENERATION]: [8, 8],
  [Tag.POSITIONS]: [40, 40],
  [Tag.CODE]: [2, 2],
  [Tag.RETRY_AFTER]: [4, 4],
  [Tag.VERSIONS]: [1, 16],
  [Tag.CAUSE]: [2, 2],
  [Tag.REASON]: [0, 256],
  [Tag.MAC]: [16, 16],
};

/** Length of the flight at the front of `bytes`, 0 while too few are there. @throws Failure as soon as the header is wrong */
export function flightLength(bytes: Buffer): number {
  const start = bytes.subarray(0, MAGIC.length);
  if (!MAGIC.subarray(0, start.length).equals(start)) throw new Failure(`answered with ${start.toString('hex')}, which is no flight (T-3)`);
  if (bytes.length < HEADER_BYTES) return 0;
  const length = bytes.readUInt16BE(24);
  if (length > BODY_BYTES) throw new Failure(`answered with a body of ${length} bytes (H-5)`);
  return bytes.length >= HEADER_BYTES + length ? HEADER_BYTES + length : 0;
}

/** Reads one whole flight of the accepting side. @throws Failure where it breaks a rule of form */
export function readFlight(bytes: Buffer): Reply {
  const kind = bytes[5] as number;
  const layout = layouts[kind];
  if (bytes[4] !== 1) throw new Failure(`answered in version ${bytes[4]} (V-3)`);
  if (layout === undefined) throw new Failure(`answered with a flight of kind ${kind} (H-4)`);
  if (bytes[7] !== 0) throw new Failure('the reserved byte is not 0 (§3.1)');
  const sessionId = Buffer.from(bytes.subarray(8, 24));
  if (kind !== Kind.REJECTED && sessionId.equals(NO_SESSION)) throw new Failure(`session id zero in kind ${kind} (H-6)`);
  const fields = readFields(bytes, kind, layout);
  const reply = { kind, bytes, node: bytes[6] as number, sessionId, fields };
  checkValues(reply);
  return reply;
}

function readFields(bytes: Buffer, kind: number, { must, may }: Layout): Map<number, Buffer> {
  const fields = new Map<number, Buffer>();
  let last = -1;
  for (let at = HEADER_BYTES; at < bytes.length; ) {
    const tag = bytes[at] as number;
    if (at + 3 > bytes.length) throw new Failure('a TLV is cut (H-7)');
    const stop = at + 3 + bytes.readUInt16BE(at + 1);
    if (stop > bytes.length) throw new Failure('a TLV reaches beyond the body (H-7)');
    if (last === Tag.MAC) throw new Failure('bytes stand behind the MAC (H-9)');
    if (tag !== Tag.MAC && tag <= last) throw new Failure(`tag ${tag} behind ${last} (H-8)`);
    if (tag < 0x80) {
      if (!must.includes(tag) && !may.includes(tag)) throw new Failure(`tag ${tag} in a flight of kind ${kind} (H-10)`);
      const [least, most] = kind === Kind.CHALLENGE ? [32, 32] : (lengths[tag] as readonly [number, number]);
      const length = stop - at - 3;
      if (length < least || length > most) throw new Failure(`tag ${tag} with ${length} bytes (H-11)`);
      fields.set(tag, Buffer.from(bytes.subarray(at + 3, stop)));
    }
    last = tag;
    at = stop;
  }
  for (const tag of must) if (!fields.has(tag)) throw new Failure(`a flight of kind ${kind} without tag ${tag} (H-12)`);
  return fields;
}

function checkValues(reply: Reply): void {
  const { kind, fields } = reply;
  for (const tag of [Tag.WINDOW, Tag.HEARTBEAT])
    if (fields.has(tag) && numberOf(reply, tag) === 0) throw new Failure(`tag ${tag} is 0 (H-16)`);
  if (fields.has(Tag.POSITIONS)) {
    const { received, acked, limit, base, sent } = positionsOf(reply);
    if (acked > received || acked > limit || base > sent) {
      throw new Failure(`positions ${[received, acked, limit, base, sent].join(', ')} contradict each other (H-19)`);
    }
  }
  if (fields.has(Tag.GENERATION) && numberOf(reply, Tag.GENERATION) < 1) throw new Failure('generation 0 (H-18)');
  if (kind !== Kind.REJECTED) return;
  const code = numberOf(reply, Tag.CODE);
  if (code < 1 || code > 15) throw new Failure(`REJECTED with unknown code ${code} (H-20)`);
  const belongs: [number, readonly number[]][] = [
    [Tag.VERSIONS, [Reject.VERSION, Reject.DOWNGRADE]],
    [Tag.POSITIONS, [Reject.CLOSED, Reject.EXPIRED, Reject.STATE_LOST]],
    [Tag.GENERATION, [Reject.STALE_GENERATION, Reject.TAKEN_OVER]],
    [Tag.CAUSE, [Reject.CLOSED]],
  ];
  for (const [tag, codes] of belongs) {
    if (fields.has(tag) !== codes.includes(code))
      throw new Failure(`REJECTED(${code}) ${fields.has(tag) ? 'with' : 'without'} tag ${tag} (H-20)`);
  }
  if (fields.has(Tag.CAUSE) && numberOf(reply, Tag.CAUSE) > 11) throw new Failure(`unknown cause ${numberOf(reply, Tag.CAUSE)} (H-20)`);
}

/** The number in a field of at most 8 bytes. */
export function numberOf(reply: Reply, tag: number): number {
  const bytes = reply.fields.get(tag);
  if (bytes === undefined) throw new Failure(`no tag ${tag} in the answer`);
  const value = BigInt(`0x${bytes.toString('hex')}`);
  if (value >= TOO_HIGH) throw new Failure(`tag ${tag} is above 2^53-1 (H-13)`);
  return Number(value);
}

export function positionsOf(reply: Reply): Positions {
  const bytes = reply.fields.get(Tag.POSITIONS);
  if (bytes === undefined) throw new Failure('no positions in the answer');
  const at = (index: number): number => offsetAt(bytes, index * 8);
  return { received: at(0), acked: at(1), limit: at(2), base: at(3), sent: at(4) };
}

export function offsetAt(bytes: Buffer, at: number): number {
  const value = bytes.readBigUInt64BE(at);
  if (value >= TOO_HIGH) throw new Failure('a number above 2^53-1 (F-1, H-13)');
  return Number(value);
}

/** Reads the frame at the front of `bytes`; null while too few are there. @throws Failure where an accepting side may not write it */
export function readFrame(bytes: Buffer): Frame | null {
  if (bytes.length < 4) return null;
  const type = bytes[0] as number;
  const length = bytes.readUIntBE(1, 3);
  const known = (type >= Type.DATA && type <= Type.SUPERSEDED) || type === Type.DISCARD;
  if (!known && type < 0x80) throw new Failure(`wrote a frame of type ${type} (F-4, F-6)`);
  if (type === Type.DATA ? length < 9 || length > 131_080 : length > 1024)
    throw new Failure(`a frame of type ${type} with ${length} bytes (F-2, F-3)`);
  const exact = { [Type.ACK]: 16, [Type.END]: 8, [Type.SYNC]: 8, [Type.PING]: 8, [Type.PONG]: 8, [Type.SUPERSEDED]: 8, [Type.DISCARD]: 8 }[
    type
  ];
  if (exact !== undefined && length !== exact) throw new Failure(`a frame of type ${type} with ${length} bytes (F-5)`);
  if (bytes.length < 4 + length) return null;
  return { type, body: Buffer.from(bytes.subarray(4, 4 + length)) };
}

export const MAGIC: Buffer = Buffer.from('8f4f544c', 'hex');
export const NO_SESSION: Buffer = Buffer.alloc(16);
export const EMPTY: Buffer = Buffer.alloc(0);
