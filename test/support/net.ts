// What integration tests share: a server and a client over each kind of connection, a clock that the test turns, and waiting for events.

import { type EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, connect as dialTcp, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Duplex, duplexPair } from 'node:stream';
import type { CircuitInfo } from '../../lib/circuit.ts';
import { SessionClient } from '../../lib/client.ts';
import type { SessionError } from '../../lib/errors.ts';
import type { Framing } from '../../lib/framing/framing.ts';
import type { SessionClientOptions, SessionServerOptions } from '../../lib/options.ts';
import { Alarm, processRuntime, type Runtime } from '../../lib/runtime.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { ChaosProxy } from '../../lib/testing.ts';
import { clientTls, serverTls } from './tls.ts';

export type CarrierName = 'TCP' | 'TLS 1.3' | 'TLS 1.2' | 'Unix socket' | 'duplex';

/** The kinds of connection that every test of the matrix runs over. */
export const carriers: readonly CarrierName[] = ['TCP', 'TLS 1.3', 'TLS 1.2', 'Unix socket', 'duplex'];

export interface PairOptions<Message> {
  readonly framing: Framing<Message>;
  readonly carrier?: CarrierName;
  /** For both ends. */
  readonly shared?: Partial<Omit<SessionServerOptions<Message>, 'tls' | 'framing'>> &
    Partial<Pick<SessionClientOptions<Message>, 'limits'>>;
  readonly server?: Partial<SessionServerOptions<Message>>;
  readonly client?: Partial<SessionClientOptions<Message>>;
  /** The client dials this port instead: a proxy in front. */
  readonly through?: (port: number) => Promise<number>;
}

/** Both ends of one session. */
export interface Ends<Message> {
  /** The dialing side. */
  readonly near: Session<Message>;
  /** The accepting side. */
  readonly far: Session<Message>;
}

/** A server and a client that knows where it is. Disposing ends both, and every session with them. */
export class Pair<Message> implements AsyncDisposable {
  readonly server: SessionServer<Message>;
  readonly client: SessionClient<Message>;
  readonly clientOptions: SessionClientOptions<Message>;
  readonly port: number;
  readonly #clients: SessionClient<Message>[] = [];
  readonly #folder: string | undefined;

  private constructor(server: SessionServer<Message>, options: SessionClientOptions<Message>, port: number, folder: string | undefined) {
    this.server = server;
    this.clientOptions = options;
    this.port = port;
    this.#folder = folder;
    this.client = this.another();
  }

  static async make<Message>(options: PairOptions<Message>): Promise<Pair<Message>> {
    const { framing, carrier = 'TCP', shared = {}, through = async (port: number) => port } = options;
    const version = carrier === 'TLS 1.2' ? 'TLSv1.2' : 'TLSv1.3';
    const secure = carrier.startsWith('TLS');
    const server = new SessionServer({ framing, ...(secure ? { tls: serverTls(version) } : {}), ...shared, ...options.server });
    const base = { framing, ...(secure ? { tls: clientTls() } : {}), ...shared };
    if (carrier === 'duplex') {
      const connect = (): Duplex => {
        const [near, far] = duplexPair();
        // As on a wire: one end that is gone is the end of the other.
        near.once('close', () => far.destroy());
        far.once('close', () => near.destroy());
        server.accept(far);
        return near;
      };
      return new Pair(server, { ...base, connect, ...options.client }, 0, undefined);
    }
    if (carrier === 'Unix socket') {
      const folder = await mkdtemp(join(tmpdir(), 'outlast-'));
      const path = join(folder, 'server.sock');
      await server.listen({ path });
      return new Pair(server, { ...base, path, ...options.client }, 0, folder);
    }
    const { port } = await server.listen({ port: 0 });
    return new Pair(server, { ...base, port: await through(port), ...options.client }, port, undefined);
  }

  /** Opens a session and waits for the accepting side's `session` event. */
  async open(client: SessionClient<Message> = this.client): Promise<Ends<Message>> {
    const announced = next<[Session<Message>]>(this.server, 'session');
    const near = await client.open();
    const [far] = await announced;
    return { near, far };
  }

  /** One more client of the same server, which is ended with the pair. */
  another(options: Partial<SessionClientOptions<Message>> = {}): SessionClient<Message> {
    const client = new SessionClient({ ...this.clientOptions, ...options });
    this.#clients.push(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) for (const session of client.sessions) session.destroy();
    await this.server.close();
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true });
  }
}

/**
 * A clock that stands still until the test turns it. Everything else is real, so that it can be used with real sockets.
 * `until()` lets it run, a step in each turn of the event loop, until what is awaited has come.
 */
export class VirtualRuntime implements Runtime {
  readonly #alarms: Set<Alarm> = new Set();
  #nowMs: number = 1_000_000;
  /** What random() returns. */
  jitter: number = 0;
  readonly defer: Runtime['defer'] = processRuntime.defer;
  readonly yield: Runtime['yield'] = processRuntime.yield;

  now(): number {
    return this.#nowMs;
  }

  arm(alarm: Alarm, atMs: number): void {
    alarm.dueMs = atMs;
    this.#alarms.add(alarm);
  }

  disarm(alarm: Alarm): void {
    alarm.dueMs = Infinity;
    this.#alarms.delete(alarm);
  }

  random(): number {
    return this.jitter;
  }

  randomBytes(size: number): Buffer {
    return processRuntime.randomBytes(size);
  }

  after<T>(ms: number, task: (argument: T) => void, argument: T): void {
    this.arm(new Alarm(() => task(argument)), this.#nowMs + ms);
  }

  /** Rings what becomes due, in order, each at its own time. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#alarms].filter((alarm) => alarm.dueMs <= untilMs).sort((a, b) => a.dueMs - b.dueMs)[0];
      if (due === undefined) break;
      this.#nowMs = Math.max(this.#nowMs, due.dueMs);
      this.disarm(due);
      due.ring(this.#nowMs);
    }
    this.#nowMs = untilMs;
  }

  /** The host slept: nothing rings before all of the time is over. */
  sleep(ms: number): void {
    this.#nowMs += ms;
    this.advance(0);
  }

  async until<T>(awaited: Promise<T>, stepMs: number = 20): Promise<T> {
    let settled = false;
    const done = (): void => {
      settled = true;
    };
    awaited.then(done, done);
    while (!settled) {
      await turn();
      if (!settled) this.advance(stepMs);
    }
    return awaited;
  }
}

/** One turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** So many turns: long enough for what is on the loopback interface to arrive, where nothing is expected to. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

/** Waits for a condition that an event somewhere makes true; mocha's time limit ends it. */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

/** The next event's arguments. */
export function next<Arguments extends unknown[]>(emitter: EventEmitter<never> | EventEmitter, name: string): Promise<Arguments> {
  return once(emitter as EventEmitter, name) as unknown as Promise<Arguments>;
}

/** The cause of a session's end: undefined when it was clean. */
export async function ended(session: Session<never> | Session<string> | Session<Buffer>): Promise<SessionError | undefined> {
  const [cause] = await next<[SessionError | undefined]>(session as unknown as EventEmitter, 'close');
  return cause;
}

/** What a promise rejects with; fails where it does not. */
export async function rejection(promise: Promise<unknown>): Promise<SessionError> {
  try {
    await promise;
  } catch (error) {
    return error as SessionError;
  }
  throw new Error('it was resolved, where it should have been rejected');
}

/** Reads so many messages and leaves the loop. */
export async function take<Message>(session: Session<Message>, count: number): Promise<Message[]> {
  const messages: Message[] = [];
  for await (const message of session) {
    messages.push(message);
    if (messages.length === count) break;
  }
  return messages;
}

/** Reads to the end. */
export async function takeAll<Message>(session: Session<Message>): Promise<Message[]> {
  const messages: Message[] = [];
  for await (const message of session) messages.push(message);
  return messages;
}

/** Sends everything back until the peer ends. The promise is settled with the loop. */
export async function echo<Message>(session: Session<Message>): Promise<void> {
  for await (const message of session) if (!session.send(message as Message)) await session.drained();
}

/** Refusals of a server, in order. */
export function rejections(server: SessionServer<never> | SessionServer<string> | SessionServer<Buffer>): SessionError[] {
  const errors: SessionError[] = [];
  (server as unknown as EventEmitter).on('rejected', (error: SessionError) => errors.push(error));
  return errors;
}

/** A TCP listener of the test's own. Its sockets are destroyed with it. */
export class Listener implements AsyncDisposable {
  readonly server: Server;
  readonly sockets: Socket[] = [];
  port: number = 0;

  constructor(onSocket: (socket: Socket) => void) {
    this.server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {});
      this.sockets.push(socket);
      onSocket(socket);
    });
  }

  async listen(): Promise<this> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as { port: number }).port;
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }
}

/** Makes a socket look as if it came from there. The seam is CircuitInfo, which is read from the socket. */
export function pretend<S extends Duplex>(socket: S, remoteAddress: string): S {
  Object.defineProperty(socket, 'remoteAddress', { value: remoteAddress, configurable: true });
  return socket;
}

/** A port whose connections the server takes as coming from `addressOf()`, and not from this machine. */
export function remoteDoor<Message>(server: SessionServer<Message>, addressOf: () => string): Promise<Listener> {
  return new Listener((socket) => server.accept(pretend(socket, addressOf()), 'door')).listen();
}

/** A connected TCP socket. */
export async function tcp(port: number): Promise<Socket> {
  // As real clients do: behind an ACK that the kernel holds back, a second small write would wait 40 ms.
  const socket = dialTcp({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** Facts about circuits in the order of `attached`. */
export function circuitsOf(session: Session<never> | Session<string> | Session<Buffer>): CircuitInfo[] {
  const infos: CircuitInfo[] = [];
  (session as unknown as EventEmitter).on('attached', (info: CircuitInfo) => infos.push(info));
  return infos;
}

/** A TCP front whose connections go where the test says: each to the next of `routes`, and when there is none to the server at `port`. */
export class Router implements AsyncDisposable {
  readonly #listener: Listener;
  readonly #onward: Socket[] = [];
  readonly routes: ((socket: Socket) => void)[] = [];
  /** Where connections without a route go. */
  target: number;
  /** Connections so far. */
  count: number = 0;
  /** What clients sent, one Buffer a connection. */
  readonly sent: Buffer[] = [];

  constructor(port: number) {
    this.target = port;
    this.#listener = new Listener((socket) => {
      this.count++;
      const route = this.routes.shift();
      if (route === undefined) this.forward(socket);
      else route(socket);
    });
  }

  async listen(): Promise<number> {
    await this.#listener.listen();
    return this.#listener.port;
  }

  /** The connections of clients, oldest first. */
  get sockets(): readonly Socket[] {
    return this.#listener.sockets;
  }

  forward(socket: Socket): void {
    const place = this.sent.push(Buffer.alloc(0)) - 1;
    const onward = dialTcp({ port: this.target, host: '127.0.0.1', allowHalfOpen: true });
    this.#onward.push(onward);
    onward.on('error', () => socket.destroy());
    onward.on('close', () => socket.destroy());
    socket.on('close', () => onward.destroy());
    socket.on('data', (chunk: Buffer) => {
      this.sent[place] = Buffer.concat([this.sent[place] as Buffer, chunk]);
    });
    socket.pipe(onward);
    onward.pipe(socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#onward) socket.destroy();
    await this.#listener[Symbol.asyncDispose]();
  }
}

/** A pair with a proxy between. Dispose the proxy first: the pair then ends sessions that have no circuit. */
export async function proxied<Message>(options: PairOptions<Message>): Promise<{ pair: Pair<Message>; proxy: ChaosProxy }> {
  let proxy: ChaosProxy | undefined;
  const through = async (port: number): Promise<number> => {
    proxy = new ChaosProxy({ target: { port } });
    return proxy.listen();
  };
  const pair = await Pair.make({ ...options, through });
  return { pair, proxy: proxy as unknown as ChaosProxy };
}

/** A pair with a router between. */
export async function routed<Message>(options: PairOptions<Message>): Promise<{ pair: Pair<Message>; router: Router }> {
  let router: Router | undefined;
  const through = (port: number): Promise<number> => {
    router = new Router(port);
    return router.listen();
  };
  const pair = await Pair.make({ ...options, through });
  return { pair, router: router as unknown as Router };
}
