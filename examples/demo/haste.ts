// How the demo's ends behave otherwise than in an application: it cuts far more often than a network does, and does not wait for a redial
// that backs off.

import type { SessionClient } from 'outlast';

export const HEARTBEAT_MS = 1_000;
const NUDGE_MS = 100;

export function redialSoon<Message>(client: SessionClient<Message>): void {
  client.on('retry', ({ delayMs, session }) => {
    if (delayMs > NUDGE_MS) setTimeout(() => session.state === 'detached' && client.nudge(), NUDGE_MS);
  });
}
