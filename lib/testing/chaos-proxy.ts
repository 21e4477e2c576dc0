// A TCP proxy on the loopback interface that misbehaves on purpose, repeatably. Clients connect to its port, it dials the target, and every
// connection gets the faults of a plan made from a seed; commands add faults at any time. For tests, ours and those of users.

import { connect, createServer, type Server, type Socket } from 'node:net';
import { SessionError } from '../errors.ts';
import { ChaosCircuit, type CircuitObserver, type Cut, type Direction, type Plan } from './chaos-circuit.ts';
import { CircuitCopy } from './chaos-copy.ts';
import { reset } from './chaos-lane.ts';
import { Random } from './random.ts';

/** Where the proxy connects to: a TCP port (host default 127.0.0.1) or a Unix socket. */
export type ChaosTarget = { readonly port: number; readonly host?: string } | { readonly path: string };

export interface ChaosProxyOptions {
  readonly target: ChaosTarget;
  /** Seed of the generators given to `plan`. Default 1. */
  readonly seed?: number;
  /**
   * Asked once for each connection, in order. `random` depends on the seed and the index alone, so a plan can be repeated
   * whatever the timing was. Without it connections are passed on unharmed.
   */
  readonly plan?: (index: number, random: Random) => Plan;
}

export interface ChaosProxyStats {
  /** Connections accepted so far. */
  readonly connections: number;
  /** Connections now open. */
  readonly open: number;
  /** Connections cut, by plan or command. */
  readonly cuts: number;
  /** Bytes passed on from clients to the target, over all connections. */
  readonly bytesUp: number;
  /** Bytes passed on from the target to clients, over all connections. */
  readonly bytesDown: number;
}

/**
 * `await proxy.listen()`, connect to the port it gives, and `await proxy.close()` (or `await using`) at the end.
 * A cut after k bytes is exact: k bytes arrive, then the FIN or RST, and nothing passes in the other direction meanwhile. For an RST the
 * receiver must run in this process and read; elsewhere the RST may overtake bytes that lie in the receiver's kernel, as on any network.
 */
export class ChaosProxy implements AsyncDisposable {
  readonly #options: ChaosProxyOptions;
  readonly #seed: number;
  readonly #circuits: Map<number, ChaosCircuit> = new Map();
  /** Sockets without a target: refused or in a black hole. */
  readonly #strays: Set<Socket> = new Set();
  readonly #copies: CircuitCopy[] = [];
  readonly #planned: Plan[] = [];
  readonly #observer: CircuitObserver;
  #server: Server | undefined = undefined;
  #port: number = 0;
  #blackHole: boolean = false;
  #healed: boolean = false;
  #closed: boolean = false;
  #connections: number = 0;
  #cuts: number = 0;
  #bytesUp: number = 0;
  #bytesDown: number = 0;

  constructor(options: ChaosProxyOptions) {
    const { target } = options;
    if (!('path' in target) && !(Number.isInteger(target.port) && target.port > 0 && target.port < 65_536)) {
      throw new SessionError('ERR_INVALID_OPTION', `ChaosProxy: target.port is ${target.port}`);
    }
    this.#options = options;
    this.#seed = options.seed ?? 1;
    this.#observer = {
      passed: (direction, bytes) => {
        if (direction === 'up') this.#bytesUp += bytes;
        else this.#bytesDown += bytes;
      },
      cut: () => {
        this.#cuts += 1;
      },
      closed: (circuit) => this.#circuits.delete(circuit.index),
    };
  }

  /** The port clients connect to; 0 before listen(). Stays the same over kill() and restart(). */
  get port(): number {
    return this.#port;
  }

  /** The connections now open, oldest first. */
  get circuits(): readonly ChaosCircuit[] {
    return [...this.#circuits.values()];
  }

  get stats(): ChaosProxyStats {
    const { size: open } = this.#circuits;
    return { connections: this.#connections, open, cuts: this.#cuts, bytesUp: this.#bytesUp, bytesDown: this.#bytesDown };
  }

  /** Listens on 127.0.0.1. @returns the port. Rejects with Node's error, for example EADDRINUSE. */
  async listen(port: number = 0): Promise<number> {
    if (this.#closed) throw new SessionError('ERR_CLOSED', 'ChaosProxy: listen() after close()');
    if (this.#server !== undefined) throw new SessionError('ERR_INVALID_OPTION', 'ChaosProxy: it listens already');
    // Half-open on purpose: an end in one direction is passed on without ending the other.
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => {
        this.#server = undefined;
        reject(error);
      });
      server.listen(port, '127.0.0.1', resolve);
    });
    this.#port = (server.address() as { port: number }).port;
    return this.#port;
  }

  /** Queues plans for the next connections, one each; they go before the `plan` option. */
  planNext(...plans: readonly Plan[]): void {
    this.#planned.push(...plans);
  }

  /** The next connection is cut when exactly so many bytes have passed in that direction (default `up`, `rst`). */
  cutAfterBytes(bytes: number, options: { readonly direction?: 'up' | 'down'; readonly how?: Cut } = {}): void {
    this.planNext({ cutAfter: { [options.direction ?? 'up']: bytes }, how: options.how ?? 'rst' });
  }

  /** Cuts every open connection now. @returns how many. */
  cutAll(how: Cut = 'rst'): number {
    const before = this.#cuts;
    for (const circuit of this.circuits) circuit.cut(how);
    return this.#cuts - before;
  }

  /** Open connections swallow everything from now on, new ones do not. */
  halfOpen(direction: Direction = 'both'): void {
    for (const circuit of this.circuits) circuit.halfOpen(direction);
  }

  /** Open connections hold everything from now on, until release(); new ones do not. */
  stall(direction: Direction = 'both'): void {
    for (const circuit of this.circuits) circuit.stall(direction);
  }

  /** Delivers what stalled connections hold, also from senders that have gone. */
  release(): void {
    for (const circuit of this.circuits) circuit.release();
  }

  /**
   * Ends every fault and makes no new ones: plans are dropped, accepting is resumed, stalls are released. Connections that have
   * swallowed bytes are reset. Commands and planNext() work as before.
   */
  async heal(): Promise<void> {
    this.#healed = true;
    this.#planned.length = 0;
    for (const circuit of this.circuits) circuit.heal();
    await this.resumeAccepting();
  }

  /** New connections are refused (ECONNREFUSED), or accepted and never answered. Open ones go on. */
  pauseAccepting(how: 'refuse' | 'blackHole'): void {
    this.#blackHole = how === 'blackHole';
    if (how === 'refuse') this.#stopListening();
  }

  /** Takes connections again, on the same port. Those in the black hole are reset. */
  async resumeAccepting(): Promise<void> {
    this.#blackHole = false;
    for (const stray of this.#strays) reset(stray);
    if (this.#server === undefined && this.#port !== 0 && !this.#closed) await this.listen(this.#port);
  }

  /** What a dying process does: stops listening and resets every connection. */
  kill(): void {
    this.#stopListening();
    this.cutAll('rst');
    for (const stray of this.#strays) reset(stray);
    for (const copy of this.#copies.splice(0)) void copy.close();
  }

  /** Listens again on the same port after kill(). */
  async restart(): Promise<void> {
    await this.resumeAccepting();
  }

  /** Ends everything and resolves when no handle is left. */
  async close(): Promise<void> {
    this.#closed = true;
    const sockets = [...this.#strays];
    const gone = this.circuits.map((circuit) => circuit.closed);
    const copies = this.#copies.map((copy) => copy.close());
    this.kill();
    await Promise.all([...gone, ...copies, ...sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)))]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #stopListening(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  #accept(client: Socket): void {
    const index = this.#connections++;
    const plan = this.#blackHole ? ({ connect: 'blackHole' } as const) : this.#planFor(index);
    if (plan.connect === 'refuse' || plan.connect === 'blackHole') {
      this.#strand(client);
      if (plan.connect === 'refuse') reset(client);
      return;
    }
    this.#circuits.set(index, new ChaosCircuit(index, client, this.#dial(), plan, this.#observer));
    if (plan.copy !== undefined) this.#copies.push(new CircuitCopy(client, plan.copy.afterMs, () => this.#dial()));
  }

  #dial(): Socket {
    const { target } = this.#options;
    return connect('path' in target ? { path: target.path, allowHalfOpen: true } : { host: '127.0.0.1', ...target, allowHalfOpen: true });
  }

  #planFor(index: number): Plan {
    const queued = this.#planned.shift();
    if (queued !== undefined) return queued;
    return this.#healed ? {} : (this.#options.plan?.(index, new Random(this.#seed, index)) ?? {});
  }

  /** Keeps a socket that leads nowhere, until its client gives up. */
  #strand(client: Socket): void {
    this.#strays.add(client);
    client.resume();
    client.on('error', () => {});
    client.on('end', () => client.destroy());
    client.on('close', () => this.#strays.delete(client));
  }
}
