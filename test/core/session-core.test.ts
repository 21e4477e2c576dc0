// SessionCore by hand: what each frame does, what is written when, and every rule of time by explicit instants.
import { expect } from 'chai';
import { Deadline } from '../../lib/core/deadlines.ts';
import type { SessionCore } from '../../lib/core/session-core.ts';
import { CloseCode } from '../../lib/core/wire.ts';
import { SessionError } from '../../lib/errors.ts';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { lines } from '../../lib/framing/lines.ts';
import {
  ack,
  attachedLines,
  close,
  coreOf,
  data,
  end,
  FRESH,
  frame,
  framesIn,
  give,
  HEARTBEAT_MS,
  HOLD_EXTRA_MS,
  HOLD_MS,
  LIMITS,
  ping,
  pong,
  superseded,
  sync,
  takeAll,
  typesWritten,
  u64,
  WINDOW,
  written,
} from '../support/cores.ts';

const DEAD_MS = 2 * HEARTBEAT_MS + 5000;
const faultOf = (core: SessionCore<string>): string => core.fault?.message.slice(0, 3) ?? '';

/** One side is done: it has sent END, which is acked, and consumed the peer's. */
function makeDone(core: SessionCore<string>): void {
  core.end(0);
  written(core, 0);
  give(core, Buffer.concat([end(0), ack(1, WINDOW)]), 0);
}

describe('session core, frames', () => {
  const good: [name: string, bytes: Buffer][] = [
    ['ACK of nothing new', ack(0, WINDOW)],
    ['ACK with a higher limit', ack(0, WINDOW + 1)],
    ['END at its place', end(0)],
    ['SYNC', sync(5)],
    ['PING', ping(7)],
    ['PONG nobody waits for', pong(7)],
    ['DATA', data(0, 'a\n')],
    ['DATA that is empty after trimming', Buffer.concat([data(0, 'a\n'), data(0, 'a\n')])],
    ['an unknown type that may be skipped', frame(0x80, Buffer.alloc(1024))],
    ['the last of all types', frame(0xff)],
  ];
  const bad: [name: string, bytes: Buffer, rule: string][] = [
    ['ACK above what was sent', ack(1, WINDOW), 'A-2'],
    ['a limit below the one before', ack(0, WINDOW - 1), 'A-3'],
    ['ACK with an offset above 2^53-1', ack(2n ** 53n, WINDOW), 'F-1'],
    ['ACK with a limit above 2^53-1', ack(0, 2n ** 64n - 1n), 'F-1'],
    ['END with an offset above 2^53-1', end(2n ** 53n), 'F-1'],
    ['END beyond what came', end(1), 'S-6'],
    ['DATA behind a gap', data(1, 'a'), 'S-2'],
    ['DATA beyond the limit', Buffer.concat([data(0, Buffer.alloc(WINDOW, 0x0a)), data(WINDOW, 'x')]), 'S-4'],
    ['DATA behind END', Buffer.concat([end(0), data(1, 'a')]), 'S-6'],
    ['CLOSE(0) before anybody is done', close(0), 'C-3'],
    ['PROOF', frame(0x0a, Buffer.alloc(16)), 'F-4'],
    ['CONFIRM', frame(0x0b, Buffer.alloc(16)), 'F-4'],
    ['TICKET', frame(0x0c), 'F-4'],
    ['type 0', frame(0x00), 'F-4'],
    ['type 127', frame(0x7f), 'F-4'],
    ...([0x02, 0x03, 0x04, 0x05, 0x06, 0x08, 0x09] as const).flatMap((type): [string, Buffer, string][] => {
      const right = type === 0x02 ? 16 : type === 0x08 ? 2 : 8;
      const wrong = type === 0x08 ? [0, 1] : [0, 1, right - 1, right + 1, 1024];
      return wrong.map((length) => [`type ${type} of ${length} bytes`, frame(type, Buffer.alloc(length)), 'F-5']);
    }),
  ];
  for (const role of ['dial', 'accept'] as const) {
    for (const [name, bytes] of good) {
      it(`${role}: takes ${name}`, () => {
        const core = attachedLines(role);
        give(core, bytes, 1);
        expect([core.fault, core.state]).to.deep.equal([null, 'attached']);
      });
    }
    for (const [name, bytes, rule] of bad) {
      it(`${role}: finds ${rule} in ${name}, whole and byte by byte`, () => {
        for (const size of [1, bytes.length]) {
          const core = attachedLines(role);
          for (let at = 0; at < bytes.length; at += size) give(core, bytes.subarray(at, at + size), 1);
          expect(faultOf(core)).to.equal(rule);
          expect(core.state, 'one fault ends the circuit, not the session').to.equal('attached');
        }
      });
    }
  }

  it('takes DRAIN and SUPERSEDED from the accepting side only', () => {
    const drain = frame(0x07, Buffer.concat([Buffer.from([1, 0, 0, 0x27, 0x10, 0, 0, 0, 5]), Buffer.from('host:1')]));
    const dialing = attachedLines('dial');
    give(dialing, Buffer.concat([drain, superseded(9)]), 0);
    expect(dialing.incidents.drainNotice).to.deep.equal({ move: true, deadlineMs: 10_000, spreadMs: 5, address: 'host:1' });
    expect([dialing.incidents.supersededBy, dialing.fault]).to.deep.equal([9, null]);
    for (const bytes of [drain, superseded(9)]) {
      const accepting = attachedLines('accept');
      give(accepting, bytes, 0);
      expect(faultOf(accepting)).to.equal('F-6');
    }
    const short = attachedLines('dial');
    give(short, frame(0x07, Buffer.alloc(8)), 0);
    expect(faultOf(short)).to.equal('F-5');
  });

  it('answers PING with its token, once for all that waited', () => {
    const core = attachedLines('accept');
    give(core, Buffer.concat([ping(5), ping(2n ** 64n - 1n)]), 0);
    expect(written(core, 0).toString('hex')).to.equal(`06000008${'ff'.repeat(8)}`);
    expect(core.wantsTransmit).to.equal(false);
  });

  it('measures the round trip by its own PING', () => {
    const core = coreOf('dial', { framing: lines() });
    core.circuitUp(FRESH, core.positions(), 0, 0);
    expect(core.wantsTransmit, 'not for its own sake').to.equal(false);
    core.send('a', false);
    const [first, second] = framesIn(written(core, 100));
    expect([first?.type, second?.type]).to.deep.equal([5, 1]);
    give(core, frame(6, first?.body), 140);
    expect(core.rttMs).to.equal(40);
    core.send('b', false);
    expect(typesWritten(core, 150), 'once on each circuit').to.deep.equal([1]);
  });

  it('ends the session at the third circuit in a row that breaks a rule without progress', () => {
    const core = attachedLines('accept');
    for (let circuit = 1; circuit <= 3; circuit++) {
      give(core, frame(0x00), 0);
      expect(core.state).to.equal(circuit < 3 ? 'attached' : 'closed');
      if (circuit < 3) core.circuitUp(FRESH, core.positions(), 0, 0);
    }
    expect([core.cause?.code, core.closeCode]).to.deep.equal(['ERR_PROTOCOL', CloseCode.PROTOCOL]);
  });

  it('forgives when there was progress between', () => {
    const core = attachedLines('accept');
    for (let i = 0; i < 10; i++) {
      give(core, Buffer.concat([data(i, 'x'), frame(0x00)]), 0);
      expect(core.state).to.equal('attached');
      core.circuitUp({ ...FRESH, sent: i + 1 }, core.positions(), 0, 0);
    }
  });

  it('reads nothing more of a circuit that broke a rule, and reads the next one', () => {
    const core = attachedLines('accept');
    give(core, Buffer.concat([frame(0x00), data(0, 'a\n')]), 0);
    give(core, data(0, 'a\n'), 0);
    expect(core.inbound.received).to.equal(0);
    core.circuitUp(FRESH, core.positions(), 0, 0);
    expect(core.fault).to.equal(null);
    give(core, data(0, 'a\n'), 0);
    expect(takeAll(core, 0)).to.deep.equal(['a']);
  });

  for (const [name, bytes] of [
    ['PING', ping(1)],
    ['PONG', pong(1)],
    ['ACK', ack(0, WINDOW)],
    ['SYNC', sync(0)],
    ['unknown', frame(0x90)],
  ] as const) {
    it(`ends a circuit that floods with ${name}`, () => {
      const core = attachedLines('accept');
      for (let i = 0; i < LIMITS.controlBurst; i++) give(core, bytes, 0);
      expect(core.fault).to.equal(null);
      give(core, bytes, 9);
      expect(faultOf(core), 'not yet one token').to.equal('F-7');
      const slower = attachedLines('accept');
      for (let i = 0; i < 1000; i++) give(slower, bytes, i * 10);
      expect(slower.fault).to.equal(null);
    });
  }

  it('lets messages pay for SYNCs that lost a race', () => {
    const core = attachedLines('accept');
    for (let i = 0; i < 2000; i++) {
      give(core, data(2 * i, 'x\n'), 0);
      takeAll(core, 0);
      written(core, 0);
      give(core, sync(2 * i + 2), 0);
    }
    expect(core.fault).to.equal(null);
  });

  for (const [code, error] of [
    [CloseCode.APPLICATION, 'ERR_PEER_APPLICATION'],
    [CloseCode.SHUTDOWN, 'ERR_SHUTDOWN'],
    [CloseCode.REPLACED, 'ERR_REPLACED'],
    [999, 'ERR_PEER_DESTROYED'],
  ] as const) {
    it(`ends at once with ${error} when the peer closes with ${code}`, () => {
      for (const role of ['dial', 'accept'] as const) {
        const core = attachedLines(role);
        give(core, Buffer.concat([close(code, 'because'), data(0, 'a\n')]), 0);
        expect([core.state, core.cause?.code, core.incidents.peerClosed, core.incidents.finalsExact]).to.deep.equal([
          'closed',
          error,
          true,
          true,
        ]);
        expect(core.cause?.message).to.include('because');
        expect(core.inbound.received).to.equal(0);
      }
    });
  }
});

describe('session core, acks', () => {
  it('acks alone after 200 ms, at once after a quarter window, on SYNC and on END', () => {
    const core = attachedLines('accept');
    give(core, data(0, 'a\n'), 1000);
    expect(core.wantsTransmit).to.equal(false);
    takeAll(core, 1000);
    expect([core.wantsTransmit, core.deadlines.at(Deadline.ACK)]).to.deep.equal([false, 1200]);
    core.tick(1199, 0);
    expect(core.wantsTransmit).to.equal(false);
    core.tick(1200, 0);
    expect(framesIn(written(core, 1200))).to.deep.equal([{ type: 2, body: u64(2, 2 + WINDOW) }]);

    const quarter = attachedLines('accept');
    give(quarter, data(0, `${'x'.repeat(WINDOW / 4 - 2)}\n`), 0);
    takeAll(quarter, 0);
    expect(quarter.wantsTransmit).to.equal(false);
    give(quarter, data(WINDOW / 4 - 1, '\n'), 0);
    takeAll(quarter, 0);
    expect(typesWritten(quarter, 0)).to.deep.equal([2]);

    const asked = attachedLines('accept');
    give(asked, Buffer.concat([sync(4), data(0, 'a\nb\n')]), 0);
    asked.inbound.next();
    asked.inbound.consume();
    asked.settle(0);
    expect(asked.wantsTransmit).to.equal(false);
    takeAll(asked, 0);
    expect(typesWritten(asked, 0)).to.deep.equal([2]);

    const ended = attachedLines('accept');
    give(ended, Buffer.concat([data(0, 'a\n'), end(2)]), 0);
    expect(ended.wantsTransmit).to.equal(false);
    takeAll(ended, 0);
    expect(framesIn(written(ended, 0))).to.deep.equal([{ type: 2, body: u64(3, 3 + WINDOW) }]);
  });

  it('lets an ACK ride in front of DATA', () => {
    const core = attachedLines('accept');
    give(core, data(0, 'a\n'), 0);
    takeAll(core, 0);
    core.send('reply', false);
    expect(typesWritten(core, 0)).to.deep.equal([2, 1]);
    expect(core.deadlines.at(Deadline.ACK)).to.equal(Infinity);
  });

  it('has one SYNC outstanding, asks again for what came later and on a new circuit', () => {
    const core = attachedLines('dial');
    core.send('a', false);
    expect(core.sync()).to.equal(2);
    core.send('b', false);
    const first = framesIn(written(core, 0));
    expect(first.map(({ type }) => type)).to.deep.equal([4, 1]);
    expect(core.sync()).to.equal(4);
    expect(core.wantsTransmit).to.equal(false);
    give(core, ack(2, WINDOW), 0);
    expect(framesIn(written(core, 0))).to.deep.equal([{ type: 4, body: u64(4) }]);
    core.circuitLost(false, 0);
    core.circuitUp({ ...FRESH, received: 2, acked: 2 }, core.positions(), 0, 0);
    expect(typesWritten(core, 0)).to.deep.equal([5, 4, 1]);
    give(core, ack(4, WINDOW), 0);
    expect([core.sync(), core.wantsTransmit]).to.deep.equal([4, false]);
  });

  it('writes no SYNC when the ACK came before it was written', () => {
    const core = attachedLines('dial');
    core.send('a', false);
    written(core, 0);
    core.sync();
    give(core, ack(2, WINDOW), 0);
    expect(core.wantsTransmit).to.equal(false);
  });

  it('tells what was consumed while the resume was on its way', () => {
    const core = attachedLines('dial');
    give(core, Buffer.concat([data(0, 'a\n'), end(2)]), 0);
    core.circuitLost(false, 0);
    const told = core.positions();
    takeAll(core, 0);
    core.circuitUp({ ...FRESH, sent: 3 }, told, 0, 0);
    expect(framesIn(written(core, 0)).filter(({ type }) => type === 2)).to.deep.equal([{ type: 2, body: u64(3, 3 + WINDOW) }]);
  });

  it('confirms by the positions of a handshake, but not beyond what was sent', () => {
    const core = attachedLines('dial');
    core.send('abc', false);
    written(core, 0);
    core.send('d', false);
    core.applyFinals({ ...FRESH, acked: 6, received: 6 }, false);
    expect([core.outbound.peerAcked, core.incidents.finalsExact]).to.deep.equal([0, false]);
    core.applyFinals({ ...FRESH, acked: 4, received: 4, limit: WINDOW + 4 }, true);
    expect([core.outbound.peerAcked, core.outbound.peerLimit, core.incidents.finalsExact]).to.deep.equal([4, WINDOW + 4, true]);
    core.applyFinals({ ...FRESH, acked: 2, limit: 1 }, false);
    expect([core.outbound.peerAcked, core.outbound.peerLimit]).to.deep.equal([4, WINDOW + 4]);
  });
});

describe('session core, the end', () => {
  it('dialing side: is finishing when done, writes ACK and CLOSE(0), and ends at CLOSE(0)', () => {
    const core = attachedLines('dial');
    makeDone(core);
    expect(core.state).to.equal('finishing');
    expect(framesIn(written(core, 0))).to.deep.equal([
      { type: 2, body: u64(1, 1 + WINDOW) },
      { type: 8, body: Buffer.alloc(2) },
    ]);
    give(core, close(0), 0);
    expect([core.state, core.cause]).to.deep.equal(['closed', undefined]);
  });

  it('dialing side: says CLOSE(0) again on each circuit, and ends clean when its time is over', () => {
    const core = attachedLines('dial');
    makeDone(core);
    written(core, 0);
    core.circuitLost(false, 0);
    expect(core.state).to.equal('lingering');
    core.circuitUp({ ...FRESH, received: 1, acked: 1, sent: 1 }, core.positions(), 0, 0);
    expect(typesWritten(core, 0)).to.include(8);
    core.circuitLost(false, 0);
    core.tick(HOLD_MS + HOLD_EXTRA_MS, 0);
    expect([core.state, core.cause]).to.deep.equal(['closed', undefined]);
  });

  it('accepting side: is closed as soon as it is done, and still says so', () => {
    const core = attachedLines('accept');
    makeDone(core);
    expect([core.state, core.cause]).to.deep.equal(['closed', undefined]);
    expect(typesWritten(core, 0)).to.deep.equal([2, 8]);
  });

  it('takes CLOSE(0) right behind the ACK that makes it done', () => {
    const core = attachedLines('dial');
    core.end(0);
    written(core, 0);
    give(core, Buffer.concat([end(0), ack(1, WINDOW), close(0)]), 0);
    expect([core.state, core.cause, core.fault]).to.deep.equal(['closed', undefined, null]);
  });

  it('tells how much was not read, in the code and in the error', () => {
    const core = attachedLines('accept');
    give(core, data(0, 'a\nb\n'), 0);
    core.discard(0);
    core.end(0);
    written(core, 0);
    give(core, ack(1, WINDOW), 0);
    expect([core.state, core.cause?.code]).to.deep.equal(['closed', 'ERR_UNREAD']);
    expect(framesIn(written(core, 0)).at(-1)).to.deep.equal({ type: 8, body: Buffer.concat([Buffer.from([0, CloseCode.UNREAD]), u64(4)]) });
  });

  it('delivers what stands in front of a framing fault, then ends the session', () => {
    const core = attachedLines('accept', { messageBytes: 10 });
    give(core, data(0, 'a\nb\nmuch too long a line\n'), 0);
    expect(takeAll(core, 0)).to.deep.equal(['a', 'b']);
    expect([core.state, core.cause?.code, core.closeCode]).to.deep.equal(['closed', 'ERR_MESSAGE_TOO_LARGE', CloseCode.FRAMING]);
    expect(framesIn(written(core, 0)).map(({ type, body }) => [type, body.readUInt16BE(0)])).to.deep.include([8, CloseCode.FRAMING]);
  });

  it('sends nothing of the stream behind the end, and takes nothing', () => {
    const core = attachedLines('accept');
    core.send('unsent', false);
    core.fail(CloseCode.DESTROYED, new SessionError('ERR_DESTROYED', 'test'), 'a reason');
    expect(typesWritten(core, 0)).to.deep.equal([2, 8]);
    expect(core.wantsTransmit).to.equal(false);
    give(core, data(0, 'a\n'), 0);
    expect(core.inbound.received).to.equal(0);
    expect(() => core.send('x', false))
      .to.throw(SessionError)
      .with.property('code', 'ERR_CLOSED');
    core.fail(CloseCode.PROTOCOL, new SessionError('ERR_PROTOCOL', 'later'));
    core.end(0);
    core.tick(1e9, 0);
    expect([core.cause?.code, core.deadlines.earliest]).to.deep.equal(['ERR_DESTROYED', Infinity]);
  });

  it('refuses to send behind END', () => {
    const core = attachedLines('dial');
    core.end(0);
    expect(() => core.send('x', false))
      .to.throw(SessionError)
      .with.property('code', 'ERR_ENDED');
  });

  it('survives any state a peer can bring about when it hands back what is left', () => {
    const framing = lengthPrefix();
    const core = coreOf('dial', { framing });
    core.circuitUp(FRESH, core.positions(), 0, 0);
    core.send(Buffer.alloc(100, 0xff), false);
    const { length } = written(core, 0);
    expect(length).to.be.greaterThan(104);
    for (let acked = 0; acked <= 104; acked++) {
      give(core, ack(acked, WINDOW), 0);
      expect(core.outbound.unconfirmed(framing.decoder(LIMITS)).bytes).to.equal(104 - acked);
    }
  });
});

describe('session core, time', () => {
  it('writes something once per heartbeat, an ACK, and a PING when it heard nothing', () => {
    const core = attachedLines('accept');
    core.tick(HEARTBEAT_MS - 1, 0);
    expect(core.wantsTransmit).to.equal(false);
    give(core, ack(0, WINDOW), 10);
    core.tick(HEARTBEAT_MS, 0);
    expect(typesWritten(core, HEARTBEAT_MS)).to.deep.equal([2]);
    core.tick(2 * HEARTBEAT_MS, 0);
    expect(typesWritten(core, 2 * HEARTBEAT_MS)).to.deep.equal([5, 2]);
  });

  it('asks for nothing that is on its way: the peer beats at the same instants', () => {
    const core = attachedLines('accept');
    for (let beat = 1; beat <= 20; beat++) {
      const nowMs = beat * HEARTBEAT_MS;
      core.tick(nowMs, 0);
      expect(typesWritten(core, nowMs)).to.deep.equal([2]);
      // Later and later: a network that fills up.
      give(core, ack(0, WINDOW), nowMs + beat * 50);
    }
    const silentMs = 22 * HEARTBEAT_MS;
    core.tick(silentMs, 0);
    expect(typesWritten(core, silentMs)).to.deep.equal([5, 2]);
  });

  it('counts the heartbeat from the last write', () => {
    const core = attachedLines('accept');
    core.send('a', false);
    written(core, 14_000);
    core.tick(HEARTBEAT_MS, 0);
    expect(core.wantsTransmit).to.equal(false);
    expect(core.deadlines.at(Deadline.HEARTBEAT)).to.be.within(29_000 - HEARTBEAT_MS / 50, 29_000);
  });

  it('declares a circuit dead after two heartbeats and five seconds of silence, not before', () => {
    const core = attachedLines('accept');
    give(core, frame(0x80), 1000);
    core.tick(DEAD_MS, 0);
    expect([core.fault, core.deadlines.at(Deadline.LIVENESS)]).to.deep.equal([null, 1000 + DEAD_MS]);
    core.tick(1000 + DEAD_MS - 1, 0);
    expect(core.fault).to.equal(null);
    core.tick(1000 + DEAD_MS, 0);
    expect([core.fault?.code, core.state]).to.deep.equal(['ERR_HEARTBEAT', 'attached']);
  });

  it('asks first when its own timer was late', () => {
    for (const answers of [true, false]) {
      const core = attachedLines('accept');
      const wakeMs = DEAD_MS + HEARTBEAT_MS;
      core.tick(wakeMs, 0);
      expect(core.fault).to.equal(null);
      expect(typesWritten(core, wakeMs)).to.include(5);
      if (answers) give(core, pong(1), wakeMs + 100);
      core.tick(wakeMs + 5000, 0);
      expect(core.fault?.code).to.equal(answers ? undefined : 'ERR_HEARTBEAT');
    }
  });

  it('a write stalls when nothing moved and nothing was heard', () => {
    const core = attachedLines('accept');
    core.queued(1000, 500);
    core.tick(20_499, 1000);
    expect(core.fault).to.equal(null);
    core.tick(20_500, 1000);
    expect(core.fault?.code).to.equal('ERR_WRITE_STALL');
  });

  const alive: [name: string, queuedBytes: number, heardMs: number, againMs: number][] = [
    ['the queue shrank', 999, 0, 40_500],
    ['something was heard', 1000, 3000, 23_000],
    ['the queue is empty', 0, 0, Infinity],
  ];
  for (const [name, queuedBytes, heardMs, againMs] of alive) {
    it(`a write does not stall when ${name}`, () => {
      const core = attachedLines('accept');
      core.queued(1000, 500);
      if (heardMs > 0) give(core, frame(0x80), heardMs);
      core.tick(20_500, queuedBytes);
      expect([core.fault, core.deadlines.at(Deadline.WRITE_STALL)]).to.deep.equal([null, againMs]);
    });
  }

  it('forgets a stall when the socket is empty again', () => {
    const core = attachedLines('accept');
    core.queued(1000, 500);
    core.queued(0, 600);
    expect(core.deadlines.at(Deadline.WRITE_STALL)).to.equal(Infinity);
  });

  for (const [role, code, lastsMs] of [
    ['accept', 'ERR_EXPIRED', HOLD_MS],
    ['dial', 'ERR_GAVE_UP', HOLD_MS + HOLD_EXTRA_MS],
  ] as const) {
    it(`${role}: ends with ${code} when it was detached for too long`, () => {
      const core = attachedLines(role);
      core.circuitLost(false, 1000);
      expect(core.deadlines.earliest).to.equal(1000 + lastsMs);
      core.tick(1000 + lastsMs - 1, 0);
      expect(core.state).to.equal('detached');
      core.tick(1000 + lastsMs, 0);
      expect([core.state, core.cause?.code, core.deadlines.earliest]).to.deep.equal(['closed', code, Infinity]);
    });
  }

  it('gives the peer 30 s more when the check itself ran late', () => {
    const core = attachedLines('accept');
    core.circuitLost(false, 0);
    const wakeMs = HOLD_MS + HEARTBEAT_MS;
    core.tick(wakeMs, 0);
    expect([core.state, core.deadlines.at(Deadline.HOLD)]).to.deep.equal(['detached', wakeMs + 30_000]);
    core.tick(wakeMs + 30_000, 0);
    expect(core.cause?.code).to.equal('ERR_EXPIRED');
    const short = coreOf('accept', { framing: lines(), holdMs: 2000 });
    short.waitForResume(0);
    short.tick(100_000, 0);
    expect(short.deadlines.at(Deadline.HOLD)).to.equal(102_000);
  });

  it('does not expire while a resume is judged, and goes on with what was left', () => {
    const core = attachedLines('accept');
    core.circuitLost(false, 0);
    core.pauseHold(true, 100_000);
    core.tick(HOLD_MS, 0);
    expect([core.state, core.deadlines.earliest]).to.deep.equal(['detached', Infinity]);
    core.pauseHold(false, 400_000);
    expect(core.deadlines.at(Deadline.HOLD)).to.equal(600_000);
  });

  it('does not expire while any of several resumes is judged, and does so afterwards', () => {
    const core = attachedLines('accept');
    core.circuitLost(false, 0);
    core.pauseHold(true, 10_000);
    core.pauseHold(true, 20_000);
    core.pauseHold(false, 30_000);
    expect(core.deadlines.at(Deadline.HOLD)).to.equal(Infinity);
    core.pauseHold(false, 40_000);
    expect(core.deadlines.at(Deadline.HOLD)).to.equal(HOLD_MS + 30_000);
  });

  it('lives its whole hold time when its circuit dies while a resume is judged', () => {
    const core = attachedLines('accept');
    core.pauseHold(true, 0);
    core.circuitLost(false, 1000);
    core.pauseHold(false, 2000);
    expect(core.deadlines.at(Deadline.HOLD)).to.be.at.least(1000 + HOLD_MS);
    core.tick(2001, 0);
    expect(core.state).to.equal('detached');
  });

  it('lives on when a resume was accepted while another one was judged', () => {
    const core = attachedLines('accept');
    core.circuitLost(false, 0);
    core.pauseHold(true, 1000);
    core.circuitUp(FRESH, core.positions(), 0, 2000);
    core.pauseHold(false, 3000);
    expect(core.deadlines.at(Deadline.HOLD)).to.equal(Infinity);
  });

  it('owns neither slab nor ring when it is idle', () => {
    const core = attachedLines('accept');
    core.send('x'.repeat(30_000), false);
    give(core, data(0, 'a\n'.repeat(1000)), 0);
    takeAll(core, 0);
    written(core, 0);
    give(core, ack(30_001, WINDOW + 30_001), 1);
    core.tick(HEARTBEAT_MS, 0);
    expect([core.outbound.egress.buffer.length, core.outbound.egress.replay.segments]).to.deep.equal([0, 0]);
    expect(core.inbound.inbox.buffer.length).to.equal(0);
  });
});
