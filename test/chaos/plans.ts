// What goes wrong on the way: a kind of trouble and a seed in, the faults of a scenario's first connections out. Connections behind them
// are unharmed, so that every scenario comes to its end.

import type { Direction, Plan } from '../../lib/testing/chaos-circuit.ts';
import type { Random } from '../../lib/testing/random.ts';

export const troubles = ['bytes', 'moments', 'slow', 'halfOpen', 'late', 'connect', 'copy', 'mixed'] as const;
export type Trouble = (typeof troubles)[number];

/** How many connections in a row are harmed, at least and at most. Where the heartbeat has to find out, each takes seven seconds. */
const counts: Readonly<Record<Trouble, readonly [number, number]>> = {
  bytes: [3, 8],
  moments: [3, 10],
  slow: [2, 4],
  halfOpen: [1, 2],
  late: [2, 3],
  connect: [3, 6],
  copy: [3, 6],
  mixed: [3, 5],
};

export function plansFor(trouble: Trouble, random: Random): Plan[] {
  const [least, most] = counts[trouble];
  return Array.from({ length: random.integer(least, most) }, () => planOf(trouble, random));
}

function planOf(trouble: Trouble, random: Random): Plan {
  const how = random.pick(['fin', 'rst'] as const);
  const direction = random.pick<Direction>(['up', 'down', 'both']);
  switch (trouble) {
    case 'bytes': {
      // The handshake alone is a few hundred bytes, and deserves its share.
      const after = random.integer(0, random.pick([300, 4_000, 16_000]));
      return { cutAfter: random.chance(0.5) ? { up: after } : { down: after }, how };
    }
    case 'moments':
      return { cutAfterMs: random.integer(0, 600), how };
    case 'slow': {
      const trickle = random.chance(0.6) ? { trickle: { bytes: random.integer(1, 2_000), everyMs: random.integer(1, 10) } } : {};
      return { delayMs: random.integer(0, 150), ...trickle, cutAfterMs: random.integer(200, 2_500), how };
    }
    case 'halfOpen':
      return { halfOpen: { direction, after: random.integer(0, 6_000) } };
    case 'late':
      // Above seven seconds the heartbeat has given this circuit up, and another one carries the session when it wakes.
      return { stall: { direction, after: random.integer(0, 6_000), ms: random.pick([500, 3_000, 9_000]) }, cutAfterMs: 12_000, how };
    case 'connect':
      return { connect: random.pick(['refuse', 'blackHole'] as const) };
    case 'copy':
      // At zero the copy may be the first to arrive.
      return { copy: { afterMs: random.pick([0, 1, 300]) }, cutAfterMs: random.integer(100, 1_500), how };
    case 'mixed':
      return planOf(random.pick(['bytes', 'moments', 'slow', 'halfOpen', 'late', 'connect', 'copy'] as const), random);
  }
}
