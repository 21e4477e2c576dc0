// Rows of cells. In: what to write, erase and move. Out: the cells. Knows nothing of sequences. A cell of null is one that nobody here has
// seen: what was in the window before.

export interface Cell {
  /** Empty: erased, or the right half of a wide character. */
  readonly text: string;
  /** SGR parameters. */
  readonly style: string;
  /** Of the DEC line drawing set: 'q' is a line. */
  readonly graphic: boolean;
  readonly width: 0 | 1 | 2;
}

export type Row = (Cell | null)[];

const blanks = new Map<string, Cell>();

/** An erased cell with this background. */
export function blank(style: string): Cell {
  let cell = blanks.get(style);
  if (cell === undefined) {
    cell = { text: '', style, graphic: false, width: 1 };
    // Programs with true colour have many backgrounds.
    if (blanks.size > 1000) blanks.clear();
    blanks.set(style, cell);
  }
  return cell;
}

const RIGHT_HALF: Omit<Cell, 'style'> = { text: '', graphic: false, width: 0 };

export class Grid {
  readonly columns: number;
  readonly rows: readonly Row[];

  constructor(columns: number, rows: number, cell: Cell | null) {
    this.columns = columns;
    this.rows = Array.from({ length: rows }, () => new Array<Cell | null>(columns).fill(cell));
  }

  row(y: number): Row {
    return this.rows[y] as Row;
  }

  put(x: number, y: number, cell: Cell): void {
    const row = this.row(y);
    this.#split(row, x);
    this.#split(row, x + cell.width);
    row[x] = cell;
    if (cell.width === 2) row[x + 1] = { ...RIGHT_HALF, style: cell.style };
  }

  /** Joins a mark of no width to the character before. */
  join(x: number, y: number, mark: string): void {
    const row = this.row(y);
    const at = row[x]?.width === 0 ? x - 1 : x;
    const cell = row[at];
    if (cell) row[at] = { ...cell, text: cell.text + mark };
  }

  erase(y: number, from: number, to: number, style: string): void {
    const row = this.row(y);
    this.#split(row, from);
    this.#split(row, to);
    row.fill(blank(style), from, to);
  }

  insert(x: number, y: number, count: number, style: string): void {
    const row = this.row(y);
    const moved = Math.min(count, this.columns - x);
    this.#split(row, x);
    row.splice(x, 0, ...new Array<Cell>(moved).fill(blank(style)));
    row.length = this.columns;
    if (row[this.columns - 1]?.width === 2) row[this.columns - 1] = blank(style);
  }

  remove(x: number, y: number, count: number, style: string): void {
    const row = this.row(y);
    const moved = Math.min(count, this.columns - x);
    this.#split(row, x);
    this.#split(row, x + moved);
    row.splice(x, moved);
    row.push(...new Array<Cell>(moved).fill(blank(style)));
  }

  /** Moves the rows of [top, bottom] up, down where count is negative; blank ones come in. */
  scroll(top: number, bottom: number, count: number, style: string): void {
    const rows = this.rows as Row[];
    const moved = Math.min(Math.abs(count), bottom - top + 1);
    const fresh = Array.from({ length: moved }, () => new Array<Cell | null>(this.columns).fill(blank(style)));
    if (count > 0) {
      rows.splice(top, moved);
      rows.splice(bottom - moved + 1, 0, ...fresh);
    } else {
      rows.splice(bottom - moved + 1, moved);
      rows.splice(top, 0, ...fresh);
    }
  }

  /** A wide character that is cut in two is erased. */
  #split(row: Row, x: number): void {
    const cell = row[x];
    if (x <= 0 || x >= this.columns || !cell || cell.width !== 0) return;
    row[x - 1] = blank(cell.style);
    row[x] = blank(cell.style);
  }
}
