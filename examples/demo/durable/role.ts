// One process of the durable demo: what it reports comes out, and when it was killed it is started again.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export class Role<Report extends { readonly broken?: string }> {
  readonly #file: string;
  readonly #argv: readonly string[];
  readonly #heard: (report: Report) => void;
  #child: ChildProcess;
  #stopped = false;
  kills: number = 0;

  /** @param file of this folder, without its ending */
  constructor(file: string, argv: readonly string[], heard: (report: Report) => void) {
    // As source in the repository, as built in the package.
    this.#file = fileURLToPath(new URL(`${file}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url));
    this.#argv = argv;
    this.#heard = heard;
    this.#child = this.#start();
  }

  /** With SIGKILL: the process does nothing any more, not even what it was about to. */
  kill(): void {
    this.kills++;
    this.#child.kill('SIGKILL');
  }

  say(word: string): void {
    if (this.#child.connected) this.#child.send(word, () => {});
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  #start(): ChildProcess {
    const child = fork(this.#file, this.#argv, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    child.on('message', (report: Report) => this.#child === child && this.#heard(report));
    child.once('exit', (code, signal) => {
      if (this.#stopped) return;
      if (signal === 'SIGKILL') this.#child = this.#start();
      else this.#heard({ broken: `${this.#file} exits with ${code ?? signal}` } as Report);
    });
    return child;
  }
}
