// Bare sockets with a u32 length prefix. `naive`: a buffer and a write for each message. `tuned`: what a good engineer does by hand, and
// the measure of all others: frames copied into a carved 64 KiB slab, one write per tick, large payloads by reference, views of the chunk
// read. `tls`: the tuned one over TLS.

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, connect as tlsConnect } from 'node:tls';
import { certificate } from '../certificate.ts';
import { deframer, framed, LARGE_BYTES } from '../frames.ts';
import type { Endpoint, Link, Peer, Serving, Taker } from '../peer.ts';

const SLAB_BYTES = 65_536;
const HIGH_WATER_BYTES = 65_536;

class TunedLink implements Link {
  readonly #socket: Socket;
  #slab: Buffer | null = null;
  #from = 0;
  #to = 0;
  #scheduled = false;
  #blocked = false;

  constructor(socket: Socket, room: () => void) {
    this.#socket = socket;
    socket.on('drain', () => {
      if (!this.#blocked) return;
      this.#blocked = false;
      room();
    });
  }

  send(message: Buffer): boolean {
    const { length } = message;
    const inline = length < LARGE_BYTES ? length : 0;
    if (this.#slab === null || this.#to + 4 + inline > SLAB_BYTES) this.#roll();
    const slab = this.#slab as Buffer;
    let at = this.#to;
    slab[at++] = length >>> 24;
    slab[at++] = length >>> 16;
    slab[at++] = length >>> 8;
    slab[at++] = length;
    if (inline > 0) slab.set(message, at);
    this.#to = at + inline;
    if (inline === 0) {
      this.#socket.cork();
      this.#flush();
      this.#socket.write(message);
      this.#socket.uncork();
    } else if (!this.#scheduled) {
      this.#scheduled = true;
      process.nextTick(flushLater, this);
    }
    if (this.#socket.writableLength < HIGH_WATER_BYTES) return true;
    this.#blocked = true;
    return false;
  }

  close(): void {
    this.#socket.destroy();
  }

  flushScheduled(): void {
    this.#scheduled = false;
    this.#flush();
  }

  #flush(): void {
    if (this.#from === this.#to || this.#slab === null) return;
    this.#socket.write(this.#slab.subarray(this.#from, this.#to));
    this.#from = this.#to;
  }

  #roll(): void {
    this.#flush();
    this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    this.#from = 0;
    this.#to = 0;
  }
}

function flushLater(link: TunedLink): void {
  link.flushScheduled();
}

class NaiveLink implements Link {
  readonly #socket: Socket;

  constructor(socket: Socket, room: () => void) {
    this.#socket = socket;
    socket.on('drain', room);
  }

  send(message: Buffer): boolean {
    return this.#socket.write(framed(message));
  }

  close(): void {
    this.#socket.destroy();
  }
}

export function make(variant: string): Peer {
  const tls = variant === 'tls';
  const linkOf = (socket: Socket, taker: () => Taker): Link => {
    socket.on('error', () => socket.destroy());
    return variant === 'naive' ? new NaiveLink(socket, () => taker().room()) : new TunedLink(socket, () => taker().room());
  };
  return {
    async serve(accept): Promise<Serving> {
      const sockets = new Set<Socket>();
      const onSocket = (socket: Socket): void => {
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket));
        let taker: Taker;
        const link = linkOf(socket, () => taker);
        taker = accept(link);
        socket.on('data', deframer(taker));
      };
      const keys = tls ? await certificate() : undefined;
      const server: Server =
        keys === undefined ? createServer({ noDelay: true }, onSocket) : createTlsServer({ ...keys, noDelay: true }, onSocket);
      server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 });
      await once(server, 'listening');
      const { port } = server.address() as { port: number };
      return {
        endpoint: keys === undefined ? { port } : { port, extra: keys.cert },
        close: async () => {
          for (const socket of sockets) socket.destroy();
          server.close();
        },
      };
    },
    async connect({ port, extra }: Endpoint, taker: Taker): Promise<Link> {
      const address = { port, host: '127.0.0.1', noDelay: true };
      const socket = extra === undefined ? connect(address) : tlsConnect({ ...address, ca: extra, servername: 'localhost' });
      await once(socket, extra === undefined ? 'connect' : 'secureConnect');
      socket.on('data', deframer(taker));
      return linkOf(socket, () => taker);
    },
  };
}
