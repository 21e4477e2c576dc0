// One exchange in both directions over real sockets, its first circuit cut after every byte of each direction: handshake, data, SYNC,
// END and CLOSE alike. Each run is checked for exactly once, in order, one session, and the right end on both sides.

import { expect } from 'chai';
import { type Session, SessionClient, type SessionError, SessionServer } from 'outlast';
import { lines } from 'outlast/framing/lines';
import { ChaosProxy } from 'outlast/testing';
import { processRuntime, type Runtime } from '../../lib/runtime.ts';

const MESSAGES = ['', 'one', 'two', 'x'.repeat(70), 'four', 'five'];
/** Redials at once: the jitter has tests of its own. */
const eager: Runtime = { ...processRuntime, random: () => 0 };
const AT_ONCE = 24;

interface Run {
  readonly cuts: number;
  readonly sessions: number;
  readonly up: readonly string[];
  readonly down: readonly string[];
  readonly causes: readonly (SessionError | undefined)[];
  readonly failure: unknown;
}

/** @param reads whether the server's application reads; without a reader it closes at once */
async function exchange(direction: 'up' | 'down', bytes: number, reads: boolean): Promise<Run> {
  const up: string[] = [];
  const down: string[] = [];
  const causes: (SessionError | undefined)[] = [];
  let sessions = 0;
  let failure: unknown;
  await using server = new SessionServer({ framing: lines(), runtime: eager });
  const served = new Promise<void>((resolve) => {
    server.on('session', (session) => {
      sessions++;
      session.once('close', (cause) => {
        causes.push(cause);
        resolve();
      });
      session.send('welcome');
      if (reads) session.receive((line) => up.push(line) && session.send(`re: ${line}`));
      else session.close().catch(() => {});
    });
  });
  await using proxy = new ChaosProxy({ target: { port: (await server.listen({ port: 0 })).port } });
  proxy.cutAfterBytes(bytes, { direction, how: bytes % 2 === 0 ? 'rst' : 'fin' });
  const client = new SessionClient({ framing: lines(), port: await proxy.listen(), runtime: eager });
  const session = await client.open({ retry: true });
  session.once('close', (cause) => causes.push(cause));
  try {
    await speak(session, down);
  } catch (error) {
    failure = error;
  }
  await served;
  return { cuts: proxy.stats.cuts, sessions, up, down, causes, failure };
}

async function speak(session: Session<string>, down: string[]): Promise<void> {
  for (const message of MESSAGES) session.send(message);
  const reading = (async () => {
    for await (const line of session) {
      down.push(line);
      if (down.length === 1 + MESSAGES.length) session.end();
    }
  })();
  await session.flushed();
  await reading;
  await session.close();
}

/** Runs with a cut at byte 0, 1, 2, … until one gets by without. @returns all of them but that one */
async function everyByte(direction: 'up' | 'down', reads: boolean): Promise<Run[]> {
  const runs: Run[] = [];
  for (let from = 0; ; from += AT_ONCE) {
    const batch = await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => exchange(direction, from + i, reads)));
    const whole = batch.findIndex((run) => run.cuts === 0);
    runs.push(...(whole < 0 ? batch : batch.slice(0, whole)));
    if (whole >= 0) return runs;
  }
}

describe('a cut after every byte', function () {
  this.timeout(120_000);

  for (const direction of ['up', 'down'] as const) {
    it(`of the stream ${direction}: exactly once, in order, clean on both sides`, async () => {
      const runs = await everyByte(direction, true);
      expect(runs.length, 'the exchange has so many bytes').to.be.greaterThan(300);
      for (const [at, run] of runs.entries()) {
        const where = `cut ${direction} at ${at}`;
        expect(run.failure, where).to.equal(undefined);
        expect(run.sessions, where).to.equal(1);
        expect(run.up, where).to.deep.equal(MESSAGES);
        expect(run.down, where).to.deep.equal(['welcome', ...MESSAGES.map((message) => `re: ${message}`)]);
        expect(run.causes, where).to.deep.equal([undefined, undefined]);
      }
    });

    it(`of the stream ${direction}, without a reader: UNREAD on both sides and never a hang`, async () => {
      for (const [at, run] of (await everyByte(direction, false)).entries()) {
        const where = `cut ${direction} at ${at}`;
        expect(run.sessions, where).to.equal(1);
        expect(run.up, where).to.deep.equal([]);
        expect(run.down.slice(0, 1), where).to.deep.equal(['welcome']);
        expect(run.causes.map((cause) => cause?.code).sort(), where).to.deep.equal(['ERR_PEER_UNREAD', 'ERR_UNREAD']);
      }
    });
  }
});
