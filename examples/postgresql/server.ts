// A server whose messages act on PostgreSQL: every line that a session sends becomes one row, whenever the process dies.
// npx tsx examples/postgresql/server.ts PORT FOLDER; the database is named by libpq's variables: PGHOST, PGPORT, PGUSER, PGDATABASE ...

import { SessionServer } from 'outlast';
import { lines } from 'outlast/framing/lines';
import { lmdbStore } from 'outlast/stores/lmdb';
import { Pool } from 'pg';
import { Ledger } from './ledger.ts';

const [port, folder] = process.argv.slice(2) as [string, string];
const ledger = new Ledger(new Pool());
await ledger.prepare();
const server = new SessionServer({
  framing: lines(),
  store: lmdbStore({ path: folder }),
  resumeFrom: async ({ id }) => {
    const cursor = await ledger.cursorOf(id);
    console.log(`session ${id} goes on behind ${cursor}`);
    return cursor;
  },
});
server.on('session', (session) => {
  session.on('close', (cause) => {
    if (cause !== undefined) console.log(`session ${session.id} ended: ${cause.message}`);
  });
  // The message is finished when this promise resolves. Only then is it confirmed to the client.
  session.receive(async (line) => {
    const first = await ledger.enter(session.id, session.cursor, line);
    if (!first) console.log(`session ${session.id} has acted already up to ${session.cursor}`);
  });
});
await server.listen({ port: Number(port) });
console.log('ready');
