// A remote terminal over a session: what `npm run telnet:client` and `outlast telnet` run. The terminal's bytes flow to the session and
// back; a cut shows as one line over the last row, and what is typed meanwhile waits in the client. It is saved after every step, so that
// a new process goes on where a killed one was.

import { type Session, SessionClient, SessionError } from 'outlast';
import { Guest, type GuestStep } from '../guest.ts';
import { NvtInput, NvtOutput } from '../nvt.ts';
import { Command, Option } from '../protocol.ts';
import type { WindowSize } from '../subnegotiation.ts';
import { command, data, type TelnetEvent, telnet } from '../telnet.ts';
import { Dial } from './dial.ts';
import { Display } from './display.ts';
import { Escapes } from './escapes.ts';
import { guestEnvironment, type TelnetClientOptions, tlsOf } from './options.ts';
import { Pending } from './pending.ts';
import { removeSaved, SavedFile, type SavedSession, stateFolder, writeSaved } from './saved.ts';
import { ProcessTerminal, type Terminal } from './terminal.ts';
import { offlineLine, questionLine, reasonOf } from './text.ts';

/** A cut that is over sooner needs no line on the screen. */
const SHOW_AFTER_MS = 700;
const TICK_MS = 250;
/** A server that has not hung up by then does not hear. */
const HANG_UP_MS = 2_000;
/** Largest piece of what is typed that goes into the session at once. */
const PIECE_BYTES = 16_384;
/** What stands in the line beside what is typed. */
const TEXT_COLUMNS = 44;
const CTRL_C = 0x03;
const CR = 0x0d;

export class TelnetClient {
  readonly #options: TelnetClientOptions;
  readonly #terminal: Terminal;
  readonly #display: Display;
  readonly #dial: Dial;
  readonly #client: SessionClient<TelnetEvent>;
  readonly #folder: string | null;
  readonly #input = new NvtInput('\r\n');
  readonly #output = new NvtOutput();
  readonly #escapes = new Escapes();
  readonly #pending = new Pending();
  readonly #stop = new AbortController();
  #guest: Guest;
  #session: Session<TelnetEvent> | null = null;
  #path: string | null = null;
  /** When the circuit was lost; null while there is one. */
  #offlineMs: number | null = null;
  #retryMs = 0;
  /** The circuit was lost in the middle of a line: Enter belongs to it. */
  #midLine = false;
  /** What was typed offline is old, and waits for a decision. */
  #asks = false;
  #sending = false;
  #left: 'detached' | 'quit' | null = null;
  #ticker: NodeJS.Timeout | null = null;

  constructor(options: TelnetClientOptions) {
    const { host, port, environment = process.env } = options;
    this.#options = options;
    this.#terminal = options.terminal ?? new ProcessTerminal();
    this.#display = new Display(this.#terminal);
    this.#dial = new Dial(host, port, tlsOf(options));
    this.#folder = options.folder === undefined ? stateFolder(environment) : options.folder;
    this.#guest = this.#newGuest(undefined);
    this.#client = new SessionClient({
      framing: telnet(),
      connect: this.#dial.connect,
      allowHalfOpen: true,
      window: 262_144,
      limits: { messageBytes: 65_536, outboxHighWater: 16_384, socketBytes: 65_536 },
      heartbeatMs: options.heartbeatMs ?? 5_000,
      holdMs: options.holdMs ?? 7 * 86_400_000,
    });
    this.#client.on('retry', ({ delayMs }) => {
      this.#retryMs = this.#now + delayMs;
      this.#draw();
    });
  }

  /** @returns the exit code: 0 the session ended, or was detached; 1 it could not be opened, or was lost. */
  async run(): Promise<number> {
    const { signal } = this.#options;
    const leave = (): void => this.#leave('detached');
    signal?.addEventListener('abort', leave, { once: true });
    this.#terminal.open({
      typed: (bytes) => this.#typed(bytes),
      resized: (size) => this.#resized(size),
      inputEnded: () => this.#inputEnded(),
    });
    this.#display.askPlace();
    this.#ticker = setInterval(() => this.#draw(), TICK_MS);
    try {
      return await this.#attend();
    } finally {
      signal?.removeEventListener('abort', leave);
      clearInterval(this.#ticker);
      this.#display.show(null);
      this.#dial.leave();
      this.#session?.destroy();
      this.#terminal.close();
    }
  }

  async #attend(): Promise<number> {
    try {
      const session = (await this.#takeUp()) ?? (await this.#open());
      return await this.#carry(session);
    } catch (error) {
      if (this.#left === null) {
        if (!SessionError.is(error)) throw error;
        this.#forget();
        return this.#say(reasonOf(error, this.#name), 1);
      }
    }
    if (this.#left === 'quit') {
      this.#forget();
      return this.#say('gone; what ran there goes on until its session expires', 1);
    }
    const back = this.#path === null ? '' : '; the same command takes it up again';
    return this.#say(`detached${back}`, 0);
  }

  // ---------------------------------------------------------------- the session

  /** Goes on with the session of a client that is no more. null: there is none, or the server does not know it any more. */
  async #takeUp(): Promise<Session<TelnetEvent> | null> {
    if (this.#folder === null || this.#options.fresh === true) return null;
    const found = SavedFile.find(this.#folder, this.#which);
    if (found === null) return null;
    this.#guest = this.#newGuest(found.session.states);
    this.#input.binary = this.#guest.inEffect('peer', Option.binary);
    this.#output.binary = this.#guest.inEffect('own', Option.binary);
    this.#path = found.path;
    this.#lost();
    try {
      const session = await this.#client.resume(found.session.record, { signal: this.#stop.signal });
      // The screen of the other process is not ours.
      this.#step(this.#guest.resized(this.#terminal.size), session);
      session.send(command(Command.abortOutput));
      return session;
    } catch (error) {
      if (this.#left !== null || !SessionError.is(error)) throw error;
      this.#display.show(null);
      this.#offlineMs = null;
      this.#forget();
      this.#say(`the saved session cannot be taken up (${error.code}); a new login`, 0);
      this.#guest = this.#newGuest(undefined);
      this.#input.binary = false;
      this.#output.binary = false;
      return null;
    }
  }

  async #open(): Promise<Session<TelnetEvent>> {
    const session = await this.#client.open({ signal: this.#stop.signal });
    if (this.#folder !== null) this.#path = SavedFile.for(this.#folder, session.id);
    return session;
  }

  /** Until the session ends. @returns the exit code. */
  async #carry(session: Session<TelnetEvent>): Promise<number> {
    this.#session = session;
    session.on('detached', () => this.#lost());
    session.on('attached', () => this.#found());
    const closed = new Promise<SessionError | undefined>((resolve) => session.once('close', resolve));
    if (session.state === 'detached') this.#lost();
    else this.#found();
    const events = session[Symbol.asyncIterator]();
    for (;;) {
      const next = events.next();
      // next() has consumed the event before, and nothing of that is on the wire yet: a record of now stays good whatever is sent.
      this.#save();
      const { value, done } = await next;
      if (done === true) break;
      await this.#take(value, session);
    }
    session.end();
    const cause = await closed;
    if (cause !== undefined) throw cause;
    this.#forget();
    return 0;
  }

  async #take(event: TelnetEvent, session: Session<TelnetEvent>): Promise<void> {
    if (event.kind === 'data') await this.#display.write(this.#input.translate(event.bytes));
    else this.#step(this.#guest.receive(event, this.#now), session);
  }

  #step(steps: readonly GuestStep[], session: Session<TelnetEvent>): void {
    for (const step of steps) {
      if (step.kind === 'send') session.send(step.event);
      else if (step.kind === 'flood') session.destroy(new Error('the server asks without end'));
      else if (step.option === Option.binary) this.#binary(step.side === 'own', step.on, session);
    }
  }

  #binary(own: boolean, on: boolean, session: Session<TelnetEvent>): void {
    if (!own) {
      this.#input.binary = on;
      return;
    }
    const held = this.#output.flush();
    if (held.length > 0) session.send(data(held));
    this.#output.binary = on;
  }

  // ---------------------------------------------------------------- circuits

  #lost(): void {
    if (this.#offlineMs === null) this.#midLine = !this.#escapes.lineBegins;
    this.#offlineMs ??= this.#now;
    this.#retryMs = this.#now;
    this.#escapes.open = true;
    this.#draw();
  }

  #found(): void {
    this.#offlineMs = null;
    this.#asks = this.#pending.asks(this.#now);
    this.#escapes.open = this.#asks;
    if (!this.#asks) this.#release();
    this.#draw();
    if (!this.#display.spoilt) return;
    this.#display.forgive();
    this.#session?.send(command(Command.abortOutput));
  }

  /** What was typed offline goes out. */
  #release(): void {
    this.#asks = false;
    const bytes = this.#pending.take();
    if (bytes.length > 0) this.#send(bytes);
  }

  // ---------------------------------------------------------------- the keyboard

  #typed(bytes: Buffer): void {
    const typed = this.#display.takeReport(bytes);
    const online = this.#offlineMs === null && this.#session !== null;
    const keys = this.#asks || !online ? 'dc.' : 'd.';
    for (const piece of this.#escapes.take(typed, keys)) {
      if (piece.kind === 'escape') this.#escape(piece.key, online);
      else if (this.#asks) this.#answered(piece.bytes);
      else if (online) this.#send(piece.bytes);
      else this.#keep(piece.bytes);
    }
    this.#draw();
  }

  #escape(key: string, online: boolean): void {
    if (key === 'd') this.#leave('detached');
    else if (key === 'c') {
      this.#pending.take();
      this.#asks = false;
      this.#escapes.lineBegins = !this.#midLine;
      this.#escapes.open = !online;
    } else if (online) {
      // The server knows this one: it ends what runs there. A server that does not hear is left all the same.
      this.#send(Buffer.from('~.'));
      setTimeout(() => this.#leave('quit'), HANG_UP_MS).unref();
    } else this.#leave('quit');
  }

  /** Enter sends what waits; anything else is no answer. */
  #answered(bytes: Buffer): void {
    this.#escapes.open = true;
    if (bytes[0] === CR) {
      this.#release();
      if (bytes.length > 1) this.#send(bytes.subarray(1));
    } else if (bytes[0] === CTRL_C) {
      this.#escape('c', true);
    }
  }

  /** Typed with no circuit. Enter asks for a retry now; where our line says so, and no half line waits for it, it is nothing else. */
  #keep(bytes: Buffer): void {
    if (bytes.includes(CR)) this.#client.nudge();
    const retries = this.#pending.bytes === 0 && this.#display.shows && (!this.#midLine || this.#display.alternate);
    if (retries && bytes.length === 1 && bytes[0] === CR) return;
    if (!this.#pending.add(bytes, this.#now)) void this.#terminal.write('\u0007');
  }

  #send(bytes: Buffer): void {
    const session = this.#session;
    if (session === null || session.state === 'closed') return;
    const translated = this.#output.translate(bytes);
    let room = true;
    for (let at = 0; at < translated.length; at += PIECE_BYTES) room = session.send(data(translated.subarray(at, at + PIECE_BYTES)));
    // A key is a whole one: nothing follows that a CR would have to wait for.
    const held = this.#output.flush();
    if (held.length > 0) room = session.send(data(held));
    this.#save();
    if (!room) this.#waitForRoom(session);
  }

  #waitForRoom(session: Session<TelnetEvent>): void {
    if (this.#sending) return;
    this.#sending = true;
    this.#terminal.pause();
    const go = (): void => {
      this.#sending = false;
      if (this.#left === null) this.#terminal.resume();
    };
    session.drained().then(go, go);
  }

  /** The end of a pipe is what ^D is at a keyboard. */
  #inputEnded(): void {
    if (this.#terminal.interactive) this.#leave('detached');
    else this.#session?.send(command(Command.eof));
  }

  #resized(size: WindowSize): void {
    this.#display.resized();
    const session = this.#session;
    if (session === null || session.state === 'closed') return;
    this.#step(this.#guest.resized(size), session);
    this.#save();
  }

  // ---------------------------------------------------------------- leaving

  #leave(how: 'detached' | 'quit'): void {
    if (this.#left !== null) return;
    this.#left = how;
    if (this.#session !== null && this.#session.state !== 'closed') this.#save();
    // Without a connection nothing of this end is told to the server, which keeps the session for the next client.
    this.#dial.leave();
    this.#stop.abort();
    this.#session?.destroy();
  }

  #save(): void {
    const session = this.#session;
    if (this.#path === null || session === null || session.state === 'closed' || this.#left === 'quit') return;
    const record = this.#client.record(session);
    const saved: SavedSession = { ...this.#which, record, states: Buffer.from(this.#guest.states) };
    try {
      writeSaved(this.#path, saved);
    } catch (error) {
      this.#path = null;
      void this.#terminal.write(`\r\n[outlast: sessions cannot be saved: ${(error as Error).message}]\r\n`);
    }
  }

  #forget(): void {
    if (this.#path !== null) removeSaved(this.#path);
    this.#path = null;
  }

  // ---------------------------------------------------------------- what the user sees of it

  #draw(): void {
    const now = this.#now;
    const { columns } = this.#terminal.size;
    const typed = this.#display.secret
      ? '•'.repeat(Math.min(8, this.#pending.bytes))
      : this.#pending.shown(Math.max(0, columns - TEXT_COLUMNS));
    if (this.#asks) this.#display.show(questionLine(this.#pending.ageMs(now), typed));
    else if (this.#offlineMs === null || this.#left !== null) this.#display.show(null);
    else if (now - this.#offlineMs >= SHOW_AFTER_MS || this.#pending.bytes > 0)
      this.#display.show(offlineLine(now - this.#offlineMs, Math.max(0, this.#retryMs - now), typed));
  }

  #say(text: string, code: number): number {
    this.#display.show(null);
    void this.#terminal.write(`\r\n[outlast: ${text}]\r\n`);
    return code;
  }

  get #name(): string {
    return `${this.#options.host}:${this.#options.port}`;
  }

  get #which(): Pick<SavedSession, 'host' | 'port' | 'tls' | 'user'> {
    const { host, port, user = '' } = this.#options;
    return { host, port, tls: tlsOf(this.#options) !== null, user };
  }

  #newGuest(states: Uint8Array | undefined): Guest {
    const { environment = process.env, user } = this.#options;
    return new Guest({
      terminal: environment.TERM ?? 'vt100',
      size: this.#terminal.size,
      environment: guestEnvironment(environment, user),
      ...(states === undefined ? {} : { states }),
    });
  }

  get #now(): number {
    return performance.now();
  }
}

/** Runs a client until its session ends or it is left. @returns the exit code. */
export function runTelnetClient(options: TelnetClientOptions): Promise<number> {
  return new TelnetClient(options).run();
}
