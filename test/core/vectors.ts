// Builds the test vectors of PROTOCOL.md from fixed keys and nonces. vectors.json is its output; vectors.test.ts compares the two.

import { createHash, createHmac, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import {
  encodeChallenge,
  encodeOpen,
  encodeOpened,
  encodeRejected,
  encodeResume,
  encodeResumed,
  macInput,
  type Positions,
  type RejectedFlight,
  type ResumeFlight,
  setMac,
} from '../../lib/core/handshake.ts';
import {
  CloseCode,
  DrainFlag,
  Frame,
  KeyMethod,
  putAck,
  putBytesFrame,
  putDataHeader,
  putU64Frame,
  RejectCode,
  ticketHeader,
  writeU16,
  writeU32,
  writeU64,
} from '../../lib/core/wire.ts';
import { deriveKeys, type MacLabel, type SessionKeys, sharedSecret } from '../../lib/security/keys.ts';

/** Case -> name -> hex. */
export type Vectors = Record<string, Record<string, string>>;

type GivenName =
  | 'dialPrivate'
  | 'acceptPrivate'
  | 'exporter'
  | 'binding'
  | 'psk'
  | 'sessionId'
  | 'openNonce'
  | 'openedNonce'
  | 'resumeNonce'
  | 'resumedNonce'
  | 'challengeNonce';

/** What the vectors are made from; PROTOCOL.md prints these as well. */
export const given: Readonly<Record<GivenName, Buffer>> = {
  dialPrivate: hex('c049e62b9f3a7d1486fb5ce01d3372a8945ab06ce7183f29d40b8e5511f6a372'),
  acceptPrivate: hex('38a1d75f06cb9e42713def58a0942c6bb8170fe25d64c93387ae1b50f29d4c68'),
  exporter: hex('5b1e97c3d20f684ab57c39e8014fd692a37ddc15be8843f06721a90c58fe34b7'),
  binding: hex('e2840da6915f3bc77e12f46b0c8d95a35127fb3ed048a96c1fb25de703984ac1'),
  psk: hex('9f3c61d2a80be4577c15f06e2b93d84a'),
  sessionId: hex('000102030405060708090a0b0c0d0e0f'),
  openNonce: hex('101112131415161718191a1b1c1d1e1f'),
  openedNonce: hex('202122232425262728292a2b2c2d2e2f'),
  resumeNonce: hex('303132333435363738393a3b3c3d3e3f'),
  resumedNonce: hex('404142434445464748494a4b4c4d4e4f'),
  challengeNonce: hex('505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f'),
};

const WINDOW = 2_097_152;
// To all but its server a ticket is bytes.
const TICKET = Buffer.from('a ticket, opaque');
// The dialing side has sent "hello\nworld\n", the first line of it was consumed; it has received and consumed four bytes.
const dialPositions: Positions = { received: 4, acked: 4, limit: WINDOW + 4, base: 6, sent: 12 };
const acceptPositions: Positions = { received: 6, acked: 6, limit: WINDOW + 6, base: 4, sent: 4 };

// An accepting side restored from an older state: it lacks bytes 2 to 6, which the dialing side no longer has.
const olderPositions: Positions = { received: 2, acked: 2, limit: WINDOW + 2, base: 4, sent: 4 };

export function buildVectors(): Vectors {
  return {
    given: Object.fromEntries(Object.entries(given).map(([name, value]) => [name, value.toString('hex')])),
    A: caseA(),
    B: caseB(),
    C: caseC(),
    D: caseD(),
    rejected: unsealedRejections(),
    frames: frames(),
  };
}

/** Plain TCP: X25519 alone, no channel binding; a resume that is challenged, and one that finds the session closed. */
function caseA(): Record<string, string> {
  const { open, opened, keys, steps } = opening(KeyMethod.X25519, undefined, undefined);
  const confirm = keys.mac('confirm', [open, opened], undefined);
  const resume = sealed(keys, 'resume', [], resumeFlight(), undefined);
  const challenge = encodeChallenge({ sessionId: given.sessionId, nonce: given.challengeNonce });
  const closed: Rejection = { ...rejection(RejectCode.CLOSED), positions: finals(), cause: CloseCode.CLEAN };
  return hexed({
    open,
    opened,
    ...steps,
    confirm: bytesFrame(Frame.CONFIRM, confirm),
    resume,
    earlyData: dataFrame(6, 'world\n'),
    challenge,
    proof: bytesFrame(Frame.PROOF, keys.mac('proof', [resume, challenge], undefined)),
    resumedChallenged: sealed(keys, 'resumed', [resume, challenge], resumedFlight(), undefined),
    resumed: sealed(keys, 'resumed', [resume], resumedFlight(), undefined),
    rejectedClosed: sealed(keys, 'rejected', [resume], encodeRejected(closed, true), undefined),
    rejectedStateLost: sealed(
      keys,
      'rejected',
      [resume, challenge],
      encodeRejected({ ...rejection(RejectCode.STATE_LOST), positions: olderPositions }, true),
      undefined,
    ),
  });
}

/** TLS 1.3 with a psk: exporter, psk and channel binding. */
function caseB(): Record<string, string> {
  const { binding } = given;
  const { open, opened, keys, steps } = opening(KeyMethod.EXPORTER | KeyMethod.PSK, given.exporter, given.psk);
  const resume = sealed(keys, 'resume', [], resumeFlight(), binding);
  const taken: Rejection = { ...rejection(RejectCode.TAKEN_OVER), generation: 5 };
  const elsewhere: Rejection = { ...rejection(RejectCode.RETRY_LATER), retryAfterMs: 2000, address: '192.0.2.7:4000' };
  return hexed({
    open,
    opened,
    ...steps,
    confirm: bytesFrame(Frame.CONFIRM, keys.mac('confirm', [open, opened], binding)),
    resume,
    resumed: sealed(keys, 'resumed', [resume], resumedFlight(), binding),
    rejectedTakenOver: sealed(keys, 'rejected', [resume], encodeRejected(taken, true), binding),
    rejectedElsewhere: sealed(keys, 'rejected', [resume], encodeRejected(elsewhere, true), binding),
  });
}

/** All three secrets: a client on TLS 1.3 that offers X25519 as well. */
function caseC(): Record<string, string> {
  const { open, opened, keys, steps } = opening(KeyMethod.EXPORTER | KeyMethod.X25519 | KeyMethod.PSK, given.exporter, given.psk);
  return hexed({ open, opened, ...steps, confirm: bytesFrame(Frame.CONFIRM, keys.mac('confirm', [open, opened], given.binding)) });
}

/** A server that keeps its sessions with their clients: the tickets of a RESUME, within it and behind it. */
function caseD(): Record<string, string> {
  const { open, opened, keys, steps } = opening(KeyMethod.X25519, undefined, undefined, 73_728);
  const large = Buffer.alloc(6145, 0x5a);
  const ticketFollows = { length: large.length, digest: createHash('sha256').update(large).digest() };
  return hexed({
    open,
    opened,
    ...steps,
    confirm: bytesFrame(Frame.CONFIRM, keys.mac('confirm', [open, opened], undefined)),
    resume: sealed(keys, 'resume', [], resumeFlight({ ticket: TICKET }), undefined),
    resumeAnnouncing: sealed(keys, 'resume', [], resumeFlight({ ticketFollows }), undefined),
    ticketHeader: ticketHeader(4, large.length),
  });
}

interface Opening {
  readonly open: Buffer;
  readonly opened: Buffer;
  readonly keys: SessionKeys;
  readonly steps: Record<string, Buffer>;
}

function opening(keyMethods: number, exporter: Buffer | undefined, psk: Buffer | undefined, ticketBytes: number = 0): Opening {
  const x25519 = (keyMethods & KeyMethod.X25519) !== 0;
  const dial = privateKey(given.dialPrivate);
  const accept = privateKey(given.acceptPrivate);
  const open = encodeOpen({
    node: 0,
    nonce: given.openNonce,
    keyMethods,
    publicKey: x25519 ? publicKey(dial) : undefined,
    framing: 'lines/lf/utf8',
    window: WINDOW,
    heartbeatMs: 15_000,
    holdMs: 600_000,
    credentials: exporter === undefined ? undefined : Buffer.from('token-1'),
    metadata: Buffer.from('{"app":"demo"}'),
    maxVersion: 1,
    ticketBytes,
  });
  const opened = encodeOpened({
    node: 7,
    sessionId: given.sessionId,
    nonce: given.openedNonce,
    keyMethods,
    publicKey: x25519 ? publicKey(accept) : undefined,
    window: WINDOW,
    heartbeatMs: 15_000,
    holdMs: 300_000,
    ticketBytes,
  });
  const shared = x25519 ? sharedSecret(dial, publicKey(accept)) : undefined;
  const keys = deriveKeys({ openBytes: open, openedBytes: opened, exporter, shared, psk });
  setMac(opened, keys.mac('opened', [open, macInput(opened)], exporter === undefined ? undefined : given.binding));
  // The steps between, by RFC 5869 and by hand, so that an implementer can see where a difference begins.
  const salt = createHash('sha256')
    .update(Buffer.concat([open, macInput(opened)]))
    .digest();
  const ikm = Buffer.concat(
    [exporter, shared, psk].map((secret) => Buffer.concat([Buffer.of(0, secret?.length ?? 0), secret ?? Buffer.alloc(0)])),
  );
  const root = createHmac('sha256', salt).update(ikm).digest();
  const clientKey = createHmac('sha256', root).update('outlast1 client\x01').digest();
  const serverKey = createHmac('sha256', root).update('outlast1 server\x01').digest();
  return { open, opened, keys, steps: { ...(shared === undefined ? {} : { shared }), salt, ikm, root, clientKey, serverKey } };
}

function resumeFlight(shown: Partial<Pick<ResumeFlight, 'ticket' | 'ticketFollows'>> = {}): Buffer {
  return encodeResume({
    node: 7,
    sessionId: given.sessionId,
    generation: 2,
    instance: 1,
    positions: dialPositions,
    nonce: given.resumeNonce,
    credentials: undefined,
    ticket: undefined,
    ticketFollows: undefined,
    ...shown,
    maxVersion: 1,
  });
}

function resumedFlight(): Buffer {
  return encodeResumed({
    node: 7,
    sessionId: given.sessionId,
    generation: 2,
    positions: acceptPositions,
    nonce: given.resumedNonce,
    heartbeatMs: 15_000,
    holdMs: 300_000,
  });
}

/** Positions of a tombstone: both ENDs sent and consumed. */
function finals(): Positions {
  return { received: 13, acked: 13, limit: WINDOW + 13, base: 5, sent: 5 };
}

type Rejection = Omit<RejectedFlight, 'kind' | 'mac'>;

function rejection(code: RejectedFlight['code']): Rejection {
  return {
    sessionId: given.sessionId,
    code,
    retryAfterMs: 0,
    versions: [],
    positions: undefined,
    generation: undefined,
    cause: undefined,
    reason: '',
  };
}

function unsealedRejections(): Record<string, string> {
  const toOpen = { sessionId: Buffer.alloc(16) };
  return hexed({
    busy: encodeRejected({ ...rejection(RejectCode.BUSY), ...toOpen, retryAfterMs: 1500, reason: 'limits.sessions' }, false),
    version: encodeRejected({ ...rejection(RejectCode.VERSION), ...toOpen, versions: [1, 2] }, false),
    keyMethod: encodeRejected({ ...rejection(RejectCode.KEY_METHOD), ...toOpen, reason: 'set tlsTerminated' }, false),
    unknown: encodeRejected(rejection(RejectCode.UNKNOWN), false),
  });
}

function frames(): Record<string, string> {
  const u64 = (type: number, value: number): Buffer => written(12, (out) => putU64Frame(out, 0, type, value));
  return hexed({
    data: dataFrame(6, 'world\n'),
    ack: written(20, (out) => putAck(out, 0, 6, WINDOW + 6)),
    end: u64(Frame.END, 12),
    sync: u64(Frame.SYNC, 12),
    ping: bytesFrame(Frame.PING, hex('0102030405060708')),
    pong: bytesFrame(Frame.PONG, hex('0102030405060708')),
    drainFinish: bytesFrame(Frame.DRAIN, drainBody(DrainFlag.FINISH, 30_000, 0, '')),
    drainMove: bytesFrame(Frame.DRAIN, drainBody(DrainFlag.MOVE, 30_000, 5000, '192.0.2.7:4000')),
    closeClean: bytesFrame(Frame.CLOSE, closeBody(CloseCode.CLEAN, Buffer.alloc(0))),
    closeApplication: bytesFrame(Frame.CLOSE, closeBody(CloseCode.APPLICATION, Buffer.from('handler failed'))),
    closeUnread: bytesFrame(
      Frame.CLOSE,
      closeBody(
        CloseCode.UNREAD,
        written(8, (out) => writeU64(out, 0, 1234)),
      ),
    ),
    superseded: u64(Frame.SUPERSEDED, 3),
    discard: u64(Frame.DISCARD, 17),
    ticket: Buffer.concat([ticketHeader(4, TICKET.length), TICKET]),
    ignorable: bytesFrame(0x80, Buffer.from('news')),
  });
}

// -- bytes

function hex(text: string): Buffer {
  return Buffer.from(text, 'hex');
}

function hexed(values: Record<string, Buffer>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value.toString('hex')]));
}

function written(bytes: number, put: (out: Buffer) => unknown): Buffer {
  const out = Buffer.alloc(bytes);
  put(out);
  return out;
}

function bytesFrame(type: number, body: Buffer): Buffer {
  return written(4 + body.length, (out) => putBytesFrame(out, 0, type, body));
}

function dataFrame(offset: number, text: string): Buffer {
  return Buffer.concat([written(12, (out) => putDataHeader(out, 0, offset, text.length)), Buffer.from(text)]);
}

function drainBody(flags: number, deadlineMs: number, spreadMs: number, address: string): Buffer {
  const fixed = Buffer.of(flags, 0, 0, 0, 0, 0, 0, 0, 0);
  writeU32(fixed, 1, deadlineMs);
  writeU32(fixed, 5, spreadMs);
  return Buffer.concat([fixed, Buffer.from(address)]);
}

function closeBody(code: number, detail: Buffer): Buffer {
  return Buffer.concat([written(2, (out) => writeU16(out, 0, code)), detail]);
}

function sealed(keys: SessionKeys, label: MacLabel, earlier: readonly Buffer[], flight: Buffer, binding: Buffer | undefined): Buffer {
  setMac(flight, keys.mac(label, [...earlier, macInput(flight)], binding));
  return flight;
}

function privateKey(raw: Buffer): KeyObject {
  return createPrivateKey({ key: Buffer.concat([hex('302e020100300506032b656e04220420'), raw]), format: 'der', type: 'pkcs8' });
}

function publicKey(key: KeyObject): Buffer {
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);
}
