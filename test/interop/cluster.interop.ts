// Two nodes behind a real HAProxy with a real Redis: sessions move between them when a node is killed or drained, and go on when Redis is
// killed or stopped. Every message acts once: the clients check each count and each sum.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type Session, SessionClient } from 'outlast';
import { lines } from 'outlast/framing/lines';
import { freePort } from '../support/free-port.ts';
import { Haproxy } from '../support/haproxy.ts';
import { eventually } from '../support/net.ts';
import { RedisServer } from '../support/redis-server.ts';

const SESSIONS = 10;

/** A node's process, which can be killed, drained and started again on its port. */
class Node implements AsyncDisposable {
  readonly port: number;
  readonly #args: readonly string[];
  #child: ChildProcess | null = null;
  /** Sessions taken over from another process, over all its lives. */
  taken: number = 0;
  /** Resumes that it sent to the other one. */
  sentOn: number = 0;
  #stderr: string = '';

  constructor(port: number, redisPort: number, number: number, ...peering: readonly 'redirect'[]) {
    this.port = port;
    this.#args = [...[port, redisPort, number].map(String), ...peering];
  }

  async start(): Promise<void> {
    const script = fileURLToPath(new URL('../support/summing-node.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', script, ...this.#args], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    let ready = false;
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line === 'ready') ready = true;
      else if (line.startsWith('took')) this.taken++;
      else if (line === 'rejected ERR_RETRY_LATER') this.sentOn++;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString();
    });
    await eventually(() => ready || child.exitCode !== null);
    if (!ready) throw new Error(this.#stderr);
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#child = null;
    const closed = once(child, 'close');
    child.kill(signal);
    await closed;
    // A drained node ends by itself; what it has to complain about must be seen.
    if (signal === 'SIGTERM') expect([child.exitCode, this.#stderr]).to.deep.equal([0, '']);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGKILL');
  }
}

/** A client that sends 1, 2, 3, … all the time, and checks that answer n is `n 1+…+n`. */
class Counter {
  readonly client: SessionClient<string>;
  session: Session<string> | undefined;
  sent: number = 0;
  answered: number = 0;
  wrong: string = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(...ports: readonly number[]) {
    this.client = new SessionClient({ framing: lines(), addresses: ports.map((port) => ({ port })) });
  }

  async start(): Promise<void> {
    const session = await this.client.open();
    this.session = session;
    session.on('close', (cause) => {
      this.wrong ||= cause === undefined ? '' : String(cause);
    });
    session.receive((line) => {
      const expected = `${this.answered + 1} ${((this.answered + 1) * (this.answered + 2)) / 2}`;
      if (line !== expected) this.wrong ||= `${line} in the place of ${expected}`;
      this.answered++;
    });
    this.#timer = setInterval(() => {
      for (let i = 0; i < 5; i++) session.send(String(++this.sent));
    }, 20);
  }

  /** Everything sent is answered, once and in order. */
  async end(): Promise<void> {
    clearInterval(this.#timer);
    await eventually(() => this.answered === this.sent || this.wrong !== '');
    expect([this.wrong, this.answered]).to.deep.equal(['', this.sent]);
    await this.session?.close();
    await this.client.close();
  }
}

/** Redis, two nodes of which the first runs, HAProxy, and clients that send. */
class Site implements AsyncDisposable {
  readonly redis: RedisServer;
  readonly nodes: readonly [Node, Node];
  readonly #haproxy: Haproxy;
  counters: readonly Counter[] = [];

  private constructor(redis: RedisServer, nodes: readonly [Node, Node], haproxy: Haproxy) {
    this.redis = redis;
    this.nodes = nodes;
    this.#haproxy = haproxy;
  }

  static async make(): Promise<Site> {
    const redis = await RedisServer.start({ appendfsync: 'everysec' });
    const ports = [await freePort(), await freePort()] as const;
    const nodes = [new Node(ports[0], redis.port, 1), new Node(ports[1], redis.port, 2)] as const;
    await nodes[0].start();
    const site = new Site(redis, nodes, await Haproxy.start(ports));
    site.counters = Array.from({ length: SESSIONS }, () => new Counter(site.#haproxy.learned));
    await Promise.all(site.counters.map((counter) => counter.start()));
    return site;
  }

  get moves(): number {
    return this.nodes[0].taken + this.nodes[1].taken;
  }

  /** Every session goes on: each has new answers. */
  async goesOn(): Promise<void> {
    const before = this.counters.map((counter) => counter.answered);
    await eventually(() => this.counters.every((counter, i) => counter.answered > (before[i] as number) + 5 || counter.wrong !== ''));
    expect(this.counters.map((counter) => counter.wrong).filter(Boolean)).to.deep.equal([]);
  }

  async end(): Promise<void> {
    await Promise.all(this.counters.map((counter) => counter.end()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const counter of this.counters) counter.session?.destroy();
    await this.#haproxy[Symbol.asyncDispose]();
    for (const node of this.nodes) await node[Symbol.asyncDispose]();
    await this.redis[Symbol.asyncDispose]();
  }
}

describe('two nodes behind HAProxy with Redis', function () {
  this.timeout(180_000);

  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    it(`move 50 sessions by ${signal}, under load: each message acts once`, async () => {
      await using site = await Site.make();
      await site.goesOn();
      for (let round = 0; round < 5; round++) {
        const [from, to] = round % 2 === 0 ? site.nodes : ([site.nodes[1], site.nodes[0]] as const);
        await to.start();
        await from.end(signal);
        await site.goesOn();
      }
      expect(site.moves).to.be.at.least(50);
      await site.end();
    });
  }

  it('go on when Redis is killed and started again on its AOF, and when it is stopped for 30 s', async () => {
    await using site = await Site.make();
    await site.goesOn();
    await site.redis.kill();
    await new Promise((resolve) => setTimeout(resolve, 500));
    await site.redis.restart();
    await site.goesOn();
    site.redis.stop();
    await new Promise((resolve) => setTimeout(resolve, 30_000));
    site.redis.continue();
    await site.goesOn();
    await site.end();
  });
});

describe("two nodes with Redis and peering 'redirect'", function () {
  this.timeout(90_000);

  it('send clients on to a node that was killed until its lease is over, and then take its sessions', async () => {
    await using redis = await RedisServer.start({ appendfsync: 'everysec' });
    const ports = [await freePort(), await freePort()] as const;
    await using first = new Node(ports[0], redis.port, 1, 'redirect');
    await using second = new Node(ports[1], redis.port, 2, 'redirect');
    await Promise.all([first.start(), second.start()]);
    const counters = Array.from({ length: SESSIONS }, (_, i) => new Counter(...(i % 2 === 0 ? ports : [ports[1], ports[0]])));
    await Promise.all(counters.map((counter) => counter.start()));
    const goOn = async (): Promise<void> => {
      const before = counters.map(({ answered }) => answered);
      await eventually(() => counters.every(({ answered, wrong }, i) => answered > (before[i] as number) + 5 || wrong !== ''));
    };
    await goOn();
    await first.end('SIGKILL');
    await eventually(() => second.sentOn > 0);
    await eventually(() => second.taken === SESSIONS / 2);
    await goOn();
    // What is let go is taken at once; what lives at the other one is left there.
    await first.start();
    const { sentOn } = first;
    await second.end('SIGTERM');
    await eventually(() => first.taken === SESSIONS);
    expect(first.sentOn).to.equal(sentOn);
    for (const counter of counters) await counter.end();
  });
});
