// net-ipc over TCP with MessagePack, one connection a link. As delivered, Nagle's algorithm is on.

import { once } from 'node:events';
import { createServer } from 'node:net';
import { Client, type Connection, Server } from 'net-ipc';
import { listening } from '../listening.ts';
import type { Endpoint, Link, Peer, Serving, Taker } from '../peer.ts';

const HIGH_WATER_BYTES = 65_536;

export function make(): Peer {
  return {
    async serve(accept): Promise<Serving> {
      const port = await freePort();
      const server = new Server({ port, retries: 0, listenOptions: { host: '127.0.0.1', backlog: 4096 } });
      const takers = new Map<Connection, Taker>();
      server.on('connect', (connection) => {
        const send = (message: Buffer): boolean => {
          connection.send(message).catch(() => {});
          return true;
        };
        takers.set(connection, accept({ send, close: () => void connection.destroy() }));
      });
      server.on('disconnect', (connection) => void takers.delete(connection));
      server.on('error', () => {});
      server.on('message', (message: Uint8Array, connection) => takers.get(connection)?.take(message, 0, message.length));
      await server.start();
      return {
        endpoint: { port },
        async close() {
          const { server: listener } = server;
          // Its own close() waits for every drain, also for those that it has lost count of.
          for (const connection of [...server.connections]) connection.destroy();
          listener.close();
          await once(listener, 'close');
        },
      };
    },
    async connect({ port }: Endpoint, taker: Taker): Promise<Link> {
      const client = new Client({ host: '127.0.0.1', port, messagepack: true, reconnect: false });
      client.on('message', (message: Uint8Array) => taker.take(message, 0, message.length));
      client.on('error', () => {});
      await client.connect();
      client.connection.on('drain', () => taker.room());
      return {
        send(message) {
          client.send(message).catch(() => {});
          return client.connection.writableLength < HIGH_WATER_BYTES;
        },
        close: () => void client.destroy(),
      };
    },
  };
}

/** It takes no port 0: one that was free a moment ago. */
async function freePort(): Promise<number> {
  const probe = createServer();
  const port = await listening(probe);
  probe.close();
  await once(probe, 'close');
  return port;
}
