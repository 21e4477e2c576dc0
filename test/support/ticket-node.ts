// A server that keeps its sessions with their clients, and a client by hand that shows it tickets: for what no honest client would show.

import { randomBytes } from 'node:crypto';
import type { Positions, RejectedFlight, ResumedFlight } from '../../lib/core/handshake.ts';
import { Frame, readU64 } from '../../lib/core/wire.ts';
import { lines } from '../../lib/framing/lines.ts';
import type { TicketRing } from '../../lib/options.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import type { TicketRegister } from '../../lib/stores/store.ts';
import { keyring } from '../../lib/tickets/keyring.ts';
import { dataFrame, RawPeer, type RawSession, rawSession, resumeFlight } from './raw-peer.ts';

export interface Sum {
  readonly count: number;
  readonly sum: number;
  readonly filler?: string;
}

export const SECRET: Buffer = randomBytes(32);

export function testRing(): TicketRing {
  return keyring([SECRET], { audience: 'test' });
}

/** Sums what it is sent, and answers each message with the sum so far. */
export class TicketNode implements AsyncDisposable {
  readonly server: SessionServer<string>;
  readonly sessions: Session<string>[] = [];
  /** How often a message was handed to a handler here. */
  handled: number = 0;
  /** Why its sessions ended, and what was turned away. */
  readonly ends: (string | undefined)[] = [];
  port: number = 0;

  constructor(
    tickets: TicketRing,
    options: { readonly fillerBytes?: number; readonly challenge?: 'never'; readonly ticketRegister?: TicketRegister } = {},
  ) {
    const { fillerBytes, ...rest } = options;
    const start: Sum =
      fillerBytes === undefined ? { count: 0, sum: 0 } : { count: 0, sum: 0, filler: randomBytes(fillerBytes).toString('hex') };
    this.server = new SessionServer({ framing: lines(), tickets, ...rest });
    this.server.on('session', (session) => {
      this.sessions.push(session);
      session.data ??= start;
      session.on('close', (cause) => this.ends.push(cause?.code));
      session.receive((line) => {
        this.handled++;
        const data = session.data as Sum;
        const next = { ...data, count: data.count + 1, sum: data.sum + Number(line) };
        session.data = next;
        session.send(`${next.count} ${next.sum}`);
      });
    });
  }

  async listen(port: number = 0): Promise<this> {
    this.port = (await this.server.listen({ port })).port;
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close();
  }
}

export interface RawTicket {
  readonly covered: number;
  readonly bytes: Buffer;
}

/** One session, by hand. */
export class TicketHolder {
  readonly session: RawSession;
  peer: RawPeer;
  generation: number = 1;
  ticket: RawTicket | undefined;
  sent: number = 0;
  acked: number = 0;

  private constructor(session: RawSession, peer: RawPeer) {
    this.session = session;
    this.peer = peer;
  }

  /** Opens a session, and has its first ticket. */
  static async open(port: number): Promise<TicketHolder> {
    const { peer, session } = await rawSession(port, { ticketBytes: 73_728 });
    const holder = new TicketHolder(session, peer);
    await holder.nextTicket();
    return holder;
  }

  say(text: string): void {
    const bytes = Buffer.from(`${text}\n`);
    this.peer.write(dataFrame(this.sent, bytes));
    this.sent += bytes.length;
  }

  async nextTicket(): Promise<RawTicket> {
    const body = await this.peer.frameOf(Frame.TICKET);
    this.ticket = { covered: readU64(body, 0), bytes: Buffer.from(body.subarray(8)) };
    return this.ticket;
  }

  /** Says something, and has the ticket that covers its answer. */
  async ask(text: string, answer: string): Promise<RawTicket> {
    const before = this.ticket?.covered ?? 0;
    this.say(text);
    for (;;) {
      const ticket = await this.nextTicket();
      if (ticket.covered >= before + answer.length + 1) return ticket;
    }
  }

  /** Shows a ticket on a new connection. @returns what the server answers */
  async show(port: number, ticket: RawTicket | undefined, positions: Partial<Positions> = {}): Promise<ResumedFlight | RejectedFlight> {
    this.peer.destroy();
    this.peer = await RawPeer.dial(port);
    const shown = ticket === undefined ? {} : { ticket: ticket.bytes };
    const own = { received: ticket?.covered ?? 0, base: this.acked, sent: this.sent, ...positions };
    this.peer.write(resumeFlight(this.session, { generation: ++this.generation, positions: own, ...shown }));
    return (await this.peer.flight()).flight as ResumedFlight | RejectedFlight;
  }
}
