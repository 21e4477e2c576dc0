// @grpc/grpc-js: one bidirectional stream a link, bytes as they are (no protobuf).

import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js';
import type { Endpoint, Link, Peer, Serving, Taker } from '../peer.ts';

const asIs = (bytes: Buffer): Buffer => bytes;
const METHOD = {
  path: '/bench/Talk',
  requestStream: true,
  responseStream: true,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
};

export function make(): Peer {
  return {
    async serve(accept): Promise<Serving> {
      const { Metadata, Server, ServerCredentials } = await import('@grpc/grpc-js');
      const server = new Server();
      server.addService({ Talk: METHOD } as never, {
        Talk(stream: ServerDuplexStream<Buffer, Buffer>) {
          let taker: Taker;
          const link = linkOf(
            stream,
            () => taker.room(),
            () => stream.end(),
          );
          taker = accept(link);
          stream.on('data', (message: Buffer) => taker.take(message, 0, message.length));
          stream.sendMetadata(new Metadata());
        },
      });
      const port = await new Promise<number>((resolve, reject) => {
        server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound)));
      });
      return { endpoint: { port }, close: async () => server.forceShutdown() };
    },
    async connect({ port }: Endpoint, taker: Taker): Promise<Link> {
      const { Client, credentials } = await import('@grpc/grpc-js');
      // Else all clients of a process share one connection.
      const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
      const stream: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(METHOD.path, asIs, asIs);
      stream.on('data', (message: Buffer) => taker.take(message, 0, message.length));
      await new Promise<void>((resolve, reject) => {
        stream.once('metadata', () => resolve());
        stream.once('error', reject);
      });
      stream.on('error', () => {});
      return linkOf(
        stream,
        () => taker.room(),
        () => {
          stream.cancel();
          client.close();
        },
      );
    },
  };
}

/** What both kinds of stream have. */
interface Talk {
  write(message: Buffer): boolean;
  on(name: 'drain' | 'error', listener: () => void): unknown;
}

function linkOf(stream: Talk, room: () => void, close: () => void): Link {
  stream.on('drain', room);
  stream.on('error', () => {});
  return { send: (message) => stream.write(message), close };
}
