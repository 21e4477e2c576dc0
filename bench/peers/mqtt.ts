// MQTT: mqtt.js clients and the aedes broker inside the server's process, which takes and sends on two topics for each client.
// The variant is the quality of service. With 1 the client keeps a persistent session.

import { createServer, type Socket } from 'node:net';
import { listening } from '../listening.ts';
import type { Endpoint, Link, Peer, Serving, Taker } from '../peer.ts';

/** Each publication that waits for the socket is a listener on it, and mqtt.js warns at a thousand. */
const HIGH_WATER_MESSAGES = 512;

export function make(variant: string): Peer {
  const qos = variant === '1' ? 1 : 0;
  return {
    async serve(accept): Promise<Serving> {
      const { Aedes } = await import('aedes');
      const broker = await Aedes.createBroker({ concurrency: 4096, queueLimit: 1_000_000 });
      const sockets = new Set<Socket>();
      const server = createServer({ noDelay: true }, (socket) => {
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket));
        broker.handle(socket, undefined as never);
      });
      const takers = new Map<string, Taker>();
      broker.on('subscribe', (_subscriptions, client) => {
        if (takers.has(client.id)) return;
        const topic = `down/${client.id}`;
        const publish = (message: Buffer): void =>
          broker.publish({ cmd: 'publish', topic, payload: message, qos, retain: false, dup: false }, () => {});
        const link: Link = {
          send(message) {
            publish(message);
            return true;
          },
          close: () => client.close(),
        };
        takers.set(client.id, accept(link));
      });
      broker.on('publish', (packet, client) => {
        if (client === null || !packet.topic.startsWith('up/')) return;
        const payload = packet.payload as Buffer;
        takers.get(client.id)?.take(payload, 0, payload.length);
      });
      return {
        endpoint: { port: await listening(server) },
        async close() {
          for (const socket of sockets) socket.destroy();
          server.close();
          broker.close();
        },
      };
    },
    async connect({ port }: Endpoint, taker: Taker): Promise<Link> {
      const { connectAsync } = await import('mqtt');
      const clientId = `c${process.pid}-${++clients}`;
      const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId, clean: qos === 0, reconnectPeriod: 1000, keepalive: 60 });
      client.on('message', (_topic, payload) => taker.take(payload, 0, payload.length));
      await client.subscribeAsync(`down/${clientId}`, { qos });
      const topic = `up/${clientId}`;
      let outstanding = 0;
      const sent = (): void => {
        if (outstanding-- === HIGH_WATER_MESSAGES) taker.room();
      };
      return {
        send(message) {
          client.publish(topic, message, { qos }, sent);
          return ++outstanding < HIGH_WATER_MESSAGES;
        },
        close: () => void client.end(true),
      };
    },
  };
}

let clients = 0;
