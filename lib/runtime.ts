// What the shells take from the world besides sockets: a monotonic clock with alarms, randomness, and two ways to run something soon.
// The simulator passes its own; nothing else in lib reads a clock or makes a timer.
import { randomFillSync } from 'node:crypto';
import { performance } from 'node:perf_hooks';

export interface Runtime {
  /** Monotonic milliseconds. */
  now(): number;
  /** Rings `alarm` once, not before `atMs` and a little later. Arming again moves it. */
  arm(alarm: Alarm, atMs: number): void;
  disarm(alarm: Alarm): void;
  /** A number in [0, 1), for jitter. */
  random(): number;
  /** Unpredictable bytes. */
  randomBytes(size: number): Buffer;
  /** Runs the task behind the code that runs now, before any I/O. */
  defer<T>(task: (argument: T) => void, argument: T): void;
  /** Runs the task after others had their turn at I/O. */
  yield<T>(task: (argument: T) => void, argument: T): void;
}

/** One thing to be woken for. Its owner keeps it and arms it again and again, so that no timer is made per event. */
export class Alarm {
  readonly #task: (now: number, owner: unknown) => void;
  readonly #owner: unknown;
  /** When its owner wants to be woken; Infinity when not armed. */
  dueMs: number = Infinity;
  /** @internal where it sits: the slot's time, and its neighbours */
  slotMs: number = Infinity;
  /** @internal */
  previous: Alarm | null = null;
  /** @internal */
  next: Alarm | null = null;

  constructor(task: (now: number, owner: unknown) => void, owner?: unknown) {
    this.#task = task;
    this.#owner = owner;
  }

  /** One that every session has: its task is a plain function, so that no closure is made. */
  static of<Owner>(owner: Owner, task: (now: number, owner: Owner) => void): Alarm {
    return new Alarm(task as (now: number, owner: unknown) => void, owner);
  }

  ring(now: number): void {
    this.#task(now, this.#owner);
  }
}

const SLOTS = 1024;
const SLOT_MS = 16;

/** Node's timers, or a test's. */
export interface Timers {
  set(task: (wheel: Wheel) => void, ms: number, wheel: Wheel): NodeJS.Timeout;
  clear(timer: NodeJS.Timeout): void;
}

const nodeTimers: Timers = { set: (task, ms, wheel) => setTimeout(task, ms, wheel), clear: (timer) => clearTimeout(timer) };

/** A hashed timer wheel: one Node timer for any number of alarms, set to the next slot that holds one. */
export class Wheel {
  readonly #now: () => number;
  readonly #timers: Timers;
  // A ring of list heads. An alarm further away than one round stays in its slot and is looked at once a round.
  readonly #slots: (Alarm | null)[] = new Array<Alarm | null>(SLOTS).fill(null);
  #armed = 0;
  #turnedMs: number;
  #timer: NodeJS.Timeout | null = null;
  #wakeMs = Infinity;

  constructor(now: () => number, timers: Timers = nodeTimers) {
    this.#now = now;
    this.#timers = timers;
    this.#turnedMs = this.#slotOf(now());
  }

  arm(alarm: Alarm, atMs: number): void {
    alarm.dueMs = atMs;
    const slotMs = Math.max(this.#slotOf(atMs) + SLOT_MS, this.#turnedMs + SLOT_MS);
    // An alarm that moves later stays where it is, and is moved when its slot comes: re-arming costs nothing.
    if (alarm.slotMs <= slotMs) return;
    if (alarm.slotMs !== Infinity) this.#remove(alarm);
    this.#insert(alarm, slotMs);
    if (slotMs < this.#wakeMs) this.#sleep(slotMs);
  }

  disarm(alarm: Alarm): void {
    alarm.dueMs = Infinity;
    if (alarm.slotMs === Infinity) return;
    this.#remove(alarm);
    if (this.#armed === 0) this.#stop();
  }

  #slotOf(ms: number): number {
    return Math.floor(ms / SLOT_MS) * SLOT_MS;
  }

  #insert(alarm: Alarm, slotMs: number): void {
    const index = (slotMs / SLOT_MS) % SLOTS;
    const head = this.#slots[index] as Alarm | null;
    alarm.slotMs = slotMs;
    alarm.previous = null;
    alarm.next = head;
    if (head !== null) head.previous = alarm;
    this.#slots[index] = alarm;
    this.#armed++;
  }

  #remove(alarm: Alarm): void {
    if (alarm.previous === null) this.#slots[(alarm.slotMs / SLOT_MS) % SLOTS] = alarm.next;
    else alarm.previous.next = alarm.next;
    if (alarm.next !== null) alarm.next.previous = alarm.previous;
    alarm.slotMs = Infinity;
    alarm.previous = null;
    alarm.next = null;
    this.#armed--;
  }

  #stop(): void {
    if (this.#timer !== null) this.#timers.clear(this.#timer);
    this.#timer = null;
    this.#wakeMs = Infinity;
  }

  #sleep(slotMs: number): void {
    if (this.#timer !== null) this.#timers.clear(this.#timer);
    this.#wakeMs = slotMs;
    this.#timer = this.#timers.set(turn, Math.max(1, Math.ceil(slotMs - this.#now())), this);
  }

  /** @internal Rings what is due, and sleeps until the next slot that holds an alarm. */
  turn(): void {
    const now = this.#now();
    this.#timer = null;
    this.#wakeMs = Infinity;
    const untilMs = this.#slotOf(now);
    const rounds = Math.min(SLOTS, (untilMs - this.#turnedMs) / SLOT_MS);
    const due: Alarm[] = [];
    for (let i = 0; i < rounds; i++) {
      for (let alarm = this.#slots[((untilMs - i * SLOT_MS) / SLOT_MS) % SLOTS] as Alarm | null; alarm !== null; alarm = alarm.next) {
        if (alarm.slotMs <= untilMs) due.push(alarm);
      }
    }
    this.#turnedMs = Math.max(this.#turnedMs, untilMs);
    // Earliest first. Taken out before any rings: a ring may arm and disarm others.
    due.sort((a, b) => a.dueMs - b.dueMs);
    for (const alarm of due) this.#remove(alarm);
    let rung = 0;
    try {
      while (rung < due.length) this.#ring(due[rung++] as Alarm, now);
    } finally {
      // One that throws must not silence the others: they ring at the next turn.
      for (const alarm of due.slice(rung)) if (alarm.slotMs === Infinity) this.arm(alarm, alarm.dueMs);
      if (this.#armed > 0) this.#sleep(Math.min(this.#wakeMs, this.#nextSlot()));
    }
  }

  #ring(alarm: Alarm, now: number): void {
    const dueMs = alarm.dueMs;
    if (dueMs === Infinity || alarm.slotMs !== Infinity) return;
    if (dueMs > now) {
      this.arm(alarm, dueMs);
      return;
    }
    alarm.dueMs = Infinity;
    alarm.ring(now);
  }

  #nextSlot(): number {
    let nextMs = this.#turnedMs + SLOTS * SLOT_MS;
    for (let i = 1; i <= SLOTS; i++) {
      const slotMs = this.#turnedMs + i * SLOT_MS;
      if (this.#slots[(slotMs / SLOT_MS) % SLOTS] !== null) {
        nextMs = slotMs;
        break;
      }
    }
    return nextMs;
  }
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
  const bytes = Buffer.from(randomPool.subarray(randomAt, randomAt + size));
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
  arm: (alarm, atMs) => wheel.arm(alarm, atMs),
  disarm: (alarm) => wheel.disarm(alarm),
  random: () => Math.random(),
  randomBytes: pooledRandomBytes,
  defer: (task, argument) => process.nextTick(task, argument),
  yield: (task, argument) => {
    setImmediate(task, argument);
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
