// How a dialing side shows its newest ticket: within RESUME where it fits, else announced there and behind it as a frame of its own.
// The accepting side checks what came against what was announced, since the mac of RESUME covers only that.
import { createHash } from 'node:crypto';
import type { TicketNotice } from './core/handshake.ts';
import { MAX_INLINE_TICKET_BYTES, ticketHeader } from './core/wire.ts';
import type { Withheld } from './core/withheld.ts';

export interface TicketFields {
  readonly ticket: Buffer | undefined;
  readonly ticketFollows: TicketNotice | undefined;
}

/** @param kept by the session; null where its server seals no tickets */
export function showTicket(kept: Withheld | null): { readonly fields: TicketFields; readonly behind: readonly Buffer[] } {
  const ticket = kept?.ticket ?? null;
  if (kept === null || ticket === null) return { fields: { ticket: undefined, ticketFollows: undefined }, behind: [] };
  if (ticket.length <= MAX_INLINE_TICKET_BYTES) return { fields: { ticket, ticketFollows: undefined }, behind: [] };
  const ticketFollows = { length: ticket.length, digest: digestOf(ticket) };
  return { fields: { ticket: undefined, ticketFollows }, behind: [ticketHeader(kept.covered, ticket.length), ticket] };
}

export function isAnnounced(ticket: Buffer, { length, digest }: TicketNotice): boolean {
  return ticket.length === length && digestOf(ticket).equals(digest);
}

function digestOf(ticket: Buffer): Buffer {
  return createHash('sha256').update(ticket).digest();
}
