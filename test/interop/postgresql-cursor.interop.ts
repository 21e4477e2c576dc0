// examples/postgresql with a real PostgreSQL: its server process is killed with SIGKILL at random moments, connections to the database are
// ended under it, and every message is in the table once and in order.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { Pool } from 'pg';
import { Ledger } from '../../examples/postgresql/ledger.ts';
import { SessionClient } from '../../lib/client.ts';
import { lines } from '../../lib/framing/lines.ts';
import type { Session } from '../../lib/session.ts';
import { Random } from '../../lib/testing/random.ts';
import { freePort } from '../support/free-port.ts';
import { Services } from './services.ts';

const KILLS = 24;
/** Connections to the database that are ended: one for so many kills. */
const KILLS_A_TERMINATION = 4;
const TERMINATIONS = KILLS / KILLS_A_TERMINATION;
/** A kill comes so long after the first new row. */
const MOMENT_MS = 250;
/** Messages of the client that no transaction has yet. */
const AHEAD = 200;
const root = fileURLToPath(new URL('../..', import.meta.url));

/** The server of the example: killed, and started again. */
class Example {
  readonly #argv: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  readonly output: string[] = [];
  #child: ChildProcess | undefined;

  constructor(argv: readonly string[], env: NodeJS.ProcessEnv) {
    this.#argv = argv;
    this.#env = env;
  }

  async start(): Promise<void> {
    const child = spawn(process.execPath, ['--import', 'tsx', 'examples/postgresql/server.ts', ...this.#argv], {
      cwd: root,
      env: { ...process.env, ...this.#env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    const told = createInterface({ input: child.stdout });
    told.on('line', (line) => this.output.push(line));
    const [line] = (await Promise.race([once(told, 'line'), once(child, 'exit')])) as [unknown];
    expect(line).to.equal('ready');
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    expect(child.exitCode, 'the server has ended by itself').to.equal(null);
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    this.#child = undefined;
  }
}

/** Sends numbers until it is told to stop. @returns how many */
async function tell(session: Session<string>, rows: () => number, stopped: () => boolean): Promise<number> {
  let told = 0;
  while (!stopped()) {
    while (told < rows() + AHEAD) session.send(`entry ${told++}`);
    await sleep(5);
  }
  return told;
}

describe('a database of the application, PostgreSQL', () => {
  let folder: string;
  let services: Services;
  let pool: Pool;
  let example: Example;
  let port: number;

  before(async function () {
    this.timeout(60_000);
    folder = mkdtempSync(join(tmpdir(), 'outlast-postgresql-'));
    services = new Services(folder);
    const database = await services.postgres();
    pool = new Pool({ host: '127.0.0.1', port: database, user: 'app', database: 'app', max: 2 });
    port = await freePort();
    const env = { PGHOST: '127.0.0.1', PGPORT: String(database), PGUSER: 'app', PGDATABASE: 'app', PGAPPNAME: 'example' };
    example = new Example([String(port), join(folder, 'sessions')], env);
  });
  after(async () => {
    await example?.kill();
    await pool?.end();
    await services?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const rowsNow = async (): Promise<number> => Number((await pool.query('select count(*) from entries')).rows[0].count);

  it(`has every message once and in order after ${KILLS} kills of the server`, async function () {
    this.timeout(180_000);
    const random = new Random(Date.now() % 1_000_000);
    await example.start();
    const client = new SessionClient({ framing: lines(), port, heartbeatMs: 1_000 });
    client.on('retry', ({ delayMs, session }) => {
      if (delayMs > 100) setTimeout(() => session.state === 'detached' && client.nudge(), 100);
    });
    const session = await client.open({ retry: true });
    const over = once(session, 'close');
    let rows = 0;
    let stopped = false;
    const telling = tell(
      session,
      () => rows,
      () => stopped,
    );
    for (let kill = 0; kill < KILLS; kill++) {
      // What the process before has done does not count: this one is to be killed at work.
      const before = await rowsNow();
      rows = before;
      while (rows <= before) {
        expect(session.state).to.not.equal('closed');
        await sleep(5);
        rows = await rowsNow();
      }
      // Some transactions end without an answer, while the process lives.
      if (kill % KILLS_A_TERMINATION === 0)
        await pool.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'example'");
      for (const untilMs = performance.now() + random.integer(0, MOMENT_MS); performance.now() < untilMs; await sleep(5))
        rows = await rowsNow();
      await example.kill();
      await example.start();
    }
    stopped = true;
    const told = await telling;
    await session.close();
    expect((await over)[0]).to.equal(undefined);
    const { rows: entries } = await pool.query<{ text: string; session: string }>('select text, session from entries order by place');
    expect(entries.map(({ text }) => text)).to.deep.equal(Array.from({ length: told }, (_, i) => `entry ${i}`));
    expect(new Set(entries.map(({ session: id }) => id))).to.deep.equal(new Set([session.id]));
    const { rows: cursors } = await pool.query<{ cursor: string }>('select cursor from cursors');
    const bytes = entries.reduce((total, { text }) => total + text.length + 1, 0);
    expect(cursors.map(({ cursor }) => Number(cursor))).to.deep.equal([bytes]);
    const count = (words: string): number => example.output.filter((line) => line.includes(words)).length;
    expect(count('goes on behind')).to.be.at.least(KILLS);
    // One transaction at a time can be under way when its process or its connection dies. All others resumeFrom has passed over.
    expect(count('has acted already')).to.be.at.most(KILLS + TERMINATIONS);
    process.stdout.write(`      ${told} messages, ${KILLS} kills, ${count('has acted already')} met again\n`);
    await client.close();
  });

  it('lets one of two processes act that have the same message in hand, and none that is behind', async () => {
    const ledgers = [new Ledger(pool), new Ledger(pool)] as const;
    await ledgers[0].prepare();
    for (let cursor = 10; cursor <= 200; cursor += 10) {
      const acted = await Promise.all(ledgers.map((ledger) => ledger.enter('twice', cursor, `behind ${cursor}`)));
      expect(acted.filter(Boolean).length).to.equal(1);
    }
    expect(await ledgers[0].enter('twice', 190, 'late')).to.equal(false);
    expect(await ledgers[1].cursorOf('twice')).to.equal(200);
    const { rows } = await pool.query<{ text: string }>("select text from entries where session = 'twice' order by place");
    expect(rows.map(({ text }) => text)).to.deep.equal(Array.from({ length: 20 }, (_, i) => `behind ${10 * (i + 1)}`));
  });
});
