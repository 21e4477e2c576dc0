// flushMs: small messages are gathered for an interval and written at once; nothing else waits, and a full block does not either.

import { expect } from 'chai';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { lines } from '../../lib/framing/lines.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { eventually, next, Pair, type PairOptions, take, takeAll, turns, VirtualRuntime } from '../support/net.ts';

interface Gathering<Message> {
  readonly pair: Pair<Message>;
  readonly runtime: VirtualRuntime;
  readonly near: Session<Message>;
  readonly far: Session<Message>;
}

/** The server gathers for 20 ms, in time that the test turns. */
async function gathering<Message>(options: PairOptions<Message>): Promise<Gathering<Message>> {
  const runtime = new VirtualRuntime();
  const pair = await Pair.make({ ...options, server: { flushMs: 20, ...options.server }, shared: { runtime, ...options.shared } });
  const { near, far } = await pair.open();
  return { pair, runtime, near, far };
}

describe('flush interval', () => {
  it('gathers what several turns send, and delivers it in one read', async () => {
    const { pair, runtime, near, far } = await gathering({ framing: lines() });
    await using _ = pair;
    const batches: string[][] = [];
    const reading = (async (): Promise<void> => {
      for await (const batch of near.batches()) batches.push([...batch]);
    })();
    for (const line of ['one', 'two', 'three']) {
      far.send(line);
      await turns(5);
      runtime.advance(6);
      await turns(5);
    }
    expect([near.stats.received, far.stats.sent]).to.deep.equal([0, 0]);
    runtime.advance(2);
    await eventually(() => batches.length > 0);
    expect(batches).to.deep.equal([['one', 'two', 'three']]);
    far.send('four');
    runtime.advance(19);
    await turns(20);
    expect(batches).to.have.length(1);
    runtime.advance(1);
    await eventually(() => batches.length === 2);
    near.destroy();
    await reading.catch(() => {});
  });

  it('ends early for a full block, and holds no bulk back', async () => {
    const { pair, near, far } = await gathering({ framing: lengthPrefix() });
    await using _ = pair;
    const sent = Array.from({ length: 40 }, (_value, n) => Buffer.alloc(8_000, n));
    for (const message of sent) far.send(message);
    const blocks = Math.floor((40 * 8_004) / 65_536);
    await eventually(() => near.stats.received >= blocks * 65_000);
    far.end();
    expect(await takeAll(near)).to.deep.equal(sent);
  });

  it('ends early for many broadcasts that fill a block together', async () => {
    const { pair, near } = await gathering({ framing: lengthPrefix() });
    await using _ = pair;
    const sent = Array.from({ length: 40 }, (_value, n) => Buffer.alloc(2_000, n));
    for (const message of sent) pair.server.broadcast(message);
    expect(await take(near, 40)).to.deep.equal(sent);
  });

  it('does not hold back flushed(), end(), or what a resume has to repeat', async () => {
    const { pair, runtime, near, far } = await gathering({ framing: lines() });
    await using _ = pair;
    const reading = takeAll(near);
    far.send('confirmed at once');
    await far.flushed();
    far.send('repeated');
    const attached = next(far, 'attached');
    near.send('and the circuit goes');
    pair.client.nudge();
    await runtime.until(attached, 1);
    await eventually(() => near.stats.received === far.stats.sent && far.stats.sent > 0);
    far.send('last');
    far.end();
    expect(await reading).to.deep.equal(['confirmed at once', 'repeated', 'last']);
  });

  it('answers at once where an ACK is due: what waits goes with it', async () => {
    const { pair, near, far } = await gathering({
      framing: lines(),
      shared: { window: 4_096 },
      server: { limits: { messageBytes: 2_000 } },
      client: { limits: { messageBytes: 2_000 } },
    });
    await using _ = pair;
    far.receive((line) => {
      far.send(`echo of ${line.length}`);
    });
    near.send('x'.repeat(1_900));
    expect(await take(near, 1)).to.deep.equal(['echo of 1900']);
  });

  it('is a whole number up to 1,000', async () => {
    for (const flushMs of [-1, 0.5, 1_001])
      expect(() => new SessionServer({ framing: lines(), flushMs }))
        .to.throw()
        .with.property('code', 'ERR_INVALID_OPTION');
  });
});
