// Resuming over real sockets: the scenarios that peers of this library fail. Who may carry a session, who may not, and what each is told.

import { expect } from 'chai';
import { CloseCode, DrainFlag, Frame, Kind, RejectCode } from '../../lib/core/wire.ts';
import { SessionError } from '../../lib/errors.ts';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { lines } from '../../lib/framing/lines.ts';
import { SessionKeys } from '../../lib/security/keys.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import {
  circuitsOf,
  echo,
  ended,
  eventually,
  next,
  Pair,
  proxied,
  rejection,
  rejections,
  routed,
  take,
  takeAll,
  tcp,
  turns,
  VirtualRuntime,
} from '../support/net.ts';
import {
  ackFrame,
  answerOpen,
  challengeFlight,
  closeFrame,
  confirmFrame,
  dataFrame,
  frame,
  offsetFrame,
  RawPeer,
  RawServer,
  type RawSession,
  rawOpen,
  rawSession,
  readResume,
  rejectedFlight,
  resumedFlight,
  resumeFlight,
} from '../support/raw-peer.ts';

const FINALS = { received: 0, acked: 0, limit: 2 ** 21, base: 0, sent: 0 };

describe('resuming while the server still thinks that the old circuit is alive', () => {
  it('the session moves to the new circuit, and every message comes once', async () => {
    const { pair, proxy } = await proxied({ framing: lines() });
    await using _ = pair;
    await using chaos = proxy;
    const { near, far } = await pair.open();
    const served = echo(far);
    near.send('before');
    expect(await take(near, 1)).to.deep.equal(['before']);
    chaos.halfOpen('both');
    near.send('swallowed on the way');
    await turns(20);
    expect(far.state).to.equal('attached');
    const infos = circuitsOf(far);
    pair.client.nudge();
    expect(await take(near, 1)).to.deep.equal(['swallowed on the way']);
    expect(infos.length).to.equal(1);
    expect(far.stats).to.include({ circuits: 2, resumes: 1 });
    await near.close();
    await served;
  });

  it('what was sent on both sides meanwhile is replayed', async () => {
    const { pair, proxy } = await proxied({ framing: lines() });
    await using _ = pair;
    await using chaos = proxy;
    const { near, far } = await pair.open();
    chaos.halfOpen('both');
    near.send('up');
    far.send('down');
    await turns(20);
    pair.client.nudge();
    expect([await take(far, 1), await take(near, 1)]).to.deep.equal([['up'], ['down']]);
  });
});

describe('the old circuit dying after the resume', () => {
  it('leaves the live session untouched', async () => {
    const { pair, proxy } = await proxied({ framing: lines() });
    await using _ = pair;
    await using chaos = proxy;
    const { near, far } = await pair.open();
    chaos.stall('both');
    const [old] = chaos.circuits;
    const moved = Promise.all([next(far, 'attached'), next(near, 'attached')]);
    pair.client.nudge();
    await moved;
    const lost: string[] = [];
    for (const session of [near, far]) session.on('detached', () => lost.push(session === near ? 'near' : 'far'));
    old?.cut('rst');
    await turns(30);
    near.send('still here');
    expect(await take(far, 1)).to.deep.equal(['still here']);
    expect(lost).to.deep.equal([]);
    expect([near.state, far.state, far.stats.circuits]).to.deep.equal(['attached', 'attached', 2]);
  });

  it('nothing that the old circuit delivers late has an effect', async () => {
    const { pair, proxy } = await proxied({ framing: lines() });
    await using _ = pair;
    await using chaos = proxy;
    const { near, far } = await pair.open();
    chaos.stall('both');
    near.send('once');
    await turns(20);
    const moved = next(far, 'attached');
    pair.client.nudge();
    await moved;
    const read = take(far, 1);
    expect(await read).to.deep.equal(['once']);
    chaos.release();
    await turns(50);
    near.send('twice');
    expect(await take(far, 1)).to.deep.equal(['twice']);
    expect(far.stats).to.include({ received: 11, circuits: 2 });
  });

  it('frames that an old circuit delivers late are not read at all', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const announced = next<[Session<string>]>(pair.server, 'session');
    const { peer: old, session } = await rawSession(pair.port);
    const [far] = await announced;
    old.write(dataFrame(0, 'one\n'));
    expect(await take(far, 1)).to.deep.equal(['one']);
    const fresh = (await RawPeer.dial(pair.port)).write(resumeFlight(session, { generation: 2, positions: { sent: 4 } }));
    expect((await fresh.flight()).flight.kind).to.equal(Kind.RESUMED);
    expect(Number((await old.frameOf(Frame.SUPERSEDED)).readBigUInt64BE())).to.equal(2);
    const lost: unknown[] = [];
    far.on('detached', (cause) => lost.push(cause));
    old.write(dataFrame(4, 'spliced\n'), dataFrame(999, 'gap\n'), closeFrame(CloseCode.DESTROYED));
    await turns(30);
    expect([far.state, far.stats.received, lost]).to.deep.equal(['attached', 4, []]);
    fresh.write(dataFrame(4, 'two\n'));
    expect(await take(far, 1)).to.deep.equal(['two']);
    for (const peer of [old, fresh]) peer.destroy();
  });
});

describe('a try at a new circuit while the old one lives', () => {
  const busy = rejectedFlight({ code: RejectCode.BUSY });

  it('that is told BUSY leaves the session on the old one, and nothing was missed', async () => {
    const { pair, router } = await routed({ framing: lines() });
    await using _ = pair;
    await using front = router;
    const { near, far } = await pair.open();
    let answer: () => void = () => {};
    front.routes.push((socket) => {
      answer = () => socket.end(busy);
    });
    const lost: unknown[] = [];
    near.on('detached', (cause) => lost.push(cause));
    pair.client.nudge();
    await eventually(() => front.count === 2);
    near.send('written meanwhile');
    far.send('sent meanwhile');
    await turns(30);
    expect(near.stats.received).to.equal(0);
    answer();
    expect([await take(near, 1), await take(far, 1)]).to.deep.equal([['sent meanwhile'], ['written meanwhile']]);
    expect([near.stats.circuits, far.stats.circuits, lost]).to.deep.equal([1, 1, []]);
  });

  it('that is not answered is given up, with the next generation for the next', async () => {
    const runtime = new VirtualRuntime();
    const { pair, router } = await routed({ framing: lines(), client: { runtime, heartbeatMs: 300_000 } });
    await using _ = pair;
    await using front = router;
    const { near, far } = await pair.open();
    const silent: Buffer[] = [];
    const swallow = (socket: import('node:net').Socket): void => {
      socket.on('data', (chunk: Buffer) => silent.push(chunk));
    };
    front.routes.push(swallow);
    pair.client.nudge();
    await eventually(() => silent.length === 1);
    near.send('waits');
    runtime.advance(15_100);
    expect(await take(far, 1)).to.deep.equal(['waits']);
    expect(near.stats.circuits).to.equal(1);
    const again = next(near, 'attached');
    pair.client.nudge();
    await again;
    const generationOf = (bytes: Buffer): bigint => bytes.readBigUInt64BE(bytes.indexOf(Buffer.from([0x0b, 0, 8])) + 3);
    expect([generationOf(silent[0] as Buffer), generationOf(front.sent[1] as Buffer)]).to.deep.equal([2n, 3n]);
  });
});

describe('early data', () => {
  async function resumed(messages: readonly string[]): Promise<{ early: string; seen: string[] }> {
    const { pair, router } = await routed({ framing: lines() });
    await using _ = pair;
    await using front = router;
    const { near, far } = await pair.open();
    front.routes.push((socket) => socket.destroy());
    front.sockets[0]?.resetAndDestroy();
    await next(near, 'detached');
    for (const message of messages) near.send(message);
    await next(near, 'attached');
    const seen = await take(far, messages.length);
    const bytes = front.sent[1] as Buffer;
    const flightBytes = 26 + bytes.readUInt16BE(24);
    const first = bytes.subarray(flightBytes, flightBytes + 4);
    // DATA at once behind the RESUME; otherwise the first frame stands behind RESUMED: the PING of the first DATA.
    const early = first[0] === Frame.DATA ? bytes.subarray(flightBytes + 12, flightBytes + 4 + first.readUIntBE(1, 3)).toString() : '';
    return { early, seen };
  }

  it('stands right behind the RESUME, and comes once', async () => {
    const { early, seen } = await resumed(['one', 'two']);
    expect(early).to.equal('one\ntwo\n');
    expect(seen).to.deep.equal(['one', 'two']);
  });

  it('is cut at its most for what no circuit has carried; the rest follows', async () => {
    const message = 'x'.repeat(9_999);
    const { early, seen } = await resumed([message, message, message]);
    expect(early.length).to.be.within(1, 14_336);
    expect(seen).to.deep.equal([message, message, message]);
  });

  it('is left out where not all that a circuit has carried would fit', async () => {
    const { pair, router } = await routed({ framing: lines() });
    await using _ = pair;
    await using front = router;
    const { near, far } = await pair.open();
    const message = 'x'.repeat(19_999);
    near.send(message);
    await eventually(() => far.stats.received === 20_000);
    const again = next(near, 'attached');
    front.sockets[0]?.resetAndDestroy();
    await again;
    near.send('more');
    expect(await take(far, 2)).to.deep.equal([message, 'more']);
    expect([near.stats.replayedBytes, far.stats.duplicateBytes]).to.deep.equal([0, 0]);
  });
});

describe('one resume credential used twice at once', () => {
  it('two connections write the same RESUME: one is resumed, the other reads STALE_GENERATION', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { peer, session } = await rawSession(pair.port);
    await peer.heard();
    const resume = resumeFlight(session, { generation: 2 });
    const rivals = await Promise.all([RawPeer.dial(pair.port), RawPeer.dial(pair.port)]);
    for (const rival of rivals) rival.write(resume);
    const flights = await Promise.all(rivals.map((rival) => rival.flight()));
    const kinds = flights.map(({ flight }) => flight.kind);
    expect(kinds.toSorted((a, b) => a - b)).to.deep.equal([Kind.RESUMED, Kind.REJECTED]);
    const refused = flights.find(({ flight }) => flight.kind === Kind.REJECTED)?.flight;
    expect(refused).to.include({ code: RejectCode.STALE_GENERATION, generation: 2 });
    expect((refused as { mac?: Buffer }).mac).to.have.length(16);
    const winner = rivals[kinds.indexOf(Kind.RESUMED)] as RawPeer;
    winner.write(dataFrame(0, 'winner\n'));
    const [far] = [...pair.server.sessions.values()];
    expect(await take(far as Session<string>, 1)).to.deep.equal(['winner']);
    for (const rival of [peer, ...rivals]) rival.destroy();
  });

  it('a captured RESUME that is replayed later gets nowhere, and the session is untouched', async () => {
    const { pair, router } = await routed({ framing: lines() });
    await using _ = pair;
    await using front = router;
    const { near, far } = await pair.open();
    const again = next(far, 'attached');
    near.send('early data');
    pair.client.nudge();
    await again;
    const captured = front.sent[1] as Buffer;
    expect(captured[5]).to.equal(Kind.RESUME);
    const attacker = (await RawPeer.dial(pair.port)).write(captured);
    expect((await attacker.rejected()).code).to.equal(RejectCode.STALE_GENERATION);
    expect(await attacker.gone()).to.equal('end');
    attacker.destroy();
    expect(await take(far, 1)).to.deep.equal(['early data']);
    expect([far.state, far.stats.circuits]).to.deep.equal(['attached', 2]);
    await near.flushed();
  });

  it('with a challenge, a captured RESUME that never arrived is worth nothing', async () => {
    await using pair = await Pair.make({ framing: lines(), server: { challenge: 'always' } });
    const { peer, session } = await rawSession(pair.port);
    await peer.heard();
    const resume = resumeFlight(session, { generation: 2 });
    const attacker = (await RawPeer.dial(pair.port)).write(resume, dataFrame(0, 'forged\n'));
    const { flight } = await attacker.flight();
    expect(flight.kind).to.equal(Kind.CHALLENGE);
    attacker.write(frame(Frame.PROOF, Buffer.alloc(16, 1)));
    const refused = await attacker.rejected();
    expect([refused.code, refused.mac]).to.deep.equal([RejectCode.UNKNOWN, undefined]);
    const owner = (await RawPeer.dial(pair.port)).write(resume);
    const challenge = await owner.flight();
    const proof = frame(Frame.PROOF, session.keys.mac('proof', [resume, challenge.bytes], undefined));
    owner.write(proof);
    const resumed = await owner.flight();
    expect(resumed.flight.kind).to.equal(Kind.RESUMED);
    const far = pair.server.sessions.get(session.id.toString('hex')) as Session<string>;
    expect(far.stats).to.include({ received: 0, circuits: 2 });
    for (const each of [peer, attacker, owner]) each.destroy();
  });

  it('two clients resume from one record: one wins, the other learns why and stays away', async () => {
    const { pair, router } = await routed({ framing: lines() });
    await using _ = pair;
    await using front = router;
    const { near, far } = await pair.open();
    const served = echo(far);
    const record = pair.client.record(near);
    const origin = ended(near);
    const resume = async (): Promise<{ session: Session<string>; end: Promise<SessionError | undefined> }> => {
      const session = await pair.another().resume(record);
      return { session, end: ended(session) };
    };
    const outcomes = await Promise.allSettled([resume(), resume()]);
    expect((await origin)?.code).to.equal('ERR_TAKEN_OVER');
    const resumed = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as SessionError] : []));
    // Both may be accepted in turn, since a process fresh from a record may claim its session once: then the first one is told.
    const living = (): Session<string>[] => resumed.map(({ session }) => session).filter((session) => session.state === 'attached');
    await eventually(() => living().length === 1);
    const [winner] = living() as [Session<string>];
    for (const { session, end } of resumed) if (session !== winner) refused.push((await end) as SessionError);
    expect(refused.map((error) => error.code)).to.deep.equal(['ERR_TAKEN_OVER']);
    const dialed = front.count;
    winner.send('mine alone');
    expect(await take(winner, 1)).to.deep.equal(['mine alone']);
    await turns(100);
    expect(front.count, 'nobody redials').to.equal(dialed);
    expect(winner.restored).to.equal(true);
    await winner.close();
    await served;
  });

  it('a process that was taken over while it was away learns it at its resume', async () => {
    const runtime = new VirtualRuntime();
    const { pair, router } = await routed({ framing: lines(), shared: { runtime } });
    await using _ = pair;
    await using front = router;
    const { near } = await pair.open();
    const record = pair.client.record(near);
    const refuse = (): void => {};
    front.routes.push(refuse);
    const origin = ended(near);
    front.sockets[0]?.resetAndDestroy();
    await next(near, 'detached');
    const direct = pair.another({ port: pair.port });
    const taken = await direct.resume(record);
    front.routes.length = 0;
    const error = (await runtime.until(origin)) as SessionError;
    expect(error.code).to.equal('ERR_TAKEN_OVER');
    const dialed = front.count;
    for (let i = 0; i < 12; i++) {
      runtime.advance(5000);
      await turns(6);
    }
    expect(front.count).to.equal(dialed);
    expect(taken.state).to.equal('attached');
  });

  it('a process that was taken over cannot come back with a higher generation', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { peer: first, session } = await rawSession(pair.port);
    await first.heard();
    const second = (await RawPeer.dial(pair.port)).write(resumeFlight(session, { generation: 2, instance: 2 }));
    expect((await second.flight()).flight.kind).to.equal(Kind.RESUMED);
    const back = (await RawPeer.dial(pair.port)).write(resumeFlight(session, { generation: 7, instance: 1 }), dataFrame(0, 'spliced\n'));
    expect(await back.rejected()).to.include({ code: RejectCode.TAKEN_OVER, generation: 2 });
    const far = pair.server.sessions.get(session.id.toString('hex')) as Session<string>;
    expect([far.state, far.stats.received, far.stats.circuits]).to.deep.equal(['attached', 0, 2]);
    const third = (await RawPeer.dial(pair.port)).write(resumeFlight(session, { generation: 3, instance: 3 }));
    expect((await third.flight()).flight.kind).to.equal(Kind.RESUMED);
    for (const peer of [first, second, back, third]) peer.destroy();
  });

  it('processes that fight over one session are slowed down', async () => {
    const runtime = new VirtualRuntime();
    await using pair = await Pair.make({ framing: lines(), shared: { runtime }, server: { limits: { takeovers: 2 } } });
    const { near } = await pair.open();
    let client = pair.client;
    let session = near;
    for (let i = 0; i < 2; i++) {
      const record = client.record(session);
      client = pair.another();
      session = await client.resume(record);
    }
    const record = client.record(session);
    const late = pair.another();
    const retried = next<[{ cause: SessionError; delayMs: number }]>(late, 'retry');
    const resumed = late.resume(record);
    const [notice] = await retried;
    expect([notice.cause.code, notice.delayMs >= 10_000]).to.deep.equal(['ERR_BUSY', true]);
    expect(session.state).to.equal('attached');
    expect((await runtime.until(resumed, 500)).state).to.equal('attached');
  });
});

describe("a second party naming someone else's session", () => {
  it('is answered UNKNOWN, as for a session that does not exist, and nothing happens to the session', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    const stranger: RawSession = (await rawSession(pair.port)).session;
    const victim = { ...stranger, id: Buffer.from(far.id, 'hex') };
    const nobody = { ...stranger, id: Buffer.alloc(16, 7) };
    const answers: Buffer[] = [];
    for (const target of [victim, nobody]) {
      const attacker = (await RawPeer.dial(pair.port)).write(resumeFlight(target, { generation: 99 }), dataFrame(0, 'forged\n'));
      const { flight, bytes } = await attacker.flight();
      answers.push(bytes);
      expect(flight).to.include({ kind: Kind.REJECTED, code: RejectCode.UNKNOWN, mac: undefined });
      expect(await attacker.gone()).to.equal('end');
      attacker.destroy();
    }
    // Each repeats the session id it was asked for (H-6); all else is the same.
    const rest = answers.map((bytes) => Buffer.concat([bytes.subarray(0, 8), bytes.subarray(24)]).toString('hex'));
    expect(rest[0]).to.equal(rest[1]);
    near.send('mine');
    expect(await take(far, 1)).to.deep.equal(['mine']);
    expect([far.stats.circuits, near.stats.circuits]).to.deep.equal([1, 1]);
  });

  it('cannot stop the clock of a detached session', async () => {
    const runtime = new VirtualRuntime();
    const options = { runtime, holdMs: 1000 };
    await using pair = await Pair.make({ framing: lines(), shared: options, server: { authorizeResume: () => new Promise(() => {}) } });
    const { peer, session } = await rawSession(pair.port, { holdMs: 1000 });
    await eventually(() => pair.server.sessions.size === 1);
    const far = pair.server.sessions.get(session.id.toString('hex')) as Session<string>;
    const cause = ended(far);
    peer.destroy();
    await next(far, 'detached');
    const attacker = (await RawPeer.dial(pair.port)).write(resumeFlight({ ...session, keys: otherKeys() }, { generation: 2 }));
    expect((await runtime.until(attacker.rejected())).code).to.equal(RejectCode.UNKNOWN);
    expect((await runtime.until(cause, 100))?.code).to.equal('ERR_EXPIRED');
    attacker.destroy();
  });

  it('two RESUMEs at once, whose verdicts never come, do not stop the clock for ever', async () => {
    const runtime = new VirtualRuntime();
    await using pair = await Pair.make({
      framing: lines(),
      shared: { runtime, holdMs: 2000 },
      server: { authorizeResume: () => new Promise(() => {}), limits: { hookMs: 1000 } },
    });
    const { peer, session } = await rawSession(pair.port, { holdMs: 2000 });
    await eventually(() => pair.server.sessions.size === 1);
    const far = pair.server.sessions.get(session.id.toString('hex')) as Session<string>;
    const cause = ended(far);
    peer.destroy();
    await next(far, 'detached');
    const asking = [await RawPeer.dial(pair.port), await RawPeer.dial(pair.port)];
    for (const [i, each] of asking.entries()) each.write(resumeFlight(session, { generation: 2 + i }));
    await turns(30);
    runtime.advance(900);
    expect(far.state).to.equal('detached');
    const error = await Promise.race([runtime.until(cause, 50), turns(2000)]);
    expect(error?.code).to.equal('ERR_EXPIRED');
  });

  it('is counted against its address and never against the session', async () => {
    const { pair, router } = await routed({ framing: lines(), server: { limits: { failuresPerMinute: 3 } } });
    await using _ = pair;
    await using front = router;
    const { near, far } = await pair.open();
    const victim = { ...(await rawSession(pair.port)).session, id: Buffer.from(far.id, 'hex') };
    for (let i = 0; i < 10; i++) {
      const attacker = (await RawPeer.dial(pair.port)).write(resumeFlight(victim, { generation: 2 + i }));
      expect((await attacker.rejected()).code).to.equal(RejectCode.UNKNOWN);
      attacker.destroy();
    }
    front.sockets[0]?.resetAndDestroy();
    await next(near, 'attached');
    expect(far.stats.resumes).to.equal(1);
  });
});

describe('a lost OPENED and a replayed OPEN', () => {
  it('open() after a lost OPENED makes one session for the application', async () => {
    const runtime = new VirtualRuntime();
    const { pair, proxy } = await proxied({ framing: lines(), client: { runtime } });
    await using _ = pair;
    await using chaos = proxy;
    const announced: Session<string>[] = [];
    pair.server.on('session', (session) => {
      announced.push(session);
      void echo(session);
    });
    for (const bytes of [0, 1, 26, 100]) chaos.planNext({ cutAfter: { down: bytes } });
    const near = await runtime.until(pair.client.open({ retry: true }));
    near.send('transfer 100');
    expect(await take(near, 1)).to.deep.equal(['transfer 100']);
    expect(announced.map(({ id }) => id)).to.deep.equal([near.id]);
    expect([...pair.server.sessions.keys()]).to.deep.equal([near.id]);
    await near.close();
  });

  it('a lost CONFIRM: the RESUME makes the session real, and its data comes once', async () => {
    const { pair, router } = await routed({ framing: lines() });
    await using _ = pair;
    await using front = router;
    const announced: Session<string>[] = [];
    pair.server.on('session', (session) => announced.push(session));
    // Everything behind the OPEN is lost on this connection.
    front.routes.push((socket) => {
      socket.once('data', (open: Buffer) => {
        front.forward(socket);
        socket.unpipe();
        socket.emit('data', open);
        void tcp(pair.port).then((onward) => {
          onward.write(open);
          onward.on('data', (chunk: Buffer) => socket.write(chunk));
          socket.on('close', () => onward.destroy());
        });
      });
    });
    const near = await pair.client.open();
    near.send('first');
    await turns(30);
    expect(announced.length).to.equal(0);
    front.sockets[0]?.resetAndDestroy();
    await next(near, 'attached');
    await eventually(() => announced.length === 1);
    expect(await take(announced[0] as Session<string>, 1)).to.deep.equal(['first']);
    expect(announced[0]?.id).to.equal(near.id);
  });

  it('a CONFIRM that arrives behind the RESUME, on the old circuit, makes no second session', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const announced: Session<string>[] = [];
    pair.server.on('session', (session) => announced.push(session));
    const old = await RawPeer.dial(pair.port);
    const session = await rawOpen(old);
    const fresh = (await RawPeer.dial(pair.port)).write(resumeFlight(session, { generation: 2 }), dataFrame(0, 'transfer 100\n'));
    expect((await fresh.flight()).flight.kind).to.equal(Kind.RESUMED);
    old.write(confirmFrame(session), dataFrame(0, 'transfer 100\n'));
    expect(await old.gone()).to.be.oneOf(['end', 'reset']);
    expect(announced.length).to.equal(1);
    const [far] = announced as [Session<string>];
    expect(await take(far, 1)).to.deep.equal(['transfer 100']);
    fresh.write(dataFrame(13, 'still here\n'));
    expect(await take(far, 1)).to.deep.equal(['still here']);
    expect([pair.server.sessions.get(far.id), far.stats.circuits]).to.deep.equal([far, 1]);
    for (const peer of [old, fresh]) peer.destroy();
  });

  it('a replayed OPEN, CONFIRM and DATA never reach the application', async () => {
    const { pair, router } = await routed({ framing: lines() });
    await using _ = pair;
    await using front = router;
    const announced: Session<string>[] = [];
    pair.server.on('session', (session) => announced.push(session));
    const near = await pair.client.open();
    near.send('transfer 100');
    await eventually(() => announced[0]?.stats.received === 13);
    const captured = front.sent[0] as Buffer;
    const openBytes = 26 + captured.readUInt16BE(24);
    const refused = rejections(pair.server);
    const replayer = (await RawPeer.dial(pair.port)).write(captured.subarray(0, openBytes));
    expect((await replayer.flight()).flight.kind).to.equal(Kind.OPENED);
    replayer.write(captured.subarray(openBytes));
    expect(await replayer.gone()).to.equal('reset');
    expect(refused.map(({ code }) => code)).to.deep.equal(['ERR_HANDSHAKE']);
    expect(announced.length).to.equal(1);
    const atOnce = (await RawPeer.dial(pair.port)).write(captured);
    await atOnce.gone();
    expect(announced.length).to.equal(1);
    expect(atOnce.receivedBytes).to.equal(0);
  });

  it('a provisional session has no event, no place in `sessions`, and counts for no principal', async () => {
    const options = { authenticate: () => 'ann', onDuplicate: 'reject', limits: { sessionsPerPrincipal: 1 } } as const;
    await using pair = await Pair.make({ framing: lines(), server: options });
    const ghosts = await Promise.all([RawPeer.dial(pair.port), RawPeer.dial(pair.port)]);
    for (const ghost of ghosts) await rawOpen(ghost);
    expect(pair.server.sessions.size).to.equal(0);
    const { near } = await pair.open();
    expect(near.state).to.equal('attached');
    for (const ghost of ghosts) ghost.destroy();
  });
});

describe('a client restored from an older state', () => {
  it('is refused with STATE_LOST when the server has more than the record knows to have sent', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    near.send('one');
    await take(far, 1);
    const record = pair.client.record(near);
    near.send('two, after the record');
    await eventually(() => far.stats.received === 26);
    const error = await rejection(pair.another().resume(record));
    expect(error.code).to.equal('ERR_STATE_LOST');
    expect(error.message).to.contain('26');
    near.send('three');
    expect(await take(far, 2)).to.deep.equal(['two, after the record', 'three']);
    expect([near.state, far.stats.circuits]).to.deep.equal(['attached', 1]);
  });

  it('puts nothing new on a circuit before it was accepted', async () => {
    const runtime = new VirtualRuntime();
    const { pair, router } = await routed({ framing: lines(), client: { runtime } });
    await using _ = pair;
    await using front = router;
    const { near, far } = await pair.open();
    near.send('one');
    await take(far, 1);
    await near.flushed();
    const record = pair.client.record(near);
    near.send('two, in the first life');
    await eventually(() => far.stats.received === 27);
    const second = pair.another();
    const refused = rejection(second.resume(record));
    const [twin] = [...second.sessions] as [Session<string>];
    twin.send('other words, of the same length or more than that');
    expect((await runtime.until(refused)).code).to.equal('ERR_STATE_LOST');
    expect(front.sent.slice(1).every((bytes) => !bytes.includes('other words'))).to.equal(true);
    expect(await take(far, 1)).to.deep.equal(['two, in the first life']);
  });

  it('goes on where it was when nothing was lost, and brings what it had not sent', async () => {
    const { pair, router } = await routed({ framing: lines() });
    await using _ = pair;
    await using front = router;
    const { near, far } = await pair.open();
    const seen: string[] = [];
    const all = (async () => {
      for await (const line of far) {
        seen.push(line);
        if (line === 'end') break;
      }
    })();
    near.send('sent in the first life');
    await near.flushed();
    front.routes.push(() => {});
    front.sockets[0]?.resetAndDestroy();
    await next(near, 'detached');
    near.send('written in the first life');
    const record = pair.client.record(near);
    near.destroy();
    const second = pair.another({ port: pair.port });
    const restored = await second.resume(record);
    restored.send('end');
    await all;
    expect(seen).to.deep.equal(['sent in the first life', 'written in the first life', 'end']);
    expect([restored.id, restored.restored]).to.deep.equal([far.id, true]);
  });

  it('covers what the flush behind it sends and confirms: made after every step, it is good whenever the process is killed', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    for (const line of ['one', 'two', 'three']) far.send(line);
    await eventually(() => near.stats.received === 14);
    const inbound = near[Symbol.asyncIterator]();
    for (let i = 0; i < 3; i++) await inbound.next();
    void inbound.next();
    near.send('written just before');
    const record = pair.client.record(near);
    expect(await take(far, 1)).to.deep.equal(['written just before']);
    await far.flushed();
    await near.flushed();
    const origin = ended(near);
    const restored = await pair.another().resume(record);
    expect((await origin)?.code).to.equal('ERR_TAKEN_OVER');
    far.send('four');
    expect(await take(restored, 1)).to.deep.equal(['four']);
    restored.send('last');
    expect(await take(far, 1)).to.deep.equal(['last']);
  });

  it('a record is checked', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near } = await pair.open();
    const record = pair.client.record(near);
    for (const bad of [Buffer.alloc(0), record.subarray(0, 100), Buffer.concat([Buffer.of(99), record.subarray(1)])]) {
      expect((await rejection(pair.client.resume(bad))).code).to.equal('ERR_INVALID_OPTION');
    }
    near.destroy();
    expect(() => pair.client.record(near))
      .to.throw(SessionError)
      .with.property('code', 'ERR_CLOSED');
  });
});

describe('a forged or misrouted answer', () => {
  /** Answers the first flight of a connection with these bytes. */
  const answer =
    (bytes: Buffer) =>
    (socket: import('node:net').Socket): void => {
      socket.once('data', () => socket.end(bytes));
    };

  it('REJECTED without a good MAC does not end a living session', async () => {
    const runtime = new VirtualRuntime();
    const { pair, router } = await routed({ framing: lines(), client: { runtime } });
    await using _ = pair;
    await using front = router;
    const { near, far } = await pair.open();
    const causes: string[] = [];
    pair.client.on('retry', ({ cause }) => causes.push(cause.code));
    const sessionId = Buffer.from(near.id, 'hex');
    const wrong = { session: { id: sessionId, keys: otherKeys() } as RawSession, earlier: [] };
    const positions = FINALS;
    front.routes.push(
      answer(rejectedFlight({ code: RejectCode.CLOSED, cause: CloseCode.CLEAN, positions, sessionId })),
      answer(rejectedFlight({ code: RejectCode.EXPIRED, positions, sessionId })),
      answer(rejectedFlight({ code: RejectCode.STATE_LOST, positions, sessionId })),
      answer(rejectedFlight({ code: RejectCode.STALE_GENERATION, generation: 9, sessionId })),
      answer(rejectedFlight({ code: RejectCode.TAKEN_OVER, generation: 9, sessionId })),
      answer(rejectedFlight({ code: RejectCode.AUTH, sessionId })),
      answer(rejectedFlight({ code: RejectCode.CLOSED, cause: CloseCode.CLEAN, positions }, wrong)),
      answer(rejectedFlight({ code: RejectCode.UNKNOWN })),
      answer(rejectedFlight({ code: RejectCode.VERSION, versions: [9] })),
      answer(Buffer.from('HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n')),
      answer(Buffer.from('SSH-2.0-OpenSSH_9.6\r\n')),
      answer(Buffer.alloc(0)),
    );
    const expected = front.routes.length + 1;
    front.sockets[0]?.resetAndDestroy();
    await runtime.until(next(far, 'attached'));
    near.send('alive');
    expect(await take(far, 1)).to.deep.equal(['alive']);
    expect(front.count).to.equal(expected + 1);
    expect(near.stats.resumes).to.equal(1);
    for (const code of [
      'ERR_CLOSED',
      'ERR_EXPIRED',
      'ERR_STATE_LOST',
      'ERR_STALE_GENERATION',
      'ERR_TAKEN_OVER',
      'ERR_AUTH',
      'ERR_HANDSHAKE',
    ]) {
      expect(causes).to.include(code);
    }
    for (const code of ['ERR_UNKNOWN_SESSION', 'ERR_VERSION', 'ERR_NOT_OUR_PROTOCOL', 'ERR_CIRCUIT_LOST']) expect(causes).to.include(code);
  });

  it('UNKNOWN is believed after three answers, a second apart', async () => {
    const runtime = new VirtualRuntime();
    const { pair, router } = await routed({ framing: lines(), client: { runtime } });
    await using _ = pair;
    await using front = router;
    await using restarted = new SessionServer({ framing: lines(), runtime });
    const { port } = await restarted.listen({ port: 0 });
    const { near } = await pair.open();
    near.send('never confirmed');
    const delays: number[] = [];
    pair.client.on('retry', ({ cause, delayMs }) => {
      if (cause.code === 'ERR_UNKNOWN_SESSION') delays.push(delayMs);
    });
    const cause = ended(near);
    front.target = port;
    front.sockets[0]?.resetAndDestroy();
    const error = (await runtime.until(cause)) as SessionError;
    expect(error.code).to.equal('ERR_UNKNOWN_SESSION');
    expect(delays.length).to.equal(2);
    for (const delayMs of delays) expect(delayMs).to.be.within(1000, 2000);
    expect(error.loss?.unconfirmed).to.deep.equal(['never confirmed']);
  });

  it('one UNKNOWN from the wrong machine is survived, and the count begins anew', async () => {
    const runtime = new VirtualRuntime();
    const { pair, router } = await routed({ framing: lines(), client: { runtime } });
    await using _ = pair;
    await using front = router;
    const { near, far } = await pair.open();
    for (let i = 0; i < 3; i++) {
      front.routes.push(answer(rejectedFlight({ code: RejectCode.UNKNOWN })), answer(rejectedFlight({ code: RejectCode.UNKNOWN })));
      front.sockets.at(-1)?.resetAndDestroy();
      await runtime.until(Promise.all([next(far, 'attached'), next(near, 'attached')]));
    }
    expect(near.stats.resumes).to.equal(3);
  });
});

describe('a dialing side and a server that answers by hand', () => {
  /** A real client whose server is the test. */
  async function byHand(runtime = new VirtualRuntime()): Promise<{
    server: RawServer;
    pair: Pair<string>;
    near: Session<string>;
    peer: RawPeer;
    session: RawSession;
    runtime: VirtualRuntime;
  }> {
    const server = await new RawServer().listen();
    const pair = await Pair.make({ framing: lines(), client: { port: server.port, runtime } });
    const opening = pair.client.open();
    const peer = await server.next();
    const session = await answerOpen(peer);
    const near = await opening;
    await peer.frameOf(Frame.CONFIRM);
    return { server, pair, near, peer, session, runtime };
  }

  it('an authenticated CLOSED counts as a last ACK: a done dialer ends clean', async () => {
    const { server, pair, near, peer, session, runtime } = await byHand();
    await using _ = pair;
    await using __ = server;
    near.send('all of it');
    near.end();
    expect((await peer.stream(10)).toString()).to.equal('all of it\n');
    peer.write(offsetFrame(Frame.END, 0));
    await eventually(() => near.stats.received === 1);
    const clean = ended(near);
    peer.destroy();
    const again = await runtime.until(server.next());
    const resume = await readResume(again);
    const positions = { ...FINALS, received: 11, acked: 11, limit: 2 ** 21 + 11, sent: 1 };
    const seal = { session, earlier: [resume.bytes] };
    again.write(rejectedFlight({ code: RejectCode.CLOSED, cause: CloseCode.CLEAN, positions }, seal));
    expect(await runtime.until(clean)).to.equal(undefined);
  });

  it('UNKNOWN three times ends a side that is done clean: close() does not wait for its timeout', async () => {
    const { server, pair, near, peer, session, runtime } = await byHand();
    await using _ = pair;
    await using __ = server;
    near.send('all of it');
    const closing = near.close({ timeoutMs: 3_600_000 });
    expect((await peer.stream(10)).toString()).to.equal('all of it\n');
    peer.write(ackFrame(11, 2 ** 21 + 11), offsetFrame(Frame.END, 0));
    await eventually(() => near.state === 'closing');
    const delays: number[] = [];
    pair.client.on('retry', ({ cause, delayMs }) => {
      if (cause.code === 'ERR_UNKNOWN_SESSION') delays.push(delayMs);
    });
    peer.destroy();
    for (let answer = 0; answer < 3; answer++) {
      const again = await runtime.until(server.next(), 100);
      await readResume(again);
      again.write(rejectedFlight({ code: RejectCode.UNKNOWN, sessionId: session.id }));
    }
    await runtime.until(closing, 100);
    expect(delays.length).to.equal(2);
    for (const delayMs of delays) expect(delayMs).to.be.within(1000, 2000);
  });

  it('an authenticated CLOSED before it was done is an error, with exact numbers', async () => {
    const { server, pair, near, peer, session, runtime } = await byHand();
    await using _ = pair;
    await using __ = server;
    for (const line of ['1', '2', '3']) near.send(line);
    await peer.stream(6);
    const cause = ended(near);
    peer.destroy();
    const again = await runtime.until(server.next());
    const resume = await readResume(again);
    const positions = { ...FINALS, received: 6, acked: 4, limit: 2 ** 21 + 4 };
    again.write(
      rejectedFlight(
        { code: RejectCode.CLOSED, cause: CloseCode.APPLICATION, positions, reason: 'handler failed' },
        { session, earlier: [resume.bytes] },
      ),
    );
    const error = (await runtime.until(cause)) as SessionError;
    expect(error.code).to.equal('ERR_PEER_APPLICATION');
    expect(error.message).to.contain('handler failed');
    expect(error.loss).to.deep.include({ unconfirmed: ['3'], exact: true });
  });

  it('a RESUMED whose positions miss bytes is ERR_STATE_LOST', async () => {
    const { server, pair, near, peer, session, runtime } = await byHand();
    await using _ = pair;
    await using __ = server;
    near.send('abc');
    await peer.stream(4);
    peer.write(ackFrame(4, 2 ** 21 + 4));
    await near.flushed();
    const cause = ended(near);
    peer.destroy();
    const again = await runtime.until(server.next());
    const resume = await readResume(again);
    again.write(resumedFlight(session, [resume.bytes], { generation: 2, positions: { limit: 2 ** 21 + 4 } }));
    expect((await runtime.until(cause))?.code).to.equal('ERR_STATE_LOST');
  });

  it('a RESUMED for another generation, or with a wrong MAC, is a fault of that circuit only', async () => {
    const { server, pair, near, peer, session, runtime } = await byHand();
    await using _ = pair;
    await using __ = server;
    const causes: string[] = [];
    pair.client.on('retry', ({ cause }) => causes.push(cause.code));
    peer.destroy();
    const second = await runtime.until(server.next());
    const resume = await readResume(second);
    second.write(resumedFlight(session, [resume.bytes], { generation: 7 }));
    const third = await runtime.until(server.next());
    await readResume(third);
    third.write(resumedFlight(session, [resume.bytes], { generation: 3 }));
    const fourth = await runtime.until(server.next());
    const last = await readResume(fourth);
    expect(last.flight).to.include({ generation: 4, instance: 1 });
    const challenge = challengeFlight(session);
    fourth.write(challenge);
    const proof = await fourth.frameOf(Frame.PROOF);
    expect(session.keys.verify('proof', [last.bytes, challenge], undefined, proof)).to.equal(true);
    const attached = next(near, 'attached');
    fourth.write(resumedFlight(session, [last.bytes, challenge], { generation: 4 }));
    await attached;
    expect(causes.slice(1)).to.deep.equal(['ERR_HANDSHAKE', 'ERR_HANDSHAKE']);
  });

  it('SUPERSEDED of a generation dialed here waits for its verdict, of a higher one ends the session', async () => {
    const { server, pair, near, peer } = await byHand();
    await using _ = pair;
    await using __ = server;
    const cause = ended(near);
    peer.write(offsetFrame(Frame.SUPERSEDED, 1));
    await turns(20);
    expect(near.state).to.equal('attached');
    peer.write(offsetFrame(Frame.SUPERSEDED, 5));
    expect((await cause)?.code).to.equal('ERR_TAKEN_OVER');
    await turns(50);
    expect(server.count).to.equal(1);
  });

  it('BUSY, DRAINING and RETRY_LATER: it redials after the time named, at most a minute', async () => {
    const { server, pair, near, peer, session, runtime } = await byHand();
    await using _ = pair;
    await using __ = server;
    const notices: [string, number][] = [];
    pair.client.on('retry', ({ cause, delayMs }) => notices.push([cause.code, delayMs]));
    peer.destroy();
    // DRAINING names no time; more than 4 s are over then, so that it waits as long as it may, 1 s to 2 s.
    const answers: [RejectCode, number][] = [
      [RejectCode.BUSY, 5000],
      [RejectCode.DRAINING, 0],
      [RejectCode.RETRY_LATER, 3_600_000],
    ];
    for (const [code, retryAfterMs] of answers) {
      const again = await runtime.until(server.next(), 100);
      await readResume(again);
      again.write(rejectedFlight({ code, retryAfterMs }));
    }
    const last = await runtime.until(server.next(), 500);
    const resume = await readResume(last);
    const attached = next(near, 'attached');
    last.write(resumedFlight(session, [resume.bytes], { generation: resume.flight.generation }));
    await attached;
    expect(notices.slice(1)).to.deep.equal([
      ['ERR_BUSY', 5000],
      ['ERR_DRAINING', 1000],
      ['ERR_RETRY_LATER', 60_000],
    ]);
  });

  it('DRAIN: the application is told; a move is redialed within the spread, and the old circuit serves until then', async () => {
    const { server, pair, near, peer, session, runtime } = await byHand();
    await using _ = pair;
    await using __ = server;
    const notices: unknown[] = [];
    near.on('draining', (notice) => notices.push(notice));
    const drain = (move: boolean, spreadMs: number): Buffer => {
      const body = Buffer.alloc(9);
      body[0] = move ? DrainFlag.MOVE : DrainFlag.FINISH;
      body.writeUInt32BE(30_000, 1);
      body.writeUInt32BE(spreadMs, 5);
      return frame(Frame.DRAIN, body);
    };
    peer.write(drain(false, 0));
    await eventually(() => notices.length === 1);
    runtime.advance(1000);
    await turns(20);
    expect(server.count).to.equal(1);
    runtime.jitter = 0.5;
    peer.write(drain(true, 4000));
    await eventually(() => notices.length === 2);
    runtime.advance(1999);
    near.send('on the old circuit');
    expect((await peer.stream(19)).toString()).to.equal('on the old circuit\n');
    expect(server.count).to.equal(1);
    runtime.advance(1);
    const again = await server.next();
    const resume = await readResume(again);
    const attached = next(near, 'attached');
    again.write(resumedFlight(session, [resume.bytes], { generation: 2, positions: { received: 19, acked: 19, limit: 2 ** 21 + 19 } }));
    await attached;
    await peer.gone();
    expect(notices).to.deep.equal([
      { deadlineMs: 30_000, move: false },
      { deadlineMs: 30_000, move: true },
    ]);
  });

  it('a circuit that ends in the middle of a frame loses nothing', async () => {
    const { server, pair, near, peer, session, runtime } = await byHand();
    await using _ = pair;
    await using __ = server;
    const whole = dataFrame(0, 'whole\nsplit in two\n');
    peer.write(whole.subarray(0, 25));
    await eventually(() => near.stats.received === 13);
    peer.destroy();
    const again = await runtime.until(server.next());
    const resume = await readResume(again);
    expect(resume.flight.positions.received).to.equal(13);
    again.write(resumedFlight(session, [resume.bytes], { generation: 2, positions: { sent: 19 } }), dataFrame(6, 'split in two\n'));
    expect(await take(near, 2)).to.deep.equal(['whole', 'split in two']);
    expect(near.stats.duplicateBytes).to.equal(7);
  });

  it('the retry event counts attempts, and redials wait half as long as the circuit has been gone, 2 s at most', async () => {
    const runtime = new VirtualRuntime();
    runtime.jitter = 0.999;
    const { server, pair, near } = await byHand(runtime);
    await using _ = pair;
    let lostMs = Number.NaN;
    near.once('detached', () => {
      lostMs = runtime.now();
    });
    const notices: number[] = [];
    pair.client.on('retry', ({ session, attempt, delayMs }) => {
      expect(session).to.equal(near);
      const goneMs = runtime.now() - lostMs;
      expect(delayMs, `after ${goneMs} ms`).to.be.closeTo(attempt === 1 ? 50 : Math.min(2000, Math.max(200, goneMs / 2)), 1.1);
      notices.push(attempt);
    });
    await server[Symbol.asyncDispose]();
    await runtime.until((async () => eventually(() => notices.length >= 12))(), 50);
    expect(notices.slice(0, 12)).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    near.destroy();
  });

  it('gives up after hold, two heartbeats and one more attempt, with what was not confirmed', async () => {
    const runtime = new VirtualRuntime();
    const server = await new RawServer().listen();
    await using pair = await Pair.make({ framing: lines(), client: { port: server.port, runtime, heartbeatMs: 1000, holdMs: 2000 } });
    const opening = pair.client.open();
    await answerOpen(await server.next());
    const near = await opening;
    const cause = ended(near);
    near.send('lost');
    await server[Symbol.asyncDispose]();
    const before = runtime.now();
    const error = (await runtime.until(cause, 250)) as SessionError;
    expect(error.code).to.equal('ERR_GAVE_UP');
    expect(runtime.now() - before).to.be.within(39_000, 41_000);
    expect(error.loss?.unconfirmed).to.deep.equal(['lost']);
  });
});

describe('liveness', () => {
  it('a silent circuit is ERR_HEARTBEAT after two heartbeats and five seconds, and the session goes on', async () => {
    const runtime = new VirtualRuntime();
    const { pair, proxy } = await proxied({ framing: lines(), shared: { runtime, heartbeatMs: 1000 } });
    await using _ = pair;
    await using chaos = proxy;
    const { near, far } = await pair.open();
    chaos.halfOpen('both');
    const lost = next<[SessionError]>(near, 'detached');
    const again = next(near, 'attached');
    const [error] = await runtime.until(lost, 100);
    expect([error.code, error.retryable, error.blame]).to.deep.equal(['ERR_HEARTBEAT', true, 'network']);
    await runtime.until(again, 20);
    near.send('back');
    expect(await take(far, 1)).to.deep.equal(['back']);
  });

  it('an idle session stays up: heartbeats flow both ways', async () => {
    const runtime = new VirtualRuntime();
    await using pair = await Pair.make({ framing: lines(), shared: { runtime, heartbeatMs: 1000 } });
    const { near, far } = await pair.open();
    for (let second = 0; second < 60; second++) {
      runtime.advance(1000);
      await turns(6);
    }
    expect([near.stats.circuits, far.stats.circuits, near.state]).to.deep.equal([1, 1, 'attached']);
  });

  it('after a sleep of the host the peer is asked before it is judged', async () => {
    const runtime = new VirtualRuntime();
    await using pair = await Pair.make({ framing: lines(), shared: { runtime, heartbeatMs: 1000 } });
    const { near, far } = await pair.open();
    runtime.sleep(600_000);
    await turns(30);
    for (let second = 0; second < 10; second++) {
      runtime.advance(1000);
      await turns(6);
    }
    expect([near.stats.circuits, far.stats.circuits, near.state]).to.deep.equal([1, 1, 'attached']);
  });

  it('a peer that takes no byte and sends none is ERR_WRITE_STALL', async () => {
    const runtime = new VirtualRuntime();
    await using server = await new RawServer().listen();
    const limits = { messageBytes: 2 ** 20, outboxHighWater: 2 ** 25, outboxHardCap: 2 ** 27 };
    await using pair = await Pair.make({ framing: lengthPrefix(), client: { port: server.port, runtime, heartbeatMs: 300_000, limits } });
    const opening = pair.client.open();
    const peer = await server.next();
    await answerOpen(peer, { window: 2 ** 27 });
    const near = await opening;
    peer.socket.pause();
    for (let i = 0; i < 24; i++) near.send(Buffer.alloc(2 ** 20));
    await turns(50);
    const lost = next<[SessionError]>(near, 'detached');
    runtime.advance(21_000);
    runtime.advance(21_000);
    const [error] = await lost;
    expect(error.code).to.equal('ERR_WRITE_STALL');
  });
});

describe('flow control', () => {
  it('a window full of one-byte messages and a consumer that awaits drained() do not dead-lock', async () => {
    const limits = { messageBytes: 2048, batchMessages: 64, outboxHighWater: 512, outboxHardCap: 8192 };
    await using pair = await Pair.make({ framing: lines(), shared: { window: 4096, limits } });
    const { near, far } = await pair.open();
    const served = echo(far);
    const count = 30_000;
    const back = takeAll(near);
    for (let i = 0; i < count; i++) if (!near.send('')) await near.drained();
    near.end();
    expect((await back).length).to.equal(count);
    await Promise.all([near.close(), served]);
  });

  it('both ends echo awaiting drained() at once', async () => {
    const limits = { messageBytes: 2048, batchMessages: 16, outboxHighWater: 256, outboxHardCap: 8192 };
    await using pair = await Pair.make({ framing: lines(), shared: { window: 4096, limits } });
    const { near, far } = await pair.open();
    let passes = 0;
    const bounce = async (session: Session<string>): Promise<void> => {
      for await (const line of session) {
        if (++passes > 50_000) return session.destroy();
        if (!session.send(line)) await session.drained();
      }
    };
    for (let i = 0; i < 1000; i++) for (const session of [near, far]) if (!session.send('x')) break;
    await Promise.allSettled([bounce(near), bounce(far)]);
    expect(passes).to.be.above(50_000);
  });

  it('a slow application stops the sender, never the heartbeat', async () => {
    const runtime = new VirtualRuntime();
    const limits = { messageBytes: 2048, outboxHighWater: 4096, outboxHardCap: 65_536 };
    await using pair = await Pair.make({ framing: lengthPrefix(), shared: { runtime, heartbeatMs: 1000, window: 4096, limits } });
    const { near, far } = await pair.open();
    while (near.send(Buffer.alloc(1000)));
    for (let second = 0; second < 30; second++) {
      runtime.advance(1000);
      await turns(6);
    }
    expect(far.stats.received).to.equal(4096);
    expect([near.stats.circuits, far.stats.circuits, near.state]).to.deep.equal([1, 1, 'attached']);
  });
});

/** Keys that are nobody's. */
function otherKeys(): SessionKeys {
  return SessionKeys.from(Buffer.alloc(64, 5));
}
