// Sees every flight and frame that is written, and whether it arrived: counts what was lost or came late, tells the history who owns which
// generation, and cuts a circuit inside the frame that its fate has chosen.

import { decodeFlight } from '../../lib/core/handshake.ts';
import { FlightAt, Frame, Kind, RejectCode, SESSION_ID_BYTES } from '../../lib/core/wire.ts';
import type { History } from '../../lib/testing/history.ts';
import type { Clock } from './clock.ts';
import type { FaultKind } from './coverage.ts';
import { describeUnit } from './describe.ts';
import type { Lane, Link } from './lane.ts';
import { Scanner, type Unit } from './scanner.ts';

const LOST_FLIGHTS: Readonly<Record<number, FaultKind>> = {
  [Kind.OPEN]: 'lost OPEN',
  [Kind.OPENED]: 'lost OPENED',
  [Kind.RESUME]: 'lost RESUME',
  [Kind.RESUMED]: 'lost RESUMED',
};
const LOST_FRAMES: Readonly<Record<number, FaultKind>> = {
  [Frame.CONFIRM]: 'lost CONFIRM',
  [Frame.END]: 'lost END',
  [Frame.CLOSE]: 'lost CLOSE',
};

export class Witness {
  readonly #clock: Clock;
  readonly #history: History;
  readonly #evicts: boolean;
  readonly #watches: Watch[] = [];
  readonly #watched = new Map<string, Link[]>();
  /** The newest generation that the accepting side took, by session. */
  readonly #accepted = new Map<string, number>();

  /** @param evicts tombstones go early in this world */
  constructor(clock: Clock, history: History, evicts: boolean) {
    this.#clock = clock;
    this.#history = history;
    this.#evicts = evicts;
  }

  watch(link: Link): void {
    for (const lane of [link.up, link.down]) {
      const watch = new Watch(
        lane,
        (unit) => this.#wrote(link, lane, unit),
        (unit) => this.#arrived(link, lane, unit),
      );
      lane.watch = watch;
      this.#watches.push(watch);
    }
  }

  /** The world is over: what was written and has not arrived is lost. */
  settle(): void {
    for (const { pending } of this.#watches) {
      for (const { flight, type } of pending) {
        const kind = flight ? LOST_FLIGHTS[type] : LOST_FRAMES[type];
        if (kind !== undefined) this.#clock.coverage.count(kind);
      }
    }
  }

  #wrote(link: Link, lane: Lane, unit: Unit): void {
    // An attacker's bytes are whatever they are: half a flight may go on as anything.
    if (link.kind === 'attacker' && lane === link.up) return;
    const { trace, nowMs } = this.#clock;
    trace.say(nowMs, lane.from.name, () => `  » ${describeUnit(unit)}`);
    this.#aim(link, lane, unit);
    this.#freeze(link, lane, unit);
    if (!unit.flight) return;
    const id = sessionOf(unit);
    if (unit.type === Kind.RESUME) this.#resumes(link, id, generationOf(unit));
    if (unit.type === Kind.OPENED) {
      link.generation = 1;
      this.#took(link, id, 1);
    }
    if (unit.type === Kind.RESUMED) this.#took(link, id, generationOf(unit));
  }

  #resumes(link: Link, id: string, generation: number): void {
    link.generation = generation;
    link.sessionId = id;
    const others = this.#watched.get(id) ?? [];
    if (others.some((other) => other.whole)) this.#clock.coverage.count('second circuit beside a living one');
    this.#watched.set(id, [...others.filter((other) => other.whole), link]);
  }

  #took(link: Link, id: string, generation: number): void {
    link.sessionId = id;
    this.#accepted.set(id, generation);
    this.#history.generation(id, generation, link.client.host.name);
    if (generation === 1) this.#watched.set(id, [link]);
  }

  /** The circuit is to be cut inside a frame or flight of its choice. */
  #aim(link: Link, lane: Lane, unit: Unit): void {
    const { aim } = link.fate;
    if (aim === null || link.aimed || (lane === link.up) !== (aim.direction === 'up')) return;
    if (aim.flight !== unit.flight || aim.type !== unit.type || aim.skip-- > 0) return;
    link.aimed = true;
    const inside = aim.lead > 0 ? -aim.lead : Math.floor(aim.part * unit.length);
    lane.cutAt(unit.start + inside, 'cut inside a chosen frame or flight');
  }

  /** One direction is to stand still in front of a frame or flight. */
  #freeze(link: Link, lane: Lane, unit: Unit): void {
    const { freeze } = link.fate;
    if (freeze === null || (lane === link.up) !== (freeze.direction === 'up')) return;
    if (lane.watch?.units === freeze.unit) lane.freezeAt(unit.start);
  }

  #arrived(link: Link, lane: Lane, unit: Unit): void {
    const { coverage } = this.#clock;
    const newest = this.#accepted.get(link.sessionId) ?? 0;
    const late = lane === link.up && link.generation < newest && link.kind !== 'attacker';
    if (late && !unit.flight && unit.type === Frame.DATA) coverage.count('late data of an older circuit');
    if (!unit.flight) {
      if (unit.type === Frame.CONFIRM) link.established = true;
      return;
    }
    if (late && unit.type === Kind.RESUME) coverage.count('late RESUME of an older circuit');
    if (unit.type === Kind.RESUMED) link.established = true;
    if (unit.type === Kind.CHALLENGE) coverage.count('challenge');
    if (unit.type === Kind.REJECTED) this.#refused(link, unit);
  }

  #refused(link: Link, unit: Unit): void {
    const flight = decodeFlight(Buffer.from(unit.bytes));
    if (flight.kind !== Kind.REJECTED) return;
    if (link.kind === 'forger') this.#clock.coverage.count('forged REJECTED');
    if (this.#evicts && link.kind === 'server' && flight.code === RejectCode.UNKNOWN)
      this.#clock.coverage.count('UNKNOWN for an evicted tombstone');
    if (link.kind === 'stranger' && flight.code === RejectCode.UNKNOWN) this.#clock.coverage.count('UNKNOWN from a wrong node');
  }
}

/** One direction of one circuit: what was written, and has not arrived. */
export class Watch {
  readonly pending: Unit[] = [];
  /** Frames and flights that were written before the one that is. */
  units: number = -1;
  readonly #lane: Lane;
  readonly #scanner: Scanner;
  readonly #arrived: (unit: Unit) => void;

  constructor(lane: Lane, wrote: (unit: Unit) => void, arrived: (unit: Unit) => void) {
    this.#lane = lane;
    this.#arrived = arrived;
    this.#scanner = new Scanner((unit) => {
      this.units++;
      this.pending.push(unit);
      wrote(unit);
    });
  }

  push(bytes: Buffer): void {
    this.#scanner.push(bytes);
  }

  /** Bytes have arrived. */
  progress(): void {
    const { pending } = this;
    let done = 0;
    for (let unit = pending[0]; unit !== undefined && unit.start + unit.length <= this.#lane.passed; unit = pending[done]) {
      done++;
      this.#arrived(unit);
    }
    if (done > 0) pending.splice(0, done);
  }
}

function sessionOf({ bytes }: Unit): string {
  return bytes.toString('hex', FlightAt.SESSION_ID, FlightAt.SESSION_ID + SESSION_ID_BYTES);
}

function generationOf({ bytes }: Unit): number {
  const flight = decodeFlight(Buffer.from(bytes));
  return flight.kind === Kind.RESUME || flight.kind === Kind.RESUMED ? flight.generation : 0;
}
