// Limits at their edges: what a stranger, a broken peer and a full process may cost. The peers are raw, since no honest end reaches these.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { Budget } from '../../lib/budget.ts';
import { CloseCode, Frame, Kind, RejectCode } from '../../lib/core/wire.ts';
import { SessionError } from '../../lib/errors.ts';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { lines } from '../../lib/framing/lines.ts';
import { generateKeyPair } from '../../lib/security/keys.ts';
import type { Session } from '../../lib/session.ts';
import { ended, eventually, next, Pair, rejection, rejections, remoteDoor, take, turns, VirtualRuntime } from '../support/net.ts';
import {
  ackedOf,
  ackFrame,
  closeCode,
  closeFrame,
  confirmFrame,
  dataFrame,
  frame,
  offsetFrame,
  openFlight,
  RawPeer,
  type RawSession,
  rawOpen,
  rawSession,
  resumeFlight,
} from '../support/raw-peer.ts';

/** The beginning of a ClientHello. */
const TLS_RECORD_HEADER: Buffer = Buffer.from('1603010200', 'hex');
const RESETTING_CLIENTS = `
  const { connect } = require('node:net');
  const { port, done, bytes } = require('node:worker_threads').workerData;
  let left = 3;
  for (let i = 0; i < 3; i++) {
    const socket = connect(port, '127.0.0.1');
    socket.write(bytes, () => socket.resetAndDestroy());
    socket.on('close', () => {
      if (--left > 0) return;
      Atomics.store(done, 0, 1);
      Atomics.notify(done, 0);
    });
  }`;
const open = (): Buffer => openFlight({}, generateKeyPair().publicKey);

describe('limits of handshakes', () => {
  it('a handshake that drips in is ended after handshakeMs, with no byte back', async () => {
    const runtime = new VirtualRuntime();
    await using pair = await Pair.make({ framing: lines(), shared: { runtime }, server: { limits: { handshakeMs: 2000 } } });
    const refused = rejections(pair.server);
    const peer = await RawPeer.dial(pair.port);
    const bytes = open();
    for (let i = 0; i < 19; i++) {
      peer.write(bytes.subarray(i, i + 1));
      await turns(3);
      runtime.advance(100);
    }
    expect(refused.length).to.equal(0);
    runtime.advance(100);
    await peer.gone();
    expect([peer.receivedBytes, refused[0]?.code]).to.deep.equal([0, 'ERR_HANDSHAKE_TIMEOUT']);
  });

  it('an OPENED that is not confirmed is ended after handshakeMs, and may be resumed while it is kept', async () => {
    const runtime = new VirtualRuntime();
    await using pair = await Pair.make({ framing: lines(), shared: { runtime }, server: { limits: { handshakeMs: 2000 } } });
    const late: RawSession[] = [];
    for (let i = 0; i < 2; i++) {
      const peer = await RawPeer.dial(pair.port);
      late.push(await rawOpen(peer));
      runtime.advance(2000);
      await peer.gone();
    }
    const resume = async (session: RawSession): Promise<number> => {
      const peer = (await RawPeer.dial(pair.port)).write(resumeFlight(session, { generation: 2 }));
      const { flight } = await runtime.until(peer.flight());
      peer.destroy();
      return flight.kind;
    };
    expect(await resume(late[1] as RawSession)).to.equal(Kind.RESUMED);
    runtime.advance(60_000);
    expect(await resume(late[0] as RawSession)).to.equal(Kind.REJECTED);
  });

  it('a TLS handshake that does not go on is ended after handshakeMs, also when its client has said all it will say', async () => {
    await using pair = await Pair.make({ framing: lines(), carrier: 'TLS 1.3', server: { limits: { handshakeMs: 50 } } });
    const refused = rejections(pair.server);
    const peers = [await RawPeer.dial(pair.port), await RawPeer.dial(pair.port)];
    for (const peer of peers) peer.write(TLS_RECORD_HEADER);
    peers[1]?.socket.end();
    await Promise.all(peers.map((peer) => peer.gone()));
    await eventually(() => refused.length === 2);
    expect(refused.map(({ code }) => code)).to.deep.equal(['ERR_NOT_OUR_PROTOCOL', 'ERR_NOT_OUR_PROTOCOL']);
  });

  it('connections to a TLS port that are reset before they are looked at leave nothing', async () => {
    await using pair = await Pair.make({ framing: lines(), carrier: 'TLS 1.3' });
    const refused = rejections(pair.server);
    // A thread of its own makes them while this one, the server's, stands still.
    const done = new Int32Array(new SharedArrayBuffer(4));
    const thread = new Worker(RESETTING_CLIENTS, { eval: true, workerData: { port: pair.port, done, bytes: TLS_RECORD_HEADER } });
    Atomics.wait(done, 0, 0);
    await once(thread, 'exit');
    await eventually(() => refused.length === 3);
    expect(refused.map(({ code }) => code)).to.deep.equal(refused.map(() => 'ERR_NOT_OUR_PROTOCOL'));
  });

  it('OPENs that come at once are served a few a turn, and all of them', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const peers = await Promise.all(Array.from({ length: 60 }, () => RawPeer.dial(pair.port)));
    await Promise.all(peers.map((peer) => rawOpen(peer)));
    for (const peer of peers) peer.destroy();
    const { near } = await pair.open();
    expect(near.state).to.equal('attached');
  });

  it('of unfinished handshakes the oldest is dropped', async () => {
    await using pair = await Pair.make({ framing: lines(), server: { limits: { unfinished: 3 } } });
    const refused = rejections(pair.server);
    const peers: RawPeer[] = [];
    for (let i = 0; i < 5; i++) {
      peers.push(await RawPeer.dial(pair.port));
      peers.at(-1)?.write(open().subarray(0, 10));
      await turns(5);
    }
    await Promise.all([peers[0]?.gone(), peers[1]?.gone()]);
    expect(peers.map(({ ended, closed }) => ended || closed)).to.deep.equal([true, true, false, false, false]);
    expect(refused.map(({ code }) => code)).to.deep.equal(['ERR_BUSY', 'ERR_BUSY']);
    const { near } = await pair.open();
    expect(near.state).to.equal('attached');
    for (const peer of peers) peer.destroy();
  });

  it('beyond limits.connections a connection is closed at once, and one that ends makes room', async () => {
    await using pair = await Pair.make({ framing: lines(), server: { limits: { connections: 2 } } });
    const refused = rejections(pair.server);
    const { near } = await pair.open();
    const { peer } = await rawSession(pair.port);
    const third = await RawPeer.dial(pair.port);
    await third.gone();
    expect([third.receivedBytes, refused.map(({ code }) => code)]).to.deep.equal([0, ['ERR_BUSY']]);
    expect(near.state).to.equal('attached');
    peer.destroy();
    const again = await pair.another().open({ retry: true });
    expect(again.state).to.equal('attached');
  });

  it('one address has its own share of unfinished handshakes and of accepts; others are served', async () => {
    const runtime = new VirtualRuntime();
    const limits = { unfinishedPerAddress: 2, acceptsBurst: 5, acceptsPerSecond: 1 };
    await using pair = await Pair.make({ framing: lines(), shared: { runtime }, server: { limits, challenge: 'never' } });
    let address = '203.0.113.9';
    await using door = await remoteDoor(pair.server, () => address);
    const refused = rejections(pair.server);
    const silent = [await RawPeer.dial(door.port), await RawPeer.dial(door.port)];
    await turns(10);
    const third = await RawPeer.dial(door.port);
    await third.gone();
    expect([refused.length, refused[0]?.code]).to.deep.equal([1, 'ERR_BUSY']);
    address = '198.51.100.1';
    await rawSession(door.port);
    address = '203.0.113.9';
    for (const peer of silent) peer.destroy();
    await eventually(() => refused.length === 3);
    // Two of the burst of five are spent.
    for (let i = 0; i < 3; i++) {
      const { peer } = await rawSession(door.port);
      await peer.heard();
    }
    const tooFast = await RawPeer.dial(door.port);
    await tooFast.gone();
    runtime.advance(1000);
    const { peer } = await rawSession(door.port);
    await peer.heard();
    address = '127.0.0.1';
    for (let i = 0; i < 8; i++) await rawOpen(await RawPeer.dial(door.port));
  });

  it('failures are counted per IPv4 address and per IPv6 /64; trusted proxies are exempt', async () => {
    const runtime = new VirtualRuntime();
    const limits = { failuresPerMinute: 2, acceptsBurst: 100 };
    await using pair = await Pair.make({ framing: lines(), shared: { runtime }, server: { limits, trustedProxies: ['192.0.2.7'] } });
    let address = '2001:db8:1:2::1';
    await using door = await remoteDoor(pair.server, () => address);
    const refused = rejections(pair.server);
    const fail = async (): Promise<string | undefined> => {
      const before = refused.length;
      const peer = (await RawPeer.dial(door.port)).write(Buffer.from('SSH-2.0-x\r\n'));
      await eventually(() => refused.length > before);
      peer.destroy();
      return refused.at(-1)?.code;
    };
    const strange = 'ERR_NOT_OUR_PROTOCOL';
    expect([await fail(), await fail(), await fail()]).to.deep.equal([strange, strange, 'ERR_BUSY']);
    address = '2001:db8:1:2:ffff::9';
    expect(await fail()).to.equal('ERR_BUSY');
    address = '2001:db8:1:3::1';
    expect(await fail()).to.equal(strange);
    address = '192.0.2.7';
    for (let i = 0; i < 5; i++) expect(await fail()).to.equal(strange);
    address = '2001:db8:1:2::1';
    runtime.advance(31_000);
    expect(await fail()).to.equal(strange);
  });

  it('sessions, sessions per address: OPEN is answered BUSY', async () => {
    const limits = { sessions: 3, sessionsPerAddress: 1, acceptsBurst: 100 };
    await using pair = await Pair.make({ framing: lines(), server: { limits, challenge: 'never' } });
    await using door = await remoteDoor(pair.server, () => '203.0.113.9');
    const first = await rawSession(door.port);
    await eventually(() => pair.server.sessions.size === 1);
    expect((await (await RawPeer.dial(door.port)).write(open()).rejected()).code).to.equal(RejectCode.BUSY);
    await pair.open();
    const last = await pair.open();
    expect((await rejection(pair.client.open())).code).to.equal('ERR_BUSY');
    const gone = ended(last.far);
    last.near.destroy();
    await gone;
    await pair.open();
    first.peer.destroy();
  });

  it('of provisional sessions without a circuit the oldest makes room; with circuits OPEN is answered BUSY', async () => {
    await using pair = await Pair.make({ framing: lines(), server: { limits: { provisional: 2 } } });
    const refused = rejections(pair.server);
    const peers = [await RawPeer.dial(pair.port), await RawPeer.dial(pair.port)];
    const sessions: RawSession[] = [];
    for (const peer of peers) sessions.push(await rawOpen(peer));
    expect((await (await RawPeer.dial(pair.port)).write(open()).rejected()).code).to.equal(RejectCode.BUSY);
    peers[0]?.destroy();
    await eventually(() => refused.length === 2);
    const third = await RawPeer.dial(pair.port);
    await rawOpen(third);
    const asking = (await RawPeer.dial(pair.port)).write(resumeFlight(sessions[0] as RawSession, { generation: 2 }));
    expect((await asking.rejected()).code).to.equal(RejectCode.UNKNOWN);
    peers[1]?.write(confirmFrame(sessions[1] as RawSession));
    await eventually(() => pair.server.sessions.size === 1);
    for (const peer of [...peers, third, asking]) peer.destroy();
  });

  it('more bytes behind a RESUME than early data may have end the connection, and leave the session', async () => {
    await using pair = await Pair.make({ framing: lines(), server: { authorizeResume: () => new Promise(() => {}) } });
    const refused = rejections(pair.server);
    const { peer, session } = await rawSession(pair.port);
    const { peer: other } = await rawSession(pair.port);
    const greedy = (await RawPeer.dial(pair.port)).write(resumeFlight(session, { generation: 2 }));
    greedy.write(dataFrame(0, 'x'.repeat(14_000)));
    await turns(20);
    expect(refused.length).to.equal(0);
    greedy.write(dataFrame(14_000, 'x'.repeat(1000)));
    await greedy.gone();
    const atOnce = (await RawPeer.dial(pair.port)).write(resumeFlight(session, { generation: 2 }), dataFrame(0, 'x'.repeat(20_000)));
    await atOnce.gone();
    expect(refused.map(({ code }) => code)).to.deep.equal(['ERR_PROTOCOL', 'ERR_PROTOCOL']);
    expect([greedy.receivedBytes, atOnce.receivedBytes]).to.deep.equal([0, 0]);
    const far = pair.server.sessions.get(session.id.toString('hex'));
    expect([far?.state, far?.stats.circuits]).to.deep.equal(['attached', 1]);
    for (const each of [peer, other, greedy, atOnce]) each.destroy();
  });

  it('a flight with a giant length costs nothing', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const refused = rejections(pair.server);
    const header = Buffer.alloc(26);
    header.set([0x8f, 0x4f, 0x54, 0x4c, 1, 1]);
    header.writeUInt16BE(0xffff, 24);
    const peer = (await RawPeer.dial(pair.port)).write(header);
    await peer.gone();
    expect([peer.receivedBytes, refused[0]?.code]).to.deep.equal([0, 'ERR_PROTOCOL']);
  });
});

describe('a circuit that breaks a rule', () => {
  const WINDOW = 65_536;
  const OPTIONS = { framing: lines(), server: { window: WINDOW, limits: { messageBytes: 1024 } } };

  interface Broken {
    readonly peer: RawPeer;
    readonly session: RawSession;
    readonly far: Session<string>;
    readonly pair: Pair<string>;
  }

  async function begin(): Promise<Broken> {
    const pair = await Pair.make<string>(OPTIONS);
    const announced = next<[Session<string>]>(pair.server, 'session');
    const { peer, session } = await rawSession(pair.port);
    const [far] = await announced;
    far.send('hi');
    expect((await peer.stream(3)).toString()).to.equal('hi\n');
    return { peer, session, far, pair };
  }

  const faults: [string, Buffer, RegExp][] = [
    ['DATA that leaves a gap', dataFrame(5, 'x\n'), /S-2/],
    ['DATA beyond the limit', Buffer.concat([dataFrame(0, 'x\n'.repeat(WINDOW / 2)), dataFrame(WINDOW, 'y')]), /S-4/],
    ['DATA behind END', Buffer.concat([offsetFrame(Frame.END, 0), dataFrame(1, 'x\n')]), /S-6/],
    ['END that leaves a gap', offsetFrame(Frame.END, 7), /S-6/],
    ['two different ENDs', Buffer.concat([offsetFrame(Frame.END, 0), offsetFrame(Frame.END, 1)]), /S-6/],
    ['an ACK of what was never sent', ackFrame(1000, 2 ** 21), /A-2/],
    ['an ACK that goes back', Buffer.concat([ackFrame(3, 2 ** 21 + 3), ackFrame(2, 2 ** 21 + 3)]), /A-2/],
    ['a limit that shrinks', ackFrame(3, 100), /A-3/],
    ['an offset above 2^53-1', Buffer.concat([Buffer.from('0100000affffffffffffffff', 'hex'), Buffer.from('xy')]), /F-1/],
    ['a giant control frame', Buffer.from('05ffffff', 'hex'), /F-2/],
    ['a giant DATA frame', Buffer.from('01ffffff', 'hex'), /F-3/],
    ['an empty DATA frame', Buffer.from('010000080000000000000000', 'hex'), /F-3/],
    ['an unknown frame type', frame(0x33, Buffer.alloc(4)), /F-4/],
    ['a frame of type 0', frame(0, Buffer.alloc(4)), /F-4/],
    ['a second CONFIRM', frame(Frame.CONFIRM, Buffer.alloc(16)), /F-4/],
    ['a PING of the wrong length', frame(Frame.PING, Buffer.alloc(7)), /F-5/],
    ['a CLOSE without a code', frame(Frame.CLOSE, Buffer.alloc(1)), /F-5/],
    ['DRAIN from the dialing side', frame(Frame.DRAIN, Buffer.alloc(9)), /F-6/],
    ['SUPERSEDED from the dialing side', offsetFrame(Frame.SUPERSEDED, 3), /F-6/],
    ['CLOSE(0) before both ENDs', closeFrame(CloseCode.CLEAN), /C-3/],
  ];
  for (const [name, bytes, rule] of faults) {
    it(`${name}: the circuit goes, the session stays`, async () => {
      const { peer, session, far, pair } = await begin();
      await using _ = pair;
      const lost = next<[SessionError]>(far, 'detached');
      peer.write(bytes);
      const [error] = await lost;
      expect([error.code, error.blame]).to.deep.equal(['ERR_PROTOCOL', 'peer']);
      expect(error.message).to.match(rule);
      await peer.gone();
      const { received } = far.stats;
      const positions = { received: 3, acked: 3, limit: 2 ** 21 + 3, sent: received };
      const again = (await RawPeer.dial(pair.port)).write(resumeFlight(session, { generation: 2, positions }));
      const { flight } = await again.flight();
      expect(flight.kind).to.equal(Kind.RESUMED);
      expect(far.state).to.equal('attached');
      again.destroy();
    });
  }

  it('unknown frames from 0x80 on are skipped', async () => {
    const { peer, far, pair } = await begin();
    await using _ = pair;
    peer.write(frame(0x80, Buffer.alloc(1000)), frame(0xff, Buffer.alloc(0)), dataFrame(0, 'behind\n'));
    expect(await take(far, 1)).to.deep.equal(['behind']);
    peer.destroy();
  });

  it('DATA that came already is trimmed, and counts for nothing', async () => {
    const { peer, far, pair } = await begin();
    await using _ = pair;
    peer.write(dataFrame(0, 'one\n'), dataFrame(0, 'one\n'), dataFrame(2, 'e\ntwo\n'));
    expect(await take(far, 2)).to.deep.equal(['one', 'two']);
    expect(far.stats).to.include({ received: 8, duplicateBytes: 6 });
    peer.destroy();
  });

  it('a flood of PINGs closes the circuit, not the session', async () => {
    const { peer, far, pair } = await begin();
    await using _ = pair;
    const lost = next<[SessionError]>(far, 'detached');
    const ping = frame(Frame.PING, Buffer.alloc(8));
    peer.write(...Array.from({ length: 1000 }, () => ping));
    const [error] = await lost;
    expect(error.code).to.equal('ERR_PROTOCOL');
    expect(error.message).to.contain('F-7');
    expect(far.state).to.equal('detached');
    peer.destroy();
  });

  it('so does a flood of ACKs that advance nothing; ones that do are free', async () => {
    const { peer, far, pair } = await begin();
    await using _ = pair;
    peer.write(...Array.from({ length: 2000 }, (_, i) => ackFrame(3, 2 ** 21 + 3 + i)));
    peer.write(dataFrame(0, 'alive\n'));
    expect(await take(far, 1)).to.deep.equal(['alive']);
    const lost = next<[SessionError]>(far, 'detached');
    peer.write(...Array.from({ length: 1000 }, () => ackFrame(3, 2 ** 21 + 2002)));
    expect((await lost)[0].message).to.contain('F-7');
    peer.destroy();
  });

  it('three protocol errors in a row, with no byte of progress, end the session on both sides', async () => {
    const { peer, session, far, pair } = await begin();
    await using _ = pair;
    const cause = ended(far);
    let current = peer;
    const positions = { received: 3, acked: 0, limit: 2 ** 21, sent: 0 };
    for (let generation = 2; ; generation++) {
      current.write(dataFrame(99, 'gap\n'));
      await current.gone();
      if (far.state === 'closed') break;
      expect(generation).to.be.at.most(4);
      current = (await RawPeer.dial(pair.port)).write(resumeFlight(session, { generation, positions }));
      expect((await current.flight()).flight.kind).to.equal(Kind.RESUMED);
    }
    expect((await cause)?.code).to.equal('ERR_PROTOCOL');
    const told = (await RawPeer.dial(pair.port)).write(resumeFlight(session, { generation: 9, positions }));
    expect(await told.rejected()).to.include({ code: RejectCode.CLOSED, cause: CloseCode.PROTOCOL });
  });

  it('three with progress between them do not', async () => {
    const { peer, session, far, pair } = await begin();
    await using _ = pair;
    let current = peer;
    for (let generation = 2; generation < 7; generation++) {
      const received = (generation - 2) * 2;
      current.write(dataFrame(received, 'x\n'), dataFrame(9999, 'gap\n'));
      await current.gone();
      expect(far.state).to.equal('detached');
      const positions = { received: 3, acked: 3, limit: 2 ** 21 + 3, sent: received + 2 };
      current = (await RawPeer.dial(pair.port)).write(resumeFlight(session, { generation, positions }));
      expect((await current.flight()).flight.kind).to.equal(Kind.RESUMED);
    }
    current.destroy();
  });

  it('a message that is too large ends the session, behind the messages before it', async () => {
    const { peer, far, pair } = await begin();
    await using _ = pair;
    const cause = ended(far);
    peer.write(dataFrame(0, `good\n${'x'.repeat(2000)}`));
    const seen: string[] = [];
    const error = await rejection(
      (async () => {
        for await (const line of far) seen.push(line);
      })(),
    );
    expect(seen).to.deep.equal(['good']);
    expect(error.code).to.be.oneOf(['ERR_MESSAGE_TOO_LARGE', 'ERR_FRAMING']);
    expect((await cause)?.code).to.equal(error.code);
    const body = await peer.frameOf(Frame.CLOSE);
    expect(closeCode(body)).to.equal(CloseCode.FRAMING);
    expect(await peer.gone()).to.equal('end');
  });

  it('bytes that are no text end the session with ERR_FRAMING, and the peer is told', async () => {
    const { peer, far, pair } = await begin();
    await using _ = pair;
    const reading = take(far, 2);
    peer.write(dataFrame(0, Buffer.from('676f6f640aff0a', 'hex')));
    expect((await rejection(reading)).code).to.equal('ERR_FRAMING');
    expect(closeCode(await peer.frameOf(Frame.CLOSE))).to.equal(CloseCode.FRAMING);
  });

  it('END in the middle of a message is ERR_TRUNCATED', async () => {
    const { peer, far, pair } = await begin();
    await using _ = pair;
    const reading = take(far, 2);
    peer.write(dataFrame(0, 'whole\nhalf'), offsetFrame(Frame.END, 10));
    expect((await rejection(reading)).code).to.equal('ERR_TRUNCATED');
    expect(closeCode(await peer.frameOf(Frame.CLOSE))).to.equal(CloseCode.FRAMING);
  });

  it('SYNC is answered once all below it is consumed', async () => {
    const { peer, far, pair } = await begin();
    await using _ = pair;
    peer.write(dataFrame(0, 'a\nb\n'), offsetFrame(Frame.SYNC, 4));
    const reader = far[Symbol.asyncIterator]();
    await reader.next();
    await reader.next();
    const done = reader.next();
    let acked = 0;
    while (acked < 4) acked = ackedOf(await peer.frameOf(Frame.ACK));
    expect(acked).to.equal(4);
    peer.write(offsetFrame(Frame.END, 4));
    expect((await done).done).to.equal(true);
    peer.destroy();
  });

  it('a RESUME whose positions miss bytes is STATE_LOST, with a MAC and the numbers, and changes nothing', async () => {
    const { peer, session, far, pair } = await begin();
    await using _ = pair;
    peer.write(dataFrame(0, 'seen\n'), ackFrame(3, 2 ** 21 + 3));
    expect(await take(far, 1)).to.deep.equal(['seen']);
    await eventually(() => far.stats.confirmed === 3);
    const good = { received: 3, acked: 3, limit: 2 ** 21 + 3, base: 0, sent: 5 };
    for (const bad of [
      { received: 2, acked: 2 },
      { received: 4, acked: 4, limit: 2 ** 21 + 4 },
      { base: 6, sent: 6 },
      { sent: 4 },
      { limit: 2 ** 21 },
    ]) {
      const asking = (await RawPeer.dial(pair.port)).write(resumeFlight(session, { generation: 2, positions: { ...good, ...bad } }));
      const refused = await asking.rejected();
      expect([refused.code, refused.mac?.length], JSON.stringify(bad)).to.deep.equal([RejectCode.STATE_LOST, 16]);
      expect(refused.positions).to.include({ received: 5, base: 3, sent: 3 });
    }
    expect([far.state, far.stats.circuits]).to.deep.equal(['attached', 1]);
    peer.write(dataFrame(5, 'goes on\n'));
    expect(await take(far, 1)).to.deep.equal(['goes on']);
    peer.destroy();
  });
});

describe('memory', () => {
  it('a slow reader costs at most its window', async () => {
    const limits = { messageBytes: 4096, batchMessages: 16 };
    await using pair = await Pair.make({ framing: lengthPrefix(), shared: { window: 16_384, limits } });
    const { near, far } = await pair.open();
    for (let i = 0; i < 200; i++) near.send(Buffer.alloc(1000));
    await turns(50);
    expect(far.stats.inboundBytes).to.equal(16_384);
    expect(far.stats.received).to.equal(16_384);
    expect(near.stats.sent).to.equal(16_384);
  });

  it('above the budget detached holders end, largest first and the oldest of equals; attached ones never', () => {
    const endedHolders: string[] = [];
    const budget = new Budget(100);
    const holder = (name: string, bytes: number) => ({
      stats: { outboundBytes: bytes, inboundBytes: 0 },
      destroy(error: Error) {
        expect(SessionError.is(error, 'ERR_MEMORY_BUDGET')).to.equal(true);
        endedHolders.push(name);
        budget.forget(this);
        budget.add(-bytes);
      },
      touched() {},
    });
    const held = [holder('small', 10), holder('old', 30), holder('young', 30), holder('attached', 60)];
    for (const each of held.slice(0, 3)) {
      budget.add(each.stats.outboundBytes);
      budget.detached(each);
    }
    expect(budget.full).to.equal(false);
    budget.add(60);
    expect(endedHolders).to.deep.equal(['old']);
    expect([budget.usedBytes, budget.full]).to.deep.equal([100, false]);
    budget.add(70);
    expect(endedHolders).to.deep.equal(['old', 'young', 'small']);
    expect(budget.full).to.equal(true);
    budget.add(-70);
    expect(budget.usedBytes).to.equal(60);
  });

  it('a process above its budget refuses opens, slows senders, and ends detached sessions with their numbers', async () => {
    const script = fileURLToPath(new URL('../support/full-process.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    const [code] = await once(child, 'close');
    expect([code, JSON.parse(output)]).to.deep.equal([
      0,
      {
        sentBelow: true,
        evictedBig: ['ERR_MEMORY_BUDGET', [250_000]],
        smallLives: 'detached',
        sentAbove: false,
        openAbove: 'ERR_BUSY',
        attachedLives: 'attached',
        stillWaits: true,
        waiter: 'ERR_DESTROYED',
        openAgain: 'attached',
      },
    ]);
  });
});
