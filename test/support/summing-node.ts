// A server in a process of its own, whose sessions live in Redis: it adds up the numbers that it is sent and answers each with count and
// sum. argv: its port, Redis's port, its number, and `redirect` where it is dialed directly and sends clients to the node that has their
// session. SIGTERM: it drains and ends. Prints `ready`, and one line for each session it takes up.

import { createClient } from 'redis';
import { lines } from '../../lib/framing/lines.ts';
import { SessionServer } from '../../lib/server.ts';
import { redisStore } from '../../lib/stores/redis.ts';

interface Sum {
  readonly count: number;
  readonly sum: number;
}

const [port, redisPort, node] = process.argv.slice(2, 5).map(Number) as [number, number, number];
const redirect = process.argv[5] === 'redirect';
const client = createClient({ socket: { host: '127.0.0.1', port: redisPort, reconnectStrategy: 50 } });
client.on('error', () => {});
await client.connect();
const store = redisStore({ client });
const place = redirect
  ? ({ peering: 'redirect', address: `127.0.0.1:${port}` } as const)
  : { node, proxyProtocol: { trust: ['127.0.0.1'] } };
const server = new SessionServer({ framing: lines(), store, durability: 'commit', ...place });
server.on('session', (session) => {
  process.stdout.write(`${session.restored ? 'took' : 'opened'} ${session.id}\n`);
  session.data ??= { count: 0, sum: 0 };
  session.on('close', () => {});
  session.receive((line) => {
    const { count, sum } = session.data as Sum;
    const next = { count: count + 1, sum: sum + Number(line) };
    session.data = next;
    session.send(`${next.count} ${next.sum}`);
  });
});
server.on('rejected', (error) => process.stdout.write(`rejected ${error.code}\n`));
await server.listen({ port });
process.stdout.write('ready\n');

process.once('SIGTERM', async () => {
  await server.drain({ deadlineMs: 3000, ratePerSec: 100 });
  await server.close();
  client.destroy();
  process.exit();
});
