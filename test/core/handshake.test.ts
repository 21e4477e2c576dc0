// Flights: records survive the way over the wire, everything out of form is refused by its rule, and no byte of a MACed flight can change.

import { expect } from 'chai';
import fc from 'fast-check';
import {
  decodeFlight,
  encodeChallenge,
  encodeOpen,
  encodeOpened,
  encodeRejected,
  encodeResume,
  encodeResumed,
  type Flight,
  flightLength,
  macInput,
  type OpenedFlight,
  type OpenFlight,
  type Positions,
  type RejectedFlight,
  type ResumedFlight,
  type ResumeFlight,
  setMac,
  type Unsealed,
} from '../../lib/core/handshake.ts';
import { reasonBytes, safeText } from '../../lib/core/text.ts';
import { CloseCode, KeyMethod, Kind, RejectCode, Tag } from '../../lib/core/wire.ts';
import { SessionError, type SessionErrorCode } from '../../lib/errors.ts';
import { type MacLabel, SessionKeys } from '../../lib/security/keys.ts';

// -- records to start from

const nonce = Buffer.alloc(16, 0x11);
const sessionId = Buffer.alloc(16, 0x22);
const publicKey = Buffer.alloc(32, 0x33);
const positions: Positions = { received: 10, acked: 8, limit: 1000, base: 3, sent: 40 };
const NOBODY = Buffer.alloc(16);

const open: Unsealed<OpenFlight> = {
  node: 0,
  nonce,
  keyMethods: KeyMethod.X25519,
  publicKey,
  framing: 'lines/lf/utf8',
  window: 2_097_152,
  heartbeatMs: 15_000,
  holdMs: 300_000,
  credentials: Buffer.from('token'),
  metadata: undefined,
  maxVersion: 1,
  ticketBytes: 0,
};
const opened: Unsealed<OpenedFlight> = {
  node: 7,
  sessionId,
  nonce,
  keyMethods: KeyMethod.X25519,
  publicKey,
  window: 65_536,
  heartbeatMs: 15_000,
  holdMs: 300_000,
  ticketBytes: 0,
};
const resume: Unsealed<ResumeFlight> = {
  node: 7,
  sessionId,
  generation: 3,
  instance: 2,
  positions,
  nonce,
  credentials: undefined,
  ticket: undefined,
  ticketFollows: undefined,
  maxVersion: 1,
};
const resumed: Unsealed<ResumedFlight> = { node: 7, sessionId, generation: 3, positions, nonce, heartbeatMs: 15_000, holdMs: 300_000 };
const rejected: Unsealed<RejectedFlight> = {
  sessionId,
  code: RejectCode.BUSY,
  retryAfterMs: 1500,
  versions: [],
  positions: undefined,
  generation: undefined,
  cause: undefined,
  reason: 'limits.sessions',
};

// -- arbitraries

const bytes = (minLength: number, maxLength: number = minLength): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array));
const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });
const u8 = fc.nat({ max: 0xff });
const u32 = fc.nat({ max: 0xffff_ffff });
const some32 = fc.integer({ min: 1, max: 0xffff_ffff });
const version = fc.integer({ min: 1, max: 0xff });
const id = bytes(16).filter((candidate) => candidate.some((byte) => byte !== 0));
const anyPositions: fc.Arbitrary<Positions> = fc
  .tuple(fc.maxSafeNat(), fc.maxSafeNat(), fc.maxSafeNat(), fc.maxSafeNat(), fc.maxSafeNat())
  .map(([a, b, c, d, e]) => {
    const acked = Math.min(a, b, c);
    return { received: a, acked, limit: c, base: Math.min(d, e), sent: Math.max(d, e) };
  });
const framingName = fc.string({
  minLength: 1,
  maxLength: 64,
  unit: fc.integer({ min: 0x20, max: 0x7e }).map((c) => String.fromCharCode(c)),
});

const anyOpen: fc.Arbitrary<Unsealed<OpenFlight>> = fc
  .record({
    node: u8,
    nonce: bytes(16),
    keyMethods: u8,
    publicKey: bytes(32),
    framing: framingName,
    window: some32,
    heartbeatMs: some32,
    holdMs: u32,
    credentials: optional(bytes(0, 300)),
    metadata: optional(bytes(0, 300)),
    maxVersion: version,
    ticketBytes: u32,
  })
  .map((flight) => ({ ...flight, publicKey: (flight.keyMethods & KeyMethod.X25519) !== 0 ? flight.publicKey : undefined }));

const anyOpened: fc.Arbitrary<Unsealed<OpenedFlight>> = fc
  .record({
    node: u8,
    sessionId: id,
    nonce: bytes(16),
    keyMethods: fc.constantFrom(1, 2, 3, 5, 6, 7),
    publicKey: bytes(32),
    window: some32,
    heartbeatMs: some32,
    holdMs: u32,
    ticketBytes: u32,
  })
  .map((flight) => ({ ...flight, publicKey: (flight.keyMethods & KeyMethod.X25519) !== 0 ? flight.publicKey : undefined }));

const anyResume: fc.Arbitrary<Unsealed<ResumeFlight>> = fc
  .record({
    node: u8,
    sessionId: id,
    generation: fc.maxSafeNat().map((n) => Math.max(n, 1)),
    instance: fc.maxSafeNat(),
    positions: anyPositions,
    nonce: bytes(16),
    credentials: optional(bytes(0, 300)),
    ticket: optional(bytes(1, 6144)),
    ticketFollows: optional(fc.record({ length: fc.integer({ min: 6145, max: 73_728 }), digest: bytes(32) })),
    maxVersion: version,
  })
  .map((flight) => ({ ...flight, instance: 1 + (flight.instance % flight.generation) }))
  .map((flight) => (flight.ticket === undefined ? flight : { ...flight, ticketFollows: undefined }));

const anyResumed: fc.Arbitrary<Unsealed<ResumedFlight>> = fc.record({
  node: u8,
  sessionId: id,
  generation: fc.maxSafeNat().map((n) => Math.max(n, 1)),
  positions: anyPositions,
  nonce: bytes(16),
  heartbeatMs: some32,
  holdMs: u32,
});

const anyRejected: fc.Arbitrary<Unsealed<RejectedFlight>> = fc
  .record({
    sessionId: bytes(16),
    code: fc.constantFrom(...Object.values(RejectCode)),
    retryAfterMs: u32,
    versions: fc.array(u8, { minLength: 1, maxLength: 16 }),
    positions: anyPositions,
    generation: fc.maxSafeNat(),
    cause: fc.constantFrom(...Object.values(CloseCode)),
    reason: fc.string({ maxLength: 60 }).map((text) => reasonBytes(safeText(text)).toString()),
  })
  .map((flight) => ({
    ...flight,
    versions: flight.code === RejectCode.VERSION || flight.code === RejectCode.DOWNGRADE ? flight.versions : [],
    positions: [RejectCode.CLOSED, RejectCode.EXPIRED, RejectCode.STATE_LOST].some((code) => code === flight.code)
      ? flight.positions
      : undefined,
    generation: flight.code === RejectCode.TAKEN_OVER || flight.code === RejectCode.STALE_GENERATION ? flight.generation : undefined,
    cause: flight.code === RejectCode.CLOSED ? flight.cause : undefined,
  }));

const anyFlight: fc.Arbitrary<Buffer> = fc.oneof(
  anyOpen.map(encodeOpen),
  anyOpened.map(encodeOpened),
  anyResume.map(encodeResume),
  anyResumed.map(encodeResumed),
  fc.record({ sessionId: id, nonce: bytes(32) }).map(encodeChallenge),
  fc.tuple(anyRejected, fc.boolean()).map(([flight, mac]) => encodeRejected(flight, mac)),
);

// -- helpers

function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
}

function expectCode(code: SessionErrorCode, text: string, call: () => unknown): void {
  const error = thrownBy(call);
  expect(SessionError.is(error, code), `expected ${code}, got ${String(error)}`).to.equal(true);
  expect((error as SessionError).message).to.contain(text);
}

const expectRule = (rule: string, flight: Buffer): void => expectCode('ERR_PROTOCOL', `(${rule})`, () => decodeFlight(flight));

type Tlv = readonly [tag: number, value: Buffer];

/** The TLVs of an encoded flight. */
function tlvsOf(flight: Buffer): Tlv[] {
  const list: Tlv[] = [];
  for (let at = 26; at < flight.length; at += 3 + flight.readUInt16BE(at + 1)) {
    list.push([flight.readUInt8(at), flight.subarray(at + 3, at + 3 + flight.readUInt16BE(at + 1))]);
  }
  return list;
}

/** The same flight with other TLVs. */
function withTlvs(flight: Buffer, change: (list: Tlv[]) => Tlv[]): Buffer {
  const body = Buffer.concat(
    change(tlvsOf(flight)).map(([tag, value]) => Buffer.concat([Buffer.of(tag, value.length >> 8, value.length & 0xff), value])),
  );
  const header = Buffer.from(flight.subarray(0, 26));
  header.writeUInt16BE(body.length, 24);
  return Buffer.concat([header, body]);
}

const withValue = (flight: Buffer, tag: number, value: Buffer): Buffer =>
  withTlvs(flight, (list) => list.map((tlv) => (tlv[0] === tag ? [tag, value] : tlv)));
const withoutTag = (flight: Buffer, tag: number): Buffer => withTlvs(flight, (list) => list.filter((tlv) => tlv[0] !== tag));
const withByte = (flight: Buffer, at: number, value: number): Buffer => {
  const copy = Buffer.from(flight);
  copy[at] = value;
  return copy;
};
const u64s = (...values: bigint[]): Buffer =>
  Buffer.concat(
    values.map((value) => {
      const one = Buffer.alloc(8);
      one.writeBigUInt64BE(value);
      return one;
    }),
  );

const samples: ReadonlyArray<readonly [string, Buffer]> = [
  ['OPEN', encodeOpen(open)],
  ['OPENED', encodeOpened(opened)],
  ['RESUME', encodeResume(resume)],
  ['RESUMED', encodeResumed(resumed)],
  ['CHALLENGE', encodeChallenge({ sessionId, nonce: Buffer.alloc(32, 0x44) })],
  ['REJECTED', encodeRejected(rejected, true)],
];

describe('handshake: round trip', () => {
  const mac = Buffer.alloc(16);
  const check = <T>(arbitrary: fc.Arbitrary<T>, over: (flight: T) => Buffer, back: (flight: T) => Flight): void => {
    fc.assert(
      fc.property(arbitrary, (flight) => {
        const encoded = over(flight);
        expect(flightLength(encoded, encoded.length)).to.equal(encoded.length);
        expect(decodeFlight(encoded)).to.deep.equal(back(flight));
      }),
    );
  };

  it('OPEN', () => check(anyOpen, encodeOpen, (flight) => ({ kind: Kind.OPEN, ...flight })));
  it('OPENED', () => check(anyOpened, encodeOpened, (flight) => ({ kind: Kind.OPENED, ...flight, mac })));
  it('RESUME', () => check(anyResume, encodeResume, (flight) => ({ kind: Kind.RESUME, ...flight, mac })));
  it('RESUMED', () => check(anyResumed, encodeResumed, (flight) => ({ kind: Kind.RESUMED, ...flight, mac })));
  it('CHALLENGE', () =>
    check(fc.record({ sessionId: id, nonce: bytes(32) }), encodeChallenge, (flight) => ({ kind: Kind.CHALLENGE, ...flight })));
  it('REJECTED with and without mac', () => {
    check(
      anyRejected,
      (flight) => encodeRejected(flight, true),
      (flight) => ({ kind: Kind.REJECTED, ...flight, mac }),
    );
    check(
      anyRejected,
      (flight) => encodeRejected(flight, false),
      (flight) => ({ kind: Kind.REJECTED, ...flight, mac: undefined }),
    );
  });

  it('gives back the same bytes', () => {
    const again = (flight: Flight): Buffer => {
      switch (flight.kind) {
        case Kind.OPEN:
          return encodeOpen(flight);
        case Kind.OPENED:
          return encodeOpened(flight);
        case Kind.RESUME:
          return encodeResume(flight);
        case Kind.RESUMED:
          return encodeResumed(flight);
        case Kind.CHALLENGE:
          return encodeChallenge(flight);
        case Kind.REJECTED:
          return encodeRejected(flight, flight.mac !== undefined);
      }
    };
    fc.assert(fc.property(anyFlight, (encoded) => again(decodeFlight(encoded)).equals(encoded)));
  });

  it('puts the mac into the last 16 bytes, which macInput leaves out', () => {
    const flight = encodeResume(resume);
    expect(flight.subarray(-19).toString('hex')).to.equal(`7f0010${'00'.repeat(16)}`);
    const value = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');
    setMac(flight, value);
    expect((decodeFlight(flight) as ResumeFlight).mac.equals(value)).to.equal(true);
    expect(Buffer.concat([macInput(flight), value]).equals(flight)).to.equal(true);
  });
});

describe('handshake: flightLength', () => {
  const flight = encodeOpen(open);

  it('asks for more until the header is there, and then tells the length', () => {
    for (let length = 0; length < 26; length++) expect(flightLength(flight, length)).to.equal(0);
    for (let length = 26; length <= flight.length; length++) expect(flightLength(flight, length)).to.equal(flight.length);
  });

  it('looks at nothing beyond the length given', () => {
    const scratch = Buffer.alloc(64, 0x47);
    scratch[0] = 0x8f;
    expect(flightLength(scratch, 1)).to.equal(0);
    expectCode('ERR_NOT_OUR_PROTOCOL', '(8f 47)', () => flightLength(scratch, 2));
  });

  it('refuses each wrong magic byte at once', () => {
    for (let at = 0; at < 4; at++) {
      const wrong = withByte(flight, at, (flight[at] as number) ^ 0x20);
      expect(flightLength(wrong, at)).to.equal(0);
      expectCode('ERR_NOT_OUR_PROTOCOL', 'first bytes', () => flightLength(wrong, at + 1));
    }
  });

  const strangers: ReadonlyArray<readonly [string, string | Buffer, string]> = [
    ['an HTTP request', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'HTTP'],
    ['one byte of an HTTP request', 'G', 'HTTP'],
    ['an HTTP answer', 'HTTP/1.1 302 Found\r\n', 'HTTP'],
    ['an HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'HTTP'],
    ['a TLS ClientHello', Buffer.from('16030100f7010000f303', 'hex'), 'TLS'],
    ['a TLS alert', Buffer.from('15030100020246', 'hex'), 'a TLS alert'],
    ['an SSH banner', 'SSH-2.0-OpenSSH_9.2\r\n', 'SSH'],
    ['telnet negotiation', Buffer.from('fffd18fffd20', 'hex'), 'telnet'],
    ['PROXY v1', 'PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n', 'the PROXY protocol'],
    ['PROXY v2', Buffer.from('0d0a0d0a000d0a515549540a2111000c', 'hex'), 'the PROXY protocol, version 2'],
    ['SMTP', '220 mail.example ESMTP\r\n', 'a text protocol'],
    ['zeros', Buffer.alloc(16), 'no protocol known here'],
  ];
  for (const [name, start, guess] of strangers) {
    it(`guesses ${name}`, () => {
      const first = Buffer.from(start as string);
      expectCode('ERR_NOT_OUR_PROTOCOL', `look like ${guess}: `, () => flightLength(first, first.length));
    });
  }

  it('refuses another version once the header is there, but not in REJECTED, which all versions share', () => {
    const other = withByte(flight, 4, 2);
    expect(flightLength(other, 25)).to.equal(0);
    expectCode('ERR_VERSION', 'version 2, here it is 1 (H-3)', () => flightLength(other, 26));
    const answer = encodeRejected({ ...rejected, sessionId: NOBODY, code: RejectCode.VERSION, versions: [2, 3] }, false);
    answer[4] = 3;
    expect((decodeFlight(answer) as RejectedFlight).versions).to.deep.equal([2, 3]);
  });

  it('refuses an unknown kind and a body above 8,192 bytes', () => {
    expectCode('ERR_PROTOCOL', '(H-4)', () => flightLength(withByte(flight, 5, 0x04), 26));
    const long = Buffer.from(flight.subarray(0, 26));
    long.writeUInt16BE(8192, 24);
    expect(flightLength(long, 26)).to.equal(26 + 8192);
    long.writeUInt16BE(8193, 24);
    expectCode('ERR_PROTOCOL', '(H-5)', () => flightLength(long, 26));
  });
});

describe('handshake: form', () => {
  it('H-5: takes exactly one whole flight', () => {
    for (const [, flight] of samples) {
      expectRule('H-5', flight.subarray(0, flight.length - 1));
      expectRule('H-5', Buffer.concat([flight, Buffer.of(0)]));
      expectRule('H-5', flight.subarray(0, 20));
      expectRule('H-5', flight.subarray(0, 0));
    }
  });

  it('H-6: session id zero in OPEN, set in all others but REJECTED', () => {
    for (const [name, flight] of samples) {
      const changed = Buffer.from(flight).fill(name === 'OPEN' ? 1 : 0, 8, 24);
      if (name === 'REJECTED') expect((decodeFlight(changed) as RejectedFlight).sessionId.equals(NOBODY)).to.equal(true);
      else expectRule('H-6', changed);
    }
  });

  it('H-7: a TLV that reaches beyond the body', () => {
    for (const [, flight] of samples) {
      const last = tlvsOf(flight).at(-1) as Tlv;
      const at = flight.length - last[1].length - 3;
      const changed = Buffer.from(flight);
      changed.writeUInt16BE(last[1].length + 1, at + 1);
      expectRule('H-7', changed);
      for (const tail of [1, 2]) {
        const stub = Buffer.concat([flight.subarray(0, at), Buffer.alloc(tail, 0x90)]);
        stub.writeUInt16BE(stub.length - 26, 24);
        expectRule('H-7', stub);
      }
    }
  });

  it('H-8: tags out of order or twice', () => {
    for (const [, flight] of samples) {
      const list = tlvsOf(flight);
      expectRule(
        'H-8',
        withTlvs(flight, ([first, ...rest]) => [first as Tlv, first as Tlv, ...rest]),
      );
      const two = list.filter((tlv) => tlv[0] !== Tag.MAC);
      if (two.length > 1)
        expectRule(
          'H-8',
          withTlvs(flight, ([a, b, ...rest]) => [b as Tlv, a as Tlv, ...rest]),
        );
    }
    const extra: Tlv = [0x90, Buffer.of(1)];
    expectRule(
      'H-8',
      withTlvs(encodeOpen(open), (list) => [...list, extra, extra]),
    );
  });

  it('H-9: nothing behind the mac, not even what may be ignored', () => {
    for (const [, flight] of samples) {
      const list = tlvsOf(flight);
      if (list.at(-1)?.[0] !== Tag.MAC) continue;
      expectRule(
        'H-9',
        withTlvs(flight, () => [...list, [0x90, Buffer.alloc(0)]]),
      );
      expectRule(
        'H-9',
        withTlvs(flight, () => [...list, list.at(-1) as Tlv]),
      );
      expectRule(
        'H-9',
        withTlvs(flight, () => [list.at(-1) as Tlv, ...list.slice(0, -1)]),
      );
    }
  });

  it('H-10: skips unknown tags from 0x80 on in front of the mac, refuses them below', () => {
    for (const [name, flight] of samples) {
      const insert = (tag: number): Buffer =>
        withTlvs(flight, (list) => {
          const mac = list.filter((tlv) => tlv[0] === Tag.MAC);
          return [...list.filter((tlv) => tlv[0] !== Tag.MAC), [tag, Buffer.from('news')], ...mac];
        });
      expect(decodeFlight(insert(0x80))).to.deep.equal(decodeFlight(flight));
      expect(decodeFlight(insert(0xff))).to.deep.equal(decodeFlight(flight));
      const code: SessionErrorCode = name === 'OPEN' || name === 'RESUME' ? 'ERR_UNSUPPORTED' : 'ERR_PROTOCOL';
      const zero = withTlvs(flight, (list) => [[0, Buffer.alloc(0)], ...list]);
      for (const unknown of [insert(0x15), insert(0x7e), zero]) expectCode(code, '(H-10)', () => decodeFlight(unknown));
    }
  });

  it('H-22: refuses two tickets in one RESUME, and one that follows although it would fit', () => {
    const digest = Buffer.alloc(32, 1);
    const follows = encodeResume({ ...resume, ticketFollows: { length: 6145, digest } });
    expect((decodeFlight(follows) as ResumeFlight).ticketFollows).to.deep.equal({ length: 6145, digest });
    expectRule('H-22', encodeResume({ ...resume, ticketFollows: { length: 6144, digest } }));
    expectRule('H-22', encodeResume({ ...resume, ticketFollows: { length: 73_729, digest } }));
    expectRule('H-22', encodeResume({ ...resume, ticket: Buffer.of(1), ticketFollows: { length: 6145, digest } }));
    expectRule('H-16', withValue(encodeOpen({ ...open, ticketBytes: 9 }), Tag.TICKETS, Buffer.alloc(4)));
  });

  it('H-10: refuses a known tag in a flight where it has no place', () => {
    expectRule(
      'H-10',
      withTlvs(encodeOpen(open), (list) => [...list, [Tag.TICKET, Buffer.of(1)]]),
    );
    expectRule(
      'H-10',
      withTlvs(encodeOpen(open), (list) => [...list, [Tag.MAC, Buffer.alloc(16)]]),
    );
    expectRule(
      'H-10',
      withTlvs(encodeResumed(resumed), (list) =>
        list.flatMap((tlv): Tlv[] => (tlv[0] === Tag.HEARTBEAT ? [[Tag.WINDOW, Buffer.alloc(4, 1)], tlv] : [tlv])),
      ),
    );
  });

  it('H-11: refuses every value one byte too short or too long', () => {
    for (const [name, flight] of samples) {
      for (const [tag, value] of tlvsOf(flight)) {
        const free = tag === Tag.CREDENTIALS || tag === Tag.FRAMING || tag === Tag.REASON || tag === Tag.VERSIONS;
        if (free) continue;
        expectRule('H-11', withValue(flight, tag, value.subarray(1)));
        expectRule('H-11', withValue(flight, tag, Buffer.concat([value, Buffer.of(0)])));
        expect(name).to.be.a('string');
      }
    }
    expectRule('H-11', withValue(encodeOpen(open), Tag.FRAMING, Buffer.alloc(0)));
    expectRule('H-11', withValue(encodeOpen(open), Tag.FRAMING, Buffer.alloc(65, 0x61)));
    expectRule('H-11', withValue(encodeRejected(rejected, true), Tag.REASON, Buffer.alloc(257, 0x61)));
    expectRule(
      'H-11',
      withTlvs(encodeResume(resume), (list) =>
        list.flatMap((tlv): Tlv[] => (tlv[0] === Tag.MAC ? [[Tag.TICKET, Buffer.alloc(0)], tlv] : [tlv])),
      ),
    );
  });

  it('H-12: refuses every flight with a required TLV missing', () => {
    const left = new Set<number>([Tag.CREDENTIALS, Tag.RETRY_AFTER, Tag.REASON, Tag.PUBLIC_KEY]);
    for (const [name, flight] of samples) {
      for (const [tag] of tlvsOf(flight)) {
        if (left.has(tag) || (name === 'REJECTED' && tag === Tag.MAC)) continue;
        expectRule('H-12', withoutTag(flight, tag));
      }
    }
  });

  it('H-13: refuses a u64 above 2^53-1 wherever one stands', () => {
    const flight = encodeResume(resume);
    const above = 2n ** 53n;
    expectRule('H-13', withValue(flight, Tag.GENERATION, u64s(above)));
    expectRule('H-13', withValue(flight, Tag.INSTANCE, u64s(above)));
    for (let i = 0; i < 5; i++) {
      const five = [1n, 1n, 1n, 1n, 1n];
      five[i] = above;
      expectRule('H-13', withValue(flight, Tag.POSITIONS, u64s(...five)));
    }
    const stale = encodeRejected({ ...rejected, code: RejectCode.STALE_GENERATION, generation: 4 }, true);
    expectRule('H-13', withValue(stale, Tag.GENERATION, u64s(2n ** 64n - 1n)));
  });

  it('H-14: PUBLIC_KEY exactly with X25519; OPENED uses known methods and never the psk alone', () => {
    const flight = encodeOpen(open);
    expectRule('H-14', withoutTag(flight, Tag.PUBLIC_KEY));
    expectRule('H-14', withValue(flight, Tag.KEY_METHODS, Buffer.of(KeyMethod.EXPORTER)));
    expectRule('H-14', withoutTag(encodeOpened(opened), Tag.PUBLIC_KEY));
    for (const methods of [0, KeyMethod.PSK, 0x08, KeyMethod.EXPORTER | 0x10]) {
      expectRule('H-14', encodeOpened({ ...opened, keyMethods: methods, publicKey: undefined }));
    }
    const future = encodeOpen({ ...open, keyMethods: 0x40, publicKey: undefined });
    expect((decodeFlight(future) as OpenFlight).keyMethods).to.equal(0x40);
  });

  it('H-15: refuses a framing name that is not printable ASCII', () => {
    for (const byte of [0x00, 0x0a, 0x1f, 0x7f, 0x80, 0xff]) {
      expectRule('H-15', withValue(encodeOpen(open), Tag.FRAMING, Buffer.of(0x61, byte)));
    }
  });

  it('H-16: refuses a window or heartbeat of 0; a hold of 0 stands', () => {
    expectRule('H-16', encodeOpen({ ...open, window: 0 }));
    expectRule('H-16', encodeOpen({ ...open, heartbeatMs: 0 }));
    expectRule('H-16', encodeOpened({ ...opened, window: 0 }));
    expectRule('H-16', encodeOpened({ ...opened, heartbeatMs: 0 }));
    expectRule('H-16', encodeResumed({ ...resumed, heartbeatMs: 0 }));
    expect((decodeFlight(encodeOpen({ ...open, holdMs: 0 })) as OpenFlight).holdMs).to.equal(0);
  });

  it('H-17: refuses a maxVersion below the version used', () => {
    expectRule('H-17', encodeOpen({ ...open, maxVersion: 0 }));
    expectRule('H-17', encodeResume({ ...resume, maxVersion: 0 }));
  });

  it('H-18: refuses generation 0 and an instance that is 0 or not yet born', () => {
    expectRule('H-18', encodeResume({ ...resume, generation: 0, instance: 0 }));
    expectRule('H-18', encodeResume({ ...resume, generation: 3, instance: 0 }));
    expectRule('H-18', encodeResume({ ...resume, generation: 3, instance: 4 }));
    expectRule('H-18', encodeResumed({ ...resumed, generation: 0 }));
  });

  it('H-19: refuses positions that contradict each other', () => {
    const wrong: Positions[] = [
      { ...positions, acked: 11 },
      { ...positions, limit: 7 },
      { ...positions, base: 41 },
    ];
    for (const five of wrong) {
      expectRule('H-19', encodeResume({ ...resume, positions: five }));
      expectRule('H-19', encodeResumed({ ...resumed, positions: five }));
      expectRule('H-19', encodeRejected({ ...rejected, code: RejectCode.STATE_LOST, positions: five }, true));
    }
  });

  it('H-20: each code of REJECTED has exactly its own fields', () => {
    const fields = { versions: [2], positions, generation: 9, cause: CloseCode.CLEAN };
    const due: Record<number, ReadonlyArray<keyof typeof fields>> = {
      [RejectCode.VERSION]: ['versions'],
      [RejectCode.DOWNGRADE]: ['versions'],
      [RejectCode.CLOSED]: ['positions', 'cause'],
      [RejectCode.EXPIRED]: ['positions'],
      [RejectCode.STATE_LOST]: ['positions'],
      [RejectCode.STALE_GENERATION]: ['generation'],
      [RejectCode.TAKEN_OVER]: ['generation'],
    };
    for (const code of Object.values(RejectCode)) {
      const names = due[code] ?? [];
      const exact = { ...rejected, code, ...Object.fromEntries(names.map((name) => [name, fields[name]])) };
      expect((decodeFlight(encodeRejected(exact, true)) as RejectedFlight).code).to.equal(code);
      for (const name of Object.keys(fields) as Array<keyof typeof fields>) {
        const missing = { ...exact, [name]: name === 'versions' ? [] : undefined };
        const added = { ...exact, [name]: fields[name] };
        expectRule('H-20', encodeRejected(names.includes(name) ? missing : added, true));
      }
    }
    const sample = encodeRejected(rejected, false);
    for (const code of [0, 16, 0xffff]) expectRule('H-20', withValue(sample, Tag.CODE, Buffer.of(code >> 8, code & 0xff)));
    const closed = encodeRejected({ ...rejected, code: RejectCode.CLOSED, positions, cause: CloseCode.CLEAN }, true);
    expectRule('H-20', withValue(closed, Tag.CAUSE, Buffer.of(0, 12)));
  });

  it('reads neither the reserved byte nor, as authority, the node hint', () => {
    for (const [, flight] of samples) {
      const changed = withByte(flight, 7, 0xff);
      expect(decodeFlight(changed)).to.deep.equal(decodeFlight(flight));
    }
  });
});

describe('handshake: encoders', () => {
  it("refuse what does not fit its field, as the caller's fault", () => {
    const calls: Array<() => unknown> = [
      () => encodeOpen({ ...open, nonce: nonce.subarray(1) }),
      () => encodeOpen({ ...open, publicKey: Buffer.alloc(31) }),
      () => encodeOpen({ ...open, framing: '' }),
      () => encodeOpen({ ...open, framing: 'x'.repeat(65) }),
      () => encodeOpen({ ...open, window: -1 }),
      () => encodeOpen({ ...open, window: 0x1_0000_0000 }),
      () => encodeOpen({ ...open, holdMs: 1.5 }),
      () => encodeOpen({ ...open, node: 256 }),
      () => encodeOpen({ ...open, metadata: Buffer.alloc(8193) }),
      () => encodeOpened({ ...opened, sessionId: Buffer.alloc(15) }),
      () => encodeResume({ ...resume, generation: Number.NaN }),
      () => encodeRejected({ ...rejected, versions: Array.from({ length: 17 }, () => 1) }, false),
    ];
    for (const call of calls) expectCode('ERR_INVALID_OPTION', '', call);
  });

  it('refuse offsets and generations beyond 2^53-1 as exhausted', () => {
    expectCode('ERR_EXHAUSTED', '', () => encodeResume({ ...resume, generation: 2 ** 53 }));
    expectCode('ERR_EXHAUSTED', '', () => encodeResumed({ ...resumed, positions: { ...positions, sent: 2 ** 53 } }));
  });

  it('fill a body to exactly 8,192 bytes', () => {
    const without = encodeOpen({ ...open, credentials: Buffer.alloc(0) }).length - 26;
    const full = encodeOpen({ ...open, credentials: Buffer.alloc(8192 - without, 1) });
    expect(full).to.have.length(26 + 8192);
    expect((decodeFlight(full) as OpenFlight).credentials).to.have.length(8192 - without);
    expectCode('ERR_INVALID_OPTION', '8193', () => encodeOpen({ ...open, credentials: Buffer.alloc(8193 - without, 1) }));
  });

  it('cut the reason of a REJECTED so that it is not longer than the flight it answers', () => {
    const reason = 'é'.repeat(200);
    const asked = encodeResume(resume).length;
    const fullest = { ...rejected, code: RejectCode.CLOSED, positions, cause: CloseCode.UNREAD, reason };
    const answer = encodeRejected(fullest, true, asked);
    expect(answer.length).to.be.within(asked - 1, asked);
    const back = decodeFlight(answer) as RejectedFlight;
    expect(back.reason).to.match(/^é+$/);
    expect((decodeFlight(encodeRejected(fullest, true)) as RejectedFlight).reason).to.equal('é'.repeat(128));
    expect((decodeFlight(encodeRejected(fullest, true, 26)) as RejectedFlight).reason).to.equal('');
  });

  it('keep every answer without a reason below the smallest flight that can ask for it', () => {
    const smallestOpen = encodeOpen({ ...open, keyMethods: 1, publicKey: undefined, framing: 'x', credentials: undefined }).length;
    const smallestResume = encodeResume(resume).length;
    for (const code of Object.values(RejectCode)) {
      const flight = { ...rejected, code, reason: '', versions: [1], positions, generation: 1, cause: CloseCode.CLEAN };
      expect(encodeRejected(flight, true).length).to.be.at.most(smallestResume);
    }
    expect(encodeRejected({ ...rejected, sessionId: NOBODY, versions: [1, 2, 3, 4], reason: '' }, false).length).to.be.below(smallestOpen);
  });
});

describe('handshake: text of a peer', () => {
  it('escapes what drives terminals, breaks lines or reorders text', () => {
    expect(safeText('a\x1b[31m\r\n\x07b\x7f\x9b')).to.equal('a\\x1b[31m\\x0d\\x0a\\x07b\\x7f\\x9b');
    expect(safeText('\u202etxt\u2066\u200f\u061c\u2028')).to.equal('\\u202etxt\\u2066\\u200f\\u061c\\u2028');
    expect(safeText('\ud800')).to.equal('\\ud800');
    expect(safeText('naïve 東京 🙂')).to.equal('naïve 東京 🙂');
  });

  it('is at most 256 bytes, whatever comes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        const safe = safeText(text);
        expect(Buffer.byteLength(safe)).to.be.at.most(256);
        expect(safe).to.not.match(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/u);
        expect(safeText(safe)).to.equal(safe);
      }),
      { numRuns: 40 },
    );
    expect(safeText('\x00'.repeat(100))).to.equal('\\x00'.repeat(64));
  });

  it('is cut at a character on the way out', () => {
    expect(reasonBytes('aé🙂', 7).toString()).to.equal('aé🙂');
    expect(reasonBytes('aé🙂', 6).toString()).to.equal('aé');
    expect(reasonBytes('aé🙂', 2).toString()).to.equal('a');
    expect(reasonBytes('aé🙂', -5)).to.have.length(0);
    expect(reasonBytes('x'.repeat(300))).to.have.length(256);
  });

  it('arrives escaped in a REJECTED', () => {
    const flight = encodeRejected({ ...rejected, reason: 'no\n\x1b[2Jway' }, false);
    expect((decodeFlight(flight) as RejectedFlight).reason).to.equal('no\\x0a\\x1b[2Jway');
    const broken = withValue(flight, Tag.REASON, Buffer.of(0x61, 0xff, 0xc3));
    expect((decodeFlight(broken) as RejectedFlight).reason).to.equal('a\ufffd\ufffd');
  });
});

describe('handshake: hostile bytes', () => {
  const onlySessionError = (call: () => unknown): boolean => {
    const error = thrownBy(call);
    return error === undefined || SessionError.is(error);
  };

  it('arbitrary bytes throw nothing but SessionError', () => {
    fc.assert(
      fc.property(
        bytes(0, 400),
        (noise) => onlySessionError(() => flightLength(noise, noise.length)) && onlySessionError(() => decodeFlight(noise)),
      ),
    );
  });

  it('arbitrary bodies behind a good header throw nothing but SessionError', () => {
    const kinds = fc.constantFrom(...Object.values(Kind));
    const tlv = fc.tuple(
      fc.oneof(u8, fc.constantFrom(...Object.values(Tag))),
      fc.oneof(bytes(0, 50), bytes(16), bytes(4), bytes(8), bytes(40), bytes(1)),
    );
    const bodies = fc.oneof(
      bytes(0, 200),
      fc
        .array(tlv, { maxLength: 12 })
        .map((list) => Buffer.concat(list.map(([tag, value]) => Buffer.concat([Buffer.of(tag, 0, value.length), value])))),
    );
    fc.assert(
      fc.property(kinds, bytes(16), bodies, (kind, session, body) => {
        const header = Buffer.from('8f4f544c01000000', 'hex');
        header[5] = kind;
        const flight = Buffer.concat([header, session, Buffer.of(body.length >> 8, body.length & 0xff), body]);
        return onlySessionError(() => decodeFlight(flight));
      }),
      { numRuns: 500 },
    );
  });

  it('a good flight with a few bytes changed throws nothing but SessionError', () => {
    fc.assert(
      fc.property(anyFlight, fc.array(fc.tuple(fc.nat(), u8), { minLength: 1, maxLength: 3 }), (flight, changes) => {
        const changed = Buffer.from(flight);
        for (const [at, value] of changes) changed[at % changed.length] = value;
        return onlySessionError(() => decodeFlight(changed));
      }),
      { numRuns: 500 },
    );
  });
});

describe('handshake: macs cover every byte', () => {
  const keys = SessionKeys.from(Buffer.alloc(64, 0x6b));
  const binding = Buffer.alloc(32, 0x42);
  const asked = encodeResume(resume);
  const sealed: ReadonlyArray<readonly [MacLabel, Buffer, readonly Buffer[]]> = [
    ['opened', encodeOpened(opened), [encodeOpen(open)]],
    ['resume', asked, []],
    ['resumed', encodeResumed(resumed), [asked]],
    ['rejected', encodeRejected({ ...rejected, code: RejectCode.CLOSED, positions, cause: CloseCode.CLEAN }, true), [asked]],
  ];
  for (const [label, flight, earlier] of sealed) {
    it(`${label}: a flip of any bit is refused, by form or by mac`, () => {
      setMac(flight, keys.mac(label, [...earlier, macInput(flight)], binding));
      const accepts = (bytesOf: Buffer, before: readonly Buffer[]): boolean => {
        let decoded: Flight;
        try {
          decoded = decodeFlight(bytesOf);
        } catch (error) {
          if (SessionError.is(error)) return false;
          throw error;
        }
        return 'mac' in decoded && decoded.mac !== undefined && keys.verify(label, [...before, macInput(bytesOf)], binding, decoded.mac);
      };
      expect(accepts(flight, earlier)).to.equal(true);
      for (let bit = 0; bit < flight.length * 8; bit++) {
        const at = bit >> 3;
        expect(accepts(withByte(flight, at, (flight[at] as number) ^ (1 << (bit & 7))), earlier), `bit ${bit}`).to.equal(false);
      }
      for (const before of earlier) {
        for (let at = 0; at < before.length; at++) {
          expect(accepts(flight, [withByte(before, at, (before[at] as number) ^ 0x80)]), `earlier byte ${at}`).to.equal(false);
        }
      }
    });
  }
});
