// The port. In: TCP connections. Out: by their first byte, TLS (looked at once more inside), sessions of ours, and telnet. Here too: what
// Node cannot do about urgent data, done by a line of perl where there is one.

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions, type Server as TlsServer } from 'node:tls';
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
/** Connections of which nothing is known yet. */
const MOST_UNKNOWN = 256;
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
  readonly #sockets: Set<Socket> = new Set();
  #unknown = 0;
  #inlineUrgent = false;

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
    this.#inlineUrgent = this.#options.inlineUrgent && inheritInlineUrgent(this.#server);
    return this.#server.address() as AddressInfo;
  }

  /** Takes a connection that was made elsewhere. */
  accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', ignore);
    if (this.#unknown >= MOST_UNKNOWN) return this.#refuse(socket, 'too many connections that say nothing');
    if (!this.#inlineUrgent) repairUrgent(socket);
    this.#look(socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, 'close') : Promise.resolve();
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Reads the first bytes, and puts them back. */
  #look(socket: Socket): void {
    this.#unknown++;
    const decide = (): void => {
      if (timer === null) return;
      clearTimeout(timer);
      timer = null;
      this.#unknown--;
      socket.off('readable', decide);
      socket.off('close', decide);
      if (socket.destroyed) return;
      const chunk = socket.read() as Buffer | null;
      if (chunk !== null) socket.unshift(chunk);
      this.#route(socket, chunk?.[0]);
    };
    let timer: NodeJS.Timeout | null = setTimeout(decide, SNIFF_MS);
    socket.on('error', ignore);
    socket.on('readable', decide);
    socket.on('close', decide);
  }

  #route(socket: Socket, first: number | undefined): void {
    if (first === PREFACE_BYTE) this.#options.onSession(socket);
    else if (first !== TLS_BYTE || 'encrypted' in socket) this.#options.onTelnet(socket);
    else if (this.#tls === null) this.#refuse(socket, 'it speaks TLS, and there is no certificate');
    else this.#tls.emit('connection', socket);
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

/** Each push() is what one read() gave, which is what the repair needs to see. */
function repairUrgent(socket: Socket): void {
  const repair = new SynchRepair();
  const push = socket.push.bind(socket);
  socket.push = (chunk: unknown, encoding?: BufferEncoding): boolean =>
    push(Buffer.isBuffer(chunk) ? repair.repair(chunk) : chunk, encoding);
}

function ignore(): void {}
