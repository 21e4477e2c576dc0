// libp2p's yamux over a socket of node:net, one stream a connection and a link. It carries bytes: messages have a u32 length prefix.

import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { yamux } from '@chainsafe/libp2p-yamux';
import { defaultLogger } from '@libp2p/logger';
import { AbstractMessageStream, type SendResult } from '@libp2p/utils';
import { deframer, framed } from '../frames.ts';
import { listening } from '../listening.ts';
import type { Endpoint, Link, Peer, Serving, Taker } from '../peer.ts';

const factory = yamux()();
type Stream = ReturnType<typeof factory.createStreamMuxer>['streams'][number];
type Bytes = Parameters<AbstractMessageStream['sendData']>[0];

/** What yamux asks of the connection under it. */
class SocketStream extends AbstractMessageStream {
  readonly #socket: Socket;

  constructor(socket: Socket, direction: 'inbound' | 'outbound') {
    super({ direction, log: defaultLogger().forComponent('bench') });
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.onData(chunk));
    socket.on('drain', () => this.safeDispatchEvent('drain'));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.onTransportClosed());
  }

  sendData(data: Bytes): SendResult {
    let sentBytes = 0;
    let canSendMore = true;
    this.#socket.cork();
    for (const part of data) {
      sentBytes += part.byteLength;
      canSendMore = this.#socket.write(part);
    }
    this.#socket.uncork();
    return { sentBytes, canSendMore };
  }

  sendReset(): void {
    this.#socket.destroy();
  }

  sendPause(): void {
    this.#socket.pause();
  }

  sendResume(): void {
    this.#socket.resume();
  }

  async close(): Promise<void> {
    this.#socket.end();
  }
}

export function make(): Peer {
  return {
    async serve(accept): Promise<Serving> {
      const sockets = new Set<Socket>();
      const server = createServer({ noDelay: true }, (socket) => {
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket));
        const muxer = factory.createStreamMuxer(new SocketStream(socket, 'inbound'));
        muxer.addEventListener('stream', ({ detail: stream }) => {
          let taker: Taker;
          const link = linkOf(stream, socket, () => taker.room());
          taker = accept(link);
          receive(stream, taker);
        });
      });
      return {
        endpoint: { port: await listening(server) },
        async close() {
          for (const socket of sockets) socket.destroy();
          server.close();
        },
      };
    },
    async connect({ port }: Endpoint, taker: Taker): Promise<Link> {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true });
      await once(socket, 'connect');
      const muxer = factory.createStreamMuxer(new SocketStream(socket, 'outbound'));
      const stream = await muxer.createStream();
      receive(stream, taker);
      return linkOf(stream, socket, () => taker.room());
    },
  };
}

function receive(stream: Stream, taker: Taker): void {
  const push = deframer(taker);
  stream.addEventListener('message', ({ data }) => {
    for (const part of data instanceof Uint8Array ? [data] : data) push(Buffer.from(part.buffer, part.byteOffset, part.byteLength));
  });
}

function linkOf(stream: Stream, socket: Socket, room: () => void): Link {
  stream.addEventListener('drain', room);
  return { send: (message) => stream.send(framed(message)), close: () => void socket.destroy() };
}
