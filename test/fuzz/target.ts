// What a fuzz target is, and what its findings are.

export interface FuzzTarget {
  readonly name: string;
  /** What goes in, and what must hold, in one line. */
  readonly what: string;
  /** Scripts whose coverage guides. */
  readonly files: RegExp;
  /** Where the search begins: valid inputs, so that it need not guess formats. */
  readonly seeds: () => readonly Buffer[];
  readonly tokens: readonly Buffer[];
  readonly mostBytes: number;
  /** Outcomes that the kept inputs must lead to: a target that never gets that far finds nothing there. */
  readonly wanted: readonly string[];
  /** Runs one input, and adds what it led to. @throws Finding where a promise is broken; whatever else it throws is a finding as well. */
  run(input: Buffer, outcomes: Set<string>): void | Promise<void>;
}

/** A broken promise, with the input that breaks it. */
export class Finding extends Error {
  override readonly name: string = 'Finding';
}

export function check(condition: boolean, promise: string): asserts condition {
  if (!condition) throw new Finding(promise);
}
