// Cases about the end of a session, its tombstone, expiry and liveness (C-1 to C-11, L-1 to L-5, X-2).

import { randomBytes } from 'node:crypto';
import { ack, close, data, Failure, message, numberOf, positionsOf, Reject, Tag, Type, u64 } from '../bytes.ts';
import type { Bench, Session } from '../session.ts';
import type { Case, Section } from '../suite.ts';

/** Both ENDs are acked; no CLOSE was written by this side. */
async function doneSession(t: Bench): Promise<Session> {
  const session = await t.open();
  session.say('last words');
  session.write(session.fin());
  while (session.peerEnd < 0 || session.peerAcked < session.sent) await session.next();
  return session;
}

const clean: readonly Case[] = [
  {
    rule: 'C-1, C-2',
    name: 'a clean end: the accepting side, once done, writes CLOSE(0) and the half-close without waiting for ours',
    run: async (t) => {
      const session = await doneSession(t);
      session.write(session.ackFrame());
      await session.closedWith(0);
    },
  },
  {
    rule: 'C-2, C-3',
    name: 'a clean end: CLOSE(0) of the dialing side comes first',
    run: async (t) => {
      const session = await doneSession(t);
      session.write(session.ackFrame(), close(0));
      if ((await session.circuit.ended()) === 'reset') throw new Failure('the connection was reset');
    },
  },
  {
    rule: 'C-1',
    name: 'a clean end of a session in which nothing was said',
    run: async (t) => (await t.open()).closeCleanly(),
  },
  {
    rule: 'C-4, X-2',
    name: 'until it reads CLOSE(0) the accepting side answers a RESUME with CLOSED, cause 0 and final numbers',
    run: async (t) => {
      const session = await doneSession(t);
      session.write(session.ackFrame());
      await session.closedWith(0);
      for (let i = 0; i < 2; i++) {
        const reply = await session.refused(Reject.CLOSED);
        if (numberOf(reply, Tag.CAUSE) !== 0) throw new Failure(`the cause is ${numberOf(reply, Tag.CAUSE)}`);
        const { received, acked } = positionsOf(reply);
        if (received !== session.sent || acked !== session.sent)
          throw new Failure(`final received ${received}, acked ${acked} of ${session.sent}`);
      }
    },
  },
  {
    rule: 'C-4, C-5',
    name: 'the last ACK lost with its circuit: RESUME, END again, and a clean end',
    run: async (t) => {
      const session = await doneSession(t);
      session.circuit.cut();
      await session.reattach();
      session.write(session.ackFrame());
      await session.closedWith(0);
      await session.refused(Reject.CLOSED);
    },
  },
  {
    rule: 'R-10, C-1',
    name: 'the last ACK told by RESUME: the accepting side is done, and says CLOSED or CLOSE(0)',
    run: async (t) => {
      const session = await doneSession(t);
      session.circuit.cut();
      session.acked = session.received;
      session.limit = session.acked + session.window;
      const answer = await session.resume();
      session.attach(answer);
      await session.closedWith(0);
    },
  },
  {
    rule: 'C-4, C-10',
    name: 'behind CLOSE(0) of both a RESUME gets UNKNOWN, or CLOSED with cause 0',
    run: async (t) => {
      const session = await doneSession(t);
      session.write(session.ackFrame());
      await session.closedWith(0);
      session.write(close(0));
      session.circuit.end();
      await session.circuit.closed();
      await session.refused([Reject.UNKNOWN, Reject.CLOSED]);
    },
  },
  ...(
    [
      ['at once', async () => {}],
      [
        'before the END of the accepting side is acked',
        async (session: Session) => {
          session.write(session.fin());
          await session.frameOf(Type.END);
        },
      ],
    ] as const
  ).map(
    ([name, first]): Case => ({
      rule: 'C-3',
      name: `CLOSE(0) ${name} is a fault of the circuit, and the session stays`,
      run: async (t) => {
        const session = await t.open();
        session.say('early');
        await session.echoed();
        await first(session);
        session.write(close(0));
        await session.faulted();
        await session.reattach();
        await session.alive();
      },
    }),
  ),
  {
    rule: 'C-7',
    name: 'what arrives behind CLOSE is ignored',
    run: async (t) => {
      const session = await t.open();
      session.say('before');
      await session.ackOf(session.sent);
      session.write(close(7), data(session.sent, message('behind')), Buffer.from('not even a frame'));
      await session.circuit.ended();
      const { received } = positionsOf(await session.refused(Reject.CLOSED));
      if (received !== session.sent) throw new Failure(`final received is ${received}, ${session.sent} stood in front of CLOSE`);
    },
  },
];

const codes: readonly (readonly [code: number, detail: Buffer, cause: number])[] = [
  [1, Buffer.from('handler failed'), 1],
  [2, Buffer.alloc(0), 2],
  [3, u64(1234), 3],
  [4, Buffer.alloc(0), 4],
  [5, Buffer.alloc(0), 5],
  [6, Buffer.alloc(0), 6],
  [7, Buffer.from('\u202e\x1b[31m'), 7],
  [8, Buffer.from([0xff, 0xfe, 0x80]), 8],
  [9, Buffer.alloc(0), 9],
  [11, Buffer.alloc(0), 11],
  [12, Buffer.alloc(0), 7],
  [999, Buffer.from('later'), 7],
  [65_535, Buffer.alloc(0), 7],
];

const closes: readonly Case[] = [
  ...codes.map(
    ([code, detail, cause]): Case => ({
      rule: code > 11 ? 'C-8, C-10' : 'C-10, C-8',
      name: `CLOSE(${code}) ends the session: half-close, no answer, and a RESUME gets CLOSED with cause ${cause}`,
      run: async (t) => {
        const session = await t.open();
        session.say('before');
        await session.echoed();
        session.write(close(code, detail));
        await session.faulted();
        const reply = await session.refused(Reject.CLOSED);
        if (numberOf(reply, Tag.CAUSE) !== cause) throw new Failure(`the cause is ${numberOf(reply, Tag.CAUSE)}, not ${cause}`);
      },
    }),
  ),
  {
    rule: 'C-8',
    name: 'CLOSE(7) in one write with CONFIRM and DATA',
    run: async (t) => {
      const session = await t.provisional();
      session.write(session.confirmFrame(), session.put(message('hello')), close(7));
      await session.faulted();
      await session.refused(Reject.CLOSED);
    },
  },
];

/** The tombstone of a session that ended with generation 5 and instance 5. */
async function tombstone(t: Bench): Promise<Session> {
  const session = await t.open();
  session.say('before');
  await session.echoed();
  await session.ackOf(session.sent);
  await session.reattach({ generation: 5, instance: 5 });
  session.write(close(7));
  await session.circuit.ended();
  return session;
}

const tombstones: readonly Case[] = [
  {
    rule: 'C-10',
    name: 'a RESUME changes nothing in a tombstone: the same generation gets the same answer again',
    run: async (t) => {
      const session = await tombstone(t);
      const answers = [await session.refused(Reject.CLOSED), await session.refused(Reject.CLOSED), await session.refused(Reject.CLOSED)];
      const finals = answers.map((reply) => (reply.fields.get(Tag.POSITIONS) as Buffer).toString('hex'));
      if (new Set(finals).size !== 1) throw new Failure('the final numbers differ');
    },
  },
  {
    rule: 'C-10, R-6',
    name: 'a stale RESUME gets STALE_GENERATION from a tombstone as well',
    run: async (t) => {
      const session = await tombstone(t);
      const reply = await session.refused(Reject.STALE_GENERATION, { generation: 5 });
      if (numberOf(reply, Tag.GENERATION) !== 5) throw new Failure('it does not name generation 5');
    },
  },
  {
    rule: 'C-10, R-6',
    name: 'another instance gets TAKEN_OVER from a tombstone as well',
    run: async (t) => void (await (await tombstone(t)).refused(Reject.TAKEN_OVER, { generation: 6, instance: 1 })),
  },
  {
    rule: 'C-10, R-15',
    name: 'a bad mac gets UNKNOWN from a tombstone as well',
    run: async (t) => void (await (await tombstone(t)).refused(Reject.UNKNOWN, { seal: () => randomBytes(16) })),
  },
  {
    rule: 'C-10, R-7',
    name: 'positions that do not fit a tombstone get STATE_LOST, or CLOSED',
    run: async (t) => void (await (await tombstone(t)).refused([Reject.STATE_LOST, Reject.CLOSED], { positions: { sent: 2 } })),
  },
  {
    rule: 'C-10, R-3',
    name: 'early data behind a RESUME of an ended session harms nothing',
    run: async (t) => {
      const session = await tombstone(t);
      const reply = await session.refused(Reject.CLOSED, { behind: data(session.sent, message('late')) });
      if (positionsOf(reply).received !== session.sent) throw new Failure('it was counted');
    },
  },
  {
    rule: 'C-10, H-19',
    name: 'the final numbers of a session that ended with bytes at its limit are well formed and exact',
    run: async (t) => {
      const session = await t.open({ window: 16 });
      for (const word of ['one.', 'two.', 'thre', 'four']) session.say(word);
      while (session.heard.length < 16) await session.next();
      await session.ackOf(session.sent);
      session.write(close(7));
      await session.circuit.ended();
      const { received, acked, sent } = positionsOf(await session.refused(Reject.CLOSED));
      if (received !== 32 || acked !== 32 || sent !== 16) throw new Failure(`final received ${received}, acked ${acked}, sent ${sent}`);
    },
  },
  {
    rule: 'C-10, H-19',
    name: 'the final base is not above what this side has received',
    run: async (t) => {
      const session = await t.open();
      session.say('not all of it');
      await session.echoed();
      session.write(ack(4, 4 + session.window), close(7));
      await session.circuit.ended();
      const { base, sent } = positionsOf(await session.refused(Reject.CLOSED));
      if (base > 4 || sent !== 17) throw new Failure(`final base ${base}, sent ${sent}, and 4 of 17 were acked`);
    },
  },
  {
    rule: 'O-8, X-4',
    name: 'a session that never was gets UNKNOWN again and again',
    run: async (t) => {
      const session = await t.open();
      await session.alive();
      for (let i = 0; i < 5; i++) await session.refused(Reject.UNKNOWN, { header: { sessionId: randomBytes(16) } });
    },
  },
];

const times: readonly Case[] = [
  {
    rule: 'L-5, C-10',
    name: 'a session without a circuit for longer than its hold gets EXPIRED, with final numbers',
    slow: true,
    run: async (t) => {
      const session = await t.open({ holdMs: 1000, heartbeatMs: 10_000 });
      session.say('before');
      await session.echoed();
      await session.ackOf(session.sent);
      session.circuit.cut();
      await new Promise((resolve) => setTimeout(resolve, 4000));
      const { received, acked } = positionsOf(await session.refused(Reject.EXPIRED));
      if (received !== session.sent || acked !== session.sent)
        throw new Failure(`final received ${received}, acked ${acked} of ${session.sent}`);
      await session.refused(Reject.STALE_GENERATION, { generation: 1 });
    },
  },
  {
    rule: 'L-5',
    name: 'a session with a circuit does not expire',
    slow: true,
    run: async (t) => {
      const session = await t.open({ holdMs: 1000 });
      await new Promise((resolve) => setTimeout(resolve, 3000));
      await session.alive();
    },
  },
  {
    rule: 'L-1',
    name: 'something comes at least once a heartbeat, and a PING where nothing was heard for one',
    slow: true,
    run: async (t) => {
      const session = await t.open({ heartbeatMs: 1000 });
      await session.alive();
      let acks = 0;
      let pings = 0;
      // Twice the heartbeat: generous for a busy machine, and still below the time at which a circuit is dead.
      for (const began = performance.now(); performance.now() - began < 4500; ) {
        const { type } = await session.next(2500);
        if (type === Type.ACK) acks++;
        if (type === Type.PING) pings++;
      }
      if (acks < 2 || pings < 1) throw new Failure(`${acks} ACKs and ${pings} PINGs came in 4.5 heartbeats`);
    },
  },
  {
    rule: 'L-3',
    name: 'a circuit on which nothing is heard for two heartbeats and 5 s is closed, and the session stays',
    slow: true,
    run: async (t) => {
      const session = await t.open({ heartbeatMs: 1000 });
      await session.alive();
      await session.circuit.ended(12_000);
      await session.reattach();
      await session.alive();
    },
  },
  {
    rule: 'L-3',
    name: 'any byte is life: half an ACK, one byte a second, keeps a circuit',
    slow: true,
    run: async (t) => {
      const session = await t.open({ heartbeatMs: 1000 });
      await session.alive();
      const bytes = ack(0, session.window);
      for (let at = 0; at < 8; at++) {
        session.write(bytes.subarray(at, at + 1));
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
      session.write(bytes.subarray(8));
      await session.alive();
    },
  },
];

export const ending: readonly Section[] = [
  { title: 'Clean end', cases: clean },
  { title: 'CLOSE', cases: closes },
  { title: 'Tombstone', cases: tombstones },
  { title: 'Time', cases: times },
];
