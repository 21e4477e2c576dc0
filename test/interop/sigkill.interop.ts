// The SIGKILL run (npm run test:sigkill) with Redis at both ends: server and client processes die at random moments, and every number has
// counted once at both.

import { expect } from 'chai';
import { runRelay } from '../sigkill/relay-run.ts';
import { runSigkill } from '../sigkill/run.ts';
import { RedisServer } from '../support/redis-server.ts';

describe('processes that are killed, with Redis at both ends', () => {
  it('add up 20,000 numbers exactly through 20 kills', async function () {
    this.timeout(180_000);
    await using redis = await RedisServer.start({ appendfsync: 'everysec' });
    const messages = 20_000;
    const store = { kind: 'redis', place: String(redis.port) };
    const { seen, sum, serverKills, clientKills, broken } = await runSigkill({ messages, kills: 20, seed: Date.now() % 1_000_000, store });
    expect(broken).to.deep.equal([]);
    expect([seen, sum]).to.deep.equal([messages, (messages * (messages - 1)) / 2]);
    expect(serverKills + clientKills).to.equal(20);
  });

  it('pass every message on once through 10 kills of a relay: commit({ with })', async function () {
    this.timeout(120_000);
    await using redis = await RedisServer.start({ appendfsync: 'everysec' });
    const store = { kind: 'redis', place: String(redis.port) };
    const { arrived, sent, kills, broken } = await runRelay({ kills: 10, seed: Date.now() % 1_000_000, store });
    expect(broken).to.deep.equal([]);
    expect([arrived, kills]).to.deep.equal([sent, 10]);
  });
});
