// What a soak must show: what the two processes held before, meanwhile and afterwards flows in, one check a rule flows out.

import type { HostCensus } from '../chaos/host.ts';
import type { Verdict } from '../chaos/ledger.ts';
import { floors, median, slope } from './slope.ts';

export interface Moment {
  readonly atMs: number;
  readonly near: HostCensus;
  readonly far: HostCensus;
}

export interface Soaked {
  readonly sessions: number;
  readonly before: Moment;
  readonly moments: readonly Moment[];
  readonly after: Moment;
  readonly verdict: Verdict;
}

export interface Check {
  readonly what: string;
  readonly passed: boolean;
  readonly found: string;
  readonly bar: string;
}

const MIB = 1_048_576;
/** The first quarter of the time is for caches, pools and compiled code. */
const WARM_UP = 0.25;
const SPANS = 8;
/** What a process of this size gains in each of its first minutes, whatever it does, while its code is compiled. */
const NOISE_BYTES = 2 * MIB;
/** Code and caches that a process keeps for good. */
const KEPT_BYTES = 8 * MIB;

export function judge(soaked: Soaked): Check[] {
  const { problems, messages } = soaked.verdict;
  const history: Check = {
    what: 'every message exactly once and in order, every end clean',
    passed: problems.length === 0 && messages > 0,
    found: problems.length === 0 ? `${messages} messages` : `${problems.length} problems`,
    bar: '',
  };
  return [history, ...judgeSide(soaked, 'near'), ...judgeSide(soaked, 'far')];
}

function judgeSide({ sessions, before, moments, after }: Soaked, side: 'near' | 'far'): Check[] {
  const name = side === 'near' ? 'clients' : 'servers';
  const [first, last] = [before[side], after[side]];
  const warm = moments.slice(Math.floor(moments.length * WARM_UP));
  const level = median(warm.map((moment) => moment[side].heapBytes));
  const heap = warm.map((moment) => ({ at: moment.atMs / 60_000, value: moment[side].heapBytes }));
  const growth = slope(floors(heap, SPANS));
  // A hundredth of what it holds a minute would double it in a hundred minutes.
  const mostGrowth = Math.max(NOISE_BYTES, level / 100);
  const descriptors = Math.max(...warm.map((moment) => moment[side].descriptors)) - first.descriptors;
  // A redial may come before the end of the circuit that it replaces.
  const mostDescriptors = Math.ceil(sessions * 1.1) + 10;
  const timers = Math.max(...warm.map((moment) => moment[side].timers)) - first.timers;
  const mostTimers = sessions + 10;
  const kept = last.heapBytes - first.heapBytes;
  const rest = `${last.sessions} sessions, ${last.descriptors - first.descriptors} descriptors, ${last.timers - first.timers} timers more than before`;
  return [
    check(`${name}, growth of the heap`, growth <= mostGrowth, `${kib(growth)} a minute at ${mib(level)}`, `at most ${kib(mostGrowth)}`),
    check(`${name}, descriptors`, descriptors <= mostDescriptors, `${descriptors}`, `at most ${mostDescriptors}`),
    // The application has one timer a session, for its pauses: of the library there is one for all.
    check(`${name}, timers`, timers <= mostTimers, `${timers}`, `at most ${mostTimers}`),
    check(`${name}, afterwards`, last.sessions === 0 && last.descriptors <= first.descriptors && last.timers <= first.timers, rest, 'none'),
    check(`${name}, heap afterwards`, kept <= KEPT_BYTES, `${mib(kept)} more than before`, `at most ${mib(KEPT_BYTES)}`),
  ];
}

function check(what: string, passed: boolean, found: string, bar: string): Check {
  return { what, passed, found, bar };
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

function kib(bytes: number): string {
  return `${(bytes / 1024).toFixed(0)} KiB`;
}
