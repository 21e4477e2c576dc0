// One session: a program on a terminal, the screen that it has drawn, and whoever looks at it. In: what viewers type and how large they
// are. Out: the program's output to all of them. It lives until its program ends; viewers come and go.

import { randomBytes } from 'node:crypto';
import type { WindowSize } from '../subnegotiation.ts';
import type { Launch } from './account.ts';
import { Pty, type PtyExit } from './pty.ts';
import { Screen } from './screen.ts';
import type { Viewer } from './viewer.ts';

/** Whose size a session has that several look at: of the writer that did something last, or the smallest or largest of all writers. */
export type SizePolicy = 'active' | 'smallest' | 'largest';

export interface ShellOptions {
  readonly user: string;
  /** As the user called it; null: only its id. */
  readonly name: string | null;
  readonly size: WindowSize;
  readonly sizePolicy: SizePolicy;
  readonly onEnd: (shell: Shell, exit: PtyExit) => void;
}

/** Drawn later than this much output, the program waits: the screen is then always near to what was written. */
const SCREEN_BEHIND_BYTES = 262_144;
/** Typed and not read by the program: beyond it the client waits. */
const TYPED_AHEAD_BYTES = 65_536;
/** A screen costs time and memory by its area, and a client may claim any. The largest monitors have some 640 × 180. */
const MOST_COLUMNS = 640;
const MOST_ROWS = 200;
/** For the last words of a program that was hung up. */
const HANG_UP_MS = 1_000;
const ETX: Buffer = Buffer.of(0x03);

export class Shell {
  /** 16 hex digits, of which eight are shown. No secret: whoever attaches has logged in as the same user. */
  readonly id: string = randomBytes(8).toString('hex');
  readonly user: string;
  readonly name: string | null;
  readonly createdMs: number = performance.now();
  readonly #options: ShellOptions;
  readonly #pty: Pty;
  readonly #screen: Screen;
  readonly #viewers: Set<Viewer> = new Set();
  #activity = 0;
  #outputBytes = 0;
  #paused = false;
  #detachedMs: number | null = null;
  #killer: NodeJS.Timeout | null = null;
  #ended = false;
  /** Whoever attaches next joins the others. */
  shared = false;

  /** @throws Error where the program cannot be started */
  constructor(launch: Launch, options: ShellOptions) {
    this.user = options.user;
    this.name = options.name;
    this.#options = options;
    const size = bounded(options.size);
    this.#screen = new Screen(size, (text) => this.#answer(text));
    const environment = { ...launch.environment, OUTLAST_SESSION: this.label };
    this.#pty = new Pty({ ...launch, environment }, size, {
      output: (bytes) => this.#output(bytes),
      exited: (exit) => this.#exited(exit),
    });
  }

  get label(): string {
    return this.name ?? this.id.slice(0, 8);
  }

  get screen(): Screen {
    return this.#screen;
  }

  get viewers(): ReadonlySet<Viewer> {
    return this.#viewers;
  }

  /** When the last viewer went, as performance.now(); null while somebody looks. */
  get detachedMs(): number | null {
    return this.#detachedMs;
  }

  /** Written by the program since it began. */
  get outputBytes(): number {
    return this.#outputBytes;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get pid(): number {
    return this.#pty.pid;
  }

  /** A viewer of a session that was there before is shown its screen first. */
  attach(viewer: Viewer): void {
    const isFresh = this.#detachedMs === null && this.#viewers.size === 0;
    this.#viewers.add(viewer);
    this.#detachedMs = null;
    this.touch(viewer);
    if (isFresh) viewer.begin();
    else viewer.repaint();
  }

  detach(viewer: Viewer): void {
    if (!this.#viewers.delete(viewer)) return;
    viewer.close();
    if (this.#viewers.size === 0) this.#detachedMs = performance.now();
    else this.#resize();
    this.flow();
  }

  /** Somebody else comes in their place. */
  takeOver(by: string): void {
    for (const viewer of this.#viewers) viewer.finish({ kind: 'taken', by });
    // Not detached in between: the next one comes at once, and gets the screen.
    this.#detachedMs = performance.now();
    this.#viewers.clear();
  }

  /** A viewer's user did something. */
  touch(viewer: Viewer): void {
    viewer.activity = ++this.#activity;
    this.#resize();
  }

  /** @returns a promise where what comes next should wait */
  type(bytes: Buffer): Promise<void> | undefined {
    this.#pty.write(bytes);
    // The program may run a screenful ahead of what its user sees: after ^C that is of no use to anybody.
    if (bytes.includes(ETX[0] as number)) this.#skip();
    return this.#pty.inputBytes > TYPED_AHEAD_BYTES ? this.#pty.inputBelow(TYPED_AHEAD_BYTES / 2) : undefined;
  }

  /** ^C as a command: where the program does not read, it overtakes what was typed before it. */
  interrupt(): void {
    if (this.#pty.stuck) {
      this.#pty.discardInput();
      this.#pty.interrupt();
    } else {
      this.#pty.write(ETX);
    }
    this.#skip();
  }

  /** Forgets what was typed and not read by the program. */
  discardInput(): void {
    this.#pty.discardInput();
  }

  hangUp(): void {
    if (this.#ended) return;
    this.#pty.resume();
    this.#pty.hangUp();
    this.#killer ??= setTimeout(() => this.#pty.kill(), HANG_UP_MS);
  }

  /** Somebody has more room, or holds the program up. */
  flow(): void {
    const hold = this.#screen.pendingBytes > SCREEN_BEHIND_BYTES || [...this.#viewers].some((viewer) => viewer.holdsUp);
    if (hold === this.#paused) return;
    this.#paused = hold;
    if (hold) this.#pty.pause();
    else this.#pty.resume();
  }

  #output(bytes: Buffer): void {
    this.#outputBytes += bytes.length;
    this.#screen.write(bytes, () => this.flow());
    for (const viewer of this.#viewers) viewer.output(bytes);
    this.flow();
  }

  #skip(): void {
    for (const viewer of this.#viewers) viewer.skip();
  }

  /** While nobody looks, a program that asks its terminal something would wait for ever. */
  #answer(text: string): void {
    if ([...this.#viewers].every((viewer) => viewer.connection.offline)) this.#pty.write(Buffer.from(text, 'latin1'));
  }

  #resize(): void {
    const size = this.#wantedSize();
    const before = this.#screen.size;
    if (size === null || (size.columns === before.columns && size.rows === before.rows)) return;
    this.#pty.resize(size);
    this.#screen.resize(size);
    // The one whose size it is gets what the program draws; to the others that is out of place.
    for (const viewer of this.#viewers) {
      if (viewer.size.columns !== size.columns || viewer.size.rows !== size.rows) viewer.repaint();
    }
  }

  #wantedSize(): WindowSize | null {
    const writers = [...this.#viewers].filter((viewer) => viewer.role === 'writer').sort((a, b) => b.activity - a.activity);
    const [latest] = writers;
    if (latest === undefined) return null;
    const pick = { smallest: Math.min, largest: Math.max, active: (...all: number[]): number => all[0] as number }[
      this.#options.sizePolicy
    ];
    return bounded({ columns: pick(...sizes(writers, 'columns')), rows: pick(...sizes(writers, 'rows')) });
  }

  #exited(exit: PtyExit): void {
    this.#ended = true;
    if (this.#killer !== null) clearTimeout(this.#killer);
    for (const viewer of this.#viewers) viewer.finish({ kind: 'ended', exit });
    this.#viewers.clear();
    this.#options.onEnd(this, exit);
    this.#screen[Symbol.dispose]();
  }
}

function sizes(viewers: readonly Viewer[], side: keyof WindowSize): number[] {
  return viewers.map((viewer) => viewer.size[side]);
}

function bounded({ columns, rows }: WindowSize): WindowSize {
  return { columns: Math.min(columns, MOST_COLUMNS), rows: Math.min(rows, MOST_ROWS) };
}
