// Simulated connections. A Lane carries bytes one way, in pieces, late, up to a cut; a Link is two lanes between two ends, and the fate
// that a plan gave it: where it is cut, which end learns when, what is held back and delivered late.

import type { Random } from '../../lib/testing/random.ts';
import type { Clock } from './clock.ts';
import type { Loss, PipeEnd } from './pipe.ts';

/** How bytes travel. All times in milliseconds, all sizes in bytes. */
export interface LaneOptions {
  readonly delayMs: number;
  readonly jitterMs: number;
  /** Bytes in flight and unread; more waits at the sender. */
  readonly capacity: number;
  /** Largest piece that arrives at once. */
  readonly chunkBytes: number;
  /** Pieces that arrive together are read without a turn for anything between them. */
  readonly together: boolean;
  /** A reset overtakes what is in flight. */
  readonly resetOvertakes: boolean;
}

/** What goes wrong on one connection. Infinity: never. */
export interface Fate {
  /** Cut when exactly so many bytes have arrived in that direction. */
  readonly cutUp: number;
  readonly cutDown: number;
  readonly cutAfterMs: number;
  /** Bytes that the other direction still brings behind the cut. */
  readonly tailBytes: number;
  /** So long after the cut each end learns of it. */
  readonly clientLearnsMs: number;
  readonly serverLearnsMs: number;
  readonly how: Loss;
  /** Behind so many bytes a direction is held back for stallMs, and then delivered. */
  readonly stallUp: number;
  readonly stallDown: number;
  readonly stallMs: number;
}

export const unharmed: Fate = {
  cutUp: Infinity,
  cutDown: Infinity,
  cutAfterMs: Infinity,
  tailBytes: 0,
  clientLearnsMs: 0,
  serverLearnsMs: 0,
  how: 'rst',
  stallUp: Infinity,
  stallDown: Infinity,
  stallMs: 0,
};

interface Piece {
  readonly atMs: number;
  /** null: a mark behind the bytes. */
  readonly bytes: Buffer | null;
  readonly mark: Loss | null;
}

export class Lane {
  opposite!: Lane;
  /** Bytes delivered. */
  passed: number = 0;
  cutAfter: number = Infinity;
  stallAfter: number = Infinity;
  dead: boolean = false;
  /** Sees what goes in, for traces and for attackers who listen. */
  tap: ((bytes: Buffer) => void) | null = null;
  readonly to: PipeEnd;
  readonly from: PipeEnd;
  readonly #clock: Clock;
  readonly #options: LaneOptions;
  readonly #random: Random;
  readonly #link: Link;
  #pieces: Piece[] = [];
  #held = 0;
  #lastMs = 0;
  #stalledUntilMs = 0;
  #scheduled = false;
  #sunk = false;

  constructor(link: Link, from: PipeEnd, to: PipeEnd, clock: Clock, options: LaneOptions, random: Random) {
    this.#link = link;
    this.from = from;
    this.to = to;
    this.#clock = clock;
    this.#options = options;
    this.#random = random;
  }

  get room(): number {
    return this.#options.capacity - this.#held;
  }

  take(bytes: Buffer): void {
    // The network copies, as a kernel does: what the sender does with its memory afterwards changes nothing.
    const copy = Buffer.from(bytes);
    this.tap?.(copy);
    if (this.#sunk) return;
    this.#held += copy.length;
    if (this.dead) return;
    for (let at = 0; at < copy.length; ) {
      const { chunkBytes } = this.#options;
      const size = chunkBytes === 1 ? 1 : this.#random.integer(1, chunkBytes);
      this.#put(copy.subarray(at, at + size), null);
      at += size;
    }
    this.#schedule();
  }

  mark(mark: Loss): void {
    if (this.dead) return;
    this.#put(null, mark);
    this.#schedule();
  }

  /** The sender resets the connection. */
  reset(): void {
    if (this.#options.resetOvertakes && this.#stalledUntilMs <= this.#clock.nowMs) this.#pieces = [];
    this.mark('rst');
  }

  /** The reader took bytes. */
  release(bytes: number): void {
    this.#held -= bytes;
    this.from.refill();
  }

  /** Nothing passes any more. What the sender writes fills the capacity, and then its queue. */
  kill(): void {
    this.dead = true;
    this.#pieces = [];
  }

  /** Faults have stopped: what was held back comes now. */
  heal(): void {
    this.cutAfter = Infinity;
    this.stallAfter = Infinity;
    this.#stalledUntilMs = 0;
    this.#scheduled = false;
    this.#schedule();
  }

  /** Nobody reads at the other end. A proxy on the way goes on taking what comes, until the sender hears of the reset. */
  #sink(): void {
    this.#sunk = true;
    this.#pieces = [];
    this.#held = 0;
    this.to.out.reset();
    this.from.refill();
  }

  #put(bytes: Buffer | null, mark: Loss | null): void {
    const { delayMs, jitterMs } = this.#options;
    const late = jitterMs === 0 ? 0 : this.#random.integer(0, jitterMs);
    this.#lastMs = Math.max(this.#lastMs, this.#clock.nowMs + delayMs + late);
    this.#pieces.push({ atMs: this.#lastMs, bytes, mark });
  }

  #schedule(): void {
    const first = this.#pieces[0];
    if (first === undefined || this.#scheduled || this.dead) return;
    this.#scheduled = true;
    this.#clock.at(Math.max(first.atMs, this.#stalledUntilMs), this.to.host, () => this.#arrive());
  }

  #arrive(): void {
    if (!this.#scheduled) return;
    this.#scheduled = false;
    for (let first = true; !this.dead && (first || this.#options.together); first = false) {
      const piece = this.#pieces[0];
      if (piece === undefined || piece.atMs > this.#clock.nowMs || this.#stalledUntilMs > this.#clock.nowMs) break;
      if (this.passed >= this.stallAfter) {
        this.stallAfter = Infinity;
        this.#stalledUntilMs = this.#clock.nowMs + this.#link.fate.stallMs;
        break;
      }
      this.#pieces.shift();
      this.#deliver(piece);
    }
    this.#schedule();
  }

  #deliver(piece: Piece): void {
    if (piece.mark === 'fin') return this.to.receiveEnd();
    if (piece.mark === 'rst') return this.to.fail('ECONNRESET');
    if (this.to.destroyed) return this.#sink();
    const bytes = piece.bytes as Buffer;
    const part = Math.min(bytes.length, this.cutAfter - this.passed);
    this.passed += part;
    if (part > 0) this.to.receive(part === bytes.length ? bytes : bytes.subarray(0, part));
    if (this.passed < this.cutAfter) return;
    this.kill();
    this.#link.cut();
  }
}

export class Link {
  readonly client: PipeEnd;
  readonly server: PipeEnd;
  readonly up: Lane;
  readonly down: Lane;
  readonly fate: Fate;
  broken: boolean = false;
  #healed = false;
  readonly #clock: Clock;
  readonly #onCut: () => void;
  readonly #together: boolean;

  constructor(client: PipeEnd, server: PipeEnd, fate: Fate, options: LaneOptions, clock: Clock, random: Random, onCut: () => void) {
    this.client = client;
    this.server = server;
    this.fate = fate;
    this.#clock = clock;
    this.#onCut = onCut;
    this.#together = options.together;
    this.up = new Lane(this, client, server, clock, options, random);
    this.down = new Lane(this, server, client, clock, options, random);
    this.up.opposite = this.down;
    this.down.opposite = this.up;
    client.out = this.up;
    server.out = this.down;
    this.up.cutAfter = fate.cutUp;
    this.down.cutAfter = fate.cutDown;
    this.up.stallAfter = fate.stallUp;
    this.down.stallAfter = fate.stallDown;
    if (fate.cutAfterMs !== Infinity) clock.after(fate.cutAfterMs, null, () => this.#healed || this.cut());
  }

  /** Over: each end that is to learn of it does so in its own time, the others find out by themselves. */
  cut(): void {
    if (this.broken) return;
    this.broken = true;
    const { tailBytes, clientLearnsMs, serverLearnsMs } = this.fate;
    this.#clock.trace.note(this.#clock.nowMs, this.client.name, 'cut', this.up.passed);
    for (const lane of [this.up, this.down]) {
      if (lane.dead) continue;
      if (tailBytes === 0) lane.kill();
      else lane.cutAfter = Math.min(lane.cutAfter, lane.passed + tailBytes);
    }
    this.#learn(this.client, clientLearnsMs);
    this.#learn(this.server, serverLearnsMs);
    this.#onCut();
  }

  heal(): void {
    if (this.broken) return;
    this.#healed = true;
    this.up.heal();
    this.down.heal();
  }

  #learn(end: PipeEnd, ms: number): void {
    if (ms === Infinity) return;
    const lose = (): void => {
      if (this.fate.how === 'fin') end.receiveEnd();
      else end.fail('ECONNRESET');
    };
    // With the last bytes, before anything else has its turn: as where TLS unpacks both from one read.
    if (ms === 0 && this.#together && end.host.suspendedUntilMs <= this.#clock.nowMs && !end.host.dead) lose();
    else this.#clock.after(ms, end.host, lose);
  }
}
