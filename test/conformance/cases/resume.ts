// Cases about RESUME: its form and MAC, generation, instance and positions, early data, the older circuit, CHALLENGE (R-1 to R-22, K-4 to K-6).

import { createHash, randomBytes } from 'node:crypto';
import {
  ack,
  close,
  data,
  EARLY_BYTES,
  EMPTY,
  end,
  Failure,
  frame,
  Kind,
  message,
  NO_SESSION,
  numberOf,
  offsetAt,
  type Positions,
  ping,
  positionsOf,
  Reject,
  sync,
  Tag,
  type Tlv,
  TOO_HIGH,
  Type,
  u64,
  uint,
} from '../bytes.ts';
import type { Circuit } from '../circuit.ts';
import { mac } from '../keys.ts';
import { type Answer, type Bench, earlierOf, Method, type ResumeFields, type Session } from '../session.ts';
import type { Case, Section } from '../suite.ts';
import { badTlvs } from './forms.ts';

/** A session that has sent 8 bytes, of which all were consumed, and got 8, of which none is acked. */
async function used(t: Bench, holdMs: number = 60_000): Promise<Session> {
  const session = await t.open({ holdMs });
  session.say('used');
  await session.echoed();
  await session.ackOf(8);
  return session;
}

// -- form

/** A RESUME with a good MAC that is out of form: no answer, and the session with its circuit untouched. */
function malformed(rule: string, name: string, fields: ResumeFields): Case {
  return {
    rule,
    name: `RESUME with ${name} ends its circuit, without an answer, and touches nothing else`,
    run: async (t) => (await used(t)).resumeIgnored(fields),
  };
}

/** A RESUME that is accepted. */
function taken(rule: string, name: string, fields: ResumeFields | ((session: Session) => ResumeFields)): Case {
  return {
    rule,
    name: `RESUME with ${name} is taken`,
    run: async (t) => {
      const session = await used(t);
      await session.reattach(typeof fields === 'function' ? fields(session) : fields);
      session.say('more');
      await session.echoed();
    },
  };
}

const resumeSizes: readonly (readonly [string, number, number])[] = [
  ['NONCE', Tag.NONCE, 16],
  ['MAX_VERSION', Tag.MAX_VERSION, 1],
  ['GENERATION', Tag.GENERATION, 8],
  ['INSTANCE', Tag.INSTANCE, 8],
  ['POSITIONS', Tag.POSITIONS, 40],
  ['MAC', Tag.MAC, 16],
];

const positionNames = ['received', 'acked', 'limit', 'base', 'sent'] as const;

const LARGE = Buffer.alloc(6_145, 0x5a);

function announcing(ticket: Buffer): Tlv {
  return [Tag.TICKET_FOLLOWS, Buffer.concat([uint(4, ticket.length), createHash('sha256').update(ticket).digest()])];
}

function ticketFrame(ticket: Buffer): Buffer {
  return frame(Type.TICKET, u64(0), ticket);
}

const forms: readonly Case[] = [
  ...badTlvs(resumeSizes).map(({ rule, name, edit }) => malformed(rule, name, { edit })),
  ...(
    [
      'KEY_METHODS',
      'PUBLIC_KEY',
      'FRAMING',
      'WINDOW',
      'HEARTBEAT',
      'HOLD',
      'METADATA',
      'CODE',
      'RETRY_AFTER',
      'VERSIONS',
      'CAUSE',
      'REASON',
    ] as const
  ).map((name) => malformed('H-10', `${name}, which it does not have,`, { extra: [[Tag[name], Buffer.alloc(4, 1)]] })),
  malformed('H-9', 'an ignorable TLV behind the MAC', { edit: (tlvs) => [...tlvs, [0x80, EMPTY]] }),
  malformed('H-9', 'a second MAC', { edit: (tlvs) => [...tlvs, [Tag.MAC, Buffer.alloc(16)]] }),
  malformed('H-6', 'session id zero', { header: { sessionId: NO_SESSION } }),
  malformed('H-5', 'a body length of 8,193', { header: { length: 8193 } }),
  malformed('H-11', 'an empty TICKET', { extra: [[Tag.TICKET, EMPTY]] }),
  malformed('H-17', 'MAX_VERSION 0', { edit: (tlvs) => tlvs.map((one) => (one[0] === Tag.MAX_VERSION ? [one[0], uint(1, 0)] : one)) }),
  malformed('H-18', 'GENERATION 0', { generation: 0 }),
  malformed('H-18', 'INSTANCE 0', { instance: 0 }),
  malformed('H-18', 'INSTANCE above GENERATION', { generation: 2, instance: 3 }),
  malformed('H-13', 'GENERATION 2^53', { generation: TOO_HIGH }),
  malformed('H-13', 'GENERATION 2^64-1', { generation: 0xffff_ffff_ffff_ffffn }),
  malformed('H-13', 'INSTANCE 2^53', { generation: TOO_HIGH + 1n, instance: TOO_HIGH }),
  ...positionNames.map((name, at) => {
    const values: (number | bigint)[] = [8, 0, 65_536, 0, 8];
    values[at] = TOO_HIGH;
    return malformed('H-13', `${name} 2^53`, { positions: values });
  }),
  malformed('H-19', 'acked above received', { positions: [8, 9, 65_536, 0, 8] }),
  malformed('H-19', 'acked above limit', { positions: [8, 8, 7, 0, 8] }),
  malformed('H-19', 'base above sent', { positions: [8, 0, 65_536, 9, 8] }),
  taken('H-10, K-6', 'an unknown tag from 0x80 on in front of the MAC', {
    edit: (tlvs) => [...tlvs.slice(0, -1), [0x80, randomBytes(30)], ...tlvs.slice(-1)],
  }),
  { ...unsupported(0x15), should: true },
  { ...unsupported(0x7e), should: true },
  taken('H-2', 'node 255', { header: { node: 255 } }),
  taken('§3.1, K-6', 'a reserved byte other than 0', { header: { reserved: 0x55 } }),
  taken('H-17', 'MAX_VERSION 255 (or DOWNGRADE, by who speaks more)', {
    edit: (tlvs) => tlvs.map((one) => (one[0] === Tag.MAX_VERSION ? [one[0], uint(1, 255)] : one)),
  }),
  taken('R-21', 'a TICKET that nobody issued', { extra: [[Tag.TICKET, randomBytes(600)]] }),
  taken('R-21, H-22', 'a TICKET of 6,144 bytes', { extra: [[Tag.TICKET, randomBytes(6_144)]] }),
  malformed('H-11', 'a TICKET of 6,145 bytes', { extra: [[Tag.TICKET, randomBytes(6_145)]] }),
  malformed('H-11', 'TICKET_FOLLOWS of 35 bytes', { extra: [[Tag.TICKET_FOLLOWS, Buffer.alloc(35, 1)]] }),
  malformed('H-22', 'a ticket announced that would have fitted', { extra: [announcing(Buffer.alloc(6_144))] }),
  malformed('H-22', 'a ticket announced of 73,729 bytes', { extra: [announcing(Buffer.alloc(73_729))] }),
  malformed('H-22', 'TICKET and TICKET_FOLLOWS', { extra: [[Tag.TICKET, randomBytes(9)], announcing(LARGE)] }),
  taken('R-21, E-7', 'a ticket that follows and nobody issued', { extra: [announcing(LARGE)], behind: ticketFrame(LARGE) }),
  taken('E-7', 'another ticket than the one announced', { extra: [announcing(LARGE)], behind: ticketFrame(Buffer.alloc(LARGE.length)) }),
  taken('E-7, R-3', 'early data behind the ticket', (s) => ({
    extra: [announcing(LARGE)],
    behind: Buffer.concat([ticketFrame(LARGE), data(0, s.said)]),
  })),
  malformed('E-7', 'DATA where a ticket was announced', { extra: [announcing(LARGE)], behind: data(0, Buffer.of(1)) }),
  malformed('E-7', 'a ticket of another length than announced', { extra: [announcing(LARGE)], behind: ticketFrame(LARGE.subarray(1)) }),
  malformed('R-3', 'a ticket that was not announced', { behind: ticketFrame(LARGE) }),
  taken('R-5, O-12', 'CREDENTIALS that nobody asks for', { extra: [[Tag.CREDENTIALS, EMPTY]] }),
  {
    rule: 'V-3, H-6',
    name: 'RESUME of another version gets VERSION, with its session id and without a MAC',
    run: async (t) => {
      const session = await used(t);
      const { reply, circuit, resume } = await session.resume({ header: { version: 2 } });
      if (reply.kind !== Kind.REJECTED || numberOf(reply, Tag.CODE) !== Reject.VERSION) throw new Failure('it is not REJECTED(VERSION)');
      if (reply.fields.has(Tag.MAC)) throw new Failure('it has a MAC, and another version cannot be verified (X-2)');
      if (reply.bytes.length > resume.length) throw new Failure('it is longer than the RESUME (X-1)');
      await circuit.endedInSilence();
      await session.alive();
    },
  },
];

function unsupported(tag: number): Case {
  return {
    rule: 'H-10, H-6',
    name: `RESUME with unknown tag 0x${tag.toString(16)} gets REJECTED(8), with its session id`,
    run: async (t) => {
      const session = await used(t);
      const { reply, circuit, resume } = await session.resume({ edit: (tlvs) => [...tlvs.slice(0, -1), [tag, EMPTY], ...tlvs.slice(-1)] });
      if (reply.kind !== Kind.REJECTED || numberOf(reply, Tag.CODE) !== Reject.UNSUPPORTED)
        throw new Failure('it is not REJECTED(UNSUPPORTED)');
      if (reply.bytes.length > resume.length) throw new Failure(`REJECTED has ${reply.bytes.length} bytes, RESUME ${resume.length} (X-1)`);
      await circuit.endedInSilence();
      await session.alive();
    },
  };
}

// -- MAC

/** A RESUME that its MAC does not stand for: UNKNOWN, and the session with its circuit untouched. */
function forged(rule: string, name: string, fields: (session: Session) => ResumeFields): Case {
  return {
    rule,
    name: `RESUME ${name} gets UNKNOWN, and touches nothing else`,
    run: async (t) => {
      const session = await used(t);
      session.generation = 4;
      await session.refused(Reject.UNKNOWN, fields(session));
      session.generation = 1;
      await session.alive();
    },
  };
}

/** Turns one bit of the finished flight. */
function turned(name: string, at: number | ((bytes: Buffer) => number), bit: number = 1): Case {
  return forged('R-15, K-6', `with a bit turned in ${name}`, (session) => ({
    positions: { received: 8, acked: 4, limit: session.limit + 4, base: 0, sent: 8 },
    alter: (bytes) => {
      const index = typeof at === 'number' ? at : at(bytes);
      bytes[index] = (bytes[index] as number) ^ bit;
    },
  }));
}

/** Where the value of a tag stands. */
function valueAt(tag: number, more: number = 0): (bytes: Buffer) => number {
  return (bytes) => {
    for (let at = 26; at < bytes.length; at += 3 + bytes.readUInt16BE(at + 1)) if (bytes[at] === tag) return at + 3 + more;
    throw new Error(`no tag ${tag}`);
  };
}

function sealed(name: string, seal: (session: Session) => NonNullable<ResumeFields['seal']>, rule: string = 'R-15, K-5'): Case {
  return forged(rule, name, (session) => ({ seal: seal(session) }));
}

const macs: readonly Case[] = [
  turned('node', 6),
  turned('the reserved byte', 7),
  turned('the first byte of the session id', 8),
  turned('the last byte of the session id', 23),
  turned('NONCE', valueAt(Tag.NONCE, 5)),
  turned('MAX_VERSION', valueAt(Tag.MAX_VERSION), 2),
  turned('GENERATION', valueAt(Tag.GENERATION, 7), 2),
  turned('INSTANCE', valueAt(Tag.INSTANCE, 7), 2),
  ...positionNames.map((name, index) => turned(`position ${name}`, valueAt(Tag.POSITIONS, index * 8 + 7))),
  ...[0, 8, 15].map((at) => turned(`byte ${at} of the MAC`, valueAt(Tag.MAC, at))),
  forged('R-15', 'of an unknown session', () => ({ header: { sessionId: randomBytes(16) } })),
  sealed('with a MAC of zeros', () => () => Buffer.alloc(16)),
  sealed('with the key of the accepting side', (s) => (input, c) => mac(s.keys.server, 'resume', [input], s.binding(c))),
  sealed('with the label of RESUMED', (s) => (input, c) => mac(s.keys.client, 'resumed', [input], s.binding(c))),
  sealed('with the label of CONFIRM', (s) => (input, c) => mac(s.keys.client, 'confirm', [input], s.binding(c))),
  sealed('with a MAC over its body alone', (s) => (input, c) => mac(s.keys.client, 'resume', [input.subarray(26)], s.binding(c))),
  sealed('with a MAC over OPEN as well', (s) => (input, c) => mac(s.keys.client, 'resume', [s.offer.bytes, input], s.binding(c))),
  { ...sealed('without the channel binding', (s) => (input) => mac(s.keys.client, 'resume', [input], EMPTY), 'K-4, Z-5'), needs: 'TLS' },
  {
    ...sealed(
      'with the channel binding of another connection',
      (s) => (input) => mac(s.keys.client, 'resume', [input], s.binding(s.circuit)),
      'K-4, Z-5',
    ),
    needs: 'TLS',
  },
  {
    rule: 'R-15',
    name: 'an unknown id and a bad mac are answered alike, byte for byte but the id',
    run: async (t) => {
      const session = await used(t);
      const stranger = await session.refused(Reject.UNKNOWN, { header: { sessionId: randomBytes(16) } });
      const forger = await session.refused(Reject.UNKNOWN, { seal: () => Buffer.alloc(16) });
      const rest = ({ bytes }: { readonly bytes: Buffer }): Buffer => Buffer.concat([bytes.subarray(0, 8), bytes.subarray(24)]);
      if (!rest(stranger).equals(rest(forger))) throw new Failure('the two answers differ');
    },
  },
  {
    rule: 'K-4, R-14',
    name: 'a session of TLS 1.3 with the exporter does not resume on TLS 1.2',
    needs: 'TLS',
    run: async (t) => {
      const session = await used(t);
      const answer = await session.resume({}, await t.dial({ tlsVersion: 'TLSv1.2' }));
      if (answer.reply.kind === Kind.RESUMED) throw new Failure('it was resumed');
      if (![Reject.AUTH, Reject.UNKNOWN].includes(numberOf(answer.reply, Tag.CODE) as 9)) throw new Failure('neither AUTH nor UNKNOWN');
      await session.alive();
    },
  },
  {
    rule: 'R-14',
    name: 'a session opened on TLS 1.3 by X25519 does not resume on TLS 1.2',
    needs: 'TLS',
    run: async (t) => {
      const session = await t.open({ methods: Method.X25519 | (t.target.psk === undefined ? 0 : Method.PSK) });
      await session.alive();
      await session.refusal(await session.resume({}, await t.dial({ tlsVersion: 'TLSv1.2' })), Reject.AUTH);
      await session.alive();
    },
  },
  {
    rule: 'K-4',
    name: 'a session opened on TLS 1.2 by X25519 resumes on TLS 1.2, without a binding',
    needs: 'TLS',
    run: async (t) => {
      const session = await t.open({}, await t.dial({ tlsVersion: 'TLSv1.2' }));
      await session.alive();
      session.attach(await session.resume({}, await t.dial({ tlsVersion: 'TLSv1.2' })));
      await session.alive();
    },
  },
];

// -- generation and instance

/** Stored generation and instance, asked ones, and the verdict of R-6. Another instance is brought about by a process that came from a store. */
const generations: readonly (readonly [g: number, i: number, asked: number, instance: number, verdict: 0 | number])[] = [
  [1, 1, 2, 1, 0],
  [1, 1, 3, 1, 0],
  [1, 1, 1_000_000, 1, 0],
  [1, 1, Number.MAX_SAFE_INTEGER, 1, 0],
  [1, 1, 1, 1, Reject.STALE_GENERATION],
  [5, 1, 5, 1, Reject.STALE_GENERATION],
  [5, 1, 4, 1, Reject.STALE_GENERATION],
  [5, 1, 1, 1, Reject.STALE_GENERATION],
  [1, 1, 2, 2, 0],
  [5, 1, 6, 6, 0],
  [5, 1, 9, 6, 0],
  [5, 1, 6, 5, Reject.TAKEN_OVER],
  [5, 1, 6, 2, Reject.TAKEN_OVER],
  [5, 1, 5, 5, Reject.TAKEN_OVER],
  [5, 1, 4, 3, Reject.TAKEN_OVER],
  [5, 5, 6, 1, Reject.TAKEN_OVER],
  [5, 5, 6, 4, Reject.TAKEN_OVER],
  [5, 5, 6, 5, 0],
  [5, 5, 6, 6, 0],
  [5, 5, 5, 5, Reject.STALE_GENERATION],
  [5, 5, 4, 1, Reject.TAKEN_OVER],
];

const fences: readonly Case[] = [
  ...generations.map(
    ([g, i, generation, instance, verdict]): Case => ({
      rule: 'R-6',
      name: `stored (${g}, ${i}), asked (${generation}, ${instance}): ${verdict === 0 ? 'taken' : `REJECTED(${verdict}), which names ${g}`}`,
      run: async (t) => {
        const session = await used(t);
        if (g > 1) await session.reattach({ generation: g, instance: i });
        if (verdict === 0) {
          await session.reattach({ generation, instance });
          await session.closeCleanly();
          return;
        }
        const reply = await session.refused(verdict, { generation, instance });
        if (numberOf(reply, Tag.GENERATION) !== g) throw new Failure(`it names generation ${numberOf(reply, Tag.GENERATION)}`);
        await session.alive();
      },
    }),
  ),
  {
    rule: 'R-6, R-5',
    name: 'a refused RESUME does not use up its generation',
    run: async (t) => {
      const session = await used(t);
      await session.refused(Reject.STATE_LOST, { generation: 7, positions: { sent: 4 } });
      await session.reattach({ generation: 2 });
      await session.alive();
    },
  },
  {
    rule: 'R-1, R-6',
    name: 'the same RESUME again, byte for byte, is stale and changes nothing',
    run: async (t) => {
      const session = await used(t);
      const circuit = await t.dial();
      const bytes = session.resumeBytes({}, circuit);
      circuit.write(bytes);
      session.attach(await session.verdict(bytes, {}, circuit));
      const again = await t.dial();
      again.write(bytes);
      // On TLS 1.3 the channel binding makes it a bad mac.
      const answer = await session.verdict(bytes, { generation: 2 }, again);
      await session.refusal(answer, session.bound ? Reject.UNKNOWN : Reject.STALE_GENERATION);
      await session.alive();
    },
  },
  {
    rule: 'R-6, R-16',
    name: 'two RESUMEs at once: the higher generation has it in the end',
    run: async (t) => {
      const session = await used(t);
      const [two, three] = await Promise.all([session.resume({ generation: 2 }), session.resume({ generation: 3 })]);
      if (two.reply.kind !== Kind.RESUMED) await session.refusal(two, Reject.STALE_GENERATION);
      session.attach(three);
      await session.closeCleanly();
      await two.circuit.ended();
    },
  },
  {
    rule: 'R-6',
    name: 'eight RESUMEs at once: each is taken or stale, and the highest generation has it in the end',
    run: async (t) => {
      const session = await used(t);
      const answers = await Promise.all([2, 3, 4, 5, 6, 7, 8, 9].map((generation) => session.resume({ generation })));
      const last = answers.pop() as Answer;
      for (const answer of answers) if (answer.reply.kind !== Kind.RESUMED) await session.refusal(answer, Reject.STALE_GENERATION);
      session.attach(last);
      await session.closeCleanly();
      await Promise.all(answers.map(({ circuit }) => circuit.ended()));
    },
  },
  {
    rule: 'R-16, T-5',
    name: 'the older circuit gets SUPERSEDED with the new generation, and the half-close',
    run: async (t) => {
      const session = await used(t);
      const older = session.circuit;
      await session.reattach({ generation: 6 });
      for (let type = 0; type !== Type.SUPERSEDED; ) {
        const found = await older.frame();
        type = found.type;
        if (type === Type.SUPERSEDED && offsetAt(found.body, 0) !== 6) throw new Failure(`SUPERSEDED(${offsetAt(found.body, 0)})`);
      }
      await older.endedInSilence();
      await session.alive();
    },
  },
  {
    rule: 'R-16',
    name: 'an older circuit that stays open on this side is closed all the same',
    run: async (t) => {
      const session = await used(t);
      const older = session.circuit;
      await session.reattach();
      await older.ended();
      // Until it is closed, writes go through; afterwards they are answered by a reset.
      const beat = setInterval(() => older.write(ping('still')), 50);
      await older.closed(10_000).finally(() => clearInterval(beat));
      await session.alive();
    },
  },
];

// -- positions

/** Bad positions: STATE_LOST with theirs, and the session with its circuit untouched. The session has sent 8 bytes, got 8 and acked 4. */
function lost(name: string, fields: Partial<Positions>): Case {
  return {
    rule: 'R-7',
    name: `${name}: STATE_LOST, with their positions, and nothing changes`,
    run: async (t) => {
      const session = await acked(t);
      const reply = await session.refused(Reject.STATE_LOST, { positions: fields, behind: data(8, message('early')) });
      const { received, sent, base } = positionsOf(reply);
      if (received !== 8 || sent !== 8 || base > 4)
        throw new Failure(`their positions are received ${received}, base ${base}, sent ${sent}`);
      await session.alive();
      session.say('more');
      await session.echoed();
    },
  };
}

/** Positions at the very edge: RESUMED. */
function fits(name: string, fields: Partial<Positions>): Case {
  return {
    rule: 'R-7',
    name: `${name}: taken`,
    run: async (t) => {
      const session = await acked(t);
      await session.reattach({ positions: fields });
      session.say('more');
      await session.echoed();
    },
  };
}

async function acked(t: Bench): Promise<Session> {
  const session = await used(t);
  session.acked = 4;
  session.limit = 4 + session.window;
  session.write(ack(session.acked, session.limit));
  // The PONG tells that it was read.
  await session.alive();
  return session;
}

const positions: readonly Case[] = [
  lost('received above what they have sent', { received: 9 }),
  lost('received below their base', { received: 0, acked: 0, limit: 65_540 }),
  lost('base above what they have received', { base: 9, sent: 9 }),
  lost('sent below what they have received', { sent: 7 }),
  lost('a limit below the one told last', { limit: 65_539 }),
  lost('the limit of the beginning', { limit: 65_536 }),
  fits('received = their sent', { received: 8 }),
  fits('received = their base', { received: 4 }),
  fits('base = their received', { base: 8, sent: 8 }),
  fits('a sent of which much did not arrive', { sent: 100 }),
  fits('acked below the last ACK', { acked: 2 }),
  {
    rule: 'R-8',
    name: 'RESUMED has their positions as of this instant, and the times that apply',
    run: async (t) => {
      const session = await acked(t);
      session.say('more');
      await session.echoed();
      await session.ackOf(16);
      const answer = await session.resume();
      const theirs = session.attach(answer);
      const expected = { received: 16, acked: 16, limit: 16 + session.peerWindow, sent: 16 };
      for (const [name, value] of Object.entries(expected)) {
        if (theirs[name as keyof Positions] !== value) throw new Failure(`${name} is ${theirs[name as keyof Positions]}, not ${value}`);
      }
      if (theirs.base > 4) throw new Failure(`base is ${theirs.base}, 4 is acked (S-3)`);
      if (numberOf(answer.reply, Tag.HEARTBEAT) < 1000) throw new Failure('a heartbeat below 1 s (B-3)');
    },
  },
  {
    rule: 'R-8',
    name: 'each RESUMED has a new nonce',
    run: async (t) => {
      const session = await used(t);
      const [a, b] = [await session.resume({ generation: 2 }), await session.resume({ generation: 3 })];
      if (a.reply.fields.get(Tag.NONCE)?.equals(b.reply.fields.get(Tag.NONCE) as Buffer)) throw new Failure('two RESUMED have the same');
    },
  },
  {
    rule: 'R-10',
    name: 'acked and limit of a RESUME count like an ACK: the window opens',
    run: async (t) => {
      const session = await t.open({ window: 16 });
      for (const word of ['one.', 'two.', 'thre']) session.say(word);
      while (session.heard.length < 16) await session.next();
      session.acked = 16;
      session.limit = 32;
      await session.reattach();
      await session.echoed();
    },
  },
  {
    rule: 'R-11',
    name: 'they go on with DATA at what this side has received, not at what it has acked',
    run: async (t) => {
      const session = await used(t);
      session.heard = session.heard.subarray(0, 5);
      session.received = 5;
      await session.reattach();
      await session.echoed();
    },
  },
  {
    rule: 'R-11, S-3',
    name: 'what this side has not received is sent again, all of it, in order',
    run: async (t) => {
      const session = await used(t);
      for (let i = 0; i < 40; i++) session.say(randomBytes(i * 7));
      await session.ackOf(session.sent);
      session.heard = EMPTY;
      session.received = 0;
      await session.reattach();
      await session.echoed();
      await session.closeCleanly();
    },
  },
  {
    rule: 'S-2, R-11',
    name: 'ten circuits, each cut while messages are on their way: nothing lost, nothing twice',
    run: async (t) => {
      const session = await used(t);
      for (let i = 0; i < 10; i++) {
        for (let j = 0; j < 5; j++) session.say(randomBytes(200));
        if (i % 2 === 0) await session.next();
        session.circuit.cut();
        await session.reattach();
      }
      await session.echoed();
      await session.closeCleanly();
    },
  },
];

// -- early data

/** Early data that is right: what it says comes back once. */
function early(name: string, behind: (session: Session) => Buffer, rule: string = 'R-3'): Case {
  return {
    rule,
    name: `early data: ${name}`,
    run: async (t) => {
      const session = await used(t);
      await session.reattach({ behind: behind(session), positions: { sent: session.sent } });
      if (session.said.length + 1 === session.sent) return session.closeBehindEnd();
      await session.echoed();
      await session.closeCleanly();
    },
  };
}

/** What may not stand behind a RESUME: a fault of that circuit, at the latest behind RESUMED. The session can be resumed. */
function tooEarly(name: string, behind: (session: Session) => Buffer, rule: string = 'R-3'): Case {
  return {
    rule,
    name: `early data: ${name} is a fault of the circuit`,
    run: async (t) => {
      const session = await used(t);
      const circuit = await t.dial();
      const bytes = behind(session);
      const resume = session.resumeBytes({}, circuit);
      circuit.write(resume, bytes);
      const first = await circuit.flight().catch(() => undefined);
      if (first?.kind === Kind.CHALLENGE) circuit.write(session.proofFrame(resume, first.bytes, circuit));
      await circuit.ended();
      await session.reattach({ generation: 3 });
      session.say('more');
      await session.echoed();
    },
  };
}

/** Frames of exactly so many bytes in all, from offset 8 on. */
function filled(session: Session, bytes: number): Buffer {
  return session.put(message(Buffer.alloc(bytes - 16, 0x41)));
}

const earlies: readonly Case[] = [
  early('one DATA', (s) => s.put(message('early'))),
  early('several DATA', (s) => Buffer.concat([s.put(message('one')), s.put(message('two')), s.put(message('three'))])),
  early('a message cut over two DATA', (s) => Buffer.concat([s.put(message('early').subarray(0, 3)), s.put(message('early').subarray(3))])),
  early('DATA and END', (s) => Buffer.concat([s.put(message('last')), s.fin()]), 'R-3, S-6'),
  early('END alone', (s) => s.fin(), 'R-3, S-6'),
  early(
    'all from base on, of which all but the last arrived before',
    (s) => Buffer.concat([data(0, s.said), s.put(message('new'))]),
    'R-3, S-2',
  ),
  early(
    'DATA that overlaps what arrived',
    (s) => data(4, Buffer.concat([s.said.subarray(4), s.put(message('new')).subarray(12)])),
    'R-3, S-2',
  ),
  early('exactly 14,336 bytes', (s) => filled(s, EARLY_BYTES), 'R-3, B-1'),
  {
    rule: 'R-3, R-4',
    name: 'early data: a frame that arrives in halves',
    run: async (t) => {
      const session = await used(t);
      const circuit = await t.dial();
      const resume = session.resumeBytes({}, circuit);
      const frame = session.put(message('in halves'));
      circuit.write(resume, frame.subarray(0, 15));
      const rest = frame.subarray(15);
      const answer = await session.verdict(resume, {}, circuit, rest);
      session.attach(answer);
      if (answer.challenge === undefined) circuit.write(rest);
      await session.echoed();
    },
  },
  {
    rule: 'R-5, R-15',
    name: 'early data behind a RESUME with a bad mac is not delivered',
    run: async (t) => {
      const session = await used(t);
      await session.refused(Reject.UNKNOWN, { seal: () => Buffer.alloc(16), behind: data(8, message('forged')) });
      session.say('mine');
      await session.echoed();
    },
  },
  {
    rule: 'R-5, R-6',
    name: 'early data behind a stale RESUME is not delivered',
    run: async (t) => {
      const session = await used(t);
      await session.refused(Reject.STALE_GENERATION, { generation: 1, behind: data(8, message('stale')) });
      session.say('mine');
      await session.echoed();
    },
  },
  tooEarly('a gap', () => data(9, message('gap')), 'R-3, S-2'),
  tooEarly('END beyond a gap', () => end(9), 'R-3, S-6'),
  tooEarly('14,337 bytes', (s) => filled(s, EARLY_BYTES + 1)),
  tooEarly('14,400 bytes', (s) => filled(s, EARLY_BYTES + 64)),
  tooEarly('a PING', () => ping('early')),
  tooEarly('an ACK', () => ack(0, 65_536)),
  tooEarly('a SYNC', () => sync(8)),
  tooEarly('DATA and then an ACK', (s) => Buffer.concat([s.put(message('early')), ack(0, 65_536)])),
  tooEarly('an ignorable frame', () => frame(0x80, EMPTY)),
  tooEarly('CLOSE(7)', () => close(7)),
  tooEarly('CONFIRM', (s) => s.confirmFrame(), 'R-3, F-6'),
  { ...tooEarly('PROOF where none is due', () => frame(Type.PROOF, Buffer.alloc(16)), 'R-13, F-6'), needs: 'no challenge' },
  tooEarly('DATA of no bytes', () => data(8, EMPTY), 'F-3'),
];

/** As filled(), for a circuit whose early data does not count. */
function dropped(session: Session, bytes: number): Buffer {
  return data(session.sent, message(Buffer.alloc(bytes - 16, 0x41)));
}

// -- CHALLENGE

async function challenged(
  t: Bench,
  fields: ResumeFields,
): Promise<{ session: Session; circuit: Circuit; resume: Buffer; challenge: Buffer }> {
  const session = await used(t);
  const circuit = await t.dial();
  const resume = session.resumeBytes(fields, circuit);
  circuit.write(resume, fields.behind ?? EMPTY);
  const { kind, bytes, sessionId } = await circuit.flight();
  if (kind !== Kind.CHALLENGE) throw new Failure(`a flight of kind ${kind}, expected CHALLENGE`);
  if (!sessionId.equals(resume.subarray(8, 24))) throw new Failure('CHALLENGE with another session id (H-6)');
  return { session, circuit, resume, challenge: bytes };
}

function proofFails(name: string, make: (session: Session, resume: Buffer, challenge: Buffer) => Buffer): Case {
  return {
    rule: 'R-13, R-15',
    name: `a PROOF ${name} gets UNKNOWN without mac`,
    needs: 'challenge',
    run: async (t) => {
      const { session, circuit, resume, challenge } = await challenged(t, {});
      circuit.write(frame(Type.PROOF, make(session, resume, challenge)));
      const answer = { reply: await circuit.flight(), circuit, resume, challenge, generation: 2, received: 8, acked: 0 };
      await session.refusal(answer, Reject.UNKNOWN);
      await session.alive();
    },
  };
}

function proofEnds(name: string, bytes: (session: Session, proof: Buffer) => Buffer, ms?: number): Case {
  return {
    rule: 'R-13, F-6',
    name: `${name} in answer to CHALLENGE ends the circuit, and touches nothing else`,
    needs: 'challenge',
    run: async (t) => {
      const { session, circuit, resume, challenge } = await challenged(t, {});
      circuit.write(bytes(session, session.proofFrame(resume, challenge, circuit)));
      await circuit.endedInSilence(ms);
      await session.alive();
    },
  };
}

const challenges: readonly Case[] = [
  {
    rule: 'R-12',
    name: 'known ids, unknown ids and bad macs are challenged alike, each with a new nonce',
    needs: 'challenge',
    run: async (t) => {
      const all = [{}, { header: { sessionId: randomBytes(16) } }, { seal: () => Buffer.alloc(16) }, {}];
      const nonces = await Promise.all(all.map(async (fields) => (await challenged(t, fields)).challenge.subarray(29).toString('hex')));
      if (new Set(nonces).size !== nonces.length) throw new Failure('a nonce came twice');
    },
  },
  {
    rule: 'R-13, K-5',
    name: 'PROOF directly behind early data, and RESUMED whose mac covers the CHALLENGE',
    needs: 'challenge',
    run: async (t) => {
      const session = await used(t);
      const answer = await session.resume({ behind: session.put(message('early')) });
      if (answer.challenge === undefined || earlierOf(answer).length !== 2) throw new Failure('there was no CHALLENGE');
      session.attach(answer);
      await session.echoed();
    },
  },
  proofFails('of zeros', () => Buffer.alloc(16)),
  proofFails('over RESUME alone', (s, resume) => mac(s.keys.client, 'proof', [resume], s.binding(s.circuit))),
  proofFails('over another CHALLENGE', (s, resume, challenge) =>
    mac(s.keys.client, 'proof', [resume, Buffer.from(challenge).fill(7, 30)], EMPTY),
  ),
  proofFails('with the label of RESUME', (s, resume, challenge) => mac(s.keys.client, 'resume', [resume, challenge], EMPTY)),
  proofEnds('PING', () => ping('proof')),
  proofEnds('CONFIRM', (s) => s.confirmFrame()),
  proofEnds('PROOF of 15 bytes', (_, proof) => frame(Type.PROOF, proof.subarray(4, 19))),
  proofEnds('PROOF and a PING behind it', (_, proof) => Buffer.concat([proof, ping('behind')])),
  proofEnds('14,337 bytes of early data before PROOF', (s, proof) => Buffer.concat([dropped(s, EARLY_BYTES + 1), proof])),
  { ...proofEnds('nothing for 5 s', () => EMPTY, 10_000), slow: true },
];

export const resuming: readonly Section[] = [
  { title: 'RESUME: form', cases: forms },
  { title: 'RESUME: mac', cases: macs },
  { title: 'RESUME: generation and instance', cases: fences },
  { title: 'RESUME: positions and replay', cases: positions },
  { title: 'RESUME: early data', cases: earlies },
  { title: 'CHALLENGE', cases: challenges },
];
