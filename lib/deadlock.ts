// What would wait for itself: a message in progress whose outputs leave only when it is finished, while it waits for them.
import type { SessionDriver } from './driver.ts';
import { SessionError } from './errors.ts';

/** @returns why the wait would never end, or null */
export function deadlock<Message>(driver: SessionDriver<Message>, wait: 'flushed()' | 'drained()'): SessionError | null {
  const { core, durable } = driver;
  if (durable === null || !core.inbound.inProgress) return null;
  const { heldBytes } = durable;
  const { outboxHighWater, outboxHardCap } = core.limits;
  const stuck = wait === 'flushed()' ? heldBytes > 0 : heldBytes * 2 > Math.min(outboxHighWater, outboxHardCap);
  return stuck ? new SessionError('ERR_WOULD_DEADLOCK', `${wait} in a message whose outputs, ${heldBytes} bytes, are held back`) : null;
}
