// A process of its own, node --expose-gc: bytes of heap that an idle connection costs a server, whose clients are in another process.
// Takes what it is, `session` or `bare` for a socket; prints the figure. With a port behind it is the clients.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { SessionClient } from '../../../lib/client.ts';
import { lengthPrefix } from '../../../lib/framing/length-prefix.ts';
import { SessionServer } from '../../../lib/server.ts';
import type { Session } from '../../../lib/session.ts';

/** Opened before it counts: code is compiled, and tables have grown. */
const WARM = 1000;
const COUNT = 3000;
const AT_ONCE = 50;
const framing = lengthPrefix();
const held: (Session | Socket)[] = [];

const [kind = '', port] = process.argv.slice(2);
if (port === undefined) await serve();
else dial(Number(port));

async function serve(): Promise<void> {
  const clients = fork(process.argv[1] as string, [kind, String(await listen())]);
  const open = async (count: number): Promise<number> => {
    clients.send(count);
    await once(clients, 'message');
    return settled();
  };
  const before = await open(WARM);
  const after = await open(COUNT);
  process.stdout.write(`${(after - before) / COUNT}\n`, () => process.exit());
}

async function listen(): Promise<number> {
  if (kind !== 'bare') {
    const server = new SessionServer({ framing });
    server.on('session', (session) => {
      held.push(session);
      session.receive(nothing);
    });
    return (await server.listen({ port: 0 })).port;
  }
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    held.push(socket);
    socket.on('data', nothing).on('drain', nothing).on('end', nothing).on('error', nothing).on('close', nothing);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}

/** Opens as many as it is told each time, and says when. */
function dial(to: number): void {
  process.on('disconnect', () => process.exit());
  const client = new SessionClient({ framing, port: to });
  process.on('message', async (count: number) => {
    for (let left = count; left > 0; left -= AT_ONCE)
      held.push(...(await Promise.all(Array.from({ length: Math.min(left, AT_ONCE) }, () => connected(client, to)))));
    process.send?.('opened');
  });
}

async function connected(client: SessionClient, to: number): Promise<Session | Socket> {
  if (kind === 'bare') {
    const socket = connect(to, '127.0.0.1').on('data', nothing);
    await once(socket, 'connect');
    return socket;
  }
  const session = await client.open();
  session.receive(nothing);
  return session;
}

async function settled(): Promise<number> {
  for (let i = 0; i < 4; i++) {
    global.gc?.();
    await wait(100);
  }
  return process.memoryUsage().heapUsed;
}

function nothing(): void {}
