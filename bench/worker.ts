// One end of one peer, a process of its own that stays up over all rounds, so that its code is warm. Takes orders from main over IPC:
// load a peer, begin a side of a workload, and later finish it.

import { setFlagsFromString } from 'node:v8';
import type { Endpoint, Peer } from './peer.ts';
import { type Side, sideOf } from './workloads/sides.ts';

export type Order =
  | { readonly do: 'load'; readonly module: string; readonly variant: string }
  | { readonly do: 'serve'; readonly workload: string; readonly options: Options }
  | { readonly do: 'run'; readonly workload: string; readonly options: Options; readonly endpoint: Endpoint }
  | { readonly do: 'ask'; readonly question: string }
  | { readonly do: 'finish' };

export type Options = Readonly<Record<string, number>>;
/** What a side found out: plain numbers. */
export type Figures = Readonly<Record<string, number>>;
export type Answer = { readonly ok: Figures & { readonly endpoint?: Endpoint } } | { readonly failed: string };

/** A side of a workload between `serve` and `finish`. */
export interface Serving {
  readonly endpoint: Endpoint;
  ask?(question: string): Promise<Figures>;
  finish(): Promise<Figures>;
}

setFlagsFromString('--expose-gc');
let peer: Peer | undefined;
let serving: Serving | undefined;
let running: Side | undefined;
let before = process.cpuUsage();

async function obey(order: Order): Promise<Figures & { readonly endpoint?: Endpoint }> {
  switch (order.do) {
    case 'load': {
      const { make } = (await import(`./peers/${order.module}.js`)) as { make(variant: string): Peer };
      peer = make(order.variant);
      return {};
    }
    case 'serve': {
      const side = await sideOf(order.workload);
      before = process.cpuUsage();
      serving = await side.serve(loaded(), order.options);
      return { endpoint: serving.endpoint } as never;
    }
    case 'run': {
      running = await sideOf(order.workload);
      before = process.cpuUsage();
      return { ...(await running.run(loaded(), order.endpoint, order.options)), cpuMs: cpuSince() };
    }
    case 'ask':
      return (await serving?.ask?.(order.question)) ?? {};
    case 'finish': {
      running?.leave?.();
      running = undefined;
      const figures = (await serving?.finish()) ?? {};
      serving = undefined;
      return { ...figures, cpuMs: cpuSince() };
    }
  }
}

function loaded(): Peer {
  if (peer === undefined) throw new Error('no peer was loaded');
  return peer;
}

/** Of this process, user and system, all threads. */
function cpuSince(): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

process.on('message', (order: Order) => {
  obey(order).then(
    (ok) => process.send?.({ ok }),
    (error: unknown) => process.send?.({ failed: error instanceof Error ? `${error.message}\n${error.stack}` : String(error) }),
  );
});
process.on('disconnect', () => process.exit());
