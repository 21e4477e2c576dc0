// A session whose server's process goes: it crashes, is closed, or another one claims the session. The client notices a lost circuit
// and nothing else; each message acts once on session.data and on what the session sends.

import { expect } from 'chai';
import { SessionClient } from '../../lib/client.ts';
import { SessionError } from '../../lib/errors.ts';
import { lines } from '../../lib/framing/lines.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { memoryStore } from '../../lib/stores/memory.ts';
import type { Store } from '../../lib/stores/store.ts';
import { type Fault, FaultyStore } from '../support/faulty-store.ts';
import { eventually } from '../support/net.ts';

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

function sumTo(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${i + 1} ${((i + 1) * (i + 2)) / 2}`);
}

describe('a durable server', () => {
  const open = async (port: number): Promise<{ client: SessionClient<string>; session: Session<string>; answers: string[] }> => {
    const client = new SessionClient({ framing: lines(), port });
    const session = await client.open();
    const answers: string[] = [];
    session.receive((line) => {
      answers.push(line);
    });
    return { client, session, answers };
  };

  it('is closed and started again: the session goes on in the new process, with its data', async () => {
    const store = memoryStore();
    const first = new SummingNode(store);
    const port = await first.listen(0);
    const { client, session, answers } = await open(port);
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
    const { client, session, answers } = await open(port);
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
});
