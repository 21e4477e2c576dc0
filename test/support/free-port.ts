// A free port of loopback, for programs that cannot be told to take any, and for servers that come back to the port they had.

import { createServer } from 'node:net';

const given: Set<number> = new Set();

/**
 * A port that nobody has now, and each only once: nobody may listen there for some time yet. Below those that the kernel gives to outgoing
 * connections (from 32,768 on): one of these could take the port while its server is away.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (given.has(port)) continue;
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    given.add(port);
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
