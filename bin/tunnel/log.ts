// What a long-running command tells: lines of text on standard error for people and journals, or with --json one JSON object a line on
// standard output for programs.

import type { Flags } from '../command.ts';

export const logFlags: Flags = {
  verbose: { short: 'v', text: 'tell every connection, also those that end in order' },
  json: { text: 'tell events as JSON lines on standard output' },
};

export type Detail = Readonly<Record<string, string | number | boolean | undefined>>;

export class Log {
  readonly #name: string;
  readonly #json: boolean;
  readonly #verbose: boolean;

  constructor(name: string, { json, verbose }: { readonly json: boolean; readonly verbose: boolean }) {
    this.#name = name;
    this.#json = json;
    this.#verbose = verbose;
  }

  /** Something everybody wants to know. */
  tell(event: string, text: string, detail: Detail = {}): void {
    if (this.#json) process.stdout.write(`${JSON.stringify({ event, at: new Date().toISOString(), ...detail })}\n`);
    else process.stderr.write(`outlast ${this.#name}: ${text}\n`);
  }

  /** Something for --verbose and programs. */
  detail(event: string, text: string, detail: Detail = {}): void {
    if (this.#json || this.#verbose) this.tell(event, text, detail);
  }
}
