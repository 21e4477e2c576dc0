// The two sides of each workload by name. A process loads those that it is asked for: one of them brings in our library, and how much old
// memory a process of any peer has decides how often V8 marks it.

import type { Endpoint, Peer } from '../peer.ts';
import type { Figures, Options, Serving } from '../worker.ts';

export interface Side {
  /** In the server's process. */
  serve(peer: Peer, options: Options): Promise<Serving>;
  /** In the client's process, from beginning to end. */
  run(peer: Peer, endpoint: Endpoint, options: Options): Promise<Figures>;
  /** There too, when the server has told what it found: lets go of what run() has left open. */
  leave?(): void;
}

const sides: Readonly<Record<string, () => Promise<Side>>> = {
  stream: async () => (await import('./stream.ts')).stream,
  echo: async () => (await import('./echo.ts')).echo,
  idle: async () => (await import('./idle.ts')).idle,
  opens: async () => (await import('./opens.ts')).opens,
  broadcast: async () => (await import('./broadcast.ts')).broadcast,
  outage: async () => (await import('./outage.ts')).outage,
  resume: async () => (await import('./growth.ts')).resume,
  fresh: async () => (await import('./growth.ts')).fresh,
  acks: async () => (await import('./growth.ts')).acks,
  durable: async () => (await import('./durable.ts')).durable,
};

export function sideOf(workload: string): Promise<Side> {
  const load = sides[workload];
  if (load === undefined) throw new Error(`no workload ${workload}`);
  return load();
}
