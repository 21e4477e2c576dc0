// Cases about OPEN: its header, its form, what it is answered, and CONFIRM (H-1 to H-17, V-3, O-1 to O-11, B-1 to B-4).

import { randomBytes } from 'node:crypto';
import {
  ack,
  BODY_BYTES,
  close,
  data,
  EMPTY,
  end,
  Failure,
  flight,
  frame,
  type Header,
  Kind,
  MAGIC,
  message,
  NO_SESSION,
  numberOf,
  type Part,
  ping,
  Reject,
  sync,
  Tag,
  type Tlv,
  Type,
  tlv,
  uint,
} from '../bytes.ts';
import { keyPair, mac } from '../keys.ts';
import { type Bench, expectRejected, Method, type OpenFields, type Session } from '../session.ts';
import type { Case, Section } from '../suite.ts';
import { badTlvs, without } from './forms.ts';

// -- the form of OPEN

type Verdict = 'opened' | 'ended' | number;

/** One OPEN and what becomes of it: OPENED, REJECTED with that code, or the end of the circuit without a byte. */
function form(rule: string, name: string, verdict: Verdict, fields: OpenFields | ((t: Bench) => OpenFields)): Case {
  const said =
    verdict === 'opened' ? 'is taken' : verdict === 'ended' ? 'ends the circuit, without an answer' : `gets REJECTED(${verdict})`;
  return {
    rule,
    name: `OPEN with ${name} ${said}`,
    run: async (t) => {
      const offer = await t.offer(typeof fields === 'function' ? fields(t) : fields);
      if (verdict === 'ended') return offer.circuit.endedInSilence();
      if (verdict !== 'opened') return void (await t.refused(offer, verdict));
      const session = await t.opened(offer);
      session.write(session.confirmFrame());
      await session.alive();
    },
  };
}

function header(rule: string, name: string, verdict: Verdict, given: Header): Case {
  return form(rule, name, verdict, { header: given });
}

const x25519: OpenFields = { methods: Method.X25519 };

/** As many bytes of TLVs as a body can hold. */
function full(tlvs: Tlv[]): Part[] {
  const bytes = tlvs.reduce((sum, one) => sum + tlv(one).length, 0);
  return [...tlvs, [0x80, Buffer.alloc(BODY_BYTES - bytes - 3)]];
}

const headers: readonly Case[] = [
  ...[0, 1, 2, 3].map((at): Case => {
    const magic = Buffer.from(MAGIC);
    magic[at] = (magic[at] as number) ^ 1;
    return header('H-1, T-3', `magic byte ${at} wrong`, 'ended', { magic });
  }),
  ...[0, 2, 3, 255].map((version) => header('V-3, H-3', `version ${version}`, Reject.VERSION, { version })),
  ...[1, 127, 255].map((node) => header('H-2', `node ${node}`, 'opened', { node })),
  ...[1, 255].map((reserved) => header('§3.1, K-6', `reserved byte ${reserved}`, 'opened', { reserved })),
  header('H-6', 'a session id', 'ended', { sessionId: randomBytes(16) }),
  header('H-5', 'a body length of 8,193', 'ended', { length: 8193 }),
  header('H-5', 'a body length of 65,535', 'ended', { length: 65_535 }),
  form('H-12', 'an empty body', 'ended', { edit: () => [] }),
  form('H-5, B-1', 'a body of exactly 8,192 bytes', 'opened', { edit: full }),
  ...[0x00, 0x03, 0x04, 0x7f, 0x80, 0x84, 0x8e, 0xff].map(
    (kind): Case => ({
      rule: 'H-4',
      name: `a flight of unknown kind 0x${kind.toString(16)} ends the circuit, without an answer`,
      run: (t) => kindEnds(t, kind, NO_SESSION),
    }),
  ),
  ...(['OPENED', 'RESUMED', 'CHALLENGE', 'REJECTED'] as const).map(
    (name): Case => ({
      rule: 'H-4',
      name: `${name} from the dialing side ends the circuit, without an answer`,
      run: (t) => kindEnds(t, Kind[name], name === 'REJECTED' ? NO_SESSION : randomBytes(16)),
    }),
  ),
  {
    rule: 'H-4, H-3, V-1',
    name: 'REJECTED of another version from the dialing side ends the circuit, without an answer',
    run: async (t) => {
      const circuit = await t.dial();
      circuit.write(flight(Kind.REJECTED, [[Tag.CODE, uint(2, 1)]], { version: 2 }));
      await circuit.endedInSilence();
    },
  },
  {
    rule: 'V-3',
    name: 'another version is answered once the header is there',
    run: async (t) => {
      const circuit = await t.dial();
      circuit.write(flight(Kind.OPEN, EMPTY, { version: 2, length: 500 }));
      const reply = await circuit.flight();
      expectRejected(reply, Reject.VERSION);
      if (!reply.fields.get(Tag.VERSIONS)?.includes(1)) throw new Failure('version 1 is not in VERSIONS');
      await circuit.endedInSilence();
    },
  },
  {
    rule: 'H-7, H-5',
    name: 'OPEN whose body length ends within its last TLV ends the circuit',
    run: async (t) => {
      const circuit = await t.dial();
      const whole = t.openBytes(circuit, {}, keyPair());
      whole.writeUInt16BE(whole.readUInt16BE(24) - 1, 24);
      circuit.write(whole);
      await circuit.endedInSilence();
    },
  },
  {
    rule: 'B-2, H-5',
    name: 'OPEN that never gets whole is waited for 5 s, and not for ever',
    slow: true,
    run: async (t) => {
      const circuit = await t.dial();
      const whole = t.openBytes(circuit, {}, keyPair());
      circuit.write(whole.subarray(0, whole.length - 1));
      await circuit.quiet(1000);
      await circuit.endedInSilence(10_000);
    },
  },
  {
    rule: 'B-2',
    name: 'a connection that says nothing is waited for 5 s, and not for ever',
    slow: true,
    run: async (t) => (await t.dial()).endedInSilence(10_000),
  },
];

async function kindEnds(t: Bench, kind: number, sessionId: Buffer): Promise<void> {
  const circuit = await t.dial();
  circuit.write(flight(kind, [[Tag.NONCE, randomBytes(kind === Kind.CHALLENGE ? 32 : 16)]], { sessionId }));
  await circuit.endedInSilence();
}

const openSizes: readonly (readonly [string, number, number])[] = [
  ['NONCE', Tag.NONCE, 16],
  ['KEY_METHODS', Tag.KEY_METHODS, 1],
  ['PUBLIC_KEY', Tag.PUBLIC_KEY, 32],
  ['FRAMING', Tag.FRAMING, 0],
  ['WINDOW', Tag.WINDOW, 4],
  ['HEARTBEAT', Tag.HEARTBEAT, 4],
  ['HOLD', Tag.HOLD, 4],
  ['MAX_VERSION', Tag.MAX_VERSION, 1],
];

const forms: readonly Case[] = [
  ...badTlvs(openSizes).map(({ rule, name, edit }) => form(rule, name, 'ended', (t) => withKey(t, edit))),
  ...(['GENERATION', 'INSTANCE', 'POSITIONS', 'TICKET', 'CODE', 'RETRY_AFTER', 'VERSIONS', 'CAUSE', 'REASON', 'MAC'] as const).map((name) =>
    form('H-10', `${name}, which it does not have,`, 'ended', { extra: [[Tag[name], Buffer.alloc(16, 1)]] }),
  ),
  ...[0x80, 0xa5, 0xff].map((tag) => form('H-10, V-5', `unknown tag 0x${tag.toString(16)}`, 'opened', { extra: [[tag, randomBytes(40)]] })),
  form('H-10, V-5', 'an unknown tag from 0x80 on without a value', 'opened', { extra: [[0x90, EMPTY]] }),
  form('H-8', 'the same unknown tag from 0x80 on twice', 'ended', { edit: (tlvs) => [...tlvs, [0x90, EMPTY], [0x90, EMPTY]] }),
  form('H-8', 'an unknown tag from 0x80 on in front of lower ones', 'ended', { edit: (tlvs) => [[0x90, EMPTY], ...tlvs] }),
  ...[0x00, 0x15, 0x40, 0x7e].map(
    (tag): Case => ({
      ...form('H-10', `unknown tag 0x${tag.toString(16)}`, Reject.UNSUPPORTED, { extra: [[tag, EMPTY]] }),
      should: true,
    }),
  ),
  form('H-11', 'a FRAMING of 65 bytes', 'ended', { framing: 'x'.repeat(65) }),
  form('H-11, O-2', 'a FRAMING of 64 bytes', Reject.FRAMING, { framing: 'x'.repeat(64) }),
  ...['\x1f', '\x7f', '\x80', '\xff', '\0', '\n'].map((byte) =>
    form('H-15', `byte 0x${byte.charCodeAt(0).toString(16)} in FRAMING`, 'ended', { framing: `raw${byte}` }),
  ),
  form('H-16', 'WINDOW 0', 'ended', { window: 0 }),
  form('H-16', 'HEARTBEAT 0', 'ended', { heartbeatMs: 0 }),
  form('H-17', 'MAX_VERSION 0', 'ended', { edit: (tlvs) => replaced(tlvs, Tag.MAX_VERSION, uint(1, 0)) }),
  form('H-14', 'bit X25519 and no PUBLIC_KEY', 'ended', (t) => ({
    ...psk(t, Method.X25519),
    edit: (tlvs) => without(tlvs, Tag.PUBLIC_KEY),
  })),
  form('H-14', 'PUBLIC_KEY and no bit X25519', 'ended', { methods: Method.EXPORTER, extra: [[Tag.PUBLIC_KEY, randomBytes(32)]] }),
  form('B-3, H-16', 'WINDOW 1', 'opened', { window: 1 }),
  form('B-3', 'WINDOW 2^32-1', 'opened', { window: 0xffff_ffff }),
  form('B-3, O-5', 'HEARTBEAT 1', 'opened', { heartbeatMs: 1 }),
  form('B-3, O-5', 'HEARTBEAT 2^32-1', 'opened', { heartbeatMs: 0xffff_ffff }),
  form('B-3, O-5', 'HOLD 2^32-1', 'opened', { holdMs: 0xffff_ffff }),
  form('H-16, O-5', 'HOLD 0', 'opened', { holdMs: 0 }),
  form('O-12', 'empty CREDENTIALS and METADATA', 'opened', {
    extra: [
      [Tag.CREDENTIALS, EMPTY],
      [Tag.METADATA, EMPTY],
    ],
  }),
  form('O-12', '512 bytes of METADATA', 'opened', { extra: [[Tag.METADATA, randomBytes(512)]] }),
];

/** OPEN with a PUBLIC_KEY in it, whatever the connection has. */
function withKey(t: Bench, edit: (tlvs: Tlv[]) => Part[]): OpenFields {
  return { ...psk(t, Method.X25519), edit };
}

function psk(t: Bench, methods: number): OpenFields {
  return { methods: methods | (t.target.psk === undefined ? 0 : Method.PSK) };
}

function replaced(tlvs: readonly Tlv[], tag: number, value: Buffer): Tlv[] {
  return tlvs.map((one) => (one[0] === tag ? [tag, value] : one));
}

// -- what OPEN is answered

const answers: readonly Case[] = [
  form('O-2, X-1', 'another framing', Reject.FRAMING, { framing: 'lines/lf/utf8' }),
  form('O-2', 'the right framing in upper case', Reject.FRAMING, { framing: 'LENGTH-PREFIX/4/BIG' }),
  form('O-2', 'the beginning of the right framing', Reject.FRAMING, { framing: 'length-prefix' }),
  form('O-2', 'the right framing and a blank', Reject.FRAMING, { framing: 'length-prefix/4/big ' }),
  form('O-2', 'another framing and no key method: the framing comes first and', Reject.FRAMING, { framing: 'raw', methods: 0 }),
  form('O-3', 'no key method', Reject.KEY_METHOD, (t) => psk(t, 0)),
  form('O-3', 'only unknown key methods', Reject.KEY_METHOD, (t) => psk(t, 0xf8)),
  form('O-3', 'unknown key methods beside X25519', 'opened', (t) => psk(t, 0xf8 | Method.X25519)),
  { ...form('O-3', 'the exporter alone on plain TCP', Reject.KEY_METHOD, (t) => psk(t, Method.EXPORTER)), needs: 'no TLS' },
  { ...form('O-3', 'X25519 alone on TLS 1.3', 'opened', (t) => psk(t, Method.X25519)), needs: 'TLS' },
  { ...form('O-3', 'psk offered to a side that has none', Reject.KEY_METHOD, { methods: Method.X25519 | Method.PSK }), needs: 'no psk' },
  { ...form('O-3', 'no psk offered to a side that has one', Reject.KEY_METHOD, x25519), needs: 'psk' },
  { ...form('O-3', 'psk alone', Reject.KEY_METHOD, { methods: Method.PSK }), needs: 'psk' },
  {
    rule: 'O-3',
    name: 'every method that is offered and usable is used',
    run: async (t) => {
      const circuit = await t.dial();
      const { methods = 0 } = psk(t, Method.EXPORTER | Method.X25519);
      const session = await t.open({ methods }, circuit);
      const usable = circuit.secrets === undefined ? methods & ~Method.EXPORTER : methods;
      const used = numberOf(session.opened, Tag.KEY_METHODS);
      if (used !== usable) throw new Failure(`methods ${used} are used of ${methods} offered, ${usable} are usable`);
      await session.alive();
    },
  },
  {
    rule: 'O-3, K-2',
    name: 'TLS 1.2: the exporter is not usable, X25519 is',
    needs: 'TLS',
    run: async (t) => {
      const session = await t.open(psk(t, Method.X25519), await t.dial({ tlsVersion: 'TLSv1.2' }));
      await session.alive();
      await t.refused(await t.offer(psk(t, Method.EXPORTER), await t.dial({ tlsVersion: 'TLSv1.2' })), Reject.KEY_METHOD);
    },
  },
  ...[
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    `ec${'ff'.repeat(30)}7f`,
  ].map((hex, index) =>
    form('K-2', `a PUBLIC_KEY of low order (${index + 1} of 5)`, 'ended', (t) => ({
      ...psk(t, Method.X25519),
      publicKey: Buffer.from(hex, 'hex'),
    })),
  ),
  {
    rule: 'H-11, O-12',
    name: 'OPEN with 513 bytes of METADATA ends the circuit, or gets REJECTED(8), which says why',
    run: async (t) => {
      const offer = await t.offer({ extra: [[Tag.METADATA, randomBytes(513)]] });
      await offer.circuit.ended();
      if (offer.circuit.waiting.length > 0) await t.refused(offer, Reject.UNSUPPORTED);
    },
  },
  {
    rule: 'O-5',
    name: 'session ids and nonces are new each time, and not zero',
    run: async (t) => {
      const [a, b] = [await t.provisional(), await t.provisional()];
      if (a.id.equals(b.id)) throw new Failure('two sessions have the same id');
      const nonces = [a, b].map(({ opened }) => opened.fields.get(Tag.NONCE) as Buffer);
      if (nonces[0]?.equals(nonces[1] as Buffer)) throw new Failure('two OPENED have the same nonce');
    },
  },
  {
    rule: 'O-5',
    name: 'the heartbeat is the smaller wish, the hold not more than asked for',
    run: async (t) => {
      const session = await t.open({ heartbeatMs: 2000, holdMs: 1000 });
      if (session.heartbeatMs > 2000 || session.holdMs > 1000) throw new Failure(`granted ${session.heartbeatMs} and ${session.holdMs} ms`);
    },
  },
  {
    rule: 'O-10',
    name: 'the same OPEN again on another circuit is a session of its own',
    run: async (t) => {
      const first = await t.offer(psk(t, Method.X25519));
      const one = await t.opened(first);
      const circuit = await t.dial();
      circuit.write(first.bytes);
      const other = await t.opened({ ...first, circuit });
      if (one.id.equals(other.id)) throw new Failure('both have the same session id');
      for (const session of [one, other]) {
        session.write(session.confirmFrame());
        session.say('mine');
        await session.echoed();
      }
    },
  },
  ...[
    ['CONFIRM', frame(Type.CONFIRM, Buffer.alloc(16))],
    ['DATA', data(0, message('early'))],
    ['one byte', Buffer.of(0)],
  ].map(
    ([name, behind]): Case => ({
      rule: 'O-1',
      name: `${name as string} behind OPEN in the same write ends the circuit, without OPENED`,
      run: async (t) => {
        const circuit = await t.dial();
        circuit.write(t.openBytes(circuit, {}, keyPair()), behind as Buffer);
        await circuit.endedInSilence();
      },
    }),
  ),
];

// -- CONFIRM

/** What comes instead of CONFIRM, or as a wrong one, ends the circuit; nothing was confirmed, and a RESUME still can (O-9). */
function notConfirmed(rule: string, name: string, bytes: (session: Session) => Buffer): Case {
  return {
    rule,
    name: `${name} ends the circuit, and a RESUME can still confirm the session`,
    run: async (t) => {
      const session = await t.provisional();
      session.write(bytes(session));
      await session.circuit.endedInSilence();
      await session.reattach();
      session.say('confirmed by RESUME');
      await session.echoed();
    },
  };
}

function confirmBy(name: string, make: (session: Session) => Buffer): Case {
  return notConfirmed('O-7, K-5', `CONFIRM ${name}`, (session) => frame(Type.CONFIRM, make(session)));
}

function macFor(session: Session, label: string, flights: readonly Buffer[], key: 'client' | 'server' = 'client'): Buffer {
  return mac(session.keys[key], label, flights, session.binding(session.circuit));
}

const confirm: readonly Case[] = [
  ...[0, 7, 15].map((at) =>
    notConfirmed('O-7', `CONFIRM with byte ${at} of the mac wrong`, (session) => {
      const bytes = session.confirmFrame();
      bytes[4 + at] = (bytes[4 + at] as number) ^ 0x80;
      return bytes;
    }),
  ),
  confirmBy('of zeros', () => Buffer.alloc(16)),
  confirmBy('with the key of the accepting side', (s) => macFor(s, 'confirm', [s.offer.bytes, s.opened.bytes], 'server')),
  confirmBy('with the label of OPENED', (s) => macFor(s, 'opened', [s.offer.bytes, s.opened.bytes])),
  confirmBy('over OPEN alone', (s) => macFor(s, 'confirm', [s.offer.bytes])),
  confirmBy('over OPENED without its mac', (s) => macFor(s, 'confirm', [s.offer.bytes, s.opened.bytes.subarray(0, -16)])),
  confirmBy('that is the mac of OPENED sent back', (s) => s.opened.fields.get(Tag.MAC) as Buffer),
  notConfirmed('F-5, O-7', 'CONFIRM of 15 bytes', (s) => frame(Type.CONFIRM, s.confirmFrame().subarray(4, 19))),
  notConfirmed('F-5, O-7', 'CONFIRM of 17 bytes', (s) => frame(Type.CONFIRM, s.confirmFrame().subarray(4), Buffer.of(0))),
  notConfirmed('F-5, O-7', 'CONFIRM without a body', () => frame(Type.CONFIRM)),
  ...(
    [
      ['DATA', data(0, message('first'))],
      ['ACK', ack(0, 65_536)],
      ['END', end(0)],
      ['SYNC', sync(0)],
      ['PING', ping('first')],
      ['CLOSE(0)', close(0)],
      ['CLOSE(7)', close(7)],
      ['PROOF', frame(Type.PROOF, Buffer.alloc(16))],
      ['DISCARD', frame(Type.DISCARD, Buffer.alloc(8))],
      ['an ignorable frame', frame(0x80, EMPTY)],
    ] as const
  ).map(([name, bytes]) => notConfirmed('O-7', `${name} instead of CONFIRM`, () => bytes)),
  notConfirmed('O-7', 'DATA and then a good CONFIRM', (s) => Buffer.concat([data(0, message('first')), s.confirmFrame()])),
  {
    rule: 'O-10, O-7',
    name: 'a second OPEN instead of CONFIRM ends the circuit',
    run: async (t) => {
      const { circuit } = await t.provisional();
      await t.offer({}, circuit);
      await circuit.endedInSilence();
    },
  },
  {
    rule: 'O-7',
    name: 'behind OPENED nothing comes before CONFIRM',
    run: async (t) => (await t.provisional()).circuit.quiet(),
  },
  {
    rule: 'O-7, F-6',
    name: 'a second CONFIRM is a fault of the circuit',
    run: async (t) => {
      const session = await t.open();
      await session.alive();
      const again = session.confirmFrame();
      await session.faults(again);
    },
  },
  {
    rule: 'O-8, B-2',
    name: 'CONFIRM that does not come is waited for 5 s; a RESUME still can confirm then',
    slow: true,
    run: async (t) => {
      const session = await t.provisional();
      await session.circuit.quiet(1000);
      await session.circuit.endedInSilence(10_000);
      await session.reattach();
      session.say('late');
      await session.echoed();
    },
  },
  {
    rule: 'O-8, O-9',
    name: 'a circuit lost before CONFIRM: RESUME makes the session real',
    run: async (t) => {
      const session = await t.provisional();
      session.circuit.cut();
      await session.reattach();
      session.say('real');
      await session.echoed();
      await session.closeCleanly();
    },
  },
  {
    rule: 'O-9, T-7',
    name: 'CONFIRM that comes behind a RESUME of its session on another circuit does not make it real twice',
    run: async (t) => {
      const session = await t.provisional();
      const older = session.circuit;
      const confirmation = session.confirmFrame();
      await session.reattach();
      session.say('once');
      await session.echoed();
      older.write(confirmation, data(0, message('twice')));
      await older.ended();
      await session.alive();
      await session.closeCleanly();
    },
  },
  {
    rule: 'O-11, S-4',
    name: 'the first limit is the WINDOW: not a byte more comes before an ACK',
    run: async (t) => {
      const session = await t.open({ window: 16 });
      for (const word of ['one.', 'two.', 'thre', 'four']) session.say(word);
      while (session.heard.length < 16) await session.next();
      await session.alive();
      if (session.heard.length !== 16) throw new Failure(`${session.heard.length} bytes came, the window is 16`);
      session.write(session.ackFrame());
      await session.echoed();
    },
  },
  {
    rule: 'O-11, R-6',
    name: 'a session begins with generation 1: a RESUME that says 1 is stale',
    run: async (t) => {
      const session = await t.open();
      await session.alive();
      const stale = await session.refused(Reject.STALE_GENERATION, { generation: 1 });
      if (numberOf(stale, Tag.GENERATION) !== 1) throw new Failure('its generation is not 1');
    },
  },
];

export const opening: readonly Section[] = [
  { title: 'Header', cases: headers },
  { title: 'OPEN: form', cases: forms },
  { title: 'OPEN: answer', cases: answers },
  { title: 'CONFIRM', cases: confirm },
];
