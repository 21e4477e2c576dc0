// Circuit: one connection while it carries a session or a handshake. Bytes in go to its owner, one write per flush goes out,
// and its end is told once. It knows sockets and nothing of the protocol.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { SessionError } from './errors.ts';
import { Alarm, type Runtime } from './runtime.ts';
import { isTlsSocket } from './tls-lazily.ts';

/** Facts about a connection, safe to log. */
export interface CircuitInfo {
  readonly transport: 'tcp' | 'tls' | 'unix' | 'duplex';
  /** Empty for Unix sockets and other duplexes. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Loopback, a Unix socket, or a duplex that the application made. */
  readonly local: boolean;
  /** TLS here, or at a terminator that the server was told of. */
  readonly secure: boolean;
  /** As Node names it, `TLSv1.3`; absent without a finished TLS handshake here. */
  readonly tlsVersion?: string;
  /** Which listener took it. */
  readonly listener: string;
  /** TLS server name that the client asked for; empty without TLS. */
  readonly serverName: string;
  /** SHA-256 fingerprint of the verified client certificate; empty without one. */
  readonly certificate: string;
}

export interface CircuitOwner {
  /** Takes chunk[at, end). @returns the index reached; less than the end: call again when others had their turn. */
  circuitData(circuit: Circuit, chunk: Buffer, at: number): number;
  /** The socket took what it had queued. */
  circuitWritable(circuit: Circuit): void;
  /** The connection is over; called once, and not after release(). */
  circuitLost(circuit: Circuit, error: SessionError): void;
  /** The peer ended its half, which for a bare session is the end of its stream. @returns whether the circuit goes on. */
  circuitEnded?(circuit: Circuit): boolean;
}

/** Read on until the peer ends its half too, but not for ever. */
const LINGER_MS = 5_000;

export class Circuit {
  readonly info: CircuitInfo;
  readonly #socket: Duplex;
  readonly #runtime: Runtime;
  /** Those of its server; it leaves them when its socket has closed. */
  readonly #others: Set<Circuit> | undefined;
  #owner: CircuitOwner | null = null;
  #rest: Buffer | null = null;
  #restAt = 0;
  #held = false;
  #over = false;
  #peerEnded = false;
  /** Set while it ends in order. */
  #linger: Alarm | null = null;

  /** @param others it is among them until its socket has closed */
  constructor(socket: Duplex, info: CircuitInfo, runtime: Runtime, others?: Set<Circuit>) {
    this.#socket = socket;
    this.info = info;
    this.#runtime = runtime;
    this.#others = others;
    others?.add(this);
    if (socket instanceof Socket) socket.setNoDelay(true);
    (socket as CarryingDuplex)[carried] = this;
    socket.on('data', onSocketData);
    socket.on('drain', onSocketDrain);
    socket.on('end', onSocketEnd);
    socket.on('error', onSocketError);
    socket.on('close', onSocketClose);
  }

  /** The handshake hands the circuit over to the session. */
  set owner(owner: CircuitOwner) {
    this.#owner = owner;
  }

  get socket(): Duplex {
    return this.#socket;
  }

  /** Bytes that the socket queues because the kernel did not take them. */
  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  /** Only a kernel socket copies what it is given; any other duplex may hand our memory to somebody who keeps it. */
  #copies(): boolean {
    return this.info.transport !== 'duplex';
  }

  /** The socket holds none of the memory it was given, so acked slabs may be used again. */
  get recyclable(): boolean {
    return !this.#copies() || this.#socket.writableLength === 0;
  }

  /** The peer ended its half in order. */
  get peerEnded(): boolean {
    return this.#peerEnded;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Writes all buffers as one. */
  write(buffers: Buffer[]): void {
    if (this.#over || this.#socket.writableEnded || buffers.length === 0) return;
    const socket = this.#socket;
    if (!this.#copies()) {
      const joined = Buffer.concat(buffers);
      // Emptied first: a duplex may hand the bytes over, and so make its other end write, before write() returns.
      buffers.length = 0;
      socket.write(joined);
      return;
    }
    if (buffers.length === 1) {
      socket.write(buffers[0] as Buffer);
      return;
    }
    let bytes = 0;
    for (const buffer of buffers) bytes += buffer.length;
    // Joined while small: one TLS record and one system call. Above, writev without a copy.
    if (bytes <= JOIN_BYTES) {
      socket.write(Buffer.concat(buffers, bytes));
      return;
    }
    socket.cork();
    for (const buffer of buffers) socket.write(buffer);
    socket.uncork();
  }

  /** Stops handing bytes over, and starts again: while a newer circuit is being tried, or a verdict awaited. */
  set held(held: boolean) {
    if (this.#held === held) return;
    this.#held = held;
    if (held) this.#socket.pause();
    else if (this.#rest !== null) this.#runtime.yield(continueReading, this);
    else this.#socket.resume();
  }

  /** Ends our half and nothing else. */
  end(): void {
    if (!this.#over && !this.#socket.writableEnded) this.#socket.end();
  }

  /** Ends in order: our half now, then reads until the peer's end, destroys late. Closing with unread bytes would make the kernel reset. */
  finish(lingerMs: number = LINGER_MS): void {
    if (this.#over || this.#linger !== null) return;
    this.#linger = new Alarm(() => this.destroy());
    this.held = false;
    this.#socket.end();
    if (this.#socket.readableEnded) this.destroy();
    else this.#runtime.arm(this.#linger, this.#runtime.now() + lingerMs);
  }

  /** Ends at once, with a reset where there is one: the peer must not take it for an orderly end. */
  destroy(): void {
    if (this.#over) return;
    this.#close(null);
    const socket = this.#socket;
    // While a FIN is being sent libuv refuses to reset (EINVAL), and Node then never closes the handle.
    const ending = socket.writableEnded && !socket.writableFinished;
    if (this.info.transport === 'tcp' && socket instanceof Socket && !ending) socket.resetAndDestroy();
    else socket.destroy();
  }

  /** From now on nobody is told anything: the circuit was replaced. */
  release(): void {
    this.#owner = null;
    this.#rest = null;
  }

  /** @internal */
  onData(chunk: Buffer): void {
    if (this.#owner === null || this.#over) return;
    if (this.#rest !== null) {
      // Only after pause() raced with a read: order is kept, and the next read waits.
      this.#rest = Buffer.concat([this.#rest.subarray(this.#restAt), chunk]);
      this.#restAt = 0;
      return;
    }
    this.#read(chunk, 0);
  }

  /** @internal */
  continueReading(): void {
    const rest = this.#rest;
    if (rest === null || this.#held || this.#over) return;
    this.#rest = null;
    this.#read(rest, this.#restAt);
    if (this.#rest === null && !this.#held && !this.#over) this.#socket.resume();
  }

  #read(chunk: Buffer, at: number): void {
    const owner = this.#owner;
    if (owner === null) return;
    const reached = this.#held ? at : owner.circuitData(this, chunk, at);
    if (reached >= chunk.length || this.#over) return;
    this.#rest = chunk;
    this.#restAt = reached;
    this.#socket.pause();
    if (!this.#held) this.#runtime.yield(continueReading, this);
  }

  /** @internal */
  onDrain(): void {
    this.#owner?.circuitWritable(this);
  }

  /** @internal The peer ended its half. Without a CLOSE before it, that is a loss like any other. */
  onEnd(): void {
    // What was read before the end counts, even if its turn has not come.
    while (this.#rest !== null && !this.#held && !this.#over) {
      const rest = this.#rest;
      this.#rest = null;
      this.#read(rest, this.#restAt);
    }
    this.#peerEnded = true;
    if (this.#linger !== null) this.destroy();
    else if (this.#owner?.circuitEnded?.(this) !== true)
      this.#close(new SessionError('ERR_CIRCUIT_LOST', 'the other end closed the connection'));
  }

  /** @internal */
  onError(cause: Error): void {
    this.#close(
      new SessionError('ERR_CIRCUIT_LOST', `the connection failed (${(cause as NodeJS.ErrnoException).code ?? cause.message})`, { cause }),
    );
  }

  /** @internal */
  onClose(): void {
    this.#others?.delete(this);
    if (!this.#over) this.#close(new SessionError('ERR_CIRCUIT_LOST', 'the connection was closed'));
  }

  #close(error: SessionError | null): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#linger !== null) this.#runtime.disarm(this.#linger);
    const owner = this.#owner;
    this.#owner = null;
    this.#rest = null;
    if (error === null) return;
    this.#socket.destroy();
    owner?.circuitLost(this, error);
  }
}

const JOIN_BYTES = 16_384;

// Hoisted listeners that find their circuit on the socket: no closure per connection and event.
const carried: unique symbol = Symbol('circuit');
interface CarryingDuplex extends Duplex {
  [carried]?: Circuit;
}

function onSocketData(this: CarryingDuplex, chunk: Buffer): void {
  this[carried]?.onData(chunk);
}

function onSocketDrain(this: CarryingDuplex): void {
  this[carried]?.onDrain();
}

function onSocketEnd(this: CarryingDuplex): void {
  this[carried]?.onEnd();
}

function onSocketError(this: CarryingDuplex, error: Error): void {
  this[carried]?.onError(error);
}

function onSocketClose(this: CarryingDuplex): void {
  this[carried]?.onClose();
}

function continueReading(circuit: Circuit): void {
  circuit.continueReading();
}

/** Facts of a socket as far as they are known now. @param source who is at the other end of a proxy */
export function circuitInfo(
  socket: Duplex,
  listener: string,
  secureElsewhere: boolean,
  source?: { readonly address: string; readonly port: number },
): CircuitInfo {
  const tls = isTlsSocket(socket);
  const remoteAddress = source?.address ?? (socket instanceof Socket ? (socket.remoteAddress ?? '') : '');
  const transport = tls ? 'tls' : !(socket instanceof Socket) ? 'duplex' : remoteAddress === '' ? 'unix' : 'tcp';
  const named = tls ? (socket as TLSSocket & { servername?: string | false }).servername : '';
  // Asked of a handshake that has failed, Node 20 crashes (its SSL is gone already). alpnProtocol is null until it is over.
  const shaken = tls && socket.alpnProtocol !== null && !socket.destroyed;
  const certificate = tls && socket.authorized ? (socket.getPeerCertificate()?.fingerprint256 ?? '') : '';
  return {
    transport,
    remoteAddress,
    remotePort: source?.port ?? (socket instanceof Socket ? (socket.remotePort ?? 0) : 0),
    local: transport === 'unix' || transport === 'duplex' || isLoopback(remoteAddress),
    secure: tls || secureElsewhere,
    ...(shaken ? { tlsVersion: socket.getProtocol() ?? '' } : {}),
    listener,
    serverName: typeof named === 'string' ? named : '',
    certificate,
  };
}

export function isLoopback(address: string): boolean {
  const bare = address.startsWith('::ffff:') ? address.slice(7) : address;
  return bare === '::1' || bare === 'localhost' || /^127\.\d+\.\d+\.\d+$/.test(bare);
}
