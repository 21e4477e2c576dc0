// The cells of a screen as bytes that draw them on another. In: a buffer of the emulator. Out: text with colors, lines above the screen
// first. The serializer of xterm.js was tried and leaves out lines that are empty but for their color, which is what vim draws with a color
// scheme.

import type { IBuffer, IBufferCell, IBufferLine } from '@xterm/headless';

const CSI = '\x1b[';
/** Attributes with the number that sets them. */
const ATTRIBUTES: readonly (readonly [(cell: IBufferCell) => number, number])[] = [
  [(cell) => cell.isBold(), 1],
  [(cell) => cell.isDim(), 2],
  [(cell) => cell.isItalic(), 3],
  [(cell) => cell.isUnderline(), 4],
  [(cell) => cell.isBlink(), 5],
  [(cell) => cell.isInverse(), 7],
  [(cell) => cell.isInvisible(), 8],
  [(cell) => cell.isStrikethrough(), 9],
  [(cell) => cell.isOverline(), 53],
];

/**
 * Draws on an empty screen with the cursor in its corner, and leaves the cursor anywhere.
 * @param columns of the buffer
 * @param rows of the screen, the lowest part of the buffer
 * @param above most lines above the screen
 */
export function paint(buffer: IBuffer, columns: number, rows: number, above: number): string {
  const out: string[] = [];
  const row = new RowPainter(buffer.getNullCell(), columns);
  const first = Math.max(0, buffer.baseY - above);
  for (let index = first; index < buffer.baseY + rows; index++) {
    const line = buffer.getLine(index);
    if (line === undefined) break;
    // A line that goes on is drawn on, so that the other terminal knows as well that it is one.
    if (index > first && !(line.isWrapped && row.full)) out.push('\r\n');
    out.push(row.paint(line));
  }
  return out.join('');
}

class RowPainter {
  readonly #cell: IBufferCell;
  readonly #columns: number;
  #style = '0';
  #full = false;

  constructor(cell: IBufferCell, columns: number) {
    this.#cell = cell;
    this.#columns = columns;
  }

  /** The last row was drawn up to its end: what is drawn next wraps. */
  get full(): boolean {
    return this.#full;
  }

  paint(line: IBufferLine): string {
    const length = this.#length(line);
    let out = '';
    for (let column = 0; column < length; ) {
      const cell = line.getCell(column, this.#cell);
      if (cell === undefined) break;
      const style = styleOf(cell);
      if (style !== this.#style) out += `${CSI}${style}m`;
      this.#style = style;
      out += cell.getChars() || ' ';
      // The second half of a wide character has width 0.
      column += Math.max(1, cell.getWidth());
    }
    this.#full = length === this.#columns;
    // The end of a line is its own color only where it was written: what scrolls in must be blank.
    if (this.#style !== '0') out += `${CSI}0m`;
    this.#style = '0';
    return out;
  }

  /** Columns up to the last that shows anything. */
  #length(line: IBufferLine): number {
    for (let column = this.#columns; column > 0; column--) {
      const cell = line.getCell(column - 1, this.#cell);
      if (cell !== undefined && (cell.getChars() !== '' || cell.getWidth() === 0 || styleOf(cell) !== '0')) return column;
    }
    return 0;
  }
}

/** The numbers that make a cell's style out of any other. */
function styleOf(cell: IBufferCell): string {
  if (cell.isAttributeDefault()) return '0';
  const attributes = ATTRIBUTES.filter(([has]) => has(cell) !== 0).map(([, number]) => `;${number}`);
  const front = cell.isFgDefault() ? '' : color(cell.isFgRGB(), 38, cell.getFgColor());
  const back = cell.isBgDefault() ? '' : color(cell.isBgRGB(), 48, cell.getBgColor());
  return `0${attributes.join('')}${front}${back}`;
}

function color(isRgb: boolean, plane: 38 | 48, value: number): string {
  if (isRgb) return `;${plane};2;${value >> 16};${(value >> 8) & 0xff};${value & 0xff}`;
  // The first sixteen in the form that old terminals know.
  if (value < 8) return `;${plane - 8 + value}`;
  return value < 16 ? `;${plane + 52 + value - 8}` : `;${plane};5;${value}`;
}
