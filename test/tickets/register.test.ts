// A client that shows an older ticket than its newest: without a register it is taken back to it, with one it is refused.

import { expect } from 'chai';
import { SessionClient } from '../../lib/client.ts';
import type { RejectedFlight, ResumedFlight } from '../../lib/core/handshake.ts';
import { Kind, RejectCode } from '../../lib/core/wire.ts';
import { lines } from '../../lib/framing/lines.ts';
import { memoryStore } from '../../lib/stores/memory.ts';
import type { TicketMark, TicketRegister } from '../../lib/stores/store.ts';
import { registerContract } from '../contract/register.ts';
import { eventually } from '../support/net.ts';
import { ackFrame } from '../support/raw-peer.ts';
import { type RawTicket, TicketHolder, TicketNode, testRing } from '../support/ticket-node.ts';

class Marks implements TicketRegister {
  readonly marks: Map<string, TicketMark> = new Map();
  away: boolean = false;

  advance(id: string, mark: TicketMark): Promise<TicketMark> {
    if (this.away) return Promise.reject(new Error('away'));
    const kept = this.marks.get(id);
    const newer =
      kept === undefined || mark.generation > kept.generation || (mark.generation === kept.generation && mark.number > kept.number);
    const newest = newer ? mark : kept;
    this.marks.set(id, newest);
    return Promise.resolve(newest);
  }
}

registerContract('in memory', () => {
  const register = new Marks();
  return Promise.resolve({ register, other: register, end: () => Promise.resolve() });
});

/** Two tickets of a session whose server is gone; the client has consumed what the second covers. */
async function twoTickets(ticketRegister?: Marks): Promise<{ holder: TicketHolder; t1: RawTicket; t2: RawTicket }> {
  const register = ticketRegister === undefined ? {} : { ticketRegister };
  await using gone = await new TicketNode(testRing(), { challenge: 'never', ...register }).listen();
  const holder = await TicketHolder.open(gone.port);
  const t1 = await holder.ask('1', '1 1');
  const t2 = await holder.ask('2', '2 3');
  holder.peer.write(ackFrame(t2.covered, t2.covered + 2 * 1024 * 1024));
  await eventually(() => gone.sessions[0]?.stats.confirmed === t2.covered);
  if (ticketRegister !== undefined) await eventually(() => ticketRegister.marks.size === 1);
  return { holder, t1, t2 };
}

describe('an older ticket', () => {
  it('takes its client back to where it was, where no register says that there was more', async () => {
    const { holder, t1 } = await twoTickets();
    await using node = await new TicketNode(testRing(), { challenge: 'never' }).listen();
    const answer = (await holder.show(node.port, t1)) as ResumedFlight;
    expect(answer.kind).to.equal(Kind.RESUMED);
    expect(answer.positions.received).to.equal(2);
    expect(node.sessions[0]?.data).to.deep.equal({ count: 1, sum: 1 });
    holder.peer.destroy();
  });

  it('is STATE_LOST where the register knows of a newer one that the client has; the newest is taken', async () => {
    const marks = new Marks();
    const { holder, t1, t2 } = await twoTickets(marks);
    await using node = await new TicketNode(testRing(), { challenge: 'never', ticketRegister: marks }).listen();
    const answer = (await holder.show(node.port, t1)) as RejectedFlight;
    expect([answer.kind, answer.code]).to.deep.equal([Kind.REJECTED, RejectCode.STATE_LOST]);
    expect(answer.mac).to.not.equal(undefined);
    expect(answer.reason).to.match(/^ticket \d+ of generation 1, where \d+ of 1 was held$/);
    expect(node.sessions.length).to.equal(0);
    expect((await holder.show(node.port, t2)).kind).to.equal(Kind.RESUMED);
    expect(node.sessions[0]?.data).to.deep.equal({ count: 2, sum: 3 });
    holder.peer.destroy();
  });

  it('or any other waits where the register cannot be asked', async () => {
    const marks = new Marks();
    const { holder, t2 } = await twoTickets(marks);
    await using node = await new TicketNode(testRing(), { challenge: 'never', ticketRegister: marks }).listen();
    marks.away = true;
    const answer = (await holder.show(node.port, t2)) as RejectedFlight;
    expect([answer.kind, answer.code]).to.deep.equal([Kind.REJECTED, RejectCode.RETRY_LATER]);
    marks.away = false;
    expect((await holder.show(node.port, t2)).kind).to.equal(Kind.RESUMED);
    holder.peer.destroy();
  });
});

describe('a client whose record has no place for a ticket', () => {
  it('offers to keep none where it has a store: its session is in the memory of the server', async () => {
    await using node = await new TicketNode(testRing()).listen();
    await using client = new SessionClient({ framing: lines(), port: node.port, store: memoryStore() });
    const session = await client.open();
    const answers: string[] = [];
    session.receive((line) => {
      answers.push(line);
    });
    session.send('5');
    await eventually(() => answers.length === 1);
    expect(answers).to.deep.equal(['1 5']);
  });

  it('record() of a session with tickets is refused', async () => {
    await using node = await new TicketNode(testRing()).listen();
    await using client = new SessionClient({ framing: lines(), port: node.port });
    const session = await client.open();
    expect(() => client.record(session)).to.throw(/ERR_UNSUPPORTED|record\(\)/);
    session.receive(() => {});
  });
});
