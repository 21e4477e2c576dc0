// server.broadcast(): one message to many sessions over real connections; who took it, who is full, who refused, and in which order.

import { expect } from 'chai';
import { LEND_MIN_BYTES } from '../../lib/core/egress.ts';
import { SessionError } from '../../lib/errors.ts';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { lines } from '../../lib/framing/lines.ts';
import type { SessionServer } from '../../lib/server.ts';
import { carriers, type Ends, next, Pair, proxied, take } from '../support/net.ts';

async function three<Message>(pair: Pair<Message>): Promise<Ends<Message>[]> {
  return [await pair.open(), await pair.open(), await pair.open()];
}

const all = <Message>(ends: readonly Ends<Message>[], count: number): Promise<Message[][]> =>
  Promise.all(ends.map(({ near }) => take(near, count)));

describe('broadcast', () => {
  for (const carrier of carriers) {
    it(`reaches every session in order with what each is sent otherwise, over ${carrier}`, async () => {
      await using pair = await Pair.make({ framing: lines(), carrier });
      const ends = await three(pair);
      for (const [n, { far }] of ends.entries()) far.send(`before ${n}`);
      expect(pair.server.broadcast('to all')).to.deep.equal({ taken: 3, full: [], refused: [] });
      for (const [n, { far }] of ends.entries()) far.send(`after ${n}`);
      pair.server.broadcast('again');
      expect(await all(ends, 4)).to.deep.equal([0, 1, 2].map((n) => [`before ${n}`, 'to all', `after ${n}`, 'again']));
    });
  }

  it('goes to whom it is told', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const ends = await three(pair);
    const to = ends.slice(1).map(({ far }) => far);
    expect(pair.server.broadcast('to two', { to }).taken).to.equal(2);
    expect(pair.server.broadcast('to nobody', { to: [] }).taken).to.equal(0);
    pair.server.broadcast('last');
    expect(await all(ends.slice(0, 1), 1)).to.deep.equal([['last']]);
    expect(await all(ends.slice(1), 2)).to.deep.equal([0, 1].map(() => ['to two', 'last']));
  });

  it('waits for sessions without a circuit, and is replayed to those that lost theirs', async () => {
    const { pair, proxy } = await proxied({ framing: lines() });
    await using _ = pair;
    await using chaos = proxy;
    const ends = await three(pair);
    const back = ends.map(({ far }) => next(far, 'attached'));
    for (const { far } of ends) far.send('one');
    pair.server.broadcast('two');
    chaos.cutAll();
    pair.server.broadcast('three');
    await Promise.all(back);
    pair.server.broadcast('four');
    expect(await all(ends, 4)).to.deep.equal([0, 1, 2].map(() => ['one', 'two', 'three', 'four']));
  });

  it('does not see what happens to a message that was copied, and keeps a large one that was lent', async () => {
    await using pair = await Pair.make({ framing: lengthPrefix() });
    const ends = await three(pair);
    const small = Buffer.alloc(100, 1);
    const large = Buffer.alloc(3 * LEND_MIN_BYTES, 2);
    pair.server.broadcast(small);
    small.fill(9);
    pair.server.broadcast(large, { lend: true });
    for (const messages of await all(ends, 2)) expect(messages).to.deep.equal([Buffer.alloc(100, 1), large]);
  });

  it('tells who is full and who has not taken it, and gives it to all others', async () => {
    const limits = { outboxHighWater: 1_000, outboxHardCap: 10_000, messageBytes: 4_000 };
    await using pair = await Pair.make({ framing: lines(), server: { limits }, shared: { window: 8_192 }, client: { limits } });
    const [ended, brimful, full, ready] = [...(await three(pair)), await pair.open()] as [
      Ends<string>,
      Ends<string>,
      Ends<string>,
      Ends<string>,
    ];
    ended.far.end();
    for (const { far } of [brimful, full]) for (let n = 0; n < (far === full.far ? 2 : 5); n++) far.send('x'.repeat(1_999));
    const { taken, full: slow, refused } = pair.server.broadcast('y'.repeat(99));
    expect(taken).to.equal(2);
    expect(slow).to.deep.equal([full.far]);
    expect(refused.map(({ session, error }) => [session.id, error.code])).to.deep.equal([
      [ended.far.id, 'ERR_ENDED'],
      [brimful.far.id, 'ERR_BUFFER_FULL'],
    ]);
    expect(await take(ready.near, 1)).to.deep.equal(['y'.repeat(99)]);
    expect((await take(full.near, 3)).at(-1)).to.equal('y'.repeat(99));
    expect(await take(brimful.near, 5)).to.have.length(5);
  });

  it('is taken by nobody when the framing refuses the message', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const ends = await three(pair);
    const refuses = (message: string, code: string): void => {
      expect(() => pair.server.broadcast(message))
        .to.throw(SessionError)
        .with.property('code', code);
    };
    refuses('two\nlines', 'ERR_INVALID_MESSAGE');
    refuses('x'.repeat(1_048_577), 'ERR_MESSAGE_TOO_LARGE');
    pair.server.broadcast('fine');
    expect(await all(ends, 1)).to.deep.equal([0, 1, 2].map(() => ['fine']));
  });

  it('goes to sessions of another server with the same framing, and to no other; ended ones are told', async () => {
    await using pair = await Pair.make({ framing: lines() });
    await using same = await Pair.make({ framing: lines() });
    await using other = await Pair.make({ framing: lines({ delimiter: '\r\n' }) });
    const [here, there, elsewhere] = [await pair.open(), await same.open(), await other.open()];
    const { taken, refused } = pair.server.broadcast('hello', { to: [here.far, there.far, elsewhere.far] });
    expect(taken).to.equal(2);
    expect(refused.map(({ error }) => error.code)).to.deep.equal(['ERR_INVALID_MESSAGE']);
    expect(await all([here, there], 1)).to.deep.equal([['hello'], ['hello']]);
    here.far.destroy();
    const late = (pair.server as SessionServer<string>).broadcast('late', { to: [here.far] });
    expect([late.taken, late.refused[0]?.error.code]).to.deep.equal([0, 'ERR_CLOSED']);
  });

  it('reaches bare peers', async () => {
    await using pair = await Pair.make({ framing: lines(), shared: { bare: true } });
    const ends = [await pair.open(), await pair.open()];
    pair.server.broadcast('one');
    pair.server.broadcast('two');
    expect(await all(ends, 2)).to.deep.equal([0, 1].map(() => ['one', 'two']));
  });
});
