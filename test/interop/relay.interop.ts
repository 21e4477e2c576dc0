// A relay that is killed at random moments, with Redis: what its sources send arrives once at the sink.

import { expect } from 'chai';
import { runRelay } from '../sigkill/relay-run.ts';
import { RedisServer } from '../support/redis-server.ts';

describe('a relay that is killed', () => {
  it('passes every message on once: commit({ with }) over Redis', async function () {
    this.timeout(120_000);
    await using redis = await RedisServer.start({ appendfsync: 'everysec' });
    const store = { kind: 'redis', place: String(redis.port) };
    const { arrived, sent, kills, broken } = await runRelay({ kills: 10, seed: Date.now() % 1_000_000, store });
    expect(broken).to.deep.equal([]);
    expect([arrived, kills]).to.deep.equal([sent, 10]);
  });
});
