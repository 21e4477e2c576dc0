// Boundary: a moment at which no message is in progress, as numbers and one reference; and the write that tells a store of it.
// Pure: the core goes in, values come out. A boundary costs no copy until it is written.
import type { SessionCore } from '../core/session-core.ts';
import type { Claim, Write } from '../stores/store.ts';
import { toText } from './data.ts';
import { encodeState } from './record.ts';

export interface Boundary {
  /** Boundaries of one session are counted. */
  readonly serial: number;
  readonly data: unknown;
  /** End of what was consumed. */
  readonly cursor: number;
  /** Offset of the peer's END where that was consumed too; else -1. */
  readonly peerEnd: number;
  /** End of the outputs, END included, and the offset of END, or -1. */
  readonly end: number;
  readonly fin: number;
}

/** The state as it is now. Only at a boundary: no message is in progress. */
export function capture<Message>(core: SessionCore<Message>, data: unknown, serial: number): Boundary {
  const { inbound, outbound } = core;
  const { cursor, peerEnd } = inbound;
  return { serial, data, cursor, peerEnd: peerEnd >= 0 && cursor > peerEnd ? peerEnd : -1, end: outbound.end, fin: outbound.fin };
}

/** True where the session has moved since. */
export function isBehind<Message>(boundary: Boundary, core: SessionCore<Message>, data: unknown): boolean {
  return core.outbound.end !== boundary.end || core.inbound.cursor !== boundary.cursor || data !== boundary.data;
}

/** End of the outgoing bytes of a boundary: END takes an offset and no byte. */
export function dataEnd(boundary: Boundary): number {
  return boundary.fin >= 0 ? boundary.fin : boundary.end;
}

export function stateOf<Message>(core: SessionCore<Message>, boundary: Boundary, node: number): Buffer {
  const { outbound, heartbeatMs, holdMs } = core;
  const { data, fin, peerEnd } = boundary;
  const { peerLimit, finAcked } = outbound;
  return encodeState({ heartbeatMs, holdMs, peerLimit, fin, peerEnd, finAcked, node, data: toText(data) });
}

export interface WriteOptions {
  readonly claim: Claim;
  readonly commit: number;
  readonly node: number;
  /** Outgoing bytes below are in the store; -1: write all of them. */
  readonly from: number;
  readonly keepMs: number;
}

/** The boundary as a write. Its outgoing bytes are still in the core: nothing of it was released, or `from` is -1. */
export function writeOf<Message>(core: SessionCore<Message>, boundary: Boundary, options: WriteOptions): Write {
  const { claim, commit, node, keepMs } = options;
  const { egress } = core.outbound;
  egress.seal();
  const { base } = egress.replay;
  const whole = options.from < base;
  const from = whole ? base : options.from;
  const outbox = egress.replay.slice(from, dataEnd(boundary));
  const numbers = { commit, generation: core.generation, instance: core.instance, received: boundary.cursor, base, sent: boundary.end };
  return { claim, ...numbers, state: stateOf(core, boundary, node), outbox, from, whole, keepMs };
}
