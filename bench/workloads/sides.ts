// The two sides of each workload by name.

import type { Endpoint, Peer } from '../peer.ts';
import type { Figures, Options, Serving } from '../worker.ts';
import { broadcast } from './broadcast.ts';
import { durable } from './durable.ts';
import { echo } from './echo.ts';
import { acks, fresh, resume } from './growth.ts';
import { idle } from './idle.ts';
import { opens } from './opens.ts';
import { outage } from './outage.ts';
import { stream } from './stream.ts';

export interface Side {
  /** In the server's process. */
  serve(peer: Peer, options: Options): Promise<Serving>;
  /** In the client's process, from beginning to end. */
  run(peer: Peer, endpoint: Endpoint, options: Options): Promise<Figures>;
}

export const sides: Readonly<Record<string, Side>> = { stream, echo, idle, opens, broadcast, outage, resume, fresh, acks, durable };
