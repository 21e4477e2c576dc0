// The judge of a world: applications report what they did and were told, and it names every broken promise. Messages are judged by the
// library's own History; events, numbers, ends and losses here.

import { type Loss, SessionError, type SessionErrorCode } from '../../lib/errors.ts';
import { History } from '../../lib/testing/history.ts';
import type { Clock } from './clock.ts';
import { type Message, sameMessage } from './messages.ts';

/** One direction of a session: what one process wrote, and how far one process has read it. */
export class Stream {
  readonly name: string;
  /** Messages taken by the sender's end, in order. */
  readonly accepted: Message[];
  delivered: number = 0;
  /** Handed out and still in the application's hands. */
  inProgress: number = 0;
  /** The other life of the writing process, which went on from a record; it begins as this one did. */
  heir: Stream | null = null;
  /** The reader was given a message of the other life: nothing of this one may come any more. */
  left: boolean = false;
  /** The second process that reads this stream. */
  second: Stream | null = null;
  /** The stream that this is the second reading of. */
  first: Stream | null = null;

  constructor(name: string, accepted: Message[] = []) {
    this.name = name;
    this.accepted = accepted;
  }

  /** The same messages for a second process, which begins behind the last one that the first had consumed. */
  reread(): Stream {
    const again = new Stream(this.name, this.accepted);
    again.delivered = this.delivered - this.inProgress;
    again.first = this;
    this.second = again;
    return again;
  }

  /** How far any process has read. */
  get reached(): number {
    return Math.max(this.delivered, this.second?.delivered ?? 0);
  }

  /** Everything written has been read. */
  get complete(): boolean {
    return !this.left && this.reached === this.accepted.length;
  }
}

export class Oracle {
  readonly failures: string[] = [];
  readonly history: History = new History();
  bytes: number = 0;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  fail(who: string, what: string): void {
    this.#clock.trace.say(this.#clock.nowMs, who, () => `BROKEN ${what}`);
    if (this.failures.length < 20) this.failures.push(`${this.#clock.nowMs.toFixed(2)} ms, ${who}: ${what}`);
  }

  // ---------------------------------------------------------------- messages

  accepted(stream: Stream, message: Message): void {
    const n = stream.accepted.push(message) - 1;
    this.history.offered(stream.name, n, message);
    this.history.accepted(stream.name, n);
  }

  /** A second process goes on from a record: what it writes stands behind what the first had written by now. */
  fork(stream: Stream): Stream {
    const heir = new Stream(`${stream.name}, second life`);
    for (const message of stream.accepted) this.accepted(heir, message);
    for (; heir.delivered < stream.delivered; heir.delivered++) {
      this.history.delivered(heir.name, heir.delivered, heir.accepted[heir.delivered] as Message);
    }
    stream.heir = heir;
    return heir;
  }

  delivered(stream: Stream, message: Message): void {
    this.bytes += message.length;
    if (stream.first !== null || stream.second !== null) return this.#eitherProcess(stream, message);
    const lives = stream.heir === null ? [stream] : [stream, stream.heir].filter((life) => !life.left);
    const writers = lives.filter((life) => sameMessage(life.accepted[life.delivered], message));
    if (writers.length === 0) {
      const [life] = lives as [Stream];
      const sent = life.accepted[life.delivered];
      this.fail(stream.name, `message ${life.delivered} came as ${message.length} bytes, ${sent?.length ?? 'nothing'} were sent`);
      writers.push(life);
    }
    for (const life of lives) {
      if (writers.includes(life)) this.history.delivered(life.name, life.delivered++, message);
      else life.left = true;
    }
  }

  /** Two processes read: each gets what follows, and what one of them had not consumed may come to the other as well. */
  #eitherProcess(stream: Stream, message: Message): void {
    const n = stream.delivered++;
    if (!sameMessage(stream.accepted[n], message)) this.fail(stream.name, `message ${n} came to one of two processes with other bytes`);
    if (n >= this.history.deliveredCount(stream.name)) this.history.delivered(stream.name, n, message);
  }

  /** flushed() has resolved for the first `count` messages. */
  flushed(stream: Stream, count: number): void {
    // What a second process reads is not in the history's count.
    if (stream.second === null && stream.heir === null) this.history.acked(stream.name, count);
    if (stream.reached < count) this.fail(stream.name, `flushed() resolved for ${count} messages, ${stream.reached} were delivered`);
  }

  // ---------------------------------------------------------------- ends

  /** One end of the session is over. `out` is what it sent, `into` what it read. */
  ended(who: string, out: Stream, into: Stream, cause: SessionError | undefined): void {
    if (cause === undefined) {
      const read = into.heir?.complete === true ? into.heir : into;
      this.history.endedClean(out.name);
      for (const stream of [out, read]) {
        if (!stream.complete)
          this.fail(who, `ended clean, ${stream.reached} of ${stream.accepted.length} messages of ${stream.name} were delivered`);
      }
      return;
    }
    if (!SessionError.is(cause)) return this.fail(who, `ended with ${String(cause)}`);
    const { loss } = cause;
    if (loss === undefined) return this.fail(who, `ended with ${cause.code} and says nothing of the loss`);
    this.#lost(who, out, loss);
    const left = into.accepted.length - into.delivered;
    if (loss.undelivered > left && into.heir === null) this.fail(who, `${loss.undelivered} messages undelivered, ${left} were left`);
  }

  #lost(who: string, out: Stream, loss: Loss): void {
    const { accepted } = out;
    const count = loss.unconfirmed.length;
    const from = accepted.length - count;
    const same = loss.unconfirmed.every((message, i) => sameMessage(message as Message, accepted[from + i]));
    if (from < 0 || !same) this.fail(who, `the ${count} messages handed back are not the last of ${accepted.length} sent`);
    // A message in the reader's hands was delivered and is not consumed: the exact number leaves it out.
    const exact = loss.exact && out.inProgress === 0 && out.second === null;
    this.history.lost(out.name, { from, count, exact });
  }

  /** Refuses an end that the plan does not provide for. */
  allow(who: string, cause: SessionError | undefined, allowed: readonly SessionErrorCode[], clean: boolean): void {
    if (cause === undefined ? clean : allowed.includes(cause.code)) return;
    const told = cause === undefined ? 'clean' : `with ${cause.code} (${cause.message})`;
    this.fail(who, `ended ${told}, allowed: ${[clean ? 'clean' : '', ...allowed].join(' ')}`);
  }

  /** Everything has come to rest. */
  check(): void {
    for (const { rule, stream, what } of this.history.check()) this.fail(stream, `${rule}: ${what}`);
  }
}
