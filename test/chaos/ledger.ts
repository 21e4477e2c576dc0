// The judge of a chaos run: reports flow in, in their true order; what each scenario broke flows out. Messages are judged by the library's
// own History, the same as in simulations; ends and losses here.

import { History } from '../../lib/testing/history.ts';
import { digestOfAll } from './messages.ts';
import type { End, LossReport, Report, Side } from './reports.ts';

/** How a side may end: cleanly, with one of these codes, or with its process. */
export type Outcome = 'clean' | 'killed' | readonly string[];

export interface Expected {
  readonly sessions: number;
  readonly near: Outcome;
  readonly far: Outcome;
}

export interface Verdict {
  /** What is wrong; empty where every promise was kept. */
  readonly problems: readonly string[];
  readonly messages: number;
  /** Circuits of all sessions, as the dialing side counts them, or the accepting side where that was killed. */
  readonly circuits: number;
}

/** One side of a session, and the stream that it sends. */
interface Half {
  source: string | undefined;
  end: End | undefined;
  readonly digests: string[];
  accepted: number;
  delivered: number;
}

interface Entry {
  readonly key: string;
  readonly history: History;
  readonly near: Half;
  readonly far: Half;
}

export class Ledger {
  readonly #sessions: Map<string, Entry> = new Map();
  readonly #wrong: Map<string, string[]> = new Map();
  readonly #dead: Set<string> = new Set();
  /** Sessions that have had their verdict. Where it was bad they may go on talking. */
  readonly #judged: Set<string> = new Set();

  /** This process was killed: it accepted and lost what nobody will ever report. Call it before its last reports are passed on. */
  died(source: string): void {
    this.#dead.add(source);
  }

  /** Takes the next report. @param source the process that it comes from */
  take(report: Report, source: string): void {
    switch (report.what) {
      case 'opened':
        return this.#opened(report.key, report.session, report.side, source);
      case 'offered':
        return this.#offered(report.stream, report.n, report.digest);
      case 'accepted':
        return this.#accepted(report.stream, report.n);
      case 'delivered':
        return this.#delivered(report.stream, report.n, report.digest);
      case 'acked':
        return this.#entryOf(report.stream)?.history.acked(report.stream, report.count);
      case 'ended':
        return this.#ended(report.session, report.side, report.end);
      case 'wrong':
        return this.#note(report.key, report.why);
    }
  }

  /** Sessions of the scenario that live, or have lived, at this side. */
  opened(key: string, side: Side): number {
    return this.#of(key).filter(([, entry]) => entry[side].source !== undefined).length;
  }

  /** Sessions of the scenario that have ended at this side. */
  ended(key: string, side: Side): number {
    return this.#of(key).filter(([, entry]) => entry[side].end !== undefined).length;
  }

  /** Anything reported that must not be. */
  failed(key: string): boolean {
    return this.#wrong.has(key);
  }

  /** Judges a scenario that has come to rest, and forgets it. */
  verdict(key: string, expected: Expected): Verdict {
    const sessions = this.#of(key);
    const problems = [...(this.#wrong.get(key) ?? [])];
    if (sessions.length !== expected.sessions) problems.push(`${sessions.length} sessions were seen, ${expected.sessions} were opened`);
    let messages = 0;
    let circuits = 0;
    for (const [id, entry] of sessions) {
      problems.push(...judge(id, entry, expected).map((problem) => `${id}: ${problem}`));
      messages += entry.near.delivered + entry.far.delivered;
      circuits += (entry.near.end ?? entry.far.end)?.circuits ?? 0;
      this.#sessions.delete(id);
      this.#judged.add(id);
    }
    this.#wrong.delete(key);
    return { problems, messages, circuits };
  }

  /** One line for each session of a scenario, for whoever wonders why it does not end. */
  describe(key: string): string {
    const half = ({ source, end, accepted, delivered }: Half): string => {
      const state = source === undefined ? 'never seen' : end === undefined ? 'lives' : `ended ${end.code ?? 'clean'}`;
      return `${state}, ${delivered} of ${accepted} sent were delivered`;
    };
    return this.#of(key)
      .map(([id, { near, far }]) => `${id}: near ${half(near)}; far ${half(far)}`)
      .join('\n');
  }

  #of(key: string): [string, Entry][] {
    return [...this.#sessions].filter(([, entry]) => entry.key === key);
  }

  #opened(key: string, id: string, side: Side, source: string): void {
    if (this.#judged.has(id)) return;
    const entry = this.#sessions.get(id) ?? { key, history: new History(), near: newHalf(), far: newHalf() };
    this.#sessions.set(id, entry);
    if (entry[side].source !== undefined) this.#note(key, `${id} was announced twice at the ${side} side`);
    entry[side].source = source;
  }

  #offered(stream: string, n: number, digest: string): void {
    const entry = this.#entryOf(stream);
    if (entry === undefined) return;
    halfOf(entry, stream).digests[n] = digest;
    entry.history.offered(stream, n, digest);
  }

  #accepted(stream: string, n: number): void {
    const entry = this.#entryOf(stream);
    if (entry === undefined) return;
    halfOf(entry, stream).accepted = n + 1;
    entry.history.accepted(stream, n);
  }

  #delivered(stream: string, n: number, digest: string): void {
    const entry = this.#entryOf(stream);
    if (entry === undefined) return;
    const half = halfOf(entry, stream);
    // Killed between send() and its report: the message was accepted, as its arrival proves.
    if (n === half.accepted && n === half.digests.length - 1 && this.#dead.has(half.source ?? '')) this.#accepted(stream, n);
    half.delivered = Math.max(half.delivered, n + 1);
    entry.history.delivered(stream, n, digest);
  }

  #ended(id: string, side: Side, end: End): void {
    const entry = this.#sessions.get(id);
    if (entry === undefined) return;
    if (entry[side].end !== undefined) this.#note(entry.key, `${id} ended twice at the ${side} side`);
    entry[side].end = end;
  }

  #note(key: string, why: string): void {
    const notes = this.#wrong.get(key) ?? [];
    if (notes.length < 10) notes.push(why);
    this.#wrong.set(key, notes);
  }

  /** @returns undefined where the session has had its verdict */
  #entryOf(stream: string): Entry | undefined {
    const id = stream.split(' ', 1)[0] as string;
    const entry = this.#sessions.get(id);
    if (entry === undefined && !this.#judged.has(id)) throw new Error(`a report of stream '${stream}', which nobody has opened`);
    return entry;
  }
}

function newHalf(): Half {
  return { source: undefined, end: undefined, digests: [], accepted: 0, delivered: 0 };
}

function halfOf(entry: Entry, stream: string): Half {
  return stream.endsWith(' up') ? entry.near : entry.far;
}

function judge(id: string, entry: Entry, expected: Expected): string[] {
  const { near, far, history } = entry;
  const problems = [
    ...judgeHalf('near', near, far, `${id} up`, history, expected.near),
    ...judgeHalf('far', far, near, `${id} down`, history, expected.far),
  ];
  for (const { rule, stream, what } of history.check()) problems.push(`${rule} ${stream.split(' ')[1]}: ${what}`);
  return problems;
}

/** Judges one side's end, and tells the history what it means for the stream that this side has sent. */
function judgeHalf(side: Side, own: Half, other: Half, stream: string, history: History, outcome: Outcome): string[] {
  const { end, accepted, delivered } = own;
  if (own.source === undefined) return [`the ${side} side never had it`];
  if (outcome === 'killed') {
    // It can tell nobody: by definition what was not delivered is its loss.
    if (delivered < accepted) history.lost(stream, { from: delivered, count: accepted - delivered, exact: false });
    return [];
  }
  if (end === undefined) return [`the ${side} side never ended`];
  const allowed = outcome === 'clean' ? end.code === null : end.code !== null && outcome.includes(end.code);
  const problems = allowed ? [] : [`the ${side} side ended ${end.code ?? 'clean'} (${end.message}), expected ${String(outcome)}`];
  if (end.code === null) history.endedClean(stream);
  else if (end.loss === null) problems.push(`the ${side} side ended with ${end.code} and no loss`);
  else problems.push(...judgeLoss(side, own, other, stream, history, end.loss));
  return problems;
}

function judgeLoss(side: Side, own: Half, other: Half, stream: string, history: History, loss: LossReport): string[] {
  const problems: string[] = [];
  const from = loss.from ?? own.accepted;
  // A message in the reader's hands was delivered and is not consumed: an exact number leaves it out, and cannot be held against this count.
  history.lost(stream, { from, count: loss.count, exact: false });
  if (loss.digest !== digestOfAll(own.digests.slice(from, own.accepted)))
    problems.push(`the ${loss.count} messages that the ${side} side handed back are not the last of ${own.accepted} it sent`);
  const left = other.accepted - other.delivered;
  if (loss.undelivered > left) problems.push(`the ${side} side counts ${loss.undelivered} messages undelivered, ${left} were left`);
  return problems;
}
