// Fuzzer: a coverage-guided search for inputs that break what a target promises, or that take more time or memory than bytes may.
// Inputs that reach something new are kept: the corpus.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Random } from '../../lib/testing/random.ts';
import { type Coverage, Reached } from './coverage.ts';
import { Mutator } from './mutator.ts';
import type { FuzzTarget } from './target.ts';

/** One input blocks the process no longer than this. */
export const BLOCK_MS = 50;
/** A slow machine is slow by chance, and a slow input each time: the best of so many tries counts. */
const TRIES = 5;
/** What the process may hold more than when it began, once garbage is gone. */
export const GROWN_BYTES: number = 32 * 1024 * 1024;
/** Inputs between two looks at the coverage: a look costs as much as several of them. */
const BATCH = 64;
const TRIM_RUNS = 48;
const MEMORY_CHECK_MS = 2_000;

export interface FuzzOptions {
  readonly coverage: Coverage;
  readonly seconds: number;
  readonly seed: number;
  readonly corpus: readonly Buffer[];
  /** Kept inputs lose the bytes that they do not need: takes long, and is for a corpus that is to stay. Default false. */
  readonly trim?: boolean;
  readonly progress: (text: string) => void;
}

export interface FuzzOutcome {
  readonly runs: number;
  readonly features: number;
  readonly corpus: readonly Buffer[];
  readonly failure: FuzzFailure | null;
}

export interface FuzzFailure {
  readonly input: Buffer;
  readonly error: Error;
}

/** Runs one input against all oracles. @returns what it broke, or null */
export async function judge(target: FuzzTarget, input: Buffer, outcomes: Set<string> = new Set()): Promise<Error | null> {
  let bestMs = Infinity;
  for (let left = TRIES; left > 0 && bestMs > BLOCK_MS; left--) {
    const strayed = watch();
    const beganAt = performance.now();
    try {
      const running = target.run(Buffer.from(input), outcomes);
      if (running !== undefined) await running;
    } catch (thrown) {
      return thrown instanceof Error ? thrown : new Error(String(thrown));
    } finally {
      strayed.stop();
    }
    if (strayed.error !== null) return strayed.error;
    bestMs = Math.min(bestMs, performance.now() - beganAt);
  }
  return bestMs > BLOCK_MS ? new Error(`blocks for ${bestMs.toFixed(0)} ms, the best of ${TRIES}`) : null;
}

export function fuzz(target: FuzzTarget, options: FuzzOptions): Promise<FuzzOutcome> {
  return new Search(target, options).run();
}

class Search {
  readonly #target: FuzzTarget;
  readonly #options: FuzzOptions;
  readonly #reached = new Reached();
  readonly #mutator: Mutator;
  readonly #corpus: Buffer[] = [];
  #runs = 0;
  #baseBytes = 0;

  constructor(target: FuzzTarget, options: FuzzOptions) {
    this.#target = target;
    this.#options = options;
    this.#mutator = new Mutator(new Random(options.seed), target.tokens, target.mostBytes);
  }

  async run(): Promise<FuzzOutcome> {
    const { seconds, corpus, progress } = this.#options;
    for (const input of [...this.#target.seeds(), ...corpus]) {
      const failure = await this.#meet([input]);
      if (failure !== null) return this.#outcome(failure);
    }
    if (this.#corpus.length === 0) this.#corpus.push(Buffer.alloc(1));
    this.#baseBytes = heldBytes();
    const untilMs = performance.now() + seconds * 1000;
    let checkAtMs = performance.now() + MEMORY_CHECK_MS;
    while (performance.now() < untilMs) {
      const failure = await this.#meet(Array.from({ length: BATCH }, () => this.#mutator.next(this.#corpus)));
      if (failure !== null) return this.#outcome(failure);
      if (performance.now() < checkAtMs) continue;
      checkAtMs = performance.now() + MEMORY_CHECK_MS;
      const grownBytes = heldBytes() - this.#baseBytes;
      progress(`${this.#target.name}: ${this.#runs} runs, ${this.#reached.count} features, corpus ${this.#corpus.length}`);
      if (grownBytes > GROWN_BYTES)
        return this.#outcome({ input: Buffer.alloc(0), error: new Error(`the process holds ${grownBytes} bytes more than when it began`) });
    }
    return this.#outcome(null);
  }

  /** Runs the inputs, and one look at what they reached; where it is new each half by itself, down to the input that did it. */
  async #meet(inputs: readonly Buffer[]): Promise<FuzzFailure | null> {
    this.#look();
    for (const input of inputs) {
      const failure = await this.#judge(input);
      if (failure !== null) return failure;
    }
    const taken = this.#look();
    const fresh = this.#reached.fresh(taken);
    if (fresh.length === 0) return null;
    if (inputs.length === 1) return this.#keep(inputs[0] as Buffer, taken, fresh);
    const half = inputs.length >> 1;
    return (await this.#meet(inputs.slice(0, half))) ?? (await this.#meet(inputs.slice(half)));
  }

  async #keep(input: Buffer, taken: ReadonlySet<string>, fresh: readonly string[]): Promise<FuzzFailure | null> {
    this.#reached.see(taken);
    const trimmed = this.#options.trim === true ? await this.#trim(input, fresh) : input;
    if (!Buffer.isBuffer(trimmed)) return trimmed;
    this.#corpus.push(trimmed);
    return null;
  }

  /** Takes out what is not needed to reach `wanted`: halves first, single bytes last. */
  async #trim(input: Buffer, wanted: readonly string[]): Promise<Buffer | FuzzFailure> {
    let best = input;
    let runs = TRIM_RUNS;
    for (let size = Math.ceil(input.length / 2); size >= 1 && runs > 0; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let at = best.length - size; at >= 0 && runs > 0; at -= size) {
        const shorter = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
        runs--;
        this.#look();
        const failure = await this.#judge(shorter);
        if (failure !== null) return failure;
        const reached = this.#look();
        if (wanted.every((feature) => reached.has(feature))) best = shorter;
      }
    }
    return best;
  }

  /** What ran since the last look. */
  #look(): Set<string> {
    return this.#options.coverage.take(this.#target.files);
  }

  async #judge(input: Buffer): Promise<FuzzFailure | null> {
    this.#runs++;
    const error = await judge(this.#target, input);
    return error === null ? null : { input, error };
  }

  #outcome(failure: FuzzFailure | null): FuzzOutcome {
    return { runs: this.#runs, features: this.#reached.count, corpus: this.#corpus, failure };
  }
}

interface Stray {
  error: Error | null;
  stop(): void;
}

/** Errors that go past the target's own code: out of a callback, or of a promise that nobody waits for. */
function watch(): Stray {
  const stray: Stray = {
    error: null,
    stop: () => {
      process.removeListener('uncaughtException', onError);
      process.removeListener('unhandledRejection', onError);
    },
  };
  const onError = (error: unknown): void => {
    stray.error = error instanceof Error ? error : new Error(String(error));
  };
  process.on('uncaughtException', onError);
  process.on('unhandledRejection', onError);
  return stray;
}

let collect: (() => void) | undefined;

/** Bytes in use behind a collection of garbage. */
function heldBytes(): number {
  if (collect === undefined) {
    setFlagsFromString('--expose_gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
