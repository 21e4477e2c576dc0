// A redis-server for the peers that need one: on a free port of loopback, with its files in a folder of its own that goes with it. AOF is
// on. Needs the program redis-server (Debian: redis-server).

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from 'redis';
import { listening } from './listening.ts';

export interface Redis {
  readonly client: ReturnType<typeof connect>;
  close(): Promise<void>;
}

/** @param appendfsync `always`: each answered write is synced; `everysec`: the kernel has it */
export async function startRedis(appendfsync: string): Promise<Redis> {
  const folder = await mkdtemp(join(tmpdir(), 'outlast-bench-'));
  const port = await freePort();
  const settings = { port, dir: folder, bind: '127.0.0.1', appendonly: 'yes', appendfsync, save: '' };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const server = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  // It must not outlive a worker that is killed.
  const end = (): void => void server.kill('SIGKILL');
  process.once('exit', end);
  let log = '';
  for await (const chunk of server.stdout) {
    log += chunk;
    if (log.includes('Ready to accept')) break;
  }
  const client = connect(port);
  client.on('error', () => {});
  await client.connect();
  return {
    client,
    async close() {
      client.destroy();
      process.off('exit', end);
      const gone = once(server, 'exit');
      end();
      await gone;
      await rm(folder, { recursive: true });
    },
  };
}

/** RESP 2: what the Streams adapter reads. */
function connect(port: number) {
  return createClient({ RESP: 2, socket: { host: '127.0.0.1', port } });
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}
