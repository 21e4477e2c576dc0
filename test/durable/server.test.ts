// A session whose server's process goes: it crashes, is closed, or another one claims the session. The client notices a lost circuit
// and nothing else; each message acts once on session.data and on what the session sends.

import { connect, type Socket } from 'node:net';
import { expect } from 'chai';
import { SessionClient } from '../../lib/client.ts';
import { SessionError } from '../../lib/errors.ts';
import { lines } from '../../lib/framing/lines.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { memoryStore } from '../../lib/stores/memory.ts';
import type { Store } from '../../lib/stores/store.ts';
import { type Fault, FaultyStore } from '../support/faulty-store.ts';
import { ended, eventually } from '../support/net.ts';
import { openSums, sumTo } from '../support/sums.ts';

interface Sum {
  readonly count: number;
  readonly sum: number;
}

/** One process of a server that sums what it is sent, and answers each message with the sum so far. */
class SummingNode {
  readonly server: SessionServer<string>;
  readonly store: FaultyStore;
  /** How often a message was handed to a handler here: more often than once in all, where a process crashed in between. */
  handled: number = 0;
  sessions: Session<string>[] = [];
  #dead = false;
  #closed: Promise<void> = Promise.resolve();

  constructor(store: Store, durability: 'commit' | 'detach' = 'commit') {
    this.store = new FaultyStore(store, (): Fault | Promise<Fault> => (this.#dead ? new Promise(() => {}) : 'none'));
    this.server = new SessionServer({ framing: lines(), store: this.store, durability });
    this.server.on('session', (session) => {
      this.sessions.push(session);
      session.data ??= { count: 0, sum: 0 };
      session.on('close', () => {});
      session.receive((line) => {
        this.handled++;
        const { count, sum } = session.data as Sum;
        const next = { count: count + 1, sum: sum + Number(line) };
        session.data = next;
        session.send(`${next.count} ${next.sum}`);
      });
    });
  }

  listen(port: number): Promise<number> {
    return this.server.listen({ port }).then((address) => address.port);
  }

  /** As SIGKILL: not a byte reaches the store or the peer any more. */
  crash(): void {
    this.#dead = true;
    this.#closed = this.server.close();
  }

  /** What is left of it is cleared away. */
  async end(): Promise<void> {
    await (this.#dead ? this.#closed : this.server.close());
  }
}

describe('a durable server', () => {
  it('is closed and started again: the session goes on in the new process, with its data', async () => {
    const store = memoryStore();
    const first = new SummingNode(store);
    const port = await first.listen(0);
    const { client, session, answers } = await openSums(port);
    for (let i = 1; i <= 10; i++) session.send(String(i));
    await session.flushed();
    await first.end();
    expect(first.sessions[0]?.state).to.equal('closed');
    for (let i = 11; i <= 20; i++) session.send(String(i));
    const second = new SummingNode(store);
    await second.listen(port);
    await session.flushed();
    expect(second.sessions.map(({ id, restored, data }) => ({ id, restored, data }))).to.deep.equal([
      { id: session.id, restored: true, data: { count: 20, sum: 210 } },
    ]);
    await client.close();
    expect(answers).to.deep.equal(sumTo(20));
    await second.end();
  });

  it('crashes again and again, with messages in flight: sums and answers are exact', async () => {
    const store = memoryStore();
    const nodes = [new SummingNode(store)];
    let node = nodes[0] as SummingNode;
    const port = await node.listen(0);
    const { client, session, answers } = await openSums(port);
    for (let life = 0; life < 8; life++) {
      for (let i = 1; i <= 50; i++) session.send(String(life * 50 + i));
      // In the middle of them, at a moment that is never quite the same.
      await eventually(() => node.handled > life * 5);
      node.crash();
      node = new SummingNode(store);
      nodes.push(node);
      await eventually(() => session.state === 'detached');
      await node.listen(port);
    }
    await session.flushed();
    await client.close();
    expect(answers).to.deep.equal(sumTo(400));
    expect(nodes.reduce((sum, { handled }) => sum + handled, 0)).to.be.at.least(400);
    for (const each of nodes) await each.end();
  });

  it('loses its session to another process, ends it with ERR_FENCED, and delivers nothing more', async () => {
    const store = memoryStore();
    const [one, two] = [new SummingNode(store), new SummingNode(store)];
    const ports = [await one.listen(0), await two.listen(0)];
    const addresses = ports.map((port) => ({ port }));
    const client = new SessionClient({ framing: lines(), addresses });
    const session = await client.open();
    session.send('1');
    await session.flushed();
    const closed = new Promise<SessionError | undefined>((resolve) => one.sessions[0]?.on('close', resolve));
    while (two.sessions.length === 0) {
      client.nudge();
      await new Promise((resolve) => session.once('attached', resolve));
    }
    session.send('2');
    await session.flushed();
    expect(two.sessions[0]?.data).to.deep.equal({ count: 2, sum: 3 });
    expect(SessionError.is(await closed, 'ERR_FENCED')).to.equal(true);
    expect(one.handled).to.equal(1);
    session.destroy();
    await one.end();
    await two.end();
  });

  it('answers RETRY_LATER while its store is away, and goes on behind the outage', async () => {
    const store = memoryStore();
    const first = new SummingNode(store);
    const port = await first.listen(0);
    const { client, session, answers } = await openSums(port);
    session.send('1');
    await session.flushed();
    await first.end();
    let away = true;
    const faulty = new FaultyStore(store, (method) => (away && method !== 'ready' ? 'lost' : 'none'));
    const second = new SummingNode(faulty);
    const rejected: SessionError[] = [];
    second.server.on('rejected', (error) => rejected.push(error));
    await second.listen(port);
    await eventually(() => rejected.length > 0);
    expect(rejected[0]?.code).to.equal('ERR_STORE');
    away = false;
    session.send('2');
    await session.flushed();
    expect(answers).to.deep.equal(sumTo(2).slice(0, 1).concat('2 3'));
    await client.close();
    await second.end();
  });

  it('is short of memory: a session in the store gives its memory back and goes on later', async () => {
    const node = new SummingNode(memoryStore());
    const port = await node.listen(0);
    const { client, session, answers } = await openSums(port);
    session.send('1');
    await session.flushed();
    node.sessions[0]?.destroy(new SessionError('ERR_MEMORY_BUDGET', 'as the budget does'));
    session.send('2');
    await session.flushed();
    expect([node.sessions.length, node.sessions[1]?.restored]).to.deep.equal([2, true]);
    await client.close();
    expect(answers).to.deep.equal(sumTo(2));
    await node.end();
  });

  it('tells every process how a session ended', async () => {
    const store = memoryStore();
    const [one, two] = [new SummingNode(store), new SummingNode(store)];
    const port = await one.listen(0);
    const other = await two.listen(0);
    let dialed = port;
    const client = new SessionClient({ framing: lines(), connect: () => connectTo(dialed) });
    const session = await client.open();
    await eventually(() => one.sessions.length === 1);
    const over = ended(session);
    dialed = other;
    one.sessions[0]?.destroy();
    // The CLOSE itself may reach it; a client that was away asks the other process.
    expect((await over)?.code).to.equal('ERR_PEER_DESTROYED');
    await eventually(() => (one.store.calls.remove ?? 0) === 1);
    const found = await store.find(session.id);
    expect(found?.ended).to.equal(true);
    await one.end();
    await two.end();
  });

  it('skips what the application has recorded in its own database (resumeFrom)', async () => {
    const store = memoryStore();
    // The application's database: effects and cursor in one transaction, whatever becomes of the session's record.
    const database = { cursor: 0, seen: [] as string[] };
    const cursors: number[] = [];
    let away = false;
    const node = (): SessionServer<string> => {
      const server = new SessionServer({
        framing: lines(),
        store: new FaultyStore(store, (method) => (away && method !== 'ready' ? 'lost' : 'none')),
        resumeFrom: ({ id }) => {
          expect(id).to.match(/^[0-9a-f]{32}$/);
          cursors.push(database.cursor);
          return database.cursor;
        },
      });
      server.on('session', (session) => {
        session.on('close', () => {});
        session.receive((line) => {
          database.seen.push(line);
          database.cursor = session.cursor;
        });
      });
      return server;
    };
    const first = node();
    const { port } = await first.listen({ port: 0 });
    const { client, session } = await openSums(port);
    session.send('a');
    await session.flushed();
    // From now on the database commits, and the record does not: the process dies in between.
    away = true;
    for (const line of ['b', 'c']) session.send(line);
    await eventually(() => database.seen.length === 3);
    const closed = first.close();
    await eventually(() => session.state === 'detached');
    away = false;
    const second = node();
    await second.listen({ port });
    session.send('d');
    await session.flushed();
    expect(database.seen).to.deep.equal(['a', 'b', 'c', 'd']);
    expect(cursors).to.deep.equal([6]);
    await client.close();
    await closed;
    await second.close();
  });
});

describe('a server that writes when a session is detached', () => {
  const until = async (node: SummingNode, id: string): Promise<boolean> => {
    const found = await node.store.find(id);
    return found?.ended === false;
  };

  it('hands a session on when it is closed, and while its client is away', async () => {
    const store = memoryStore();
    const first = new SummingNode(store, 'detach');
    const port = await first.listen(0);
    const client = new SessionClient({ framing: lines(), port });
    const session = await client.open();
    const answers: string[] = [];
    session.receive((line) => {
      answers.push(line);
    });
    for (let i = 1; i <= 50; i++) session.send(String(i));
    await session.flushed();
    // Attached it writes nothing.
    expect(first.store.calls.commit).to.equal(undefined);
    expect(await until(first, session.id)).to.equal(true);
    await first.end();
    expect(first.store.calls.release).to.be.greaterThan(0);
    const second = new SummingNode(store, 'detach');
    await second.listen(port);
    session.send('51');
    await session.flushed();
    await client.close();
    expect(answers).to.deep.equal(sumTo(51));
    await second.end();
  });

  it('says STATE_LOST with the numbers where its process crashed, and runs nothing twice', async () => {
    let skewMs = 0;
    const store = memoryStore({ now: () => performance.now() + skewMs });
    const first = new SummingNode(store, 'detach');
    const port = await first.listen(0);
    const client = new SessionClient({ framing: lines(), port });
    const session = await client.open();
    for (let i = 1; i <= 5; i++) session.send(String(i));
    await session.flushed();
    const over = ended(session);
    first.crash();
    // Long enough for the store to take its process for dead.
    skewMs = 60_000;
    const second = new SummingNode(store, 'detach');
    await second.listen(port);
    const cause = await over;
    expect(cause?.code).to.equal('ERR_STATE_LOST');
    expect(cause?.message).to.match(/the server has received \d+, .*this end received \d+/);
    expect([first.handled, second.handled]).to.deep.equal([5, 0]);
    await first.end();
    await second.end();
  });

  it('leaves the record clean behind what it does while its client is away', async () => {
    const store = memoryStore();
    const first = new SummingNode(store, 'detach');
    let port = await first.listen(0);
    let away = false;
    const sockets: Socket[] = [];
    const dial = async (): Promise<Socket> => {
      if (away) throw new Error('no network');
      const socket = await connectTo(port);
      sockets.push(socket);
      return socket;
    };
    const client = new SessionClient({ framing: lines(), connect: dial });
    const session = await client.open();
    await eventually(() => first.sessions.length === 1);
    away = true;
    for (const socket of sockets) socket.resetAndDestroy();
    await eventually(() => first.store.calls.release === 1);
    first.sessions[0]?.send('pushed');
    await first.end();
    const second = new SummingNode(store, 'detach');
    port = await second.listen(0);
    away = false;
    client.nudge();
    for await (const line of session) {
      expect(line).to.equal('pushed');
      break;
    }
    await client.close();
    await second.end();
  });

  it('waits for the lease of a process that may still run', async () => {
    const store = memoryStore();
    const [one, two] = [new SummingNode(store, 'detach'), new SummingNode(store, 'detach')];
    const [port, other] = [await one.listen(0), await two.listen(0)];
    let dialed = port;
    const client = new SessionClient({ framing: lines(), connect: () => connectTo(dialed) });
    const session = await client.open();
    await eventually(() => one.sessions.length === 1);
    const rejected: SessionError[] = [];
    two.server.on('rejected', (error) => rejected.push(error));
    dialed = other;
    client.nudge();
    await eventually(() => rejected.length > 0);
    expect(rejected[0]?.code).to.equal('ERR_RETRY_LATER');
    // The old circuit was kept, and the session with it.
    session.send('7');
    await session.flushed();
    expect(one.handled).to.equal(1);
    session.destroy();
    await one.end();
    await two.end();
  });
});

function connectTo(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => resolve(socket));
    socket.once('error', reject);
  });
}
