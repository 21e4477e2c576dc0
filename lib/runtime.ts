// What the shells take from the world besides sockets: a monotonic clock with alarms, randomness, and two ways to run something soon.
// The simulator passes its own; nothing else in lib reads a clock or makes a timer.
import { randomFillSync } from 'node:crypto';
import { performance } from 'node:perf_hooks';

export interface Runtime {
  /** Monotonic milliseconds. */
  now(): number;
  /** Rings `sleeper` once, not before `atMs` and a little later. Arming again moves it. */
  arm(sleeper: Sleeper, atMs: number): void;
  disarm(sleeper: Sleeper): void;
  /** A number in [0, 1), for jitter. */
  random(): number;
  /** Unpredictable bytes. */
  randomBytes(size: number): Buffer;
  /** Runs the task behind the code that runs now, before any I/O. */
  defer<T>(task: (argument: T) => void, argument: T): void;
  /** Runs the task after others had their turn at I/O. */
  yield<T>(task: (argument: T) => void, argument: T): void;
  /** Runs the task after so many milliseconds, where an alarm would be too coarse. It cannot be stopped. */
  after<T>(ms: number, task: (argument: T) => void, argument: T): void;
}

/** What can be woken, and armed again and again, so that no timer is made per event. Every session is one. */
export abstract class Sleeper {
  /** When it wants to be woken; Infinity when not armed. */
  dueMs: number = Infinity;
  /** @internal where it sits: the number of the slot, counted from the clock's zero, or -1; and its neighbours */
  slot: number = -1;
  /** @internal */
  previous: Sleeper | null = null;
  /** @internal */
  next: Sleeper | null = null;

  abstract ring(now: number): void;
}

/** A sleeper with a task of its own. */
export class Alarm extends Sleeper {
  readonly #task: (now: number) => void;

  constructor(task: (now: number) => void) {
    super();
    this.#task = task;
  }

  override ring(now: number): void {
    this.#task(now);
  }
}

const SLOTS = 1024;
const SLOT_MS = 16;
/** So many ring before others get a turn at I/O. */
const RINGS_MOST = 128;

/** Node's timers, or a test's. */
export interface Timers {
  set(task: (wheel: Wheel) => void, ms: number, wheel: Wheel): NodeJS.Timeout;
  clear(timer: NodeJS.Timeout): void;
}

const nodeTimers: Timers = { set: (task, ms, wheel) => setTimeout(task, ms, wheel), clear: (timer) => clearTimeout(timer) };

/** A hashed timer wheel: one Node timer for any number of sleepers, set to the next slot that holds one. */
export class Wheel {
  readonly #now: () => number;
  readonly #timers: Timers;
  // A ring of list heads. A sleeper further away than one round stays in its slot and is looked at once a round.
  readonly #slots: (Sleeper | null)[] = new Array<Sleeper | null>(SLOTS).fill(null);
  #armed = 0;
  /** The slot that was turned to last. */
  #turned: number;
  #timer: NodeJS.Timeout | null = null;
  #wakeSlot = Infinity;
  /** Taken out of their slots, earliest first, and not rung yet. */
  readonly #due: Sleeper[] = [];

  constructor(now: () => number, timers: Timers = nodeTimers) {
    this.#now = now;
    this.#timers = timers;
    this.#turned = slotOf(now());
  }

  arm(sleeper: Sleeper, atMs: number): void {
    if (atMs === Infinity) return this.disarm(sleeper);
    sleeper.dueMs = atMs;
    const slot = Math.max(slotOf(atMs), this.#turned) + 1;
    // One that moves later stays where it is, and is moved when its slot comes: re-arming costs nothing.
    if (sleeper.slot >= 0) {
      if (sleeper.slot <= slot) return;
      this.#remove(sleeper);
    }
    this.#insert(sleeper, slot);
    if (slot < this.#wakeSlot) this.#sleep(slot);
  }

  disarm(sleeper: Sleeper): void {
    sleeper.dueMs = Infinity;
    if (sleeper.slot < 0) return;
    this.#remove(sleeper);
    if (this.#armed + this.#due.length === 0) this.#stop();
  }

  #insert(sleeper: Sleeper, slot: number): void {
    const head = this.#slots[slot % SLOTS] as Sleeper | null;
    sleeper.slot = slot;
    sleeper.previous = null;
    sleeper.next = head;
    if (head !== null) head.previous = sleeper;
    this.#slots[slot % SLOTS] = sleeper;
    this.#armed++;
  }

  #remove(sleeper: Sleeper): void {
    if (sleeper.previous === null) this.#slots[sleeper.slot % SLOTS] = sleeper.next;
    else sleeper.previous.next = sleeper.next;
    if (sleeper.next !== null) sleeper.next.previous = sleeper.previous;
    sleeper.slot = -1;
    sleeper.previous = null;
    sleeper.next = null;
    this.#armed--;
  }

  #stop(): void {
    if (this.#timer !== null) this.#timers.clear(this.#timer);
    this.#timer = null;
    this.#wakeSlot = Infinity;
  }

  #sleep(slot: number): void {
    if (this.#timer !== null) this.#timers.clear(this.#timer);
    this.#wakeSlot = slot;
    this.#timer = this.#timers.set(turn, Math.max(1, Math.ceil(slot * SLOT_MS - this.#now())), this);
  }

  /** @internal Rings what is due, and sleeps until the next slot that holds a sleeper. */
  turn(): void {
    const now = this.#now();
    this.#timer = null;
    this.#wakeSlot = Infinity;
    this.#collect(slotOf(now));
    const due = this.#due;
    let rung = 0;
    try {
      while (rung < due.length && rung < RINGS_MOST) this.#ring(due[rung++] as Sleeper, now);
    } finally {
      // One that throws does not silence the others: they ring at the next turn.
      due.splice(0, rung);
      if (due.length > 0) this.#sleep(this.#turned);
      else if (this.#armed > 0) this.#sleep(Math.min(this.#wakeSlot, this.#nextSlot()));
      else this.#stop();
    }
  }

  /** Takes out what is due before any of it rings: a ring may arm and disarm others. */
  #collect(until: number): void {
    const rounds = Math.min(SLOTS, until - this.#turned);
    const found: Sleeper[] = [];
    for (let i = 0; i < rounds; i++) {
      for (let sleeper = this.#slots[(until - i) % SLOTS] as Sleeper | null; sleeper !== null; sleeper = sleeper.next) {
        if (sleeper.slot <= until) found.push(sleeper);
      }
    }
    this.#turned = Math.max(this.#turned, until);
    found.sort((a, b) => a.dueMs - b.dueMs);
    for (const sleeper of found) {
      this.#remove(sleeper);
      this.#due.push(sleeper);
    }
  }

  #ring(sleeper: Sleeper, now: number): void {
    const dueMs = sleeper.dueMs;
    if (dueMs === Infinity || sleeper.slot >= 0) return;
    if (dueMs > now) {
      this.arm(sleeper, dueMs);
      return;
    }
    sleeper.dueMs = Infinity;
    sleeper.ring(now);
  }

  #nextSlot(): number {
    for (let slot = this.#turned + 1; slot < this.#turned + SLOTS; slot++) if (this.#slots[slot % SLOTS] !== null) return slot;
    return this.#turned + SLOTS;
  }
}

function slotOf(ms: number): number {
  return Math.floor(ms / SLOT_MS);
}

function turn(wheel: Wheel): void {
  wheel.turn();
}

// randomBytes(16) costs 2.4 µs, a slice of a filled pool 0.1 µs.
const RANDOM_POOL_BYTES = 4096;
let randomPool = Buffer.alloc(0);
let randomAt = 0;

function pooledRandomBytes(size: number): Buffer {
  if (randomAt + size > randomPool.length) {
    randomPool = randomFillSync(Buffer.allocUnsafeSlow(Math.max(RANDOM_POOL_BYTES, size)));
    randomAt = 0;
  }
  const bytes = Buffer.allocUnsafe(size);
  randomPool.copy(bytes, 0, randomAt, randomAt + size);
  // Used randomness does not stay in memory.
  randomPool.fill(0, randomAt, randomAt + size);
  randomAt += size;
  return bytes;
}

const now = (): number => performance.now();
const wheel = new Wheel(now);

/** The real world: one per process, so that all sessions share one timer. */
export const processRuntime: Runtime = {
  now,
  arm: (sleeper, atMs) => wheel.arm(sleeper, atMs),
  disarm: (sleeper) => wheel.disarm(sleeper),
  random: () => Math.random(),
  randomBytes: pooledRandomBytes,
  defer: (task, argument) => process.nextTick(task, argument),
  yield: (task, argument) => {
    setImmediate(task, argument);
  },
  after: (ms, task, argument) => {
    setTimeout(task, ms, argument);
  },
};

/** Waits; rejects with the signal's reason when it is aborted. */
export function delay(runtime: Runtime, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const alarm = new Alarm(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    const onAbort = (): void => {
      runtime.disarm(alarm);
      reject(signal?.reason);
    };
    if (signal?.aborted) return reject(signal.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    runtime.arm(alarm, runtime.now() + ms);
  });
}
