// Handshake flights (PROTOCOL.md §3): records go in and bytes come out, and the other way round. Knows the layout and the rules
// of form (H-1 to H-21), but no keys: a flight is encoded with an empty mac, which the caller computes over macInput() and puts in.

import { SessionError } from '../errors.ts';
import { foreignBytes } from './foreign.ts';
import { reasonBytes, safeText } from './text.ts';
import { broken, Fields, FlightWriter, hex, isKind, kindName, tagName } from './tlv.ts';
import {
  CloseCode,
  FLIGHT_HEADER_BYTES,
  FlightAt,
  KeyMethod,
  Kind,
  MAC_BYTES,
  MAGIC,
  MAX_FLIGHT_BODY_BYTES,
  MAX_INLINE_TICKET_BYTES,
  MAX_TICKET_BYTES,
  RejectCode,
  readU16,
  SESSION_ID_BYTES,
  Tag,
  TLV_HEADER_BYTES,
  VERSION,
  writeU32,
} from './wire.ts';

/** The five stream offsets that each side states when a session is resumed. */
export interface Positions {
  /** End of what arrived in order from the peer. */
  readonly received: number;
  /** End of the last message that the application here has consumed; the peer may forget everything below. */
  readonly acked: number;
  /** The peer may send up to here. */
  readonly limit: number;
  /** Lowest own offset that can still be replayed. */
  readonly base: number;
  /** Highest own offset ever put on a circuit. */
  readonly sent: number;
}

export interface OpenFlight {
  readonly kind: typeof Kind.OPEN;
  /** Node hint of an earlier session with this server, 0 = none. */
  readonly node: number;
  readonly nonce: Buffer;
  /** Bits of KeyMethod: all that the dialing side is ready to use. */
  readonly keyMethods: number;
  /** Present exactly when keyMethods has X25519. */
  readonly publicKey: Buffer | undefined;
  readonly framing: string;
  /** Inbound window of the dialing side, in bytes. */
  readonly window: number;
  readonly heartbeatMs: number;
  readonly holdMs: number;
  readonly credentials: Buffer | undefined;
  readonly metadata: Buffer | undefined;
  readonly maxVersion: number;
  /** Largest ticket that the dialing side keeps; 0: it keeps none. */
  readonly ticketBytes: number;
}

export interface OpenedFlight {
  readonly kind: typeof Kind.OPENED;
  /** Node hint for the next dial. */
  readonly node: number;
  readonly sessionId: Buffer;
  readonly nonce: Buffer;
  /** Bits of KeyMethod: the ones used. */
  readonly keyMethods: number;
  readonly publicKey: Buffer | undefined;
  /** Inbound window of the accepting side, in bytes. */
  readonly window: number;
  readonly heartbeatMs: number;
  readonly holdMs: number;
  /** Largest ticket that will come; 0: none will. */
  readonly ticketBytes: number;
  readonly mac: Buffer;
}

export interface TicketNotice {
  readonly length: number;
  readonly digest: Buffer;
}

export interface ResumeFlight {
  readonly kind: typeof Kind.RESUME;
  readonly node: number;
  readonly sessionId: Buffer;
  readonly generation: number;
  readonly instance: number;
  readonly positions: Positions;
  readonly nonce: Buffer;
  readonly credentials: Buffer | undefined;
  readonly ticket: Buffer | undefined;
  /** Length and SHA-256 of a ticket too large for here: it follows as a frame. */
  readonly ticketFollows: TicketNotice | undefined;
  readonly maxVersion: number;
  readonly mac: Buffer;
}

export interface ResumedFlight {
  readonly kind: typeof Kind.RESUMED;
  readonly node: number;
  readonly sessionId: Buffer;
  readonly generation: number;
  readonly positions: Positions;
  readonly nonce: Buffer;
  readonly heartbeatMs: number;
  readonly holdMs: number;
  readonly mac: Buffer;
}

export interface ChallengeFlight {
  readonly kind: typeof Kind.CHALLENGE;
  readonly sessionId: Buffer;
  /** 32 bytes. */
  readonly nonce: Buffer;
}

export interface RejectedFlight {
  readonly kind: typeof Kind.REJECTED;
  /** Zero in answer to OPEN. */
  readonly sessionId: Buffer;
  readonly code: RejectCode;
  /** 0 where the server named none. Not clamped here. */
  readonly retryAfterMs: number;
  /** Versions the server speaks; with VERSION and DOWNGRADE, else empty. */
  readonly versions: readonly number[];
  /** Final positions; with CLOSED, EXPIRED and STATE_LOST. */
  readonly positions: Positions | undefined;
  /** Current generation; with TAKEN_OVER and STALE_GENERATION. */
  readonly generation: number | undefined;
  /** Why the session ended; with CLOSED. */
  readonly cause: CloseCode | undefined;
  /** For people. Escaped by safeText() when decoded. */
  readonly reason: string;
  /** `host:port` of the machine that holds the session; with RETRY_LATER, where it may be dialed instead. */
  readonly address?: string | undefined;
  /** Present when the RESUME's own MAC was good. */
  readonly mac: Buffer | undefined;
}

export type Flight = OpenFlight | OpenedFlight | ResumeFlight | ResumedFlight | ChallengeFlight | RejectedFlight;

/** What an encoder takes: everything but the kind, which its name says, and the mac, which comes later. */
export type Unsealed<F extends Flight> = Omit<F, 'kind' | 'mac'>;

/** @throws SessionError ERR_INVALID_OPTION where a value does not fit its field or all together exceed 8,192 bytes. So do all encoders. */
export function encodeOpen(flight: Unsealed<OpenFlight>): Buffer {
  return new FlightWriter(Kind.OPEN, flight.node, NO_SESSION)
    .bytes(Tag.NONCE, flight.nonce)
    .u8(Tag.KEY_METHODS, flight.keyMethods)
    .bytes(Tag.PUBLIC_KEY, flight.publicKey)
    .bytes(Tag.FRAMING, Buffer.from(flight.framing, 'latin1'))
    .u32(Tag.WINDOW, flight.window)
    .u32(Tag.HEARTBEAT, flight.heartbeatMs)
    .u32(Tag.HOLD, flight.holdMs)
    .bytes(Tag.CREDENTIALS, flight.credentials)
    .bytes(Tag.METADATA, flight.metadata)
    .u8(Tag.MAX_VERSION, flight.maxVersion)
    .u32(Tag.TICKETS, unlessZero(flight.ticketBytes))
    .end();
}

export function encodeOpened(flight: Unsealed<OpenedFlight>): Buffer {
  return new FlightWriter(Kind.OPENED, flight.node, flight.sessionId)
    .bytes(Tag.NONCE, flight.nonce)
    .u8(Tag.KEY_METHODS, flight.keyMethods)
    .bytes(Tag.PUBLIC_KEY, flight.publicKey)
    .u32(Tag.WINDOW, flight.window)
    .u32(Tag.HEARTBEAT, flight.heartbeatMs)
    .u32(Tag.HOLD, flight.holdMs)
    .u32(Tag.TICKETS, unlessZero(flight.ticketBytes))
    .bytes(Tag.MAC, EMPTY_MAC)
    .end();
}

export function encodeResume(flight: Unsealed<ResumeFlight>): Buffer {
  return writePositions(
    new FlightWriter(Kind.RESUME, flight.node, flight.sessionId)
      .bytes(Tag.NONCE, flight.nonce)
      .bytes(Tag.CREDENTIALS, flight.credentials)
      .u8(Tag.MAX_VERSION, flight.maxVersion)
      .u64(Tag.GENERATION, flight.generation)
      .u64(Tag.INSTANCE, flight.instance),
    flight.positions,
  )
    .bytes(Tag.TICKET, flight.ticket)
    .bytes(Tag.TICKET_FOLLOWS, flight.ticketFollows && noticeBytes(flight.ticketFollows))
    .bytes(Tag.MAC, EMPTY_MAC)
    .end();
}

export function encodeResumed(flight: Unsealed<ResumedFlight>): Buffer {
  const writer = new FlightWriter(Kind.RESUMED, flight.node, flight.sessionId)
    .bytes(Tag.NONCE, flight.nonce)
    .u32(Tag.HEARTBEAT, flight.heartbeatMs)
    .u32(Tag.HOLD, flight.holdMs)
    .u64(Tag.GENERATION, flight.generation);
  return writePositions(writer, flight.positions).bytes(Tag.MAC, EMPTY_MAC).end();
}

export function encodeChallenge(flight: Unsealed<ChallengeFlight>): Buffer {
  return new FlightWriter(Kind.CHALLENGE, 0, flight.sessionId).bytes(Tag.NONCE, flight.nonce).end();
}

/**
 * @param mac Whether the flight ends with an (empty) mac: true exactly when it answers a RESUME whose MAC was good.
 * @param flightBytes Length of the flight this one answers. The reason is cut so that the answer is not longer: a server amplifies nothing.
 */
export function encodeRejected(flight: Unsealed<RejectedFlight>, mac: boolean, flightBytes: number = Number.POSITIVE_INFINITY): Buffer {
  const bare = rejected(flight, mac, EMPTY);
  const reason = reasonBytes(flight.reason, flightBytes - bare.length - TLV_HEADER_BYTES);
  return reason.length === 0 ? bare : rejected(flight, mac, reason);
}

function rejected(flight: Unsealed<RejectedFlight>, mac: boolean, reason: Buffer): Buffer {
  const { sessionId, generation, positions, versions, address } = flight;
  const writer = new FlightWriter(Kind.REJECTED, 0, sessionId);
  if (generation !== undefined) writer.u64(Tag.GENERATION, generation);
  if (positions !== undefined) writePositions(writer, positions);
  return writer
    .u16(Tag.CODE, flight.code)
    .u32(Tag.RETRY_AFTER, unlessZero(flight.retryAfterMs))
    .bytes(Tag.VERSIONS, versions.length === 0 ? undefined : Buffer.from(versions))
    .u16(Tag.CAUSE, flight.cause)
    .bytes(Tag.REASON, reason.length === 0 ? undefined : reason)
    .bytes(Tag.ADDRESS, address === undefined ? undefined : Buffer.from(address, 'latin1'))
    .bytes(Tag.MAC, mac ? EMPTY_MAC : undefined)
    .end();
}

function writePositions(writer: FlightWriter, { received, acked, limit, base, sent }: Positions): FlightWriter {
  return writer.u64(Tag.POSITIONS, received, acked, limit, base, sent);
}

function noticeBytes({ length, digest }: TicketNotice): Buffer {
  const bytes = Buffer.alloc(4 + digest.length);
  writeU32(bytes, 0, length);
  bytes.set(digest, 4);
  return bytes;
}

/** 0 is said by leaving it out. */
function unlessZero(value: number): number | undefined {
  return value === 0 ? undefined : value;
}

/** The bytes a flight's own MAC covers: all but the 16 of the mac at its end. Only for flights that carry one. A view. */
export function macInput(flightBytes: Buffer): Buffer {
  return flightBytes.subarray(0, flightBytes.length - MAC_BYTES);
}

/** Puts the mac into the place that an encoder left for it. */
export function setMac(flightBytes: Buffer, mac: Uint8Array): void {
  flightBytes.set(mac, flightBytes.length - MAC_BYTES);
}

/**
 * Length of the flight that begins at bytes[0], as far as bytes[0, length) tell: 0 = more bytes are needed.
 * @throws SessionError ERR_NOT_OUR_PROTOCOL at the first byte that differs from the magic; ERR_VERSION once the header is whole and of
 *   another version (a REJECTED is the same in all versions and passes); ERR_PROTOCOL for an unknown kind or a body above 8,192 bytes.
 */
export function flightLength(bytes: Uint8Array, length: number): number {
  for (let i = 0; i < MAGIC.length && i < length; i++) {
    if (bytes[i] !== MAGIC[i]) throw foreignBytes(bytes, length);
  }
  if (length < FLIGHT_HEADER_BYTES) return 0;
  const kind = bytes[FlightAt.KIND] as number;
  const version = bytes[FlightAt.VERSION] as number;
  if (version !== VERSION && kind !== Kind.REJECTED) {
    throw new SessionError('ERR_VERSION', `the peer speaks protocol version ${version}, here it is ${VERSION} (H-3)`);
  }
  if (!isKind(kind)) throw broken('H-4', `flight of unknown kind 0x${hex(kind)}`);
  const body = readU16(bytes, FlightAt.BODY_LENGTH);
  if (body > MAX_FLIGHT_BODY_BYTES) throw broken('H-5', `body of ${body} bytes in ${kindName(kind)}`);
  return FLIGHT_HEADER_BYTES + body;
}

/**
 * Reads exactly one whole flight. The buffers of the record are views of `bytes`: keep `bytes` unchanged as long as they are in use.
 * @throws SessionError as flightLength(); ERR_UNSUPPORTED for an OPEN or RESUME with a tag below 0x80 that this version does not have
 *   (answer it with REJECTED(UNSUPPORTED)); ERR_PROTOCOL, naming the rule of PROTOCOL.md, for everything else that is out of form.
 */
export function decodeFlight(bytes: Buffer): Flight {
  const length = flightLength(bytes, bytes.length);
  if (length === 0 || length !== bytes.length) throw broken('H-5', `${bytes.length} bytes are not one whole flight`);
  const kind = bytes[FlightAt.KIND] as Kind;
  const node = bytes[FlightAt.NODE] as number;
  const sessionId = bytes.subarray(FlightAt.SESSION_ID, FlightAt.SESSION_ID + SESSION_ID_BYTES);
  const named = !sessionId.equals(NO_SESSION);
  if (kind === Kind.OPEN ? named : !named && kind !== Kind.REJECTED) {
    throw broken('H-6', `session id ${named ? 'set' : 'zero'} in ${kindName(kind)}`);
  }
  const fields = new Fields(bytes, kind);
  switch (kind) {
    case Kind.OPEN:
      return decodeOpen(fields, node);
    case Kind.OPENED:
      return decodeOpened(fields, node, sessionId);
    case Kind.RESUME:
      return decodeResume(fields, node, sessionId);
    case Kind.RESUMED:
      return decodeResumed(fields, node, sessionId);
    case Kind.CHALLENGE:
      return { kind, sessionId, nonce: fields.bytes(Tag.NONCE) };
    case Kind.REJECTED:
      return decodeRejected(fields, sessionId);
  }
}

const NO_SESSION: Buffer = Buffer.alloc(SESSION_ID_BYTES);
const EMPTY_MAC: Buffer = Buffer.alloc(MAC_BYTES);
const EMPTY: Buffer = Buffer.alloc(0);

// -- one decoder per kind

function decodeOpen(fields: Fields, node: number): OpenFlight {
  return {
    kind: Kind.OPEN,
    node,
    nonce: fields.bytes(Tag.NONCE),
    keyMethods: offeredMethods(fields),
    publicKey: fields.optional(Tag.PUBLIC_KEY),
    framing: framingName(fields.bytes(Tag.FRAMING)),
    window: positive(fields, Tag.WINDOW),
    heartbeatMs: positive(fields, Tag.HEARTBEAT),
    holdMs: fields.u32(Tag.HOLD),
    credentials: fields.optional(Tag.CREDENTIALS),
    metadata: fields.optional(Tag.METADATA),
    maxVersion: maxVersion(fields),
    ticketBytes: ticketBytes(fields),
  };
}

function decodeOpened(fields: Fields, node: number, sessionId: Buffer): OpenedFlight {
  const keyMethods = offeredMethods(fields);
  const known = KeyMethod.EXPORTER | KeyMethod.X25519 | KeyMethod.PSK;
  if ((keyMethods & ~known) !== 0 || (keyMethods & (KeyMethod.EXPORTER | KeyMethod.X25519)) === 0) {
    throw broken('H-14', `key methods 0x${hex(keyMethods)} in OPENED`);
  }
  return {
    kind: Kind.OPENED,
    node,
    sessionId,
    nonce: fields.bytes(Tag.NONCE),
    keyMethods,
    publicKey: fields.optional(Tag.PUBLIC_KEY),
    window: positive(fields, Tag.WINDOW),
    heartbeatMs: positive(fields, Tag.HEARTBEAT),
    holdMs: fields.u32(Tag.HOLD),
    ticketBytes: ticketBytes(fields),
    mac: fields.bytes(Tag.MAC),
  };
}

function decodeResume(fields: Fields, node: number, sessionId: Buffer): ResumeFlight {
  const generation = fields.u64(Tag.GENERATION);
  const instance = fields.u64(Tag.INSTANCE);
  if (instance < 1 || instance > generation) throw broken('H-18', `generation ${generation} with instance ${instance}`);
  return {
    kind: Kind.RESUME,
    node,
    sessionId,
    generation,
    instance,
    positions: readPositions(fields),
    nonce: fields.bytes(Tag.NONCE),
    credentials: fields.optional(Tag.CREDENTIALS),
    ticket: fields.optional(Tag.TICKET),
    ticketFollows: ticketNotice(fields),
    maxVersion: maxVersion(fields),
    mac: fields.bytes(Tag.MAC),
  };
}

function decodeResumed(fields: Fields, node: number, sessionId: Buffer): ResumedFlight {
  const generation = fields.u64(Tag.GENERATION);
  if (generation < 1) throw broken('H-18', 'generation 0');
  return {
    kind: Kind.RESUMED,
    node,
    sessionId,
    generation,
    positions: readPositions(fields),
    nonce: fields.bytes(Tag.NONCE),
    heartbeatMs: positive(fields, Tag.HEARTBEAT),
    holdMs: fields.u32(Tag.HOLD),
    mac: fields.bytes(Tag.MAC),
  };
}

const rejectCodes: ReadonlySet<number> = new Set(Object.values(RejectCode));
const closeCodes: ReadonlySet<number> = new Set(Object.values(CloseCode));
const withVersions: readonly number[] = [RejectCode.VERSION, RejectCode.DOWNGRADE];
const withPositions: readonly number[] = [RejectCode.CLOSED, RejectCode.EXPIRED, RejectCode.STATE_LOST];
const withGeneration: readonly number[] = [RejectCode.STALE_GENERATION, RejectCode.TAKEN_OVER];

function decodeRejected(fields: Fields, sessionId: Buffer): RejectedFlight {
  const code = fields.u16(Tag.CODE);
  if (!rejectCodes.has(code)) throw broken('H-20', `REJECTED with unknown code ${code}`);
  const belongs = (tag: number, codes: readonly number[]): void => {
    if (fields.has(tag) !== codes.includes(code)) {
      throw broken('H-20', `REJECTED with code ${code} ${fields.has(tag) ? 'and' : 'without'} ${tagName(tag)}`);
    }
  };
  belongs(Tag.VERSIONS, withVersions);
  belongs(Tag.POSITIONS, withPositions);
  belongs(Tag.GENERATION, withGeneration);
  belongs(Tag.CAUSE, [RejectCode.CLOSED]);
  const cause = fields.has(Tag.CAUSE) ? fields.u16(Tag.CAUSE) : undefined;
  if (cause !== undefined && !closeCodes.has(cause)) throw broken('H-20', `REJECTED with unknown cause ${cause}`);
  return {
    kind: Kind.REJECTED,
    sessionId,
    code: code as RejectCode,
    retryAfterMs: fields.has(Tag.RETRY_AFTER) ? fields.u32(Tag.RETRY_AFTER) : 0,
    versions: [...(fields.optional(Tag.VERSIONS) ?? [])],
    positions: fields.has(Tag.POSITIONS) ? readPositions(fields) : undefined,
    generation: fields.has(Tag.GENERATION) ? fields.u64(Tag.GENERATION) : undefined,
    cause: cause as CloseCode | undefined,
    reason: safeText((fields.optional(Tag.REASON) ?? EMPTY).toString('utf8')),
    ...addressOf(fields, code),
    mac: fields.optional(Tag.MAC),
  };
}

/** Only RETRY_LATER sends elsewhere; as with all tags that may be skipped, it says nothing in other places. */
function addressOf(fields: Fields, code: number): { readonly address?: string } {
  const address = code === RejectCode.RETRY_LATER ? fields.optional(Tag.ADDRESS)?.toString('latin1') : undefined;
  if (address === undefined) return {};
  if (!/^[\x21-\x7e]+$/.test(address)) throw broken('H-23', 'an ADDRESS with other than printable ASCII characters');
  return { address };
}

function offeredMethods(fields: Fields): number {
  const keyMethods = fields.u8(Tag.KEY_METHODS);
  const expected = (keyMethods & KeyMethod.X25519) !== 0;
  if (fields.has(Tag.PUBLIC_KEY) !== expected) {
    throw broken('H-14', `key methods 0x${hex(keyMethods)} ${expected ? 'without' : 'with'} PUBLIC_KEY in ${kindName(fields.kind)}`);
  }
  return keyMethods;
}

function framingName(bytes: Buffer): string {
  for (const byte of bytes) {
    if (byte < 0x20 || byte > 0x7e) throw broken('H-15', 'framing name with other than printable ASCII characters');
  }
  return bytes.toString('latin1');
}

function positive(fields: Fields, tag: number): number {
  const value = fields.u32(tag);
  if (value === 0) throw broken('H-16', `${tagName(tag)} of 0 in ${kindName(fields.kind)}`);
  return value;
}

function ticketBytes(fields: Fields): number {
  return fields.has(Tag.TICKETS) ? positive(fields, Tag.TICKETS) : 0;
}

function ticketNotice(fields: Fields): TicketNotice | undefined {
  const notice = fields.optional(Tag.TICKET_FOLLOWS);
  if (notice === undefined) return undefined;
  const length = fields.u32(Tag.TICKET_FOLLOWS);
  if (fields.has(Tag.TICKET)) throw broken('H-22', 'two tickets in RESUME');
  if (length <= MAX_INLINE_TICKET_BYTES || length > MAX_TICKET_BYTES) throw broken('H-22', `a ticket of ${length} bytes behind RESUME`);
  return { length, digest: notice.subarray(4) };
}

function maxVersion(fields: Fields): number {
  const value = fields.u8(Tag.MAX_VERSION);
  if (value < VERSION) throw broken('H-17', `MAX_VERSION ${value} in a flight of version ${VERSION}`);
  return value;
}

function readPositions(fields: Fields): Positions {
  const at = (index: number): number => fields.u64(Tag.POSITIONS, index * 8);
  const positions = { received: at(0), acked: at(1), limit: at(2), base: at(3), sent: at(4) };
  const { received, acked, limit, base, sent } = positions;
  if (acked > received || acked > limit || base > sent) {
    throw broken('H-19', `positions ${received}, ${acked}, ${limit}, ${base}, ${sent} contradict each other`);
  }
  return positions;
}
