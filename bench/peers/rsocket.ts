// rsocket-js over TCP: one request channel a link, its demand without limit. `resume`: with a resumption token; not compared in an outage,
// since most sessions do not come back: one whose new connection is dropped unanswered is lost for good. As delivered, Nagle's algorithm
// is on.

import { connect as connectSocket, createServer, type Socket } from 'node:net';
import {
  type OnExtensionSubscriber,
  type OnNextSubscriber,
  type OnTerminalSubscriber,
  type RSocket,
  RSocketConnector,
  RSocketServer,
} from 'rsocket-core';
import { TcpClientTransport } from 'rsocket-tcp-client';
import { TcpServerTransport } from 'rsocket-tcp-server';
import type { Endpoint, Link, Peer, Serving, Taker } from '../peer.ts';

const HIGH_WATER_BYTES = 65_536;
/** The largest demand of the protocol: it is never counted down. */
const UNLIMITED = 0x7fff_ffff;
const RESUME = { attempts: 20, everyMs: 50, sessionMs: 10_000 };

export function make(variant: string): Peer {
  const resume = variant === 'resume';
  return {
    serve: (accept) => serve(accept, resume),
    connect: (endpoint, taker) => connect(endpoint, taker, resume),
  };
}

async function serve(accept: (link: Link) => Taker, resume: boolean): Promise<Serving> {
  const sockets = new Set<Socket>();
  const net = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  const transport = new TcpServerTransport({
    listenOptions: { port: 0, host: '127.0.0.1', backlog: 4096 },
    socketCreator: () => net,
  });
  const requestChannel: RSocket['requestChannel'] = (_hello, _demand, _complete, channel) => {
    const taker = accept({
      send(message) {
        channel.onNext({ data: message }, false);
        return true;
      },
      close: () => channel.onComplete(),
    });
    // The client takes it as the sign that the link is there.
    channel.request(UNLIMITED);
    return receiverOf(taker);
  };
  const server = new RSocketServer({
    transport,
    ...(resume ? { resume: { sessionTimeout: RESUME.sessionMs } } : {}),
    acceptor: { accept: async () => ({ requestChannel }) },
  });
  await server.bind();
  return {
    endpoint: { port: (net.address() as { port: number }).port },
    async close() {
      // Its own listener closes it once more, and complains.
      net.removeAllListeners('close');
      net.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

async function connect({ port }: Endpoint, taker: Taker, resume: boolean): Promise<Link> {
  let socket: Socket | undefined;
  let closed = false;
  const transport = new TcpClientTransport({
    connectionOptions: { port, host: '127.0.0.1' },
    socketCreator(options) {
      socket = connectSocket(options as never);
      socket.on('drain', () => taker.room());
      return socket;
    },
  });
  const resumption = {
    tokenGenerator: () => Buffer.from(`${process.pid}-${++sessions}`),
    async reconnectFunction(attempt: number): Promise<void> {
      await new Promise((resolve) => setTimeout(resolve, RESUME.everyMs));
      // It goes on for ever otherwise, also when the session was closed.
      if (closed || attempt >= RESUME.attempts) throw new Error('the session is over');
    },
  };
  const rsocket = await new RSocketConnector({ transport, ...(resume ? { resume: resumption } : {}) }).connect();
  const channel = await new Promise<Channel>((resolve, reject) => {
    const opened: Channel = rsocket.requestChannel({ data: Buffer.alloc(0) }, UNLIMITED, false, {
      ...receiverOf(taker),
      onError: reject,
      request: () => resolve(opened),
    });
  });
  return {
    send(message) {
      channel.onNext({ data: message }, false);
      return (socket?.writableLength ?? 0) < HIGH_WATER_BYTES;
    },
    close() {
      closed = true;
      rsocket.close();
    },
  };
}

let sessions = 0;

type Channel = OnTerminalSubscriber & OnNextSubscriber & OnExtensionSubscriber;

function receiverOf(taker: Taker): ReturnType<RSocket['requestChannel']> {
  return {
    onNext({ data }) {
      if (data) taker.take(data, 0, data.length);
    },
    onError() {},
    onComplete() {},
    onExtension() {},
    request() {},
    cancel() {},
  };
}
