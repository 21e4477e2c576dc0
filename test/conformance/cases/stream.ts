// Cases about the stream and its acks: offsets, gaps, duplicates, limits, END, SYNC and lies (S-1 to S-8, A-1 to A-7).

import { ack, close, data, end, Failure, message, numberOf, positionsOf, Reject, sync, Tag, Type } from '../bytes.ts';
import type { Bench, Session } from '../session.ts';
import type { Case, Section } from '../suite.ts';
import { fault, harmless } from './frames.ts';

/** Writes frames by hand, and everything put must come back once. */
function whole(rule: string, name: string, make: (session: Session) => Buffer): Case {
  return {
    rule,
    name,
    run: async (t) => {
      const session = await t.open();
      session.write(make(session));
      await session.echoed();
      await session.closeCleanly();
    },
  };
}

const stream: readonly Case[] = [
  whole('S-1', 'a message over many DATA', (s) => Buffer.concat([...message('cut into pieces')].map((byte) => s.put(Buffer.of(byte))))),
  whole('S-1', 'many messages in one DATA', (s) => s.put(Buffer.concat(['a', '', 'bc', 'd'.repeat(300)].map((word) => message(word))))),
  whole('S-1', 'messages cut where no message begins or ends', (s) => {
    const bytes = Buffer.concat(['first', 'second', 'third'].map((word) => message(word)));
    return Buffer.concat([s.put(bytes.subarray(0, 7)), s.put(bytes.subarray(7, 21)), s.put(bytes.subarray(21))]);
  }),
  whole('S-2', 'DATA that came before, all of it, is dropped without effect', (s) => {
    const one = s.put(message('once'));
    return Buffer.concat([one, one, one, s.put(message('next'))]);
  }),
  whole('S-2', 'DATA of which the front came before', (s) => {
    const one = s.put(message('once'));
    const next = s.put(message('next'));
    return Buffer.concat([one, data(3, Buffer.concat([message('once').subarray(3), message('next')])), next]);
  }),
  whole('S-2', 'DATA that came before with other bytes: the first ones count', (s) =>
    Buffer.concat([s.put(message('real')), data(4, Buffer.from('fake'))]),
  ),
  whole('S-2, S-1', 'old DATA within what was received', (s) => Buffer.concat([s.put(message('0123456789')), data(5, Buffer.from('xy'))])),
  fault('S-2', 'a gap of one byte', (s) => data(s.sent + 1, message('gap'))),
  fault('S-2', 'a gap of 1 GiB', (s) => data(s.sent + 2 ** 30, message('gap'))),
  fault('S-2', 'DATA at 2^53-1', data(2 ** 53 - 1, Buffer.of(1))),
  {
    rule: 'S-4, A-7',
    name: 'DATA up to the limit is taken, one byte more is a fault; and while the application waits, frames are read',
    run: async (t) => {
      const session = await filledWindow(t);
      await session.alive();
      session.write(data(session.sent, Buffer.of(0)));
      await session.faulted();
      const theirs = await session.reattach();
      if (theirs.received > session.sent) throw new Failure('bytes beyond the limit were taken');
      session.limit = session.acked + session.window;
      await drained(session);
    },
  },
  {
    rule: 'A-7, C-8',
    name: 'CLOSE is read while the application waits',
    run: async (t) => {
      const session = await filledWindow(t);
      session.write(close(7));
      await session.circuit.ended();
      await session.refused(Reject.CLOSED);
    },
  },
  {
    rule: 'A-3, S-4, R-7',
    name: 'what waits at both limits survives three circuits',
    run: async (t) => {
      const session = await filledWindow(t);
      for (let i = 0; i < 3; i++) {
        session.circuit.cut();
        await session.reattach();
      }
      await drained(session);
      await session.closeCleanly();
    },
  },
];

/** A session whose echo does not fit our window of 4 KiB: the application stops, and everything up to the limit has been sent. */
async function filledWindow(t: Bench): Promise<Session> {
  const session = await t.open({ window: 4096 });
  const word = message(Buffer.alloc(1020, 0x77));
  for (let more = true; more; ) {
    while (session.peerLimit - session.sent >= 65_536) {
      if (session.sent > 64 << 20) throw new Failure('cannot be tested: the application never waits');
      session.write(session.put(Buffer.concat(Array.from({ length: 64 }, () => word))));
    }
    if (session.peerLimit > session.sent) {
      const part = session.sent % word.length;
      const rest = Buffer.concat(Array.from({ length: 66 }, () => word));
      session.write(session.put(rest.subarray(part, part + session.peerLimit - session.sent)));
    }
    const before = session.peerLimit;
    // Whoever still consumes says so within 200 ms.
    const until = performance.now() + 700;
    while (session.peerLimit === before && performance.now() < until)
      await session.next(Math.max(1, until - performance.now())).catch(() => null);
    more = session.peerLimit > before;
  }
  return session;
}

/** Takes and acks all that comes until everything said has come back. */
async function drained(session: Session): Promise<void> {
  for (;;) {
    session.write(session.ackFrame());
    if (session.heard.length >= session.said.length - (session.said.length % 1024)) return;
    await session.frameOf(Type.DATA);
  }
}

const ends: readonly Case[] = [
  whole('S-6, C-1', 'END behind nothing', () => Buffer.alloc(0)),
  fault('S-6, S-2', 'END beyond a gap', (s) => end(s.sent + 1)),
  fault('S-6', 'END below what was received', (s) => end(s.sent - 1)),
  fault('S-6', 'END at 0 behind bytes', end(0)),
  ended('DATA behind END', 'S-6', (s) => data(s.sent, message('more'))),
  ended('DATA at the offset of END', 'S-6', (s) => data(s.sent - 1, Buffer.of(1))),
  ended('DATA that reaches over END', 'S-6', (s) => data(s.sent - 3, Buffer.of(1, 2, 3, 4))),
  ended('a second END one further', 'S-6', (s) => end(s.sent)),
  ended('a second END one before', 'S-6', (s) => end(s.sent - 2)),
  {
    rule: 'S-6, S-2',
    name: 'DATA below END that came before is dropped without effect',
    run: async (t) => {
      const session = await t.open();
      const word = session.put(message('old'));
      session.write(word, session.fin(), word);
      await session.closeBehindEnd();
    },
  },
  {
    rule: 'S-6',
    name: 'END is written again on a new circuit where it did not arrive',
    run: async (t) => {
      const session = await t.open();
      session.say('last');
      await session.echoed();
      session.circuit.cut();
      const fin = session.fin();
      const theirs = await session.reattach();
      if (theirs.received === session.sent) throw new Failure('END was received, and it was never written');
      session.write(fin);
      await session.closeBehindEnd();
    },
  },
  {
    rule: 'S-6, R-11',
    name: 'END is written again by the accepting side until it is acked',
    run: async (t) => {
      const session = await t.open();
      session.say('last');
      session.write(session.fin());
      await session.frameOf(Type.END);
      session.peerEnd = -1;
      session.heard = session.heard.subarray(0, 2);
      session.received = 2;
      session.circuit.cut();
      await session.reattach();
      await session.closeBehindEnd();
    },
  },
  {
    rule: 'S-6',
    name: 'END is exempt from the limit',
    run: async (t) => {
      const session = await t.open({ window: 8 });
      session.say('full');
      session.write(session.fin());
      while (session.peerEnd < 0) await session.next();
      if (session.received !== 9) throw new Failure(`END came at ${session.peerEnd}, the limit is 8`);
      await session.closeBehindEnd();
    },
  },
  {
    rule: 'A-5, S-6',
    name: 'END is acked as soon as all before it is consumed',
    run: async (t) => {
      const session = await t.open();
      session.say('last');
      session.write(session.fin());
      await session.ackOf(session.sent);
    },
  },
  broken('END within a message', (s) => Buffer.concat([s.put(message('whole')), s.put(message('half').subarray(0, 6)), s.fin()])),
  broken('END within a length', (s) => Buffer.concat([s.put(Buffer.of(0, 0)), s.fin()])),
  broken('a message of 4 GiB', (s) => s.put(Buffer.of(0xff, 0xff, 0xff, 0xff))),
  broken('a message of 4 GiB behind a good one', (s) =>
    Buffer.concat([s.put(message('good')), s.put(Buffer.of(0xff, 0xff, 0xff, 0xff, 1))]),
  ),
];

/** Behind END: a fault of the circuit. The session then comes to its end in order. */
function ended(name: string, rule: string, make: (session: Session) => Buffer): Case {
  return {
    rule,
    name: `${name} is a fault of the circuit`,
    run: async (t) => {
      const session = await t.open();
      session.say('last');
      await session.echoed();
      session.write(session.fin(), make(session));
      await session.faulted();
      const fin = end(session.said.length);
      const theirs = await session.reattach();
      if (theirs.received < session.sent) session.write(fin);
      await session.closeBehindEnd();
    },
  };
}

/** A fault in the stream itself ends the session with CLOSE(FRAMING), on both sides of a resume. */
function broken(name: string, make: (session: Session) => Buffer): Case {
  return {
    rule: 'S-7, C-10',
    name: `${name}: CLOSE(FRAMING), and a RESUME learns it too`,
    run: async (t) => {
      const session = await t.open();
      session.write(make(session));
      await session.closedWith(2);
      const reply = await session.refused(Reject.CLOSED);
      if (numberOf(reply, Tag.CAUSE) !== 2) throw new Failure(`the cause is ${numberOf(reply, Tag.CAUSE)}`);
    },
  };
}

const faults: readonly Case[] = [
  {
    rule: 'S-8',
    name: 'three faults in a row without progress end the session with CLOSE(PROTOCOL)',
    run: async (t) => {
      const session = await t.open();
      await session.alive();
      for (let i = 0; i < 2; i++) await session.faults(data(1, message('gap')));
      session.write(data(1, message('gap')));
      await session.circuit.ended();
      const reply = await session.refused(Reject.CLOSED);
      if (numberOf(reply, Tag.CAUSE) !== 8) throw new Failure(`the cause is ${numberOf(reply, Tag.CAUSE)}`);
    },
  },
  {
    rule: 'S-8',
    name: 'five faults with progress between leave the session',
    run: async (t) => {
      const session = await t.open();
      for (let i = 0; i < 5; i++) {
        session.say('progress');
        await session.echoed();
        await session.faults(data(session.sent + 1, message('gap')));
      }
      await session.closeCleanly();
    },
  },
  {
    rule: 'S-8, T-6',
    name: 'five lost connections are no faults',
    run: async (t) => {
      const session = await t.open();
      await session.alive();
      for (let i = 0; i < 5; i++) {
        session.circuit.cut();
        await session.reattach();
      }
      await session.alive();
    },
  },
];

const acks: readonly Case[] = [
  fault('A-2', 'an ACK of a byte that was not sent', (s) => ack(s.received + 1, s.limit + s.received + 1)),
  fault('A-2', 'an ACK of 2^53-1', ack(2 ** 53 - 1, 2 ** 53 - 1)),
  fault('A-2', 'an ACK that falls', (s) => Buffer.concat([s.ackFrame(), ack(s.acked - 1, s.limit)])),
  fault('A-3', 'a limit that falls', (s) => Buffer.concat([s.ackFrame(), ack(s.acked, s.limit - 1)])),
  fault('A-3', 'a limit below the WINDOW', (s) => ack(0, s.window - 1)),
  harmless('A-2', 'the same ACK again', (s) => Buffer.concat([s.ackFrame(), ack(s.acked, s.limit)])),
  harmless('A-2', 'an ACK of half of what came', (s) => s.ackFrame(5)),
  {
    rule: 'A-5',
    name: 'what was consumed is acked by itself',
    run: async (t) => {
      const session = await t.open();
      session.say('ack me');
      await session.ackOf(session.sent);
    },
  },
  {
    rule: 'A-1',
    name: 'half a message is not acked; when it is whole it is',
    run: async (t) => {
      const session = await t.open();
      session.say('whole');
      const half = session.sent;
      session.write(session.put(message('half').subarray(0, 5)), sync(half));
      await session.ackOf(half);
      await session.alive();
      if (session.peerAcked !== half) throw new Failure(`${session.peerAcked} are acked, messages end at ${half}`);
      session.write(session.put(message('half').subarray(5)));
      await session.ackOf(session.sent);
    },
  },
  {
    rule: 'A-1, R-8',
    name: 'half a message survives a change of circuit',
    run: async (t) => {
      const session = await t.open();
      const word = message('cut in halves');
      session.write(session.put(word.subarray(0, 8)));
      await session.alive();
      const { acked, received } = await session.reattach();
      if (acked !== 0 || received !== 8) throw new Failure(`acked ${acked} and received ${received}, expected 0 and 8`);
      session.write(session.put(word.subarray(8)));
      await session.echoed();
    },
  },
  {
    rule: 'A-6, A-5',
    name: 'SYNC of what was consumed and acked gets an ACK at once',
    run: async (t) => {
      const session = await t.open();
      session.say('sync');
      await session.ackOf(session.sent);
      session.write(sync(session.sent));
      await session.frameOf(Type.ACK);
    },
  },
  {
    rule: 'A-6',
    name: 'SYNC in front of its DATA gets an ACK when that is consumed',
    run: async (t) => {
      const session = await t.open();
      session.write(sync(12));
      await session.alive();
      session.say('12345678');
      await session.ackOf(12);
    },
  },
  {
    rule: 'A-6',
    name: 'SYNC of 0 gets an ACK',
    run: async (t) => {
      const session = await t.open();
      await session.alive();
      session.write(sync(0));
      await session.frameOf(Type.ACK);
    },
  },
  {
    rule: 'A-6, R-3',
    name: 'SYNC is answered on a new circuit where it is repeated',
    run: async (t) => {
      const session = await t.open();
      session.say('sync');
      session.write(sync(session.sent));
      session.circuit.cut();
      await session.reattach();
      session.write(sync(session.sent));
      await session.ackOf(session.sent);
    },
  },
  {
    rule: 'A-3',
    name: 'the limit is acked + WINDOW all along, and it is kept',
    run: async (t) => {
      const session = await t.open({ window: 2048 });
      for (let i = 0; i < 30; i++) {
        session.say(Buffer.alloc(1000, i));
        while (session.heard.length < session.said.length) {
          await session.frameOf(Type.DATA);
          session.write(session.ackFrame());
        }
      }
      await session.closeCleanly();
    },
  },
  {
    rule: 'A-7',
    name: 'a window that is shut does not stop PONG, nor an ACK for SYNC',
    run: async (t) => {
      const session = await t.open({ window: 16 });
      for (const word of ['one.', 'two.', 'thre', 'four']) session.say(word);
      while (session.heard.length < 16) await session.next();
      await session.alive();
      session.write(sync(session.sent));
      await session.ackOf(session.sent);
      session.write(session.ackFrame());
      await session.echoed();
    },
  },
  {
    rule: 'S-3, R-7',
    name: 'STATE_LOST tells a base that is not above what is acked',
    run: async (t) => {
      const session = await t.open();
      session.say('kept');
      await session.echoed();
      const { base, sent } = positionsOf(await session.refused(Reject.STATE_LOST, { positions: { received: 100 } }));
      if (base !== 0 || sent !== 8) throw new Failure(`base ${base} and sent ${sent}, expected 0 and 8`);
    },
  },
];

export const streaming: readonly Section[] = [
  { title: 'Stream', cases: stream },
  { title: 'END', cases: ends },
  { title: 'Faults in a row', cases: faults },
  { title: 'Acks', cases: acks },
];
