// How sessions end over real sockets: clean, late, expired, drained, shut down; what is remembered of them, and what close() waits for.

import { expect } from 'chai';
import { SessionClient } from '../../lib/client.ts';
import { CloseCode, Frame, Kind, RejectCode } from '../../lib/core/wire.ts';
import type { SessionError } from '../../lib/errors.ts';
import { lines } from '../../lib/framing/lines.ts';
import type { Session } from '../../lib/session.ts';
import { echo, ended, eventually, next, Pair, proxied, rejection, routed, take, takeAll, turns, VirtualRuntime } from '../support/net.ts';
import {
  ackFrame,
  closeCode,
  closeFrame,
  offsetFrame,
  RawPeer,
  type RawSession,
  rawOpen,
  rawSession,
  resumeFlight,
} from '../support/raw-peer.ts';

describe('hold time', () => {
  it('a session that stays detached ends with ERR_EXPIRED, and its client learns it', async () => {
    const runtime = new VirtualRuntime();
    const { pair, proxy } = await proxied({ framing: lines(), server: { runtime, holdMs: 5000 } });
    await using _ = pair;
    await using chaos = proxy;
    const { near, far } = await pair.open();
    far.send('never read');
    await eventually(() => near.stats.received === 11);
    near.send('never read either');
    const causes = [ended(far), ended(near)] as const;
    chaos.pauseAccepting('blackHole');
    const detached = next(far, 'detached');
    chaos.cutAll();
    await detached;
    runtime.advance(4999);
    expect(far.state).to.equal('detached');
    runtime.advance(1);
    const expired = (await causes[0]) as SessionError;
    expect([expired.code, expired.loss?.unconfirmed]).to.deep.equal(['ERR_EXPIRED', ['never read']]);
    expect(pair.server.sessions.size).to.equal(0);
    await chaos.resumeAccepting();
    const told = (await causes[1]) as SessionError;
    expect([told.code, told.loss?.exact]).to.deep.equal(['ERR_EXPIRED', true]);
    expect(told.loss?.unconfirmed).to.deep.equal(['never read either']);
  });

  it('the client asks, the server grants at most its own; a resume in time begins it anew', async () => {
    const runtime = new VirtualRuntime();
    const { pair, router } = await routed({ framing: lines(), server: { runtime, holdMs: 60_000 }, client: { holdMs: 3000 } });
    await using _ = pair;
    await using front = router;
    const { near, far } = await pair.open();
    const cause = ended(far);
    for (let i = 0; i < 3; i++) {
      const back = next(near, 'attached');
      const detached = next(far, 'detached');
      front.sockets.at(-1)?.resetAndDestroy();
      await detached;
      runtime.advance(2900);
      await back;
      await eventually(() => far.state === 'attached');
    }
    front.routes.push(() => {});
    front.sockets.at(-1)?.resetAndDestroy();
    await next(far, 'detached');
    runtime.advance(3000);
    expect((await cause)?.code).to.equal('ERR_EXPIRED');
    near.destroy();
  });

  it('a server that slept gives its sessions more time', async () => {
    const runtime = new VirtualRuntime();
    await using pair = await Pair.make({ framing: lines(), server: { runtime, holdMs: 20_000 } });
    const { peer, session } = await rawSession(pair.port);
    await eventually(() => pair.server.sessions.size === 1);
    const far = pair.server.sessions.get(session.id.toString('hex')) as Session<string>;
    const detached = next(far, 'detached');
    peer.destroy();
    await detached;
    runtime.sleep(3_600_000);
    expect(far.state).to.equal('detached');
    const back = (await RawPeer.dial(pair.port)).write(resumeFlight(session, { generation: 2 }));
    expect((await back.flight()).flight.kind).to.equal(Kind.RESUMED);
    back.destroy();
  });

  it('the clock stands still while a good RESUME waits for its verdict', async () => {
    const runtime = new VirtualRuntime();
    let allow: (allowed: boolean) => void = () => {};
    const authorizeResume = (): Promise<boolean> =>
      new Promise((resolve) => {
        allow = resolve;
      });
    await using pair = await Pair.make({ framing: lines(), server: { runtime, holdMs: 2000, authorizeResume } });
    const { peer, session } = await rawSession(pair.port);
    await eventually(() => pair.server.sessions.size === 1);
    const far = pair.server.sessions.get(session.id.toString('hex')) as Session<string>;
    const detached = next(far, 'detached');
    peer.destroy();
    await detached;
    runtime.advance(1900);
    const back = (await RawPeer.dial(pair.port)).write(resumeFlight(session, { generation: 2 }));
    await turns(20);
    for (let i = 0; i < 30; i++) runtime.advance(100);
    expect(far.state).to.equal('detached');
    allow(true);
    expect((await back.flight()).flight.kind).to.equal(Kind.RESUMED);
    back.destroy();
  });
});

describe('tombstones', () => {
  /** A raw client that has ended cleanly with its server, and has not said CLOSE. */
  async function finished(pair: Pair<string>): Promise<{ session: RawSession; peer: RawPeer }> {
    const announced = next<[Session<string>]>(pair.server, 'session');
    const { peer, session } = await rawSession(pair.port);
    const [far] = await announced;
    const cause = ended(far);
    const read = takeAll(far);
    peer.write(offsetFrame(Frame.END, 0));
    expect(await read).to.deep.equal([]);
    await peer.frameOf(Frame.END);
    peer.write(ackFrame(1, 2 ** 21));
    expect(await cause).to.equal(undefined);
    expect(closeCode(await peer.frameOf(Frame.CLOSE))).to.equal(CloseCode.CLEAN);
    return { session, peer };
  }
  const positions = { received: 1, acked: 1, limit: 2 ** 21 + 1, sent: 1 };

  it('a clean end is remembered with its final numbers, until the dialer has said CLOSE', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const first = await finished(pair);
    first.peer.destroy();
    const asking = (await RawPeer.dial(pair.port)).write(resumeFlight(first.session, { generation: 2, positions }));
    const refused = await asking.rejected();
    expect(refused).to.include({ code: RejectCode.CLOSED, cause: CloseCode.CLEAN });
    expect(refused.positions).to.include({ received: 1, acked: 1, sent: 1 });
    expect(refused.mac?.length).to.equal(16);
    const old = (await RawPeer.dial(pair.port)).write(resumeFlight(first.session, { generation: 1, positions }));
    expect((await old.rejected()).code).to.equal(RejectCode.STALE_GENERATION);
    const second = await finished(pair);
    second.peer.write(closeFrame(CloseCode.CLEAN));
    await second.peer.gone();
    await turns(10);
    const forgotten = (await RawPeer.dial(pair.port)).write(resumeFlight(second.session, { generation: 2, positions }));
    expect((await forgotten.rejected()).code).to.equal(RejectCode.UNKNOWN);
  });

  it('a stranger learns nothing from one', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { session, peer } = await finished(pair);
    peer.destroy();
    const { session: other, peer: otherPeer } = await rawSession(pair.port);
    const asking = (await RawPeer.dial(pair.port)).write(resumeFlight({ ...session, keys: other.keys }, { generation: 2, positions }));
    expect(await asking.rejected()).to.include({ code: RejectCode.UNKNOWN, mac: undefined, positions: undefined });
    otherPeer.destroy();
  });

  it('of too many the oldest goes, and each goes after an hour', async () => {
    const runtime = new VirtualRuntime();
    await using pair = await Pair.make({ framing: lines(), server: { runtime, limits: { tombstones: 2 } } });
    const all: RawSession[] = [];
    for (let i = 0; i < 3; i++) {
      const { session, peer } = await finished(pair);
      peer.destroy();
      all.push(session);
    }
    const code = async (session: RawSession | undefined, generation: number): Promise<RejectCode> => {
      const asking = (await RawPeer.dial(pair.port)).write(resumeFlight(session as RawSession, { generation, positions }));
      return (await runtime.until(asking.rejected())).code;
    };
    const codes = [await code(all[0], 2), await code(all[1], 2), await code(all[2], 2)];
    expect(codes).to.deep.equal([RejectCode.UNKNOWN, RejectCode.CLOSED, RejectCode.CLOSED]);
    runtime.advance(3_600_001);
    expect(await code(all[2], 3)).to.equal(RejectCode.UNKNOWN);
  });

  it('a destroy() while the client was away reaches it with its code', async () => {
    const { pair, proxy } = await proxied({ framing: lines() });
    await using _ = pair;
    await using chaos = proxy;
    const { near, far } = await pair.open();
    const cause = ended(near);
    chaos.pauseAccepting('refuse');
    const detached = next(far, 'detached');
    chaos.cutAll();
    await detached;
    near.send('too late');
    far.send('never on a circuit');
    far.destroy();
    await chaos.resumeAccepting();
    const error = (await cause) as SessionError;
    expect([error.code, error.loss?.exact, error.loss?.unconfirmed]).to.deep.equal(['ERR_PEER_DESTROYED', true, ['too late']]);
  });
});

describe('close() never hangs', () => {
  it('when the server is gone for good: it gives up after timeoutMs', async () => {
    const runtime = new VirtualRuntime();
    const { pair, proxy } = await proxied({ framing: lines(), client: { runtime } });
    await using _ = pair;
    await using chaos = proxy;
    const { near } = await pair.open();
    near.send('unconfirmed');
    chaos.kill();
    const error = await runtime.until(rejection(near.close()), 100);
    expect([error.code, error.loss?.unconfirmed]).to.deep.equal(['ERR_CLOSE_TIMEOUT', ['unconfirmed']]);
  });

  it('while detached: the dialing side redials and ends clean', async () => {
    const { pair, proxy } = await proxied({ framing: lines() });
    await using _ = pair;
    await using chaos = proxy;
    const { near, far } = await pair.open();
    const causes = Promise.all([ended(near), ended(far)]);
    const read = takeAll(far);
    chaos.cutAll();
    await next(near, 'detached');
    near.send('last words');
    await near.close();
    expect(await read).to.deep.equal(['last words']);
    expect(await causes).to.deep.equal([undefined, undefined]);
  });

  it('while detached: the accepting side waits for the dialing side', async () => {
    const { pair, proxy } = await proxied({ framing: lines() });
    await using _ = pair;
    await using chaos = proxy;
    const { near, far } = await pair.open();
    const read = takeAll(near);
    chaos.cutAll();
    await next(far, 'detached');
    far.send('last words');
    await far.close();
    expect(await read).to.deep.equal(['last words']);
  });

  it('from both sides at once, with messages under way', async () => {
    for (const reading of ['both', 'near', 'far', 'nobody'] as const) {
      const runtime = new VirtualRuntime();
      await using pair = await Pair.make({ framing: lines(), shared: { runtime } });
      const { near, far } = await pair.open();
      const causes = Promise.all([ended(near), ended(far)]);
      const reads: Promise<unknown>[] = [];
      if (reading === 'both' || reading === 'near') reads.push(takeAll(near).catch(() => {}));
      if (reading === 'both' || reading === 'far') reads.push(takeAll(far).catch(() => {}));
      near.send('up');
      far.send('down');
      await runtime.until(Promise.allSettled([near.close(), far.close(), ...reads]));
      const codes = (await causes).map((cause) => cause?.code);
      if (reading === 'both') expect(codes).to.deep.equal([undefined, undefined]);
      else if (reading === 'near') expect(codes).to.deep.equal(['ERR_PEER_UNREAD', 'ERR_UNREAD']);
      else if (reading === 'far') expect(codes).to.deep.equal(['ERR_UNREAD', 'ERR_PEER_UNREAD']);
      else expect(codes).to.deep.equal(['ERR_PEER_UNREAD', 'ERR_PEER_UNREAD']);
    }
  });

  it('called twice, it waits for the same end', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    const served = echo(far);
    await Promise.all([near.close(), near.close(), near[Symbol.asyncDispose]()]);
    await served;
  });

  it('with a reader that left its loop, what comes is thrown away', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    for (const line of ['one', 'two', 'three']) far.send(line);
    expect(await take(near, 1)).to.deep.equal(['one']);
    const cause = ended(near);
    const theirs = ended(far);
    const read = takeAll(far).catch(() => {});
    await near.close();
    const error = (await cause) as SessionError;
    expect([error.code, error.loss?.undeliveredBytes]).to.deep.equal(['ERR_UNREAD', 10]);
    expect((await theirs)?.loss?.unconfirmed).to.deep.equal(['two', 'three']);
    await read;
  });

  it('a reader that leaves its loop after close() was called frees it', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    for (const line of ['one', 'two']) far.send(line);
    void takeAll(far).catch(() => {});
    let closing: Promise<void> | undefined;
    const cause = ended(near);
    for await (const line of near) {
      expect(line).to.equal('one');
      closing = near.close();
      await turns(5);
      break;
    }
    await closing;
    expect((await cause)?.code).to.equal('ERR_UNREAD');
  });
});

describe('server.drain()', () => {
  it('tells every session on both sides, refuses opens, serves resumes, and resolves when none is left', async () => {
    const { pair, proxy } = await proxied({ framing: lines() });
    await using _ = pair;
    await using chaos = proxy;
    const ends = [await pair.open(), await pair.open()];
    const [{ near, far }] = ends as [(typeof ends)[number]];
    const notices: unknown[] = [];
    for (const { near, far } of ends) for (const session of [near, far]) session.on('draining', (notice) => notices.push(notice));
    const draining = pair.server.drain({ deadlineMs: 20_000 });
    await eventually(() => notices.length === 4);
    for (const notice of notices) {
      expect(notice).to.include({ move: false });
      expect((notice as { deadlineMs: number }).deadlineMs).to.be.within(1, 20_000);
    }
    const refused = await rejection(pair.client.open());
    expect([refused.code, refused.retryable]).to.deep.equal(['ERR_DRAINING', true]);
    const again = Promise.all([next(near, 'attached'), next(far, 'attached')]);
    chaos.circuits[0]?.cut('rst');
    await again;
    near.send('still served');
    expect(await take(far, 1)).to.deep.equal(['still served']);
    for (const { near, far } of ends) await Promise.all([near.close(), takeAll(far)]);
    expect(await draining).to.equal(0);
  });

  it('resolves after deadlineMs with the number of those that are left', async () => {
    const runtime = new VirtualRuntime();
    await using pair = await Pair.make({ framing: lines(), server: { runtime } });
    await pair.open();
    expect(await runtime.until(pair.server.drain({ deadlineMs: 300 }))).to.equal(1);
  });

  it('tells at most ratePerSec a second', async () => {
    const runtime = new VirtualRuntime();
    await using pair = await Pair.make({ framing: lines(), server: { runtime } });
    const ends = [];
    for (let i = 0; i < 6; i++) ends.push(await pair.open());
    let told = 0;
    for (const { far } of ends) far.on('draining', () => told++);
    const draining = pair.server.drain({ deadlineMs: 10_000, ratePerSec: 20 });
    await turns(10);
    expect(told).to.equal(2);
    runtime.advance(99);
    await turns(10);
    expect(told).to.equal(2);
    runtime.advance(1);
    await turns(10);
    expect(told).to.equal(4);
    runtime.advance(100);
    await turns(10);
    expect(told).to.equal(6);
    for (const { near } of ends) near.destroy();
    expect(await draining).to.equal(0);
  });

  it('its signal stops it while it waits for the next to tell', async () => {
    const runtime = new VirtualRuntime();
    await using pair = await Pair.make({ framing: lines(), server: { runtime } });
    for (let i = 0; i < 3; i++) await pair.open();
    const stop = new AbortController();
    const draining = rejection(pair.server.drain({ ratePerSec: 1, signal: stop.signal }));
    await turns(5);
    stop.abort(new Error('no'));
    expect((await draining).code).to.equal('ERR_ABORTED');
  });
});

describe('server.close()', () => {
  it('ends every session with ERR_SHUTDOWN on both sides, attached or not', async () => {
    const runtime = new VirtualRuntime();
    const { pair, router } = await routed({ framing: lines(), client: { runtime } });
    await using _ = pair;
    await using front = router;
    const first = await pair.open();
    const second = await pair.open(pair.another({ port: pair.port }));
    const detached = next(first.far, 'detached');
    front.routes.push(() => {});
    front.sockets[0]?.resetAndDestroy();
    await detached;
    const causes = Promise.all([ended(first.far), ended(second.far), ended(second.near)]);
    const closed = next(pair.server, 'close');
    await pair.server.close();
    await closed;
    expect((await causes).map((cause) => cause?.code)).to.deep.equal(['ERR_SHUTDOWN', 'ERR_SHUTDOWN', 'ERR_SHUTDOWN']);
    expect(pair.server.sessions.size).to.equal(0);
    first.near.destroy();
  });

  it('ends handshakes that are under way, and connections given to accept() later', async () => {
    const pair = await Pair.make({ framing: lines() });
    const silent = await RawPeer.dial(pair.port);
    const opened = await RawPeer.dial(pair.port);
    await rawOpen(opened);
    await pair.server.close();
    await Promise.all([silent.gone(), opened.gone()]);
    const late = await RawPeer.dial(pair.port).catch((error: NodeJS.ErrnoException) => error.code);
    expect(late).to.equal('ECONNREFUSED');
  });

  it('listen() on a port in use rejects with the reason of the system', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const error = (await rejection(pair.server.listen({ port: pair.port }))) as unknown as NodeJS.ErrnoException;
    expect(error.code).to.equal('EADDRINUSE');
    expect((await rejection(pair.server.listen({ port: 70_000 }))).code).to.equal('ERR_INVALID_OPTION');
    const client = new SessionClient({ framing: lines(), port: pair.port });
    const { near } = await pair.open(client);
    near.destroy();
  });
});
