// One telnet client, over a bare session (any telnet client) or a resumable one (ours): from here on there is no difference. In: events of
// the session. Out: typed bytes, commands and facts for whoever has the conversation, first the login and then a shell. Everything that a
// peer can make this end do or keep has its bound here, or in host.ts.

import type { CircuitInfo, Session } from 'outlast';
import type { Environment } from '../environ.ts';
import { Host, type HostStep } from '../host.ts';
import { NvtInput, NvtOutput } from '../nvt.ts';
import { Command, Option } from '../protocol.ts';
import type { WindowSize } from '../subnegotiation.ts';
import { command, data, type TelnetEvent } from '../telnet.ts';
import type { TerminalType } from '../terminal-type.ts';

/** Who has the conversation. */
export interface Receiver {
  /** What was typed. A promise holds back what comes behind it. */
  typed(bytes: Buffer): Promise<void> | undefined;
  /** A command that is not the connection's own matter. */
  commanded(command: number): void;
  resized(size: WindowSize): void;
  /** write() returned false before, and there is room again. */
  drained(): void;
  /** Nothing more will be typed; what is written may still be read, unless `over`. */
  ended(over: boolean): void;
}

export interface ConnectionFacts {
  readonly circuit: CircuitInfo;
  /** A session of ours: it lives on while its circuit is gone. */
  readonly resumable: boolean;
  /** A client that answers is asked for a sign of life this often. */
  readonly heartbeatMs: number;
}

/** What the client said about itself. */
export interface Client {
  readonly terminal: TerminalType | null;
  readonly environment: Environment | null;
}

/** A piece of output; a command of the client gets in between two of them. */
const PIECE_BYTES = 16_384;
/** A CR at the end of output waits for its LF this long. */
const HELD_CR_MS = 5;
/** Of what the client makes us say, so much may wait to be read by it. */
const MOST_UNREAD_ANSWER_BYTES = 65_536;
// Counted in ticks, not in time: after this machine has slept, or was busy, one tick is one tick.
const TICKS_PER_HEARTBEAT = 3;
/** A subnegotiation that was begun must have ended. */
const OPEN_TICKS = 2;
/** A client that has answered pings is gone. */
const SILENT_TICKS = 9;
/** Pings answered before silence means anything: some clients answer none, some the first alone. */
const LEARNED_ANSWERS = 2;
const CLOSE_MS = 3_000;
const MOST_VARIABLES = 32;

export class TelnetConnection {
  readonly facts: ConnectionFacts;
  readonly #session: Session<TelnetEvent>;
  readonly #host: Host = new Host();
  readonly #input: NvtInput = new NvtInput('\r');
  readonly #output: NvtOutput = new NvtOutput();
  readonly #onFlood: (limit: string) => void;
  #receiver: Receiver | null = null;
  #terminal: TerminalType | null = null;
  #environment: Environment | null = null;
  #negotiates = false;
  #onNegotiated: (() => void) | null = null;
  #ended = false;
  #over = false;
  #closing = false;
  #full = false;
  #answerBytes = 0;
  #heldCr: NodeJS.Timeout | null = null;
  #ticks = 0;
  /** Since anything was heard. */
  #silentTicks = 0;
  #tick: NodeJS.Timeout | null = null;
  /** Whoever has the conversation holds back what comes next. */
  #busy = false;
  /** So long bytes lie in the decoder that make no event. */
  #openTicks = 0;
  #pongs = 0;
  #rttMs = Number.NaN;

  /** @param onFlood told before a peer is disconnected that goes beyond its limits */
  constructor(session: Session<TelnetEvent>, facts: ConnectionFacts, onFlood: (limit: string) => void) {
    this.#session = session;
    this.facts = facts;
    this.#onFlood = onFlood;
    session.on('drain', () => this.#drained());
    session.once('close', () => this.#closed());
  }

  /** Begins to speak and to listen. */
  start(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#tick = setInterval(() => this.#ticked(), this.facts.heartbeatMs / TICKS_PER_HEARTBEAT);
    this.#do(this.#host.begin());
    void this.#read();
  }

  /** From here on another has the conversation. */
  handOver(receiver: Receiver): void {
    this.#receiver = receiver;
    if (this.#over || this.#ended) receiver.ended(this.#over);
  }

  get client(): Client {
    return { terminal: this.#terminal, environment: this.#environment };
  }

  get size(): WindowSize {
    return this.#host.size;
  }

  /** The client knows telnet. What does not, such as netcat, is sent no commands. */
  get negotiates(): boolean {
    return this.#negotiates;
  }

  /** What is typed is shown by this end, or by nobody. */
  get echoes(): boolean {
    return this.#host.inEffect('own', Option.echo);
  }

  /** The session lives, and no circuit carries it. */
  get offline(): boolean {
    return this.#session.state === 'detached';
  }

  get over(): boolean {
    return this.#over || this.#closing;
  }

  /** Milliseconds to the client and back; NaN where it is not known. */
  get rttMs(): number {
    return this.facts.resumable ? this.#session.stats.rttMs : this.#rttMs;
  }

  /** Resolves when the client has told its terminal, or after `ms`. */
  async negotiated(ms: number): Promise<void> {
    if (this.#terminal !== null || this.#over) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#onNegotiated = resolve;
      timer = setTimeout(resolve, ms);
    });
    clearTimeout(timer);
    this.#onNegotiated = null;
  }

  /** Shows bytes as a pty wrote them. @returns false where the next should wait for drained() */
  write(bytes: Buffer): boolean {
    this.#clearHeldCr();
    const translated = this.#output.translate(bytes);
    for (let at = 0; at < translated.length; at += PIECE_BYTES) this.#send(data(translated.subarray(at, at + PIECE_BYTES)));
    if (this.#output.holding) this.#heldCr = setTimeout(() => this.#flushHeldCr(), HELD_CR_MS);
    return !this.#full;
  }

  say(text: string): boolean {
    return this.write(Buffer.from(text.replace(/\r?\n/g, '\r\n'), 'utf8'));
  }

  /** Marks where output was dropped. In-band: Node cannot send urgent data, and TinTin++ hangs up on it. */
  mark(): void {
    if (this.#negotiates) this.#send(command(Command.dataMark));
  }

  /** Ends in order: what was written is delivered. */
  close(): void {
    if (this.over) return;
    this.#flushHeldCr();
    this.#closing = true;
    this.#stop();
    this.#session.close({ timeoutMs: CLOSE_MS }).catch(() => {});
  }

  destroy(): void {
    this.#session.destroy();
  }

  async #read(): Promise<void> {
    try {
      for await (const event of this.#session) {
        this.#silentTicks = 0;
        this.#openTicks = 0;
        const wait = this.#take(event);
        if (wait === undefined) continue;
        this.#busy = true;
        await wait;
        this.#busy = false;
      }
    } catch {
      // 'close' tells it too.
    }
    this.#ended = true;
    this.#onNegotiated?.();
    if (!this.over) this.#receiver?.ended(false);
  }

  #take(event: TelnetEvent): Promise<void> | undefined {
    if (event.kind === 'data') {
      const typed = this.#input.translate(event.bytes);
      // Who waits for the client's facts waits no longer than it takes the user to type.
      this.#onNegotiated?.();
      return this.over || typed.length === 0 ? undefined : this.#receiver?.typed(typed);
    }
    if (event.kind === 'command') {
      if (!this.over) this.#receiver?.commanded(event.command);
      return undefined;
    }
    this.#negotiates = true;
    this.#do(this.#host.receive(event, performance.now()));
    return undefined;
  }

  #do(steps: readonly HostStep[]): void {
    for (const step of steps) this.#step(step);
  }

  #step(step: HostStep): void {
    if (step.kind === 'send') this.#answer(step.event);
    else if (step.kind === 'option') this.#option(step.side, step.option, step.on);
    else if (step.kind === 'size') this.#receiver?.resized(step.size);
    else if (step.kind === 'terminal') {
      this.#terminal = step.terminal;
      this.#onNegotiated?.();
    } else if (step.kind === 'environment') this.#environment = merged(this.#environment, step.environment);
    else if (step.kind === 'flood') this.#flood(step.limit);
    else if (step.kind === 'pong') {
      this.#pongs++;
      this.#rttMs = step.rttMs;
    }
  }

  #option(side: 'own' | 'peer', option: number, on: boolean): void {
    if (option !== Option.binary) return;
    if (side === 'peer') {
      this.#input.binary = on;
    } else {
      this.#flushHeldCr();
      this.#output.binary = on;
    }
  }

  #answer(event: TelnetEvent): void {
    this.#send(event);
    if (!this.#full) return;
    this.#answerBytes += event.kind === 'subnegotiation' ? event.bytes.length + 5 : 3;
    if (this.#answerBytes > MOST_UNREAD_ANSWER_BYTES) this.#flood('unread answers');
  }

  #flood(limit: string): void {
    if (this.over) return;
    this.#onFlood(limit);
    this.destroy();
  }

  #send(event: TelnetEvent): void {
    if (this.over) return;
    try {
      if (!this.#session.send(event)) this.#full = true;
    } catch {
      // It has ended, or its peer reads nothing at all: in both cases there is nobody to talk to.
      this.destroy();
    }
  }

  #drained(): void {
    this.#full = false;
    this.#answerBytes = 0;
    if (!this.over) this.#receiver?.drained();
  }

  #clearHeldCr(): void {
    if (this.#heldCr !== null) clearTimeout(this.#heldCr);
    this.#heldCr = null;
  }

  #flushHeldCr(): void {
    this.#clearHeldCr();
    const held = this.#output.flush();
    if (held.length > 0) this.#send(data(held));
  }

  #ticked(): void {
    this.#ticks++;
    this.#silentTicks++;
    // All events were taken, and still bytes lie there: an IAC SB that nobody ends.
    const isOpen = this.#session.stats.inboundBytes > 0 && !this.#busy && !this.#ended;
    this.#openTicks = isOpen ? this.#openTicks + 1 : 0;
    if (this.#openTicks > OPEN_TICKS) return this.#flood('open subnegotiation');
    if (this.facts.resumable || !this.#negotiates || this.over) return;
    if (this.#pongs >= LEARNED_ANSWERS && this.#silentTicks > SILENT_TICKS) this.destroy();
    else if (this.#ticks % TICKS_PER_HEARTBEAT === 0) this.#do(this.#host.ping(performance.now()));
  }

  #stop(): void {
    if (this.#tick !== null) clearInterval(this.#tick);
    this.#tick = null;
    this.#clearHeldCr();
  }

  #closed(): void {
    const told = this.#over;
    this.#over = true;
    this.#stop();
    this.#onNegotiated?.();
    if (!told) this.#receiver?.ended(true);
  }
}

/** Clients send their variables in several pieces, and again when they change. */
function merged(before: Environment | null, now: Environment): Environment {
  if (before === null) return now;
  return {
    variables: new Map([...before.variables, ...now.variables].slice(0, MOST_VARIABLES)),
    user: now.user ?? before.user,
    refused: [...new Set([...before.refused, ...now.refused])].slice(0, MOST_VARIABLES),
  };
}
