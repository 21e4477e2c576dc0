// Promises that wait for a session: for room, for the peer to consume up to an offset, for the end. One list, since few wait at a time.
import { SessionError } from './errors.ts';

export interface Abortable {
  /** Stops the waiting, with ERR_ABORTED; what was waited for goes on. */
  readonly signal?: AbortSignal | undefined;
}

type Reason = 'drain' | 'flush' | 'commit' | 'end';

export interface Waiter {
  readonly reason: Reason;
  readonly offset: number;
  readonly resolve: () => void;
  readonly reject: (error: SessionError) => void;
  readonly release: () => void;
}

/** Who is waited for. */
export interface WaitedFor {
  /** Replaced and never changed: NOBODY for all sessions for which nobody waits. */
  waiters: readonly Waiter[];
}

export const NOBODY: readonly Waiter[] = [];

export function waitFor(session: WaitedFor, reason: Reason, offset: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(aborted(signal));
    const onAbort = (): void => {
      session.waiters = session.waiters.filter((other) => other !== waiter);
      reject(aborted(signal as AbortSignal));
    };
    const waiter: Waiter = { reason, offset, resolve, reject, release: () => signal?.removeEventListener('abort', onAbort) };
    signal?.addEventListener('abort', onAbort, { once: true });
    session.waiters = [...session.waiters, waiter];
  });
}

/** Resolves those whose reason has come true: `offset` is what the peer has consumed. */
export function settleWaiters(session: WaitedFor, reason: Reason, offset: number): void {
  if (session.waiters.length === 0) return;
  const left: Waiter[] = [];
  for (const waiter of session.waiters) {
    if (waiter.reason !== reason || waiter.offset > offset) left.push(waiter);
    else done(waiter, undefined);
  }
  session.waiters = left;
}

/** The session is over: those who wait for its end are content, the others are told why they wait in vain. */
export function endWaiters(session: WaitedFor, cause: SessionError | undefined): void {
  const { waiters } = session;
  session.waiters = NOBODY;
  for (const waiter of waiters) {
    done(
      waiter,
      waiter.reason === 'end' ? undefined : (cause ?? new SessionError('ERR_CLOSED', 'the session ended while something waited')),
    );
  }
}

function done(waiter: Waiter, error: SessionError | undefined): void {
  waiter.release();
  if (error === undefined) waiter.resolve();
  else waiter.reject(error);
}

/** The error of a wait that its signal stopped. */
export function aborted(signal: AbortSignal): SessionError {
  return new SessionError('ERR_ABORTED', 'the signal was aborted', { cause: signal.reason });
}
