// An Outlast peer by hand, for what no honest end does: flights and frames are written and read one at a time, on either side.

import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  decodeFlight,
  encodeChallenge,
  encodeOpen,
  encodeOpened,
  encodeRejected,
  encodeResume,
  encodeResumed,
  type Flight,
  flightLength,
  macInput,
  type OpenedFlight,
  type OpenFlight,
  type Positions,
  type RejectedFlight,
  type ResumeFlight,
  setMac,
  type TicketNotice,
} from '../../lib/core/handshake.ts';
import { Frame, KeyMethod, putAck, putDataHeader, putFrameHeader, putU64Frame, readU64, writeU16 } from '../../lib/core/wire.ts';
import { lines } from '../../lib/framing/lines.ts';
import { processRuntime } from '../../lib/runtime.ts';
import { deriveKeys, generateKeyPair, type SessionKeys, sharedSecret } from '../../lib/security/keys.ts';
import { tcp } from './net.ts';

export interface RawFrame {
  readonly type: number;
  readonly body: Buffer;
}

/** One connection. What comes in waits until it is asked for. It ends when the other end does. */
export class RawPeer {
  readonly socket: Duplex;
  /** All bytes that came, also those taken already. */
  receivedBytes: number = 0;
  ended: boolean = false;
  closed: boolean = false;
  errorCode: string | undefined = undefined;
  #bytes: Buffer = Buffer.alloc(0);
  #wake: () => void = () => {};

  constructor(socket: Duplex) {
    this.socket = socket;
    const wake = (): void => this.#wake();
    socket.on('data', (chunk: Buffer) => {
      this.receivedBytes += chunk.length;
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      wake();
    });
    socket.on('end', () => {
      this.ended = true;
      socket.end();
      wake();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.errorCode = error.code;
    });
    socket.on('close', () => {
      this.closed = true;
      wake();
    });
  }

  static async dial(port: number): Promise<RawPeer> {
    return new RawPeer(await tcp(port));
  }

  write(...parts: readonly Uint8Array[]): this {
    this.socket.write(Buffer.concat(parts));
    return this;
  }

  /** The next whole flight. */
  async flight(): Promise<{ readonly flight: Flight; readonly bytes: Buffer }> {
    const bytes = await this.#cut('a flight', () => {
      const length = flightLength(this.#bytes, this.#bytes.length);
      return length > 0 && this.#bytes.length >= length ? length : 0;
    });
    return { flight: decodeFlight(bytes), bytes };
  }

  /** The next flight, which must be REJECTED. */
  async rejected(): Promise<RejectedFlight> {
    return (await this.flight()).flight as RejectedFlight;
  }

  async frame(): Promise<RawFrame> {
    const bytes = await this.#cut('a frame', () => {
      if (this.#bytes.length < 4) return 0;
      const length = 4 + this.#bytes.readUIntBE(1, 3);
      return this.#bytes.length >= length ? length : 0;
    });
    return { type: bytes[0] as number, body: bytes.subarray(4) };
  }

  /** The next frame of that type; others are dropped. */
  async frameOf(type: number): Promise<Buffer> {
    for (;;) {
      const frame = await this.frame();
      if (frame.type === type) return frame.body;
    }
  }

  /** Waits until the other end has read all that was written here. */
  async heard(): Promise<void> {
    this.write(frame(Frame.PING, Buffer.alloc(8)));
    await this.frameOf(Frame.PONG);
  }

  /** The stream of the peer from `offset` on, as far as it came in DATA frames, until `bytes` of it are there. */
  async stream(bytes: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let length = 0;
    while (length < bytes) {
      const body = await this.frameOf(Frame.DATA);
      parts.push(body.subarray(8));
      length += body.length - 8;
    }
    return Buffer.concat(parts);
  }

  /** Waits for the end of the connection, and tells how it came. */
  async gone(): Promise<'end' | 'reset'> {
    while (!this.ended && !this.closed) await this.#change();
    return this.ended ? 'end' : 'reset';
  }

  destroy(): void {
    this.socket.destroy();
  }

  async #cut(what: string, lengthOf: () => number): Promise<Buffer> {
    for (;;) {
      const length = lengthOf();
      if (length > 0) {
        const bytes = Buffer.from(this.#bytes.subarray(0, length));
        this.#bytes = this.#bytes.subarray(length);
        return bytes;
      }
      if (this.ended || this.closed) throw new Error(`the connection ended before ${what} came (${this.#bytes.length} bytes wait)`);
      await this.#change();
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** What both ends of a session made by hand know. */
export interface RawSession {
  readonly id: Buffer;
  readonly keys: SessionKeys;
  readonly openBytes: Buffer;
  readonly openedBytes: Buffer;
  readonly open: OpenFlight;
  readonly opened: OpenedFlight;
}

export type OpenFields = Partial<Omit<OpenFlight, 'kind' | 'publicKey'>> & { readonly psk?: Buffer };

const LINES: string = lines().name;
const FRESH: Positions = { received: 0, acked: 0, limit: 2 * 1024 * 1024, base: 0, sent: 0 };

/** OPEN with X25519, by hand. */
export function openFlight(fields: OpenFields, publicKey: Buffer): Buffer {
  const { psk, ...rest } = fields;
  return encodeOpen({
    node: 0,
    nonce: processRuntime.randomBytes(16),
    keyMethods: KeyMethod.X25519 | (psk === undefined ? 0 : KeyMethod.PSK),
    publicKey,
    framing: LINES,
    window: 2 * 1024 * 1024,
    heartbeatMs: 15_000,
    holdMs: 300_000,
    credentials: undefined,
    metadata: undefined,
    maxVersion: 1,
    ticketBytes: 0,
    ...rest,
  });
}

/** Writes OPEN and reads OPENED; CONFIRM is the caller's. */
export async function rawOpen(peer: RawPeer, fields: OpenFields = {}): Promise<RawSession> {
  const pair = generateKeyPair();
  const openBytes = openFlight(fields, pair.publicKey);
  peer.write(openBytes);
  const { flight, bytes } = await peer.flight();
  const opened = flight as OpenedFlight;
  const shared = sharedSecret(pair.privateKey, opened.publicKey as Buffer);
  const keys = deriveKeys({ openBytes, openedBytes: bytes, exporter: undefined, shared, psk: fields.psk });
  if (!keys.verify('opened', [openBytes, macInput(bytes)], undefined, opened.mac)) throw new Error('the MAC of OPENED is wrong');
  return { id: Buffer.from(opened.sessionId), keys, openBytes, openedBytes: bytes, open: decodeFlight(openBytes) as OpenFlight, opened };
}

/** A session that the server at `port` has confirmed, and the connection that carries it. */
export async function rawSession(port: number, fields: OpenFields = {}): Promise<{ readonly peer: RawPeer; readonly session: RawSession }> {
  const peer = await RawPeer.dial(port);
  const session = await rawOpen(peer, fields);
  peer.write(confirmFrame(session));
  return { peer, session };
}

export function confirmFrame(session: RawSession): Buffer {
  return frame(Frame.CONFIRM, session.keys.mac('confirm', [session.openBytes, session.openedBytes], undefined));
}

export interface ResumeFields {
  readonly generation: number;
  readonly instance?: number;
  readonly positions?: Partial<Positions>;
  readonly sessionId?: Buffer;
  readonly ticket?: Buffer;
  readonly ticketFollows?: TicketNotice;
}

/** RESUME with a good MAC. */
export function resumeFlight(session: RawSession, fields: ResumeFields): Buffer {
  const bytes = encodeResume({
    node: 0,
    sessionId: fields.sessionId ?? session.id,
    generation: fields.generation,
    instance: fields.instance ?? 1,
    positions: { ...FRESH, ...fields.positions },
    nonce: processRuntime.randomBytes(16),
    credentials: undefined,
    ticket: fields.ticket,
    ticketFollows: fields.ticketFollows,
    maxVersion: 1,
  });
  setMac(bytes, session.keys.mac('resume', [macInput(bytes)], undefined));
  return bytes;
}

/** The accepting side: connections in the order in which they came. */
export class RawServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #peers: RawPeer[] = [];
  #taken: number = 0;
  #wake: () => void = () => {};
  port: number = 0;

  constructor() {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#peers.push(new RawPeer(socket));
      this.#wake();
    });
  }

  async listen(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as { port: number }).port;
    return this;
  }

  /** Connections so far. */
  get count(): number {
    return this.#peers.length;
  }

  async next(): Promise<RawPeer> {
    while (this.#taken >= this.#peers.length) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#peers[this.#taken++] as RawPeer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#peers) peer.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** Reads OPEN and answers OPENED. */
export async function answerOpen(peer: RawPeer, fields: Partial<OpenedFlight> & { readonly psk?: Buffer } = {}): Promise<RawSession> {
  const { flight, bytes: openBytes } = await peer.flight();
  const open = flight as OpenFlight;
  const pair = generateKeyPair();
  const { psk, ...rest } = fields;
  const openedBytes = encodeOpened({
    node: 0,
    sessionId: processRuntime.randomBytes(16),
    nonce: processRuntime.randomBytes(16),
    keyMethods: KeyMethod.X25519 | (psk === undefined ? 0 : KeyMethod.PSK),
    publicKey: pair.publicKey,
    window: 2 * 1024 * 1024,
    heartbeatMs: open.heartbeatMs,
    holdMs: open.holdMs,
    ticketBytes: 0,
    ...rest,
  });
  const shared = sharedSecret(pair.privateKey, open.publicKey as Buffer);
  const keys = deriveKeys({ openBytes, openedBytes, exporter: undefined, shared, psk });
  setMac(openedBytes, keys.mac('opened', [openBytes, macInput(openedBytes)], undefined));
  const opened = decodeFlight(openedBytes) as OpenedFlight;
  peer.write(openedBytes);
  return { id: Buffer.from(opened.sessionId), keys, openBytes, openedBytes, open, opened };
}

/** Reads RESUME. */
export async function readResume(peer: RawPeer): Promise<{ readonly flight: ResumeFlight; readonly bytes: Buffer }> {
  const { flight, bytes } = await peer.flight();
  return { flight: flight as ResumeFlight, bytes };
}

/** RESUMED with a good MAC. `earlier`: the flights of this circuit before it. */
export function resumedFlight(
  session: RawSession,
  earlier: readonly Buffer[],
  fields: { readonly generation: number; readonly positions?: Partial<Positions> },
): Buffer {
  const bytes = encodeResumed({
    node: 0,
    sessionId: session.id,
    generation: fields.generation,
    positions: { ...FRESH, ...fields.positions },
    nonce: processRuntime.randomBytes(16),
    heartbeatMs: session.opened.heartbeatMs,
    holdMs: session.opened.holdMs,
  });
  setMac(bytes, session.keys.mac('resumed', [...earlier, macInput(bytes)], undefined));
  return bytes;
}

/** REJECTED; with a MAC where the session is given. */
export function rejectedFlight(
  fields: Partial<Omit<RejectedFlight, 'kind' | 'mac'>> & Pick<RejectedFlight, 'code'>,
  seal?: { readonly session: RawSession; readonly earlier: readonly Buffer[] },
): Buffer {
  const sessionId = seal?.session.id ?? Buffer.alloc(16);
  const flight = { sessionId, retryAfterMs: 0, versions: [], positions: undefined, generation: undefined, cause: undefined, reason: '' };
  const bytes = encodeRejected({ ...flight, ...fields }, seal !== undefined);
  if (seal !== undefined) setMac(bytes, seal.session.keys.mac('rejected', [...seal.earlier, macInput(bytes)], undefined));
  return bytes;
}

export function challengeFlight(session: RawSession): Buffer {
  return encodeChallenge({ sessionId: session.id, nonce: processRuntime.randomBytes(32) });
}

// -- frames

export function frame(type: number, body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(4 + body.length);
  putFrameHeader(bytes, 0, type, body.length);
  bytes.set(body, 4);
  return bytes;
}

export function dataFrame(offset: number, payload: string | Buffer): Buffer {
  const bytes = Buffer.from(payload as string);
  const header = Buffer.alloc(12);
  putDataHeader(header, 0, offset, bytes.length);
  return Buffer.concat([header, bytes]);
}

export function ackFrame(acked: number, limit: number): Buffer {
  const bytes = Buffer.alloc(20);
  putAck(bytes, 0, acked, limit);
  return bytes;
}

/** END, SYNC or SUPERSEDED. */
export function offsetFrame(type: number, offset: number): Buffer {
  const bytes = Buffer.alloc(12);
  putU64Frame(bytes, 0, type, offset);
  return bytes;
}

export function closeFrame(code: number, detail: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(2);
  writeU16(head, 0, code);
  return frame(Frame.CLOSE, Buffer.concat([head, detail]));
}

/** The code of a CLOSE's body. */
export function closeCode(body: Buffer): number {
  return body.readUInt16BE(0);
}

/** `acked` of an ACK's body. */
export function ackedOf(body: Buffer): number {
  return readU64(body, 0);
}
