// ws, the usual WebSocket library. `bufferutil`: with its optional native masking; without it masking is JavaScript.

import { once } from 'node:events';
import type { Endpoint, Link, Peer, Serving, Taker } from '../peer.ts';

const HIGH_WATER_BYTES = 65_536;

export function make(variant: string): Peer {
  // Read by ws when it is loaded.
  if (variant !== 'bufferutil') process.env.WS_NO_BUFFER_UTIL = '1';
  const loaded = import('ws');
  return {
    async serve(accept): Promise<Serving> {
      const { WebSocketServer } = await loaded;
      const server = new WebSocketServer({ port: 0, host: '127.0.0.1', backlog: 4096, perMessageDeflate: false });
      server.on('connection', (socket) => {
        let taker: Taker;
        const link = linkOf(socket, () => taker.room());
        taker = accept(link);
        socket.on('message', (message: Buffer) => taker.take(message, 0, message.length));
      });
      await once(server, 'listening');
      return {
        endpoint: { port: (server.address() as { port: number }).port },
        async close() {
          for (const socket of server.clients) socket.terminate();
          server.close();
        },
      };
    },
    async connect({ port }: Endpoint, taker: Taker): Promise<Link> {
      const { WebSocket } = await loaded;
      const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false });
      socket.on('message', (message: Buffer) => taker.take(message, 0, message.length));
      await once(socket, 'open');
      return linkOf(socket, () => taker.room());
    },
  };
}

function linkOf(socket: import('ws').WebSocket, room: () => void): Link {
  let blocked = false;
  const sent = (): void => {
    if (!blocked || socket.bufferedAmount >= HIGH_WATER_BYTES) return;
    blocked = false;
    room();
  };
  socket.on('error', () => socket.terminate());
  return {
    send(message) {
      socket.send(message, sent);
      blocked = socket.bufferedAmount >= HIGH_WATER_BYTES;
      return !blocked;
    },
    close: () => socket.terminate(),
  };
}
