// Virtual time: one queue of events for a whole world, and for each simulated process (Host) a Runtime that lives in it.
// Events run one at a time; behind each come the tasks it deferred and every microtask, as Node does it. Nothing here reads a real clock.

import type { Alarm, Runtime } from '../../lib/runtime.ts';
import { Random } from '../../lib/testing/random.ts';
import { Coverage } from './coverage.ts';
import type { Trace } from './trace.ts';

interface Entry {
  atMs: number;
  /** Order among entries of the same time. */
  readonly serial: number;
  /** A suspended process gets its alarms before its I/O or behind it, as its world has it. */
  readonly alarm: boolean;
  readonly host: Host | null;
  task: (() => void) | null;
}

/** More than any seed needs: a world that reaches this runs in circles. */
const EVENTS_MOST = 5_000_000;

export class Clock {
  /** Virtual milliseconds since the world began. */
  nowMs: number = 0;
  /** Events run so far. */
  events: number = 0;
  readonly trace: Trace;
  readonly coverage: Coverage = new Coverage();
  readonly #heap: Entry[] = [];
  readonly #deferred: (() => void)[] = [];
  #serial = 0;

  constructor(trace: Trace) {
    this.trace = trace;
  }

  /** Runs `task` at that time, on that host: later if it is suspended, never if it is dead. */
  at(atMs: number, host: Host | null, task: () => void, alarm: boolean = false): Entry {
    const entry: Entry = { atMs: Math.max(atMs, this.nowMs), serial: this.#serial++, alarm, host, task };
    this.#push(entry);
    return entry;
  }

  after(ms: number, host: Host | null, task: () => void): Entry {
    return this.at(this.nowMs + ms, host, task);
  }

  cancel(entry: Entry): void {
    entry.task = null;
  }

  /** Behind the code that runs now, before the next event. */
  defer(task: () => void): void {
    this.#deferred.push(task);
  }

  /** Waits in virtual time. On a dead host it waits for ever. */
  sleep(host: Host | null, ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.at(this.nowMs + ms, host, resolve);
    });
  }

  /** Runs events until none is left, `done` says so, or the time is over. Rejects with what an event throws. */
  run(untilMs: number, done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = (): void => {
        try {
          if (this.#deferred.length === 0 && !this.#next(untilMs, done)) return resolve();
          this.#drain();
        } catch (error) {
          return reject(error);
        }
        // Microtasks are all run before Node turns to the next tick: the tick is asked for in a microtask of this step.
        queueMicrotask(post);
      };
      const post = (): void => process.nextTick(step);
      // One empty step first: what was begun outside gets its microtasks.
      queueMicrotask(post);
    });
  }

  #drain(): void {
    for (let i = 0; i < this.#deferred.length; i++) (this.#deferred[i] as () => void)();
    this.#deferred.length = 0;
  }

  #next(untilMs: number, done: () => boolean): boolean {
    if (done()) return false;
    for (let entry = this.#heap[0]; entry !== undefined; entry = this.#heap[0]) {
      if (entry.task !== null && entry.atMs > untilMs) break;
      this.#pop();
      const { host, task } = entry;
      if (task === null || host?.dead === true) continue;
      if (host !== null && host.suspendedUntilMs > entry.atMs) {
        entry.atMs = host.wakesAt(entry.alarm);
        this.#push(entry);
        continue;
      }
      this.nowMs = Math.max(this.nowMs, entry.atMs);
      entry.task = null;
      if (++this.events > EVENTS_MOST) throw new Error(`the world runs in circles: ${EVENTS_MOST} events by ${this.nowMs} ms`);
      task();
      return true;
    }
    if (untilMs !== Infinity) this.nowMs = Math.max(this.nowMs, untilMs);
    return false;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up] as Entry;
      if (!before(entry, parent)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Entry;
    const { length } = heap;
    if (length === 0) return;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= length) break;
      if (child + 1 < length && before(heap[child + 1] as Entry, heap[child] as Entry)) child++;
      if (!before(heap[child] as Entry, last)) break;
      heap[at] = heap[child] as Entry;
      at = child;
    }
    heap[at] = last;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.serial < b.serial);
}

export interface HostOptions {
  /** An alarm rings up to so much late. */
  readonly alarmSlackMs: number;
  /** After a suspension alarms ring before what the network brought. */
  readonly alarmsFirst: boolean;
}

/** One simulated process: its own monotonic clock, alarms and randomness. It can be suspended, and die. */
export class Host implements Runtime {
  readonly name: string;
  dead: boolean = false;
  suspendedUntilMs: number = 0;
  readonly #clock: Clock;
  readonly #options: HostOptions;
  readonly #random: Random;
  readonly #slack: Random;
  // Monotonic clocks begin anywhere: a time of one process means nothing in another.
  readonly #epochMs: number;
  // What steps have added to this process's clock, and what it has lost in suspensions.
  #skewMs = 0;
  #toldMs = 0;
  readonly #armed = new Map<Alarm, Entry>();

  constructor(name: string, clock: Clock, random: Random, options: HostOptions) {
    this.name = name;
    this.#clock = clock;
    this.#options = options;
    this.#random = new Random(random.integer(0, 0x7fffffff));
    this.#slack = new Random(random.integer(0, 0x7fffffff));
    this.#epochMs = random.integer(1, 1_000_000_000);
  }

  /** Alarms that are armed. */
  get armed(): number {
    return this.#armed.size;
  }

  now(): number {
    // Monotonic, whatever happens to it.
    this.#toldMs = Math.max(this.#toldMs, this.#clock.nowMs + this.#epochMs + this.#skewMs);
    return this.#toldMs;
  }

  arm(alarm: Alarm, atMs: number): void {
    if (this.dead) return;
    this.disarm(alarm);
    alarm.dueMs = atMs;
    const lateMs = this.#options.alarmSlackMs === 0 ? 0 : this.#slack.integer(0, this.#options.alarmSlackMs);
    const dueMs = this.#worldMs(atMs);
    const ring = (): void => {
      if (this.#clock.nowMs > dueMs + 1) this.#clock.coverage.count('late alarm');
      this.#armed.delete(alarm);
      alarm.dueMs = Infinity;
      alarm.ring(this.now());
    };
    this.#armed.set(alarm, this.#clock.at(dueMs + lateMs, this, ring, true));
  }

  disarm(alarm: Alarm): void {
    alarm.dueMs = Infinity;
    const entry = this.#armed.get(alarm);
    if (entry === undefined) return;
    this.#clock.cancel(entry);
    this.#armed.delete(alarm);
  }

  random(): number {
    return this.#random.next();
  }

  randomBytes(size: number): Buffer {
    return this.#random.bytes(size);
  }

  defer<T>(task: (argument: T) => void, argument: T): void {
    this.#clock.defer(() => {
      if (!this.dead) task(argument);
    });
  }

  yield<T>(task: (argument: T) => void, argument: T): void {
    this.after(0, task, argument);
  }

  after<T>(ms: number, task: (argument: T) => void, argument: T): void {
    this.#clock.at(this.#clock.nowMs + ms, this, () => task(argument));
  }

  /**
   * Stops everything here for a while, as SIGSTOP does: nothing rings, nothing is read.
   * @param clockStops the clock stands still as well, as in a machine that sleeps
   */
  suspend(ms: number, clockStops: boolean = false): void {
    const { coverage, nowMs } = this.#clock;
    coverage.count(this.name === 'server' ? 'server suspended' : 'client suspended');
    const untilMs = Math.max(this.suspendedUntilMs, nowMs + ms);
    if (clockStops) {
      coverage.count('clock stood still in a suspension');
      this.#step(Math.max(nowMs, this.suspendedUntilMs) - untilMs);
    }
    this.suspendedUntilMs = untilMs;
  }

  /** The clock jumps ahead, as where a virtual machine was moved: what was due meanwhile rings late. */
  stepForward(ms: number): void {
    this.#clock.coverage.count('clock stepped forward');
    this.#step(ms);
  }

  #step(ms: number): void {
    this.#skewMs += ms;
    for (const alarm of [...this.#armed.keys()]) this.arm(alarm, alarm.dueMs);
  }

  /** When the world has that time of this process's clock. */
  #worldMs(atMs: number): number {
    return atMs - this.#epochMs - this.#skewMs;
  }

  /** When a suspended process gets to this. */
  wakesAt(alarm: boolean): number {
    return this.suspendedUntilMs + (alarm === this.#options.alarmsFirst ? 0 : 0.25);
  }

  /** The process is gone, and with it all that it would have done. */
  die(): void {
    this.dead = true;
    this.#armed.clear();
  }
}
