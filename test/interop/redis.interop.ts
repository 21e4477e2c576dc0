// redisStore with a real redis-server and the clients that people have: the contract of all stores, in a cluster too, what is checked of
// the server's settings, and what survives when server and owners are killed or stopped.

import { expect } from 'chai';
import { Redis } from 'ioredis';
import { SessionError } from '../../lib/errors.ts';
import type { RedisClient } from '../../lib/stores/internal/redis-client.ts';
import { redisStore } from '../../lib/stores/redis.ts';
import type { Store } from '../../lib/stores/store.ts';
import { storeContract } from '../contract/store.ts';
import { fencesSleeper, Owner, survivesKills } from '../support/owner-process.ts';
import { type Connected, clients, clusterClients, startCluster } from '../support/redis-clients.ts';
import { RedisServer } from '../support/redis-server.ts';

const places = [
  [RedisServer.start, clients, 'outlast:'],
  [startCluster, clusterClients, 'outlast:'],
  [startCluster, clusterClients, '{contract}:'],
] as const;

for (const [start, made, prefix] of places) {
  for (const [name, connect] of Object.entries(made)) {
    describe(`redisStore with ${name}, keys ${prefix}`, () => {
      let server: RedisServer | undefined;
      before(async () => {
        server = await start();
      });
      after(() => server?.[Symbol.asyncDispose]());
      storeContract(
        `${name}, keys ${prefix}`,
        async () => {
          const { port } = server as RedisServer;
          const [one, two] = [await connect(port), await connect(port)];
          return {
            store: redisStore({ client: one.client, prefix }),
            other: redisStore({ client: two.client, prefix }),
            wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
            leaseMs: 400,
            end: async () => {
              await Promise.all([one.close(), two.close()]);
            },
          };
        },
        20,
      );
    });
  }
}

describe('redisStore and its server', () => {
  async function told(settings: Readonly<Record<string, string>>, allowVolatile = false): Promise<string> {
    await using server = await RedisServer.start(settings);
    const { client, close } = await (clients.ioredis as (port: number) => Promise<Connected>)(server.port);
    try {
      const store: Store = redisStore({ client, allowVolatile });
      await store.ready();
      return 'good';
    } catch (error) {
      expect(SessionError.is(error, 'ERR_STORE'), String(error)).to.equal(true);
      return (error as Error).message;
    } finally {
      await close();
    }
  }

  it('is told what to set where it would lose sessions', async () => {
    expect(await told({})).to.equal('good');
    expect(await told({ maxmemory: '100mb', 'maxmemory-policy': 'noeviction' })).to.equal('good');
    expect(await told({ maxmemory: '100mb', 'maxmemory-policy': 'volatile-lru' })).to.match(/maxmemory-policy volatile-lru.*noeviction/);
    expect(await told({ appendonly: 'no' })).to.match(/appendonly yes/);
    expect(await told({ appendonly: 'no' }, true)).to.equal('good');
    expect(await told({ appendonly: 'no', maxmemory: '100mb', 'maxmemory-policy': 'allkeys-lru' }, true)).to.match(/noeviction/);
    expect(await told({ replicaof: '127.0.0.1 1' })).to.match(/replica/);
  });

  it('commits several sessions at one instant on one server, and in a cluster where they have one slot', async () => {
    const can = async (start: () => Promise<RedisServer>, prefix: string): Promise<boolean> => {
      await using server = await start();
      const { client, close } = await (clients.redis as (port: number) => Promise<Connected>)(server.port);
      const store = redisStore({ client, prefix });
      await store.ready();
      await close();
      return store.commitAll !== undefined;
    };
    expect([await can(RedisServer.start, 'p:'), await can(startCluster, 'p:'), await can(startCluster, '{p}:')]).to.deep.equal([
      true,
      false,
      true,
    ]);
  });

  it('says what happened where the server is gone', async () => {
    const server = await RedisServer.start();
    const client = new Redis(server.port, '127.0.0.1', { maxRetriesPerRequest: 0, retryStrategy: () => null });
    client.on('error', () => {});
    const store = redisStore({ client });
    await store.ready();
    await server[Symbol.asyncDispose]();
    const error = await store.find('x').catch((reason: unknown) => reason);
    expect(SessionError.is(error, 'ERR_STORE') && error.retryable, String(error)).to.equal(true);
  });

  it('refuses what is no client', () => {
    for (const client of [undefined, null, {}, 'redis://localhost', { sendCommand: 1 }]) {
      expect(() => redisStore({ client: client as unknown as RedisClient })).to.throw(SessionError, /option client/);
    }
    for (const prefix of ['a{b', '{}', '{a}{b}', 'a}{'])
      expect(() => redisStore({ client: new Redis({ lazyConnect: true }), prefix })).to.throw(SessionError, /prefix/);
  });

  it('has every answered commit after SIGKILL of the owner, of the server, and of both', async function () {
    this.timeout(60_000);
    await using server = await RedisServer.start();
    await survivesKills('redis', String(server.port), 4, async (round) => {
      if (round % 2 === 1) return;
      await server.kill();
      await server.restart();
    });
  });

  it('stops an owner that slept through a foreign claim, and goes on where the server slept', async () => {
    await using server = await RedisServer.start();
    await fencesSleeper('redis', String(server.port));
    await using other = await Owner.start('redis', String(server.port), 'asleep', 1);
    await other.reaches(20);
    server.stop();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const before = other.done;
    server.continue();
    await other.reaches(before + 20);
  });

  it('sends its scripts again when the server has forgotten them', async () => {
    await using server = await RedisServer.start();
    const client = new Redis(server.port, '127.0.0.1');
    const store = redisStore({ client, prefix: 'p:' });
    const asked = { owner: 'A', generation: 2, instance: 1, positions: undefined, held: undefined, exclusive: false, keepMs: 1000 };
    expect((await store.claim({ id: 'x', ...asked })).status).to.equal('gone');
    await client.script('FLUSH');
    expect((await store.claim({ id: 'x', ...asked })).status).to.equal('gone');
    await client.quit();
  });
});
