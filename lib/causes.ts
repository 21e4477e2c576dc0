// Why the application's own doing ends a session: what it threw or gave to destroy() goes in, the cause and the code for the peer come out.
import { CloseCode } from './core/wire.ts';
import { SessionError, type SessionErrorCode } from './errors.ts';

/** What the peer is told where a session is destroyed for one of these. */
const destroyCodes: Partial<Record<SessionErrorCode, CloseCode>> = {
  ERR_MEMORY_BUDGET: CloseCode.MEMORY_BUDGET,
  ERR_APPLICATION: CloseCode.APPLICATION,
};

export function destroyCause(error: Error | null): { readonly cause: SessionError; readonly code: CloseCode } {
  const cause = SessionError.is(error)
    ? error
    : new SessionError('ERR_DESTROYED', 'destroyed by the application', { cause: error ?? undefined });
  return { cause, code: destroyCodes[cause.code] ?? CloseCode.DESTROYED };
}

/** @param what of the application failed */
export function applicationError(what: string, error: unknown): SessionError {
  const text = error instanceof Error ? error.message : String(error);
  return new SessionError('ERR_APPLICATION', `${what} failed: ${text}`, { cause: error });
}
