// The port. In: TCP connections. Out: by their first byte, TLS (looked at once more inside), sessions of ours, and telnet. Here too: what
// Node cannot do about urgent data, done by a line of perl where there is one.

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, TLSSocket, type TlsOptions, type Server as TlsServer } from 'node:tls';
import { SynchRepair } from '../synch.ts';

export interface ListenerOptions {
  readonly tls?: TlsOptions;
  /** Without perl, and for tests of what then happens. */
  readonly inlineUrgent: boolean;
  readonly onSession: (socket: Socket) => void;
  readonly onTelnet: (socket: Socket) => void;
  readonly onRefused: (socket: Socket, why: string) => void;
}

/** First byte of a TLS handshake, and of a preface of ours (PROTOCOL.md). */
const TLS_BYTE = 0x16;
const PREFACE_BYTE = 0x8f;
/** A telnet client that waits for the server to speak waits this long. */
const SNIFF_MS = 300;
const TLS_HANDSHAKE_MS = 10_000;
const KEEP_ALIVE_MS = 30_000;
/** Connections that have not shown what they are. */
const MOST_UNDECIDED = 256;
/** What the kernel queues for a client: behind it ^C takes effect. */
const SEND_BUFFER_BYTES = 131_072;
const PERL = [
  'open(my $s, "+<&=", 3) or die;',
  'setsockopt($s, SOL_SOCKET, SO_OOBINLINE, pack("l", 1)) or die;',
  // Linux doubles it.
  `setsockopt($s, SOL_SOCKET, SO_SNDBUF, pack("l", ${SEND_BUFFER_BYTES / 2})) or die`,
].join('');

export class TelnetListener implements AsyncDisposable {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #tls: TlsServer | null;
  /** Of which nothing is known yet, or no more than that they begin with TLS; by remote address and port. */
  readonly #undecided: Map<string, Socket> = new Map();
  #inlineUrgent = false;
  #closed = true;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }, (socket) =>
      this.accept(socket),
    );
    // It never listens: connections are given to it.
    this.#tls =
      options.tls === undefined
        ? null
        : createTlsServer({ ...options.tls, allowHalfOpen: true, handshakeTimeout: TLS_HANDSHAKE_MS }, (socket) => this.#look(socket));
    this.#tls?.on('tlsClientError', (_error, socket: TLSSocket) => this.#refuse(socket, 'its TLS handshake failed'));
  }

  /** Urgent data of clients arrives whole; otherwise it is repaired as well as that can be. */
  get inlineUrgent(): boolean {
    return this.#inlineUrgent;
  }

  async listen(port: number, host: string): Promise<AddressInfo> {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    this.#closed = false;
    this.#server.once('close', () => {
      this.#closed = true;
    });
    this.#inlineUrgent = this.#options.inlineUrgent && inheritInlineUrgent(this.#server);
    return this.#server.address() as AddressInfo;
  }

  /** Takes a connection that was made elsewhere. */
  accept(socket: Socket): void {
    const place = placeOf(socket);
    this.#undecided.set(place, socket);
    socket.once('close', () => this.#undecided.delete(place));
    if (this.#undecided.size > MOST_UNDECIDED) this.#refuse(socket, 'too many connections that say nothing');
    else this.#look(socket);
  }

  /** Listens no longer, and drops whom nobody knows yet. The others are their sessions' matter. */
  stop(): void {
    this.#server.close();
    for (const socket of this.#undecided.values()) socket.destroy();
  }

  /** Resolves when no connection is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    if (!this.#closed) await once(this.#server, 'close');
  }

  /** Reads the first bytes, and puts them back. */
  #look(socket: Socket): void {
    const decide = (): void => {
      if (timer === null) return;
      clearTimeout(timer);
      timer = null;
      socket.off('readable', decide);
      socket.off('close', decide);
      if (!socket.destroyed) this.#route(socket, socket.read() as Buffer | null);
    };
    let timer: NodeJS.Timeout | null = setTimeout(decide, SNIFF_MS);
    socket.on('error', ignore);
    socket.on('readable', decide);
    socket.on('close', decide);
  }

  #route(socket: Socket, chunk: Buffer | null): void {
    const inTls = socket instanceof TLSSocket;
    const isTls = chunk?.[0] === TLS_BYTE && !inTls;
    const isSession = chunk?.[0] === PREFACE_BYTE;
    // Not before it is known to be telnet: in anything else the repair would find holes that are none.
    const repair = isTls || isSession || inTls || this.#inlineUrgent ? null : repairUrgent(socket);
    if (chunk !== null) socket.unshift(repair === null ? chunk : repair.repair(chunk));
    if (isTls && this.#tls === null) return this.#refuse(socket, 'it speaks TLS, and there is no certificate');
    if (isTls) return void this.#tls?.emit('connection', socket);
    this.#undecided.delete(placeOf(socket));
    if (isSession) this.#options.onSession(socket);
    else this.#options.onTelnet(socket);
  }

  #refuse(socket: Socket, why: string): void {
    this.#options.onRefused(socket, why);
    socket.destroy();
  }
}

/**
 * Node leaves SO_OOBINLINE off, and Linux then takes the urgent byte out of the stream. Accepted sockets inherit it from the one that
 * listens, and that one can be lent to a child.
 */
function inheritInlineUrgent(server: Server): boolean {
  const { fd } = (server as unknown as { readonly _handle: { readonly fd: number } })._handle;
  const { status } = spawnSync('perl', ['-MSocket', '-e', PERL], { stdio: ['ignore', 'ignore', 'ignore', fd], timeout: 5_000 });
  return status === 0;
}

/** Each push() is what one read() gave, which is what the repair needs to see. @returns the repair, for what was read before */
function repairUrgent(socket: Socket): SynchRepair {
  const repair = new SynchRepair();
  const push = socket.push.bind(socket);
  socket.push = (chunk: unknown, encoding?: BufferEncoding): boolean =>
    push(Buffer.isBuffer(chunk) ? repair.repair(chunk) : chunk, encoding);
  return repair;
}

/** A TLS connection and the TCP connection under it have the same. */
function placeOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

function ignore(): void {}
