// The form of a flight: its header and TLVs, and the table of which TLV stands where (PROTOCOL.md §3). Values go in and bytes come out,
// and the other way round; what the values mean is handshake.ts.

import { SessionError } from '../errors.ts';
import {
  CHALLENGE_BYTES,
  FIRST_IGNORABLE_TAG,
  FLIGHT_HEADER_BYTES,
  FlightAt,
  Kind,
  MAC_BYTES,
  MAGIC,
  MAX_ADDRESS_BYTES,
  MAX_FLIGHT_BODY_BYTES,
  MAX_FRAMING_NAME_BYTES,
  MAX_INLINE_TICKET_BYTES,
  MAX_REASON_BYTES,
  MAX_VERSIONS,
  NONCE_BYTES,
  POSITIONS_BYTES,
  PUBLIC_KEY_BYTES,
  readU16,
  readU32,
  readU64,
  SESSION_ID_BYTES,
  Tag,
  TICKET_NOTICE_BYTES,
  TLV_HEADER_BYTES,
  VERSION,
  writeU16,
  writeU32,
  writeU64,
} from './wire.ts';

/** A whole flight: header, then each value that is there under its tag. @throws SessionError ERR_INVALID_OPTION where one does not fit. */
export function encodeFields(
  kind: Kind,
  node: number,
  sessionId: Buffer,
  values: ReadonlyArray<readonly [number, Uint8Array | undefined]>,
): Buffer {
  if (sessionId.length !== SESSION_ID_BYTES) throw misused(`a session id has ${SESSION_ID_BYTES} bytes, not ${sessionId.length}`);
  let body = 0;
  for (const [tag, value] of values) {
    if (value === undefined) continue;
    const field = layouts.get(kind)?.find((candidate) => candidate.tag === tag) as Field;
    if (value.length < field.least || value.length > field.most) {
      throw misused(`${tagName(tag)} of ${value.length} bytes in ${kindName(kind)}, where ${field.least} to ${field.most} fit`);
    }
    body += TLV_HEADER_BYTES + value.length;
  }
  if (body > MAX_FLIGHT_BODY_BYTES) throw misused(`${kindName(kind)} would have ${body} bytes, where ${MAX_FLIGHT_BODY_BYTES} fit`);
  const bytes = Buffer.alloc(FLIGHT_HEADER_BYTES + body);
  bytes.set(MAGIC, 0);
  bytes[FlightAt.VERSION] = VERSION;
  bytes[FlightAt.KIND] = kind;
  bytes.set(u8(node), FlightAt.NODE);
  bytes.set(sessionId, FlightAt.SESSION_ID);
  writeU16(bytes, FlightAt.BODY_LENGTH, body);
  let at = FLIGHT_HEADER_BYTES;
  for (const [tag, value] of values) {
    if (value === undefined) continue;
    bytes[at] = tag;
    writeU16(bytes, at + 1, value.length);
    bytes.set(value, at + TLV_HEADER_BYTES);
    at += TLV_HEADER_BYTES + value.length;
  }
  return bytes;
}

/** The TLVs of one flight, checked against its layout; then read by tag. */
export class Fields {
  readonly kind: Kind;
  readonly #values: Map<number, Buffer> = new Map();

  constructor(bytes: Buffer, kind: Kind) {
    this.kind = kind;
    const layout = layouts.get(kind) as readonly Field[];
    let last = -1;
    for (let at = FLIGHT_HEADER_BYTES; at < bytes.length; ) {
      if (last === Tag.MAC) throw broken('H-9', `bytes behind the mac of ${kindName(kind)}`);
      const start = at + TLV_HEADER_BYTES;
      const end = start > bytes.length ? start : start + readU16(bytes, at + 1);
      if (end > bytes.length) throw broken('H-7', `a TLV of ${kindName(kind)} reaches beyond its body`);
      const tag = bytes[at] as number;
      if (tag <= last && tag !== Tag.MAC) throw broken('H-8', `tag 0x${hex(tag)} behind 0x${hex(last)} in ${kindName(kind)}`);
      const field = layout.find((candidate) => candidate.tag === tag);
      if (field === undefined && tag < FIRST_IGNORABLE_TAG) throw misplaced(tag, kind);
      if (field !== undefined) {
        const length = end - start;
        if (length < field.least || length > field.most) throw broken('H-11', `${tagName(tag)} of ${length} bytes in ${kindName(kind)}`);
        this.#values.set(tag, bytes.subarray(start, end));
      }
      last = tag;
      at = end;
    }
    for (const field of layout) {
      if (field.required && !this.#values.has(field.tag)) throw broken('H-12', `${kindName(kind)} without ${tagName(field.tag)}`);
    }
  }

  has(tag: number): boolean {
    return this.#values.has(tag);
  }

  optional(tag: number): Buffer | undefined {
    return this.#values.get(tag);
  }

  /** Only for required tags and those that has() has confirmed. */
  bytes(tag: number): Buffer {
    return this.#values.get(tag) as Buffer;
  }

  u8(tag: number): number {
    return this.bytes(tag)[0] as number;
  }

  u16(tag: number): number {
    return readU16(this.bytes(tag), 0);
  }

  u32(tag: number): number {
    return readU32(this.bytes(tag), 0);
  }

  u64(tag: number, at: number = 0): number {
    const value = readU64(this.bytes(tag), at);
    if (value < 0) throw broken('H-13', `${tagName(tag)} above 2^53-1`);
    return value;
  }
}

/** Whether version 1 has such a kind of flight. */
export function isKind(kind: number): kind is Kind {
  return layouts.has(kind);
}

// -- layout

interface Field {
  readonly tag: number;
  readonly least: number;
  readonly most: number;
  readonly required: boolean;
}

const must = (tag: number, least: number, most: number = least): Field => ({ tag, least, most, required: true });
const may = (tag: number, least: number, most: number = least): Field => ({ tag, least, most, required: false });

const nonce = must(Tag.NONCE, NONCE_BYTES);
const keyMethods = must(Tag.KEY_METHODS, 1);
const publicKey = may(Tag.PUBLIC_KEY, PUBLIC_KEY_BYTES);
const framing = must(Tag.FRAMING, 1, MAX_FRAMING_NAME_BYTES);
const window = must(Tag.WINDOW, 4);
const heartbeat = must(Tag.HEARTBEAT, 4);
const hold = must(Tag.HOLD, 4);
const credentials = may(Tag.CREDENTIALS, 0, MAX_FLIGHT_BODY_BYTES);
const metadata = may(Tag.METADATA, 0, MAX_FLIGHT_BODY_BYTES);
const highestVersion = must(Tag.MAX_VERSION, 1);
const generation = must(Tag.GENERATION, 8);
const instance = must(Tag.INSTANCE, 8);
const positions = must(Tag.POSITIONS, POSITIONS_BYTES);
const ticket = may(Tag.TICKET, 1, MAX_INLINE_TICKET_BYTES);
const ticketFollows = may(Tag.TICKET_FOLLOWS, TICKET_NOTICE_BYTES);
const tickets = may(Tag.TICKETS, 4);
const mac = must(Tag.MAC, MAC_BYTES);

// The table of PROTOCOL.md §3: which TLV stands in which flight, and how long its value is.
const layouts: ReadonlyMap<number, readonly Field[]> = new Map<number, readonly Field[]>([
  [Kind.OPEN, [nonce, keyMethods, publicKey, framing, window, heartbeat, hold, credentials, metadata, highestVersion, tickets]],
  [Kind.OPENED, [nonce, keyMethods, publicKey, window, heartbeat, hold, tickets, mac]],
  [Kind.RESUME, [nonce, credentials, highestVersion, generation, instance, positions, ticket, ticketFollows, mac]],
  [Kind.RESUMED, [nonce, heartbeat, hold, generation, positions, mac]],
  [Kind.CHALLENGE, [must(Tag.NONCE, CHALLENGE_BYTES)]],
  [
    Kind.REJECTED,
    [
      may(Tag.GENERATION, 8),
      may(Tag.POSITIONS, POSITIONS_BYTES),
      must(Tag.CODE, 2),
      may(Tag.RETRY_AFTER, 4),
      may(Tag.VERSIONS, 1, MAX_VERSIONS),
      may(Tag.CAUSE, 2),
      may(Tag.REASON, 0, MAX_REASON_BYTES),
      may(Tag.ADDRESS, 1, MAX_ADDRESS_BYTES),
      may(Tag.MAC, MAC_BYTES),
    ],
  ],
]);

const knownTags: ReadonlySet<number> = new Set(Object.values(Tag));

// -- values

export function u8(value: number): Buffer {
  return Buffer.of(within(value, 0xff));
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  writeU16(bytes, 0, within(value, 0xffff));
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  writeU32(bytes, 0, within(value, 0xffff_ffff));
  return bytes;
}

export function u64(value: number): Buffer {
  if (value > Number.MAX_SAFE_INTEGER) throw new SessionError('ERR_EXHAUSTED', `${value} does not fit the wire`);
  const bytes = Buffer.alloc(8);
  writeU64(bytes, 0, within(value, Number.MAX_SAFE_INTEGER));
  return bytes;
}

function within(value: number, most: number): number {
  if (!Number.isInteger(value) || value < 0 || value > most) throw misused(`${value} is not an integer from 0 to ${most}`);
  return value;
}

// -- words for errors

export function broken(rule: string, what: string): SessionError {
  return new SessionError('ERR_PROTOCOL', `${what} (${rule})`);
}

/** A tag of the table in the wrong flight is a mistake; one that nobody here knows asks for something newer, and is answered so. */
function misplaced(tag: number, kind: Kind): SessionError {
  const asked = kind === Kind.OPEN || kind === Kind.RESUME;
  if (asked && !knownTags.has(tag)) return new SessionError('ERR_UNSUPPORTED', `unknown tag 0x${hex(tag)} in ${kindName(kind)} (H-10)`);
  return broken('H-10', `tag 0x${hex(tag)} has no place in ${kindName(kind)}`);
}

function misused(what: string): SessionError {
  return new SessionError('ERR_INVALID_OPTION', what);
}

export function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

export function kindName(kind: number): string {
  return Object.entries(Kind).find((entry) => entry[1] === kind)?.[0] ?? hex(kind);
}

export function tagName(tag: number): string {
  return Object.entries(Tag).find((entry) => entry[1] === tag)?.[0] ?? hex(tag);
}
