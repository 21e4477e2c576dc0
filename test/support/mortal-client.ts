// A client whose process can die in the middle of anything: from then on not a byte of it reaches its store or its server.

import { connect, type Socket } from 'node:net';
import { SessionClient } from '../../lib/client.ts';
import { lines } from '../../lib/framing/lines.ts';
import type { Store } from '../../lib/stores/store.ts';
import { type Fault, FaultyStore } from './faulty-store.ts';

export class MortalClient {
  readonly client: SessionClient<string>;
  readonly store: FaultyStore;
  readonly #sockets = new Set<Socket>();
  #dead = false;

  constructor(store: Store, port: () => number) {
    this.store = new FaultyStore(store, (): Fault | Promise<Fault> => (this.#dead ? new Promise(() => {}) : 'none'));
    this.client = new SessionClient({ framing: lines(), store: this.store, connect: () => this.#dial(port()) });
  }

  /** As SIGKILL. */
  crash(): void {
    this.#dead = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
    for (const session of this.client.sessions) session.on('close', () => {}).destroy();
  }

  #dial(port: number): Promise<Socket> {
    return new Promise((resolve, reject) => {
      if (this.#dead) return reject(new Error('dead'));
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true }, () => resolve(socket));
      this.#sockets.add(socket);
      socket.once('error', reject);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }
}
