// A server process of the SIGKILL run: adds up what it is sent, in session.data, and answers each message with the sum so far.
// argv: port, kind and place of its store; or `tickets` and their secret in hex: then it stores nothing, and what it adds up is with its
// client. Killed and started again by run.ts and tickets.ts.

import { lines } from '../../lib/framing/lines.ts';
import { SessionServer } from '../../lib/server.ts';
import { keyring } from '../../lib/tickets/keyring.ts';
import { openStore } from '../support/open-store.ts';

interface Progress {
  readonly seen: number;
  readonly sum: number;
}

const [port, kind, place] = process.argv.slice(2) as [string, string, string];
const kept =
  kind === 'tickets' ? { tickets: keyring([Buffer.from(place, 'hex')], { audience: 'sigkill' }) } : { store: await openStore(kind, place) };
// A killed client comes back as another process each time; ten in as many seconds are no attack here.
const server = new SessionServer({ framing: lines(), ...kept, limits: { takeovers: 10_000 } });
server.on('session', (session) => {
  session.data ??= { seen: 0, sum: 0 };
  session.on('close', () => {});
  session.receive((line) => {
    const { seen, sum } = session.data as Progress;
    if (line !== String(seen)) {
      console.log(`BROKEN message ${line} came where ${seen} was due`);
      process.exit(3);
    }
    session.send(`${seen} ${sum + seen}`);
    session.data = { seen: seen + 1, sum: sum + seen };
  });
});
await server.listen({ port: Number(port) });
console.log('ready');
