// outlast forward: the end of a tunnel that stands beside the program. Each connection to its local port becomes one session.

import { createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type Session, SessionClient } from '../../lib/index.ts';
import type { Command, Given } from '../command.ts';
import { serveControl, Table } from '../tunnel/control.ts';
import { certificates, type DialOptions, dialFlags, dialOptions } from '../tunnel/ends.ts';
import { Life, type Service } from '../tunnel/life.ts';
import { Log, logFlags } from '../tunnel/log.ts';
import { openWithin } from '../tunnel/opening.ts';
import { Outages } from '../tunnel/outages.ts';
import { requestBytes } from '../tunnel/request.ts';
import { bind, endOf, reset, socketEnd, socketOptions, splice } from '../tunnel/splice.ts';
import { type Place, place, showPlace } from '../values.ts';

export const forward: Command = {
  name: 'forward',
  summary: 'the end of a tunnel beside the program: a local port whose connections survive',
  usage: ['forward [HOST:]LOCALPORT HOST:PORT'],
  about: `Takes connections on a local port and carries each through 'outlast listen' at HOST:PORT to the service there. A program that
is connected notices a lost network only as a pause: what it sends waits, up to a few MiB, then it is slowed down.

SIGTERM takes no new connections and waits for the open ones, SIGHUP reads the certificates anew.`,
  examples: [
    ['outlast forward 15432 gate:7000', 'psql -h 127.0.0.1 -p 15432 then keeps its connection over every outage'],
    ['outlast forward 16379 gate:7000 --target 10.0.0.7:6379 --tls --psk ~/.outlast-psk', 'one of several services, encrypted'],
  ],
  flags: {
    drain: { value: 'TIME', text: 'how long SIGTERM waits for connections to end', fallback: '30s' },
    control: { value: 'PATH', text: 'open a control socket here, for outlast top' },
    ...dialFlags,
    ...logFlags,
  },
  words: [2, 2],
  run: async (given) => {
    const where = place('LOCALPORT', given.word(0), 0);
    const entrance = new Entrance(given, where);
    return await entrance.life.through(() => entrance.open(where));
  },
};

class Entrance implements Service {
  readonly life: Life;
  readonly #given: Given;
  readonly #log: Log;
  readonly #there: Place;
  readonly #options: DialOptions;
  readonly #client: SessionClient<Buffer>;
  readonly #outages: Outages;
  readonly #server = createServer({ ...socketOptions, pauseOnConnect: true }, (socket) => this.#begin(socket));
  readonly #table = new Table();
  readonly #running = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  #control: Awaited<ReturnType<typeof serveControl>> | undefined;
  #draining = false;

  constructor(given: Given, where: Place) {
    this.#given = given;
    this.#log = new Log('forward', { json: given.has('json'), verbose: given.has('verbose') });
    this.#there = place('HOST:PORT', given.word(1));
    this.#options = dialOptions(given, this.#there);
    const target = given.text('target');
    const metadata = requestBytes(target === undefined ? {} : { to: target });
    this.#client = new SessionClient<Buffer>({ ...this.#options, metadata });
    this.#outages = new Outages(this.#client, this.#log);
    const risk = riskOfLocal(given, where);
    if (risk !== undefined) this.#log.tell('risk', `WARNING: ${risk}`, { risk });
    this.life = new Life(this, this.#log);
  }

  async open(where: Place): Promise<void> {
    const control = this.#given.text('control');
    if (control !== undefined) {
      this.#control = await serveControl(control, {
        list: () => ({ command: 'forward', draining: this.#draining, sessions: this.#table.rows }),
        kick: (id) => this.#table.kick(id),
        drain: () => this.life.drain(),
      });
    }
    const bound = showPlace(await bind(this.#server, where));
    // Too many open files, for example: one connection is not taken, the others go on.
    this.#server.on('error', (error) => this.#log.tell('error', error.message, { error: error.message }));
    this.#log.tell('listening', `listening on ${bound}, connections go through ${showPlace(this.#there)}`, { on: bound });
  }

  async drain(): Promise<number> {
    this.#draining = true;
    this.#server.close();
    await Promise.race([Promise.all(this.#running), delay(this.#given.duration('drain'), undefined, { ref: false })]);
    return this.#running.size;
  }

  async stop(): Promise<void> {
    if (!this.#draining) this.#server.close();
    this.#stopping.abort();
    for (const session of this.#client.sessions) session.destroy(new Error('the forwarding end was stopped'));
    await Promise.all(this.#running);
    await this.#control?.close();
  }

  reload(): void {
    // Read at each dial.
    if (this.#options.tls !== undefined) Object.assign(this.#options.tls, certificates(this.#given, false));
  }

  #begin(socket: Socket): void {
    // A failure is told by splice(); before it must not end the process.
    socket.on('error', () => {});
    const running = this.#carry(socket).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** One local connection from its beginning to its end. Never rejects. */
  async #carry(socket: Socket): Promise<void> {
    const from = socket.remotePort === undefined ? 'a local program' : `${socket.remoteAddress}:${socket.remotePort}`;
    let cause: Error | undefined;
    try {
      const session = await openWithin(this.#client, this.#given.duration('wait') as number, this.#stopping.signal, (error) =>
        this.#log.detail('waiting', `${from} waits: ${error.message}`, { peer: from, error: error.message }),
      );
      cause = await this.#joined(socket, session, from);
    } catch (error) {
      reset(socket);
      cause = error as Error;
    }
    const detail = { peer: from, error: cause?.message };
    if (cause === undefined) this.#log.detail('closed', `the connection of ${from} ended`, detail);
    else this.#log.tell('closed', `the connection of ${from} was reset: ${cause.message}`, detail);
  }

  #joined(socket: Socket, session: Session<Buffer>, from: string): Promise<Error | undefined> {
    const ended = endOf(session);
    this.#table.add(session, from);
    this.#outages.watch(session);
    this.#log.detail('open', `${session.id.slice(0, 8)} carries ${from}`, { id: session.id, peer: from });
    const over = splice(socketEnd(socket), session, ended);
    socket.resume();
    return over;
  }
}

/** Beyond this machine a local port is open to others, whatever protects the way behind it. */
function riskOfLocal(given: Given, where: Place): string | undefined {
  if ('path' in where || /^(127\.|::1$|localhost$)/.test(where.host)) return undefined;
  const risk = `whoever reaches this port gets through the tunnel to ${given.word(1)}, in the clear up to here`;
  return `listening on ${showPlace(where)}, beyond this machine: ${risk}`;
}
