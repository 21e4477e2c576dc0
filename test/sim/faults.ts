// What goes wrong, and when: decides the fate of each dial from a plan's rates, until faults stop.

import { Frame, Kind } from '../../lib/core/wire.ts';
import { Random } from '../../lib/testing/random.ts';
import { type Aim, type Fate, unharmed } from './lane.ts';
import type { Dial } from './network.ts';
import { apart, type Plan } from './plan.ts';

/** UNKNOWN is believed after three answers in a row; a world with more wrong answers than this would be a different one. */
const STRANGERS_MOST = 2;

/** What a circuit may be cut inside of: what begins it, what ends it, and what must be repeated. */
const AIMS: readonly Pick<Aim, 'direction' | 'flight' | 'type'>[] = [
  ...[Kind.RESUME, Kind.OPEN].map((type) => ({ direction: 'up', flight: true, type }) as const),
  ...[Kind.OPENED, Kind.RESUMED, Kind.CHALLENGE].map((type) => ({ direction: 'down', flight: true, type }) as const),
  ...[Frame.CONFIRM, Frame.PROOF].map((type) => ({ direction: 'up', flight: false, type }) as const),
  ...(['up', 'down'] as const).flatMap((direction) =>
    [Frame.DATA, Frame.ACK, Frame.SYNC, Frame.END, Frame.CLOSE].map((type) => ({ direction, flight: false, type }) as const),
  ),
];

/** Cut in the middle of the RESUME. */
const SPOILT: Aim = { direction: 'up', flight: true, type: Kind.RESUME, skip: 0, part: 0.5, lead: 0 };

/** Most can be lost where a session ends. */
const ENDINGS = AIMS.filter(({ flight, type }) => !flight && (type === Frame.END || type === Frame.CLOSE));
const LAST_WORDS = AIMS.filter(({ direction, flight, type }) => direction === 'down' && !flight && type === Frame.CLOSE);

export class Faults {
  healed: boolean = false;
  /** Until then every dial ends in a hole. */
  darkUntilMs: number = 0;
  /** The first dial behind the dark gets through at once. */
  prompt: boolean = false;
  /** So many dials of the first process of an identity lose their RESUME: each takes a generation that no server hears of. */
  spoilt: number = 0;
  readonly #plan: Plan;
  readonly #random: Random;
  readonly #aims: Random;
  #strangers = 0;
  #stray = false;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#random = new Random(plan.seed, 2);
    this.#aims = new Random(plan.seed, 7);
  }

  /** A session is on a circuit: the wrong answers before it do not count any more. */
  attached(): void {
    this.#strangers = 0;
  }

  /**
   * @param resuming every dial of this client is for a session that a server knows
   * @param first it is the first process of its identity
   */
  dial(resuming: boolean, nowMs: number, first: boolean): Dial {
    const random = this.#random;
    const { faults, connectMs } = this.#plan;
    if (this.healed) return { kind: 'server', fate: unharmed, delayMs: random.integer(0, 2) };
    if (nowMs < this.darkUntilMs) return { kind: 'refused', delayMs: Math.min(100, this.darkUntilMs - nowMs) };
    if (this.prompt) {
      this.prompt = false;
      return { kind: 'server', fate: unharmed, delayMs: 0 };
    }
    // What is to happen to two processes happens to a session that is there.
    if (!resuming && apart(this.#plan.family)) return { kind: 'server', fate: unharmed, delayMs: 0 };
    if (first && this.spoilt > 0) {
      this.spoilt--;
      return { kind: 'server', fate: { ...unharmed, aim: { ...SPOILT }, how: 'rst' }, delayMs: 0 };
    }
    const delayMs = random.chance(0.2) ? random.integer(0, connectMs) : random.integer(0, 30);
    if (random.chance(faults.refuseChance)) return { kind: 'refused', delayMs };
    if (random.chance(faults.holeChance)) return random.chance(0.5) ? { kind: 'hole' } : { kind: 'mute', delayMs };
    if (random.chance(faults.forgeChance)) return { kind: 'forger', delayMs, disowns: random.chance(0.1) && this.#disowns() };
    const stray = this.#stray;
    this.#stray = false;
    if (resuming && (stray || random.chance(faults.strangerChance)) && this.#disowns()) {
      return { kind: 'stranger', fate: this.#fate(), delayMs };
    }
    return { kind: 'server', fate: this.#fate(), delayMs };
  }

  /** One more answer that says UNKNOWN, if that is not too many. */
  #disowns(): boolean {
    return this.#strangers++ < STRANGERS_MOST;
  }

  /** A waiting time with this mean; Infinity stays Infinity. */
  wait(meanMs: number): number {
    return Math.floor(-Math.log(1 - this.#random.next()) * meanMs);
  }

  chance(probability: number): boolean {
    return this.#random.chance(probability);
  }

  integer(low: number, high: number): number {
    return this.#random.integer(low, high);
  }

  pick<Item>(items: readonly Item[]): Item {
    return this.#random.pick(items);
  }

  #fate(): Fate {
    const random = this.#random;
    const { faults } = this.#plan;
    const stalls = random.chance(faults.stallChance);
    const stallAfter = (): number => (stalls && random.chance(0.6) ? random.integer(0, 600) : Infinity);
    return {
      cutUp: this.wait(faults.cutBytes),
      cutDown: this.wait(faults.cutBytes),
      cutAfterMs: this.wait(faults.cutMs),
      tailBytes: random.chance(faults.tailChance) ? random.pick([1, random.integer(1, 200), 1_000_000]) : 0,
      clientLearnsMs: this.#learns(),
      serverLearnsMs: this.#learns(),
      how: random.chance(0.5) ? 'rst' : 'fin',
      stallUp: stallAfter(),
      stallDown: stallAfter(),
      stallMs: Math.floor(random.next() * random.pick([50, 1_000, 10_000, 60_000])),
      aim: this.#aim(),
      freeze: null,
    };
  }

  #aim(): Aim | null {
    const random = this.#aims;
    const { faults, family } = this.#plan;
    if (faults.aimChance === 0 || !random.chance(faults.aimChance)) return null;
    const aim = random.pick(family === 'evict' ? LAST_WORDS : random.chance(0.4) ? ENDINGS : AIMS);
    // With CLOSE goes the ACK in front of it; and who has lost its last words is most easily led astray.
    const last = !aim.flight && aim.type === Frame.CLOSE;
    if (last && aim.direction === 'up') this.#stray = random.chance(0.8);
    return {
      ...aim,
      skip: random.chance(0.7) ? 0 : random.integer(1, 5),
      part: random.chance(0.3) ? 0 : random.next(),
      lead: last && random.chance(0.5) ? random.integer(1, 20) : 0,
    };
  }

  #learns(): number {
    const random = this.#random;
    if (random.chance(this.#plan.faults.halfOpenChance)) return Infinity;
    return random.pick([0, 0, random.integer(0, 50), random.integer(0, 5_000)]);
  }
}
