// Owners of a record in processes of their own (committing-process.ts), which are killed and stopped: what must be true of the record then.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import type { Store } from '../../lib/stores/store.ts';
import { eventually } from './net.ts';
import { openStore } from './open-store.ts';

/** One process that commits as fast as it can, and how far it says that it has come. */
export class Owner implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  /** The last commit that was answered. */
  done: number = 0;
  /** How it ended: `fenced 17`. */
  ended: string = '';
  #stderr: string = '';

  private constructor(kind: string, place: string, id: string, generation: number, stopAt: number) {
    const script = fileURLToPath(new URL('./committing-process.ts', import.meta.url));
    const args = ['--import', 'tsx', script, kind, place, id, String(generation), String(stopAt)];
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#closed = once(this.#child, 'close');
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString();
    });
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      const [status, number] = line.split(' ');
      if (status === 'done' || status === 'claimed') this.done = Number(number);
      else this.ended = line;
    });
  }

  /** Makes the record where there is none, and starts a process that claims it. @param stopAt it stops itself behind this commit */
  static async start(kind: string, place: string, id: string, generation: number, stopAt: number = 0): Promise<Owner> {
    const store = await openStore(kind, place);
    if (generation === 1) {
      const nothing = Buffer.alloc(0);
      const numbers = { generation: 0, instance: 0, received: 0, base: 4, sent: 8, keepMs: 60_000 };
      await store.create({ id, owner: 'nobody', ...numbers, identity: nothing, state: Buffer.from('1'), outbox: Buffer.of(0, 0, 0, 1) });
    }
    await store.close();
    return new Owner(kind, place, id, generation, stopAt);
  }

  /** As the kernel has it. */
  get stopped(): boolean {
    return /\) [Tt] /.test(readFileSync(`/proc/${this.#child.pid}/stat`, 'latin1'));
  }

  async reaches(commit: number): Promise<void> {
    await eventually(() => this.done >= commit || this.#child.exitCode !== null);
    if (this.done < commit) throw new Error(`ended at ${this.done}: ${this.ended} ${this.#stderr}`);
  }

  /** Waits for its end. */
  async end(): Promise<void> {
    await this.#closed;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }
}

/** Kills owner after owner in the middle of its commits: the next one finds every answered commit, at most one more, and nothing torn. */
export async function survivesKills(
  kind: string,
  place: string,
  rounds: number,
  between: (round: number) => Promise<void> = async () => {},
): Promise<void> {
  let least = 1;
  for (let round = 1; round <= rounds; round++) {
    await using owner = await Owner.start(kind, place, 'killed', 2 * round - 1);
    await owner.reaches(least + 10 + Math.floor(Math.random() * 60));
    owner.signal('SIGKILL');
    await owner.end();
    await between(round);
    const commit = await whole(kind, place, 'killed', 2 * round);
    expect(commit, 'answered commits are there').to.be.within(owner.done, owner.done + 1);
    least = commit;
  }
}

/** An owner stops, its record is claimed, it goes on: it must notice, and must not have changed anything. */
export async function fencesSleeper(kind: string, place: string): Promise<void> {
  await using owner = await Owner.start(kind, place, 'stopped', 1, 20);
  await owner.reaches(20);
  // What it printed can be here before it has stopped.
  await eventually(() => owner.stopped);
  expect(await whole(kind, place, 'stopped', 2)).to.equal(20);
  owner.signal('SIGCONT');
  await owner.end();
  expect(owner.ended).to.equal('fenced 20');
  expect(await whole(kind, place, 'stopped', 3)).to.equal(20);
}

/** Claims the record and looks at it: state, numbers and outbox are of one and the same commit. */
async function whole(kind: string, place: string, id: string, generation: number): Promise<number> {
  const store: Store = await openStore(kind, place);
  const asked = { owner: `test ${generation}`, generation, instance: generation, positions: undefined, held: undefined };
  const result = await store.claim({ id, ...asked, exclusive: false, keepMs: 60_000 });
  await store.close();
  if (result.status !== 'claimed' || result.record === undefined) throw new Error(result.status);
  const { commit, state, received, base, sent, outbox } = result.record;
  expect([state.toString(), received, sent]).to.deep.equal([String(commit), commit === 1 ? 0 : commit, 4 * commit + 4]);
  const numbers = Array.from({ length: outbox.length / 4 }, (_, i) => outbox.readUInt32BE(4 * i));
  expect(numbers).to.deep.equal(Array.from({ length: (sent - base) / 4 }, (_, i) => base / 4 + i));
  return commit;
}
