// Stores by name, for test processes that are told on their command line which one to use.

import { createClient } from 'redis';
import { lmdbStore } from '../../lib/stores/lmdb.ts';
import { redisStore } from '../../lib/stores/redis.ts';
import type { Store } from '../../lib/stores/store.ts';

/** @param place a folder for `lmdb`; for `redis` a port of 127.0.0.1, and behind a slash what its keys begin with */
export async function openStore(kind: string, place: string): Promise<Store> {
  if (kind === 'lmdb') return lmdbStore({ path: place, survives: 'process' });
  const [port, prefix = ''] = place.split('/');
  const client = createClient({ socket: { host: '127.0.0.1', port: Number(port) } });
  client.on('error', () => {});
  await client.connect();
  const store = redisStore({ client, prefix: `outlast:${prefix}:` });
  store.close = async () => client.destroy();
  return store;
}
