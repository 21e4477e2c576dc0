// The demo's terminal: one line that is drawn again and again, and keys. Without a terminal: a line now and then, and no keys.

import { styleText } from 'node:util';

const DRAW_MS = 100;
const LOG_MS = 2_000;
const WIDE_COLUMNS = 160;

export class Screen {
  readonly #text: (wide: boolean) => string;
  readonly #terminal: boolean = process.stdout.isTTY === true;
  readonly #timer: NodeJS.Timeout;

  /** @param text what to show now; `wide` where there is room for more than 160 columns */
  constructor(text: (wide: boolean) => string) {
    this.#text = text;
    this.#timer = setInterval(() => this.#draw(), this.#terminal ? DRAW_MS : LOG_MS);
  }

  /** Calls `press` with each key; Ctrl-C ends the process as it always does. @returns whether there are keys */
  static keys(press: (key: string) => void): boolean {
    const { stdin, stdout } = process;
    if (!stdin.isTTY || !stdout.isTTY) return false;
    stdin.setRawMode(true);
    stdin.on('data', (bytes: Buffer) => {
      const key = bytes.toString('latin1');
      if (key === '\u0003') {
        stdin.setRawMode(false);
        process.stdout.write('\n');
        process.exit(130);
      }
      press(key);
    });
    return true;
  }

  /** The last state stays in view, and the terminal is as it was before. */
  close(): void {
    clearInterval(this.#timer);
    this.#draw();
    if (this.#terminal) process.stdout.write('\n');
    if (process.stdin.isTTY) {
      process.stdin.setRawMode(false);
      process.stdin.pause();
    }
  }

  #draw(): void {
    if (!this.#terminal) return console.log(this.#text(true));
    const { columns } = process.stdout;
    process.stdout.write(`\r${colour(this.#text(columns > WIDE_COLUMNS).slice(0, columns - 1))}\u001b[K`);
  }
}

function colour(text: string): string {
  return text
    .replaceAll('●', styleText('green', '●'))
    .replaceAll('○', styleText('red', '○'))
    .replaceAll(/(dup\w*|doubled|lost) 0/g, (found) => styleText('green', found))
    .replaceAll(/(dup\w*|doubled|lost) [1-9]\d*/g, (found) => styleText('red', found));
}

/** A verdict, in colour where there is a terminal. */
export function verdict(text: string, good: boolean): string {
  return process.stdout.isTTY ? styleText(good ? 'green' : 'red', text) : text;
}
