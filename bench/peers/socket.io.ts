// Socket.IO, WebSocket only, one event with a binary argument a message. `recovery`: with connection state recovery. `streams`: with that
// and the Redis Streams adapter, in which the server's messages to a room, here the socket's own, are stored before they are sent.

import { createServer } from 'node:http';
import type { Socket as ServerSocket } from 'socket.io';
import type { Socket as ClientSocket } from 'socket.io-client';
import { listening } from '../listening.ts';
import type { Endpoint, Link, Peer, Serving, Taker } from '../peer.ts';
import { startRedis } from '../redis.ts';

const HIGH_WATER_PACKETS = 512;

export function make(variant: string): Peer {
  const recovery = variant !== 'plain';
  return {
    async serve(accept): Promise<Serving> {
      const { Server } = await import('socket.io');
      const http = createServer();
      const redis = variant === 'streams' ? await startRedis('everysec') : null;
      const io = new Server(http, {
        transports: ['websocket'],
        ...(recovery ? { connectionStateRecovery: { maxDisconnectionDuration: 120_000, skipMiddlewares: true } } : {}),
        ...(redis === null ? {} : { adapter: (await import('@socket.io/redis-streams-adapter')).createAdapter(redis.client) as never }),
      });
      // A recovered session is a new socket object with the old id: its link goes on with it.
      const known = new Map<string, { link: ServerLink; taker: Taker }>();
      io.on('connection', (socket) => {
        let entry = socket.recovered ? known.get(socket.id) : undefined;
        if (entry === undefined) {
          const link = new ServerLink(socket, redis !== null);
          entry = { link, taker: accept(link) };
          if (recovery) known.set(socket.id, entry);
        }
        const { link, taker } = entry;
        link.socket = socket;
        socket.on('m', (message: Buffer) => taker.take(message, 0, message.length));
      });
      return {
        endpoint: { port: await listening(http) },
        broadcast: (message) => void io.emit('m', message),
        async close() {
          await io.close();
          await redis?.close();
        },
      };
    },
    async connect({ port }: Endpoint, taker: Taker): Promise<Link> {
      const { io } = await import('socket.io-client');
      const socket: ClientSocket = io(`ws://127.0.0.1:${port}`, { transports: ['websocket'], forceNew: true });
      socket.on('m', (message: Buffer) => taker.take(message, 0, message.length));
      await new Promise<void>((resolve, reject) => {
        socket.once('connect', () => resolve());
        socket.once('connect_error', reject);
      });
      let blocked = false;
      const onDrain = (): void => {
        if (!blocked) return;
        blocked = false;
        taker.room();
      };
      socket.io.engine.on('drain', onDrain);
      return {
        send(message) {
          socket.emit('m', message);
          blocked = (socket.io.engine?.writeBuffer.length ?? 0) >= HIGH_WATER_PACKETS;
          return !blocked;
        },
        close: () => void socket.disconnect(),
      };
    },
  };
}

class ServerLink implements Link {
  socket: ServerSocket;
  readonly #stored: boolean;

  constructor(socket: ServerSocket, stored: boolean) {
    this.socket = socket;
    this.#stored = stored;
  }

  send(message: Buffer): boolean {
    // Only what is sent to a room goes through the adapter.
    if (this.#stored) this.socket.nsp.to(this.socket.id).emit('m', message);
    else this.socket.emit('m', message);
    return true;
  }

  close(): void {
    this.socket.disconnect(true);
  }
}
