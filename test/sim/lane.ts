// Simulated connections. A Lane carries bytes one way, in pieces, late, up to a cut; a Link is two lanes between two ends, and the fate
// that a plan gave it: where it is cut, which end learns when, what is held back and delivered late.

import type { Random } from '../../lib/testing/random.ts';
import type { Clock } from './clock.ts';
import type { FaultKind } from './coverage.ts';
import type { Loss, PipeEnd } from './pipe.ts';
import type { Watch } from './witness.ts';

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
  /** Cut inside a frame or flight that is chosen by what it is; null: nowhere. */
  readonly aim: Aim | null;
  /** One direction stands still in front of its n-th frame or flight, until somebody thaws it; null: it does not. */
  readonly freeze: Freeze | null;
}

export interface Freeze {
  readonly direction: 'up' | 'down';
  readonly unit: number;
}

export interface Aim {
  readonly direction: 'up' | 'down';
  readonly flight: boolean;
  /** Kind of the flight, or type of the frame. */
  readonly type: number;
  /** So many of them pass before. */
  skip: number;
  /** How much of it arrives, below 1. */
  readonly part: number;
  /** Bytes in front of it that do not arrive either. */
  readonly lead: number;
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
  aim: null,
  freeze: null,
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
  /** Sees what goes in, for attackers who listen. */
  tap: ((bytes: Buffer) => void) | null = null;
  /** Sees what is written, and how far it comes. */
  watch: Watch | null = null;
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
  // Behind so many bytes it stands still.
  #freezeAfter = Infinity;
  #cutKind: FaultKind = 'cut at a byte';

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
    if (this.#options.resetOvertakes && this.#stalledUntilMs <= this.#clock.nowMs) {
      if (this.#pieces.length > 0) this.#clock.coverage.count('a RST overtakes bytes');
      this.#pieces = [];
    }
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

  /** To be cut when so many bytes have arrived, or at once if they have. */
  cutAt(bytes: number, kind: FaultKind): void {
    const at = Math.max(bytes, this.passed);
    if (this.#link.healed || at >= this.cutAfter) return;
    this.cutAfter = at;
    this.#cutKind = kind;
  }

  /** Nothing behind so many bytes arrives before thaw(). */
  freezeAt(bytes: number): void {
    this.#freezeAfter = bytes;
  }

  /** Something waits to be thawed. */
  get frozen(): boolean {
    return this.passed >= this.#freezeAfter && this.#pieces.length > 0;
  }

  thaw(): void {
    this.#freezeAfter = Infinity;
    this.#schedule();
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
    if (first === undefined || this.#scheduled || this.dead || this.passed >= this.#freezeAfter) return;
    this.#scheduled = true;
    this.#clock.at(Math.max(first.atMs, this.#stalledUntilMs), this.to.host, () => this.#arrive());
  }

  #arrive(): void {
    if (!this.#scheduled) return;
    this.#scheduled = false;
    for (let first = true; !this.dead && (first || this.#options.together); first = false) {
      const piece = this.#pieces[0];
      if (this.passed >= this.#freezeAfter) break;
      if (piece === undefined || piece.atMs > this.#clock.nowMs || this.#stalledUntilMs > this.#clock.nowMs) break;
      if (this.passed >= this.stallAfter) {
        this.stallAfter = Infinity;
        this.#stalledUntilMs = this.#clock.nowMs + this.#link.fate.stallMs;
        this.#clock.coverage.count('stall, and late delivery');
        break;
      }
      this.#pieces.shift();
      this.#deliver(this.#upToFreeze(piece));
    }
    this.#schedule();
  }

  /** The part of a piece that arrives; what is behind the mark stays. */
  #upToFreeze(piece: Piece): Piece {
    const { atMs, bytes, mark } = piece;
    const size = this.#freezeAfter - this.passed;
    if (bytes === null || bytes.length <= size) return piece;
    this.#pieces.unshift({ atMs, bytes: bytes.subarray(size), mark });
    return { atMs, bytes: bytes.subarray(0, size), mark };
  }

  #deliver(piece: Piece): void {
    if (piece.mark === 'fin') return this.to.receiveEnd();
    if (piece.mark === 'rst') return this.to.fail('ECONNRESET');
    if (this.to.destroyed) return this.#sink();
    const bytes = piece.bytes as Buffer;
    const part = Math.min(bytes.length, this.cutAfter - this.passed);
    this.passed += part;
    this.#count(part);
    if (part > 0) this.to.receive(part === bytes.length ? bytes : bytes.subarray(0, part));
    this.watch?.progress();
    if (this.passed < this.cutAfter) return;
    this.kill();
    this.#link.cut(this.#cutKind);
  }

  #count(bytes: number): void {
    const { coverage } = this.#clock;
    if (bytes === 1) coverage.count('pieces of 1 byte');
    if (bytes >= 32_768) coverage.count('pieces of 32 KiB and more');
    if (this.#options.delayMs >= 100) coverage.count('delay of 100 ms and more');
  }
}

export type LinkKind = 'server' | 'stranger' | 'forger' | 'mute' | 'attacker';

/** All that makes a link, but for its clock and its random numbers. */
export interface LinkPlan {
  readonly client: PipeEnd;
  readonly server: PipeEnd;
  readonly fate: Fate;
  readonly kind: LinkKind;
  readonly options: LaneOptions;
  readonly onCut: () => void;
}

export class Link {
  readonly client: PipeEnd;
  readonly server: PipeEnd;
  readonly up: Lane;
  readonly down: Lane;
  readonly fate: Fate;
  /** Who answers the dial. */
  readonly kind: LinkKind;
  broken: boolean = false;
  healed: boolean = false;
  /** Its aimed cut has been made. */
  aimed: boolean = false;
  /** What the flights on it said: the generation that was dialed, the session, and that both ends have taken it for a circuit. */
  generation: number = 0;
  sessionId: string = '';
  established: boolean = false;
  readonly #clock: Clock;
  readonly #onCut: () => void;
  readonly #together: boolean;

  constructor(plan: LinkPlan, clock: Clock, random: Random) {
    const { client, server, fate, options } = plan;
    this.kind = plan.kind;
    this.client = client;
    this.server = server;
    this.fate = fate;
    this.#clock = clock;
    this.#onCut = plan.onCut;
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
    if (fate.cutAfterMs !== Infinity) clock.after(fate.cutAfterMs, null, () => this.healed || this.cut('cut at a time'));
  }

  /** Nothing has happened to it, and both ends use it. */
  get whole(): boolean {
    return !this.broken && !this.client.destroyed && !this.server.destroyed;
  }

  /** Over: each end that is to learn of it does so in its own time, the others find out by themselves. */
  cut(kind: FaultKind): void {
    if (this.broken) return;
    this.broken = true;
    this.#countCut(kind);
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
    this.healed = true;
    this.up.heal();
    this.down.heal();
  }

  #countCut(kind: FaultKind): void {
    const { coverage } = this.#clock;
    const { tailBytes, clientLearnsMs, serverLearnsMs, how } = this.fate;
    coverage.count(kind);
    if (clientLearnsMs === Infinity) coverage.count('half-open: the client does not learn');
    if (serverLearnsMs === Infinity) coverage.count('half-open: the server does not learn');
    if (clientLearnsMs === Infinity || serverLearnsMs === Infinity) {
      if (tailBytes > 0) coverage.count('half-open: bytes still come behind the cut');
    } else {
      coverage.count(how === 'fin' ? 'end by FIN' : 'end by RST');
    }
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
