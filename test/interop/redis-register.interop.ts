// redisRegister with a real redis-server and the clients that people have: the contract of all registers, what is forgotten, and a ticket
// that an older one is refused for.

import { expect } from 'chai';
import { Redis } from 'ioredis';
import type { RejectedFlight } from '../../lib/core/handshake.ts';
import { Kind, RejectCode } from '../../lib/core/wire.ts';
import { SessionError } from '../../lib/errors.ts';
import { redisRegister } from '../../lib/stores/redis-register.ts';
import { registerContract } from '../contract/register.ts';
import { eventually } from '../support/net.ts';
import { ackFrame } from '../support/raw-peer.ts';
import { type Connected, clients, clusterClients, startCluster } from '../support/redis-clients.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TicketHolder, TicketNode, testRing } from '../support/ticket-node.ts';

for (const [start, made] of [[RedisServer.start, clients] as const, [startCluster, clusterClients] as const]) {
  for (const [name, connect] of Object.entries(made)) {
    registerContract(name, async () => {
      const server = await start();
      const [one, two] = [await connect(server.port), await connect(server.port)];
      return {
        register: redisRegister({ client: one.client }),
        other: redisRegister({ client: two.client }),
        end: async () => {
          await Promise.all([one.close(), two.close()]);
          await server[Symbol.asyncDispose]();
        },
      };
    });
  }
}

describe('redisRegister', () => {
  const connect = clients.ioredis as (port: number) => Promise<Connected>;

  it('forgets what nobody has advanced for keepMs, and keeps what somebody has', async () => {
    await using server = await RedisServer.start();
    const { client, close } = await connect(server.port);
    const register = redisRegister({ client });
    await register.advance('kept', { generation: 3, number: 3 }, 60_000);
    await register.advance('gone', { generation: 3, number: 3 }, 50);
    const old = { generation: 1, number: 1 };
    // Each look is an advance too: they are further apart than what is kept.
    let newest = await register.advance('gone', old, 50);
    while (newest.generation > 1) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      newest = await register.advance('gone', old, 50);
    }
    expect(await register.advance('kept', old, 60_000)).to.deep.equal({ generation: 3, number: 3 });
    await close();
  });

  it('rejects with ERR_STORE where the server is gone', async () => {
    const server = await RedisServer.start();
    const client = new Redis(server.port, '127.0.0.1', { maxRetriesPerRequest: 0, retryStrategy: () => null });
    client.on('error', () => {});
    const register = redisRegister({ client });
    await register.advance('id', { generation: 1, number: 1 }, 1000);
    await server[Symbol.asyncDispose]();
    const error = await register.advance('id', { generation: 1, number: 2 }, 1000).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(SessionError.is(error, 'ERR_STORE'), String(error)).to.equal(true);
  });

  it('makes another node refuse a ticket that is older than what its client has', async () => {
    await using server = await RedisServer.start();
    const [one, two] = [await connect(server.port), await connect(server.port)];
    const first = await new TicketNode(testRing(), { challenge: 'never', ticketRegister: redisRegister(one) }).listen();
    const holder = await TicketHolder.open(first.port);
    const older = await holder.ask('1', '1 1');
    const newer = await holder.ask('2', '2 3');
    holder.peer.write(ackFrame(newer.covered, newer.covered + 2 * 1024 * 1024));
    await eventually(() => first.sessions[0]?.stats.confirmed === newer.covered);
    const advanced = redisRegister(two);
    const id = first.sessions[0]?.id as string;
    while ((await advanced.advance(id, { generation: 0, number: 0 }, 60_000)).number === 0);
    await first[Symbol.asyncDispose]();
    await using second = await new TicketNode(testRing(), { challenge: 'never', ticketRegister: redisRegister(two) }).listen();
    const answer = (await holder.show(second.port, older)) as RejectedFlight;
    expect([answer.kind, answer.code]).to.deep.equal([Kind.REJECTED, RejectCode.STATE_LOST]);
    expect((await holder.show(second.port, newer)).kind).to.equal(Kind.RESUMED);
    holder.peer.destroy();
    await Promise.all([one.close(), two.close()]);
  });
});
