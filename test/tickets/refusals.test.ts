// Tickets that are no good: whatever is wrong with them, the answer is that of an unknown session, and nobody is hurt. And the good ones
// among them: sealed by a secret that is on its way out.

import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import type { RejectedFlight, ResumedFlight } from '../../lib/core/handshake.ts';
import { Kind, RejectCode } from '../../lib/core/wire.ts';
import type { TicketRing } from '../../lib/options.ts';
import { keyring } from '../../lib/tickets/keyring.ts';
import { type RawTicket, SECRET, TicketHolder, TicketNode, testRing } from '../support/ticket-node.ts';

const HOUR_MS = 3_600_000;
const never = { challenge: 'never' } as const;

/** A session of `first`, which then is gone; and its newest ticket. */
async function orphan(ring: TicketRing = testRing()): Promise<{ holder: TicketHolder; ticket: RawTicket }> {
  await using first = await new TicketNode(ring, never).listen();
  const holder = await TicketHolder.open(first.port);
  const ticket = await holder.ask('7', '1 7');
  return { holder, ticket };
}

function expectUnknown(answer: ResumedFlight | RejectedFlight): void {
  expect(answer.kind).to.equal(Kind.REJECTED);
  const { code, mac, reason, positions } = answer as RejectedFlight;
  expect({ code, mac, reason, positions }).to.deep.equal({ code: RejectCode.UNKNOWN, mac: undefined, reason: '', positions: undefined });
}

function changed(ticket: RawTicket, at: number): RawTicket {
  const bytes = Buffer.from(ticket.bytes);
  bytes[at] = (bytes[at] as number) ^ 1;
  return { ...ticket, bytes };
}

describe('a ticket that is no good', () => {
  const mistakes: readonly [name: string, mistake: (ticket: RawTicket) => RawTicket][] = [
    ['of another version', (ticket) => changed(ticket, 0)],
    ['with another key id', (ticket) => changed(ticket, 3)],
    ['with another salt', (ticket) => changed(ticket, 20)],
    ['with a changed byte of its state', (ticket) => changed(ticket, 80)],
    ['with a changed last byte', (ticket) => changed(ticket, ticket.bytes.length - 1)],
    ['without its last byte', (ticket) => ({ ...ticket, bytes: ticket.bytes.subarray(0, -1) })],
    ['with a byte more', (ticket) => ({ ...ticket, bytes: Buffer.concat([ticket.bytes, Buffer.of(0)]) })],
    ['of which only the header is left', (ticket) => ({ ...ticket, bytes: ticket.bytes.subarray(0, 41) })],
    ['of one byte', (ticket) => ({ ...ticket, bytes: ticket.bytes.subarray(0, 1) })],
    ['of random bytes', (ticket) => ({ ...ticket, bytes: randomBytes(500) })],
  ];
  for (const [name, mistake] of mistakes)
    it(`${name} is as good as none: UNKNOWN`, async () => {
      const { holder, ticket } = await orphan();
      await using second = await new TicketNode(testRing(), never).listen();
      expectUnknown(await holder.show(second.port, mistake(ticket)));
      expect(second.sessions.length).to.equal(0);
      // The same bytes, unharmed.
      const answer = await holder.show(second.port, ticket);
      expect(answer.kind).to.equal(Kind.RESUMED);
      expect(second.sessions[0]?.data).to.deep.equal({ count: 1, sum: 7 });
    });

  const rings: readonly [name: string, make: () => TicketRing][] = [
    ['of another audience', () => keyring([SECRET], { audience: 'somebody else' })],
    ['of a secret that is not in use any more', () => keyring([randomBytes(32)], { audience: 'test' })],
    ['that has expired', () => keyring([SECRET], { audience: 'test', now: () => Date.now() + 25 * HOUR_MS })],
    ['from the future', () => keyring([SECRET], { audience: 'test', now: () => Date.now() - HOUR_MS })],
    [
      'that was revoked',
      () => {
        const ring = keyring([SECRET], { audience: 'test' });
        ring.revokeBefore(Date.now() + 1000);
        return ring;
      },
    ],
  ];
  for (const [name, make] of rings)
    it(`${name} is as good as none: UNKNOWN`, async () => {
      const { holder, ticket } = await orphan();
      await using second = await new TicketNode(make(), never).listen();
      expectUnknown(await holder.show(second.port, ticket));
      expect(second.sessions.length).to.equal(0);
    });

  it('of another session is as good as none, also with its own session here', async () => {
    await using node = await new TicketNode(testRing(), never).listen();
    const mine = await TicketHolder.open(node.port);
    const theirs = await TicketHolder.open(node.port);
    const ticket = await theirs.ask('5', '1 5');
    const { ticket: own } = mine;
    await using other = await new TicketNode(testRing(), never).listen();
    expectUnknown(await mine.show(other.port, ticket));
    expect((await mine.show(node.port, ticket, { received: own?.covered ?? 0 })).kind).to.equal(Kind.RESUMED);
    expect(node.sessions.map(({ state }) => state)).to.deep.equal(['attached', 'attached']);
    expect(node.sessions.map(({ data }) => data)).to.deep.equal([
      { count: 0, sum: 0 },
      { count: 1, sum: 5 },
    ]);
  });

  it('was sealed for something else: as good as none', async () => {
    const { holder, ticket } = await orphan();
    const ring = keyring([SECRET], { audience: 'test' });
    const opened = ring.open('outlast session', ticket.bytes);
    if (typeof opened === 'string') throw new Error(opened);
    const bytes = ring.seal('a voucher', opened.record, opened.data);
    await using second = await new TicketNode(ring, never).listen();
    expectUnknown(await holder.show(second.port, { ...ticket, bytes }));
  });

  it('with a RESUME by somebody else, who has the ticket and not the keys: UNKNOWN', async () => {
    const { ticket, holder } = await orphan();
    await using second = await new TicketNode(testRing(), never).listen();
    const thief = await TicketHolder.open(second.port);
    thief.session.id.set(holder.session.id);
    expectUnknown(await thief.show(second.port, ticket));
  });
});

describe('secrets of tickets', () => {
  it('change without a pause: old tickets open while the old secret is in the list, and new ones are sealed by the new', async () => {
    const [before, after] = [randomBytes(32), randomBytes(32)];
    const ring = (...secrets: Buffer[]): TicketRing => keyring(secrets, { audience: 'test' });
    const { holder, ticket } = await orphan(ring(before));
    await using overlap = await new TicketNode(ring(after, before), never).listen();
    expect((await holder.show(overlap.port, ticket)).kind).to.equal(Kind.RESUMED);
    const renewed = await holder.nextTicket();
    await using late = await new TicketNode(ring(after), never).listen();
    expectUnknown(await holder.show(late.port, ticket));
    expect((await holder.show(late.port, renewed)).kind).to.equal(Kind.RESUMED);
    expect(late.sessions[0]?.data).to.deep.equal({ count: 1, sum: 7 });
    holder.peer.destroy();
  });
});
