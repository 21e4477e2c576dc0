// A server with a store drains: its sessions go on in another process, a few at a time, and nobody who dials is taken any more.

import { expect } from 'chai';
import { SessionClient } from '../../lib/client.ts';
import { lines } from '../../lib/framing/lines.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { memoryStore } from '../../lib/stores/memory.ts';
import type { Store } from '../../lib/stores/store.ts';
import { eventually } from '../support/net.ts';

/** A server that numbers the lines it gets, in session.data, and names itself in its answers. */
async function node(
  name: string,
  store: Store,
  durability: 'commit' | 'detach',
): Promise<{ server: SessionServer<string>; port: number; told: unknown[] }> {
  const server = new SessionServer({ framing: lines(), store, durability });
  const told: unknown[] = [];
  server.on('session', (session: Session<string>) => {
    session.on('close', (cause) => told.push(cause?.code));
    session.on('draining', (notice) => told.push(notice.move));
    session.receive((line) => {
      const count = ((session.data as number | undefined) ?? 0) + 1;
      session.data = count;
      session.send(`${name} ${count} ${line}`);
    });
  });
  const { port } = await server.listen({ port: 0 });
  return { server, port, told };
}

for (const durability of ['commit', 'detach'] as const) {
  describe(`a draining server with durability ${durability}`, () => {
    it('hands its sessions over, with their data, and every message acts once', async () => {
      const store = memoryStore();
      const first = await node('first', store, durability);
      const second = await node('second', store, durability);
      const addresses = [{ port: first.port }, { port: second.port }];
      const clients = Array.from({ length: 12 }, () => new SessionClient({ framing: lines(), addresses }));
      const sessions = await Promise.all(clients.map((client) => client.open()));
      const answers = sessions.map((session) => {
        const got: string[] = [];
        session.receive((line) => {
          got.push(line);
        });
        return got;
      });
      const sendAll = (text: string): void => {
        for (const session of sessions) session.send(text);
      };
      sendAll('a');
      await eventually(() => answers.every((got) => got.length === 1));
      expect(first.server.sessions.size).to.equal(12);
      sendAll('b');
      expect(await first.server.drain({ deadlineMs: 20_000, ratePerSec: 50 })).to.equal(0);
      sendAll('c');
      await eventually(() => answers.every((got) => got.length === 3));
      expect(second.server.sessions.size).to.equal(12);
      for (const got of answers) {
        expect(got.map((line) => line.replace(/^\w+ /, ''))).to.deep.equal(['1 a', '2 b', '3 c']);
        expect([got[0], got[2]]).to.deep.equal(['first 1 a', 'second 3 c']);
      }
      expect(first.told.filter((word) => word === true).length).to.equal(12);
      expect(first.told.filter((word) => word === 'ERR_SHUTDOWN').length).to.equal(12);
      expect(sessions.map((session) => session.state)).to.deep.equal(sessions.map(() => 'attached'));
      await Promise.all(clients.map((client) => client.close()));
      await first.server.close();
      await second.server.close();
    });
  });
}
