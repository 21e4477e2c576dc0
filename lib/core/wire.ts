// Every number of the wire, and nothing else: constants and the in-place readers and writers of frames (PROTOCOL.md §3 and §8).
// The only file of the library with wire numbers; test/core/wire.test.ts pins them.

// -- handshake flights (PROTOCOL.md §3)

/** 8F then "OTL": no text protocol and no TLS record begins with it. */
export const MAGIC: readonly number[] = [0x8f, 0x4f, 0x54, 0x4c];
export const VERSION = 0x01;
export const FLIGHT_HEADER_BYTES = 26;
/** Where the parts of a flight's header stand. */
export const FlightAt = { VERSION: 4, KIND: 5, NODE: 6, SESSION_ID: 8, BODY_LENGTH: 24 } as const;
export const TLV_HEADER_BYTES = 3;
export const MAX_FLIGHT_BODY_BYTES = 8192;
export const SESSION_ID_BYTES = 16;
export const NONCE_BYTES = 16;
export const CHALLENGE_BYTES = 32;
export const PUBLIC_KEY_BYTES = 32;
export const MAC_BYTES = 16;
/** `received`, `acked`, `limit`, `base`, `sent`: five u64. */
export const POSITIONS_BYTES = 40;
export const MAX_FRAMING_NAME_BYTES = 64;
/** How many versions a REJECTED can list. */
export const MAX_VERSIONS = 16;
/** Reason of REJECTED and CLOSE, UTF-8. */
export const MAX_REASON_BYTES = 256;
/** `host:port` in REJECTED. */
export const MAX_ADDRESS_BYTES = 255;
/** A ticket up to this size rides in RESUME; a larger one follows it as a frame. */
export const MAX_INLINE_TICKET_BYTES = 6_144;
export const MAX_TICKET_BYTES = 73_728;
/** In front of a ticket in its frame: the offset up to which it covers the stream. */
export const TICKET_HEADER_BYTES = 8;
/** What RESUME says of a ticket that follows it: length u32 and SHA-256. */
export const TICKET_NOTICE_BYTES = 36;
/** DATA and END frames behind a RESUME, headers included. */
export const MAX_EARLY_DATA_BYTES = 14_336;

export const Kind = {
  OPEN: 0x01,
  RESUME: 0x02,
  OPENED: 0x81,
  RESUMED: 0x82,
  CHALLENGE: 0x83,
  REJECTED: 0x8f,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

/** TLV tags, ascending within a flight. Below 0x80: must be understood. MAC is the one exception to the order: always last. */
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
  /** Ignorable: an accepting side that does not know it keeps no tickets. */
  TICKETS: 0xa0,
  ADDRESS: 0xa1,
} as const;

/** TLV tags from here on are skipped when unknown; others make the flight invalid. */
export const FIRST_IGNORABLE_TAG = 0x80;

/** Bits of the KEY_METHODS TLV. OPEN offers a set, OPENED names the one used. */
export const KeyMethod = { EXPORTER: 0x01, X25519: 0x02, PSK: 0x04 } as const;

export const RejectCode = {
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
export type RejectCode = (typeof RejectCode)[keyof typeof RejectCode];

// -- frames (PROTOCOL.md §8): type u8 · length u24 · body

export const FRAME_HEADER_BYTES = 4;
/** Frame header and offset of a DATA frame: what stands in front of the bytes. */
export const DATA_HEADER_BYTES = 12;
export const MAX_DATA_BYTES = 131_072;
export const MAX_CONTROL_BYTES = 1024;
export const ACK_FRAME_BYTES = 20;

export const Frame = {
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
/** Frame types from here on are skipped when unknown; others end the circuit. */
export const FIRST_IGNORABLE_FRAME = 0x80;

/** Why a session ended, in CLOSE and in the CAUSE of REJECTED(CLOSED). */
export const CloseCode = {
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
} as const;
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

/** DRAIN flags: the session can be taken up elsewhere (redial), or the application should wind down here. */
export const DrainFlag = { FINISH: 0x00, MOVE: 0x01 } as const;

// -- integers: big-endian, u64 on the wire, safe integers inside

const U32 = 0x1_0000_0000;

/** Reads a u64; -1 when it exceeds 2^53-1, which every caller refuses. */
export function readU64(bytes: Uint8Array, at: number): number {
  const high = readU32(bytes, at);
  if (high > 0x1f_ffff) return -1;
  const low = readU32(bytes, at + 4);
  // A product is a double, even that of zero; what is computed from it would be doubles too, down to the indices of bytes.
  return high === 0 ? low : high * U32 + low;
}

export function writeU64(bytes: Uint8Array, at: number, value: number): void {
  writeU32(bytes, at, value < U32 ? 0 : Math.floor(value / U32));
  // What it shifts it takes modulo 2^32; `%` would call a function of C, for each offset on the wire.
  writeU32(bytes, at + 4, value);
}

export function readU32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0
  );
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

export function readU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

// -- frame writers: each returns the index behind what it wrote

export function putFrameHeader(out: Uint8Array, at: number, type: number, length: number): number {
  out[at] = type;
  out[at + 1] = length >>> 16;
  out[at + 2] = length >>> 8;
  out[at + 3] = length;
  return at + FRAME_HEADER_BYTES;
}

/** The 12 bytes in front of `length` bytes of stream that begin at `offset`. */
export function putDataHeader(out: Uint8Array, at: number, offset: number, length: number): number {
  putFrameHeader(out, at, Frame.DATA, length + 8);
  writeU64(out, at + 4, offset);
  return at + DATA_HEADER_BYTES;
}

export function putAck(out: Uint8Array, at: number, acked: number, limit: number): number {
  putFrameHeader(out, at, Frame.ACK, 16);
  writeU64(out, at + 4, acked);
  writeU64(out, at + 12, limit);
  return at + ACK_FRAME_BYTES;
}

/** END, SYNC, SUPERSEDED and DISCARD: one u64 each. */
export function putU64Frame(out: Uint8Array, at: number, type: number, value: number): number {
  putFrameHeader(out, at, type, 8);
  writeU64(out, at + 4, value);
  return at + 12;
}

/** Written to the circuit that a newer one replaced. */
export function supersededFrame(generation: number): Buffer {
  const frame = Buffer.allocUnsafe(12);
  putU64Frame(frame, 0, Frame.SUPERSEDED, generation);
  return frame;
}

/** What stands in front of a ticket of so many bytes in its frame. */
export function ticketHeader(covered: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES + TICKET_HEADER_BYTES);
  writeU64(header, putFrameHeader(header, 0, Frame.TICKET, TICKET_HEADER_BYTES + length), covered);
  return header;
}

/** PING, PONG, PROOF, CONFIRM and CLOSE: a body copied as it is. */
export function putBytesFrame(out: Uint8Array, at: number, type: number, body: Uint8Array): number {
  putFrameHeader(out, at, type, body.length);
  out.set(body, at + FRAME_HEADER_BYTES);
  return at + FRAME_HEADER_BYTES + body.length;
}
