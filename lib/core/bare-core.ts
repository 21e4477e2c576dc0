// BareCore: a session without the session protocol, for peers that do not speak it. The stream is the connection's bytes,
// the session lives as long as its one circuit, and "acked" means written. Same inputs and outputs as SessionCore.
import { SessionError } from '../errors.ts';
import type { Positions } from './handshake.ts';
import { type CoreRules, SessionCore } from './session-core.ts';

export class BareCore<Message> extends SessionCore<Message> {
  #paused = false;

  constructor(rules: CoreRules<Message>, window: number) {
    // A peer without acks has no window: what it cannot take waits in its own TCP.
    const terms = { role: 'accept', window, peerWindow: rules.limits.outboxHardCap, heartbeatMs: 0, holdMs: 0 } as const;
    super(rules, terms, 0);
    this.outbound.peerLimit = Number.MAX_SAFE_INTEGER;
  }

  /** The connection is there; nothing is agreed on, and nothing timed. */
  override circuitUp(theirs: Positions, told: Positions, from: number, now: number): void {
    super.circuitUp(theirs, told, from, now);
    this.outbound.peerLimit = Number.MAX_SAFE_INTEGER;
    this.deadlines.clearAll();
  }

  override get wantsTransmit(): boolean {
    return this.attached && this.outbound.pending;
  }

  override get urgent(): boolean {
    return this.outbound.fin >= 0;
  }

  /** With half of the window free again reading goes on: not at every message. */
  override get wantsPause(): boolean {
    const { received, acked, window } = this.inbound;
    const held = received - acked;
    this.#paused = this.#paused ? held * 2 > window : held > window;
    return this.#paused;
  }

  override get halfCloses(): boolean {
    return this.outbound.finAcked;
  }

  override receive(chunk: Buffer, at: number, now: number): number {
    const { inbound } = this;
    if (this.state === 'closed') return chunk.length;
    this.heard(now);
    inbound.received += chunk.length - at;
    if (inbound.discarding) inbound.discardedBytes += chunk.length - at;
    else inbound.inbox.take(chunk, at, chunk.length);
    this.settle(now);
    return chunk.length;
  }

  override circuitLost(orderly: boolean, now: number, cause?: SessionError): void {
    super.circuitLost(orderly, now);
    this.concluded(undefined, new SessionError('ERR_CIRCUIT_LOST', 'the connection of a bare session is gone', { cause }));
  }

  /** A peer without heartbeats may be slow for as long as it likes: a printer out of paper is not a dead circuit. */
  override queued(): void {}

  override transmit(out: Buffer[], budget: number, now: number, full = false): number {
    const { egress } = this.outbound;
    if (!full) egress.seal();
    let bytes = 0;
    while (this.outbound.cursor < egress.end && bytes < budget) {
      const segment = egress.replay.find(this.outbound.cursor);
      if (segment === undefined) break;
      const start = segment.start + (this.outbound.cursor - segment.offset);
      out.push(segment.buffer.subarray(start, segment.end));
      bytes += segment.end - start;
      this.outbound.cursor += segment.end - start;
    }
    if (this.outbound.finDue) this.outbound.cursor++;
    this.outbound.sent = this.outbound.cursor;
    // Written is all that is known here, and only of whole messages. The socket still holds the memory, so it is not used again.
    const all = this.outbound.cursor === this.outbound.end;
    if (all && this.outbound.cursor > this.outbound.peerAcked) this.outbound.confirm(this.outbound.cursor, false, this.circuit);
    this.settle(now);
    return bytes;
  }
}
