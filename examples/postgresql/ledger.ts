// The application's own database: one transaction a message, which has its effect and the cursor behind it, and the cursor to go on from.

import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseError, type Pool, type PoolClient } from 'pg';

/** The effects of messages, and how far each session has come with them. */
const SCHEMA = `
  create table if not exists entries (place bigserial primary key, session text not null, text text not null);
  create table if not exists cursors (session text primary key, cursor bigint not null);
`;

/** Locks the session's row until the transaction ends, and changes it only where it is behind. */
const ADVANCE = `
  insert into cursors as known (session, cursor) values ($1, $2)
  on conflict (session) do update set cursor = excluded.cursor where known.cursor < excluded.cursor
`;

const RETRY_MS = 200;

export class Ledger {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
    // A connection that is lost while nobody uses it is no failure: the pool makes another.
    pool.on('error', () => {});
  }

  async prepare(): Promise<void> {
    await this.#pool.query(SCHEMA);
  }

  /** For resumeFrom: what is behind this cursor is not yet in the database. @throws where it is away; the client then comes again */
  async cursorOf(session: string): Promise<number> {
    const { rows } = await this.#pool.query<{ cursor: string }>('select cursor from cursors where session = $1', [session]);
    // A bigint comes as text. Cursors are safe integers.
    return Number(rows[0]?.cursor ?? 0);
  }

  /**
   * The effect of a message and the cursor behind it, both or neither. Repeated until the database has answered.
   * @returns false where the message has acted before: a transaction was committed and its answer lost, or a process that was killed had
   * its COMMIT on the way when this one asked for the cursor
   */
  async enter(session: string, cursor: number, text: string): Promise<boolean> {
    return await persist(() =>
      this.#transaction(async (client) => {
        const { rowCount } = await client.query(ADVANCE, [session, cursor]);
        if (rowCount === 0) return false;
        await client.query('insert into entries (session, text) values ($1, $2)', [session, text]);
        return true;
      }),
    );
  }

  async #transaction<Result>(work: (client: PoolClient) => Promise<Result>): Promise<Result> {
    const client = await this.#pool.connect();
    // Told to queries too; without a listener it would end the process.
    const lost = (): void => {};
    client.on('error', lost);
    let failure: Error | undefined;
    try {
      await client.query('begin');
      const result = await work(client);
      await client.query('commit');
      return result;
    } catch (error) {
      failure = error as Error;
      throw error;
    } finally {
      client.removeListener('error', lost);
      // With an error the connection is closed, and PostgreSQL rolls back what it had begun.
      client.release(failure);
    }
  }
}

/** Calls until the database answers. Each call may be repeated, whatever became of the one before. */
async function persist<Result>(call: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!isPassing(error)) throw error;
      console.log(`the database is asked again: ${String(error)}`);
    }
    await sleep(RETRY_MS);
  }
}

/** The connection is lost or refused, the server shuts down or starts, or two transactions were in each other's way. */
function isPassing(error: unknown): boolean {
  // What the database has not said itself is of the connection.
  if (!(error instanceof DatabaseError)) return !(error instanceof TypeError);
  return /^(08|57P|40001|40P01|53300)/.test(error.code ?? '');
}
