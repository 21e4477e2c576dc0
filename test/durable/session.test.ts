// What an application meets on a durable session: its data, commit(), pushes, and what would wait for itself.

import { expect } from 'chai';
import { SessionError } from '../../lib/errors.ts';
import { lines } from '../../lib/framing/lines.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { memoryStore } from '../../lib/stores/memory.ts';
import { type Fault, FaultyStore } from '../support/faulty-store.ts';
import { eventually, Pair, rejection, take, turns } from '../support/net.ts';

describe('a durable session', () => {
  let gate: (method: string) => Fault | Promise<Fault>;
  let store: FaultyStore;
  let pair: Pair<string>;
  let near: Session<string>;
  let far: Session<string>;

  beforeEach(async () => {
    gate = () => 'none';
    store = new FaultyStore(memoryStore(), (method) => gate(method));
    pair = await Pair.make({ framing: lines(), server: { store, limits: { outboxHighWater: 1000 } } });
    ({ near, far } = await pair.open());
  });
  afterEach(() => pair[Symbol.asyncDispose]());

  it('keeps data that is frozen, and refuses what JSON would not give back', () => {
    const value = { list: [1, { deep: 'a' }], nothing: null };
    far.data = value;
    expect(far.data).to.equal(value);
    expect(() => {
      (value.list[1] as { deep: string }).deep = 'b';
    }).to.throw(TypeError);
    const loop: Record<string, unknown> = {};
    loop.self = loop;
    for (const bad of [new Date(), () => {}, Number.NaN, { a: [new Map()] }, loop, 1n, Symbol('x'), Buffer.alloc(1)]) {
      let error: unknown;
      try {
        far.data = bad;
      } catch (thrown) {
        error = thrown;
      }
      expect(SessionError.is(error, 'ERR_INVALID_MESSAGE'), String(error)).to.equal(true);
    }
    expect(far.data).to.equal(value);
    far.data = undefined;
    expect(far.data).to.equal(undefined);
  });

  it('acks nothing and sends nothing before the record is stored', async () => {
    far.receive((line) => far.send(`echo ${line}`));
    await eventually(() => store.calls.create === 1);
    const release = store.hold('commit');
    near.send('a');
    await eventually(() => far.stats.received > 0);
    await turns(20);
    expect([far.stats.consumed, far.stats.sent, near.stats.received]).to.deep.equal([0, 0, 0]);
    release();
    expect(await take(near, 1)).to.deep.equal(['echo a']);
    await near.flushed();
    expect(far.stats.consumed).to.equal(2);
  });

  it('groups what comes while a write is in flight into the next one', async () => {
    const seen: string[] = [];
    far.receive(async (line) => {
      seen.push(line);
    });
    await eventually(() => store.calls.create === 1);
    const release = store.hold('commit');
    for (let i = 0; i < 100; i++) near.send(String(i));
    // The next message is handed out while the record of the one before is on its way.
    await eventually(() => seen.length === 100);
    release();
    await near.flushed();
    expect(store.calls.commit).to.be.within(1, 3);
  });

  it('commits pushes of an idle session by itself, in one write for one turn', async () => {
    await eventually(() => store.calls.create === 1);
    far.send('one');
    far.data = { pushed: 2 };
    far.send('two');
    expect(await take(near, 2)).to.deep.equal(['one', 'two']);
    expect(store.calls.commit).to.equal(1);
    far.data = { pushed: 3 };
    await eventually(() => store.calls.commit === 2);
  });

  it('does not send what a message in progress has sent, until commit() or its end', async () => {
    let finish = (): void => {};
    let early: Promise<void> | undefined;
    far.receive(async (line) => {
      far.send(`${line} begun`);
      if (line === 'long') {
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        far.send('half');
        early = far.commit();
        await early;
        far.send('rest');
      }
    });
    near.send('long');
    await eventually(() => far.stats.outboundBytes > 0);
    await turns(20);
    expect(far.stats.sent).to.equal(0);
    finish();
    expect(await take(near, 3)).to.deep.equal(['long begun', 'half', 'rest']);
    await early;
  });

  it('refuses waits that wait for themselves, and only those', async () => {
    const errors: unknown[] = [];
    far.receive(async () => {
      await far.flushed();
      await far.drained();
      far.send('an answer');
      errors.push(await rejection(far.flushed()));
      await far.drained();
      while (far.send('x'.repeat(100)));
      errors.push(await rejection(far.drained()));
      await far.commit();
      await far.drained();
    });
    near.receive(() => {});
    near.send('go');
    await near.flushed();
    expect(errors.map((error) => SessionError.is(error, 'ERR_WOULD_DEADLOCK'))).to.deep.equal([true, true]);
    await far.flushed();
  });

  it('refuses stream(), and commit() where nothing is committed', async () => {
    expect(() => far.stream()).to.throw(/durability/);
    expect((await rejection(near.commit())).code).to.equal('ERR_INVALID_OPTION');
  });

  it('ends in order: both ENDs are in the record before they are acked', async () => {
    far.receive((line) => far.send(line));
    near.send('last');
    near.end();
    expect(await take(near, 1)).to.deep.equal(['last']);
    await near.close();
    await eventually(() => far.state === 'closed');
    await eventually(() => (store.calls.remove ?? 0) === 1);
    const found = await store.find(far.id);
    expect(found?.ended ?? true).to.equal(true);
  });

  it('goes on when the store comes back from an outage, and its messages wait meanwhile', async () => {
    far.receive((line) => far.send(line));
    await eventually(() => store.calls.create === 1);
    let faults = 0;
    gate = () => (faults++ < 4 ? ((['lost', 'unanswered'] as const)[faults % 2] ?? 'none') : 'none');
    near.send('a');
    expect(await take(near, 1)).to.deep.equal(['a']);
    expect(faults).to.be.greaterThan(4);
  });
});

describe('durability options', () => {
  const codeOf = (make: () => unknown): string => {
    try {
      make();
      return 'nothing thrown';
    } catch (error) {
      return SessionError.is(error) ? error.code : String(error);
    }
  };

  it('contradict each other only with an error', () => {
    const framing = lines();
    const store = memoryStore();
    for (const options of [
      { durability: 'commit' },
      { durability: 'detach' },
      { store, bare: true },
      { store, durability: 'always' },
    ] as const)
      expect(codeOf(() => new SessionServer({ framing, ...(options as object) }))).to.equal('ERR_INVALID_OPTION');
    expect(codeOf(() => new SessionServer({ framing, store, durability: 'memory' }))).to.equal('nothing thrown');
  });
});
