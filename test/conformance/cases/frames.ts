// Cases about frames: types, lengths, sides, numbers, and the control budget (F-1 to F-8, L-2).

import { ack, data, EMPTY, end, Failure, frame, frameHeader, message, ping, sync, TOO_HIGH, Type, u64, uint } from '../bytes.ts';
import type { Session } from '../session.ts';
import type { Case, Section } from '../suite.ts';

/** A frame that breaks a rule: the circuit ends without CLOSE, the session can be resumed, and goes on as if nothing had been. */
export function fault(rule: string, name: string, bytes: Buffer | ((session: Session) => Buffer)): Case {
  return {
    rule,
    name: `${name} is a fault of the circuit`,
    run: async (t) => {
      const session = await t.open();
      session.say('before');
      await session.echoed();
      await session.faults(typeof bytes === 'function' ? bytes(session) : bytes);
      session.say('behind');
      await session.echoed();
    },
  };
}

/** A frame that changes nothing. */
export function harmless(rule: string, name: string, bytes: Buffer | ((session: Session) => Buffer)): Case {
  return {
    rule,
    name: `${name} is no fault`,
    run: async (t) => {
      const session = await t.open();
      session.say('before');
      await session.echoed();
      session.write(typeof bytes === 'function' ? bytes(session) : bytes);
      session.say('behind');
      await session.echoed();
      await session.alive();
    },
  };
}

/** Wrong lengths of the types that have a length. */
const lengths: readonly (readonly [name: string, type: number, wrong: readonly number[]])[] = [
  ['ACK', Type.ACK, [0, 8, 15, 17, 1024]],
  ['END', Type.END, [0, 7, 9, 16]],
  ['SYNC', Type.SYNC, [0, 7, 9, 16]],
  ['PING', Type.PING, [0, 4, 7, 9, 16]],
  ['PONG', Type.PONG, [0, 7, 9, 16]],
  ['DISCARD', Type.DISCARD, [0, 7, 9, 16]],
  ['CLOSE', Type.CLOSE, [0, 1]],
];

const types: readonly Case[] = [
  ...lengths.flatMap(([name, type, wrong]) =>
    wrong.map((length) => fault('F-5', `${name} with ${length} bytes`, frame(type, Buffer.alloc(length)))),
  ),
  ...[0, 1, 7, 8].map((length) =>
    fault('F-3', `DATA with a body of ${length} bytes`, (s) => frame(Type.DATA, u64(s.sent).subarray(0, length))),
  ),
  fault('F-3', 'DATA with a body of 131,081 bytes, by its header alone,', frameHeader(Type.DATA, 131_081)),
  fault('F-3', 'DATA with a body of 2^24-1 bytes, by its header alone,', frameHeader(Type.DATA, 0xff_ffff)),
  ...([Type.ACK, Type.END, Type.PING, Type.CLOSE, 0x80, 0xff] as const).map((type) =>
    fault('F-2', `type 0x${type.toString(16)} with 1,025 bytes, by its header alone,`, frameHeader(type, 1025)),
  ),
  fault('F-2', 'type 0x80 with 2^24-1 bytes, by its header alone,', frameHeader(0x80, 0xff_ffff)),
  ...[0x00, 0x0e, 0x10, 0x40, 0x7f].map((type) => fault('F-4', `unknown type 0x${type.toString(16)}`, frame(type, EMPTY))),
  fault('F-4', 'TICKET', frame(Type.TICKET, Buffer.alloc(32))),
  ...[0x80, 0x81, 0xc3, 0xff].map((type) =>
    harmless('F-4, V-5', `ignorable type 0x${type.toString(16)}`, frame(type, Buffer.from('news'))),
  ),
  harmless('F-4', 'an ignorable type without a body', frame(0x99, EMPTY)),
  harmless('F-2, F-4', 'an ignorable type with 1,024 bytes', frame(0x80, Buffer.alloc(1024))),
  harmless('C-9', 'DISCARD of a side that does not read', (s) => frame(Type.DISCARD, u64(s.acked))),
  fault('F-6', 'SUPERSEDED from the dialing side', frame(Type.SUPERSEDED, u64(2))),
  fault('F-6', 'DRAIN from the dialing side', frame(Type.DRAIN, Buffer.alloc(9))),
  fault('F-6, O-7', 'CONFIRM behind CONFIRM', (s) => s.confirmFrame()),
  fault('F-6, R-13', 'PROOF where none is due', frame(Type.PROOF, Buffer.alloc(16))),
];

const numbers: readonly Case[] = [
  ...([TOO_HIGH, 1n << 63n, (1n << 64n) - 1n] as const).flatMap((high) => [
    fault('F-1', `DATA at offset ${high}`, data(high, Buffer.of(1))),
    fault('F-1', `ACK of ${high}`, ack(high, high)),
    fault('F-1', `END at ${high}`, end(high)),
    fault('F-1', `SYNC of ${high}`, sync(high)),
    fault('F-1', `DISCARD of ${high}`, frame(Type.DISCARD, u64(high))),
  ]),
  fault('F-1', `a limit of ${TOO_HIGH}`, (s) => ack(s.acked, TOO_HIGH)),
  harmless('F-1, A-3', 'the highest limit there is', (s) => ack(s.acked, TOO_HIGH - 1n)),
];

const pieces: readonly Case[] = [
  ...[1, 3, 4, 5, 11, 12, 13].map(
    (at): Case => ({
      rule: 'F-3, S-1',
      name: `DATA in two writes, cut behind byte ${at}`,
      run: async (t) => {
        const session = await t.open();
        await session.alive();
        const bytes = session.put(message('in two pieces'));
        session.write(bytes.subarray(0, at));
        await new Promise((resolve) => setTimeout(resolve, 20));
        session.write(bytes.subarray(at));
        await session.echoed();
      },
    }),
  ),
  ...[1, 4, 12, 19].map(
    (at): Case => ({
      rule: 'F-5',
      name: `ACK and PING in two writes, cut behind byte ${at}`,
      run: async (t) => {
        const session = await t.open();
        session.say('before');
        await session.echoed();
        const bytes = Buffer.concat([session.ackFrame(), ping('whole')]);
        session.write(bytes.subarray(0, at));
        await new Promise((resolve) => setTimeout(resolve, 20));
        session.write(bytes.subarray(at));
        if ((await session.frameOf(Type.PONG)).toString() !== 'whole...') throw new Failure('another PONG');
      },
    }),
  ),
  {
    rule: 'F-3, B-1',
    name: 'DATA with 131,072 bytes of stream, the most there is',
    run: async (t) => {
      const session = await t.open({ window: 1 << 20 });
      if (session.peerWindow < 131_072) throw new Failure(`cannot be tested: the target has a window of ${session.peerWindow}`);
      const words = Array.from({ length: 128 }, (_, i) => message(Buffer.alloc(1020, 0x30 + (i % 64))));
      session.write(session.put(Buffer.concat(words)));
      await session.echoed();
      await session.closeCleanly();
    },
  },
  {
    rule: 'F-7, S-1',
    name: '2,000 DATA frames of one byte in one write',
    run: async (t) => {
      const session = await t.open();
      const bytes = Buffer.concat(Array.from({ length: 250 }, () => message('tiny')));
      session.write(...[...bytes].map((byte) => session.put(Buffer.of(byte))));
      await session.echoed();
    },
  },
];

const budget: readonly Case[] = [
  harmless('F-7', '150 PINGs at once', Buffer.concat(Array.from({ length: 150 }, (_, i) => ping(`${i}`)))),
  harmless('F-7', '150 ignorable frames at once', Buffer.concat(Array.from({ length: 150 }, () => frame(0x80, EMPTY)))),
  harmless('F-7', '150 ACKs at once that advance nothing', (s) => Buffer.concat(Array.from({ length: 150 }, () => ack(s.acked, s.limit)))),
  harmless('F-7', '150 SYNCs at once that advance nothing', (s) => Buffer.concat(Array.from({ length: 150 }, () => sync(s.sent)))),
  {
    rule: 'F-7, L-2',
    name: '20,000 PINGs at once: the circuit ends as by a fault, or the last is answered',
    run: async (t) => {
      const session = await t.open();
      await session.alive();
      const last = ping('the last');
      session.write(Buffer.concat([...Array.from({ length: 20_000 }, () => ping('flood')), last]));
      for (;;) {
        const found = await session.next().catch(() => null);
        if (found === null) break;
        if (found.type === Type.CLOSE) throw new Failure('CLOSE, which ends the session');
        if (found.type === Type.PONG && found.body.equals(last.subarray(4))) break;
      }
      if (session.circuit.gone) await session.reattach();
      await session.alive();
    },
  },
  {
    rule: 'L-2',
    name: 'a PING is answered with its 8 bytes, whatever they are',
    run: async (t) => {
      const session = await t.open();
      for (const token of ['0000000000000000', 'ffffffffffffffff', '8f4f544c01010000']) {
        session.write(frame(Type.PING, Buffer.from(token, 'hex')));
        if ((await session.frameOf(Type.PONG)).toString('hex') !== token) throw new Failure(`not ${token}`);
      }
    },
  },
  {
    rule: 'L-2',
    name: 'of several PINGs the last is answered',
    run: async (t) => {
      const session = await t.open();
      session.write(ping('one'), ping('two'), ping('three'));
      while ((await session.frameOf(Type.PONG)).toString() !== 'three...');
    },
  },
  {
    rule: 'L-2',
    name: 'a PONG that was not asked for is no fault',
    run: async (t) => {
      const session = await t.open();
      session.write(frame(Type.PONG, Buffer.alloc(8)), frame(Type.PONG, Buffer.alloc(8, 255)));
      await session.alive();
    },
  },
  {
    rule: 'C-8, F-5',
    name: 'CLOSE with a reason of 256 bytes is read',
    run: async (t) => {
      const session = await t.open();
      await session.alive();
      session.write(frame(Type.CLOSE, uint(2, 1), Buffer.alloc(256, 'reason ')));
      await session.faulted();
    },
  },
];

export const framing: readonly Section[] = [
  { title: 'Frames: types and lengths', cases: types },
  { title: 'Frames: numbers', cases: numbers },
  { title: 'Frames: pieces', cases: pieces },
  { title: 'Frames: control', cases: budget },
];
