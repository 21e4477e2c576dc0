// What the dialing side wants of a listening one, said in the metadata of its session: the usual target, another one of the allow-list, or
// a report for the doctor. JSON, so that more can be said later; what is not understood is refused.

import { type Place, place, showPlace, UsageError } from '../values.ts';

export type Request = { readonly to?: string } | { readonly ask: 'report' };

/** What a listening end tells the doctor. */
export interface Report {
  readonly version: string;
  readonly holdMs: number;
  readonly heartbeatMs: number;
  readonly window: number;
  readonly target: string;
  /** Empty: the target takes connections. */
  readonly targetError: string;
  readonly targetMs: number;
  readonly sessions: number;
}

export function requestBytes(request: Request): Buffer {
  return !('ask' in request) && request.to === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(request));
}

/** @throws UsageError for the other end */
export function parseRequest(metadata: Buffer): Request {
  if (metadata.length === 0) return {};
  try {
    const value = JSON.parse(metadata.toString()) as { to?: unknown; ask?: unknown } | null;
    if (value?.ask === 'report') return { ask: 'report' };
    if (typeof value?.to === 'string') return { to: value.to };
  } catch {
    // Told below.
  }
  throw new UsageError('the request is not understood here: is this end older than the other?');
}

/** The first one is what connections without a wish go to. */
export class Targets {
  readonly #allowed: ReadonlyMap<string, Place>;
  readonly #usual: Place | undefined;

  constructor(usual: string | undefined, allowed: readonly string[]) {
    const all = [...(usual === undefined ? [] : [usual]), ...allowed].map((text) => place('a target', text));
    if (all.length === 0) throw new UsageError('--to or --allow must name a target');
    this.#usual = usual === undefined ? undefined : all[0];
    this.#allowed = new Map(all.map((where) => [showPlace(where), where]));
  }

  get names(): readonly string[] {
    return [...this.#allowed.keys()];
  }

  /** @throws UsageError for the other end, where it is not allowed */
  choose(wanted: string | undefined): Place {
    if (wanted === undefined) {
      if (this.#usual === undefined) throw new UsageError('there is no usual target here: name one with --target');
      return this.#usual;
    }
    const found = this.#allowed.get(showPlace(place('--target', wanted)));
    if (found === undefined) throw new UsageError(`the target ${wanted.slice(0, 200)} is not on the list of this end (--allow)`);
    return found;
  }
}
