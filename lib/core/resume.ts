// The two pure judgements of a resume (PROTOCOL.md, "Judging a RESUME"): which circuit is newer, and whether any byte is missing.
import type { Positions } from './handshake.ts';
import { RejectCode } from './wire.ts';

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

/** The flow of numbers in one line, for errors. */
export function tell(p: Positions): string {
  return `received ${p.received}, acked ${p.acked}, limit ${p.limit}, base ${p.base}, sent ${p.sent}`;
}
