// What stands on the terminal: the program's output, and over its last row the client's own line, for as long as there is something to
// say. In: output and lines. Out: bytes for the terminal. The line is drawn between two pieces of output and taken away before the next,
// so that the program's screen is what it would be without it.

import { at } from './paint.ts';
import { Screen } from './screen.ts';
import type { Terminal } from './terminal.ts';

const CSI = '\u001b[';
/** What a terminal answers when it is asked where its cursor is. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is what a terminal sends
const REPORT = /\u001b\[(\d{1,4});(\d{1,4})R/;

export class Display {
  readonly #terminal: Terminal;
  #screen: Screen;
  /** The client's line, as it is wanted; null: none. */
  #line: string | null = null;
  #drawn = false;
  #asked = false;
  #spoilt = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#screen = new Screen(terminal.size.columns, terminal.size.rows);
  }

  /** Something of the program's screen could not be put back: it has to be written again. */
  get spoilt(): boolean {
    return this.#spoilt;
  }

  /** The client's own line is there to be read. */
  get shows(): boolean {
    return this.#drawn;
  }

  /** A program has the whole screen. */
  get alternate(): boolean {
    return this.#screen.alternate;
  }

  /** A repaint was asked for. */
  forgive(): void {
    this.#spoilt = false;
  }

  /** Asks the terminal where its cursor is. The answer comes among what is typed: see takeReport(). */
  askPlace(): void {
    if (!this.#terminal.interactive) return;
    this.#asked = true;
    void this.#terminal.write(`${CSI}6n`);
  }

  /** Takes the terminal's answer out of what was typed. Other answers are for the program that asked. */
  takeReport(typed: Buffer): Buffer {
    if (!this.#asked) return typed;
    const text = typed.toString('latin1');
    const report = REPORT.exec(text);
    if (report === null) return typed;
    this.#asked = false;
    // Output that came meanwhile was written behind the place that the terminal told.
    if (!this.#screen.placed) this.#screen.place(Number(report[2]) - 1, Number(report[1]) - 1);
    return Buffer.from(text.slice(0, report.index) + text.slice(report.index + report[0].length), 'latin1');
  }

  /** Output of the program. Resolves when there is room for more. */
  write(bytes: Uint8Array): Promise<void> {
    if (!this.#terminal.interactive) return this.#terminal.write(bytes);
    const before = this.#drawn ? this.#erase() : '';
    this.#screen.feed(bytes);
    const behind = this.#line === null ? '' : this.#draw();
    if (before === '' && behind === '') return this.#terminal.write(bytes);
    return this.#terminal.write(Buffer.concat([Buffer.from(before), bytes, Buffer.from(behind)]));
  }

  /** Shows this line in place of the one before; null: none. */
  show(line: string | null): void {
    if (!this.#terminal.interactive || line === this.#line) return;
    const before = this.#drawn ? this.#erase() : '';
    this.#line = line;
    const out = before + (line === null ? '' : this.#draw());
    if (out !== '') void this.#terminal.write(out);
  }

  /** The window has another size. Every terminal moves its text in its own way then: nothing is known but what comes from now on. */
  resized(): void {
    const { columns, rows } = this.#terminal.size;
    this.#screen = new Screen(columns, rows);
    if (!this.#drawn) return;
    this.#drawn = false;
    this.#spoilt = true;
    void this.#terminal.write(this.#draw());
  }

  /** True where what is typed is better not shown: in front of the cursor stands a question for a secret. */
  get secret(): boolean {
    const { x, y } = this.#screen.cursor;
    return /(password|passphrase|passcode|\bPIN\b)[^:]*:\s*$/i.test(this.#screen.text(y, x));
  }

  #draw(): string {
    const { columns, rows, placed, ground } = this.#screen;
    // In the middle of a sequence nothing else may be written: the rest of it comes with the next output.
    if (!ground) return '';
    this.#drawn = true;
    const line = ` ${this.#line} `.slice(0, columns - 1);
    const text = `${at(0, rows - 1)}${CSI}0m${CSI}${columns}X${CSI}7m${line}`;
    if (placed) return `${this.#screen.leave()}${text}${this.#screen.back()}`;
    this.#spoilt = true;
    return `\u001b7${this.#screen.leave()}${text}\u001b8${CSI}?25h`;
  }

  #erase(): string {
    this.#drawn = false;
    const screen = this.#screen;
    const y = screen.rows - 1;
    if (!screen.knows(y)) this.#spoilt = true;
    const row = screen.leave() + screen.paint(y);
    return screen.placed ? row + screen.back() : `\u001b7${row}\u001b8${CSI}?25h`;
  }
}
