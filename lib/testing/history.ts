// A history of messages and a judge of it: senders and receivers report what they did, check() names every broken promise.
// Knows nothing of sessions, so that the same rules judge simulations, real sockets and whole processes.

import { createHash } from 'node:crypto';

/**
 * H1 what is delivered was accepted · H2 once · H3 in order, without a gap · H4 what is acked was delivered before
 * H5 what was accepted is delivered or reported as lost · H6 a loss is reported with the true numbers, and not beside a clean end
 * H7 one owner a generation · H8 generations and acks never go back · H9 the bytes are the same.
 */
export type HistoryRule = 'H1' | 'H2' | 'H3' | 'H4' | 'H5' | 'H6' | 'H7' | 'H8' | 'H9';

export interface Violation {
  readonly rule: HistoryRule;
  /** The stream, or the session for H7 and H8 of generations. */
  readonly stream: string;
  readonly what: string;
}

/** What the sender's end reported as not confirmed. */
export interface ReportedLoss {
  /** Number of the first unconfirmed message; everything accepted from it on is part of the loss. */
  readonly from: number;
  /** How many messages were handed back. */
  readonly count: number;
  /** True where the report claims that none of them was consumed. */
  readonly exact: boolean;
}

interface Stream {
  readonly digests: string[];
  /** Messages taken by the sender's end; their numbers are below it. */
  accepted: number;
  delivered: number;
  acked: number;
  loss: ReportedLoss | undefined;
  clean: boolean;
}

/** Streams are named freely, one a direction of a session, for example `a1 up`. Messages carry numbers 0, 1, 2, … in each. */
export class History {
  readonly #streams: Map<string, Stream> = new Map();
  readonly #owners: Map<string, { highest: number; readonly owners: Map<number, string> }> = new Map();
  readonly #violations: Violation[] = [];

  /** The application is about to send message `n`. */
  offered(stream: string, n: number, message: string | Uint8Array): void {
    this.#stream(stream).digests[n] = digest(message);
  }

  /** The sender's end took message `n`: it will deliver it or report it. */
  accepted(stream: string, n: number): void {
    const record = this.#stream(stream);
    record.accepted = Math.max(record.accepted, n + 1);
  }

  /** The receiving application was handed message `n`. */
  delivered(stream: string, n: number, message: string | Uint8Array): void {
    const record = this.#stream(stream);
    if (n >= record.accepted) this.#broken('H1', stream, `message ${n} was delivered, ${record.accepted} were accepted`);
    if (n < record.delivered) this.#broken('H2', stream, `message ${n} was delivered again`);
    if (n > record.delivered) this.#broken('H3', stream, `message ${n} was delivered, ${record.delivered} was next`);
    if (digest(message) !== record.digests[n] && n < record.accepted)
      this.#broken('H9', stream, `message ${n} has other bytes than were sent`);
    record.delivered = Math.max(record.delivered, n + 1);
  }

  /** The sender's end learnt that all messages below `count` have been consumed. */
  acked(stream: string, count: number): void {
    const record = this.#stream(stream);
    if (count > record.delivered) this.#broken('H4', stream, `${count} messages were acked, ${record.delivered} were delivered`);
    if (count < record.acked) this.#broken('H8', stream, `acked went back from ${record.acked} to ${count}`);
    record.acked = Math.max(record.acked, count);
  }

  /** The sender's end ended uncleanly and handed these messages back. */
  lost(stream: string, loss: ReportedLoss): void {
    this.#stream(stream).loss = loss;
  }

  /** An end of the session reported a clean end: nothing in this stream is missing. */
  endedClean(stream: string): void {
    this.#stream(stream).clean = true;
  }

  /** `owner` (a process, a node) took the session with this generation. */
  generation(session: string, generation: number, owner: string): void {
    const record = this.#owners.get(session) ?? { highest: 0, owners: new Map<number, string>() };
    this.#owners.set(session, record);
    const holder = record.owners.get(generation);
    if (holder !== undefined && holder !== owner)
      this.#broken('H7', session, `generation ${generation} is owned by ${holder} and by ${owner}`);
    if (generation < record.highest) this.#broken('H8', session, `generation ${generation} came after ${record.highest}`);
    record.owners.set(generation, owner);
    record.highest = Math.max(record.highest, generation);
  }

  /** How many messages of a stream were delivered so far. */
  deliveredCount(stream: string): number {
    return this.#streams.get(stream)?.delivered ?? 0;
  }

  /** Everything that is wrong; call it when all has come to rest. Empty: all promises were kept. */
  check(): readonly Violation[] {
    const found = [...this.#violations];
    for (const [stream, record] of this.#streams) {
      const broken = (rule: HistoryRule, what: string): unknown => found.push({ rule, stream, what });
      const { accepted, delivered, acked, loss, clean } = record;
      if (loss === undefined) {
        if (delivered < accepted) broken('H5', `${accepted} messages were accepted, ${delivered} delivered, and no loss was reported`);
        continue;
      }
      if (clean) broken('H6', 'a loss was reported beside a clean end');
      if (loss.from > delivered) broken('H5', `messages ${delivered} to ${loss.from - 1} were neither delivered nor reported as lost`);
      if (loss.from + loss.count !== accepted)
        broken('H6', `${loss.count} messages from ${loss.from} on were handed back, ${accepted} were accepted`);
      if (loss.exact && loss.from !== delivered)
        broken('H6', `the loss claims to begin at ${loss.from}, ${delivered} messages were delivered`);
      if (loss.from < acked) broken('H6', `messages from ${loss.from} on are called unconfirmed, ${acked} were acked`);
    }
    return found;
  }

  #stream(name: string): Stream {
    let stream = this.#streams.get(name);
    if (stream === undefined) {
      stream = { digests: [], accepted: 0, delivered: 0, acked: 0, loss: undefined, clean: false };
      this.#streams.set(name, stream);
    }
    return stream;
  }

  #broken(rule: HistoryRule, stream: string, what: string): void {
    this.#violations.push({ rule, stream, what });
  }
}

function digest(message: string | Uint8Array): string {
  return createHash('sha256').update(message).digest('base64');
}
