// Coverage: what an execution reached, from V8's precise block coverage, in this process and without a native addon.
// Features come out: for each function the set of its blocks that did not run. A new one means a new way through the function.

import { type Profiler, Session } from 'node:inspector';

/** Ways through one function that count. More of them tell paths apart and no longer what is reached. */
const FEATURES_PER_FUNCTION = 48;

/** Begins with its making. Of code that ran before only whole functions are counted: make it before what it shall see is loaded. */
export class Coverage {
  readonly #session = new Session();

  constructor() {
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Features of what ran since the last call in scripts whose URL matches. */
  take(files: RegExp): Set<string> {
    const taken = new Set<string>();
    const { result } = this.#post('Profiler.takePreciseCoverage') as Profiler.TakePreciseCoverageReturnType;
    for (const { url, scriptId, functions } of result) {
      if (!files.test(url)) continue;
      for (const { ranges } of functions) {
        const [whole] = ranges;
        if (whole === undefined || whole.count === 0) continue;
        let missed = '';
        for (const { startOffset, endOffset, count } of ranges) if (count === 0) missed += `,${startOffset}-${endOffset}`;
        taken.add(`${scriptId}:${whole.startOffset}${missed}`);
      }
    }
    return taken;
  }

  stop(): void {
    this.#session.disconnect();
  }

  #post(method: string, parameters?: object): unknown {
    let answer: unknown;
    // The inspector answers within the call.
    this.#session.post(method, parameters, (error: Error | null, result?: unknown) => {
      if (error !== null) throw error;
      answer = result;
    });
    return answer;
  }
}

/** The features that a search has seen. */
export class Reached {
  readonly #ways = new Map<string, Set<string>>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Those of `taken` that were not seen before. */
  fresh(taken: ReadonlySet<string>): string[] {
    return [...taken].filter((feature) => {
      const ways = this.#ways.get(functionOf(feature));
      return ways === undefined || (ways.size < FEATURES_PER_FUNCTION && !ways.has(feature));
    });
  }

  see(features: Iterable<string>): void {
    for (const feature of features) {
      const name = functionOf(feature);
      const ways = this.#ways.get(name);
      if (ways === undefined) this.#ways.set(name, new Set([feature]));
      else if (!ways.has(feature)) ways.add(feature);
      else continue;
      this.#count++;
    }
  }
}

function functionOf(feature: string): string {
  const comma = feature.indexOf(',');
  return comma < 0 ? feature : feature.slice(0, comma);
}
