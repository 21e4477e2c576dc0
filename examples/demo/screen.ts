// The demo's terminal: one line that is drawn again and again, and keys. Without a terminal: a line now and then, and no keys.

import { styleText } from 'node:util';
import type { Lane } from './lane.ts';

const DRAW_MS = 100;
const LOG_MS = 2_000;
const WIDE_COLUMNS = 160;

export class Screen {
  readonly #lanes: readonly Lane[];
  readonly #startedMs: number = performance.now();
  readonly #terminal: boolean = process.stdout.isTTY === true;
  readonly #timer: NodeJS.Timeout;

  constructor(lanes: readonly Lane[]) {
    this.#lanes = lanes;
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

  #text(wide: boolean): string {
    const lanes = this.#lanes;
    const nowMs = performance.now();
    const sum = (count: (lane: Lane) => number): number => lanes.reduce((total, lane) => total + count(lane), 0);
    const gapMs = Math.max(...lanes.map((lane) => lane.received.longestGapMs(nowMs)));
    const rttMs = Math.max(0, ...lanes.map((lane) => lane.rttMs).filter((ms) => !Number.isNaN(ms)));
    const light = (lane: Lane): string => (lane.attached ? '●' : '○');
    return [
      `${((nowMs - this.#startedMs) / 1000).toFixed(1).padStart(4)} s`,
      ...(wide
        ? lanes.map((lane) => `${light(lane)} ${lane.options.name} ${lane.sent.count} sent ${lane.received.count} received`)
        : [`${lanes.map(light).join('')} ${sum((lane) => lane.sent.count)} sent ${sum((lane) => lane.received.count)} received`]),
      `${wide ? 'duplicates' : 'dup'} ${sum((lane) => lane.received.duplicates)}`,
      `lost ${sum((lane) => lane.received.lost)}`,
      `cuts ${sum((lane) => lane.proxy.stats.cuts)}`,
      `resumes ${sum((lane) => lane.resumes)}`,
      `${wide ? 'longest ' : ''}gap ${(gapMs / 1000).toFixed(1)} s`,
      `RTT ${rttMs.toFixed(0)} ms`,
    ].join(wide ? '  ' : ' ');
  }
}

function colour(text: string): string {
  return text
    .replaceAll('●', styleText('green', '●'))
    .replaceAll('○', styleText('red', '○'))
    .replaceAll(/(dup\w*|lost) 0/g, (found) => styleText('green', found))
    .replaceAll(/(dup\w*|lost) [1-9]\d*/g, (found) => styleText('red', found));
}

/** A verdict, in colour where there is a terminal. */
export function verdict(text: string, good: boolean): string {
  return process.stdout.isTTY ? styleText(good ? 'green' : 'red', text) : text;
}
