// A session that is kept by its client: its server crashes, is closed, or another one serves it, and none of them stores anything. Each
// message acts once on session.data and on what the session sends.

import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { SessionClient } from '../../lib/client.ts';
import { lines } from '../../lib/framing/lines.ts';
import type { TicketRing } from '../../lib/options.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { keyring } from '../../lib/tickets/keyring.ts';
import { eventually } from '../support/net.ts';

interface Sum {
  readonly count: number;
  readonly sum: number;
  readonly filler: string;
}

const SECRET = randomBytes(32);
const ring = (): TicketRing => keyring([SECRET], { audience: 'test' });

/** One process of a server that sums what it is sent, and answers each message with the sum so far. */
class SummingNode {
  readonly server: SessionServer<string>;
  handled: number = 0;
  sessions: Session<string>[] = [];

  constructor(tickets: TicketRing, fillerBytes: number = 0) {
    this.server = new SessionServer({ framing: lines(), tickets });
    this.server.on('session', (session) => {
      this.sessions.push(session);
      session.data ??= { count: 0, sum: 0, filler: randomBytes(fillerBytes).toString('base64') };
      session.on('close', () => {});
      session.receive((line) => {
        this.handled++;
        const data = session.data as Sum;
        const next = { ...data, count: data.count + 1, sum: data.sum + Number(line) };
        session.data = next;
        session.send(`${next.count} ${next.sum}`);
      });
    });
  }

  listen(port: number): Promise<number> {
    return this.server.listen({ port }).then((address) => address.port);
  }
}

function sumTo(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${i + 1} ${((i + 1) * (i + 2)) / 2}`);
}

describe('a server with tickets', () => {
  const open = async (port: number): Promise<{ client: SessionClient<string>; session: Session<string>; answers: string[] }> => {
    const client = new SessionClient({ framing: lines(), port });
    const session = await client.open();
    const answers: string[] = [];
    session.receive((line) => {
      answers.push(line);
    });
    return { client, session, answers };
  };

  for (const [what, filler] of [
    ['a small ticket in RESUME', 0],
    ['a large one behind it', 20_000],
  ] as const)
    it(`is closed and started again with nothing stored: ${what}`, async () => {
      const first = new SummingNode(ring(), filler);
      const port = await first.listen(0);
      const { client, session, answers } = await open(port);
      for (let i = 1; i <= 10; i++) session.send(String(i));
      await session.flushed();
      await first.server.close();
      expect(first.sessions[0]?.state).to.equal('closed');
      for (let i = 11; i <= 20; i++) session.send(String(i));
      const second = new SummingNode(ring(), filler);
      await second.listen(port);
      await session.flushed();
      const [restored] = second.sessions;
      expect(second.sessions.length).to.equal(1);
      expect(restored?.id).to.equal(session.id);
      expect(restored?.restored).to.equal(true);
      expect(restored?.data).to.include({ count: 20, sum: 210 });
      await client.close();
      expect(answers).to.deep.equal(sumTo(20));
      await second.server.close();
    });

  it('dies again and again with messages in flight: sums and answers are exact', async () => {
    let node = new SummingNode(ring());
    const nodes = [node];
    const port = await node.listen(0);
    const { client, session, answers } = await open(port);
    for (let life = 0; life < 8; life++) {
      for (let i = 1; i <= 50; i++) session.send(String(life * 50 + i));
      await eventually(() => node.handled > life * 5);
      await node.server.close();
      node = new SummingNode(ring());
      nodes.push(node);
      await eventually(() => session.state === 'detached');
      await node.listen(port);
    }
    await session.flushed();
    await client.close();
    expect(answers).to.deep.equal(sumTo(400));
    await node.server.close();
  });
});
