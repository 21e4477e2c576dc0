// The screen that the client follows, against a terminal that is not ours (xterm.js): after any output, a line drawn over the last row and
// taken away again leaves no trace.

import { SerializeAddon } from '@xterm/addon-serialize';
import xterm from '@xterm/headless';
import { expect } from 'chai';
import { Screen } from '../../../examples/telnet/client/screen.ts';
import { Random } from '../../../lib/testing/random.ts';

const COLUMNS = 20;
const ROWS = 6;

interface Shown {
  readonly cells: string;
  readonly cursor: string;
}

class Xterm {
  readonly #terminal = new xterm.Terminal({ cols: COLUMNS, rows: ROWS, allowProposedApi: true, scrollback: 100 });
  readonly #serializer = new SerializeAddon();

  constructor() {
    this.#terminal.loadAddon(this.#serializer as never);
  }

  write(text: string | Uint8Array): Promise<void> {
    return new Promise((resolve) => this.#terminal.write(text, resolve));
  }

  get shown(): Shown {
    const { cursorX, cursorY } = this.#terminal.buffer.active;
    return { cells: this.#serializer.serialize(), cursor: `${cursorX},${cursorY}` };
  }

  text(y: number): string {
    const { active } = this.#terminal.buffer;
    return active.getLine(active.baseY + y)?.translateToString(false) ?? '';
  }
}

function overlay(screen: Screen): readonly [string, string] {
  const draw = `${screen.leave()}\u001b[${ROWS};1H\u001b[${COLUMNS}X\u001b[7moffline 12 s${screen.back()}`;
  return [draw, `${screen.leave()}${screen.paint(ROWS - 1)}${screen.back()}`];
}

type Piece = (random: Random) => string;

function oneOf(random: Random, words: readonly string[]): string {
  return words[random.integer(0, words.length - 1)] as string;
}

/** Pieces of output that programs write. */
const pieces: readonly Piece[] = [
  (random) => 'The quick brown fox jumps'.slice(0, random.integer(1, 25)),
  () => '\r\n',
  (random) => `\u001b[${random.integer(1, ROWS + 1)};${random.integer(1, COLUMNS + 2)}H`,
  (random) => `\u001b[${random.integer(0, 2)}${oneOf(random, ['J', 'K'])}`,
  (random) => `\u001b[${random.integer(1, 4)}${oneOf(random, ['P', 'X', '@'])}`,
  (random) => `\r\u001b[${random.integer(1, 3)}${oneOf(random, ['L', 'M'])}\r`,
  (random) => `\u001b[${random.integer(1, 3)}S\r`,
  (random) => `\u001b[${random.integer(1, 3)};${random.integer(4, ROWS)}r`,
  () => '\u001b[r',
  (random) => `\u001b[${oneOf(random, ['0', '1;31', '38;5;123', '48;2;1;2;3', '7', '4', '22;39', '49', '27', '1;38;2;9;8;7;3'])}m`,
  (random) => oneOf(random, ['é', '世', '界', '─', 'e\u0301', '한', 'ü']),
  (random) => oneOf(random, ['\u001b(0qqx\u001b(B', '\u001b)0\u000eqx\u000f', '\u001b(0']),
  (random) => `\u001b[?${oneOf(random, ['7', '25', '1', '2004'])}${oneOf(random, ['h', 'l'])}`,
  (random) => `\u001b[4${oneOf(random, ['h', 'l'])}`,
  (random) => oneOf(random, ['\u001bM', '\u001bD', '\u001bE', '\t', '\b', '\u001b[Z', 'x\u001b[2b', '\u001b[!p', '\u001bH']),
  () => '\u001b]0;title\u0007\u001bP1;2q####\u001b\\',
];

/** xterm.js scrolls a saved cursor with the text, and with origin mode moves one by steps to a wrong row: neither is what is tried here. */
const flavours: readonly (readonly Piece[])[] = [
  [...pieces, (random) => `\u001b[?6${oneOf(random, ['h', 'l'])}`],
  [
    ...pieces,
    (random) => `\u001b[${random.integer(1, 6)}${oneOf(random, ['A', 'B', 'C', 'D', 'E', 'F', 'G'])}`,
    () => '\u001b7\u001b[2;3Hsaved\u001b[1m\u001b8',
    (random) => `\u001b[?1049${oneOf(random, ['h', 'l'])}`,
  ],
];

function program(random: Random, count: number): string[] {
  const flavour = flavours[random.integer(0, 1)] as readonly Piece[];
  let alternate = false;
  const one = (): string => {
    const piece = (flavour[random.integer(0, flavour.length - 1)] as Piece)(random);
    const switched = /1049([hl])$/.exec(piece);
    if (switched === null) return piece;
    // A switch to where one is means something else in each terminal.
    if (alternate === (switched[1] === 'h')) return '';
    alternate = !alternate;
    // Margins of xterm.js belong to each of its screens.
    return `\u001b[r${piece}`;
  };
  return Array.from({ length: count }, one);
}

describe('telnet client: the screen', () => {
  it('gets back what it was after a line over the last row, whatever the program wrote', async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = new Random(seed);
      const screen = new Screen(COLUMNS, ROWS);
      const [touched, untouched] = [new Xterm(), new Xterm()];
      let written = '';
      let piece = '\u001b[H\u001b[2J';
      for (const more of program(random, 60)) {
        piece += more;
        if (!random.chance(0.2)) continue;
        written += piece;
        const at = random.integer(0, piece.length);
        // As the network cuts it: in the middle of anything.
        screen.feed(Buffer.from(piece).subarray(0, at));
        screen.feed(Buffer.from(piece).subarray(at));
        expect(screen.ground).to.equal(true);
        await untouched.write(piece);
        await touched.write(piece);
        piece = '';
        const [draw, restore] = overlay(screen);
        await touched.write(draw);
        expect(touched.text(ROWS - 1)).to.match(/^offline 12 s/);
        await touched.write(restore);
        expect(touched.shown, `seed ${seed} after ${JSON.stringify(written)}`).to.deep.equal(untouched.shown);
      }
    }
  }).timeout(60_000);
});
