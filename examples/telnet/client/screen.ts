// What the terminal shows, followed from the bytes written to it: enough of a VT to draw a line over the last row and to put everything
// back as it was: cells, cursor, look, modes. In: bytes of the program. Out: sequences that leave and restore its state. Saves nothing in
// the terminal itself (ESC 7 has one place, and it is the program's).

import { type Cursor, NOTHING_SAVED } from './cursor.ts';
import { blank, type Cell, Grid, type Row } from './grid.ts';
import { at, drawn, painted } from './paint.ts';
import { Style, sgr } from './style.ts';
import { VtParser, type VtSink } from './vt-parser.ts';
import { widthOf } from './width.ts';

const CSI = '\u001b[';
const TAB_COLUMNS = 8;

export class Screen implements VtSink {
  readonly columns: number;
  readonly rows: number;
  readonly #parser: VtParser = new VtParser(this);
  readonly #main: Grid;
  #grid: Grid;
  #x = 0;
  #y = 0;
  /** The last column is written, and the next character wraps. */
  #wraps = false;
  #placed = false;
  #style = new Style();
  #link = '';
  #top = 0;
  #bottom: number;
  #origin = false;
  #autowrap = true;
  #inserts = false;
  #newline = false;
  #visible = true;
  #sets: [string, string] = ['B', 'B'];
  #shifted = false;
  #saved: Cursor | null = null;
  /** Of the screen that is not shown. */
  #savedOther: Cursor | null = null;
  #tabs: Set<number>;
  /** What REP repeats: the character written just before it. */
  #last = '';

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
    this.#main = new Grid(columns, rows, null);
    this.#grid = this.#main;
    this.#bottom = rows - 1;
    this.#tabs = tabsOf(columns);
  }

  /** It is known where the cursor is. */
  get placed(): boolean {
    return this.#placed;
  }
  /** No sequence and no character is half written: something else may be written here. */
  get ground(): boolean {
    return this.#parser.ground;
  }

  /** A program has the whole screen: lines are not what is typed. */
  get alternate(): boolean {
    return this.#grid !== this.#main;
  }

  get cursor(): { readonly x: number; readonly y: number } {
    return { x: this.#x, y: this.#y };
  }

  /** The terminal has told where its cursor is, both from 0. */
  place(x: number, y: number): void {
    this.#move(x, y);
    this.#placed = true;
  }

  feed(bytes: Uint8Array): void {
    this.#parser.feed(bytes);
  }

  /** The text of a row up to a column. */
  text(y: number, to: number = this.columns): string {
    return this.#row(y)
      .slice(0, to)
      .map((cell) => (cell === null || (cell.text === '' && cell.width === 1) ? ' ' : cell.text))
      .join('');
  }

  /** Every cell of the row is known. */
  knows(y: number): boolean {
    return this.#row(y).every((cell) => cell !== null);
  }

  // ---------------------------------------------------------------- drawing over it

  /** Leaves the program's state for a plain one, the cursor hidden. Terminals differ in what ESC 8 restores: nothing is left out. */
  leave(): string {
    return `${CSI}?25l${CSI}4l${CSI}?6l\u001b(B\u000f${CSI}0m${this.#link === '' ? '' : '\u001b]8;;\u001b\\'}`;
  }

  /** Writes a row as it is, from a plain state. Unknown cells are erased. */
  paint(y: number): string {
    return painted(this.#row(y), y);
  }

  /** Goes back to the program's state behind leave(). */
  back(): string {
    let out = this.#origin ? `${CSI}?6h` : '';
    const y = this.#origin ? this.#y - this.#top : this.#y;
    // The last column can only be behind the cursor if it is written again.
    const held = this.#wraps ? this.#heldCell() : null;
    out += held === null ? at(this.#x, y) : `${at(this.columns - held.width, y)}${drawn(held)}`;
    out += `\u001b(${this.#sets[0]}\u001b)${this.#sets[1]}${this.#shifted ? '\u000e' : '\u000f'}`;
    if (this.#inserts) out += `${CSI}4h`;
    if (this.#link !== '') out += `\u001b]${this.#link}\u001b\\`;
    return `${out}${sgr(this.#style.text)}${this.#visible ? `${CSI}?25h` : ''}`;
  }

  #heldCell(): Cell | null {
    const row = this.#row(this.#y);
    const last = row.at(-1) ?? null;
    const cell = last?.width === 0 ? (row[this.columns - 2] ?? null) : last;
    // What scrolled away left an erased cell: a space looks the same, and moves the cursor behind it.
    return cell?.text === '' ? { ...cell, text: ' ' } : cell;
  }

  #row(y: number): Row {
    return this.#grid.row(y);
  }

  // ---------------------------------------------------------------- what the parser finds

  print(character: string): void {
    const width = widthOf(character);
    if (width === 0) {
      this.#grid.join(Math.max(0, this.#wraps ? this.#x : this.#x - 1), this.#y, character);
      return;
    }
    if (this.#autowrap && (this.#wraps || this.#x + width > this.columns)) {
      this.#x = 0;
      this.#down();
    }
    this.#wraps = false;
    if (this.#x + width > this.columns) this.#x = this.columns - width;
    if (this.#inserts) this.#grid.insert(this.#x, this.#y, width, this.#style.back);
    const graphic = this.#sets[this.#shifted ? 1 : 0] === '0';
    this.#grid.put(this.#x, this.#y, { text: character, style: this.#style.text, graphic, width });
    this.#last = character;
    this.#x += width;
    if (this.#x < this.columns) return;
    this.#x = this.columns - 1;
    this.#wraps = true;
  }

  control(code: number): void {
    this.#last = '';
    if (code === 0x0d) this.#move(0, this.#y);
    else if (code === 0x08) this.#move(this.#x - 1, this.#y);
    else if (code === 0x09) this.#tab(1);
    else if (code === 0x0e || code === 0x0f) this.#shifted = code === 0x0e;
    else if (code >= 0x0a && code <= 0x0c) {
      if (this.#newline) this.#move(0, this.#y);
      this.#wraps = false;
      this.#down();
    }
  }

  escape(intermediates: string, final: string): void {
    this.#last = '';
    if (intermediates === '(' || intermediates === ')') this.#sets[intermediates === '(' ? 0 : 1] = final;
    else if (intermediates === '#' && final === '8') this.#align();
    else if (intermediates === '') this.#simple(final);
  }

  #simple(final: string): void {
    if (final === '7') this.#saved = this.#state();
    else if (final === '8') this.#restore();
    else if (final === 'D') this.#down();
    else if (final === 'M') this.#up();
    else if (final === 'H') this.#tabs.add(this.#x);
    else if (final === 'c') this.#reset();
    else if (final === 'E') {
      this.#move(0, this.#y);
      this.#down();
    }
  }

  osc(text: string): void {
    if (text.startsWith('8;')) this.#link = /^8;[^;]*;$/.test(text) ? '' : text;
  }

  csi(prefix: string, parameters: readonly string[], intermediates: string, final: string): void {
    if (final !== 'b') this.#last = '';
    if (prefix === '?' && intermediates === '' && (final === 'h' || final === 'l')) {
      for (const mode of parameters) this.#privateMode(Number.parseInt(mode, 10), final === 'h');
    } else if (intermediates === '!' && final === 'p') {
      this.#softReset();
    } else if (intermediates === '' && (prefix === '' || (prefix === '?' && 'JK'.includes(final)))) {
      this.#sequence(parameters, final);
    }
  }

  #sequence(parameters: readonly string[], final: string): void {
    const first = Number.parseInt(parameters[0] ?? '', 10) || 0;
    const count = Math.min(Math.max(1, first), Math.max(this.rows, this.columns));
    const second = Math.max(1, Number.parseInt(parameters[1] ?? '', 10) || 1);
    const moves = MOVES[final];
    if (moves !== undefined) this.#step(moves[0] * count, moves[1] * count, moves[2]);
    else if (final === 'H' || final === 'f') this.#goTo(second - 1, Math.max(1, first) - 1);
    else if (final === 'G' || final === '`') this.#move(Math.max(1, first) - 1, this.#y);
    else if (final === 'd') this.#moveRow(Math.max(1, first) - 1);
    else if (final === 'I' || final === 'Z') this.#tab(final === 'I' ? count : -count);
    else if (final === 'm') this.#style.apply(parameters);
    else if (final === 'r') this.#margins(first, Number.parseInt(parameters[1] ?? '', 10) || 0);
    else if (final === 's') this.#saved = this.#state();
    else if (final === 'u') this.#restore();
    else if (final === 'g') this.#clearTabs(first);
    else if (final === 'h' || final === 'l') this.#mode(first, final === 'h');
    else if (final === 'b') for (let i = 0; i < count && this.#last !== ''; i++) this.print(this.#last);
    else this.#edit(final, first, count);
  }

  #edit(final: string, first: number, count: number): void {
    const style = this.#style.back;
    const inside = this.#y >= this.#top && this.#y <= this.#bottom;
    if (final === 'J') this.#eraseDisplay(first, style);
    else if (final === 'K') this.#eraseLine(first, style);
    else if (final === 'X') this.#grid.erase(this.#y, this.#x, Math.min(this.columns, this.#x + count), style);
    else if (final === '@') this.#grid.insert(this.#x, this.#y, count, style);
    else if (final === 'P') this.#grid.remove(this.#x, this.#y, count, style);
    else if (final === 'S') this.#grid.scroll(this.#top, this.#bottom, count, style);
    else if (final === 'T') this.#grid.scroll(this.#top, this.#bottom, -count, style);
    else if (final === 'L' && inside) this.#grid.scroll(this.#y, this.#bottom, -count, style);
    else if (final === 'M' && inside) this.#grid.scroll(this.#y, this.#bottom, count, style);
    else return;
    if ('X@P'.includes(final)) this.#wraps = false;
  }

  #eraseLine(kind: number, style: string): void {
    // Behind the last column nothing is left to erase, as in tmux and xterm.js; xterm takes the last character.
    const from = kind > 0 ? 0 : this.#wraps ? this.columns : this.#x;
    const to = kind === 1 ? this.#x + 1 : this.columns;
    if (kind <= 2) this.#grid.erase(this.#y, from, to, style);
  }

  #eraseDisplay(kind: number, style: string): void {
    if (kind > 2) return;
    if (kind < 2) this.#eraseLine(kind, style);
    const from = kind === 0 ? this.#y + 1 : 0;
    const to = kind === 1 ? this.#y : this.rows;
    for (let y = from; y < to; y++) this.#grid.erase(y, 0, this.columns, style);
  }

  // ---------------------------------------------------------------- the cursor

  #move(x: number, y: number): void {
    this.#wraps = false;
    this.#x = Math.min(Math.max(0, x), this.columns - 1);
    this.#y = Math.min(Math.max(0, y), this.rows - 1);
  }

  #step(x: number, y: number, toBegin: boolean): void {
    const least = this.#y >= this.#top ? this.#top : 0;
    const most = this.#y <= this.#bottom ? this.#bottom : this.rows - 1;
    this.#move(toBegin ? 0 : this.#x + x, Math.min(Math.max(least, this.#y + y), most));
  }

  #moveRow(y: number): void {
    this.#move(this.#x, this.#origin ? Math.min(this.#top + y, this.#bottom) : y);
  }

  #goTo(x: number, y: number): void {
    this.#x = x;
    this.#moveRow(y);
    this.#placed = true;
  }

  #down(): void {
    if (this.#y === this.#bottom) this.#grid.scroll(this.#top, this.#bottom, 1, this.#style.back);
    else if (this.#y < this.rows - 1) this.#y++;
  }

  #up(): void {
    this.#wraps = false;
    if (this.#y === this.#top) this.#grid.scroll(this.#top, this.#bottom, -1, this.#style.back);
    else if (this.#y > 0) this.#y--;
  }

  #tab(count: number): void {
    const step = Math.sign(count);
    let x = this.#x;
    for (let left = Math.abs(count); left > 0; left--) {
      do x += step;
      while (x > 0 && x < this.columns - 1 && !this.#tabs.has(x));
    }
    this.#move(x, this.#y);
  }

  #clearTabs(kind: number): void {
    if (kind === 3) this.#tabs.clear();
    else if (kind === 0) this.#tabs.delete(this.#x);
  }

  #margins(top: number, bottom: number): void {
    const last = Math.min(bottom === 0 ? this.rows : bottom, this.rows);
    if (Math.max(1, top) >= last) return;
    this.#top = Math.max(1, top) - 1;
    this.#bottom = last - 1;
    this.#goTo(0, 0);
  }

  // ---------------------------------------------------------------- modes

  #mode(mode: number, on: boolean): void {
    if (mode === 4) this.#inserts = on;
    else if (mode === 20) this.#newline = on;
  }

  #privateMode(mode: number, on: boolean): void {
    if (mode === 7) this.#autowrap = on;
    else if (mode === 25) this.#visible = on;
    else if (mode === 47 || mode === 1047 || mode === 1049) this.#alternate(on, mode === 1049);
    else if (mode === 1048 && on) this.#saved = this.#state();
    else if (mode === 1048) this.#restore();
    else if (mode === 6) {
      this.#origin = on;
      this.#goTo(0, 0);
    }
  }

  #alternate(on: boolean, withCursor: boolean): void {
    if (on === this.alternate) return;
    if (on && withCursor) this.#saved = this.#state();
    [this.#saved, this.#savedOther] = [this.#savedOther, this.#saved];
    this.#grid = on ? new Grid(this.columns, this.rows, blank(this.#style.back)) : this.#main;
    if (!on && withCursor) this.#restore();
  }

  #state(): Cursor {
    const { style, sets } = { style: this.#style.copy(), sets: [...this.#sets] as [string, string] };
    return { x: this.#x, y: this.#y, wraps: this.#wraps, style, origin: this.#origin, sets, shifted: this.#shifted };
  }

  #restore(): void {
    const saved = this.#saved ?? NOTHING_SAVED;
    this.#move(saved.x, saved.y);
    this.#wraps = saved.wraps;
    this.#style = saved.style.copy();
    this.#origin = saved.origin;
    this.#sets = [...saved.sets];
    this.#shifted = saved.shifted;
  }

  #softReset(): void {
    this.#style = new Style();
    this.#origin = false;
    this.#autowrap = true;
    this.#inserts = false;
    this.#visible = true;
    this.#sets = ['B', 'B'];
    this.#shifted = false;
    this.#top = 0;
    this.#bottom = this.rows - 1;
    this.#saved = null;
  }

  #reset(): void {
    this.#alternate(false, false);
    this.#softReset();
    this.#newline = false;
    this.#link = '';
    this.#tabs = tabsOf(this.columns);
    this.#goTo(0, 0);
    this.#eraseDisplay(2, '');
  }

  /** DECALN: a screen full of E. */
  #align(): void {
    for (let y = 0; y < this.rows; y++) {
      for (let x = 0; x < this.columns; x++) this.#grid.put(x, y, { text: 'E', style: '', graphic: false, width: 1 });
    }
    this.#goTo(0, 0);
  }
}

/** Columns, rows, and whether it goes to the first column. */
const MOVES: Readonly<Record<string, readonly [number, number, boolean]>> = {
  A: [0, -1, false],
  B: [0, 1, false],
  C: [1, 0, false],
  D: [-1, 0, false],
  E: [0, 1, true],
  F: [0, -1, true],
  a: [1, 0, false],
  e: [0, 1, false],
};

function tabsOf(columns: number): Set<number> {
  return new Set(Array.from({ length: Math.ceil(columns / TAB_COLUMNS) }, (_, i) => i * TAB_COLUMNS));
}
