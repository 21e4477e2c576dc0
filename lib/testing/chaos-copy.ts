// The second copy of a proxied connection: what the client sends flows in, the same bytes go to the target once more, over a connection of
// their own. Its answers are thrown away. What a replaying listener does, and what happens when a balancer tries twice.

import type { Socket } from 'node:net';
import { reset } from './chaos-lane.ts';

/** Repeats a client's bytes, from the first on, `afterMs` after the connection was accepted. Ends with the client. */
export class CircuitCopy {
  readonly #dial: () => Socket;
  readonly #timer: NodeJS.Timeout;
  #early: Buffer[] = [];
  #socket: Socket | undefined = undefined;
  #over: boolean = false;

  /** @param dial makes the connection to the target; asked once at most */
  constructor(client: Socket, afterMs: number, dial: () => Socket) {
    this.#dial = dial;
    client.on('data', (chunk: Buffer) => {
      if (this.#socket === undefined) this.#early.push(chunk);
      else this.#socket.write(chunk);
    });
    client.on('close', () => {
      this.#over = true;
      this.#socket?.end();
    });
    this.#timer = setTimeout(() => this.#begin(), afterMs);
  }

  /** Ends it now. Resolves when no handle is left. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    if (socket === undefined || socket.destroyed) return;
    const closed = new Promise((resolve) => socket.once('close', resolve));
    reset(socket);
    await closed;
  }

  #begin(): void {
    const socket = this.#dial();
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('end', () => socket.destroy());
    socket.resume();
    for (const chunk of this.#early) socket.write(chunk);
    this.#early = [];
    if (this.#over) socket.end();
  }
}
