// One application at one end of a session: it sends by its plan, reads in one of the ways there are, ends, and reports to the oracle.

import { SessionError } from '../../lib/errors.ts';
import type { Session } from '../../lib/session.ts';
import type { Random } from '../../lib/testing/random.ts';
import type { Clock, Host } from './clock.ts';
import { type Message, makeMessage } from './messages.ts';
import type { Oracle, Stream } from './oracle.ts';
import type { SidePlan } from './plan.ts';

export interface PartyOptions {
  readonly clock: Clock;
  readonly host: Host;
  readonly oracle: Oracle;
  readonly random: Random;
  readonly plan: SidePlan;
  readonly framing: 'prefix' | 'lines';
  readonly echo: boolean;
  readonly closeTimeoutMs: number;
  readonly holdMs: number;
  readonly outboxHardCap: number;
  readonly out: Stream;
  readonly into: Stream;
  /** Whose messages these are. */
  readonly author: number;
  /** Sends a message, alone or as a broadcast. */
  readonly send: (session: Session<Message>, message: Message, lend: boolean) => boolean;
  /** Reads nothing. */
  readonly deaf: boolean;
  /** Its handler throws at that message; Infinity: never. */
  readonly throwsAt: number;
  /** Faults have stopped: no more pauses. */
  readonly hurry: () => boolean;
  /** Room in the peer's window, which it fills to the last byte before it ends; 0: it says what its plan says. */
  readonly brimBytes: number;
  /** Somebody has put a frame into a circuit that breaks a rule. */
  readonly offended: () => boolean;
  /** A socket of this process is full. */
  readonly congested: () => boolean;
}

/** Rules for frames, not for handshakes: those break for other reasons as well. */
const BROKEN_RULE = /^[ACFS]-\d/;

/** What the framings of messages.ts add to each message. */
const OVERHEAD_BYTES = { prefix: 4, lines: 1 } as const;

export class Party {
  readonly name: string;
  readonly session: Session<Message>;
  readonly out: Stream;
  readonly into: Stream;
  readonly options: PartyOptions;
  attached: boolean = false;
  /** When it was last attached or detached; NaN before. */
  changedMs: number = Number.NaN;
  // The same by its own clock, which may step.
  #changedOwnMs = Number.NaN;
  closed: boolean = false;
  /** Its process has died: what becomes of its session is nobody's business. */
  gone: boolean = false;
  cause: SessionError | undefined = undefined;
  circuits: number = 0;
  drainings: number = 0;
  /** close() was called, and how it came out. */
  closing: 'no' | 'waiting' | 'resolved' | SessionError = 'no';
  reading: 'on' | 'finished' | SessionError = 'on';
  speaking: boolean = false;
  #confirmed = 0;
  #stream: { end(): unknown } | null = null;
  onAttached: (() => void) | null = null;
  onDetached: (() => void) | null = null;

  constructor(name: string, session: Session<Message>, options: PartyOptions) {
    this.name = name;
    this.session = session;
    this.options = options;
    this.out = options.out;
    this.into = options.into;
    session.on('attached', () => this.#changed(true));
    session.on('detached', (cause) => {
      this.#changed(false);
      // Between two ends of this library no circuit breaks a rule, unless somebody else has put something in.
      const { oracle, offended } = this.options;
      if (cause?.code === 'ERR_PROTOCOL' && BROKEN_RULE.test(cause.message) && !offended())
        oracle.fail(this.name, `a rule was broken: ${cause.message}`);
    });
    session.on('draining', () => {
      this.drainings++;
    });
    session.on('close', (cause) => this.#closed(cause));
    // Opened on a circuit that is attached a moment later, or already: the listener would miss that one.
    if (session.circuit !== undefined) this.#changed(true);
    this.closed = session.state === 'closed';
  }

  /** When it is over unless a circuit comes, by its process's clock. */
  get expiresMs(): number {
    return this.attached || this.closed ? Infinity : this.#changedOwnMs + this.options.holdMs;
  }

  /** Begins to send and to read. */
  start(): void {
    if (!this.options.deaf) this.#read();
    this.speaking = true;
    this.#speak()
      .catch((error: unknown) => this.#unexpected('speaking', error))
      .finally(() => {
        this.speaking = false;
      });
  }

  note(what: string, number: number = 0): void {
    const { clock } = this.options;
    clock.trace.note(clock.nowMs, this.name, what, number);
  }

  // ---------------------------------------------------------------- what it is told

  #changed(attached: boolean): void {
    const { clock, oracle } = this.options;
    if (this.gone) return;
    this.note(attached ? 'attached' : 'detached');
    if (this.closed) oracle.fail(this.name, 'an event behind close');
    if (this.attached === attached) oracle.fail(this.name, `${attached ? 'attached' : 'detached'} twice in a row`);
    this.attached = attached;
    this.changedMs = clock.nowMs;
    this.#changedOwnMs = this.options.host.now();
    if (attached) this.circuits++;
    if (attached) this.onAttached?.();
    else this.onDetached?.();
  }

  #closed(cause: SessionError | undefined): void {
    const { oracle, clock } = this.options;
    if (this.gone) return;
    this.note(`closed ${cause?.code ?? 'clean'}`);
    if (this.closed) oracle.fail(this.name, 'close told twice');
    if (this.attached) oracle.fail(this.name, 'close without detached');
    this.#punctual(cause);
    this.closed = true;
    this.cause = cause;
    if (cause?.code === 'ERR_DUPLICATE' || cause?.code === 'ERR_REPLACED') clock.coverage.count('duplicate replaced or refused');
    oracle.ended(this.name, this.out, this.into, cause);
  }

  /** Nobody gives a session up before its hold time is over. */
  #punctual(cause: SessionError | undefined): void {
    const { host, oracle, holdMs } = this.options;
    // The dialing side hears of EXPIRED from the other, and has to wait longer than that by itself.
    const own = cause?.code === 'ERR_GAVE_UP' || (cause?.code === 'ERR_EXPIRED' && this.name.startsWith('server'));
    const waitedMs = host.now() - this.#changedOwnMs;
    // Virtual times are sums of fractions.
    if (own && waitedMs < holdMs - 0.01) oracle.fail(this.name, `${cause.code} after ${waitedMs} ms of ${holdMs}`);
  }

  /** The session is over: what waited for it has been told. */
  atRest(): void {
    const { oracle, deaf } = this.options;
    if (this.gone || !this.closed) return;
    if (this.closing === 'waiting') oracle.fail(this.name, 'close() waits for ever');
    if (this.speaking) oracle.fail(this.name, 'a promise of send, drained() or flushed() waits for ever');
    if (this.reading === 'on' && !this.#called && !deaf) oracle.fail(this.name, 'its loop waits for ever');
  }

  /** Numbers that must hold at any time. */
  inspect(): void {
    const { oracle, plan, outboxHardCap } = this.options;
    const { stats } = this.session;
    if (stats.confirmed < this.#confirmed) oracle.fail(this.name, `confirmed went back from ${this.#confirmed} to ${stats.confirmed}`);
    if (stats.confirmed > stats.sent) oracle.fail(this.name, `${stats.confirmed} confirmed of ${stats.sent} sent`);
    if (stats.inboundBytes > plan.window + 1) oracle.fail(this.name, `${stats.inboundBytes} bytes inbound, the window is ${plan.window}`);
    if (stats.outboundBytes > outboxHardCap) oracle.fail(this.name, `${stats.outboundBytes} bytes outbound, the cap is ${outboxHardCap}`);
    if (stats.consumed > stats.received) oracle.fail(this.name, `${stats.consumed} consumed of ${stats.received} received`);
    this.#confirmed = stats.confirmed;
  }

  #unexpected(doing: string, error: unknown): void {
    const told = error instanceof Error ? `${error.name}: ${error.message}\n${error.stack}` : String(error);
    this.options.oracle.fail(this.name, `${doing} failed with ${told}`);
  }

  // ---------------------------------------------------------------- sending

  async #speak(): Promise<void> {
    const { plan, random, framing, author, echo, hurry, brimBytes, clock } = this.options;
    const { traffic } = plan;
    if (brimBytes > 0) {
      if (!(await this.#brim())) return;
    } else if (!echo) {
      for (let n = 0; n < traffic.messages; n++) {
        if (n % traffic.burst === 0 && traffic.pauseMs > 0 && !hurry()) {
          clock.coverage.count('paced sender');
          await this.#pause(random.integer(0, traffic.pauseMs * 2));
        }
        const message = makeMessage(framing, author, n, random.integer(traffic.least, Math.max(traffic.least, traffic.most)));
        if (!(await this.send(message))) break;
        if (n % 16 === 0) this.inspect();
        if (traffic.flushChance > 0 && random.chance(traffic.flushChance) && !(await this.#flush())) break;
      }
    } else if (!(await this.#echoed())) return;
    await this.#end();
  }

  /** Fills the peer's window to the last byte, at once. @returns false when the session takes no more */
  async #brim(): Promise<boolean> {
    const { plan, framing, author, brimBytes, clock } = this.options;
    const overhead = OVERHEAD_BYTES[framing];
    let left = brimBytes;
    for (let n = 0; left > 0; n++) {
      const most = Math.min(Math.max(1, plan.traffic.most), left - overhead);
      // What is left behind it must be nothing, or room for one more.
      const after = left - overhead - most;
      const bytes = after === 0 || after > overhead ? most : Math.max(0, most - overhead);
      if (!(await this.send(makeMessage(framing, author, n, bytes)))) return false;
      left -= overhead + bytes;
    }
    if (this.session.stats.confirmed === 0) clock.coverage.count('window full to the last byte at END');
    return true;
  }

  /** END is exempt from the limit: where all else has been sent it must not wait for the reader. */
  async #endLeaves(): Promise<void> {
    const { oracle, congested } = this.options;
    const held = (): boolean => {
      const { sent, confirmed, outboundBytes } = this.session.stats;
      return this.attached && !congested() && outboundBytes > 0 && sent === confirmed + outboundBytes;
    };
    for (let i = 0; i < 20 && !this.closed; i++) {
      const before = held() && this.circuits;
      await this.#pause(10);
      if (before !== false && held() && before === this.circuits && !this.closed) return oracle.fail(this.name, 'END waits for the limit');
    }
  }

  /** Sends one message, and waits for room where there is none. @returns false when the session takes no more */
  async send(message: Message): Promise<boolean> {
    const { plan, random, oracle } = this.options;
    // Sent from memory that is written over at once: the library must have copied it, unless it was lent.
    const lend = plan.traffic.lend && random.chance(0.5);
    const given = lend || typeof message === 'string' ? message : Buffer.from(message);
    for (;;) {
      try {
        const room = this.options.send(this.session, given, lend);
        oracle.accepted(this.out, message);
        if (!lend && typeof given !== 'string') given.fill(0x55);
        if (!room && plan.traffic.obedient) return await this.#room();
        return true;
      } catch (error) {
        if (SessionError.is(error, 'ERR_ENDED') || SessionError.is(error, 'ERR_CLOSED')) return false;
        if (!SessionError.is(error, 'ERR_BUFFER_FULL')) throw error;
        this.note('full');
        this.options.clock.coverage.count('send buffer full');
        if (!(await this.#room())) return false;
      }
    }
  }

  async #room(): Promise<boolean> {
    try {
      await this.session.drained();
      return true;
    } catch (error) {
      if (!this.closed && !SessionError.is(error, 'ERR_CLOSED') && this.session.state !== 'closed') this.#unexpected('drained()', error);
      return false;
    }
  }

  async #flush(): Promise<boolean> {
    const count = this.out.accepted.length;
    try {
      await this.session.flushed();
      this.options.oracle.flushed(this.out, count);
      return true;
    } catch (error) {
      if (this.session.state !== 'closed') this.#unexpected('flushed()', error);
      return false;
    }
  }

  /** The other side's messages have all been sent back. @returns whether the session lives */
  #echoed(): Promise<boolean> {
    return new Promise((resolve) => {
      this.session.once('close', () => resolve(false));
      this.onFinished = () => resolve(true);
    });
  }
  onFinished: (() => void) | null = null;

  async #end(): Promise<void> {
    const { plan, deaf, brimBytes, clock } = this.options;
    const ending = deaf ? 'close' : plan.ending;
    if (ending === 'none') return;
    this.note(ending);
    if (deaf) clock.coverage.count('no reader at close');
    const closed = ending === 'close' ? this.close() : undefined;
    if (ending === 'end' && this.#stream !== null) this.#stream.end();
    else if (ending === 'end') this.session.end();
    if (brimBytes > 0) await this.#endLeaves();
    await closed;
  }

  async close(): Promise<void> {
    const { closeTimeoutMs, oracle } = this.options;
    this.closing = 'waiting';
    try {
      await this.session.close({ timeoutMs: closeTimeoutMs });
      this.closing = 'resolved';
      // What close() promises: all that was sent is confirmed, so it was delivered.
      oracle.flushed(this.out, this.out.accepted.length);
    } catch (error) {
      if (!SessionError.is(error)) return this.#unexpected('close()', error);
      if (this.gone) return;
      this.closing = error;
      if (error.code !== this.cause?.code)
        oracle.fail(this.name, `close() rejected with ${error.code}, the event said ${this.cause?.code}`);
    }
  }

  // ---------------------------------------------------------------- reading

  #read(): void {
    const { way } = this.options.plan.reading;
    if (way === 'iterator') this.#loop().catch((error: unknown) => this.#unexpected('reading', error));
    else if (way === 'batches') this.#batches().catch((error: unknown) => this.#unexpected('reading', error));
    else if (way === 'handler') this.session.receive((message) => this.#handled(message));
    else if (way === 'async handler') this.session.receive((message) => this.#handledLater(message));
    else if (way === 'ranges') this.session.receiveRanges((buffer, start, end) => this.#handled(this.#message(buffer, start, end)));
    else this.#readStream();
  }

  /** Reads by calls, not by promises or a stream of Node's. */
  get #called(): boolean {
    const { way } = this.options.plan.reading;
    return way === 'handler' || way === 'async handler' || way === 'ranges';
  }

  #message(buffer: Buffer, start: number, end: number): Message {
    return this.options.framing === 'prefix' ? Buffer.from(buffer.subarray(start, end)) : buffer.toString('utf8', start, end);
  }

  #hand(message: Message, fails: boolean = true): void {
    const { oracle } = this.options;
    this.into.inProgress++;
    oracle.delivered(this.into, message);
    // A promise that was resolved before the end is seen behind it; a call is not made any more.
    if (this.closed && this.#called) oracle.fail(this.name, 'a message behind close');
    if (this.into.delivered % 16 === 0) this.inspect();
    if (fails) this.#fail();
  }

  #fail(): void {
    if (this.into.delivered <= this.options.throwsAt) return;
    this.options.clock.coverage.count('handler throws');
    throw new Error('the handler fails, as planned');
  }

  /** The application is through with what it was given. Behind the end of the session that changes nothing any more. */
  #consumed(butFor: number = 0): void {
    if (!this.closed) this.into.inProgress = Math.min(butFor, this.into.inProgress);
  }

  #handled(message: Message): void {
    this.#hand(message);
    this.#consumed();
  }

  async #handledLater(message: Message): Promise<void> {
    this.#hand(message);
    await this.#digest(message);
    this.#consumed();
  }

  /** What the application does with a message before it asks for the next. */
  async #digest(message: Message): Promise<void> {
    const { plan, random, hurry, echo, clock } = this.options;
    const { pauseMs, pauseChance } = plan.reading;
    if (echo) await this.send(typeof message === 'string' ? message : Buffer.from(message));
    if (pauseChance > 0 && !hurry() && random.chance(pauseChance)) {
      clock.coverage.count('slow reader');
      await this.#pause(random.integer(0, pauseMs * 2));
    }
  }

  async #loop(): Promise<void> {
    const { plan, random } = this.options;
    try {
      for (let left = true; left; ) {
        left = false;
        for await (const message of this.session) {
          this.#hand(message);
          await this.#digest(message);
          this.#consumed();
          left = plan.ending !== 'close' && plan.reading.leaveChance > 0 && random.chance(plan.reading.leaveChance);
          if (left) break;
        }
        if (left) await this.#pause(random.integer(0, 20));
      }
      this.#finished();
    } catch (error) {
      this.#broke(error);
    }
  }

  async #batches(): Promise<void> {
    try {
      for await (const batch of this.session.batches()) {
        if (batch.length === 0) this.options.oracle.fail(this.name, 'an empty batch');
        // Handed out as one: all of it counts as delivered, even if the first message is too much for the application.
        for (const message of batch) this.#hand(message, false);
        this.#fail();
        for (const message of batch) await this.#digest(message);
        this.#consumed();
      }
      this.#finished();
    } catch (error) {
      this.#broke(error);
    }
  }

  #readStream(): void {
    const stream = this.session.stream();
    this.#stream = stream;
    stream.on('data', (message: Message) => {
      this.#hand(message);
      // Asking for the next message is what consumes this one, and Node's stream does that by itself.
      this.#consumed(1);
    });
    stream.on('end', () => {
      this.#consumed();
      this.#finished();
      // Nobody writes to the stream itself; a session that is to end with its peer ends its half by the stream's.
      if (this.options.plan.ending === 'none' || this.options.echo) stream.end();
    });
    stream.on('error', (error) => this.#broke(error));
  }

  #finished(): void {
    this.note('read all');
    this.reading = 'finished';
    this.onFinished?.();
  }

  #broke(error: unknown): void {
    if (SessionError.is(error)) this.reading = error;
    else if (this.options.throwsAt === Infinity) this.#unexpected('reading', error);
    else {
      this.reading = 'finished';
      this.session.destroy(error as Error);
    }
  }

  #pause(ms: number): Promise<void> {
    return this.options.clock.sleep(this.options.host, ms);
  }
}
