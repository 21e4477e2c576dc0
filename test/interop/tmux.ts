// tmux as a terminal that can be looked at: programs in windows of 80 columns and 24 rows, keys in, the screen as text out. A server of its
// own, which ends with the test.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const PATIENCE_MS = 15_000;
const POLL_MS = 50;

export class Tmux implements AsyncDisposable {
  readonly #socket: string;
  readonly home: string;
  #count = 0;

  constructor() {
    this.home = mkdtempSync(join(tmpdir(), 'outlast-tmux-'));
    this.#socket = join(this.home, 'tmux');
    // The end of the last session would be the end of the server.
    this.#run('-f', '/dev/null', 'new-session', '-d', '-s', 'keep', 'sleep 1000');
  }

  /** Runs a command of sh in a window. @returns its name */
  start(command: string, directory: string = this.home): string {
    const name = `w${++this.#count}`;
    const variables = `HOME='${this.home}' XDG_STATE_HOME='${this.home}' LANG=C.UTF-8`;
    this.#run('new-session', '-d', '-s', name, '-x', '80', '-y', '24', '-c', directory, `exec env ${variables} ${command}`);
    return name;
  }

  /** Types keys by their tmux names; text is typed as it stands. */
  keys(name: string, ...keys: readonly string[]): void {
    this.#run('send-keys', '-t', name, ...keys);
  }

  /** Process of the window. */
  pid(name: string): number {
    return Number(this.#run('display-message', '-p', '-t', name, '#{pane_pid}'));
  }

  /** What is seen, with looks and without what is blank at the end of a row; and where the cursor is. */
  screen(name: string): string {
    // Behind the last column tmux tells 80, which is where a repaint cannot put it.
    const cursor = this.#run('display-message', '-p', '-t', name, '#{cursor_x},#{cursor_y}').replace(/^80,/, '79,');
    return `${this.#run('capture-pane', '-e', '-p', '-t', name)}${cursor}`;
  }

  text(name: string): string {
    return this.#run('capture-pane', '-p', '-t', name);
  }

  /** Closes the window, as a person does. */
  close(name: string): void {
    this.#run('kill-session', '-t', name);
  }

  async sees(name: string, what: RegExp): Promise<void> {
    await this.#until(
      () => what.test(this.text(name)),
      () => `${what} does not come; there is\n${this.text(name)}`,
    );
  }

  /** Waits until nothing changes any more. @returns the screen */
  async still(name: string): Promise<string> {
    let before = '';
    let now = this.screen(name);
    for (let same = 0; same < 6; same = before === now ? same + 1 : 0) {
      await sleep(POLL_MS);
      before = now;
      now = this.screen(name);
    }
    return now;
  }

  /** Waits until the screen is this one. */
  async becomes(name: string, screen: string): Promise<void> {
    const otherwise = (): string => differences(screen, this.screen(name));
    await this.#until(() => this.screen(name) === screen, otherwise);
  }

  async #until(holds: () => boolean, otherwise: () => string): Promise<void> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    while (!holds()) {
      if (performance.now() > deadlineMs) throw new Error(otherwise());
      await sleep(POLL_MS);
    }
  }

  #run(...words: readonly string[]): string {
    return execFileSync('tmux', ['-S', this.#socket, ...words], { encoding: 'utf8' }).trimEnd();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pids = this.#run('list-panes', '-a', '-F', '#{pane_pid}').split('\n').map(Number);
    this.#run('kill-server');
    // A client that was just hung up still saves its session.
    const deadlineMs = performance.now() + PATIENCE_MS;
    while (pids.some(lives) && performance.now() < deadlineMs) await sleep(POLL_MS);
    rmSync(this.home, { recursive: true, force: true });
  }
}

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function differences(wanted: string, there: string): string {
  const rows = there.split('\n');
  const changed = wanted
    .split('\n')
    .map((row, y) => (row === rows[y] ? '' : `${y}: ${JSON.stringify(row)} became ${JSON.stringify(rows[y])}`));
  return changed.filter(Boolean).join('\n');
}
