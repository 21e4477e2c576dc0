// The parent's hold on one host process: starts it, commands it, stops and kills it, and hands its reports on.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Command } from './host.ts';
import { REPORT_FD, type Report } from './reports.ts';

export interface HostStart {
  readonly name: string;
  /** Words in front of the command, for example `ip netns exec NAME`. */
  readonly prefix?: readonly string[];
  /** Node's own options. */
  readonly nodeOptions?: readonly string[];
  /** Every report except the answers to commands. */
  readonly onReport: (report: Report) => void;
  /** The process has ended and all it said was passed on. `expected` is false where nobody killed it or let go of it. */
  readonly onExit: (expected: boolean, how: string) => void;
}

/** No command takes this long: where one does, something does not end. */
const ANSWER_MS = 120_000;
const script = fileURLToPath(new URL('host.ts', import.meta.url));

export class HostProcess {
  readonly name: string;
  /** Resolves when the process is gone and its reports are read. */
  readonly gone: Promise<void>;
  readonly #child: ChildProcess;
  readonly #waiting: Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }> = new Map();
  #tickets: number = 0;
  #ending: boolean = false;
  #stderr: string = '';

  constructor({ name, prefix = [], nodeOptions = [], onReport, onExit }: HostStart) {
    this.name = name;
    const [command = process.execPath, ...args] = [...prefix, process.execPath, ...nodeOptions, '--import', 'tsx', script];
    const stdio = ['ignore', 'ignore', 'pipe', 'ipc', 'pipe'] as const;
    this.#child = spawn(command, args, { stdio: [...stdio] });
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString();
    });
    const lines = createInterface({ input: this.#child.stdio[REPORT_FD] as Readable, crlfDelay: Number.POSITIVE_INFINITY });
    lines.on('line', (line) => {
      const report = this.#parse(line);
      if (report?.what === 'done') this.#take(report.ticket)?.resolve(report.value);
      if (report?.what === 'failed') this.#take(report.ticket)?.reject(new Error(`${name}: ${report.why}`));
      if (report !== undefined) onReport(report);
    });
    // Not the child's 'close': that never comes where this side has disconnected.
    this.gone = Promise.all([once(this.#child, 'exit'), once(lines, 'close')]).then(([[code, signal]]) => {
      const how = `${name} ended with ${signal ?? code}${this.#stderr === '' ? '' : `: ${this.#stderr.slice(0, 2000)}`}`;
      for (const { reject } of this.#waiting.values()) reject(new Error(how));
      onExit(this.#ending, how);
    });
  }

  /** Resolves with the host's answer. Rejects where it failed, or the process died first. */
  tell(command: Command): Promise<unknown> {
    const ticket = this.#tickets++;
    const late = setTimeout(() => this.#take(ticket)?.reject(new Error(`${this.name}: no answer to '${command.act}'`)), ANSWER_MS);
    const answer = new Promise((resolve, reject) => this.#waiting.set(ticket, { resolve, reject })).finally(() => clearTimeout(late));
    // Not everybody waits for the answer.
    answer.catch(() => {});
    // A process that was killed a moment ago cannot be told: that comes out as its end.
    this.#child.send({ ticket, command }, () => {});
    return answer;
  }

  /** SIGSTOP: it does not run, and its sockets stay. */
  stop(): void {
    this.#child.kill('SIGSTOP');
  }

  continue(): void {
    this.#child.kill('SIGCONT');
  }

  /** SIGKILL. */
  kill(): void {
    this.#ending = true;
    this.#child.kill('SIGKILL');
  }

  /** Lets it go; resolves when it is gone. */
  async end(): Promise<void> {
    this.#ending = true;
    if (this.#child.connected) this.#child.disconnect();
    // Where a scenario has failed it may be stopped.
    this.#child.kill('SIGCONT');
    await this.gone;
  }

  #take(ticket: number): { resolve: (value: unknown) => void; reject: (error: Error) => void } | undefined {
    const waiting = this.#waiting.get(ticket);
    this.#waiting.delete(ticket);
    return waiting;
  }

  /** SIGKILL may have cut the last line. */
  #parse(line: string): Report | undefined {
    try {
      return JSON.parse(line) as Report;
    } catch (error) {
      if (this.#ending) return undefined;
      throw error;
    }
  }
}
