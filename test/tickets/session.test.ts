// A session that is kept by its client: its server crashes, is closed, or another one serves it, and none of them stores anything. Each
// message acts once on session.data and on what the session sends.

import { expect } from 'chai';
import { eventually } from '../support/net.ts';
import { openSums, sumTo } from '../support/sums.ts';
import { TicketNode, testRing } from '../support/ticket-node.ts';

describe('a server with tickets', () => {
  for (const [what, filler] of [
    ['a small ticket in RESUME', 0],
    ['a large one behind it', 20_000],
  ] as const)
    it(`is closed and started again with nothing stored: ${what}`, async () => {
      const first = new TicketNode(testRing(), { fillerBytes: filler });
      const { port } = await first.listen();
      const { client, session, answers } = await openSums(port);
      for (let i = 1; i <= 10; i++) session.send(String(i));
      await session.flushed();
      await first.server.close();
      expect(first.sessions[0]?.state).to.equal('closed');
      for (let i = 11; i <= 20; i++) session.send(String(i));
      const second = new TicketNode(testRing(), { fillerBytes: filler });
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
    let node = new TicketNode(testRing());
    const nodes = [node];
    const { port } = await node.listen();
    const { client, session, answers } = await openSums(port);
    for (let life = 0; life < 8; life++) {
      for (let i = 1; i <= 50; i++) session.send(String(life * 50 + i));
      await eventually(() => node.handled > life * 5);
      await node.server.close();
      node = new TicketNode(testRing());
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
