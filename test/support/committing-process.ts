// A process that owns one record and commits as fast as the store answers, for tests that kill or stop it. argv: kind of the store
// (open-store.ts), where it is, id of the record, its generation, and, where it is to stop itself once, behind which commit.
// Prints `claimed N`, `done N` for each answered commit, and how it ended.

import type { Claim, Store, Write } from '../../lib/stores/store.ts';
import { openStore } from './open-store.ts';

const [kind, place, id, generation, stopAt] = process.argv.slice(2) as [string, string, string, string, string | undefined];
const store: Store = await openStore(kind, place);
const owner = `process ${process.pid}`;
const asked = { id, owner, generation: Number(generation), instance: Number(generation), positions: undefined, held: undefined };
const claimed = await store.claim({ ...asked, exclusive: false, keepMs: 60_000 });
if (claimed.status !== 'claimed') throw new Error(claimed.status);
const { claim } = claimed;
let commit = claimed.record?.commit ?? 0;
process.stdout.write(`claimed ${commit}\n`);

for (;;) {
  const { status } = await store.commit(numbered(claim, commit + 1));
  if (status !== 'done') {
    process.stdout.write(`${status} ${commit}\n`);
    break;
  }
  commit++;
  process.stdout.write(`done ${commit}\n`);
  // By itself, where no write is under way: in the middle of one it could hold a lock that everybody needs.
  if (commit === Number(stopAt)) process.kill(process.pid, 'SIGSTOP');
}
await store.close();
process.exit();

/** The write that makes `commit`: its number is its state, and its output, four bytes of it, of which the last ten are kept. */
function numbered(owned: Claim, number: number): Write {
  const outbox = Buffer.alloc(4);
  outbox.writeUInt32BE(number);
  const from = 4 * number;
  const { tenure } = owned;
  const numbers = { commit: number, generation: tenure, instance: tenure, received: number, base: Math.max(4, from - 36), sent: from + 4 };
  return { claim: owned, ...numbers, state: Buffer.from(String(number)), outbox, from, whole: false, keepMs: 60_000 };
}
