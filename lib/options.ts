// Options and limits: parsed once into frozen records, so that everything behind is total. Each default stands beside its reason.
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import type { Duplex } from 'node:stream';
import type { ConnectionOptions, TlsOptions } from 'node:tls';
import { type Budget, processBudget } from './budget.ts';
import type { CircuitInfo } from './circuit.ts';
import { Coalescer } from './coalescer.ts';
import type { CoreRules } from './core/session-core.ts';
import { SessionError } from './errors.ts';
import { FlushQueue } from './flush-queue.ts';
import type { Framing } from './framing/framing.ts';
import { processRuntime, type Runtime } from './runtime.ts';
import { parsePsk } from './security/keys.ts';
import type { Store, TicketRegister } from './stores/store.ts';
import { Turns } from './turns.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const FILES_UNKNOWN = 1_000_000;

/** Every limit, in bytes or in count. All have defaults; see docs/operations.md for how to size them. */
export interface Limits {
  /** Largest message, framing excluded. 1 MiB: what MQTT brokers and Socket.IO allow; must fit the window. */
  readonly messageBytes: number;
  /** Most messages in one array of batches(). 1,024: about one read of tiny messages, 100 KiB of objects. */
  readonly batchMessages: number;
  /** send() returns false while more than this waits that no circuit has carried. 1 MiB: half a window. */
  readonly outboxHighWater: number;
  /** send() throws above this, replay and outbox together. 8 MiB; at least twice highWater plus the largest message. */
  readonly outboxHardCap: number;
  /** Segments of the replay before small ones are merged. 16,384: one per flush, about 2 MiB of bookkeeping. */
  readonly replaySegments: number;
  /** All buffers of all sessions of the process. 512 MiB or a quarter of the memory, whichever is less. */
  readonly processBytes: number;
  /** What one socket may queue beyond the kernel's own buffer. 256 KiB: a PONG must not wait behind megabytes. */
  readonly socketBytes: number;
  /** An ACK with no other reason waits this long for company: only its memory waits at the sender. 200 ms: RFC 1122 §4.2.3.2 allows 500. */
  readonly ackDelayMs: number;
  /** No write completed and nothing heard. 20 s: 10 s killed slow links of yamux (yamux#142). */
  readonly writeStallMs: number;
  /** Frames a second that advance nothing, and how many at once. An honest peer sends one per heartbeat. */
  readonly controlPerSecond: number;
  readonly controlBurst: number;
  /** All bytes of a handshake must arrive within this. 5 s: two retransmissions on a bad link. */
  readonly handshakeMs: number;
  /** authenticate() and authorizeResume() have this long of their own. */
  readonly hookMs: number;
  /** TCP connect and TLS handshake of one attempt. */
  readonly connectMs: number;
  /** Connections at once, finished or not. 80 % of the files that the system lets this process open, less 64 for everything else. */
  readonly connections: number;
  /**
   * Handshakes not finished, per address and in all: 64, and 1,024 or half of `connections`. The oldest goes. Loopback, Unix sockets and
   * trusted proxies are exempt from all per-address limits.
   */
  readonly unfinishedPerAddress: number;
  readonly unfinished: number;
  /** Connections taken per second and address, and how many at once. */
  readonly acceptsPerSecond: number;
  readonly acceptsBurst: number;
  /** Failed handshakes per minute and address (IPv6: per /64), never per session id: else whoever reads an id could lock its owner out. */
  readonly failuresPerMinute: number;
  readonly sessionsPerAddress: number;
  readonly sessionsPerPrincipal: number;
  readonly sessions: number;
  /** Sessions opened and not confirmed yet. */
  readonly provisional: number;
  /** Ended sessions remembered, so that a peer that was away learns how they ended. */
  readonly tombstones: number;
  /** Accepted resumes that change the process, per session and 10 s. Two processes that fight over one identity are slowed down. */
  readonly takeovers: number;
}

const connections = Math.max(16, Math.floor(0.8 * (filesMost() - 64)));

const defaultLimits: Limits = {
  messageBytes: MIB,
  batchMessages: 1024,
  outboxHighWater: MIB,
  outboxHardCap: 8 * MIB,
  replaySegments: 16_384,
  processBytes: Math.min(512 * MIB, Math.floor(totalmem() / 4)),
  socketBytes: 256 * KIB,
  ackDelayMs: 200,
  writeStallMs: 20_000,
  controlPerSecond: 100,
  controlBurst: 200,
  handshakeMs: 5_000,
  hookMs: 10_000,
  connectMs: 10_000,
  connections,
  unfinishedPerAddress: 64,
  unfinished: Math.min(1024, connections >> 1),
  acceptsPerSecond: 30,
  acceptsBurst: 60,
  failuresPerMinute: 20,
  sessionsPerAddress: 256,
  sessionsPerPrincipal: 16,
  sessions: 100_000,
  provisional: 1024,
  tombstones: 65_536,
  takeovers: 5,
};

/** Heartbeats outside of this are refused by PROTOCOL.md. */
export const HEARTBEAT_MS: { readonly min: number; readonly max: number } = { min: 1_000, max: 300_000 };

/** Most metadata of an OPEN: an opened session that nobody has confirmed must cost less than 1 KiB. */
export const METADATA_MOST_BYTES = 512;

export interface SharedOptions<Message> {
  /** Cuts the byte stream into messages. Both ends need the same. */
  readonly framing: Framing<Message>;
  /** Each end writes something this often. 15 s: below the idle timeout of common NATs and balancers (60 s). The smaller of both. */
  readonly heartbeatMs?: number;
  /** How long a session outlives its circuit. 300 s: as XMPP servers do. The client asks, the server grants at most its own. */
  readonly holdMs?: number;
  /** Inbound bytes that may be on their way unconsumed. 2 MiB: 100 Mbit/s at 160 ms. Fixed when the session opens. */
  readonly window?: number;
  /**
   * Messages of a session are gathered for so many ms, or until they fill 64 KiB, and written at once: fewer, larger writes for as much
   * more delay. Acks, heartbeats, flushed(), end() and resumes do not wait. 0-1,000. 0: what one turn of the event loop sends is one write.
   */
  readonly flushMs?: number;
  /** A secret of at least 16 random bytes that both ends know. It is mixed into the keys and never sent. */
  readonly psk?: Uint8Array;
  /** false: when the peer has ended and all is consumed, this side ends too. true: it stays open until end(). Default false. */
  readonly allowHalfOpen?: boolean;
  /** Where sessions outlive the process: memoryStore, lmdbStore, redisStore, or one of your own. */
  readonly store?: Store;
  /**
   * memory: a session lives as long as its process. commit: each message acts once on session.data and on what the session sends,
   * whatever crashes; acks and outputs wait for the store. detach (servers): written while no circuit carries the session; a crash is told,
   * and nothing silently runs again. Default: commit with a store, memory without.
   */
  readonly durability?: 'memory' | 'detach' | 'commit';
  /** Speak no session protocol: bytes and framing only, and the session lives as long as its one connection. */
  readonly bare?: boolean;
  readonly limits?: Partial<Limits>;
  /** The world: clock, timers, randomness. Only tests set it. */
  readonly runtime?: Runtime;
}

/** What a client said when it opened a session. */
export interface Hello {
  /** As given by the client; empty when it gave none. */
  readonly credentials: Buffer;
  readonly metadata: Buffer;
  readonly circuit: CircuitInfo;
}

/** What resumeFrom() is asked about. */
export interface RestoredSession {
  readonly id: string;
  readonly principal: string | undefined;
  readonly metadata: Buffer;
  readonly data: unknown;
}

/** What authorizeResume() is asked about. */
export interface ResumeRequest {
  readonly id: string;
  readonly principal: string | undefined;
  /** Credentials repeated with the resume; empty when there were none. */
  readonly credentials: Buffer;
  /** The circuit that opened the session, and the one that asks. */
  readonly opened: CircuitInfo;
  readonly circuit: CircuitInfo;
}

/** A circuit from the same listener, with the same TLS server name and client certificate, and no weaker transport. */
export function sameOrigin(request: ResumeRequest): boolean {
  const { opened, circuit } = request;
  if (opened.secure && !circuit.secure) return false;
  return opened.listener === circuit.listener && opened.serverName === circuit.serverName && opened.certificate === circuit.certificate;
}

export interface SessionServerOptions<Message> extends SharedOptions<Message> {
  /** Listen with TLS; passed to tls.createServer. ALPN `outlast/1` is offered. */
  readonly tls?: TlsOptions;
  /** TLS ends at a balancer in front: circuits count as secure although they arrive as plain TCP. */
  readonly tlsTerminated?: boolean;
  /**
   * Who is this? A principal's name, true for a nameless one, false to refuse. Asked once, when a session opens.
   * Without it everybody who reaches the port may open a session.
   */
  readonly authenticate?: (hello: Hello, options: { readonly signal: AbortSignal }) => Verdict | Promise<Verdict>;
  /** May this circuit take the session up again? Asked at every resume, behind a good MAC. Default: sameOrigin. */
  readonly authorizeResume?: (request: ResumeRequest, options: { readonly signal: AbortSignal }) => boolean | Promise<boolean>;
  /**
   * Asked for each session taken from the store: the cursor that the application's own database has for it; 0 for none. Messages up to
   * there are not handed out again. What they sent counts as far as the store has it.
   */
  readonly resumeFrom?: (session: RestoredSession) => number | Promise<number>;
  /** What a principal's second session means. Default: parallel. */
  readonly onDuplicate?: 'parallel' | 'replace' | 'reject';
  /** Ask every resume for a proof of freshness. auto: only on plain TCP that leaves the machine. */
  readonly challenge?: 'auto' | 'always' | 'never';
  /** Hint for load balancers, 1-255, given to clients for their next dial; 0: none. */
  readonly node?: number;
  /**
   * A resume of a session that another process has live: `takeover` (default) takes it over; `redirect` sends the client there, as long as
   * that process runs. Needs `address`, and clients that have the addresses of all servers in their list.
   */
  readonly peering?: 'takeover' | 'redirect';
  /** Where clients dial this server, as in their lists: `host:port`, or the path of a Unix socket. */
  readonly address?: string;
  /** Addresses exempt from per-address limits, because a proxy speaks for many clients. */
  readonly trustedProxies?: readonly string[];
  /**
   * Keep sessions with their clients instead of in a store: each boundary is sealed into a ticket, which the client shows when it comes
   * back, to any node with the same keyring. As exact as durability 'commit' for a client that shows its newest ticket. Sessions of
   * clients that keep none live in memory.
   */
  readonly tickets?: TicketRing;
  /** Refuses, with STATE_LOST, a ticket that is older than one which its client is known to have. Default: an older ticket is taken. */
  readonly ticketRegister?: TicketRegister;
  /** Proxies that send a PROXY header, version 1 or 2, in front of each connection that listen() takes. */
  readonly proxyProtocol?: ProxyProtocolOptions;
}

/** What seals tickets and opens them: a `keyring` of `outlast/tickets`. */
export interface TicketRing {
  readonly ticketBytes: number;
  readonly lifetimeMs: number;
  /** @throws SessionError ERR_MESSAGE_TOO_LARGE */
  seal(purpose: string, record: Uint8Array, data: Uint8Array): Buffer;
  /** @returns why the ticket is refused, or what is in it */
  open(purpose: string, ticket: Uint8Array): { readonly record: Buffer; readonly data: Buffer } | string;
}

export interface ProxyProtocolOptions {
  /** Their addresses or CIDR ranges. From these the header is needed, from all others it is refused. */
  readonly trust: readonly string[];
}

export type Verdict = string | boolean;

/** One place to dial. */
export type Address = { readonly host?: string; readonly port: number } | { readonly path: string };

export interface SessionClientOptions<Message> extends SharedOptions<Message> {
  readonly host?: string;
  readonly port?: number;
  /** A Unix socket. */
  readonly path?: string;
  /** Several places, tried in turn. Instead of host, port and path. */
  readonly addresses?: readonly Address[];
  /** Dial with TLS; passed to tls.connect. */
  readonly tls?: ConnectionOptions | true;
  /** A TLS terminator stands before the server: agree on keys by X25519 and do not bind them to the TLS connection. */
  readonly tlsTerminated?: boolean;
  /** Proves who this is. Sent in OPEN: on plain TCP whoever reads the wire reads it. */
  readonly credentials?: Uint8Array | string | (() => Uint8Array | string | Promise<Uint8Array | string>);
  readonly allowCleartextCredentials?: boolean;
  /** Anything the server's application should know before the first message. */
  readonly metadata?: Uint8Array | string;
  /** Makes the connection itself instead: a proxy, a serial line, a test pipe. */
  readonly connect?: (address: Address | undefined, options: { readonly signal: AbortSignal }) => Duplex | Promise<Duplex>;
}

/** Options of both ends after parsing. */
export interface Settings<Message> {
  readonly framing: Framing<Message>;
  readonly heartbeatMs: number;
  readonly holdMs: number;
  readonly window: number;
  /** Gathers what sessions have to say; null: nothing waits. */
  readonly coalescer: Coalescer | null;
  readonly flushes: FlushQueue;
  readonly psk: Buffer | undefined;
  readonly allowHalfOpen: boolean;
  readonly bare: boolean;
  readonly durability: 'memory' | 'detach' | 'commit';
  readonly limits: Limits;
  /** The framing, and the limits with what only the core looks at. */
  readonly rules: CoreRules<Message>;
  readonly runtime: Runtime;
  readonly turns: Turns;
  /** Of the whole process. */
  readonly budget: Budget;
}

/** @throws SessionError ERR_INVALID_OPTION that names the option, its value and its range. */
export function parseShared<Message>(options: SharedOptions<Message>): Settings<Message> {
  if (typeof options !== 'object' || options === null) throw invalid('options', 'must be an object with at least a framing');
  const { framing } = options;
  if (typeof framing?.decoder !== 'function' || typeof framing.encoder !== 'function')
    throw invalid('framing', 'must be a Framing, such as lines()');
  if (!/^[\x21-\x7e]{1,64}$/.test(framing.name)) throw invalid('framing.name', 'must be 1 to 64 printable ASCII characters');
  const limits = parseLimits(options.limits ?? {});
  const window = integer('window', options.window ?? 2 * MIB, 4 * KIB, 1024 * MIB);
  // Half a window would do; a whole message and its framing must be able to be on their way at once.
  if (limits.messageBytes + FRAMING_OVERHEAD_BYTES > window && !options.bare) {
    throw invalid(
      'limits.messageBytes',
      `${limits.messageBytes} plus ${FRAMING_OVERHEAD_BYTES} of framing must fit the window of ${window}`,
    );
  }
  const runtime = options.runtime ?? processRuntime;
  const coreLimits = Object.freeze({ ...limits, checkLent: process.env.NODE_ENV === 'development' });
  const flushMs = integer('flushMs', options.flushMs ?? 0, 0, 1_000);
  return Object.freeze({
    framing,
    heartbeatMs: integer('heartbeatMs', options.heartbeatMs ?? 15_000, HEARTBEAT_MS.min, HEARTBEAT_MS.max),
    holdMs: integer('holdMs', options.holdMs ?? 300_000, 0, 30 * 24 * 3_600_000),
    window,
    coalescer: flushMs === 0 ? null : new Coalescer(runtime, flushMs),
    flushes: new FlushQueue(runtime),
    psk: options.psk === undefined ? undefined : parsePsk(options.psk),
    allowHalfOpen: options.allowHalfOpen ?? false,
    bare: options.bare ?? false,
    durability: parseDurability(options),
    limits,
    rules: Object.freeze({ framing, limits: coreLimits }),
    runtime,
    turns: new Turns(runtime),
    budget: processBudget(limits.processBytes),
  });
}

function parseDurability<Message>(options: SharedOptions<Message> & { readonly tickets?: TicketRing }): 'memory' | 'detach' | 'commit' {
  if (options.tickets !== undefined) return parseTickets(options);
  const { store, durability = store === undefined ? 'memory' : 'commit', bare } = options;
  if (!['memory', 'detach', 'commit'].includes(durability)) throw invalid('durability', 'must be memory, detach or commit');
  if (durability === 'memory') return durability;
  if (store === undefined) throw invalid('store', `must be given with durability '${durability}'`);
  if (bare) throw invalid('durability', "must be 'memory' for bare sessions, which end with their connection");
  return durability;
}

function parseTickets<Message>(options: SharedOptions<Message>): 'commit' {
  if (options.store !== undefined) throw invalid('tickets', 'must not be given with a store: a session has its record in one place');
  if (options.durability !== undefined && options.durability !== 'commit') throw invalid('durability', "must be 'commit' with tickets");
  if (options.bare) throw invalid('tickets', 'must not be given for bare sessions, which end with their connection');
  return 'commit';
}

// Room for headers, delimiters and escapes of the largest message; slip and cobs may need more, and are told so at send().
const FRAMING_OVERHEAD_BYTES = 1024;

/** Node raises the soft limit to the hard one. Where the system does not tell, it is taken for many. */
function filesMost(): number {
  try {
    return Number(/^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1] ?? FILES_UNKNOWN);
  } catch {
    return FILES_UNKNOWN;
  }
}

function parseLimits(given: Partial<Limits>): Limits {
  const limits = { ...defaultLimits } as Record<keyof Limits, number>;
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(defaultLimits, name)) throw invalid(`limits.${name}`, 'is not a limit');
    if (value !== undefined) limits[name as keyof Limits] = integer(`limits.${name}`, value, 1, Number.MAX_SAFE_INTEGER);
  }
  const least = 2 * (limits.outboxHighWater + limits.messageBytes);
  if (given.outboxHardCap === undefined) limits.outboxHardCap = Math.max(limits.outboxHardCap, least);
  if (limits.outboxHardCap < least) {
    throw invalid('limits.outboxHardCap', `must be at least 2 × (outboxHighWater + messageBytes) = ${least}, not ${limits.outboxHardCap}`);
  }
  return Object.freeze(limits);
}

export function integer(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
    throw invalid(name, `must be a whole number from ${min} to ${max}, not ${String(value)}`);
  }
  return value;
}

export function invalid(name: string, rule: string): SessionError {
  return new SessionError('ERR_INVALID_OPTION', `option ${name} ${rule}`);
}
