// Redis comes back with an older state, as after a failover to a replica that lagged: a living owner writes its record again and nobody
// notices; without one the loss is told, and nothing runs a second time.

import { once } from 'node:events';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { type Session, SessionClient, SessionServer } from 'outlast';
import { lines } from 'outlast/framing/lines';
import { redisStore } from 'outlast/stores/redis';
import { freePort } from '../support/free-port.ts';
import { eventually } from '../support/net.ts';
import { RedisServer } from '../support/redis-server.ts';

/** A server with a connection of its own to Redis, which numbers the lines that it is sent. */
class Node {
  readonly connection: Redis;
  readonly server: SessionServer<string>;
  /** For how many messages a handler has run here. */
  handled: number = 0;

  constructor(redis: RedisServer) {
    this.connection = new Redis(redis.port, '127.0.0.1', {
      maxRetriesPerRequest: null,
      retryStrategy: () => 50,
      // ioredis keeps this timer, 2 s by default, where disconnect() finds a stream that is closed already.
      disconnectTimeout: 50,
    });
    this.connection.on('error', () => {});
    this.server = new SessionServer({ framing: lines(), store: redisStore({ client: this.connection, allowVolatile: true }) });
    this.server.on('session', (session) => {
      session.on('close', () => {});
      session.receive((line) => {
        this.handled++;
        const count = ((session.data as number | undefined) ?? 0) + 1;
        session.data = count;
        session.send(`${count}: ${line}`);
      });
    });
  }

  async listen(port: number): Promise<number> {
    return (await this.server.listen({ port })).port;
  }

  /** It goes without a word to Redis. */
  async crash(): Promise<void> {
    this.connection.disconnect();
    await this.server.close();
  }

  async end(): Promise<void> {
    await this.server.close();
    await this.connection.quit();
  }
}

/** Sends so many lines more and waits for their answers, each of them once and in order. */
async function asks(session: Session<string>, answers: string[], count: number): Promise<void> {
  const from = answers.length;
  for (let i = from + 1; i <= from + count; i++) session.send(`line ${i}`);
  await eventually(() => answers.length >= from + count);
  expect(answers).to.deep.equal(Array.from({ length: from + count }, (_, i) => `${i + 1}: line ${i + 1}`));
}

/** What Redis has now is what it comes back with. */
async function save(redis: RedisServer): Promise<void> {
  const connection = new Redis(redis.port, '127.0.0.1');
  await connection.save();
  await connection.quit();
}

describe('Redis with an older state', function () {
  this.timeout(60_000);
  let redis: RedisServer;
  let node: Node;
  let client: SessionClient<string>;
  let session: Session<string>;
  let answers: string[];
  let port: number;

  beforeEach(async () => {
    redis = await RedisServer.start({ appendonly: 'no' });
    node = new Node(redis);
    port = await node.listen(await freePort());
    client = new SessionClient({ framing: lines(), port });
    session = await client.open();
    answers = [];
    session.receive((line) => {
      answers.push(line);
    });
  });
  afterEach(async () => {
    session.destroy();
    await node.end();
    await redis[Symbol.asyncDispose]();
  });

  it('is healed by the living owner, and another process goes on from there', async () => {
    await asks(session, answers, 10);
    await save(redis);
    await asks(session, answers, 10);
    await redis.kill();
    await redis.restart();
    await asks(session, answers, 10);
    await node.end();
    node = new Node(redis);
    await node.listen(port);
    await asks(session, answers, 10);
    expect(node.handled).to.equal(10);
  });

  it('without its owner is told to the client, and runs nothing a second time', async () => {
    await asks(session, answers, 10);
    await save(redis);
    await asks(session, answers, 10);
    await redis.kill();
    await node.crash();
    await redis.restart();
    const ended = once(session, 'close');
    node = new Node(redis);
    await node.listen(port);
    const [cause] = await ended;
    expect(cause.code).to.equal('ERR_STATE_LOST');
    expect([node.handled, answers.length]).to.deep.equal([0, 20]);
  });
});
