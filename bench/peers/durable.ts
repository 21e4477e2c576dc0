// Ours with a store on the server: every answer waits until the message that it answers, session.data and the answer are one record.
// The variant names durability and store: `commit lmdb disk`. session.data counts the messages.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Session, SessionClient, SessionServer, type Store } from 'outlast';
import { lengthPrefix } from 'outlast/framing/length-prefix';
import { lmdbStore } from 'outlast/stores/lmdb';
import { memoryStore } from 'outlast/stores/memory';
import { redisStore } from 'outlast/stores/redis';
import type { Endpoint, Link, Peer, Serving, Taker } from '../peer.ts';
import { startRedis } from '../redis.ts';

interface Opened {
  readonly store: Store;
  close(): Promise<void>;
}

async function open(kind: string, how: string): Promise<Opened> {
  if (kind === 'memory') return { store: memoryStore(), close: async () => {} };
  if (kind === 'redis') {
    const { client, close } = await startRedis(how);
    return { store: redisStore({ client }), close };
  }
  const path = await mkdtemp(join(tmpdir(), 'outlast-bench-'));
  const store = lmdbStore({ path, survives: how as 'disk' | 'process' });
  return {
    store,
    async close() {
      await store.close();
      await rm(path, { recursive: true });
    },
  };
}

function linkOf(session: Session): Link {
  // destroy() ends it, which is no news.
  session.on('close', () => {});
  return { send: (message) => session.send(message), close: () => session.destroy() };
}

export function make(variant: string): Peer {
  const [durability = '', kind = '', how = ''] = variant.split(' ');
  const framing = lengthPrefix();
  const clients = new Map<number, SessionClient>();
  return {
    async serve(accept): Promise<Serving> {
      const { store, close } = await open(kind, how);
      const server = new SessionServer({ framing, store, durability: durability as 'commit' | 'detach' });
      server.on('session', (session) => {
        session.data ??= 0;
        const taker: Taker = accept(linkOf(session));
        session.on('drain', () => taker.room());
        session.receive((message) => {
          session.data = (session.data as number) + 1;
          taker.take(message, 0, message.length);
        });
      });
      const { port } = await server.listen({ port: 0, backlog: 4096 });
      return {
        endpoint: { port },
        async close() {
          await server.close();
          await close();
        },
      };
    },
    async connect({ port }: Endpoint, taker: Taker): Promise<Link> {
      const client = clients.get(port) ?? new SessionClient({ framing, port, host: '127.0.0.1' });
      clients.set(port, client);
      const session = await client.open();
      session.on('drain', () => taker.room());
      session.receive((message) => taker.take(message, 0, message.length));
      return linkOf(session);
    },
  };
}
