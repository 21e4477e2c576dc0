// What the processes of a chaos run tell the parent, one JSON line each, and how the lines of several processes become one true order.
// The clock is the machine's monotonic one, the same in every process: what caused something else has the earlier stamp.

import { writeSync } from 'node:fs';

/** The dialing side of a session is near, the accepting side far. */
export type Side = 'near' | 'far';

/** How a session ended at one side. */
export interface End {
  /** null: clean. */
  readonly code: string | null;
  readonly message: string;
  readonly circuits: number;
  readonly replayedBytes: number;
  readonly loss: LossReport | null;
}

/** SessionError.loss, with the messages named by their number and digest. */
export interface LossReport {
  /** Number of the first message handed back; -1: it is none of this stream; null: none was. */
  readonly from: number | null;
  readonly count: number;
  readonly exact: boolean;
  readonly undelivered: number;
  /** Of all messages handed back, in order. */
  readonly digest: string;
}

export type Told =
  | { readonly what: 'tick' }
  /** A session of the scenario `key` lives at this side. */
  | { readonly what: 'opened'; readonly key: string; readonly session: string; readonly side: Side }
  /** The application is about to give a message to send(), and send() has taken it. */
  | { readonly what: 'offered'; readonly stream: string; readonly n: number; readonly digest: string }
  | { readonly what: 'accepted'; readonly stream: string; readonly n: number }
  | { readonly what: 'delivered'; readonly stream: string; readonly n: number; readonly digest: string }
  /** flushed() has resolved for so many messages. */
  | { readonly what: 'acked'; readonly stream: string; readonly count: number }
  | { readonly what: 'ended'; readonly key: string; readonly session: string; readonly side: Side; readonly end: End }
  /** The answer to a command, or why there is none. */
  | { readonly what: 'done'; readonly ticket: number; readonly value: unknown }
  | { readonly what: 'failed'; readonly ticket: number; readonly why: string }
  /** The application met something that must not be. */
  | { readonly what: 'wrong'; readonly key: string; readonly why: string };

/** `at`: microseconds of the machine's monotonic clock. */
export type Report = Told & { readonly at: number };

/** The descriptor through which a host reports. */
export const REPORT_FD = 4;

/** Writes a report in a host process. It is with the kernel when this returns, so that not even SIGKILL takes it back. */
export function say(told: Told): void {
  const [seconds, nanoseconds] = process.hrtime();
  const line = Buffer.from(`${JSON.stringify({ ...told, at: seconds * 1e6 + nanoseconds / 1e3 })}\n`);
  try {
    for (let at = 0; at < line.length; ) at += writeSync(REPORT_FD, line, at);
  } catch {
    // The parent is gone, and with it the reason to run.
    process.exit(3);
  }
}

interface Source {
  readonly queue: Report[];
  /** No more reports: the process has ended and its pipe was read to the end. */
  closed: boolean;
}

/**
 * Merges the reports of several processes by their stamps. A report is passed on when every process that lives has told something later,
 * which is why hosts tick; a process that is stopped holds all others back until it goes on.
 */
export class Merge {
  readonly #sources: Map<string, Source> = new Map();
  readonly #passOn: (report: Report, source: string) => void;

  constructor(passOn: (report: Report, source: string) => void) {
    this.#passOn = passOn;
  }

  open(name: string): void {
    this.#sources.set(name, { queue: [], closed: false });
  }

  push(name: string, reports: readonly Report[]): void {
    const source = this.#sources.get(name);
    if (source === undefined || source.closed) throw new Error(`reports of ${name}, which is not open`);
    for (const report of reports) source.queue.push(report);
    this.#drain();
  }

  close(name: string): void {
    const source = this.#sources.get(name);
    if (source === undefined) return;
    source.closed = true;
    this.#drain();
  }

  #drain(): void {
    const heads = new Map<string, number>();
    for (;;) {
      let earliest: string | undefined;
      let stamp = Number.POSITIVE_INFINITY;
      for (const [name, { queue, closed }] of this.#sources) {
        const head = queue[heads.get(name) ?? 0];
        if (head === undefined && !closed) {
          earliest = undefined;
          stamp = Number.NEGATIVE_INFINITY;
          break;
        }
        if (head !== undefined && head.at < stamp) {
          earliest = name;
          stamp = head.at;
        }
      }
      if (earliest === undefined) break;
      const at = heads.get(earliest) ?? 0;
      heads.set(earliest, at + 1);
      this.#passOn(this.#sources.get(earliest)?.queue[at] as Report, earliest);
    }
    for (const [name, taken] of heads) this.#sources.get(name)?.queue.splice(0, taken);
  }
}
