// The server under attack, in a process of its own: an application that echoes, or pushes to whoever is not honest. It measures itself and
// answers its parent: 'begin' starts a measurement, 'report' ends it, 'held' tells what is still there.

import { readdirSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import type { Limits } from '../../lib/options.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { serverTls } from '../support/tls.ts';

export interface ServerConfig {
  readonly tls?: boolean;
  readonly challenge?: boolean;
  /** Sessions that are not honest get messages as fast as they may. */
  readonly push?: boolean;
  readonly limits?: Partial<Limits>;
  /** Soft limit of open files (`ulimit -n`). */
  readonly files?: number;
}

export interface Ports {
  readonly port: number;
  /** Connections here count as from an address that is not this machine's: every limit per address holds. */
  readonly door: number;
}

export interface Measurement {
  readonly loopP99Ms: number;
  readonly loopMaxMs: number;
  readonly rssBytes: number;
  /** Sessions at most, and handshakes refused. */
  readonly sessions: number;
  readonly rejected: number;
}

export interface Held {
  readonly sessions: number;
  readonly files: number;
  readonly bytes: number;
}

/** Detached sessions are gone within the six seconds that an attack has to be forgotten. */
const HOLD_MS = 3_000;
export const PROCESS_BYTES: number = 64 * 1024 * 1024;
const RESOLUTION_MS = 2;
const STRANGER = '203.0.113.9';
const PUSHED: Buffer = Buffer.alloc(16_384, 0x70);

if (process.send !== undefined) await serve(JSON.parse(process.argv[2] ?? '{}') as ServerConfig);

async function serve(config: ServerConfig): Promise<void> {
  let rejected = 0;
  let rssBytes = 0;
  let sessions = 0;
  const server = new SessionServer({
    framing: lengthPrefix(),
    holdMs: HOLD_MS,
    challenge: config.challenge === true ? 'always' : 'never',
    limits: { processBytes: PROCESS_BYTES, ...config.limits },
    ...(config.tls === true ? { tls: serverTls() } : {}),
  });
  server.on('rejected', () => rejected++);
  server.on('session', (session) => {
    sessions = Math.max(sessions, server.sessions.size);
    // Its end is the attacker's business; an 'error' would be ours, and would end the process.
    void (config.push === true && session.metadata.toString() !== 'honest' ? push(session) : echo(session)).catch(() => {});
  });
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  const sampler = setInterval(() => {
    rssBytes = Math.max(rssBytes, process.memoryUsage.rss());
  }, 50);
  sampler.unref();
  const { port } = await server.listen({ port: 0 });
  const tell = (message: unknown): void => void process.send?.(message);
  process.on('message', (asked) => {
    if (asked === 'begin') {
      rssBytes = 0;
      sessions = 0;
      rejected = 0;
      delay.reset();
      delay.enable();
      tell('begun');
    } else if (asked === 'report') {
      delay.disable();
      const measured = { loopP99Ms: delay.percentile(99) / 1e6, loopMaxMs: delay.max / 1e6, rssBytes, sessions, rejected };
      tell(measured satisfies Measurement);
    } else {
      void held(server.sessions.size).then(tell);
    }
  });
  process.on('disconnect', () => process.exit());
  tell({ port, door: await openDoor(server) } satisfies Ports);
}

async function echo(session: Session<Buffer>): Promise<void> {
  for await (const message of session) if (!session.send(message)) await session.drained();
}

async function push(session: Session<Buffer>): Promise<void> {
  session.receive(() => {});
  while (session.state !== 'closed') if (!session.send(PUSHED)) await session.drained();
}

function openDoor(server: SessionServer<Buffer>): Promise<number> {
  const door = createServer({ allowHalfOpen: true }, (socket: Socket) => {
    Object.defineProperty(socket, 'remoteAddress', { value: STRANGER });
    server.accept(socket, 'door');
  });
  return new Promise((resolve) => door.listen(0, '127.0.0.1', () => resolve((door.address() as { port: number }).port)));
}

async function held(sessions: number): Promise<Held> {
  // Buffers are swept behind the collection that finds them, in the background.
  for (let left = 3; left > 0; left--) {
    (globalThis as { gc?: () => void }).gc?.();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { sessions, files: readdirSync('/proc/self/fd').length, bytes: heapUsed + arrayBuffers };
}
