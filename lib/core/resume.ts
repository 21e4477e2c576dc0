// The pure judgements of a resume (PROTOCOL.md, "Judging a RESUME"): which circuit is newer, whether any byte is missing, and how a session
// that has ended answers.
import type { Positions, RejectedFlight, ResumeFlight } from './handshake.ts';
import { CloseCode, RejectCode } from './wire.ts';

/** Why a RESUME cannot be served here. */
export interface Refusal {
  readonly code: RejectCode;
  readonly detail: Partial<RejectedFlight>;
}

/** What is left of a session that has ended. */
export interface Ended {
  readonly generation: number;
  readonly instance: number;
  readonly cause: CloseCode;
  readonly finals: Positions;
}

/** Decides by generation and instance. @returns 0 to accept, else the code of the refusal. */
export function judgeGeneration(
  stored: { readonly generation: number; readonly instance: number },
  asked: { readonly generation: number; readonly instance: number },
): 0 | RejectCode {
  const newer = asked.generation > stored.generation;
  const sameProcess = asked.instance === stored.instance;
  if (newer && (sameProcess || asked.instance > stored.generation)) return 0;
  return sameProcess ? RejectCode.STALE_GENERATION : RejectCode.TAKEN_OVER;
}

/**
 * Decides by positions, both ways: each side must still hold what the other has not received, and have sent what the other has.
 * @param limitSeen the highest limit the peer has ever told: a lower one means that it was restored from an older state
 * @returns a text with the numbers where bytes are missing, or null
 */
export function judgePositions(mine: Positions, limitSeen: number, theirs: Positions): string | null {
  if (theirs.acked > theirs.received || theirs.base > theirs.sent) return `positions that contradict themselves: ${tell(theirs)}`;
  if (theirs.received < mine.base) return `the peer has ${theirs.received} bytes and this end begins at ${mine.base}`;
  if (theirs.received > mine.sent) return `the peer has ${theirs.received} bytes of ${mine.sent} sent from here`;
  if (mine.received < theirs.base) return `this end has ${mine.received} bytes and the peer begins at ${theirs.base}`;
  if (mine.received > theirs.sent) return `this end has ${mine.received} bytes of ${theirs.sent} that the peer knows to have sent`;
  if (theirs.limit < limitSeen) return `the peer's limit fell from ${limitSeen} to ${theirs.limit}`;
  return null;
}

/** How the session ended, or why its peer must not take this for its own end. */
export function judgeEnded(ended: Ended, asked: Pick<ResumeFlight, 'generation' | 'instance' | 'positions'>): Refusal {
  const { finals: positions, cause, generation } = ended;
  const refusal = judgeGeneration(ended, asked);
  if (refusal !== 0) return { code: refusal, detail: { generation } };
  // Nothing is replayed any more, so no byte is missing; but a peer restored from an older state must not take the end for its own.
  const strange = judgePositions({ ...positions, base: 0 }, 0, asked.positions);
  if (strange !== null) return { code: RejectCode.STATE_LOST, detail: { positions, reason: strange } };
  if (cause === CloseCode.EXPIRED) return { code: RejectCode.EXPIRED, detail: { positions } };
  // Only CLOSED carries a CAUSE (H-20).
  return { code: RejectCode.CLOSED, detail: { cause, positions } };
}

/** The flow of numbers in one line, for errors. */
export function tell(p: Positions): string {
  return `received ${p.received}, acked ${p.acked}, limit ${p.limit}, base ${p.base}, sent ${p.sent}`;
}
