// What codes on the wire mean to an application: CLOSE and REJECTED in, SessionError out.
import { SessionError, type SessionErrorCode } from '../errors.ts';
import { safeText } from './text.ts';
import { CloseCode, RejectCode, readU64 } from './wire.ts';

const closeCodes: Readonly<Record<number, SessionErrorCode>> = {
  [CloseCode.APPLICATION]: 'ERR_PEER_APPLICATION',
  [CloseCode.FRAMING]: 'ERR_FRAMING',
  [CloseCode.UNREAD]: 'ERR_PEER_UNREAD',
  [CloseCode.DUPLICATE]: 'ERR_DUPLICATE',
  [CloseCode.REPLACED]: 'ERR_REPLACED',
  [CloseCode.SHUTDOWN]: 'ERR_SHUTDOWN',
  [CloseCode.DESTROYED]: 'ERR_PEER_DESTROYED',
  [CloseCode.PROTOCOL]: 'ERR_PROTOCOL',
  [CloseCode.MEMORY_BUDGET]: 'ERR_MEMORY_BUDGET',
  [CloseCode.EXPIRED]: 'ERR_EXPIRED',
  [CloseCode.TIMEOUT]: 'ERR_PEER_DESTROYED',
};

const rejectCodes: Readonly<Record<RejectCode, SessionErrorCode>> = {
  [RejectCode.BUSY]: 'ERR_BUSY',
  [RejectCode.DRAINING]: 'ERR_DRAINING',
  [RejectCode.RETRY_LATER]: 'ERR_RETRY_LATER',
  [RejectCode.VERSION]: 'ERR_VERSION',
  [RejectCode.DOWNGRADE]: 'ERR_DOWNGRADE',
  [RejectCode.FRAMING]: 'ERR_FRAMING_MISMATCH',
  [RejectCode.KEY_METHOD]: 'ERR_KEY_METHOD',
  [RejectCode.UNSUPPORTED]: 'ERR_UNSUPPORTED',
  [RejectCode.AUTH]: 'ERR_AUTH',
  [RejectCode.UNKNOWN]: 'ERR_UNKNOWN_SESSION',
  [RejectCode.CLOSED]: 'ERR_CLOSED',
  [RejectCode.EXPIRED]: 'ERR_EXPIRED',
  [RejectCode.STATE_LOST]: 'ERR_STATE_LOST',
  [RejectCode.STALE_GENERATION]: 'ERR_STALE_GENERATION',
  [RejectCode.TAKEN_OVER]: 'ERR_TAKEN_OVER',
};

/** The error that the peer's CLOSE(code ≠ 0) ends a session with. */
export function closeError(code: number, detail: Buffer): SessionError {
  const mapped = closeCodes[code] ?? 'ERR_PEER_DESTROYED';
  const told = code === CloseCode.UNREAD && detail.length === 8 ? `${readU64(detail, 0)} bytes unread` : safeText(detail.toString('utf8'));
  // The other end could not read what this one wrote: of the two this one is to blame.
  const options = mapped === 'ERR_FRAMING' ? ({ blame: 'caller' } as const) : {};
  return new SessionError(mapped, `the other end closed with code ${code}${told === '' ? '' : `: ${told}`}`, options);
}

/** The code as it is remembered: an unknown one counts as DESTROYED (C-8). */
export function knownCloseCode(code: number): CloseCode {
  return code === CloseCode.CLEAN || code in closeCodes ? (code as CloseCode) : CloseCode.DESTROYED;
}

/** The error that a REJECTED stands for; `cause` is the CLOSE code of a session that had ended. */
export function rejectError(code: RejectCode, cause: CloseCode | undefined, reason: string, retryAfterMs: number): SessionError {
  if (code === RejectCode.CLOSED && cause !== undefined && cause !== CloseCode.CLEAN) return closeError(cause, Buffer.from(reason));
  const mapped = rejectCodes[code] ?? 'ERR_UNSUPPORTED';
  return new SessionError(mapped, `REJECTED with ${mapped.slice(4)}${reason === '' ? '' : `: ${reason}`}`, { retryAfterMs });
}

/** Codes that mean: dial again later. Anybody may say so. */
export function isRetry(code: RejectCode): boolean {
  return code === RejectCode.BUSY || code === RejectCode.DRAINING || code === RejectCode.RETRY_LATER;
}

/** @param confirmed the peer has read everything from here: then only this side left bytes unread */
export function unreadError(bytes: number, confirmed: boolean): SessionError {
  if (confirmed) return new SessionError('ERR_UNREAD', `${bytes} bytes were not read`);
  return new SessionError('ERR_PEER_UNREAD', `neither end reads, here ${bytes} bytes are left`);
}

/** What send() says on a session that takes no more. */
export function sentTooLate(closed: boolean, cause: SessionError | undefined): SessionError {
  if (!closed) return new SessionError('ERR_ENDED', 'send() after end()');
  return new SessionError('ERR_CLOSED', 'send() on a session that has ended', { cause });
}
