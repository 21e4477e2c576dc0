// The client process of the durable demo: sends the numbers 0, 1, 2 ... and checks each answer, with its place in both in session.data.
// argv: port, folder of its store. Killed and started again by stage.ts, and stopped by a message from it.

import { SessionClient } from 'outlast';
import { lines } from 'outlast/framing/lines';
import { lmdbStore } from 'outlast/stores/lmdb';
import { HEARTBEAT_MS, redialSoon } from '../haste.ts';
import { type Account, enter, nothing } from './account.ts';
import { type ClientReport, REPORT_MS, reporter } from './reports.ts';

interface Progress {
  readonly told: number;
  readonly account: Account;
  readonly wrong: number;
}

const BURST = 10;
const BURST_MS = 5;
/** Numbers that may be without an answer. */
const AHEAD = 500;

const [port, folder] = process.argv.slice(2) as [string, string];
const tell = reporter<ClientReport>();
let stopping = false;
process.on('message', () => {
  stopping = true;
});
const store = lmdbStore({ path: folder, survives: 'process' });
const client = new SessionClient({ framing: lines({ encoding: 'buffer' }), port: Number(port), store, heartbeatMs: HEARTBEAT_MS });
redialSoon(client);
const session = await client.open({ key: 'demo', retry: true });
session.data ??= { told: 0, account: nothing, wrong: 0 } satisfies Progress;
const progress = (): Progress => session.data as Progress;
session.on('close', (cause) => {
  if (cause !== undefined) tell({ broken: `the client's session ended with ${cause.message}` });
});
session.receive((line) => {
  const [number, sum] = line.toString('latin1').split(' ').map(Number) as [number, number];
  const account = enter(progress().account, number);
  session.data = { ...progress(), account, wrong: progress().wrong + (account.sum === sum ? 0 : 1) };
});

const reports = setInterval(() => tell({ ...progress(), attached: session.state === 'attached' }), REPORT_MS);
const bursts = setInterval(() => {
  if (stopping && progress().account.next >= progress().told) void finish();
  else if (!stopping) burst();
}, BURST_MS);

/** What is sent in one turn and the new place are one step: either all of it has happened when this process is killed, or nothing. */
function burst(): void {
  let { told } = progress();
  const most = Math.min(told + BURST, progress().account.next + AHEAD);
  while (told < most) session.send(Buffer.from(String(told++)));
  session.data = { ...progress(), told };
}

async function finish(): Promise<void> {
  clearInterval(bursts);
  clearInterval(reports);
  await session.close();
  tell({ ...progress(), over: true });
}
