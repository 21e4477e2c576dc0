// A client process of the SIGKILL run: sends whole numbers in order and checks each answer, with its place in both in session.data.
// argv: port, kind and place of its store, how many numbers. Prints its progress, and the result when all answers are there. On stdin comes
// how far it may go for now.

import { createInterface } from 'node:readline';
import { SessionClient } from '../../lib/client.ts';
import { lines } from '../../lib/framing/lines.ts';
import type { Session } from '../../lib/session.ts';
import { openStore } from '../support/open-store.ts';

interface Progress {
  readonly told: number;
  readonly seen: number;
  readonly sum: number;
}

const [port, kind, place, count] = process.argv.slice(2) as [string, string, string, string];
const most = Number(count);
const BURST = 250;
const AHEAD = 4 * BURST;
let allowed = 0;

const client = new SessionClient({ framing: lines(), port: Number(port), store: await openStore(kind, place) });
const session: Session<string> = await client.open({ key: 'sum', retry: true });
session.data ??= { told: 0, seen: 0, sum: 0 };
const progress = (): Progress => session.data as Progress;
session.on('close', (cause) => {
  if (cause === undefined) return;
  console.log(`BROKEN ended with ${cause.message}`);
  process.exit(3);
});
console.log(`ready ${progress().seen}`);
session.receive((line) => {
  const { seen, sum } = progress();
  if (line !== `${seen} ${sum + seen}`) {
    console.log(`BROKEN answer ${line} came where ${seen} ${sum + seen} was due`);
    process.exit(3);
  }
  session.data = { ...progress(), seen: seen + 1, sum: sum + seen };
  if (seen === 0 || (seen + 1) % BURST === 0) console.log(`at ${seen + 1}`);
  if (seen + 1 === most) finish();
  else tell();
});
createInterface({ input: process.stdin }).on('line', (line) => {
  allowed = Number(line);
  tell();
});

/** Some more, as long as not too many answers are due: the sends and the new place are one boundary. */
function tell(): void {
  let { told } = progress();
  if (told >= allowed || told - progress().seen > AHEAD - BURST) return;
  for (let left = BURST; left > 0 && told < most; left--) session.send(String(told++));
  session.data = { ...progress(), told };
}

function finish(): void {
  const { seen, sum } = progress();
  // Not inside of the handler: the last message is finished when it returns.
  setImmediate(() => {
    session.close().then(() => {
      console.log(`done ${seen} ${sum}`);
      process.exit(0);
    });
  });
}
