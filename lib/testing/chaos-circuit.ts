// One connection through a ChaosProxy: the client's socket, the socket to the target, and a faulty lane in each direction between them.

import type { Socket } from 'node:net';
import { Lane, type LaneFaults, reset } from './chaos-lane.ts';

/** `up` flows from the client to the target, `down` from the target to the client. */
export type Direction = 'up' | 'down' | 'both';
/** `fin` ends both directions cleanly, `rst` resets the connection. */
export type Cut = 'fin' | 'rst';
/** Which end of the connection learns of a cut. */
export type Side = 'client' | 'target' | 'both';

/** The faults of one connection, fixed when it is accepted. All counts are bytes of one direction of this connection. */
export interface Plan {
  /** `refuse`: reset as soon as accepted. `blackHole`: accepted, then silence, and the target is never dialed. Default `forward`. */
  readonly connect?: 'forward' | 'refuse' | 'blackHole';
  /** Cut when exactly so many bytes have been passed on and flushed. 0: when the first byte arrives, which is not passed on. */
  readonly cutAfter?: { readonly up?: number; readonly down?: number };
  /** Cut so many milliseconds after the connection was accepted. */
  readonly cutAfterMs?: number;
  /** How this plan's cuts are made. Default `rst`. */
  readonly how?: Cut;
  /** Everything arrives so many milliseconds later. Default 0. */
  readonly delayMs?: number;
  /** At most `bytes` at a time, `everyMs` milliseconds apart. */
  readonly trickle?: { readonly bytes: number; readonly everyMs: number };
  /** Behind the first `after` bytes (default 0) everything is read and dropped; ends and resets too. The sockets stay open. */
  readonly halfOpen?: { readonly direction?: Direction; readonly after?: number };
  /**
   * Behind the first `after` bytes (default 0) everything is held for `ms` milliseconds (default: until `release()`), and then
   * delivered, although the sender may be long gone: the old circuit that wakes up late.
   */
  readonly stall?: { readonly direction?: Direction; readonly after?: number; readonly ms?: number };
  /** The target gets the same bytes a second time, over a connection that is made so much later; what it answers there is dropped. */
  readonly copy?: { readonly afterMs: number };
}

/** What the proxy wants to know of its circuits. */
export interface CircuitObserver {
  passed(direction: 'up' | 'down', bytes: number): void;
  cut(): void;
  closed(circuit: ChaosCircuit): void;
}

/** After a FIN the other end may still send for so long before its bytes are answered with a reset. */
const LINGER_MS = 1000;
/**
 * An RST throws away what the receiver's kernel has not taken, and libuv reports it as a plain end where it arrives together with
 * bytes. So many turns of the event loop let a receiver in this process read first.
 */
const RESET_TURNS = 32;

/** A proxied connection. Made by ChaosProxy; commands may be given to it at any time. */
export class ChaosCircuit {
  /** 0 for the first connection of the proxy, then 1, 2, … */
  readonly index: number;
  /** Resolves when both sockets are closed. */
  readonly closed: Promise<void>;
  readonly #client: Socket;
  readonly #target: Socket;
  readonly #up: Lane;
  readonly #down: Lane;
  readonly #observer: CircuitObserver;
  readonly #timers: Set<NodeJS.Timeout> = new Set();
  #cutDone: boolean = false;
  #closedSockets: number = 0;
  #resolveClosed: () => void = () => {};

  /** @internal */
  constructor(index: number, client: Socket, target: Socket, plan: Plan, observer: CircuitObserver) {
    this.index = index;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#client = client;
    this.#target = target;
    this.#observer = observer;
    const how = plan.how ?? 'rst';
    const lane = (direction: 'up' | 'down', from: Socket, to: Socket): Lane =>
      new Lane(
        from,
        to,
        faultsOf(plan, direction),
        (bytes) => observer.passed(direction, bytes),
        () => this.#cutAtMark(how),
      );
    this.#up = lane('up', client, target);
    this.#down = lane('down', target, client);
    for (const socket of [client, target]) {
      socket.setNoDelay(true);
      socket.on('close', () => this.#socketClosed());
    }
    if (plan.cutAfterMs !== undefined) this.#after(plan.cutAfterMs, () => this.cut(how));
    if (plan.stall?.ms !== undefined) this.#after(plan.stall.ms, () => this.release());
  }

  /** False once both sockets are closed. */
  get open(): boolean {
    return !(this.#client.destroyed && this.#target.destroyed);
  }

  /** Bytes passed on to the target. */
  get bytesUp(): number {
    return this.#up.passedBytes;
  }

  /** Bytes passed on to the client. */
  get bytesDown(): number {
    return this.#down.passedBytes;
  }

  /** Cuts now. With one `side` only that end learns of it; the other one keeps an open connection that nothing comes through. */
  cut(how: Cut = 'rst', side: Side = 'both'): void {
    if (!this.open) return;
    this.#closeLanes();
    for (const socket of this.#sockets(side)) {
      if (how === 'rst') reset(socket);
      else {
        socket.end();
        this.#after(LINGER_MS, () => reset(socket));
      }
    }
  }

  /** From now on everything in that direction is read and dropped, ends and resets too. */
  halfOpen(direction: Direction = 'both'): void {
    for (const lane of this.#lanes(direction)) {
      lane.faults.swallowAt = lane.passedBytes;
      lane.pump();
    }
  }

  /** From now on everything in that direction is held. */
  stall(direction: Direction = 'both'): void {
    for (const lane of this.#lanes(direction)) lane.faults.holdAt = lane.passedBytes;
  }

  /** Delivers what was held, in order, and lets the rest follow. */
  release(): void {
    for (const lane of this.#lanes('both')) {
      lane.faults.holdAt = Number.POSITIVE_INFINITY;
      lane.pump();
    }
  }

  /** Ends every fault. Where bytes were dropped the circuit cannot go on, a stream has no holes: it is reset. */
  heal(): void {
    if (this.#cutDone) return;
    if (this.#up.lossy || this.#down.lossy) {
      this.cut('rst');
      return;
    }
    this.#clearTimers();
    for (const lane of this.#lanes('both')) {
      Object.assign(lane.faults, faultsOf({}, 'up'));
      lane.pump();
    }
  }

  /** The last byte before the mark is with the kernel, and from this moment nothing passes. */
  #cutAtMark(how: Cut): void {
    this.#closeLanes();
    if (how === 'fin') this.cut('fin');
    else afterTurns(RESET_TURNS, () => this.cut('rst'));
  }

  #closeLanes(): void {
    this.#up.stop();
    this.#down.stop();
    if (!this.#cutDone) this.#observer.cut();
    this.#cutDone = true;
  }

  #lanes(direction: Direction): Lane[] {
    if (direction === 'both') return [this.#up, this.#down];
    return [direction === 'up' ? this.#up : this.#down];
  }

  #sockets(side: Side): Socket[] {
    if (side === 'both') return [this.#client, this.#target];
    return [side === 'client' ? this.#client : this.#target];
  }

  #socketClosed(): void {
    this.#closedSockets += 1;
    if (this.#closedSockets < 2) return;
    this.#clearTimers();
    this.#observer.closed(this);
    this.#resolveClosed();
  }

  #after(ms: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, ms);
    this.#timers.add(timer);
  }

  #clearTimers(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}

function afterTurns(turns: number, action: () => void): void {
  if (turns === 0) action();
  else setImmediate(() => afterTurns(turns - 1, action));
}

function faultsOf(plan: Plan, direction: 'up' | 'down'): LaneFaults {
  const applies = (rule: { readonly direction?: Direction } | undefined): boolean =>
    rule !== undefined && (rule.direction ?? 'both') !== (direction === 'up' ? 'down' : 'up');
  const never = Number.POSITIVE_INFINITY;
  return {
    cutAt: plan.cutAfter?.[direction] ?? never,
    holdAt: applies(plan.stall) ? (plan.stall?.after ?? 0) : never,
    swallowAt: applies(plan.halfOpen) ? (plan.halfOpen?.after ?? 0) : never,
    delayMs: plan.delayMs ?? 0,
    trickle: plan.trickle,
  };
}
