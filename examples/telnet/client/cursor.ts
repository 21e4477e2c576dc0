// What a terminal saves with ESC 7. In and out: nothing, it is a record.

import { Style } from './style.ts';

export interface Cursor {
  readonly x: number;
  readonly y: number;
  readonly wraps: boolean;
  readonly style: Style;
  readonly origin: boolean;
  readonly sets: readonly [string, string];
  readonly shifted: boolean;
}

/** What ESC 8 restores where nothing was saved. */
export const NOTHING_SAVED: Cursor = { x: 0, y: 0, wraps: false, style: new Style(), origin: false, sets: ['B', 'B'], shifted: false };
