// The user's terminal: raw bytes in, bytes out with backpressure, its size. Or no terminal at all: a pipe, which has no size and no keys.

import { spawnSync } from 'node:child_process';
import type { ReadStream, WriteStream } from 'node:tty';
import type { WindowSize } from '../subnegotiation.ts';

export interface TerminalListener {
  typed(bytes: Buffer): void;
  resized(size: WindowSize): void;
  /** No more will be typed: the end of a pipe. */
  inputEnded(): void;
}

export interface Terminal {
  /** A person sits there: there are keys and a screen. */
  readonly interactive: boolean;
  readonly size: WindowSize;
  open(listener: TerminalListener): void;
  /** Resolves when there is room for more. */
  write(bytes: Uint8Array | string): Promise<void>;
  /** Stops and resumes what is typed: backpressure for a paste. */
  pause(): void;
  resume(): void;
  /** Gives the terminal back as it was found. */
  close(): void;
}

/** What a program that dies in the middle leaves on. Origin mode is not among it: to end it moves the cursor. */
const TIDY: string = [
  ...[1000, 1002, 1003, 1004, 1006, 2004, 1].map((mode) => `\u001b[?${mode}l`),
  '\u001b>\u001b[4l\u001b[?7h\u001b[0m\u001b(B\u000f\u001b[?25h',
].join('');

type Input = NodeJS.ReadableStream & Partial<Pick<ReadStream, 'isTTY' | 'setRawMode'>>;
type Output = NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY' | 'columns' | 'rows'>>;

export class ProcessTerminal implements Terminal {
  readonly interactive: boolean;
  readonly #input: Input;
  readonly #output: Output;
  #listener: TerminalListener | null = null;

  constructor(input: Input = process.stdin, output: Output = process.stdout) {
    this.#input = input;
    this.#output = output;
    this.interactive = input.isTTY === true && output.isTTY === true;
  }

  get size(): WindowSize {
    return { columns: this.#output.columns ?? 80, rows: this.#output.rows ?? 24 };
  }

  open(listener: TerminalListener): void {
    this.#listener = listener;
    this.#raw();
    this.#input.on('data', this.#typed);
    this.#input.once('end', this.#ended);
    this.#output.on('resize', this.#resized);
    // A job that was stopped and continued finds the terminal as the shell left it.
    process.on('SIGCONT', this.#continued);
  }

  write(bytes: Uint8Array | string): Promise<void> {
    const output = this.#output;
    if (output.write(bytes)) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        output.removeListener('drain', done);
        output.removeListener('close', done);
        resolve();
      };
      output.once('drain', done);
      output.once('close', done);
    });
  }

  pause(): void {
    this.#input.pause();
  }

  resume(): void {
    this.#input.resume();
  }

  close(): void {
    if (this.#listener === null) return;
    this.#listener = null;
    if (this.interactive) {
      this.#output.write(TIDY);
      this.#input.setRawMode?.(false);
    }
    this.#input.removeListener('data', this.#typed);
    this.#input.removeListener('end', this.#ended);
    this.#output.removeListener('resize', this.#resized);
    process.removeListener('SIGCONT', this.#continued);
    this.#input.pause();
  }

  readonly #typed = (bytes: Buffer): void => this.#listener?.typed(bytes);
  readonly #ended = (): void => this.#listener?.inputEnded();
  readonly #resized = (): void => this.#listener?.resized(this.size);
  readonly #continued = (): void => {
    this.#raw();
    this.#listener?.resized(this.size);
  };

  #raw(): void {
    if (!this.interactive) return;
    this.#input.setRawMode?.(true);
    // Node leaves the translation of LF to CR LF on, and LF alone is how programs go down a row. close() ends this as well.
    if (this.#input === process.stdin) spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] });
  }
}
