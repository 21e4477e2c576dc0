// The public face of a session over loopback TCP: sending, the ways to read, waiting with an AbortSignal, ends, events and statistics.

import { channel } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { Readable, Transform, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import type { CircuitInfo } from '../../lib/circuit.ts';
import { SessionError } from '../../lib/errors.ts';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { lines } from '../../lib/framing/lines.ts';
import { raw } from '../../lib/framing/raw.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { echo, ended, eventually, next, Pair, proxied, rejection, take, takeAll, turns, VirtualRuntime } from '../support/net.ts';

const SMALL = { window: 8192, limits: { messageBytes: 4096, outboxHighWater: 4096, outboxHardCap: 16_384 } };

describe('sending', () => {
  it('returns false above the high-water mark, and drained() and `drain` tell when there is room', async () => {
    await using pair = await Pair.make({ framing: lengthPrefix(), shared: SMALL });
    const { near, far } = await pair.open();
    let taken = 0;
    while (near.send(Buffer.alloc(1000))) taken++;
    expect(taken).to.be.within(3, 12);
    let drains = 0;
    near.on('drain', () => drains++);
    const drained = near.drained();
    far.receive(() => {});
    await drained;
    await eventually(() => drains === 1);
    expect(near.send(Buffer.alloc(1000))).to.equal(true);
    await near.drained();
  });

  it('throws ERR_BUFFER_FULL at the hard cap, and the message was not taken', async () => {
    await using pair = await Pair.make({ framing: lengthPrefix(), shared: SMALL });
    const { near, far } = await pair.open();
    const sent: number[] = [];
    let refused: unknown;
    for (let i = 0; refused === undefined; i++) {
      try {
        near.send(Buffer.alloc(1000, i));
        sent.push(i);
      } catch (error) {
        refused = error;
      }
    }
    expect(SessionError.is(refused, 'ERR_BUFFER_FULL')).to.equal(true);
    expect((refused as SessionError).blame).to.equal('caller');
    expect(near.stats.outboundBytes).to.be.at.most(16_384);
    near.end();
    expect((await takeAll(far)).map((message) => message[0])).to.deep.equal(sent);
  });

  it('refuses a message that is too large, or that the framing cannot carry, and goes on', async () => {
    await using pair = await Pair.make({ framing: lines(), shared: SMALL });
    const { near, far } = await pair.open();
    expect(() => near.send('x'.repeat(4097)))
      .to.throw(SessionError)
      .with.property('code', 'ERR_MESSAGE_TOO_LARGE');
    expect(() => near.send('two\nlines'))
      .to.throw(SessionError)
      .with.property('code', 'ERR_INVALID_MESSAGE');
    near.send('x'.repeat(4096));
    near.send('next');
    expect(await take(far, 2)).to.deep.equal(['x'.repeat(4096), 'next']);
  });

  it('refuses what does not fit the window of the peer', async () => {
    await using pair = await Pair.make({ framing: lengthPrefix(), server: { window: 4096, limits: { messageBytes: 2048 } } });
    const { near } = await pair.open();
    expect(() => near.send(Buffer.alloc(4096)))
      .to.throw(SessionError)
      .with.property('code', 'ERR_MESSAGE_TOO_LARGE');
    expect(near.stats.outboundBytes).to.equal(0);
  });

  it('after end() or close() is ERR_ENDED, after the end ERR_CLOSED', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    near.end();
    expect(() => near.send('late'))
      .to.throw(SessionError)
      .with.property('code', 'ERR_ENDED');
    const closed = near.close();
    expect(await takeAll(far)).to.deep.equal([]);
    await closed;
    for (const session of [near, far]) {
      expect(() => session.send('too late'))
        .to.throw(SessionError)
        .with.property('code', 'ERR_CLOSED');
      expect((await rejection(session.drained())).code).to.equal('ERR_CLOSED');
      session.end();
      session.destroy();
      await session.close();
    }
  });

  it('copies, or keeps what was lent', async () => {
    await using pair = await Pair.make({ framing: lengthPrefix() });
    const { near, far } = await pair.open();
    const copied = Buffer.alloc(100_000, 1);
    near.send(copied);
    copied.fill(9);
    const lent = Buffer.alloc(100_000, 2);
    near.send(lent, { lend: true });
    const received = await take(far, 2);
    expect(received.map((message) => [message.length, new Set(message)])).to.deep.equal([
      [100_000, new Set([1])],
      [100_000, new Set([2])],
    ]);
  });

  it('keeps lent payloads for the replay, over a cut', async () => {
    const { pair, proxy } = await proxied({ framing: lengthPrefix() });
    await using _ = pair;
    await using chaos = proxy;
    const { near, far } = await pair.open();
    chaos.stall('up');
    const lent = Buffer.alloc(50_000, 3);
    near.send(lent, { lend: true });
    near.send(Buffer.from('end'));
    await turns(20);
    chaos.cutAll();
    const [first, second] = await take(far, 2);
    expect(first?.equals(lent)).to.equal(true);
    expect(second?.toString()).to.equal('end');
    expect(near.stats.resumes).to.equal(1);
  });

  it('flushed() resolves when the peer has consumed all, not when it has received it', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    await near.flushed();
    near.send('one');
    near.send('two');
    let done = false;
    const flushed = near.flushed().then(() => {
      done = true;
    });
    await eventually(() => far.stats.received === 8);
    await turns(20);
    expect(done).to.equal(false);
    const reader = far[Symbol.asyncIterator]();
    await reader.next();
    await reader.next();
    await turns(20);
    expect(done).to.equal(false);
    const last = reader.next();
    await flushed;
    expect(near.stats.confirmed).to.equal(8);
    far.destroy();
    expect((await rejection(last)).code).to.equal('ERR_DESTROYED');
  });

  it('a flushed() whose session ends is rejected with the cause', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    near.send('never read');
    const flushed = rejection(near.flushed());
    far.destroy();
    expect((await flushed).code).to.equal('ERR_PEER_DESTROYED');
    expect((await rejection(near.flushed())).code).to.equal('ERR_CLOSED');
  });
});

describe('reading', () => {
  it('for await yields all and finishes with the clean end', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    const sent = Array.from({ length: 3000 }, (_, i) => `line ${i}`);
    for (const line of sent) near.send(line);
    near.end();
    expect(await takeAll(far)).to.deep.equal(sent);
  });

  it('leaving a loop consumes what was handed out; reading goes on where it was left', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    for (const line of ['a', 'b', 'c', 'd']) near.send(line);
    for await (const line of far) if (line === 'b') break;
    await eventually(() => near.stats.confirmed === 4);
    const batches = far.batches();
    expect((await batches.next()).value).to.deep.equal(['c', 'd']);
    await batches.return?.();
    near.send('e');
    const seen = new Promise((resolve) => far.receive(resolve));
    expect(await seen).to.equal('e');
  });

  it('batches() yields what one read brought', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    const sent = Array.from({ length: 5000 }, (_, i) => `${i}`);
    for (const line of sent) near.send(line);
    near.end();
    const seen: string[] = [];
    let count = 0;
    for await (const batch of far.batches()) {
      expect(batch.length).to.be.within(1, 1024);
      seen.push(...batch);
      count++;
    }
    expect(seen).to.deep.equal(sent);
    expect(count).to.be.below(100);
  });

  it('receive() takes one at a time, also from an async handler', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    const seen: string[] = [];
    let running = 0;
    far.receive(async (line) => {
      expect(++running).to.equal(1);
      await turns(line === 'b' ? 5 : 1);
      seen.push(line);
      running--;
    });
    for (const line of ['a', 'b', 'c']) near.send(line);
    await near.flushed();
    expect(seen).to.deep.equal(['a', 'b', 'c']);
    const back: string[] = [];
    near.receive((line) => {
      back.push(line);
    });
    for (const line of ['x', 'y']) far.send(line);
    await far.flushed();
    expect(back).to.deep.equal(['x', 'y']);
  });

  it('a message is consumed when its async handler is done, and not before', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    let finish: () => void = () => {};
    const started = new Promise<void>((resolve) => {
      far.receive(() => {
        resolve();
        return new Promise<void>((done) => {
          finish = done;
        });
      });
    });
    near.send('slow');
    await started;
    await turns(20);
    expect(far.stats.consumed).to.equal(0);
    finish();
    await near.flushed();
    expect(far.stats.consumed).to.equal(5);
  });

  it('receiveRanges() hands out bytes without an object per message', async () => {
    await using pair = await Pair.make({ framing: lengthPrefix() });
    const { near, far } = await pair.open();
    const seen: string[] = [];
    far.receiveRanges((buffer, start, end) => seen.push(buffer.toString('latin1', start, end)));
    for (const text of ['one', '', 'three']) near.send(Buffer.from(text));
    await near.flushed();
    expect(seen).to.deep.equal(['one', '', 'three']);
  });

  it('stream() with raw framing is a byte Duplex that pipeline() can drive', async () => {
    await using pair = await Pair.make({ framing: raw(), shared: { limits: { messageBytes: 65_536 } } });
    const { near, far } = await pair.open();
    const causes = Promise.all([ended(near), ended(far)]);
    const upper = new Transform({ transform: (chunk: Buffer, _, done) => done(null, chunk.toString('latin1').toUpperCase()) });
    const stream = far.stream();
    const served = pipeline(stream, upper, stream);
    const text = 'abcdefgh'.repeat(50_000);
    const parts: Buffer[] = [];
    const sink = new Writable({
      write(chunk: Buffer, _, done) {
        parts.push(chunk);
        done();
      },
    });
    const mine = near.stream();
    await Promise.all([pipeline(Readable.from([Buffer.from(text)]), mine), pipeline(mine, sink), served]);
    expect(Buffer.concat(parts).toString()).to.equal(text.toUpperCase());
    expect(await causes).to.deep.equal([undefined, undefined]);
  });

  it('stream() with any other framing is in object mode: one message a chunk', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    const stream = far.stream();
    expect([stream.readableObjectMode, stream.writableObjectMode]).to.deep.equal([true, true]);
    const mine = near.stream();
    for (const line of ['one', 'two']) mine.write(line);
    mine.end('three');
    const seen: unknown[] = [];
    for await (const line of stream.iterator({ destroyOnReturn: false })) seen.push(line);
    stream.end('bye');
    const back: unknown[] = [];
    for await (const line of mine.iterator({ destroyOnReturn: false })) back.push(line);
    expect([seen, back]).to.deep.equal([['one', 'two', 'three'], ['bye']]);
  });

  it('a stream that is destroyed ends its session, and the end of the session destroys the stream', async () => {
    await using pair = await Pair.make({ framing: raw() });
    const { near, far } = await pair.open();
    const stream = near.stream();
    const theirs = far.stream();
    const failed = once(theirs, 'error');
    stream.on('error', () => {});
    stream.destroy(new Error('enough'));
    const [error] = (await failed) as [SessionError];
    expect(error.code).to.equal('ERR_PEER_DESTROYED');
  });

  it('a second consumer is ERR_CONSUMED, whichever way it reads', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    near.send('mine');
    const reader = far[Symbol.asyncIterator]();
    for (const second of [
      () => far[Symbol.asyncIterator](),
      () => far.batches(),
      () => far.stream(),
      () => far.receive(() => {}),
      () => far.receiveRanges(() => {}),
    ]) {
      expect(second).to.throw(SessionError).with.property('code', 'ERR_CONSUMED');
    }
    expect((await reader.next()).value).to.equal('mine');
  });

  it('next() may be called several times at once', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    const reader = far[Symbol.asyncIterator]();
    const asked = [reader.next(), reader.next(), reader.next(), reader.next()];
    for (const line of ['a', 'b', 'c']) near.send(line);
    near.end();
    const results = await Promise.all(asked);
    expect(results.map(({ value }) => value)).to.deep.equal(['a', 'b', 'c', undefined]);
    expect(results[3]?.done).to.equal(true);
  });

  it('after an unclean end the loop throws its cause, once', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    const reader = near[Symbol.asyncIterator]();
    const first = reader.next();
    far.destroy();
    expect((await rejection(first)).code).to.equal('ERR_PEER_DESTROYED');
    expect((await reader.next()).done).to.equal(true);
    expect((await rejection(takeAll(near))).code).to.equal('ERR_PEER_DESTROYED');
  });
});

describe('AbortSignal', () => {
  const reason = new Error('changed my mind');

  it('stops open(), before and while it dials', async () => {
    await using pair = await Pair.make({ framing: lines(), server: { authenticate: () => new Promise(() => {}) } });
    for (const signal of [AbortSignal.abort(reason), undefined]) {
      const stop = new AbortController();
      const opening = rejection(pair.client.open({ signal: signal ?? stop.signal, retry: true }));
      await turns(20);
      stop.abort(reason);
      const error = await opening;
      expect(error.code).to.equal('ERR_ABORTED');
      expect(error.cause).to.equal(reason);
    }
    expect(pair.client.sessions.size).to.equal(0);
  });

  it('stops open({ retry }) while it waits for the next try', async () => {
    const runtime = new VirtualRuntime();
    await using pair = await Pair.make({ framing: lines(), client: { runtime } });
    await pair.server.close();
    const stop = new AbortController();
    const opening = rejection(pair.client.open({ retry: true, signal: stop.signal }));
    await turns(50);
    stop.abort(reason);
    expect((await opening).code).to.equal('ERR_ABORTED');
  });

  it('stops flushed(), drained() and close(), and the session goes on', async () => {
    await using pair = await Pair.make({ framing: lengthPrefix(), shared: SMALL });
    const { near, far } = await pair.open();
    expect(() => {
      for (;;) near.send(Buffer.alloc(1000));
    }).to.throw(SessionError);
    const stop = new AbortController();
    const { signal } = stop;
    const waits = [near.flushed({ signal }), near.drained({ signal }), near.close({ signal })].map((wait) => rejection(wait));
    await turns(5);
    stop.abort(reason);
    for (const error of await Promise.all(waits)) expect([error.code, error.cause]).to.deep.equal(['ERR_ABORTED', reason]);
    expect((await rejection(near.flushed({ signal }))).code).to.equal('ERR_ABORTED');
    expect(near.state).to.equal('attached');
    await takeAll(far);
    await near.close();
  });

  it('stops listen(), drain() and resume()', async () => {
    await using pair = await Pair.make({ framing: lines() });
    expect((await rejection(pair.server.listen({ port: 0, signal: AbortSignal.abort(reason) }))).code).to.equal('ERR_ABORTED');
    const { near } = await pair.open();
    const record = pair.client.record(near);
    const stop = new AbortController();
    const draining = rejection(pair.server.drain({ signal: stop.signal }));
    const elsewhere = pair.another({ connect: () => new Promise(() => {}) });
    const resuming = rejection(elsewhere.resume(record, { signal: stop.signal }));
    await turns(5);
    stop.abort(reason);
    expect((await draining).code).to.equal('ERR_ABORTED');
    expect((await resuming).code).to.equal('ERR_ABORTED');
    expect((await rejection(elsewhere.resume(record, { signal: stop.signal }))).code).to.equal('ERR_ABORTED');
    expect(elsewhere.sessions.size).to.equal(0);
  });

  it('leaves no listener behind on a signal that lives on', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener: add, removeEventListener: remove } = signal;
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++;
      add.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--;
      remove.apply(signal, args);
    };
    const announced = next<[Session<string>]>(pair.server, 'session');
    const near = await pair.client.open({ signal });
    const [far] = await announced;
    const served = echo(far);
    near.send('x');
    await near.flushed({ signal });
    const other = pair.another();
    const record = pair.client.record(near);
    near.on('close', () => {});
    const moved = await other.resume(record, { signal });
    const back = takeAll(moved);
    await moved.close({ signal });
    await Promise.all([back, served]);
    expect(listeners).to.equal(0);
  });
});

describe('ends', () => {
  it('asyncDispose of a session, a client and a server is their close()', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const causes: unknown[] = [];
    {
      await using client = pair.another();
      const { far } = await pair.open(client);
      far.on('close', (cause) => causes.push(cause));
      void echo(far);
      await using session = (await pair.open(client)).near;
      session.on('close', (cause) => causes.push(cause));
    }
    expect(causes).to.deep.equal([undefined, undefined]);
    const server = new SessionServer({ framing: lines() });
    {
      await using disposed = server;
      await disposed.listen({ port: 0 });
    }
    expect((await rejection(server.listen({ port: 0 }))).code).to.equal('ERR_CLOSED');
  });

  it('close() without a reader throws inbound messages away, and both ends are told', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    const causes = Promise.all([ended(near), ended(far)]);
    const served = takeAll(far);
    far.send('nobody reads this');
    await eventually(() => near.stats.received === 18);
    near.send('but this is read');
    await near.close();
    const [mine, theirs] = await causes;
    expect([mine?.code, theirs?.code]).to.deep.equal(['ERR_UNREAD', 'ERR_PEER_UNREAD']);
    expect(mine?.loss).to.include({ undeliveredBytes: 18, unconfirmedBytes: 0 });
    expect(theirs?.loss?.unconfirmed).to.deep.equal(['nobody reads this']);
    expect(theirs?.message).to.contain('18 bytes');
    expect(await served).to.deep.equal(['but this is read']);
  });

  it('close() gives up after timeoutMs, with what was not confirmed', async () => {
    const runtime = new VirtualRuntime();
    await using pair = await Pair.make({ framing: lines(), shared: { runtime } });
    const { near, far } = await pair.open();
    const cause = ended(far);
    near.send('one');
    near.send('two');
    await eventually(() => far.stats.received === 8);
    const error = await runtime.until(rejection(near.close({ timeoutMs: 500 })));
    expect(error.code).to.equal('ERR_CLOSE_TIMEOUT');
    expect(error.loss?.unconfirmed).to.deep.equal(['one', 'two']);
    expect(error.loss?.unconfirmedBytes).to.equal(8);
    expect((await cause)?.code).to.equal('ERR_PEER_DESTROYED');
  });

  it('destroy() tells its cause and its loss in the close event', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    for (const line of ['a', 'b', 'c']) far.send(line);
    near.send('out');
    await eventually(() => near.stats.received === 6);
    let told: SessionError | undefined;
    near.on('close', (cause) => {
      told = cause;
    });
    const why = new Error('power cut');
    near.destroy(why);
    expect([told?.code, told?.cause]).to.deep.equal(['ERR_DESTROYED', why]);
    expect(told?.loss).to.deep.equal({ unconfirmed: ['out'], unconfirmedBytes: 4, exact: false, undelivered: 3, undeliveredBytes: 6 });
    expect((await rejection(near.close())).code).to.equal('ERR_DESTROYED');
  });

  it('without allowHalfOpen this side ends too, once the peer has ended and all is consumed', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    const causes = Promise.all([ended(near), ended(far)]);
    near.send('all there is');
    near.end();
    expect(await takeAll(far)).to.deep.equal(['all there is']);
    far.send('the code behind the loop may still answer');
    expect(await takeAll(near)).to.deep.equal(['the code behind the loop may still answer']);
    expect(await causes).to.deep.equal([undefined, undefined]);
  });

  it('a truncated last message is ERR_TRUNCATED, behind the messages before it', async () => {
    await using server = new SessionServer({ framing: lines(), bare: true });
    const { port } = await server.listen({ port: 0 });
    await using pair = await Pair.make({ framing: raw(), client: { bare: true, port } });
    const announced = next<[Session<string>]>(server, 'session');
    const near = await pair.client.open();
    const [far] = await announced;
    near.send(Buffer.from('whole\nhalf'));
    near.end();
    const seen: string[] = [];
    const error = await rejection(
      (async () => {
        for await (const line of far) seen.push(line);
      })(),
    );
    expect([seen, error.code]).to.deep.equal([['whole'], 'ERR_TRUNCATED']);
  });
});

describe('events and statistics', () => {
  it('eventNames() names the events that somebody listens to', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const session = await pair.client.open();
    expect(session.eventNames()).to.deep.equal([]);
    const listener = (): void => {};
    session.on('drain', listener).once('close', listener);
    expect(session.eventNames()).to.deep.equal(['drain', 'close']);
    session.off('drain', listener);
    expect([session.eventNames(), session.listenerCount('drain')]).to.deep.equal([['close'], 0]);
    session.removeAllListeners().on('attached', listener);
    expect(session.eventNames()).to.deep.equal(['attached']);
    session.removeAllListeners();
  });

  it('attached and detached alternate, and close comes last and once', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const events: string[] = [];
    const note = (who: string, session: Session<string>): void => {
      session.on('attached', (circuit: CircuitInfo) => events.push(`${who} attached ${circuit.transport}`));
      session.on('detached', (cause: SessionError) => events.push(`${who} detached ${cause.code}`));
      session.on('close', (cause: SessionError | undefined) => events.push(`${who} close ${cause?.code}`));
    };
    pair.server.on('session', (session) => {
      note('far', session);
      void echo(session);
    });
    const near = await pair.client.open();
    note('near', near);
    for (let i = 0; i < 3; i++) {
      const again = next(near, 'attached');
      pair.client.nudge();
      await again;
    }
    near.end();
    await takeAll(near);
    await near.close();
    await eventually(() => events.includes('far close undefined') && events.includes('near close undefined'));
    for (const who of ['near', 'far']) {
      const own = events.filter((event) => event.startsWith(who)).map((event) => event.slice(who.length + 1));
      const kinds = own.map((event) => event.split(' ')[0]);
      const circuits = kinds.slice(0, -1);
      const first = who === 'near' ? 'detached' : 'attached';
      circuits.forEach((kind, i) => {
        expect(kind === first, own.join(', ')).to.equal(i % 2 === 0);
      });
      expect(circuits.at(-1)).to.equal('detached');
      expect(kinds.indexOf('close')).to.equal(kinds.length - 1);
      expect(kinds.filter((kind) => kind === 'detached').length).to.equal(4);
    }
  });

  it('stats count offsets, bytes held, circuits and round trips', async () => {
    const { pair, proxy } = await proxied({ framing: lines() });
    await using _ = pair;
    await using chaos = proxy;
    const { near, far } = await pair.open();
    near.send('12345');
    expect(near.stats).to.include({ sent: 0, confirmed: 0, outboundBytes: 6, circuits: 1, resumes: 0 });
    await eventually(() => far.stats.received === 6);
    expect(near.stats.sent).to.equal(6);
    expect(far.stats).to.include({ received: 6, consumed: 0, inboundBytes: 6 });
    const again = next(far, 'attached');
    chaos.cutAll();
    await again;
    await take(far, 1);
    await near.flushed();
    expect(near.stats).to.include({ sent: 6, confirmed: 6, outboundBytes: 0, circuits: 2, resumes: 1 });
    expect(far.stats).to.include({ received: 6, consumed: 6, inboundBytes: 0, resumes: 1 });
    await eventually(() => near.stats.rttMs >= 0 && far.stats.rttMs >= 0);
  });

  it('replayed and trimmed bytes are counted where an old circuit lost its ACKs', async () => {
    const { pair, proxy } = await proxied({ framing: lines() });
    await using _ = pair;
    await using chaos = proxy;
    const { near, far } = await pair.open();
    chaos.halfOpen('down');
    near.send('delivered, and not acked');
    await eventually(() => far.stats.received === 25);
    const again = next(far, 'attached');
    chaos.cutAll();
    await again;
    await eventually(() => far.stats.duplicateBytes === 25);
    expect(near.stats.replayedBytes).to.equal(25);
    expect(await take(far, 1)).to.deep.equal(['delivered, and not acked']);
  });

  it('diagnostics_channel tells opens, circuits, ends and refusals', async () => {
    const seen: string[] = [];
    const names = ['open', 'attached', 'detached', 'closed', 'rejected'] as const;
    const listeners = names.map((name) => {
      const listener = (message: unknown): void => {
        const { id, detail } = message as { id: string; detail: unknown };
        seen.push(`${name} ${id.length} ${detail instanceof SessionError ? detail.code : typeof detail}`);
      };
      const target = channel(`outlast:session.${name}`);
      target.subscribe(listener);
      return () => target.unsubscribe(listener);
    });
    await using pair = await Pair.make({ framing: lines(), server: { authenticate: ({ credentials }) => credentials.length === 0 } });
    const { near, far } = await pair.open();
    const served = echo(far);
    const again = next(far, 'attached');
    pair.client.nudge();
    await again;
    await near.close();
    await served;
    await rejection(pair.another({ credentials: 'wrong' }).open());
    for (const stop of listeners) stop();
    for (const expected of ['open 32 undefined', 'attached 32 object', 'closed 32 undefined', 'rejected 0 ERR_AUTH']) {
      expect(seen).to.include(expected);
    }
    expect(seen.filter((event) => event.startsWith('open')).length).to.equal(2);
    expect(seen.filter((event) => event.startsWith('attached')).length).to.equal(4);
    expect(seen.filter((event) => event.startsWith('closed')).length).to.equal(2);
  });
});
