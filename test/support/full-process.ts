// A process of its own for test/integration/limits.test.ts, since the budget is one per process. It fills it, and prints what happened.

import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import type { Session } from '../../lib/session.ts';
import { ended, next, Pair, rejection } from './net.ts';
import { type RawPeer, rawSession } from './raw-peer.ts';

const limits = { processBytes: 400_000, messageBytes: 300_000, outboxHighWater: 350_000 };
const pair = await Pair.make({ framing: lengthPrefix(), server: { limits } });

/** A session whose peer acks nothing. */
async function mute(): Promise<{ readonly peer: RawPeer; readonly far: Session<Buffer> }> {
  const announced = next<[Session<Buffer>]>(pair.server, 'session');
  const { peer } = await rawSession(pair.port, { framing: lengthPrefix().name });
  return { peer, far: (await announced)[0] };
}

const big = await mute();
const small = await mute();
const living = await mute();
for (const { far } of [small, big]) far.send(Buffer.alloc(far === big.far ? 250_000 : 50_000, 1));
for (const { far, peer } of [small, big]) {
  const detached = next(far, 'detached');
  peer.destroy();
  await detached;
}
const evicted = ended(big.far);
const sentBelow = living.far.send(Buffer.alloc(150_000));
const cause = await evicted;
const smallLives = small.far.state;
const sentAbove = living.far.send(Buffer.alloc(300_000));
const drained = living.far.drained();
const openAbove = (await rejection(pair.client.open())).code;
const attachedLives = living.far.state;
const stillWaits = await Promise.race([drained.then(() => false), Promise.resolve(true)]);
const told = drained.catch((error: { code: string }) => error.code);
living.far.destroy();
const { near } = await pair.open();
const openAgain = near.state;
const loss = (cause?.loss?.unconfirmed ?? []) as Buffer[];
const evictedBig = [cause?.code, loss.map((message) => message.length)];
const said = { sentBelow, evictedBig, smallLives, sentAbove, openAbove, attachedLives, stillWaits, waiter: await told, openAgain };
process.stdout.write(JSON.stringify(said));
living.peer.destroy();
await pair[Symbol.asyncDispose]();
