// What a terminal is set to beside its text: modes, scroll region, cursor style, title, palette. In: the sequences that an emulator parses.
// Out: the sequences that set another terminal the same way. paint.ts draws the cells; this is the rest. Not kept: hyperlinks, kinds of
// underline, and the shift to G1.

import type { IBuffer, IDisposable, Terminal } from '@xterm/headless';

/** Private modes that the emulator does not tell about, with what they are after a reset. */
const WATCHED: ReadonlyMap<number, boolean> = new Map([
  [5, false], // reverse video
  [12, false], // blinking cursor
  [25, true], // cursor visible
  [1006, false], // SGR mouse reports
  [1015, false], // urxvt mouse reports
  [1016, false], // SGR mouse reports in pixels
]);
const MOUSE_MODES = { x10: 9, vt200: 1000, drag: 1002, any: 1003 } as const;
/** OSC numbers of colors, and those that take them back. */
const COLORS: readonly number[] = [4, 10, 11, 12];
const MOST_COLORS = 300;
const COLOR_CHARACTERS = 64;
const CSI = '\x1b[';

interface Region {
  readonly top: number;
  readonly bottom: number;
}

interface SavedCursor {
  readonly column: number;
  readonly row: number;
}

export class TerminalModes implements Disposable {
  readonly #terminal: Terminal;
  readonly #handlers: IDisposable[];
  readonly #private: Map<number, boolean> = new Map(WATCHED);
  readonly #regions: Map<IBuffer['type'], Region> = new Map();
  readonly #saved: Map<IBuffer['type'], SavedCursor> = new Map();
  readonly #charsets: Map<string, string> = new Map();
  /** Argument by OSC number and, for the palette, index. */
  readonly #colors: Map<string, string> = new Map();
  #cursorStyle = 0;
  /** Columns; null: every eighth. */
  #tabs: Set<number> | null = null;
  #title = '';

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    const { parser } = terminal;
    const seen = (note: () => void): boolean => {
      note();
      // The emulator's own handler comes next.
      return false;
    };
    this.#handlers = [
      parser.registerCsiHandler({ prefix: '?', final: 'h' }, (params) => seen(() => this.#set(params, true))),
      parser.registerCsiHandler({ prefix: '?', final: 'l' }, (params) => seen(() => this.#set(params, false))),
      parser.registerCsiHandler({ final: 'r' }, (params) => seen(() => this.#scrollRegion(params))),
      parser.registerCsiHandler({ intermediates: ' ', final: 'q' }, (params) => seen(() => this.#style(params))),
      parser.registerCsiHandler({ final: 'g' }, (params) => seen(() => this.#clearTab(params))),
      parser.registerCsiHandler({ final: 's' }, () => seen(() => this.#save())),
      parser.registerCsiHandler({ intermediates: '!', final: 'p' }, () => seen(() => this.#softReset())),
      parser.registerEscHandler({ final: '7' }, () => seen(() => this.#save())),
      parser.registerEscHandler({ final: 'H' }, () => seen(() => this.#setTab())),
      parser.registerEscHandler({ final: 'c' }, () => seen(() => this.#reset())),
      ...['(', ')'].flatMap((slot) =>
        ['0', 'A', 'B'].map((final) =>
          parser.registerEscHandler({ intermediates: slot, final }, () => seen(() => this.#charsets.set(slot, final))),
        ),
      ),
      ...COLORS.flatMap((number) => [
        parser.registerOscHandler(number, (text) => seen(() => this.#color(number, text))),
        parser.registerOscHandler(number + 100, (text) => seen(() => this.#uncolor(number, text))),
      ]),
      terminal.onTitleChange((title) => {
        this.#title = title;
      }),
      terminal.onResize(() => {
        this.#regions.clear();
        this.#tabs = null;
      }),
    ];
  }

  get title(): string {
    return this.#title;
  }

  /** To be written behind the text; it leaves the cursor where the emulator has it. */
  restore(): string {
    const { modes, buffer } = this.#terminal;
    const { type, cursorX, cursorY } = buffer.active;
    const region = this.#regions.get(type);
    const saved = this.#saved.get(type);
    const on = (number: number, value: boolean): string => `${CSI}?${number}${value ? 'h' : 'l'}`;
    return [
      ...[...this.#colors].map(([key, value]) => `\x1b]${key};${value}\x1b\\`),
      this.#title === '' ? '' : `\x1b]2;${printable(this.#title)}\x1b\\`,
      this.#tabs === null ? '' : `${CSI}3g${[...this.#tabs].map((column) => `${CSI}1;${column + 1}H\x1bH`).join('')}`,
      region === undefined ? '' : `${CSI}${region.top};${region.bottom}r`,
      // What is saved is a place on the whole screen, so before origin mode.
      saved === undefined ? '' : `${CSI}${saved.row + 1};${saved.column + 1}H\x1b7`,
      ...[...this.#charsets].map(([slot, final]) => `\x1b${slot}${final}`),
      ...[...this.#private].filter(([number, value]) => value !== WATCHED.get(number)).map(([number, value]) => on(number, value)),
      modes.mouseTrackingMode === 'none' ? '' : on(MOUSE_MODES[modes.mouseTrackingMode], true),
      modes.applicationCursorKeysMode ? on(1, true) : '',
      modes.applicationKeypadMode ? '\x1b=' : '',
      modes.bracketedPasteMode ? on(2004, true) : '',
      modes.insertMode ? `${CSI}4h` : '',
      modes.reverseWraparoundMode ? on(45, true) : '',
      modes.sendFocusMode ? on(1004, true) : '',
      modes.wraparoundMode ? '' : on(7, false),
      this.#cursorStyle === 0 ? '' : `${CSI}${this.#cursorStyle} q`,
      modes.originMode ? on(6, true) : '',
      `${CSI}${cursorY + 1 - (modes.originMode ? (region?.top ?? 1) - 1 : 0)};${cursorX + 1}H`,
    ].join('');
  }

  [Symbol.dispose](): void {
    for (const handler of this.#handlers) handler.dispose();
  }

  #set(params: readonly (number | number[])[], on: boolean): void {
    for (const number of params) if (typeof number === 'number' && WATCHED.has(number)) this.#private.set(number, on);
  }

  #scrollRegion(params: readonly (number | number[])[]): void {
    const { rows, buffer } = this.#terminal;
    const top = first(params) || 1;
    const bottom = Math.min(first(params.slice(1)) || rows, rows);
    if (bottom <= top) return;
    if (top === 1 && bottom === rows) this.#regions.delete(buffer.active.type);
    else this.#regions.set(buffer.active.type, { top, bottom });
  }

  #style(params: readonly (number | number[])[]): void {
    const style = first(params);
    this.#cursorStyle = style <= 6 ? style : 0;
  }

  #save(): void {
    const { type, cursorX, cursorY } = this.#terminal.buffer.active;
    this.#saved.set(type, { column: cursorX, row: cursorY });
  }

  #setTab(): void {
    this.#tabs ??= new Set(Array.from({ length: Math.ceil(this.#terminal.cols / 8) }, (_, index) => 8 * index));
    this.#tabs.add(this.#terminal.buffer.active.cursorX);
  }

  #clearTab(params: readonly (number | number[])[]): void {
    const kind = first(params);
    if (kind === 3) this.#tabs = new Set();
    if (kind !== 0) return;
    this.#setTab();
    this.#tabs?.delete(this.#terminal.buffer.active.cursorX);
  }

  /** A question begins with a `?`, and changes nothing. */
  #color(number: number, text: string): void {
    if (text.length > MOST_COLORS * COLOR_CHARACTERS) return;
    if (number !== 4) return this.#keep(String(number), text);
    const words = text.split(';');
    for (let at = 0; at + 1 < words.length; at += 2) this.#keep(`4;${words[at]}`, words[at + 1] as string);
  }

  #keep(key: string, value: string): void {
    const usable = /^(4;\d{1,3}|1[0-2])$/.test(key) && /^[\w#:/.]+$/.test(value) && value.length <= COLOR_CHARACTERS;
    if (usable && (this.#colors.has(key) || this.#colors.size < MOST_COLORS)) this.#colors.set(key, value);
  }

  #uncolor(number: number, text: string): void {
    const names = number === 4 && text !== '' ? text.split(';').map((index) => `4;${index}`) : null;
    for (const key of [...this.#colors.keys()]) {
      if (names === null ? key === String(number) || key.startsWith(`${number};`) : names.includes(key)) this.#colors.delete(key);
    }
  }

  #softReset(): void {
    for (const [number, value] of WATCHED) if (number < 1000) this.#private.set(number, value);
    this.#regions.delete(this.#terminal.buffer.active.type);
    this.#saved.delete(this.#terminal.buffer.active.type);
    this.#charsets.clear();
    this.#cursorStyle = 0;
  }

  #reset(): void {
    for (const [number, value] of WATCHED) this.#private.set(number, value);
    this.#regions.clear();
    this.#saved.clear();
    this.#charsets.clear();
    this.#colors.clear();
    this.#cursorStyle = 0;
    this.#tabs = null;
  }
}

function first(params: readonly (number | number[])[]): number {
  const value = params[0];
  return typeof value === 'number' ? Math.max(0, value) : 0;
}

/** A title goes to other people's terminals, so it says nothing but itself. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ').slice(0, 200);
}
