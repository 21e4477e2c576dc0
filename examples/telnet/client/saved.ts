// Sessions that another process can take up: one file each, readable by its owner alone, since whoever has the keys in it has the session.
// In: what a client knows of its session. Out: the same, to the next client. A file names its process, so that no session is taken from one
// that lives.

import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

export interface SavedSession {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** As given with -l; empty: none. */
  readonly user: string;
  /** Of SessionClient.record(). */
  readonly record: Buffer;
  /** Of Guest.states. */
  readonly states: Buffer;
}

/** Where sessions go by the XDG base directory specification. */
export function stateFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const { XDG_STATE_HOME: state, HOME: home } = environment;
  // A relative path is to be ignored.
  return join(state?.startsWith('/') ? state : join(home ?? homedir(), '.local/state'), 'outlast', 'telnet');
}

const FORMAT = 1;

interface File {
  readonly format: number;
  readonly owner: string;
  readonly savedMs: number;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly user: string;
  readonly record: string;
  readonly states: string;
}

export class SavedFile {
  readonly path: string;
  readonly session: SavedSession;
  readonly savedMs: number;

  constructor(path: string, session: SavedSession, savedMs: number) {
    this.path = path;
    this.session = session;
    this.savedMs = savedMs;
  }

  /** The youngest session for this server and user that no living process has. Files that cannot be read are passed over. */
  static find(folder: string, wanted: Pick<SavedSession, 'host' | 'port' | 'tls' | 'user'>): SavedFile | null {
    let best: SavedFile | null = null;
    for (const path of filesIn(folder)) {
      const found = read(path);
      if (found === null || found.owner !== '') continue;
      const { session, savedMs } = found.file;
      const same =
        session.host === wanted.host && session.port === wanted.port && session.tls === wanted.tls && session.user === wanted.user;
      if (same && (best === null || savedMs > best.savedMs)) best = found.file;
    }
    return best;
  }

  /** Another name for a new session, which write() makes. */
  static for(folder: string, id: string): string {
    return join(folder, `${id}.json`);
  }
}

/** Writes over what was there, all or nothing. Short enough for every key: nothing waits for a disk. */
export function writeSaved(path: string, session: SavedSession): void {
  const { host, port, tls, user, record, states } = session;
  const file: File = {
    format: FORMAT,
    owner: ownerOf(process.pid),
    savedMs: Date.now(),
    host,
    port,
    tls,
    user,
    record: record.toString('base64'),
    states: states.toString('base64'),
  };
  const folder = join(path, '..');
  const draft = `${path}.${process.pid}`;
  try {
    writeFileSync(draft, JSON.stringify(file), { mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(draft, JSON.stringify(file), { mode: 0o600 });
  }
  // The mode of a file that was there already stays what it was.
  chmodSync(draft, 0o600);
  renameSync(draft, path);
}

export function removeSaved(path: string): void {
  rmSync(path, { force: true });
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .map((name) => join(folder, name));
  } catch {
    return [];
  }
}

/** @returns the session, and the process that has it; '' where that is gone. */
function read(path: string): { readonly file: SavedFile; readonly owner: string } | null {
  try {
    const file = JSON.parse(readFileSync(path, 'utf8')) as File;
    const { format, owner, savedMs, host, port, tls, user } = file;
    if (format !== FORMAT || typeof owner !== 'string' || typeof savedMs !== 'number') return null;
    const session = {
      host,
      port,
      tls,
      user,
      record: Buffer.from(file.record, 'base64'),
      states: Buffer.from(file.states, 'base64'),
    };
    return { file: new SavedFile(path, session, savedMs), owner: ownerOf(Number.parseInt(owner, 10)) === owner ? owner : '' };
  } catch {
    return null;
  }
}

/** A process by its number and, where the system tells, its start: numbers are used again. Empty where there is no such process. */
function ownerOf(pid: number): string {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return '';
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in parentheses may hold anything; behind it stand the state, and 18 fields on the start.
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie is dead, although its number is still taken.
    return state === 'Z' || state === 'X' ? '' : `${pid} ${fields[18]}`;
  } catch {
    return `${pid}`;
  }
}
