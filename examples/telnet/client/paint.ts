// Cells as sequences again. In: cells, and where they stand. Out: what writes them, from any look and back to the plain one.

import type { Cell, Row } from './grid.ts';
import { sgr } from './style.ts';

const CSI = '\u001b[';

/** Writes a row. Unknown cells are erased. */
export function painted(row: Row, y: number): string {
  let end = row.length;
  while (end > 0 && isPlain(row[end - 1])) end--;
  // ECH, since EL would forget that the row is the rest of a wrapped line.
  return `${at(0, y)}${CSI}0m${CSI}${row.length}X${row.slice(0, end).map(drawn).join('')}\u001b(B${CSI}0m`;
}

/** Puts the cursor there; both from 0. */
export function at(x: number, y: number): string {
  return `${CSI}${y + 1};${x + 1}H`;
}

/** One cell, with its look and its character set. What was erased is no space: that shows when it is selected and copied. */
export function drawn(cell: Cell | null): string {
  if (cell?.width === 0) return '';
  if (!cell || (cell.text === '' && cell.style === '')) return `${CSI}C`;
  if (cell.text === '') return `${sgr(cell.style)}${CSI}X${CSI}C`;
  return `${sgr(cell.style)}\u001b(${cell.graphic ? '0' : 'B'}${cell.text}`;
}

function isPlain(cell: Cell | null | undefined): boolean {
  return !cell || (cell.style === '' && cell.text === '');
}
