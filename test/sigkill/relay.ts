// A relay process of the SIGKILL run: what it reads from the sources it sends to the sink, with the number of messages passed on in the
// data of both; commit({ with }) makes each step one. argv: port, kind and place of its store. Killed and started again by relay-run.ts.

import { lines } from '../../lib/framing/lines.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { openStore } from '../support/open-store.ts';

const [port, kind, place] = process.argv.slice(2) as [string, string, string];
let arrived = (_sink: Session<string>): void => {};
let sink = new Promise<Session<string>>((resolve) => {
  arrived = resolve;
});

function count(session: Session<string>): number {
  const passed = ((session.data as number | undefined) ?? 0) + 1;
  session.data = passed;
  return passed;
}

const server = new SessionServer({ framing: lines(), store: await openStore(kind, place) });
server.on('session', (session) => {
  session.on('close', () => {});
  const name = session.metadata.toString();
  if (name === 'sink') {
    arrived(session);
    sink = Promise.resolve(session);
    return session.receive(() => {});
  }
  session.receive(async (line) => {
    // Without an await between them: the two are one step.
    const to = await sink;
    to.send(`${name} ${line} ${count(session)} ${count(to)}`);
    await session.commit({ with: [to] });
  });
});
await server.listen({ port: Number(port) });
console.log('ready');
