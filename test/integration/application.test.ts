// Code of the application that throws: it ends its own session, the peer learns it, and nothing else happens.

import type { EventEmitter } from 'node:events';
import { expect } from 'chai';
import { SessionError } from '../../lib/errors.ts';
import { lines } from '../../lib/framing/lines.ts';
import type { Session } from '../../lib/session.ts';
import { ended, eventually, next, Pair, rejection, routed, take, turns } from '../support/net.ts';

const boom = new Error('the handler fell over');

/** Both ends of a session whose far side is about to fail, and a second one that must not notice. */
async function withBystander(pair: Pair<string>, fail: (far: Session<string>, near: Session<string>) => void): Promise<void> {
  const bystander = await pair.open();
  const { near, far } = await pair.open();
  const causes = Promise.all([ended(far), ended(near)]);
  fail(far, near);
  near.send('trigger');
  const [mine, theirs] = (await causes) as [SessionError, SessionError];
  expect([mine.code, mine.blame, mine.cause]).to.deep.equal(['ERR_APPLICATION', 'caller', boom]);
  expect([theirs.code, theirs.blame]).to.deep.equal(['ERR_PEER_APPLICATION', 'peer']);
  bystander.near.send('untouched');
  expect(await take(bystander.far, 1)).to.deep.equal(['untouched']);
}

describe('application code that throws', () => {
  it('a handler: the message is not consumed, and comes back to its sender', async () => {
    await using pair = await Pair.make({ framing: lines() });
    await withBystander(pair, (far, near) => {
      near.on('close', (cause) => expect(cause?.loss?.unconfirmed).to.deep.equal(['trigger']));
      far.receive(() => {
        throw boom;
      });
    });
  });

  it('an async handler', async () => {
    await using pair = await Pair.make({ framing: lines() });
    await withBystander(pair, (far) =>
      far.receive(async () => {
        await turns(2);
        throw boom;
      }),
    );
  });

  it('a range handler', async () => {
    await using pair = await Pair.make({ framing: lines() });
    await withBystander(pair, (far) =>
      far.receiveRanges(() => {
        throw boom;
      }),
    );
  });

  it('a handler that fails in its second message has consumed the first', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    far.receive((line) => {
      if (line === 'bad') throw boom;
    });
    const cause = ended(near);
    for (const line of ['good', 'bad', 'never seen']) near.send(line);
    const error = (await cause) as SessionError;
    expect([error.code, error.loss?.unconfirmed]).to.deep.equal(['ERR_PEER_APPLICATION', ['bad', 'never seen']]);
  });

  it('a loop that throws is left: the session goes on, and the error is its own', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    near.send('one');
    const looping = (async () => {
      for await (const line of far) if (line === 'one') throw boom;
    })();
    expect(await rejection(looping)).to.equal(boom);
    near.send('two');
    expect(await take(far, 1)).to.deep.equal(['two']);
  });

  for (const event of ['attached', 'detached', 'drain', 'draining'] as const) {
    it(`a listener of '${event}', sync or async`, async () => {
      for (const listener of [
        (): void => {
          throw boom;
        },
        async (): Promise<void> => {
          await turns(1);
          throw boom;
        },
      ]) {
        const limits = { messageBytes: 1024, outboxHighWater: 1024 };
        await using pair = await Pair.make({ framing: lines(), shared: { limits, window: 4096 } });
        const bystander = await pair.open();
        const { near, far } = await pair.open();
        const causes = Promise.all([ended(far), ended(near)]);
        (far as unknown as EventEmitter).on(event, listener);
        if (event === 'drain') {
          near.receive(() => {});
          while (far.send('x'.repeat(500)));
        } else if (event === 'draining') {
          await pair.server.drain({ deadlineMs: 0 });
        } else {
          pair.client.nudge();
        }
        const [mine, theirs] = (await causes) as [SessionError, SessionError];
        expect([mine.code, mine.cause, theirs.code]).to.deep.equal(['ERR_APPLICATION', boom, 'ERR_PEER_APPLICATION']);
        expect(bystander.far.state).to.equal('attached');
      }
    });
  }

  it("a listener of 'close' fails alone: the session has ended already", async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    near.on('close', () => {
      throw boom;
    });
    near.on('close', async () => {
      throw boom;
    });
    const cause = ended(far);
    near.destroy();
    expect((await cause)?.code).to.equal('ERR_PEER_DESTROYED');
    expect(near.state).to.equal('closed');
    expect((await rejection(near.close())).code).to.equal('ERR_DESTROYED');
    const { near: other } = await pair.open();
    expect(other.state).to.equal('attached');
  });

  it("a listener of the server's 'session', sync or async", async () => {
    for (const listener of [
      (): void => {
        throw boom;
      },
      async (): Promise<void> => {
        await turns(1);
        throw boom;
      },
    ]) {
      await using pair = await Pair.make({ framing: lines() });
      const causes: (SessionError | undefined)[] = [];
      pair.server.on('session', (session) => {
        session.on('close', (cause) => causes.push(cause));
      });
      const bystander = await pair.open();
      pair.server.on('session', listener);
      const near = await pair.client.open();
      const error = (await ended(near)) as SessionError;
      expect(error.code).to.equal('ERR_PEER_APPLICATION');
      await eventually(() => causes.length === 1);
      expect([causes[0]?.code, causes[0]?.cause]).to.deep.equal(['ERR_APPLICATION', boom]);
      expect(bystander.near.state).to.equal('attached');
      pair.server.off('session', listener);
      await pair.open();
    }
  });

  it("a listener of 'rejected' is told to 'error', and the server goes on", async () => {
    await using pair = await Pair.make({ framing: lines(), server: { authenticate: ({ credentials }) => credentials.length === 0 } });
    const errors: unknown[] = [];
    pair.server.on('rejected', () => {
      throw boom;
    });
    await rejection(pair.another({ credentials: 'x' }).open());
    pair.server.on('error', (error) => errors.push(error));
    await rejection(pair.another({ credentials: 'x' }).open());
    expect(errors).to.deep.equal([boom]);
    await pair.open();
  });

  it("a listener of the client's 'retry' ends the session it was told of", async () => {
    const { pair, router } = await routed({ framing: lines() });
    await using _ = pair;
    await using front = router;
    const { near } = await pair.open();
    pair.client.on('retry', () => {
      throw boom;
    });
    const cause = ended(near);
    front.sockets[0]?.resetAndDestroy();
    const error = (await cause) as SessionError;
    expect([error.code, error.cause]).to.deep.equal(['ERR_APPLICATION', boom]);
    expect(pair.client.sessions.size).to.equal(0);
  });

  it('a listener may end its session from within', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const announced = next<[Session<string>]>(pair.server, 'session');
    pair.server.on('session', (session) => session.destroy(new Error('not you')));
    const near = await pair.client.open();
    const [far] = await announced;
    const error = (await ended(near)) as SessionError;
    expect(SessionError.is(error, 'ERR_PEER_DESTROYED')).to.equal(true);
    expect(error.message, 'the peer learns why').to.include('not you');
    expect(near.stats.circuits, 'at once, on the circuit that opened it').to.equal(1);
    expect(far.state).to.equal('closed');
    expect(pair.server.sessions.size).to.equal(0);
  });

  it('a handler may end its session, and no message follows', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    const seen: string[] = [];
    far.receive((line) => {
      seen.push(line);
      far.destroy();
    });
    const cause = ended(near);
    for (const line of ['one', 'two', 'three']) near.send(line);
    expect((await cause)?.code).to.equal('ERR_PEER_DESTROYED');
    expect(seen).to.deep.equal(['one']);
  });
});
