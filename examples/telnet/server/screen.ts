// What the screen of a session looks like while nobody or somebody looks at it: a terminal without a window. In: the output of the program.
// Out: one piece of bytes that paints the same screen on another terminal, in whatever state that one is.

import headless, { type Terminal } from '@xterm/headless';
import type { WindowSize } from '../subnegotiation.ts';
import { printable, TerminalModes } from './modes.ts';
import { paint } from './paint.ts';

/** How a client can be shown a screen: with control sequences, or as lines of text where it is no terminal at all. */
export type Painting = 'terminal' | 'text';

/** Lines above the screen that are kept, and painted. 500 lines of 80 columns cost 1 MiB and take some 30 ms to paint. */
const SCROLLBACK_LINES = 500;
/** Whoever has a larger window gets less of what is above: a screen is painted in one go. */
const MOST_CELLS = 100_000;
const BEGIN = '\x1b[?2026h';
const END = '\x1b[?2026l';
/** Every mode off that a program may have left on, the normal screen, nothing on it. */
const CLEAN = [
  ...[1000, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 2004, 1049, 45, 5, 6].map((mode) => `\x1b[?${mode}l`),
  '\x1b[4l\x1b[?7h\x1b[!p\x1b[?25h\x1b>\x1b[?1l\x1b(B\x1b)B\x0f\x1b[0m\x1b[r\x1b[H\x1b[2J',
].join('');

export class Screen implements Disposable {
  readonly #terminal: Terminal;
  readonly #modes: TerminalModes;
  #pendingBytes = 0;
  #disposed = false;

  /** @param answer takes what a terminal says by itself, such as where its cursor is, when a program asks */
  constructor(size: WindowSize, answer: (text: string) => void) {
    this.#terminal = new headless.Terminal({
      cols: size.columns,
      rows: size.rows,
      scrollback: SCROLLBACK_LINES,
      allowProposedApi: true,
      logLevel: 'off',
    });
    this.#modes = new TerminalModes(this.#terminal);
    this.#terminal.onData(answer);
  }

  get size(): WindowSize {
    return { columns: this.#terminal.cols, rows: this.#terminal.rows };
  }

  /** Written and not drawn yet. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** As the program set it, without anything that could do harm on another terminal. */
  get title(): string {
    return printable(this.#modes.title);
  }

  /** The lowest line with something on it. */
  get lastLine(): string {
    const { active } = this.#terminal.buffer;
    for (let row = active.length - 1; row >= active.baseY; row--) {
      const text = active.getLine(row)?.translateToString(true) ?? '';
      if (text.trim() !== '') return printable(text).trimEnd();
    }
    return '';
  }

  /** @param drawn called when these bytes have had their effect */
  write(bytes: Buffer, drawn: () => void): void {
    if (this.#disposed) return;
    this.#pendingBytes += bytes.length;
    this.#terminal.write(bytes, () => {
      this.#pendingBytes -= bytes.length;
      drawn();
    });
  }

  resize(size: WindowSize): void {
    if (!this.#disposed) this.#terminal.resize(size.columns, size.rows);
  }

  /**
   * Calls back with the screen as it is when everything written so far was drawn, and nothing later.
   * @param size of the terminal that is to show it
   */
  snapshot(painting: Painting, size: WindowSize, take: (bytes: Buffer) => void): void {
    if (this.#disposed) return;
    this.#terminal.write('', () => {
      if (!this.#disposed) take(Buffer.from(painting === 'text' ? this.#text() : this.#paint(size), 'utf8'));
    });
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#modes[Symbol.dispose]();
    this.#terminal.dispose();
  }

  /** Lines above the screen only where the other has as many rows: else the screen would not be where the cursor's places mean. */
  #paint(size: WindowSize): string {
    const { cols, rows, buffer } = this.#terminal;
    const room = Math.max(0, Math.floor(MOST_CELLS / cols) - rows);
    const above = size.rows === rows ? Math.min(SCROLLBACK_LINES, room) : 0;
    const { active, normal, alternate } = buffer;
    const first = paint(normal, cols, rows, above);
    // Where a program that has the other screen will find the cursor when it gives it back.
    const back = `\x1b[${normal.cursorY + 1};${normal.cursorX + 1}H\x1b[?1049h\x1b[H\x1b[2J`;
    const second = active.type === 'normal' ? '' : `${back}${paint(alternate, cols, rows, 0)}`;
    return `${BEGIN}${CLEAN}${first}${second}${this.#modes.restore()}${END}`;
  }

  #text(): string {
    const { active } = this.#terminal.buffer;
    const lines = Array.from(
      { length: this.#terminal.rows },
      (_, row) => active.getLine(active.baseY + row)?.translateToString(true) ?? '',
    );
    return lines.join('\r\n').replace(/(\r\n)+$/, '');
  }
}
