// Root hook of every mocha run: after each top-level suite nothing may be left over that the suite has opened.
// It counts what keeps a process alive (sockets, servers, timers, child processes), timers that do not (unref), listeners on
// `process`, and warnings such as MaxListenersExceededWarning. A leak fails the suite that made it, by name.

import type { RootHookObject, Suite } from 'mocha';

type Counts = ReadonlyMap<string, number>;

/** What exists now: resource kinds and process listeners with their numbers. */
export interface Census {
  readonly resources: Counts;
  readonly listeners: Counts;
  readonly timers: number;
}

/** How long a closed handle may take to disappear. Not a measure of anything: a leak fails after it, a clean suite ends at once. */
const GRACE_TURNS = 400;
const nodeSetTimeout: typeof setTimeout = globalThis.setTimeout;
/** Weak, and kept after a timer has fired: refresh() may arm it again. */
const timers: Set<WeakRef<TrackedTimer>> = new Set();
const warnings: string[] = [];

interface TrackedTimer {
  /** Node's own mark of a timer that has fired for the last time or was cleared. */
  readonly _destroyed?: boolean;
}

/** Counts what is open now. */
export function census(): Census {
  const resources = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) {
    // The check itself runs on immediates; a terminal is not ours.
    if (kind !== 'Immediate' && kind !== 'TTYWrap') resources.set(kind, (resources.get(kind) ?? 0) + 1);
  }
  const listeners = new Map<string, number>();
  for (const name of process.eventNames()) listeners.set(String(name), process.listenerCount(name));
  return { resources, listeners, timers: liveTimers() };
}

/** Names everything in `now` that exceeds `before`; empty when clean. */
export function leftovers(before: Census, now: Census): string[] {
  const found: string[] = [];
  for (const [kind, count] of now.resources) {
    const extra = count - (before.resources.get(kind) ?? 0);
    if (extra > 0) found.push(`${extra} × ${kind}`);
  }
  for (const [name, count] of now.listeners) {
    const extra = count - (before.listeners.get(name) ?? 0);
    if (extra > 0) found.push(`${extra} × process listener '${name}'`);
  }
  if (now.timers > before.timers) found.push(`${now.timers - before.timers} × timer`);
  return found;
}

/** Waits for closing handles to go; resolves with what stays. */
export async function finishesCleanly(before: Census): Promise<string[]> {
  let found = leftovers(before, census());
  for (let turn = 0; turn < GRACE_TURNS && found.length > 0; turn++) {
    await new Promise((resolve) => (turn < GRACE_TURNS / 2 ? setImmediate(resolve) : nodeSetTimeout(resolve, 5)));
    found = leftovers(before, census());
  }
  return found;
}

export const mochaHooks: RootHookObject = {
  beforeAll(this: Mocha.Context): void {
    this.timeout(0);
    trackTimers();
    process.on('warning', (warning) => {
      if (warning.name !== 'ExperimentalWarning' && warning.name !== 'DeprecationWarning')
        warnings.push(`${warning.name}: ${warning.message}`);
    });
    // Both streams open their handle at first use.
    process.stdout.write('');
    process.stderr.write('');
    for (const suite of this.test?.parent?.suites ?? []) guard(suite);
  },
};

/** The check is added when the run begins, so it is the suite's last hook: its own `after` hooks have had their turn. */
function guard(suite: Suite): void {
  let before: Census;
  suite.beforeAll(function takeCensus() {
    before = census();
    warnings.length = 0;
  });
  // A suite's own `before` hooks were defined earlier and would otherwise run ahead of the census.
  const hooks = (suite as unknown as { _beforeAll: unknown[] })._beforeAll;
  hooks.unshift(hooks.pop());
  suite.afterAll(async function finishesCleanlyHook() {
    await undefined;
    // Mocha's own time limit of this hook is a timer too; it is set when the promise is returned.
    this.runnable().clearTimeout();
    const found = [...(await finishesCleanly(before)), ...warnings];
    if (found.length > 0) throw new Error(`'${suite.title}' does not finish cleanly, left over: ${found.join(', ')}`);
  });
}

/** Timers that were unref'd are in no list of Node's: note them where they are made. */
function trackTimers(): void {
  for (const name of ['setTimeout', 'setInterval'] as const) {
    const make = globalThis[name] as (...args: unknown[]) => TrackedTimer;
    const tracked = (...args: unknown[]): TrackedTimer => {
      const timer = make(...args);
      timers.add(new WeakRef(timer));
      if (timers.size % 4096 === 0) liveTimers();
      return timer;
    };
    Object.assign(globalThis, { [name]: Object.assign(tracked, make) });
  }
}

function liveTimers(): number {
  let live = 0;
  for (const reference of timers) {
    const timer = reference.deref();
    if (timer === undefined) timers.delete(reference);
    else if (timer._destroyed !== true) live += 1;
  }
  return live;
}
