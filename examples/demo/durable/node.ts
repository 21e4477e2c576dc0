// A server process of the durable demo: adds up the numbers it is sent, in session.data, and answers each with the sum so far.
// argv: folder of the store that all nodes share, what to spoil. Killed and started again by stage.ts.

import { SessionServer } from 'outlast';
import { lines } from 'outlast/framing/lines';
import { lmdbStore } from 'outlast/stores/lmdb';
import { HEARTBEAT_MS } from '../haste.ts';
import { spoilerOf } from '../spoil.ts';
import { type Account, enter, nothing } from './account.ts';
import { type NodeReport, REPORT_MS, reporter } from './reports.ts';

const [folder, spoiled] = process.argv.slice(2) as [string, string];
const tell = reporter<NodeReport>();
const spoil = spoilerOf(spoiled);
const server = new SessionServer({
  framing: lines({ encoding: 'buffer' }),
  // Processes are killed here, not the machine.
  store: lmdbStore({ path: folder, survives: 'process' }),
  heartbeatMs: HEARTBEAT_MS,
  // A killed client comes back as another process each time: no attack here.
  limits: { takeovers: 10_000 },
});
server.on('session', (session) => {
  if (!session.restored) tell({ began: true });
  session.data ??= nothing;
  session.on('close', (cause) => {
    if (cause === undefined) tell({ account: session.data as Account });
    // Fenced is what a node is that the session has moved away from.
    else if (cause.code !== 'ERR_FENCED') tell({ broken: `a node's session ended with ${cause.message}` });
  });
  session.receive((line) => {
    for (const handed of spoil(line, Number(line))) {
      const number = Number(handed);
      const account = enter(session.data as Account, number);
      session.data = account;
      session.send(Buffer.from(`${number} ${account.sum}`));
    }
  });
});
const { port } = await server.listen({ port: 0 });
tell({ port });
setInterval(() => {
  for (const session of server.sessions.values()) if (session.state === 'attached') tell({ account: session.data as Account });
}, REPORT_MS);
