// A second process with the identity of a session, for test/integration/processes.test.ts: takes it up from its record, sends, and prints
// one JSON line for each thing that happens. argv: port, record in hex, what to send. Ends with its input.

import { SessionClient } from '../../lib/client.ts';
import { lines } from '../../lib/framing/lines.ts';

const [port, record, message] = process.argv.slice(2) as [string, string, string];
const say = (event: string, detail: unknown = null): void => {
  process.stdout.write(`${JSON.stringify([event, detail])}\n`);
};
const client = new SessionClient({ framing: lines(), port: Number(port) });
client.on('retry', ({ cause }) => say('retry', cause.code));
const resuming = client.resume(Buffer.from(record, 'hex'));
for (const session of client.sessions) {
  session.on('close', (cause) => say('close', cause?.code ?? null));
  // Written before the server has accepted this process: it must not reach a circuit that is not accepted.
  session.send(message);
}
resuming.then(
  (session) => {
    say('resumed', session.restored);
    session.receive((line) => say('line', line));
  },
  (error: { code: string }) => say('refused', error.code),
);
process.stdin.resume();
process.stdin.on('end', () => {
  for (const session of client.sessions) session.destroy();
});
