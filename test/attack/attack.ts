// What an attack is, and what attacks share: connections by the thousand, loops until the time is over, counts for the table.

import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { Ports, ServerConfig } from './server.ts';

export interface Attack {
  /** As docs/threat-model.md names it. */
  readonly name: string;
  readonly what: string;
  readonly server?: ServerConfig;
  /** @throws Broken where the server did what it must not do. */
  readonly run: (field: Field) => Promise<void>;
}

/** The server did what it must not do. */
export class Broken extends Error {
  override readonly name: string = 'Broken';
}

/** Where an attack takes place: the server's ports, the time that is left, and what has been done. */
export class Field {
  readonly ports: Ports;
  /** Public id of the honest session beside. */
  readonly honestId: Buffer;
  readonly counts: Record<string, number> = {};
  readonly #untilMs: number;

  constructor(ports: Ports, honestId: Buffer, seconds: number) {
    this.ports = ports;
    this.honestId = honestId;
    this.#untilMs = performance.now() + seconds * 1000;
  }

  get over(): boolean {
    return performance.now() >= this.#untilMs;
  }

  count(what: string, by: number = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + by;
  }

  /** So many loops side by side until the time is over. What a round throws ends the round, unless the server is to blame. */
  async swarm(loops: number, round: (loop: number) => Promise<void>): Promise<void> {
    const loop = async (at: number): Promise<void> => {
      while (!this.over) {
        try {
          await round(at);
        } catch (error) {
          if (error instanceof Broken) throw error;
          this.count('failed');
        }
        await turn();
      }
    };
    await Promise.all(Array.from({ length: loops }, (_, at) => loop(at)));
  }

  /** Writes as fast as the connection takes it, until it or the time is over. */
  async flood(socket: Socket, bytes: Buffer, what: string): Promise<void> {
    socket.resume();
    while (!this.over && !socket.destroyed && !socket.writableEnded) {
      const room = socket.write(bytes);
      this.count(what, bytes.length);
      await (room ? turn() : drainedOrGone(socket));
    }
  }
}

/** A connection to this machine. @throws Error where there is none */
export function dial(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    socket.on('error', reject);
    socket.once('connect', () => resolve(socket));
  });
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** All that comes until the other end closes, or so many milliseconds. */
export function answer(socket: Socket, ms: number): Promise<Buffer> {
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      resolve(Buffer.concat(parts));
    }
    socket.on('data', (chunk: Buffer) => parts.push(chunk));
    socket.once('end', done);
    socket.once('close', done);
  });
}

function drainedOrGone(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    // The time may be over before either.
    const timer = setTimeout(done, 200);
    socket.on('drain', done);
    socket.on('close', done);
  });
}
