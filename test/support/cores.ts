// SessionCores without shells: makers with small limits, frames built by hand, and what a core transmits cut into frames.
import { Deadline } from '../../lib/core/deadlines.ts';
import type { Positions } from '../../lib/core/handshake.ts';
import { type CoreLimits, SessionCore } from '../../lib/core/session-core.ts';
import type { Framing } from '../../lib/framing/framing.ts';
import { lines } from '../../lib/framing/lines.ts';

export const LIMITS: CoreLimits = {
  messageBytes: 65_536,
  batchMessages: 1024,
  outboxHighWater: 65_536,
  outboxHardCap: 1_048_576,
  replaySegments: 16_384,
  ackDelayMs: 200,
  writeStallMs: 20_000,
  controlPerSecond: 100,
  controlBurst: 200,
};

export const WINDOW = 131_072;
export const HEARTBEAT_MS = 15_000;
export const HOLD_MS = 300_000;
export const HOLD_EXTRA_MS = 45_000;
/** A peer that has neither sent nor received anything. */
export const FRESH: Positions = { received: 0, acked: 0, limit: WINDOW, base: 0, sent: 0 };

export interface CoreOptions<Message> {
  readonly framing: Framing<Message>;
  readonly limits?: Partial<CoreLimits>;
  readonly window?: number;
  readonly peerWindow?: number;
  readonly holdMs?: number;
  readonly ticketBytes?: number;
}

/** A detached core. */
export function coreOf<Message>(role: 'dial' | 'accept', options: CoreOptions<Message>): SessionCore<Message> {
  const { framing, limits, window = WINDOW, peerWindow = WINDOW, holdMs = HOLD_MS, ticketBytes = 0 } = options;
  const terms = { role, window, peerWindow, heartbeatMs: HEARTBEAT_MS, holdMs, ticketBytes };
  return new SessionCore({ framing, limits: { ...LIMITS, ...limits } }, terms, role === 'dial' ? HOLD_EXTRA_MS : 0);
}

/** A core of lines on its first circuit at time 0, which has written an ACK, and the PING that goes with the first. */
export function attachedLines(role: 'dial' | 'accept', limits: Partial<CoreLimits> = {}): SessionCore<string> {
  const core = coreOf(role, { framing: lines(), limits });
  core.circuitUp(FRESH, core.positions(), 0, 0);
  begun(core);
  return core;
}

/** Lets a core on a fresh circuit write what goes with its first write only. */
export function begun<Message>(core: SessionCore<Message>): void {
  core.deadlines.set(Deadline.ACK, 0);
  core.tick(0, 0);
  written(core, 0);
}

/** Everything the core wants to write now, as one buffer. */
export function written<Message>(core: SessionCore<Message>, now: number): Buffer {
  const all: Buffer[] = [];
  for (let turn = 0; core.wantsTransmit && turn < 10_000; turn++) core.transmit(all, Number.MAX_SAFE_INTEGER, now);
  return Buffer.concat(all);
}

export interface PlainFrame {
  readonly type: number;
  readonly body: Buffer;
}

/** Cuts whole frames. */
export function framesIn(bytes: Buffer): PlainFrame[] {
  const frames: PlainFrame[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUIntBE(at + 1, 3);
    frames.push({ type: bytes.readUInt8(at), body: Buffer.from(bytes.subarray(at + 4, at + 4 + length)) });
    at += 4 + length;
  }
  return frames;
}

/** The types of the frames that the core wants to write now. */
export function typesWritten<Message>(core: SessionCore<Message>, now: number): number[] {
  return framesIn(written(core, now)).map(({ type }) => type);
}

/** A frame of any type and body. */
export function frame(type: number, body: Uint8Array = Buffer.alloc(0)): Buffer {
  const out = Buffer.alloc(4 + body.length);
  out.writeUInt8(type, 0);
  out.writeUIntBE(body.length, 1, 3);
  out.set(body, 4);
  return out;
}

export function u64(...values: readonly (number | bigint)[]): Buffer {
  const out = Buffer.alloc(8 * values.length);
  for (const [i, value] of values.entries()) out.writeBigUInt64BE(BigInt(value), 8 * i);
  return out;
}

export const data = (offset: number | bigint, bytes: string | Uint8Array): Buffer =>
  frame(0x01, Buffer.concat([u64(offset), Buffer.from(bytes as Uint8Array)]));
export const ack = (acked: number | bigint, limit: number | bigint): Buffer => frame(0x02, u64(acked, limit));
export const end = (offset: number | bigint): Buffer => frame(0x03, u64(offset));
export const sync = (offset: number | bigint): Buffer => frame(0x04, u64(offset));
export const ping = (token: number | bigint): Buffer => frame(0x05, u64(token));
export const pong = (token: number | bigint): Buffer => frame(0x06, u64(token));
export const superseded = (generation: number | bigint): Buffer => frame(0x09, u64(generation));

export function close(code: number, detail: string | Uint8Array = ''): Buffer {
  return frame(0x08, Buffer.concat([Buffer.from([code >>> 8, code]), Buffer.from(detail as Uint8Array)]));
}

/** Gives the core all bytes, as its shell does. */
export function give<Message>(core: SessionCore<Message>, bytes: Buffer, now: number): void {
  for (let at = 0; at < bytes.length; ) at = core.receive(bytes, at, now);
}

/** Takes, and consumes, all messages that are ready. */
export function takeAll<Message>(core: SessionCore<Message>, now: number): Message[] {
  const messages: Message[] = [];
  while (core.inbound.next()) {
    messages.push(core.inbound.inbox.message());
    core.inbound.consume();
    core.settle(now);
  }
  return messages;
}
