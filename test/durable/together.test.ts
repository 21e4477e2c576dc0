// commit({ with }): what two sessions have done together is stored at one instant, waits for whoever is in the middle of a message, and
// comes undone together where it cannot be stored.

import { expect } from 'chai';
import type { SessionClient } from '../../lib/client.ts';
import { SessionError } from '../../lib/errors.ts';
import { lines } from '../../lib/framing/lines.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { memoryStore } from '../../lib/stores/memory.ts';
import type { Store } from '../../lib/stores/store.ts';
import { type Fault, FaultyStore } from '../support/faulty-store.ts';
import { type Ends, eventually, Pair, rejection, take, turns } from '../support/net.ts';

describe('commit({ with })', () => {
  let gate: (method: string) => Fault | Promise<Fault>;
  let records: Store;
  let store: FaultyStore;
  let pair: Pair<string>;
  let source: Ends<string>;
  let sink: Ends<string>;

  beforeEach(async () => {
    gate = () => 'none';
    records = memoryStore();
    store = new FaultyStore(records, (method) => gate(method));
    pair = await Pair.make({ framing: lines(), server: { store } });
    source = await pair.open();
    sink = await pair.open(pair.another());
    await eventually(() => store.calls.create === 2);
  });
  afterEach(() => pair[Symbol.asyncDispose]());

  const commitsOf = async ({ far }: Ends<string>): Promise<number> => {
    const found = await records.find(far.id);
    return found?.ended === false ? found.record.commit : 0;
  };
  it('stores both in one call, and lets nothing of either go before', async () => {
    source.far.receive(async (line) => {
      sink.far.send(line);
      source.far.send('passed on');
      await source.far.commit({ with: [sink.far] });
    });
    const release = store.hold('commitAll');
    source.near.send('a');
    await eventually(() => source.far.stats.outboundBytes > 0);
    await turns(30);
    expect([sink.near.stats.received, source.near.stats.received, source.near.stats.confirmed]).to.deep.equal([0, 0, 0]);
    expect([await commitsOf(source), await commitsOf(sink)]).to.deep.equal([1, 1]);
    release();
    expect(await take(sink.near, 1)).to.deep.equal(['a']);
    expect(await take(source.near, 1)).to.deep.equal(['passed on']);
    expect([store.calls.commitAll, await commitsOf(source)]).to.deep.equal([1, 2]);
  });

  it('is one write, though its answer was lost', async () => {
    source.far.receive(async (line) => {
      sink.far.send(line);
      await source.far.commit({ with: [sink.far] });
    });
    const faults: Fault[] = ['unanswered', 'lost'];
    gate = (method) => (method === 'commitAll' ? (faults.shift() ?? 'none') : 'none');
    source.near.send('a');
    source.near.send('b');
    expect(await take(sink.near, 2)).to.deep.equal(['a', 'b']);
    await source.near.flushed();
    expect(await commitsOf(sink)).to.equal(3);
  });

  it('waits until the other has no message in progress, and holds back what both do meanwhile', async () => {
    let finish = (): void => {};
    sink.far.receive(async () => {
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      sink.far.send('and the end of mine');
    });
    source.far.receive((line) => {
      sink.far.send(line);
      void source.far.commit({ with: [sink.far] });
    });
    sink.near.send('long');
    await eventually(() => sink.far.cursor > 0);
    source.near.send('a');
    source.near.send('b');
    await eventually(() => source.far.cursor === 4);
    source.far.data = 'a push of its own';
    await turns(30);
    expect([await commitsOf(source), await commitsOf(sink), source.near.stats.confirmed]).to.deep.equal([1, 1, 0]);
    finish();
    expect(await take(sink.near, 3)).to.deep.equal(['a', 'b', 'and the end of mine']);
    await source.near.flushed();
    await eventually(() => source.far.stats.consumed === 4);
  });

  it('takes what comes while a write waits into one', async () => {
    source.far.receive((line) => {
      sink.far.send(line);
      void source.far.commit({ with: [sink.far] });
    });
    const release = store.hold('commitAll');
    for (let i = 0; i < 200; i++) source.near.send(String(i));
    await eventually(() => source.far.stats.received === source.near.stats.sent && source.near.stats.sent > 0);
    await turns(20);
    release();
    expect(await take(sink.near, 200)).to.deep.equal(Array.from({ length: 200 }, (_, i) => String(i)));
    await source.near.flushed();
    expect(store.calls.commitAll).to.be.within(1, 4);
  });

  it('crosses: each commits with the other at once, and with a third', async () => {
    const third = await pair.open(pair.another());
    source.far.receive(async (line) => {
      sink.far.send(line);
      third.far.send(line);
      await source.far.commit({ with: [third.far, sink.far, third.far] });
    });
    sink.far.receive(async (line) => {
      source.far.send(line);
      await sink.far.commit({ with: [source.far] });
    });
    for (let i = 0; i < 50; i++) {
      source.near.send(`s${i}`);
      sink.near.send(`k${i}`);
    }
    const all = (prefix: string): string[] => Array.from({ length: 50 }, (_, i) => `${prefix}${i}`);
    const taken = await Promise.all([take(source.near, 50), take(sink.near, 50), take(third.near, 50)]);
    expect(taken).to.deep.equal([all('k'), all('s'), all('s')]);
    await Promise.all([source.near.flushed(), sink.near.flushed()]);
  });

  it('resolves when the other is stored, where nothing of its own has changed', async () => {
    sink.far.send('a push');
    await source.far.commit({ with: [sink.far] });
    expect(await commitsOf(sink)).to.equal(2);
    expect(await take(sink.near, 1)).to.deep.equal(['a push']);
  });

  it('refuses what cannot be stored together, and the message is still in progress', async () => {
    const elsewhere = await Pair.make({ framing: lines(), server: { store: memoryStore() } });
    const plain = await Pair.make({ framing: lines() });
    const stranger = await elsewhere.open();
    const mortal = await plain.open();
    const ended = await pair.open(pair.another());
    ended.far.on('close', () => {}).destroy();
    const codes: string[] = [];
    source.far.receive(async () => {
      for (const other of [stranger.far, mortal.far, source.near, ended.far])
        codes.push((await rejection(source.far.commit({ with: [other] }))).code);
      await turns(10);
      codes.push(String(source.far.stats.consumed));
    });
    source.near.send('a');
    await source.near.flushed();
    const { commitAll } = store;
    delete store.commitAll;
    codes.push((await rejection(source.far.commit({ with: [sink.far] }))).message.slice(0, 30));
    store.commitAll = commitAll as NonNullable<typeof commitAll>;
    const invalid = 'ERR_INVALID_OPTION';
    expect(codes).to.deep.equal([invalid, invalid, invalid, 'ERR_CLOSED', '0', 'option with needs a store that']);
    await elsewhere[Symbol.asyncDispose]();
    await plain[Symbol.asyncDispose]();
  });

  /** Another process claims the record of the sink, which the first does not notice. */
  const fence = async (): Promise<void> => {
    const found = await records.find(sink.far.id);
    if (found?.ended !== false) throw new Error('no record');
    const generation = found.record.generation + 1;
    const request = { id: sink.far.id, owner: 'other', generation, instance: generation, positions: undefined, held: undefined };
    expect((await records.claim({ ...request, exclusive: false, keepMs: 60_000 })).status).to.equal('claimed');
  };

  it('comes undone for all where one is fenced: the message is handed out again, with the data of before', async () => {
    const handed: string[] = [];
    const serve = (session: Session<string>, with_: Session<string>[]): void => {
      session.on('close', () => {});
      session.receive((line) => {
        handed.push(`${line} ${String(session.data)}`);
        session.data = line;
        session.send(`had ${line}`);
        for (const other of with_) other.send(line);
        session.commit({ with: with_ }).catch(() => {});
      });
    };
    serve(source.far, [sink.far]);
    pair.server.on('session', (session) => serve(session, []));
    const causes: string[] = [];
    for (const { far } of [source, sink]) far.on('close', (cause) => causes.push(cause?.code ?? 'clean'));
    await fence();
    source.near.send('a');
    expect(await take(source.near, 1)).to.deep.equal(['had a']);
    expect(handed).to.deep.equal(['a undefined', 'a undefined']);
    expect(causes).to.deep.equal(['ERR_FENCED', 'ERR_FENCED']);
    expect(await commitsOf(sink)).to.equal(1);
  });

  it('comes undone for all where one ends before it is stored', async () => {
    const error = rejection(source.far.commit({ with: [sink.far] }));
    sink.far.on('close', () => {}).destroy();
    expect(SessionError.is(await error, 'ERR_FENCED')).to.equal(true);
    const restored = new Promise<boolean>((resolve) => pair.server.once('session', (session) => resolve(session.restored)));
    expect(await restored).to.equal(true);
  });

  it('works between a session that was accepted and one that was dialed, with one store', async () => {
    const upstream = new SessionServer({ framing: lines() });
    const got: string[] = [];
    upstream.on('session', (session) => {
      session.receive((line) => {
        got.push(line);
      });
    });
    const { port } = await upstream.listen({ port: 0 });
    const dialing: SessionClient<string> = pair.another({ port, store });
    const up = await dialing.open({ key: 'up' });
    source.far.receive(async (line) => {
      up.send(line);
      await source.far.commit({ with: [up] });
    });
    for (const line of ['a', 'b']) source.near.send(line);
    await source.near.flushed();
    await up.flushed();
    expect([got, store.calls.commitAll]).to.deep.equal([['a', 'b'], 2]);
    up.on('close', () => {});
    await upstream.close();
  });
});
