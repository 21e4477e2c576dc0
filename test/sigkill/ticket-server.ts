// A server process of the SIGKILL run that stores nothing: what it adds up is in session.data, and that is with its client.
// argv: port, and the secret of its tickets in hex. Killed and started again by tickets.ts.

import { lines } from '../../lib/framing/lines.ts';
import { SessionServer } from '../../lib/server.ts';
import { keyring } from '../../lib/tickets/keyring.ts';

interface Progress {
  readonly seen: number;
  readonly sum: number;
}

const [port, secret] = process.argv.slice(2) as [string, string];
const tickets = keyring([Buffer.from(secret, 'hex')], { audience: 'sigkill' });
const server = new SessionServer({ framing: lines(), tickets });
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
