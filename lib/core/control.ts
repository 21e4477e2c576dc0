// Control: the frames of one side that wait to be written, other than DATA and END. What is due goes in as flags, bytes come out:
// a head in front of the DATA of a write, and a tail behind it.
import type { Inbound } from './inbound.ts';
import type { Liveness } from './liveness.ts';
import type { Outbound } from './outbound.ts';
import { reasonBytes } from './text.ts';
import {
  ACK_FRAME_BYTES,
  CloseCode,
  DrainFlag,
  FRAME_HEADER_BYTES,
  Frame,
  MAX_REASON_BYTES,
  putAck,
  putBytesFrame,
  putFrameHeader,
  putU64Frame,
  readU32,
  writeU16,
  writeU32,
  writeU64,
} from './wire.ts';

/** What a DRAIN frame asks for. */
export interface DrainNotice {
  readonly move: boolean;
  readonly deadlineMs: number;
  readonly spreadMs: number;
  readonly address: string;
}

/** PONG, PING, SYNC and DISCARD, each. */
const SHORT_FRAME_BYTES = 12;
const CONFIRM_FRAME_BYTES = 20;
const TAIL_MAX_BYTES = 2 * (MAX_REASON_BYTES + 16);

export class Control<Message> {
  readonly #inbound: Inbound<Message>;
  readonly #outbound: Outbound<Message>;
  readonly #live: Liveness;
  /** Must go first on the circuit of a new session. */
  confirm: Buffer | null = null;
  ackDue = false;
  pingDue = false;
  pongDue = false;
  syncDue = false;
  discardDue = false;
  drain: DrainNotice | null = null;
  closeDue = false;
  closeCode: CloseCode = CloseCode.CLEAN;
  closeReason = '';
  // Eight bytes to send back; the newest PING is answered for all. Two numbers: a Buffer for each heartbeat would be most of its garbage.
  #pongHigh = 0;
  #pongLow = 0;

  constructor(inbound: Inbound<Message>, outbound: Outbound<Message>, live: Liveness) {
    this.#inbound = inbound;
    this.#outbound = outbound;
    this.#live = live;
  }

  get due(): boolean {
    if (this.ackDue || this.pingDue || this.syncDue || this.discardDue || this.closeDue) return true;
    return this.pongDue || this.drain !== null || this.confirm !== null;
  }

  /** Nothing is due, and nothing is to be remembered: a fresh one says the same. */
  get idle(): boolean {
    return this.closeCode === CloseCode.CLEAN && !this.due;
  }

  /** A PING came; its token is bytes[at, at + 8). */
  pinged(bytes: Buffer, at: number): void {
    this.pongDue = true;
    this.#pongHigh = readU32(bytes, at);
    this.#pongLow = readU32(bytes, at + 4);
  }

  /** Settles what goes into the head of a write. @param news DATA or an ACK is in the write @returns its bytes, without an ACK */
  headFor(news: boolean): number {
    if (this.#live.tripDue && (news || this.syncDue)) this.pingDue = true;
    let bytes = this.confirm === null ? 0 : CONFIRM_FRAME_BYTES;
    if (this.pongDue) bytes += SHORT_FRAME_BYTES;
    if (this.pingDue) bytes += SHORT_FRAME_BYTES;
    if (this.discardDue) bytes += SHORT_FRAME_BYTES;
    return this.syncDue ? bytes + SHORT_FRAME_BYTES : bytes;
  }

  /** Pushes what goes in front of the DATA. @param headBytes of headFor() @returns bytes pushed */
  putHead(out: Buffer[], headBytes: number, withAck: boolean, now: number): number {
    const head = Buffer.allocUnsafe(headBytes + (withAck ? ACK_FRAME_BYTES : 0));
    let at = 0;
    if (this.confirm !== null) at = putBytesFrame(head, at, Frame.CONFIRM, this.confirm);
    if (this.pongDue) {
      at = putFrameHeader(head, at, Frame.PONG, 8);
      writeU32(head, at, this.#pongHigh);
      writeU32(head, at + 4, this.#pongLow);
      at += 8;
    }
    if (this.pingDue) {
      at = putFrameHeader(head, at, Frame.PING, 8);
      writeU64(head, at, this.#live.ping(now));
      at += 8;
    }
    if (this.syncDue) {
      const wanted = this.#outbound.syncWanted;
      at = putU64Frame(head, at, Frame.SYNC, wanted < 0 ? this.#outbound.peerAcked : wanted);
      this.#outbound.syncOut = wanted;
    }
    if (this.discardDue) at = putU64Frame(head, at, Frame.DISCARD, this.#inbound.acked);
    if (withAck) {
      putAck(head, at, this.#inbound.acked, this.#inbound.limit);
      this.ackWritten();
    }
    this.confirm = null;
    this.pongDue = false;
    this.pingDue = false;
    this.syncDue = false;
    this.discardDue = false;
    out.push(head);
    return head.length;
  }

  /** The present ACK is on its way. */
  ackWritten(): void {
    this.#inbound.ackTold = this.#inbound.acked;
    this.#inbound.limitTold = this.#inbound.limit;
    this.ackDue = false;
  }

  /** The session ends: CLOSE and a last ACK in front of it, which a circuit can carry where they are `due`. */
  close(code: CloseCode, due: boolean, reason = ''): void {
    this.closeCode = code;
    this.closeReason = reason;
    this.closeDue = due;
    this.ackDue = due;
  }

  /** Pushes DRAIN and CLOSE. @returns their bytes */
  putTail(out: Buffer[]): number {
    if (this.drain === null && !this.closeDue) return 0;
    const tail = Buffer.allocUnsafe(TAIL_MAX_BYTES);
    let at = 0;
    if (this.drain !== null) at = this.#putDrain(tail, at, this.drain);
    if (this.closeDue) at = this.#putClose(tail, at);
    out.push(tail.subarray(0, at));
    return at;
  }

  /** A new circuit begins: what was due on the old one is due no more. */
  reset(): void {
    this.pongDue = false;
    this.pingDue = false;
    this.syncDue = this.#outbound.syncWanted >= 0;
    this.discardDue = this.#inbound.discardedBytes > 0;
  }

  #putDrain(tail: Buffer, at: number, drain: DrainNotice): number {
    this.drain = null;
    const address = reasonBytes(drain.address);
    const body = putFrameHeader(tail, at, Frame.DRAIN, 9 + address.length);
    tail[body] = drain.move ? DrainFlag.MOVE : DrainFlag.FINISH;
    writeU32(tail, body + 1, drain.deadlineMs);
    writeU32(tail, body + 5, drain.spreadMs);
    tail.set(address, body + 9);
    return body + 9 + address.length;
  }

  #putClose(tail: Buffer, at: number): number {
    this.closeDue = false;
    const unread = this.closeCode === CloseCode.UNREAD;
    const reason = unread ? UNREAD_COUNT : reasonBytes(this.closeReason);
    const body = putFrameHeader(tail, at, Frame.CLOSE, 2 + reason.length);
    writeU16(tail, body, this.closeCode);
    if (unread) writeU64(tail, body + 2, this.#inbound.discardedBytes);
    else tail.set(reason, body + 2);
    return at + FRAME_HEADER_BYTES + 2 + reason.length;
  }
}

const UNREAD_COUNT = Buffer.alloc(8);

/** A DRAIN, as putTail() writes it. */
export function readDrain(bytes: Buffer, start: number, length: number): DrainNotice {
  return {
    move: ((bytes[start] as number) & DrainFlag.MOVE) !== 0,
    deadlineMs: readU32(bytes, start + 1),
    spreadMs: readU32(bytes, start + 5),
    address: bytes.toString('utf8', start + 9, start + length),
  };
}
