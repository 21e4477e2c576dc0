// Opens a session with patience: what may pass is tried again for a while, what will not is told at once.

import { setTimeout as delay } from 'node:timers/promises';
import { type Session, type SessionClient, SessionError } from '../../lib/index.ts';

const BETWEEN_MS = 500;

/**
 * @param retrying told before each further attempt
 * @throws the last error when the time is over, and every error that another attempt would meet again
 */
export async function openWithin(
  client: SessionClient<Buffer>,
  waitMs: number,
  signal: AbortSignal,
  retrying: (error: SessionError) => void,
): Promise<Session<Buffer>> {
  const untilMs = performance.now() + waitMs;
  for (;;) {
    try {
      return await client.open({ signal });
    } catch (error) {
      if (!SessionError.is(error) || !mayPass(error) || performance.now() + BETWEEN_MS > untilMs) throw error;
      retrying(error);
      await delay(Math.max(BETWEEN_MS, error.retryAfterMs), undefined, { signal });
    }
  }
}

/** A network that is away comes back; a certificate that is not trusted stays so. */
function mayPass(error: SessionError): boolean {
  if (!error.retryable) return false;
  const code = (error.cause as { code?: unknown } | undefined)?.code;
  return typeof code !== 'string' || /^E(?!RR_|PROTO)/.test(code);
}
