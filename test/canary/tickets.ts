// Planted bugs of sessions that are kept by their clients: mistakes in what a ticket covers, when it leaves, and what counts beside it. The
// simulator without a store must find every one; the table works as that of canaries.ts does.

import type { Canary } from './canaries.ts';

export const ticketCanaries: readonly Canary[] = [
  {
    name: 'ack before its ticket',
    why: 'the client forgets what no ticket that it has tells of; the next server lacks it',
    edits: [
      {
        file: 'lib/durable/ticketer.ts',
        find: '    core.outbound.released = boundary.end;\n',
        replace:
          '    core.outbound.released = boundary.end;\n    core.inbound.released = boundary.cursor;\n    core.settle(this.#host.now());\n',
      },
    ],
  },
  {
    name: 'RESUMED tells more than was shown',
    why: 'the same in the handshake: a ticket that was lost on the way counts as held by the client',
    edits: [{ file: 'lib/durable/ticketer.ts', find: '    core.inbound.rewind(ticket?.received ?? 0);\n', replace: '' }],
  },
  {
    name: 'RESUME tells all that came',
    why: 'what an older server sent and no ticket covers is handed out with what a newer one sends in its place',
    edits: [
      {
        file: 'lib/core/session-core.ts',
        find: 'const { available: received, acked, limit } = this.inbound;',
        replace: 'const { received, acked, limit } = this.inbound;',
      },
      { file: 'lib/core/session-core.ts', find: '    this.inbound.dropUncovered();\n', replace: '' },
    ],
  },
  {
    name: 'nothing is withheld',
    why: 'the application has seen what the next server, which goes on from the ticket, may not send',
    edits: [
      { file: 'lib/core/inbound.ts', find: 'else if (this.withheld !== null) this.withheld.take(bytes, from, end);', replace: '' },
      {
        file: 'lib/core/inbound.ts',
        find: 'return this.withheld === null ? this.received : this.withheld.covered;',
        replace: 'return this.received;',
      },
    ],
  },
  {
    name: 'any memory counts',
    why: 'a server whose session the client has left behind takes it up where it was, not where the ticket is',
    edits: [
      {
        file: 'lib/ticket-restorer.ts',
        find: 'if (line !== undefined && descends(line, ticket)) return null;',
        replace: 'if (line !== undefined) return null;',
      },
      {
        file: 'lib/durable/ticketer.ts',
        find: 'return ticket === undefined ? this.line.origin === undefined : descends(this.line, ticket);',
        replace: 'return true;',
      },
    ],
  },
  {
    name: 'one ticket for everything',
    why: 'what it covers does not fit the window: the server waits for the window, the client for the ticket',
    edits: [
      {
        file: 'lib/durable/ticketer.ts',
        find: 'if (boundary.end - this.#covered <= this.#mostBytes) return boundary;',
        replace: 'return boundary;',
      },
    ],
  },
  {
    name: 'a ticket inside a message',
    why: 'half of what a handler does is sealed as if it were all',
    edits: [
      { file: 'lib/durable/ticketer.ts', find: 'if (this.#over || core.inbound.inProgress) return;', replace: 'if (this.#over) return;' },
    ],
  },
  {
    name: 'a ticket in front of what it covers',
    why: 'the client has the ticket and not the bytes, which no server will send again; and it does not look',
    edits: [
      {
        file: 'lib/core/inbound.ts',
        find: 'if (covered < withheld.covered || covered > this.received)',
        replace: 'if (covered < withheld.covered)',
      },
      {
        file: 'lib/core/outbound.ts',
        find: 'return this.ticket !== null && this.cursor >= this.ticket.covered;',
        replace: 'return this.ticket !== null;',
      },
    ],
  },
];
