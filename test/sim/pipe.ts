// One end of a simulated connection: what lib/circuit.ts needs of a Duplex, and nothing more. It behaves as net.Socket does where that
// matters: bytes the network has not taken stay queued by reference, 'drain' follows a refused write, data waits while paused.

import { EventEmitter } from 'node:events';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock, Host } from './clock.ts';
import type { Lane } from './lane.ts';

export type Loss = 'fin' | 'rst';

export interface PipeOptions {
  readonly clock: Clock;
  readonly host: Host;
  readonly name: string;
  readonly highWaterMark: number;
  readonly address: string;
  /** Told when queued memory has changed before the network took it. */
  readonly complain: (who: string, what: string) => void;
  /** Told when its process ends this end, or its half. */
  readonly onEnd: (end: PipeEnd) => void;
}

export class PipeEnd extends EventEmitter {
  readonly host: Host;
  readonly name: string;
  readonly remoteAddress: string;
  readonly remotePort: number = 7000;
  /** Into the network. */
  out!: Lane;
  destroyed: boolean = false;
  writableEnded: boolean = false;
  writableFinished: boolean = false;
  readableEnded: boolean = false;
  readonly #clock: Clock;
  readonly #highWaterMark: number;
  #queue: Buffer[] = [];
  // What the queue held when it was written: a socket keeps the writer's memory, which must not be used again so soon.
  #written: Buffer[] = [];
  #queuedBytes = 0;
  readonly #complain: (who: string, what: string) => void;
  /** Runs the reading of what came, for those who want to see what it does. */
  whileRead: ((read: () => void) => void) | null = null;
  readonly #onEnd: (end: PipeEnd) => void;
  #needDrain = false;
  #corked = false;
  #refilling = false;
  // Arrived and not handed over, as in the kernel's receive buffer.
  #waiting: Buffer[] = [];
  #ended = false;
  #flowing = true;
  // Not yet accepted: what comes in waits, even a reset.
  #pending = false;
  #failed: string | null = null;

  constructor(options: PipeOptions) {
    super();
    this.#clock = options.clock;
    this.host = options.host;
    this.name = options.name;
    this.#highWaterMark = options.highWaterMark;
    this.remoteAddress = options.address;
    this.#complain = options.complain;
    this.#onEnd = options.onEnd;
  }

  get writableLength(): number {
    return this.#queuedBytes;
  }

  write(bytes: Buffer): boolean {
    if (this.destroyed) return false;
    if (this.writableEnded) throw new Error(`write behind the end of ${this.name}`);
    this.#clock.trace.note(this.#clock.nowMs, this.name, 'write', bytes.length);
    this.out.watch?.push(bytes);
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    if (!this.#corked) this.#flush();
    while (this.#written.length < this.#queue.length) this.#written.push(Buffer.from(this.#queue[this.#written.length] as Buffer));
    const room = this.#queuedBytes < this.#highWaterMark;
    if (!room) this.#needDrain = true;
    return room;
  }

  cork(): void {
    this.#corked = true;
  }

  uncork(): void {
    this.#corked = false;
    this.#flush();
  }

  end(): this {
    if (this.writableEnded) return this;
    this.writableEnded = true;
    this.#onEnd(this);
    this.#flush();
    return this;
  }

  pause(): this {
    this.#flowing = false;
    return this;
  }

  resume(): this {
    if (this.#flowing) return this;
    this.#flowing = true;
    this.#clock.after(0, this.host, () => this.#flow());
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  /** As net.Socket: what is queued here is gone; what the network has may still arrive, and then a FIN, or a RST over unread bytes. */
  destroy(): this {
    this.#destroy(this.#waiting.length > 0 ? 'rst' : 'fin');
    return this;
  }

  resetAndDestroy(): this {
    this.#destroy('rst');
    return this;
  }

  // ---------------------------------------------------------------- the network's side

  /** The connection exists, and its process has not accepted it. */
  await(): void {
    this.#pending = true;
    this.#flowing = false;
  }

  accepted(): void {
    this.#pending = false;
    this.resume();
    const code = this.#failed;
    if (code !== null) this.#clock.after(0, this.host, () => this.fail(code));
  }

  /** Bytes that the reader has not taken: they fill the connection's capacity. */
  receive(bytes: Buffer): void {
    if (!this.#flowing || this.#waiting.length > 0) {
      this.#waiting.push(bytes);
      return;
    }
    this.#hand(bytes);
  }

  receiveEnd(): void {
    if (this.destroyed || this.#ended) return;
    this.#ended = true;
    if (this.#flowing && this.#waiting.length === 0) this.#tellEnd();
  }

  /** The connection is reset: what waits to be read is gone as well. */
  fail(code: string): void {
    if (this.destroyed) return;
    if (this.#pending) {
      this.#failed = code;
      return;
    }
    this.destroyed = true;
    this.#drop();
    this.emit('error', Object.assign(new Error(`read ${code}`), { code }));
    this.emit('close');
  }

  /** The network has room again. */
  refill(): void {
    if (this.#refilling || this.destroyed || (this.#queue.length === 0 && !this.#needDrain)) return;
    this.#refilling = true;
    this.#clock.after(0, this.host, () => {
      this.#refilling = false;
      if (this.destroyed) return;
      this.#flush();
      if (!this.#needDrain || this.#queuedBytes > 0) return;
      this.#needDrain = false;
      this.emit('drain');
    });
  }

  #flush(): void {
    while (this.#queue.length > 0 && this.out.room > 0) {
      const bytes = this.#queue[0] as Buffer;
      const taken = Math.min(bytes.length, this.out.room);
      const written = this.#written[0];
      if (written !== undefined && !written.equals(bytes))
        this.#complain(this.name, 'memory was used again while the socket still held it');
      this.out.take(bytes.subarray(0, taken));
      this.#queuedBytes -= taken;
      if (taken === bytes.length) {
        this.#queue.shift();
        this.#written.shift();
      } else {
        this.#queue[0] = bytes.subarray(taken);
        if (written !== undefined) this.#written[0] = written.subarray(taken);
      }
    }
    if (this.#queue.length > 0) return;
    if (this.#needDrain) this.refill();
    if (!this.writableEnded || this.writableFinished) return;
    this.writableFinished = true;
    this.out.mark('fin');
    this.#closeWhenDone();
  }

  #flow(): void {
    while (this.#flowing && !this.destroyed && this.#waiting.length > 0) this.#hand(this.#waiting.shift() as Buffer);
    if (this.#flowing && this.#waiting.length === 0 && this.#ended) this.#tellEnd();
  }

  #hand(bytes: Buffer): void {
    this.out.opposite.release(bytes.length);
    this.#clock.trace.note(this.#clock.nowMs, this.name, 'data', bytes.length);
    if (this.whileRead === null) this.emit('data', bytes);
    else this.whileRead(() => this.emit('data', bytes));
  }

  #tellEnd(): void {
    if (this.readableEnded || this.destroyed) return;
    this.readableEnded = true;
    this.#clock.trace.note(this.#clock.nowMs, this.name, 'end');
    this.emit('end');
    this.#closeWhenDone();
  }

  /** Both halves have ended: Node closes the socket by itself. */
  #closeWhenDone(): void {
    if (!this.readableEnded || !this.writableFinished || this.destroyed) return;
    this.#clock.after(0, this.host, () => this.destroy());
  }

  #destroy(how: Loss): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#onEnd(this);
    this.#clock.trace.note(this.#clock.nowMs, this.name, how);
    this.#drop();
    if (how === 'rst') this.out.reset();
    else if (!this.writableFinished) this.out.mark('fin');
    this.#clock.after(0, this.host, () => this.emit('close'));
  }

  #drop(): void {
    this.#queue = [];
    this.#written = [];
    this.#queuedBytes = 0;
    this.#waiting = [];
  }
}

// lib/circuit.ts gives a net.Socket its own memory by reference and any other Duplex a copy, so an end may have to pass for a Socket.
const socketPrototype: object = Object.create(Socket.prototype, {
  ...Object.getOwnPropertyDescriptors(EventEmitter.prototype),
  ...Object.getOwnPropertyDescriptors(PipeEnd.prototype),
});

/** The end as the library takes it: a plain Duplex, or a TCP socket. */
export function asDuplex(end: PipeEnd, tcp: boolean): Duplex {
  if (tcp) Object.setPrototypeOf(end, socketPrototype);
  return end as unknown as Duplex;
}
