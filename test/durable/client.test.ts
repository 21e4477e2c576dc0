// A client with a store: killed at any moment, the next process takes its session up with what was not sent, and two processes with one
// name never splice their streams.

import { expect } from 'chai';
import { SessionClient } from '../../lib/client.ts';
import { decodeState } from '../../lib/durable/record.ts';
import { SessionError } from '../../lib/errors.ts';
import { lines } from '../../lib/framing/lines.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { memoryStore } from '../../lib/stores/memory.ts';
import type { Store } from '../../lib/stores/store.ts';
import { MortalClient } from '../support/mortal-client.ts';
import { ended, eventually, rejection, turns } from '../support/net.ts';

describe('a durable client', () => {
  let server: SessionServer<string>;
  let port: number;
  let store: Store;
  let received: string[];
  let far: Session<string>[];

  beforeEach(async () => {
    store = memoryStore();
    received = [];
    far = [];
    server = new SessionServer({ framing: lines(), limits: { takeovers: 100 } });
    server.on('session', (session) => {
      far.push(session);
      session.receive((line) => {
        received.push(line);
        session.send(`got ${line}`);
      });
    });
    ({ port } = await server.listen({ port: 0 }));
  });
  afterEach(() => server.close());

  const process = (): MortalClient => new MortalClient(store, () => port);

  it('is killed again and again: the next process goes on with what was not sent', async () => {
    const answers: string[] = [];
    let last: MortalClient | undefined;
    for (let life = 0; life < 8; life++) {
      const mortal = process();
      const session = await mortal.client.open({ key: 'orders' });
      expect(session.restored).to.equal(life > 0);
      expect(session.data ?? { answers: 0 }).to.deep.equal({ answers: answers.length });
      session.receive((line) => {
        answers.push(line);
        session.data = { answers: answers.length };
      });
      for (let i = 0; i < 20; i++) session.send(`${life}.${i}`);
      await session.commit();
      await turns(life);
      // What a handler has pushed here and no commit has told of would come again: as after a crash, memory is gone.
      mortal.crash();
      answers.length = (await dataOf(store)).answers;
      last = mortal;
    }
    const survivor = process();
    const session = await survivor.client.open({ key: 'orders' });
    session.receive((line) => {
      answers.push(line);
    });
    await session.flushed();
    await eventually(() => answers.length === 160);
    const expected = Array.from({ length: 160 }, (_, i) => `${Math.floor(i / 20)}.${i % 20}`);
    expect(received).to.deep.equal(expected);
    expect(answers).to.deep.equal(expected.map((line) => `got ${line}`));
    expect(far.length).to.equal(1);
    await survivor.client.close();
    expect(await store.find('client:orders')).to.equal(undefined);
    expect(last?.client.sessions.size).to.equal(0);
  });

  it('runs twice under one name: the later has the session, the earlier ends clearly, nothing is spliced', async () => {
    const [a, b] = [process(), process()];
    const first = await a.client.open({ key: 'one' });
    first.send('a1');
    await first.flushed();
    const over = ended(first);
    const second = await b.client.open({ key: 'one' });
    expect(second.id).to.equal(first.id);
    for (let i = 0; i < 10 && first.state !== 'closed'; i++) {
      first.send(`a${i + 2}`);
      second.send(`b${i}`);
      await second.flushed();
    }
    const cause = await over;
    expect(cause?.code).to.be.oneOf(['ERR_FENCED', 'ERR_TAKEN_OVER']);
    expect(received.filter((line) => line.startsWith('b'))).to.deep.equal(
      received.filter((line) => line.startsWith('b')).toSorted((x, y) => Number(x.slice(1)) - Number(y.slice(1))),
    );
    expect(received.filter((line) => line.startsWith('a'))).to.deep.equal(['a1']);
    await b.client.close();
  });

  it('opens one session where two processes open one name at once', async () => {
    const [a, b] = [process(), process()];
    const results = await Promise.allSettled([a.client.open({ key: 'x' }), b.client.open({ key: 'x' })]);
    const open = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    for (const error of refused) expect(SessionError.is(error, 'ERR_FENCED')).to.equal(true);
    expect(open.length).to.be.within(1, 2);
    for (const session of open) await session.close().catch(() => {});
    await eventually(() => a.client.sessions.size + b.client.sessions.size === 0);
  });

  it('says what it cannot do', async () => {
    const plain = new SessionClient({ framing: lines(), port });
    expect((await rejection(plain.open({ key: 'a' }))).code).to.equal('ERR_INVALID_OPTION');
    expect(() => new SessionClient({ framing: lines(), port, store, durability: 'detach' })).to.throw(/durability/);
    const durable = new SessionClient({ framing: lines(), port, store });
    await durable.open({ key: 'a' });
    expect((await rejection(durable.open({ key: 'a' }))).message).to.match(/in use/);
    await durable.close();
    const other = new SessionClient({ framing: lines(), port, store });
    const again = await other.open({ key: 'a' });
    expect(again.restored).to.equal(false);
    await other.close();
  });

  it('learns that its session has ended meanwhile, with what was not confirmed', async () => {
    const mortal = process();
    const session = await mortal.client.open({ key: 'gone' });
    session.send('sent');
    await session.flushed();
    mortal.crash();
    far[0]?.destroy();
    const error = await rejection(process().client.open({ key: 'gone' }));
    expect(error.code).to.equal('ERR_PEER_DESTROYED');
    const fresh = process();
    expect((await fresh.client.open({ key: 'gone' })).restored).to.equal(false);
    await fresh.client.close();
  });
});

async function dataOf(store: Store): Promise<{ readonly answers: number }> {
  const found = await store.find('client:orders');
  if (found === undefined || found.ended) throw new Error('no record');
  const { data } = decodeState(found.record.state);
  return data === '' ? { answers: 0 } : JSON.parse(data);
}
