// Connections of the client: one at a time, TCP or TLS. It keeps hold of the one that lives, so that a client can go away without a word,
// which leaves the session on the server as it is.

import { connect as connectTcp, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';

export class Dial {
  readonly #where: { readonly host: string; readonly port: number };
  readonly #tls: ConnectionOptions | null;
  #socket: Socket | null = null;
  #left = false;

  constructor(host: string, port: number, tls: ConnectionOptions | null) {
    this.#where = { host, port };
    this.#tls = tls;
  }

  /** For SessionClient's `connect`. */
  readonly connect = (_: unknown, { signal }: { readonly signal: AbortSignal }): Promise<Socket> => {
    return new Promise((resolve, reject) => {
      if (this.#left) return reject(new Error('the client has left'));
      const socket = this.#begin();
      this.#socket = socket;
      const event = this.#tls === null ? 'connect' : 'secureConnect';
      const stop = (): void => void socket.destroy(new Error('no connection in time'));
      const settle = (error: Error | null): void => {
        signal.removeEventListener('abort', stop);
        socket.removeListener(event, connected);
        socket.removeListener('error', settle);
        if (error === null) return resolve(socket);
        socket.on('error', () => {});
        reject(error);
      };
      const connected = (): void => settle(null);
      socket.once(event, connected);
      socket.once('error', settle);
      signal.addEventListener('abort', stop, { once: true });
    });
  };

  /** Drops the connection and makes no other. */
  leave(): void {
    this.#left = true;
    this.#socket?.destroy();
  }

  #begin(): Socket {
    const shared = { ...this.#where, allowHalfOpen: true, noDelay: true, autoSelectFamily: true };
    if (this.#tls === null) return connectTcp(shared);
    // An IP address is no server name (RFC 6066 §3).
    const servername = /^[\d.]+$|:/.test(this.#where.host) ? {} : { servername: this.#where.host };
    return connectTls({ ...servername, ...this.#tls, ...shared });
  }
}
