// engine.io: the transport under Socket.IO, WebSocket only.

import { createServer } from 'node:http';
import { listening } from '../listening.ts';
import type { Endpoint, Link, Peer, Serving, Taker } from '../peer.ts';

const HIGH_WATER_PACKETS = 512;

export function make(): Peer {
  return {
    async serve(accept): Promise<Serving> {
      const { Server } = await import('engine.io');
      const http = createServer();
      const engine = new Server({ transports: ['websocket'], maxHttpBufferSize: 1 << 20 });
      engine.attach(http);
      const sockets = new Set<{ close(): void }>();
      engine.on('connection', (socket) => {
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket));
        let taker: Taker;
        const link: Link = {
          send(message) {
            socket.send(message);
            return true;
          },
          close: () => void socket.close(),
        };
        taker = accept(link);
        socket.on('message', (message: Buffer) => taker.take(message, 0, message.length));
      });
      return {
        endpoint: { port: await listening(http) },
        async close() {
          for (const socket of sockets) socket.close();
          engine.close();
          http.close();
        },
      };
    },
    async connect({ port }: Endpoint, taker: Taker): Promise<Link> {
      const { Socket } = await import('engine.io-client');
      const socket = new Socket(`ws://127.0.0.1:${port}`, { transports: ['websocket'] });
      socket.binaryType = 'nodebuffer' as never;
      await new Promise<void>((resolve, reject) => {
        socket.on('open', () => resolve());
        socket.on('error', reject);
      });
      socket.on('message', (message: unknown) => {
        const bytes = message as Buffer;
        taker.take(bytes, 0, bytes.length);
      });
      let blocked = false;
      socket.on('drain', () => {
        if (!blocked) return;
        blocked = false;
        taker.room();
      });
      return {
        send(message) {
          socket.send(message as never);
          blocked = socket.writeBuffer.length >= HIGH_WATER_PACKETS;
          return !blocked;
        },
        close: () => void socket.close(),
      };
    },
  };
}
