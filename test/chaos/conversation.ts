// The application at one side of a session: speaks at its own pace until it is told to finish, reads at its own pace to the end, and
// reports all that it does and is told.

import { SessionError } from '../../lib/errors.ts';
import type { Session } from '../../lib/session.ts';
import { Random } from '../../lib/testing/random.ts';
import { digestOf, digestOfAll, type FramingName, type Message, makeMessage, numberOf } from './messages.ts';
import { type End, type LossReport, type Side, say } from './reports.ts';

/** How an application behaves. It travels to the server as the session's metadata. */
export interface Talk {
  readonly seed: number;
  readonly framing: FramingName;
  /** One message in a hundred has up to `mostBytes`, nine up to a tenth of it, the others up to 400. */
  readonly mostBytes: number;
  /** Messages that are sent without a pause between: 1 to `burst`. */
  readonly burst: number;
  /** Longest pause between bursts. */
  readonly pauseMs: number;
  /** Longest pause of the reader, made once in 16 messages. */
  readonly readerMs: number;
}

export class Conversation {
  readonly session: Session<Message>;
  readonly #key: string;
  readonly #talk: Talk;
  readonly #side: Side;
  readonly #out: string;
  readonly #into: string;
  readonly #random: Random;
  /** Messages given to send(). Their digests are with the parent: a soak must not grow by what it says. */
  #sent: number = 0;
  #finishing: boolean = false;
  #over: boolean = false;
  #flushing: boolean = false;
  /** Ends the pause that the speaker makes now. */
  #wake: () => void = () => {};

  /**
   * @param key the scenario that the session belongs to
   * @param onOver is called when the session has ended and this has been reported
   */
  constructor(session: Session<Message>, side: Side, key: string, talk: Talk, onOver: () => void) {
    this.session = session;
    this.#key = key;
    this.#talk = talk;
    this.#side = side;
    this.#out = `${session.id} ${side === 'near' ? 'up' : 'down'}`;
    this.#into = `${session.id} ${side === 'near' ? 'down' : 'up'}`;
    this.#random = new Random(talk.seed, side === 'near' ? 1 : 2);
    say({ what: 'opened', key, session: session.id, side });
    session.on('close', (cause) => {
      this.#over = true;
      this.#wake();
      say({ what: 'ended', key, session: session.id, side, end: this.#endOf(cause) });
      onOver();
    });
    void this.#read();
    void this.#speak();
  }

  /** Say no more, and end when the other side does. */
  finish(): void {
    this.#finishing = true;
    this.#wake();
  }

  async #speak(): Promise<void> {
    const { burst, pauseMs } = this.#talk;
    try {
      while (!this.#finishing && !this.#over) {
        let room = true;
        for (let left = this.#random.integer(1, burst); left > 0 && room && !this.#over; left--) room = this.#send();
        if (!this.#flushing && this.#random.chance(0.3)) this.#confirm();
        if (!room) await this.session.drained();
        await this.#pause(this.#random.integer(0, pauseMs));
      }
      if (!this.#over) this.session.end();
    } catch (error) {
      // Where the session has ended its close event tells why.
      if (!this.#over) this.#wrong('speaking', error);
    }
  }

  #send(): boolean {
    const { framing, mostBytes } = this.#talk;
    const roll = this.#random.next();
    const bytes = this.#random.integer(0, roll < 0.9 ? 400 : roll < 0.99 ? Math.ceil(mostBytes / 10) : mostBytes);
    const n = this.#sent++;
    const message = makeMessage(framing, this.#out, n, bytes);
    const digest = digestOf(message);
    say({ what: 'offered', stream: this.#out, n, digest });
    const room = this.session.send(message);
    say({ what: 'accepted', stream: this.#out, n });
    return room;
  }

  #confirm(): void {
    const count = this.#sent;
    this.#flushing = true;
    this.session.flushed().then(
      () => {
        this.#flushing = false;
        say({ what: 'acked', stream: this.#out, count });
      },
      (error) => {
        if (!SessionError.is(error)) this.#wrong('flushed()', error);
      },
    );
  }

  async #read(): Promise<void> {
    const random = new Random(this.#talk.seed, this.#side === 'near' ? 3 : 4);
    const { readerMs } = this.#talk;
    try {
      // Three of the ways to read; with each the next message is handed out when the one before has been reported.
      const way = random.integer(0, 2);
      if (way === 0) this.session.receive((message) => this.#take(message, random, readerMs));
      else if (way === 1) for await (const message of this.session) await this.#take(message, random, readerMs);
      else for await (const batch of this.session.batches()) for (const message of batch) await this.#take(message, random, readerMs);
    } catch (error) {
      if (!SessionError.is(error)) this.#wrong('reading', error);
    }
  }

  #take(message: Message, random: Random, readerMs: number): Promise<void> | undefined {
    say({ what: 'delivered', stream: this.#into, n: numberOf(this.#into, message), digest: digestOf(message) });
    if (readerMs === 0 || !random.chance(1 / 16)) return undefined;
    return new Promise((resolve) => setTimeout(resolve, random.integer(0, readerMs)));
  }

  #pause(ms: number): Promise<void> {
    if (this.#finishing || this.#over) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #endOf(cause: SessionError | undefined): End {
    const { circuits, replayedBytes } = this.session.stats;
    const code = cause === undefined ? null : (cause.code ?? 'no code');
    return { code, message: cause?.message ?? '', circuits, replayedBytes, loss: cause === undefined ? null : this.#lossOf(cause) };
  }

  #lossOf(cause: SessionError): LossReport | null {
    const { loss } = cause;
    if (loss === undefined) return null;
    const messages = loss.unconfirmed as readonly Message[];
    return {
      from: messages[0] === undefined ? null : numberOf(this.#out, messages[0]),
      count: messages.length,
      exact: loss.exact,
      undelivered: loss.undelivered,
      digest: digestOfAll(messages.map(digestOf)),
    };
  }

  #wrong(where: string, error: unknown): void {
    say({ what: 'wrong', key: this.#key, why: `${this.#side}, ${where}: ${String((error as Error)?.stack ?? error)}` });
  }
}
