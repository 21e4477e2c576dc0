// What an unclean end leaves undone, in both directions: the core's state goes in, the numbers and messages for the application come out.
import type { SessionCore } from './core/session-core.ts';
import type { Loss } from './errors.ts';

/** Empties the inbox: what was not handed out by now never will be. */
export function lossOf<Message>(core: SessionCore<Message>): Loss {
  const { inbound, outbound, incidents, framing, limits } = core;
  const held = outbound.unconfirmed(framing.decoder(limits));
  const undeliveredBytes = inbound.discarding ? inbound.discardedBytes : Math.max(0, inbound.dataEnd - inbound.endOffset);
  const undelivered = inbound.clear();
  return {
    get unconfirmed() {
      return held.messages;
    },
    unconfirmedBytes: held.bytes,
    exact: incidents.finalsExact,
    get undelivered() {
      return undelivered();
    },
    undeliveredBytes,
  };
}
