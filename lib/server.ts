// SessionServer: listens, or is given connections, and announces sessions. Decisions are the Greeter's, handshakes are Greetings.
import { EventEmitter } from 'node:events';
import { type AddressInfo, createServer, type ListenOptions as NetListenOptions, type Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions, TLSSocket, Server as TlsServer } from 'node:tls';
import { bareSession } from './bare.ts';
import { type Broadcast, Broadcaster, type BroadcastOptions } from './broadcast.ts';
import { applicationError } from './causes.ts';
import { Circuit, type CircuitInfo, circuitInfo } from './circuit.ts';
import { CloseCode } from './core/wire.ts';
import { report } from './diagnostics.ts';
import { SessionError } from './errors.ts';
import type { Sendable } from './framing/framing.ts';
import { Greeter } from './greeter.ts';
import { Greeting } from './greeting.ts';
import { integer, invalid, parseShared, type SessionServerOptions, type Settings } from './options.ts';
import { ProxyGate } from './proxy-gate.ts';
import { delay } from './runtime.ts';
import type { Session } from './session.ts';
import { isTlsSocket, tlsModule } from './tls-lazily.ts';
import { type Abortable, aborted } from './waiters.ts';

export interface ListenOptions extends Abortable {
  /** 0: any free one. */
  readonly port?: number;
  /** Default 127.0.0.1: only this machine. '::' is every interface: then think about tls and authenticate. */
  readonly host?: string;
  /** A Unix socket instead of host and port. */
  readonly path?: string;
  /**
   * Connections the kernel may queue; it takes its own net.core.somaxconn where that is less. Default 4,096: whom it turns away
   * when all clients of a restarted server dial at once tries again after a second.
   */
  readonly backlog?: number;
}

export interface SessionServerEvents<Message> {
  /** A session was opened and confirmed; once per session, not per circuit. An async listener that rejects ends that session only. */
  session: [session: Session<Message>];
  /** A connection or handshake was turned away. */
  rejected: [error: SessionError, circuit: CircuitInfo];
  /** A listening socket failed after listen() had succeeded. */
  error: [error: Error];
  close: [];
}

export interface DrainOptions extends Abortable {
  /** Sessions left after this stay as they are; close() ends them. Default 30,000. */
  readonly deadlineMs?: number;
  /** How many sessions are told per second. Default 200: their peers must not all come at once. */
  readonly ratePerSec?: number;
}

/** Between the last frames of close() and the end of its sockets. */
const CLOSE_LINGER_MS = 1_000;

export class SessionServer<Message = Buffer> extends EventEmitter<SessionServerEvents<Message>> implements AsyncDisposable {
  readonly #options: SessionServerOptions<Message>;
  readonly #settings: Settings<Message>;
  readonly #greeter: Greeter<Message>;
  readonly #broadcaster: Broadcaster<Message>;
  readonly #gate: ProxyGate | undefined;
  readonly #listeners = new Set<Server>();
  readonly #circuits = new Set<Circuit>();
  readonly #sessions: ReadonlyMap<string, Session<Message>>;
  // Bare sessions are nobody's to resume, and no registry knows them.
  readonly #bare = new Map<string, Session<Message>>();
  // TCP connections in the middle of their TLS handshake, by remote address and port, oldest first.
  readonly #tlsHandshakes = new Map<string, Socket>();
  #renewed: SecureContextOptions = {};
  #closed: Promise<void> | null = null;
  #stopped: Promise<unknown> | null = null;
  #onEmpty: (() => void) | null = null;

  /** @throws SessionError ERR_INVALID_OPTION */
  constructor(options: SessionServerOptions<Message>) {
    super({ captureRejections: true });
    const settings = parseShared(options);
    if (!['parallel', 'replace', 'reject', undefined].includes(options.onDuplicate))
      throw invalid('onDuplicate', 'must be parallel, replace or reject');
    if (!['auto', 'always', 'never', undefined].includes(options.challenge)) throw invalid('challenge', 'must be auto, always or never');
    if (options.node !== undefined) integer('node', options.node, 0, 255);
    this.#options = options;
    this.#settings = settings;
    const tell = (error: SessionError, socket: Socket): void => this.#rejected(error, circuitInfo(socket, '', false));
    this.#gate = options.proxyProtocol === undefined ? undefined : new ProxyGate(options.proxyProtocol, settings, tell);
    this.#broadcaster = new Broadcaster(settings);
    this.#greeter = new Greeter(options, settings, {
      opened: (session) => this.#opened(session),
      rejected: (error, circuit) => this.#rejected(error, circuit),
      ended: () => this.#ended(),
    });
    this.#sessions = settings.bare ? this.#bare : this.#greeter.registry.sessions;
  }

  static {
    // A rejected async 'session' listener ends that session (captureRejections); other listeners have none to end.
    const value = function rejected(this: SessionServer, error: unknown, event: string, session: unknown): void {
      if (event === 'session')
        (session as Session).destroy(error instanceof Error ? applicationError('the session listener', error) : undefined);
      else this.#tellError(error instanceof Error ? error : new Error(String(error)));
    };
    Object.defineProperty(SessionServer.prototype, EventEmitter.captureRejectionSymbol, { value });
  }

  /** Sessions that live, by id, attached or not. */
  get sessions(): ReadonlyMap<string, Session<Message>> {
    return this.#sessions;
  }

  /** Listens; may be called more than once. @returns where; for a Unix socket the port is 0 and the address its path */
  async listen(options: ListenOptions = {}): Promise<AddressInfo> {
    const { port, host = '127.0.0.1', path, backlog = 4096, signal } = options;
    if (this.#closed !== null) throw new SessionError('ERR_CLOSED', 'listen() on a server that was closed');
    if (path === undefined && (port === undefined || !Number.isInteger(port) || port < 0 || port > 65_535)) {
      throw invalid('port', `must be a whole number from 0 to 65535, not ${String(port)}`);
    }
    if (signal?.aborted) throw aborted(signal);
    const where: NetListenOptions = path === undefined ? { port: port as number, host, backlog } : { path, backlog };
    await this.#greeter.durability?.store.ready();
    const listener = path ?? `${host}:${port}`;
    this.#greeter.listeners.add(listener);
    const server = this.#makeServer(listener);
    this.#gate?.guard(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(where, () => {
        server.removeListener('error', reject);
        resolve();
      });
    });
    server.on('error', (error) => this.#tellError(error));
    this.#listeners.add(server);
    const address = server.address();
    return typeof address === 'string' || address === null ? { address: path ?? '', family: 'unix', port: 0 } : address;
  }

  /** New key and certificates for connections from now on, on all listeners: a renewal without a restart. Those that are open stay. */
  setSecureContext(tls: SecureContextOptions): void {
    if (this.#options.tls === undefined) throw invalid('tls', 'must have been given before it can be renewed');
    this.#renewed = tls;
    for (const server of this.#listeners) (server as TlsServer).setSecureContext(tls);
  }

  /** Takes a connection that was made elsewhere: another server's socket, a test pipe. */
  accept(socket: Duplex, listener = 'accept'): void {
    if (this.#closed !== null) {
      socket.destroy();
      return;
    }
    const source = socket instanceof Socket ? this.#gate?.sourceOf(socket) : undefined;
    const info = circuitInfo(socket, listener, this.#options.tlsTerminated === true, source);
    if (isTlsSocket(socket)) this.#tlsHandshakes.delete(`${socket.remoteAddress} ${socket.remotePort}`);
    const full = this.#circuits.size >= this.#settings.limits.connections;
    if (full || !this.#greeter.admit(info)) {
      socket.on('error', ignore);
      socket.destroy();
      this.#rejected(new SessionError('ERR_BUSY', `too many connections${full ? '' : ` from ${info.remoteAddress}`}`), info);
      return;
    }
    const circuit = new Circuit(socket, info, this.#settings.runtime, this.#circuits);
    if (this.#settings.bare) this.#acceptBare(circuit);
    else Greeting.begin(this.#greeter, circuit);
  }

  /**
   * Sends one message to many sessions, all of this server where `to` is not given, attached or not. It is encoded once, and the sessions
   * share its bytes; each takes it exactly once, in order with what it is sent otherwise, within its own limits.
   * @returns who has not taken it, and who should not be sent more: nobody is left out in silence
   * @throws SessionError and no session has taken it: ERR_INVALID_MESSAGE, ERR_MESSAGE_TOO_LARGE of the framing
   */
  broadcast(message: Message | Sendable<Message>, options: BroadcastOptions<Message> = {}): Broadcast<Message> {
    const { to = this.#sessions.values(), lend = false } = options;
    return this.#broadcaster.send(message as Message, to, lend);
  }

  /**
   * Winds down: no new sessions, every peer and every session here is told `draining`, at most ratePerSec a second. With a store it
   * stops listening, and the sessions told are handed over: they end here with ERR_SHUTDOWN, and another process takes them up.
   * Resolves when none is left or deadlineMs have passed. @returns how many are left; they live on until close()
   */
  async drain(options: DrainOptions = {}): Promise<number> {
    const { deadlineMs = 30_000, ratePerSec = 200, signal } = options;
    integer('deadlineMs', deadlineMs, 0, 0xffff_ffff);
    integer('ratePerSec', ratePerSec, 1, 1_000_000);
    this.#greeter.draining = true;
    const { runtime } = this.#settings;
    const untilMs = runtime.now() + deadlineMs;
    // Sessions in a store go on elsewhere: whoever dials from now on must get there.
    if (this.#greeter.movable) this.#stopListening();
    const moved = new SessionError('ERR_SHUTDOWN', 'the server drains, and another process goes on with this session');
    const leaving: Promise<void>[] = [];
    let told = 0;
    for (const entry of [...this.#greeter.registry.live.values()]) {
      const { driver } = entry;
      if (driver.ended) continue;
      if (told > 0 && told % Math.max(1, Math.floor(ratePerSec / 10)) === 0)
        await this.#pause(Math.min(100, untilMs - runtime.now()), signal);
      const leftMs = Math.max(0, Math.floor(untilMs - runtime.now()));
      const move = driver.durable !== null;
      driver.tellDraining({ deadlineMs: leftMs, move });
      // Cut, its peer dials again at once; told first, it would dial while the record is still ours.
      if (move) leaving.push(this.#greeter.handOver(entry, moved, leftMs));
      else driver.core.drain({ move, deadlineMs: leftMs, spreadMs: 0, address: '' });
      driver.touched();
      told++;
    }
    await Promise.all(leaving);
    await this.#empty(untilMs - runtime.now(), signal);
    return this.#sessions.size;
  }

  /**
   * Stops listening and ends every session with ERR_SHUTDOWN. Call drain() before where that matters. With a store sessions end here only:
   * their records are left clean, and the next process goes on with them.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    const ends = this.#stopListening();
    const shutdown = new SessionError('ERR_SHUTDOWN', 'the server was closed');
    this.#greeter.dropGreetings(shutdown);
    await this.#greeter.letGo(shutdown, CLOSE_LINGER_MS);
    for (const { driver } of [...this.#greeter.registry.live.values()]) driver.fail(CloseCode.SHUTDOWN, shutdown);
    for (const session of [...this.#sessions.values()]) session.destroy(shutdown);
    const closed = [...this.#circuits].map(({ socket }) => new Promise<void>((resolve) => socket.once('close', resolve)));
    // The last frames are on their way: their readers get a moment before the sockets go.
    const stop = new AbortController();
    const lingered = delay(this.#settings.runtime, CLOSE_LINGER_MS, stop.signal).catch(ignore);
    await Promise.race([Promise.all(closed), lingered]);
    stop.abort();
    for (const { socket } of this.#circuits) socket.destroy();
    for (const socket of this.#tlsHandshakes.values()) socket.destroy();
    this.#gate?.close();
    this.#greeter.registry.tombstones.clear();
    this.#greeter.registry.provisional.clear();
    await ends;
    this.emit('close');
  }

  /** @returns when the last connection of the listeners has ended */
  #stopListening(): Promise<unknown> {
    this.#stopped ??= Promise.all([...this.#listeners].map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
    return this.#stopped;
  }

  #makeServer(listener: string): Server {
    const { tls } = this.#options;
    const onSocket = (socket: Socket | TLSSocket): void => this.accept(socket, listener);
    // The rest of half an orderly end is ours to read: the peer's CLOSE, and its FIN.
    const shared = { allowHalfOpen: true, noDelay: true, highWaterMark: this.#settings.limits.socketBytes };
    if (tls === undefined) return createServer(shared, onSocket);
    const server: TlsServer = tlsModule().createServer(
      { ALPNProtocols: ['outlast/1'], handshakeTimeout: this.#settings.limits.handshakeMs, ...tls, ...this.#renewed, ...shared },
      onSocket,
    );
    server.on('connection', (socket) => this.#tlsBegins(socket));
    server.on('tlsClientError', (error, socket) => {
      const info = circuitInfo(socket, listener, false);
      this.#rejected(
        new SessionError('ERR_NOT_OUR_PROTOCOL', 'a connection to the TLS port failed its TLS handshake', { cause: error }),
        info,
      );
      // Node leaves one whose handshake timed out open.
      socket.destroy();
    });
    return server;
  }

  /** Unfinished TLS handshakes are limited like our own: the oldest goes. */
  #tlsBegins(socket: Socket): void {
    // Reset while it waited to be accepted. Node may take that for the end of a client that still reads.
    if (socket.remoteAddress === undefined) {
      socket.destroy();
      return;
    }
    const name = `${socket.remoteAddress} ${socket.remotePort}`;
    this.#tlsHandshakes.set(name, socket);
    socket.once('close', () => {
      if (this.#tlsHandshakes.get(name) === socket) this.#tlsHandshakes.delete(name);
    });
    const { unfinished, connections } = this.#settings.limits;
    if (this.#tlsHandshakes.size <= unfinished && this.#tlsHandshakes.size + this.#circuits.size <= connections) return;
    const oldest = this.#tlsHandshakes.values().next();
    if (!oldest.done) oldest.value.destroy();
  }

  #acceptBare(circuit: Circuit): void {
    const { session, start } = bareSession(circuit, this.#settings, () => {
      this.#bare.delete(session.id);
      this.#ended();
    });
    this.#greeter.welcomed(circuit.info);
    this.#bare.set(session.id, session);
    this.#opened(session);
    start();
  }

  #opened(session: Session<Message>): void {
    report('open', session, undefined);
    try {
      this.emit('session', session);
    } catch (error) {
      session.destroy(applicationError('the session listener', error));
    }
  }

  #ended(): void {
    if (this.#sessions.size === 0) this.#onEmpty?.();
  }

  #rejected(error: SessionError, circuit: CircuitInfo): void {
    report('rejected', { id: '' }, error);
    try {
      this.emit('rejected', error, circuit);
    } catch (thrown) {
      this.#tellError(thrown instanceof Error ? thrown : new Error(String(thrown)));
    }
  }

  /** An error that nobody listens for must not end the process. */
  #tellError(error: Error): void {
    if (this.listenerCount('error') > 0) this.emit('error', error);
  }

  async #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    if (ms <= 0) return;
    await delay(this.#settings.runtime, ms, signal).catch(() => {
      throw aborted(signal as AbortSignal);
    });
  }

  async #empty(ms: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#sessions.size === 0 || ms <= 0) return;
    const stop = new AbortController();
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    const waiting = delay(this.#settings.runtime, ms, signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]));
    try {
      await Promise.race([empty, waiting]);
    } catch (error) {
      if (signal?.aborted) throw aborted(signal);
      throw error;
    } finally {
      this.#onEmpty = null;
      waiting.catch(ignore);
      stop.abort();
    }
  }
}

function ignore(): void {}
