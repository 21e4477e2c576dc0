// Ours: window, acks, replay, limits and heartbeat at their defaults. The variants are the ways to read, TLS, and key agreement.

import { type Session, SessionClient, SessionServer } from 'outlast';
import { lengthPrefix } from 'outlast/framing/length-prefix';
import { certificate } from '../certificate.ts';
import type { Endpoint, Link, Peer, Serving, Taker } from '../peer.ts';

class SessionLink implements Link {
  readonly #session: Session;
  readonly #lend: { readonly lend: boolean } | undefined;

  constructor(session: Session, room: () => void, lend: boolean) {
    this.#session = session;
    this.#lend = lend ? { lend } : undefined;
    session.on('drain', room);
  }

  send(message: Buffer): boolean {
    return this.#session.send(message, this.#lend);
  }

  close(): void {
    this.#session.destroy();
  }
}

async function read(session: Session, way: string, taker: Taker): Promise<void> {
  switch (way) {
    case 'ranges':
      return session.receiveRanges((buffer, start, end) => taker.take(buffer, start, end));
    case 'batches':
      for await (const batch of session.batches()) for (const message of batch) taker.take(message, 0, message.length);
      return;
    case 'for await':
      for await (const message of session) taker.take(message, 0, message.length);
      return;
    case 'stream':
      session
        .stream()
        .on('data', (message: Buffer) => taker.take(message, 0, message.length))
        .on('error', () => {});
      return;
    default:
      return session.receive((message) => taker.take(message, 0, message.length));
  }
}

/** Sessions end by destroy() when a run is over, which is no news. */
function quietly(reading: Promise<void>): void {
  reading.catch(() => {});
}

export function make(variant: string): Peer {
  const framing = lengthPrefix();
  const clients = new Map<number, SessionClient>();
  const clientOf = ({ port, extra }: Endpoint): SessionClient => {
    let client = clients.get(port);
    if (client === undefined) {
      const place = { framing, port, host: '127.0.0.1' };
      client = new SessionClient(extra === undefined ? place : { ...place, tls: { ca: extra, servername: 'localhost' } });
      clients.set(port, client);
    }
    return client;
  };
  return {
    async serve(accept): Promise<Serving> {
      const tls = variant === 'tls' ? await certificate() : undefined;
      const flushMs = variant === 'coalesce' ? 1 : 0;
      const server = new SessionServer(tls === undefined ? { framing, flushMs } : { framing, flushMs, tls });
      server.on('session', (session) => {
        let taker: Taker;
        const link = new SessionLink(session, () => taker.room(), variant === 'lend');
        taker = accept(link);
        quietly(read(session, variant, taker));
      });
      const { port } = await server.listen({ port: 0, backlog: 4096 });
      return {
        endpoint: tls === undefined ? { port } : { port, extra: tls.cert },
        broadcast: (message) => void server.broadcast(message),
        close: () => server.close(),
      };
    },
    async connect(endpoint: Endpoint, taker: Taker): Promise<Link> {
      const session = await clientOf(endpoint).open();
      quietly(read(session, variant, taker));
      return new SessionLink(session, () => taker.room(), variant === 'lend');
    },
  };
}
