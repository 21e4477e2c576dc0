// A client at a session: from the login on, until one of them goes. In: what is typed, commands, sizes. Out: to the program what is meant
// for it; answers for what is meant for us, which only this client sees.

import { Command } from '../protocol.ts';
import type { WindowSize } from '../subnegotiation.ts';
import type { Receiver, TelnetConnection } from './connection.ts';
import { ESCAPE_HELP, type Escape, EscapeFilter } from './escape.ts';
import { duration, listing } from './menu.ts';
import type { Shell } from './shell.ts';
import { type Over, type Role, Viewer } from './viewer.ts';

export interface AttachmentEvents {
  readonly list: () => readonly Shell[];
  readonly shared: (on: boolean) => void;
  /** Once, last. `why` is for the audit log. */
  readonly gone: (why: string) => void;
}

export interface AttachmentOptions {
  readonly role: Role;
  /** Nothing typed for this long: detached. 0: never. */
  readonly idleMs: number;
  /** Of a terminal that takes nothing, see viewer.ts. */
  readonly holdUpMs: number;
}

/** Dragging a window's edge tells many sizes; the last one counts. */
const RESIZE_SETTLES_MS = 50;
/** Behind half an end (netcat -N) output is shown until none came for this long. */
const HALF_ENDED_QUIET_MS = 1_000;
/** "Are you there" and the like, per second. */
const MOST_ANSWERS_PER_SECOND = 5;

/** Commands that are keys on a terminal. */
const keys: ReadonlyMap<number, Buffer> = new Map([
  [Command.susp, Buffer.of(0x1a)],
  [Command.abort, Buffer.of(0x1c)],
  [Command.eof, Buffer.of(0x04)],
  [Command.eraseCharacter, Buffer.of(0x7f)],
  [Command.eraseLine, Buffer.of(0x15)],
]);

export class Attachment implements Receiver {
  readonly #connection: TelnetConnection;
  readonly #shell: Shell;
  readonly #events: AttachmentEvents;
  readonly #options: AttachmentOptions;
  readonly #viewer: Viewer;
  readonly #escapes: EscapeFilter = new EscapeFilter();
  #resizing: NodeJS.Timeout | null = null;
  #idle: NodeJS.Timeout | null = null;
  #quiet: NodeJS.Timeout | null = null;
  #answers = 0;
  #answersSinceMs = 0;
  #gone = false;

  constructor(connection: TelnetConnection, shell: Shell, events: AttachmentEvents, options: AttachmentOptions) {
    this.#connection = connection;
    this.#shell = shell;
    this.#events = events;
    this.#options = options;
    this.#viewer = new Viewer(connection, options.role, shell.screen, options.holdUpMs, {
      onRoom: () => shell.flow(),
      onOver: (why) => this.#over(why),
    });
  }

  /** @param typedAhead what came behind the login */
  begin(typedAhead: Buffer): void {
    this.#shell.attach(this.#viewer);
    this.#watchIdle();
    if (typedAhead.length > 0) void this.typed(typedAhead);
    this.#connection.handOver(this);
  }

  typed(bytes: Buffer): Promise<void> | undefined {
    if (this.#gone) return undefined;
    this.#watchIdle();
    let wait: Promise<void> | undefined;
    for (const piece of this.#escapes.filter(bytes)) {
      if (typeof piece === 'string') this.#escape(piece);
      else if (this.#options.role === 'writer' && !this.#gone) {
        this.#shell.touch(this.#viewer);
        wait = this.#shell.type(piece);
      }
    }
    return wait;
  }

  commanded(command: number): void {
    if (command === Command.areYouThere) return this.#sayStatus();
    if (command === Command.abortOutput) return this.#abortOutput();
    if (this.#options.role !== 'writer' || this.#gone) return;
    const key = keys.get(command);
    if (key !== undefined) void this.#shell.type(key);
    else if (command === Command.interrupt || command === Command.brk) this.#shell.interrupt();
    // The end of a Synch: what was typed before it and not read is to be forgotten.
    else if (command === Command.dataMark) this.#shell.discardInput();
  }

  resized(size: WindowSize): void {
    if (this.#gone) return;
    if (this.#resizing !== null) clearTimeout(this.#resizing);
    this.#resizing = setTimeout(() => {
      this.#viewer.size = size;
      if (this.#options.role === 'writer') this.#shell.touch(this.#viewer);
      else this.#viewer.repaint();
    }, RESIZE_SETTLES_MS);
  }

  drained(): void {
    this.#viewer.drained();
    this.#shell.flow();
  }

  ended(over: boolean): void {
    if (this.#gone) return;
    // A closed terminal and the end of netcat's input look alike, so what the program still says is shown for a moment.
    if (over || this.#connection.facts.resumable || this.#connection.negotiates) this.#leave('the client went away');
    else this.#awaitQuiet();
  }

  #escape(asked: Escape): void {
    if (this.#gone) return;
    if (asked === 'detach') this.#leave('detached', `${this.#cleanScreen}\n[detached from ${this.#shell.label}]\n`);
    else if (asked === 'help') this.#say(ESCAPE_HELP);
    else if (asked === 'list') this.#say(listing(this.#events.list()));
    else if (this.#options.role !== 'writer') this.#say(['[you only watch]']);
    else if (asked === 'share') this.#share();
    else this.#shell.hangUp();
  }

  #share(): void {
    this.#shell.shared = !this.#shell.shared;
    this.#events.shared(this.#shell.shared);
    this.#say([this.#shell.shared ? '[shared: who attaches next joins]' : '[no longer shared: who attaches next takes over]']);
  }

  #sayStatus(): void {
    const { rttMs } = this.#connection;
    const trip = Number.isNaN(rttMs) ? '' : `, ${Math.round(rttMs)} ms away`;
    const age = duration(performance.now() - this.#shell.createdMs);
    this.#say([`[session ${this.#shell.label}, ${this.#shell.viewers.size} attached, ${age} old${trip}]`]);
  }

  /** To this client alone, and not on the screen that others see: the next repaint wipes it away. */
  #say(lines: readonly string[]): void {
    if (!this.#mayAnswer()) return;
    this.#viewer.output(Buffer.from(['', ...lines, ''].join('\r\n'), 'utf8'));
  }

  #mayAnswer(): boolean {
    const now = performance.now();
    if (now - this.#answersSinceMs > 1_000) {
      this.#answersSinceMs = now;
      this.#answers = 0;
    }
    return !this.#gone && ++this.#answers <= MOST_ANSWERS_PER_SECOND;
  }

  #abortOutput(): void {
    if (!this.#mayAnswer()) return;
    this.#connection.mark();
    this.#viewer.repaint();
  }

  #watchIdle(): void {
    const { idleMs } = this.#options;
    if (idleMs === 0) return;
    if (this.#idle === null)
      this.#idle = setTimeout(() => this.#leave('idle', `${this.#cleanScreen}\n[detached: nothing was typed for too long]\n`), idleMs);
    else this.#idle.refresh();
  }

  #awaitQuiet(): void {
    const before = this.#shell.outputBytes;
    this.#quiet = setTimeout(() => {
      if (this.#shell.outputBytes === before) this.#leave('the client went away');
      else this.#awaitQuiet();
    }, HALF_ENDED_QUIET_MS);
  }

  #over(why: Over): void {
    if (why.kind === 'taken')
      return this.#leave(`taken over from ${why.by}`, `${this.#cleanScreen}\n[detached: taken over from ${why.by}]\n`);
    const { code, signal } = why.exit;
    this.#leave('the session ended', `[session ${this.#shell.label} ended, ${signal === null ? `exit ${code}` : signal}]\n`);
  }

  /** The program goes on and believes the terminal to be its own; the client's next one needs it as it was. */
  get #cleanScreen(): string {
    return this.#connection.negotiates ? LEAVE_SCREEN : '';
  }

  #leave(why: string, last = ''): void {
    if (this.#gone) return;
    this.#gone = true;
    for (const timer of [this.#resizing, this.#idle, this.#quiet]) if (timer !== null) clearTimeout(timer);
    this.#shell.detach(this.#viewer);
    this.#connection.say(last);
    this.#connection.close();
    this.#events.gone(why);
  }
}

/** Every mode off that a program may have switched on, and the normal screen; the text stays. */
const MODES_OFF = [1, 1000, 1002, 1003, 1004, 1006, 2004, 1049].map((mode) => `\x1b[?${mode}l`).join('');
const LEAVE_SCREEN = `\x1b7\x1b[r\x1b8\x1b[0m\x1b>${MODES_OFF}\x1b[?25h`;
