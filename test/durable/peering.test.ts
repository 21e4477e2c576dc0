// peering 'redirect': two servers over one store. A resume at the wrong one is sent to the one that has the session, as long as that runs;
// then it is taken over. Only what a server proves is followed, only to the client's own places, and not for ever.

import { connect, createServer, type Socket } from 'node:net';
import { expect } from 'chai';
import { SessionClient } from '../../lib/client.ts';
import { encodeRejected } from '../../lib/core/handshake.ts';
import { RejectCode } from '../../lib/core/wire.ts';
import { SessionError } from '../../lib/errors.ts';
import { lines } from '../../lib/framing/lines.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { memoryStore } from '../../lib/stores/memory.ts';
import type { ClaimRequest, ClaimResult, Store } from '../../lib/stores/store.ts';
import { type Fault, FaultyStore } from '../support/faulty-store.ts';
import { freePort } from '../support/free-port.ts';
import { eventually, turns } from '../support/net.ts';

/** One server process, which counts messages in session.data and answers with the count. */
class Node {
  readonly server: SessionServer<string>;
  readonly port: number;
  readonly store: FaultyStore;
  readonly sessions: Session<string>[] = [];
  readonly refusals: string[] = [];
  #dead = false;

  constructor(port: number, records: Store, durability: 'commit' | 'detach' = 'commit', address: string = `127.0.0.1:${port}`) {
    this.port = port;
    this.store = new FaultyStore(records, (): Fault | Promise<Fault> => (this.#dead ? new Promise(() => {}) : 'none'));
    this.server = new SessionServer({ framing: lines(), store: this.store, durability, peering: 'redirect', address });
    this.server.on('rejected', (error) => this.refusals.push(error.code));
    this.server.on('session', (session) => {
      this.sessions.push(session);
      session.on('close', () => {});
      session.receive((line) => {
        session.data = ((session.data as number | undefined) ?? 0) + 1;
        session.send(`${line} ${session.data}`);
      });
    });
  }

  async listen(): Promise<this> {
    await this.server.listen({ port: this.port });
    return this;
  }

  /** As SIGKILL: nothing of it reaches the store any more, and its port refuses. */
  crash(): Promise<void> {
    this.#dead = true;
    return this.server.close();
  }
}

/** A client that knows where it dialed, and can be cut off. */
class Caller {
  readonly client: SessionClient<string>;
  readonly dialed: number[] = [];
  readonly answers: string[] = [];
  /** So many dials fail. */
  failing: number = 0;
  readonly #sockets = new Set<Socket>();

  constructor(ports: readonly number[]) {
    this.client = new SessionClient({
      framing: lines(),
      addresses: ports.map((port) => ({ port })),
      connect: (address) => this.#dial((address as { readonly port: number }).port),
    });
  }

  async open(): Promise<Session<string>> {
    const session = await this.client.open();
    session.on('close', () => {});
    session.receive((line) => {
      this.answers.push(line);
    });
    return session;
  }

  cut(): void {
    this.dialed.length = 0;
    for (const socket of this.#sockets) socket.destroy();
  }

  end(): void {
    for (const session of this.client.sessions) session.destroy();
  }

  #dial(port: number): Promise<Socket> {
    this.dialed.push(port);
    if (this.failing-- > 0) return Promise.reject(new Error('refused'));
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true }, () => resolve(socket));
      this.#sockets.add(socket);
      socket.once('error', reject);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }
}

describe("peering 'redirect'", () => {
  let nowMs: number;
  let records: Store;
  let ports: readonly [number, number, number];
  const nodes: Node[] = [];
  const callers: Caller[] = [];

  beforeEach(async () => {
    nowMs = 0;
    records = memoryStore({ now: () => nowMs });
    ports = [await freePort(), await freePort(), await freePort()];
  });
  afterEach(async () => {
    for (const caller of callers.splice(0)) caller.end();
    await Promise.all(nodes.splice(0).map(({ server }) => server.close()));
  });

  const node = (place: 0 | 1, durability: 'commit' | 'detach' = 'commit', store: Store = records): Promise<Node> => {
    const made = new Node(ports[place], store, durability);
    nodes.push(made);
    return made.listen();
  };
  const caller = (places: readonly number[]): Caller => {
    const made = new Caller(places.map((place) => ports[place] as number));
    callers.push(made);
    return made;
  };

  it('sends a resume to the server that has the session, and nothing is taken over', async () => {
    const [first, second] = [await node(0), await node(1)];
    const calling = caller([0, 1]);
    const session = await calling.open();
    session.send('a');
    await session.flushed();
    // Where it was opened is dialed first, then the places in turn.
    const dials = [[ports[0]], [ports[1], ports[0]], [ports[1], ports[0]]];
    for (const [i, places] of dials.entries()) {
      calling.cut();
      session.send(`cut ${i}`);
      await session.flushed();
      expect(calling.dialed).to.deep.equal(places);
    }
    await eventually(() => calling.answers.length === 4);
    expect(calling.answers).to.deep.equal(['a 1', 'cut 0 2', 'cut 1 3', 'cut 2 4']);
    expect([first.sessions.length, second.sessions.length]).to.deep.equal([1, 0]);
    expect(second.refusals).to.deep.equal(['ERR_RETRY_LATER', 'ERR_RETRY_LATER']);
  });

  it('takes a session over when the lease of its process is over, and not before', async () => {
    const [first, second] = [await node(0), await node(1)];
    const calling = caller([0, 1]);
    const session = await calling.open();
    session.send('a');
    await session.flushed();
    const gone = first.crash();
    calling.cut();
    session.send('b');
    await eventually(() => second.refusals.length > 1);
    expect(second.sessions.length).to.equal(0);
    nowMs += 15_001;
    calling.client.nudge();
    await session.flushed();
    await eventually(() => calling.answers.length === 2);
    expect(calling.answers).to.deep.equal(['a 1', 'b 2']);
    expect(second.sessions.map(({ restored }) => restored)).to.deep.equal([true]);
    await gone;
  });

  it('takes over at once what was let go: drain and close', async () => {
    const [first, second] = [await node(0), await node(1)];
    const calling = caller([0, 1]);
    const session = await calling.open();
    session.send('a');
    await session.flushed();
    expect(await first.server.drain({ deadlineMs: 2000 })).to.equal(0);
    session.send('b');
    await session.flushed();
    expect([second.sessions.length, second.refusals]).to.deep.equal([1, []]);
    const third = await node(0);
    await second.server.close();
    session.send('c');
    await session.flushed();
    await eventually(() => calling.answers.length === 3);
    expect(calling.answers).to.deep.equal(['a 1', 'b 2', 'c 3']);
    expect(third.refusals).to.deep.equal([]);
  });

  it('is taken over at once by a new process at the address of the one that died', async () => {
    const first = await node(0);
    const calling = caller([0]);
    const session = await calling.open();
    session.send('a');
    await session.flushed();
    await first.crash();
    const again = await node(0);
    session.send('b');
    await session.flushed();
    expect(again.refusals).to.deep.equal([]);
    expect(again.sessions.map(({ restored }) => restored)).to.deep.equal([true]);
  });

  it('follows to places of its own list only, and waits at the others', async () => {
    const [first, second] = [await node(0), await node(1)];
    const calling = caller([0, 1]);
    const session = await calling.open();
    await eventually(() => first.store.calls.create === 1);
    const only = caller([1]);
    const record = calling.client.record(session);
    calling.failing = Infinity;
    calling.cut();
    const resumed = only.client.resume(record);
    resumed.catch(() => {});
    await eventually(() => second.refusals.length > 0);
    const retried = await new Promise<number>((resolve) => only.client.once('retry', ({ delayMs }) => resolve(delayMs)));
    expect(retried).to.be.at.least(2000);
    expect(only.dialed.every((port) => port === ports[1])).to.equal(true);
    only.end();
  });

  it('follows three times in a row, and then waits as after any refusal', async () => {
    const first = await node(0);
    const calling = caller([0, 1]);
    await calling.open();
    await eventually(() => first.store.calls.create === 1);
    await first.server.close();
    /** A server that believes every session to be at the other one. */
    const sends = (place: 0 | 1): Promise<Node> => {
      const store = new FaultyStore(records, () => 'none');
      const numbers = { received: 0, base: 0, sent: 0 };
      store.claim = async (_request: ClaimRequest): Promise<ClaimResult> => ({
        status: 'live',
        owner: `x@127.0.0.1:${ports[1 - place]}`,
        leaseMs: 1000,
        ...numbers,
      });
      return node(place, 'commit', store);
    };
    await sends(0);
    const second = await sends(1);
    await eventually(() => second.refusals.length > 0);
    const waits: number[] = [];
    calling.client.on('retry', ({ delayMs }) => waits.push(delayMs));
    await eventually(() => waits.some((ms) => ms >= 2000));
    const until = waits.findIndex((ms) => ms >= 2000);
    expect(waits.slice(0, until).every((ms) => ms === 0)).to.equal(true);
    expect(until).to.be.at.most(3);
  });

  it('does not follow what nobody has proved', async () => {
    const first = await node(0);
    const calling = caller([0, 1, 2]);
    const session = await calling.open();
    // In between stands somebody who sends the client back to where it was.
    const stranger = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        const fields = { sessionId: Buffer.from(session.id, 'hex'), code: RejectCode.RETRY_LATER, retryAfterMs: 0, versions: [] };
        const rest = { positions: undefined, generation: undefined, cause: undefined, reason: '', address: `127.0.0.1:${ports[0]}` };
        socket.end(encodeRejected({ ...fields, ...rest }, false));
      });
    });
    await new Promise<void>((resolve) => stranger.listen(ports[1], '127.0.0.1', resolve));
    calling.failing = 1;
    calling.cut();
    session.send('a');
    await session.flushed();
    expect(calling.dialed).to.deep.equal([ports[0], ports[1], ports[2], ports[0]]);
    expect(first.sessions.length).to.equal(1);
    await new Promise((resolve) => stranger.close(resolve));
  });

  it("sends on in 'detach' too, while a circuit carries the session", async () => {
    const [first, second] = [await node(0, 'detach'), await node(1, 'detach')];
    const calling = caller([0, 1]);
    const session = await calling.open();
    session.send('a');
    await session.flushed();
    await eventually(() => first.store.calls.create === 1);
    // Two new circuits while the old one lives: the first to a place that is not there, the second to the wrong one.
    calling.failing = 1;
    calling.client.nudge();
    await eventually(() => calling.dialed.length === 2);
    await turns(5);
    calling.client.nudge();
    await eventually(() => second.refusals.length === 1);
    session.send('b');
    await session.flushed();
    expect([second.refusals, second.sessions.length, session.stats.resumes]).to.deep.equal([['ERR_RETRY_LATER'], 0, 0]);
  });

  it('needs a store, and an address', () => {
    const framing = lines();
    const store = memoryStore();
    for (const options of [
      { peering: 'redirect', address: '127.0.0.1:1' },
      { peering: 'redirect', address: '127.0.0.1:1', store, durability: 'memory' },
      { peering: 'redirect', store },
      { peering: 'redirect', store, address: 'here' },
      { peering: 'redirect', store, address: 'a b:1' },
      { peering: 'forward', store, address: '127.0.0.1:1' },
    ]) {
      let error: unknown;
      try {
        new SessionServer({ framing, ...(options as object) });
      } catch (thrown) {
        error = thrown;
      }
      expect(SessionError.is(error, 'ERR_INVALID_OPTION'), JSON.stringify(options)).to.equal(true);
    }
  });
});
