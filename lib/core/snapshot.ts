// Snapshot: the part of a session that outlives its process, as bytes and back. Versioned; a reader refuses what it does not know.
// A restored session has consumed everything up to `acked` and nothing behind it: received := acked, and no half message.
import { SessionError } from '../errors.ts';
import { MAX_RESERVE } from '../framing/framing.ts';
import type { SessionCore } from './session-core.ts';
import { readU32, readU64, writeU32, writeU64 } from './wire.ts';

const FORMAT = 1;
/** format · END flags · window · peer window · heartbeat · hold · acked · peer limit · base · sent · generation · instance · both ENDs */
const HEADER_BYTES = 2 + 4 * 4 + 8 * 8;

const FLAG_FIN = 1;
const FLAG_PEER_END = 2;
const FLAG_FIN_ACKED = 4;

/** What a core is rebuilt from. */
export interface Snapshot {
  readonly window: number;
  readonly peerWindow: number;
  readonly heartbeatMs: number;
  readonly holdMs: number;
  readonly acked: number;
  readonly peerLimit: number;
  readonly base: number;
  readonly sent: number;
  readonly generation: number;
  readonly instance: number;
  /** Offsets of the two ENDs; -1 where there is none. */
  readonly fin: number;
  readonly peerEnd: number;
  /** The peer has consumed our END: `base` cannot tell, since END takes no memory. */
  readonly finAcked: boolean;
  /** Everything written from `base` on: replay and outbox. */
  readonly bytes: Buffer;
}

/** The state as it is now, with everything written counted as sent. A message in progress counts as not consumed. */
export function encodeSnapshot<Message>(core: SessionCore<Message>): Buffer {
  const { inbound, outbound } = core;
  const { egress } = outbound;
  egress.seal();
  const { base } = egress.replay;
  const bytes = egress.replay.slice(base, egress.end);
  const out = Buffer.alloc(HEADER_BYTES + bytes.length);
  // END is consumed with the last message: before that it comes again.
  const peerEnd = inbound.ended ? inbound.peerEnd : -1;
  out[0] = FORMAT;
  out[1] = (outbound.fin >= 0 ? FLAG_FIN : 0) | (peerEnd >= 0 ? FLAG_PEER_END : 0) | (outbound.finAcked ? FLAG_FIN_ACKED : 0);
  const terms = [inbound.window, outbound.peerWindow, core.heartbeatMs, core.holdMs];
  for (const [i, value] of terms.entries()) writeU32(out, 2 + i * 4, value);
  const { generation, instance } = core;
  const numbers = [
    inbound.acked,
    outbound.peerLimit,
    base,
    // All that was written, since the first flush behind this puts it on a circuit: a peer that has received it must find it covered.
    outbound.end,
    generation,
    instance,
    Math.max(0, outbound.fin),
    Math.max(0, peerEnd),
  ];
  for (const [i, value] of numbers.entries()) writeU64(out, 18 + i * 8, value);
  out.set(bytes, HEADER_BYTES);
  return out;
}

/** @throws SessionError ERR_INVALID_OPTION for bytes that are no snapshot of this format, or contradict themselves. */
export function decodeSnapshot(record: Buffer): Snapshot {
  if (record.length < HEADER_BYTES || record[0] !== FORMAT) throw refused(`of format ${record[0]} and ${record.length} bytes`);
  const flags = record[1] as number;
  const term = (i: number): number => readU32(record, 2 + i * 4);
  const number = (i: number): number => readU64(record, 18 + i * 8);
  const snapshot: Snapshot = {
    window: term(0),
    peerWindow: term(1),
    heartbeatMs: term(2),
    holdMs: term(3),
    acked: number(0),
    peerLimit: number(1),
    base: number(2),
    sent: number(3),
    generation: number(4),
    instance: number(5),
    fin: (flags & FLAG_FIN) !== 0 ? number(6) : -1,
    peerEnd: (flags & FLAG_PEER_END) !== 0 ? number(7) : -1,
    finAcked: (flags & FLAG_FIN_ACKED) !== 0,
    bytes: Buffer.from(record.subarray(HEADER_BYTES)),
  };
  const { acked, peerLimit, base, sent, generation, instance, fin, peerEnd, finAcked, bytes } = snapshot;
  const end = base + bytes.length;
  const safe = [acked, peerLimit, base, sent, generation, instance].every((value) => value >= 0) && end < Number.MAX_SAFE_INTEGER;
  const whole = fin < 0 ? sent <= end && !finAcked : fin === end && sent <= end + 1 && (!finAcked || (base === end && sent > end));
  if (!safe || !whole || base > sent || instance > generation || (peerEnd >= 0 && acked !== peerEnd + 1))
    throw refused('that contradicts itself');
  return snapshot;
}

/** Puts a snapshot into a fresh core, which then is detached and has been accepted by nobody in this process. */
export function restore<Message>(core: SessionCore<Message>, snapshot: Snapshot): void {
  const { inbound, outbound } = core;
  inbound.restore(snapshot.acked, snapshot.peerEnd);
  outbound.restore(snapshot.base, snapshot.sent, snapshot.peerLimit);
  for (let at = 0; at < snapshot.bytes.length; at += MAX_RESERVE) {
    outbound.egress.copy(snapshot.bytes, at, Math.min(snapshot.bytes.length, at + MAX_RESERVE));
  }
  outbound.fin = snapshot.fin;
  if (snapshot.finAcked) outbound.peerAcked = snapshot.fin + 1;
  core.generation = snapshot.generation;
  core.instance = snapshot.instance;
}

function refused(what: string): SessionError {
  return new SessionError('ERR_INVALID_OPTION', `a session record ${what}`);
}
