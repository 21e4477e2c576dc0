// The Redis clients that people have, each connected to a server of the tests, and a cluster for those that know clusters.

import { Cluster, Redis } from 'ioredis';
import { createClient, createCluster } from 'redis';
import type { RedisClient } from '../../lib/stores/internal/redis-client.ts';
import { freePort } from './free-port.ts';
import { RedisServer } from './redis-server.ts';

export interface Connected {
  readonly client: RedisClient;
  close(): Promise<unknown>;
}

/** The clients, each connected to a port of loopback. */
export const clients: Readonly<Record<string, (port: number) => Promise<Connected>>> = {
  redis: async (port) => {
    const client = createClient({ socket: { host: '127.0.0.1', port } });
    client.on('error', () => {});
    await client.connect();
    return { client, close: () => client.close() };
  },
  'redis with RESP 2': async (port) => {
    const client = createClient({ RESP: 2, socket: { host: '127.0.0.1', port } });
    client.on('error', () => {});
    await client.connect();
    return { client, close: () => client.close() };
  },
  ioredis: async (port) => {
    const client = new Redis(port, '127.0.0.1', { lazyConnect: true });
    client.on('error', () => {});
    await client.connect();
    return { client, close: () => client.quit() };
  },
};

export const clusterClients: typeof clients = {
  'redis, cluster': async (port) => {
    const client = createCluster({ rootNodes: [{ socket: { host: '127.0.0.1', port } }] });
    client.on('error', () => {});
    await client.connect();
    return { client, close: () => client.close() };
  },
  'ioredis, cluster': async (port) => {
    const client = new Cluster([{ host: '127.0.0.1', port }]);
    client.on('error', () => {});
    return { client, close: () => client.quit() };
  },
};

/** A cluster of one node that has all slots: what would cross slots is refused there as in a large one. */
export async function startCluster(): Promise<RedisServer> {
  // The port of its bus would be 10,000 higher than its own: among those of outgoing connections, and so taken now and then.
  const bus = String(await freePort());
  const server = await RedisServer.start({ 'cluster-enabled': 'yes', 'cluster-announce-ip': '127.0.0.1', 'cluster-port': bus });
  const client = new Redis(server.port, '127.0.0.1');
  await client.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
  while (!String(await client.call('CLUSTER', 'INFO')).includes('cluster_state:ok'))
    await new Promise((resolve) => setTimeout(resolve, 50));
  await client.quit();
  return server;
}
