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

/**
 * Writes one flight: its header, then each value under its tag, in the order of the table; one that is undefined is left out. One flight
 * at a time. @throws SessionError ERR_INVALID_OPTION where a value does not fit
 */
export class FlightWriter {
  readonly #kind: Kind;
  readonly #layout: Layout;
  #at: number = FLIGHT_HEADER_BYTES;

  constructor(kind: Kind, node: number, sessionId: Buffer) {
    if (sessionId.length !== SESSION_ID_BYTES) throw misused(`a session id has ${SESSION_ID_BYTES} bytes, not ${sessionId.length}`);
    this.#kind = kind;
    this.#layout = layouts.get(kind) as Layout;
    draft.set(MAGIC, 0);
    draft[FlightAt.VERSION] = VERSION;
    draft[FlightAt.KIND] = kind;
    draft[FlightAt.NODE] = within(node, 0xff);
    draft.set(sessionId, FlightAt.SESSION_ID);
  }

  bytes(tag: number, value: Uint8Array | undefined): this {
    if (value !== undefined) draft.set(value, this.#field(tag, value.length));
    return this;
  }

  u8(tag: number, value: number): this {
    draft[this.#field(tag, 1)] = within(value, 0xff);
    return this;
  }

  u16(tag: number, value: number | undefined): this {
    if (value !== undefined) writeU16(draft, this.#field(tag, 2), within(value, 0xffff));
    return this;
  }

  u32(tag: number, value: number | undefined): this {
    if (value !== undefined) writeU32(draft, this.#field(tag, 4), within(value, 0xffff_ffff));
    return this;
  }

  /** Any number of them, in one value. */
  u64(tag: number, ...values: readonly number[]): this {
    let at = this.#field(tag, 8 * values.length);
    for (const value of values) {
      if (value > Number.MAX_SAFE_INTEGER) throw new SessionError('ERR_EXHAUSTED', `${value} does not fit the wire`);
      writeU64(draft, at, within(value, Number.MAX_SAFE_INTEGER));
      at += 8;
    }
    return this;
  }

  end(): Buffer {
    const length = this.#at;
    writeU16(draft, FlightAt.BODY_LENGTH, length - FLIGHT_HEADER_BYTES);
    const flight = Buffer.allocUnsafe(length);
    draft.copy(flight, 0, 0, length);
    // There may have been credentials in it; and the reserved byte of the next is 0.
    draft.fill(0, 0, length);
    return flight;
  }

  /** @returns where the value goes */
  #field(tag: number, length: number): number {
    const { least, most } = this.#layout.fields.get(tag) as Field;
    if (length < least || length > most)
      throw misused(`${tagName(tag)} of ${length} bytes in ${kindName(this.#kind)}, where ${least} to ${most} fit`);
    const start = this.#at + TLV_HEADER_BYTES;
    const body = start + length - FLIGHT_HEADER_BYTES;
    if (body > MAX_FLIGHT_BODY_BYTES)
      throw misused(`${kindName(this.#kind)} would have ${body} bytes or more, where ${MAX_FLIGHT_BODY_BYTES} fit`);
    draft[this.#at] = tag;
    writeU16(draft, this.#at + 1, length);
    this.#at = start + length;
    return start;
  }
}

const draft: Buffer = Buffer.alloc(FLIGHT_HEADER_BYTES + MAX_FLIGHT_BODY_BYTES);

/** The TLVs of one flight, checked against its layout; then read by tag. */
export class Fields {
  readonly kind: Kind;
  readonly #bytes: Buffer;
  // What stands in the flight, in its order: tags, and where their values start.
  readonly #tags: number[] = [];
  readonly #starts: number[] = [];

  constructor(bytes: Buffer, kind: Kind) {
    this.kind = kind;
    this.#bytes = bytes;
    const { fields, required } = layouts.get(kind) as Layout;
    let last = -1;
    for (let at = FLIGHT_HEADER_BYTES; at < bytes.length; ) {
      if (last === Tag.MAC) throw broken('H-9', `bytes behind the mac of ${kindName(kind)}`);
      const start = at + TLV_HEADER_BYTES;
      const end = start > bytes.length ? start : start + readU16(bytes, at + 1);
      if (end > bytes.length) throw broken('H-7', `a TLV of ${kindName(kind)} reaches beyond its body`);
      const tag = bytes[at] as number;
      if (tag <= last && tag !== Tag.MAC) throw broken('H-8', `tag 0x${hex(tag)} behind 0x${hex(last)} in ${kindName(kind)}`);
      const field = fields.get(tag);
      if (field === undefined && tag < FIRST_IGNORABLE_TAG) throw misplaced(tag, kind);
      if (field !== undefined) {
        const length = end - start;
        if (length < field.least || length > field.most) throw broken('H-11', `${tagName(tag)} of ${length} bytes in ${kindName(kind)}`);
        this.#tags.push(tag);
        this.#starts.push(start);
      }
      last = tag;
      at = end;
    }
    for (const tag of required) if (!this.has(tag)) throw broken('H-12', `${kindName(kind)} without ${tagName(tag)}`);
  }

  has(tag: number): boolean {
    return this.#tags.includes(tag);
  }

  /** A view of the value. */
  optional(tag: number): Buffer | undefined {
    return this.has(tag) ? this.bytes(tag) : undefined;
  }

  // The others are only for required tags and those that has() has confirmed.

  bytes(tag: number): Buffer {
    const start = this.#start(tag);
    return this.#bytes.subarray(start, start + readU16(this.#bytes, start - 2));
  }

  u8(tag: number): number {
    return this.#bytes[this.#start(tag)] as number;
  }

  u16(tag: number): number {
    return readU16(this.#bytes, this.#start(tag));
  }

  u32(tag: number): number {
    return readU32(this.#bytes, this.#start(tag));
  }

  u64(tag: number, at: number = 0): number {
    const value = readU64(this.#bytes, this.#start(tag) + at);
    if (value < 0) throw broken('H-13', `${tagName(tag)} above 2^53-1`);
    return value;
  }

  #start(tag: number): number {
    return this.#starts[this.#tags.indexOf(tag)] as number;
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

interface Layout {
  readonly fields: ReadonlyMap<number, Field>;
  /** Tags that must be there. */
  readonly required: readonly number[];
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

function layout(...fields: readonly Field[]): Layout {
  const required = fields.filter((field) => field.required).map((field) => field.tag);
  return { fields: new Map(fields.map((field) => [field.tag, field])), required };
}

// The table of PROTOCOL.md §3: which TLV stands in which flight, and how long its value is.
const layouts: ReadonlyMap<number, Layout> = new Map<number, Layout>([
  [Kind.OPEN, layout(nonce, keyMethods, publicKey, framing, window, heartbeat, hold, credentials, metadata, highestVersion, tickets)],
  [Kind.OPENED, layout(nonce, keyMethods, publicKey, window, heartbeat, hold, tickets, mac)],
  [Kind.RESUME, layout(nonce, credentials, highestVersion, generation, instance, positions, ticket, ticketFollows, mac)],
  [Kind.RESUMED, layout(nonce, heartbeat, hold, generation, positions, mac)],
  [Kind.CHALLENGE, layout(must(Tag.NONCE, CHALLENGE_BYTES))],
  [
    Kind.REJECTED,
    layout(
      may(Tag.GENERATION, 8),
      may(Tag.POSITIONS, POSITIONS_BYTES),
      must(Tag.CODE, 2),
      may(Tag.RETRY_AFTER, 4),
      may(Tag.VERSIONS, 1, MAX_VERSIONS),
      may(Tag.CAUSE, 2),
      may(Tag.REASON, 0, MAX_REASON_BYTES),
      may(Tag.ADDRESS, 1, MAX_ADDRESS_BYTES),
      may(Tag.MAC, MAC_BYTES),
    ),
  ],
]);

const knownTags: ReadonlySet<number> = new Set(Object.values(Tag));

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
