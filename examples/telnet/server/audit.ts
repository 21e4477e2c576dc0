// The audit log: one line of JSON for each thing that somebody may have to account for. In: events. Out: a file that is only appended to,
// each line with the hash of the one before, so that a line taken out shows. What users type is never an event, so no password can be one.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';

export type AuditEvent =
  | 'listening'
  | 'connected'
  | 'negotiated'
  | 'login'
  | 'login-failed'
  | 'login-refused'
  | 'suspicious'
  | 'created'
  | 'attached'
  | 'detached'
  | 'shared'
  | 'ended'
  | 'disconnected';

export type AuditFacts = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

/** What the disk has not taken. Beyond it events are counted and left out: a full disk must not fill the memory. */
const MOST_QUEUED_BYTES = 1_048_576;
const FIRST_HASH = '0'.repeat(64);

export class AuditLog implements AsyncDisposable {
  readonly #file: WriteStream | null;
  #previous: string;
  #lost = 0;
  #failed = false;

  private constructor(file: WriteStream | null, previous: string) {
    this.#file = file;
    this.#previous = previous;
    file?.on('error', () => {
      this.#failed = true;
    });
  }

  /** Goes on with the chain of a file that is there. @param path null: nothing is written */
  static async open(path: string | null): Promise<AuditLog> {
    if (path === null) return new AuditLog(null, FIRST_HASH);
    const before = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    const last = before.trimEnd().split('\n').at(-1) ?? '';
    const file = createWriteStream(path, { flags: 'a', mode: 0o600 });
    await once(file, 'open');
    return new AuditLog(file, last === '' ? FIRST_HASH : hashOf(last));
  }

  write(event: AuditEvent, facts: AuditFacts = {}): void {
    const file = this.#file;
    if (file === null) return;
    if (this.#failed || file.writableLength > MOST_QUEUED_BYTES) {
      this.#lost++;
      return;
    }
    const lost = this.#lost === 0 ? {} : { lost: this.#lost };
    this.#lost = 0;
    const line = JSON.stringify({ time: new Date().toISOString(), event, ...facts, ...lost, previous: this.#previous });
    this.#previous = hashOf(line);
    file.write(`${line}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#file === null || this.#failed) return;
    this.#file.end();
    await once(this.#file, 'close').catch(() => {});
  }
}

/** @returns the number of the first line that does not follow from the one before, 1 for the first; 0 where all do */
export function firstBrokenLine(text: string): number {
  let previous = FIRST_HASH;
  const lines = text.split('\n').filter((line) => line !== '');
  for (const [index, line] of lines.entries()) {
    if ((JSON.parse(line) as { readonly previous?: unknown }).previous !== previous) return index + 1;
    previous = hashOf(line);
  }
  return 0;
}

function hashOf(line: string): string {
  return createHash('sha256').update(line).digest('hex');
}
