// River of Replit over its WebSocket transport with its binary codec; a link is a client with one call of a bidirectional stream procedure.
// It tells nothing of how much it buffers. Its client connects again by itself, and both ends repeat what was not acknowledged.

import { createServer as createHttpServer } from 'node:http';
import { createClient, createServer, Ok, Procedure, type Server, ServiceSchema } from '@replit/river';
import { BinaryCodec } from '@replit/river/codec';
import { WebSocketClientTransport } from '@replit/river/transport/ws/client';
import { WebSocketServerTransport } from '@replit/river/transport/ws/server';
import { Type } from '@sinclair/typebox';
import { WebSocket, WebSocketServer } from 'ws';
import { listening } from '../listening.ts';
import type { Endpoint, Link, Peer, Serving, Taker } from '../peer.ts';

const SERVER = 'server';
const Message = Type.Object({ m: Type.Uint8Array() });

export function make(): Peer {
  return {
    async serve(accept): Promise<Serving> {
      const http = createHttpServer();
      const sockets = new WebSocketServer({ server: http });
      const transport = new WebSocketServerTransport(sockets, SERVER, { codec: BinaryCodec });
      const server = createServer(transport, { bench: service(accept) });
      return {
        endpoint: { port: await listening(http) },
        async close() {
          await server.close();
          transport.close();
          for (const socket of sockets.clients) socket.terminate();
          sockets.close();
          http.close();
        },
      };
    },
    async connect({ port }: Endpoint, taker: Taker): Promise<Link> {
      const dial = async (): Promise<WebSocket> => new WebSocket(`ws://127.0.0.1:${port}`);
      const transport = new WebSocketClientTransport(dial, `${process.pid}-${++clients}`, { codec: BinaryCodec });
      const client = createClient<Server<{ bench: ReturnType<typeof service> }>>(transport, SERVER);
      const [input, output] = await client.bench.talk.stream({});
      // The first answer is empty: it says that the link is there.
      await output.next();
      void (async () => {
        for await (const answer of output) if (answer.ok) taker.take(answer.payload.m, 0, answer.payload.m.length);
      })();
      return {
        send(message) {
          input.push({ m: message });
          return true;
        },
        close: () => transport.close(),
      };
    },
  };
}

let clients = 0;

// Its type is what the client goes by.
function service(accept: (link: Link) => Taker) {
  const talk = Procedure.stream({
    init: Type.Object({}),
    input: Message,
    output: Message,
    async handler(_context, _init, input, output) {
      output.push(Ok({ m: Buffer.alloc(0) }));
      const taker = accept({
        send(message) {
          output.push(Ok({ m: message }));
          return true;
        },
        close: () => void output.end(),
      });
      for await (const { m } of input) taker.take(m, 0, m.length);
    },
  });
  return ServiceSchema.define({ talk });
}
