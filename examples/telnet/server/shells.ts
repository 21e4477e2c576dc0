// All sessions of a server, by user. In: who wants one. Out: new ones, those that are there, and their end. A user has so many and no more,
// and one that nobody came back to ends some day.

import type { WindowSize } from '../subnegotiation.ts';
import type { Launch } from './account.ts';
import type { PtyExit } from './pty.ts';
import { Shell, type SizePolicy } from './shell.ts';

export interface ShellsOptions {
  readonly shellsPerUser: number;
  readonly shells: number;
  /** Nobody has looked at it for this long: it is hung up. */
  readonly orphanMs: number;
  readonly sizePolicy: SizePolicy;
  readonly onEnd: (shell: Shell, exit: PtyExit) => void;
}

const SWEEP_MS = 30_000;

export class Shells implements AsyncDisposable {
  readonly #options: ShellsOptions;
  readonly #shells: Set<Shell> = new Set();
  readonly #sweeper: NodeJS.Timeout;
  #onEmpty: (() => void) | null = null;

  constructor(options: ShellsOptions) {
    this.#options = options;
    this.#sweeper = setInterval(() => this.#sweep(), Math.min(SWEEP_MS, options.orphanMs));
  }

  get size(): number {
    return this.#shells.size;
  }

  /** The user's, oldest first. */
  of(user: string): Shell[] {
    return [...this.#shells].filter((shell) => shell.user === user && !shell.ended);
  }

  /** By name, or by the first digits of the id. */
  find(user: string, label: string): Shell | null {
    const own = this.of(user);
    return own.find((shell) => shell.name === label) ?? own.find((shell) => label.length >= 4 && shell.id.startsWith(label)) ?? null;
  }

  /** @throws Error where this user, or the server, has as many as it may */
  create(user: string, name: string | null, launch: Launch, size: WindowSize): Shell {
    const { shellsPerUser, shells, sizePolicy } = this.#options;
    if (this.of(user).length >= shellsPerUser) throw new Error(`you have ${shellsPerUser} sessions, end one first`);
    if (this.#shells.size >= shells) throw new Error('the server has no room for another session');
    const shell = new Shell(launch, { user, name, size, sizePolicy, onEnd: (ended, exit) => this.#ended(ended, exit) });
    this.#shells.add(shell);
    return shell;
  }

  /** Hangs up all of them. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sweeper);
    if (this.#shells.size === 0) return;
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    for (const shell of this.#shells) shell.hangUp();
    await empty;
  }

  #ended(shell: Shell, exit: PtyExit): void {
    this.#shells.delete(shell);
    this.#options.onEnd(shell, exit);
    if (this.#shells.size === 0) this.#onEmpty?.();
  }

  #sweep(): void {
    const now = performance.now();
    for (const shell of this.#shells) {
      if (shell.detachedMs !== null && now - shell.detachedMs > this.#options.orphanMs) shell.hangUp();
    }
  }
}
