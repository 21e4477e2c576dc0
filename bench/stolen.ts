// What the host of a virtual machine gave to others while ours had work: a sample taken meanwhile tells of them and not of the peer.

import { readFileSync } from 'node:fs';

/** The largest share that a sample may lose. */
export const MOST_STOLEN = 0.03;

/** Columns of the first line, behind its name (proc_stat(5)): all time, in ticks of all processors; guests' is counted in the first two. */
const COLUMNS = 8;
const STEAL = 7;

export class Theft {
  readonly #before = ticks();

  /** Since it was made: of all time of all processors. 0 where nothing is known of it. */
  get share(): number {
    const spent = ticks().map((after, i) => after - (this.#before[i] ?? 0));
    const all = spent.reduce((sum, each) => sum + each, 0);
    return all === 0 ? 0 : (spent[STEAL] ?? 0) / all;
  }
}

function ticks(): readonly number[] {
  try {
    const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1);
    return line
      .split(/\s+/)
      .slice(1, 1 + COLUMNS)
      .map(Number);
  } catch {
    return [];
  }
}
