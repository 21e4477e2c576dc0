// outlast listen: the end of a tunnel that stands beside the service. Each session that arrives becomes one connection to a target.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { type Session, SessionServer } from '../../lib/index.ts';
import type { Command, Given } from '../command.ts';
import { packageFolder } from '../package-folder.ts';
import { serveControl, Table } from '../tunnel/control.ts';
import { certificates, listenFlags, listenOptions, riskOf } from '../tunnel/ends.ts';
import { Life, type Service } from '../tunnel/life.ts';
import { Log, logFlags } from '../tunnel/log.ts';
import { parseRequest, type Report, type Request, Targets } from '../tunnel/request.ts';
import { dial, endOf, reset, socketEnd, splice } from '../tunnel/splice.ts';
import { type Place, place, showPlace } from '../values.ts';

export const listen: Command = {
  name: 'listen',
  summary: 'the end of a tunnel beside the service: takes sessions, connects to the service',
  usage: ['listen [HOST:]PORT --to HOST:PORT'],
  about: `Takes sessions from 'outlast forward' and 'outlast connect', and makes one connection to the target for each. When the
network between breaks, the connection to the target stays open, and goes on byte for byte when the other end is back.
An end of stream arrives as one, in each direction by itself; a connection that was reset, and a session that was lost
for longer than --hold, arrive as a reset.

Listens on this machine only unless HOST says otherwise. SIGTERM drains, SIGHUP reloads the certificates.`,
  examples: [
    ['outlast listen 7000 --to 127.0.0.1:22', 'an SSH server, for clients that reach this machine by another tunnel'],
    [
      'outlast listen 0.0.0.0:7000 --to 127.0.0.1:22 --tls --cert gate.pem --key gate-key.pem --psk /etc/outlast/psk',
      'the same for the world: encrypted, and only for who has the key',
    ],
    [
      'outlast listen 7000 --allow 127.0.0.1:5432 --allow 10.0.0.7:6379',
      'two services behind one port: the other end names one with --target',
    ],
  ],
  flags: {
    to: { value: 'HOST:PORT', text: 'where connections go, also a Unix socket by its path' },
    allow: { value: 'HOST:PORT', text: 'another place that the other end may ask for', multiple: true },
    drain: { value: 'TIME', text: 'how long SIGTERM waits for connections to end', fallback: '30s' },
    control: { value: 'PATH', text: 'open a control socket here, for outlast top' },
    ...listenFlags,
    ...logFlags,
  },
  words: [1, 1],
  run: async (given) => {
    const where = place('PORT', given.word(0), 0);
    const gate = new Gate(given, where);
    return await gate.life.through(() => gate.open(where));
  },
};

class Gate implements Service {
  readonly life: Life;
  readonly #given: Given;
  readonly #log: Log;
  readonly #targets: Targets;
  readonly #server: SessionServer<Buffer>;
  readonly #table = new Table();
  readonly #running = new Set<Promise<void>>();
  readonly #drainMs: number;
  #control: SessionServer<unknown> | undefined;
  #draining = false;

  constructor(given: Given, where: Place) {
    this.#given = given;
    this.#log = new Log('listen', { json: given.has('json'), verbose: given.has('verbose') });
    this.#targets = new Targets(given.text('to'), given.list('allow'));
    this.#drainMs = given.duration('drain') as number;
    this.#server = new SessionServer(listenOptions(given));
    const risk = riskOf(given, where, `open connections to ${this.#targets.names.join(', ')} through it`);
    if (risk !== undefined) this.#log.tell('risk', `WARNING: ${risk}`, { risk });
    this.#server.on('session', (session) => this.#begin(session));
    this.#server.on('error', (error) => this.#log.tell('error', error.message, { error: error.message }));
    this.#server.on('rejected', (error, { remoteAddress }) =>
      this.#log.tell('rejected', `turned ${remoteAddress || 'a client'} away: ${error.message}`, { code: error.code, peer: remoteAddress }),
    );
    this.life = new Life(this, this.#log);
  }

  async open(where: Place): Promise<void> {
    const control = this.#given.text('control');
    if (control !== undefined) {
      this.#control = await serveControl(control, {
        list: () => ({ command: 'listen', draining: this.#draining, sessions: this.#table.rows }),
        kick: (id) => this.#table.kick(id),
        drain: () => this.life.drain(),
      });
    }
    const bound = showBound(where, await this.#server.listen(where));
    this.#log.tell('listening', `listening on ${bound}, connections go to ${this.#targets.names.join(', ')}`, { on: bound });
  }

  async drain(): Promise<number> {
    this.#draining = true;
    return await this.#server.drain({ deadlineMs: this.#drainMs });
  }

  async stop(): Promise<void> {
    await this.#server.close();
    await Promise.all(this.#running);
    await this.#control?.close();
  }

  reload(): void {
    if (this.#given.has('tls')) this.#server.setSecureContext(certificates(this.#given, true));
  }

  #begin(session: Session<Buffer>): void {
    const running = this.#serve(session).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** One session from its beginning to its end. Never rejects. */
  async #serve(session: Session<Buffer>): Promise<void> {
    const ended = endOf(session);
    const carried = this.#table.add(session, '');
    // It is announced right before its circuit is its own: destroyed at once it could not tell the other end why.
    if (session.circuit === undefined) await Promise.race([once(session, 'attached'), ended]);
    let request: Request;
    try {
      request = parseRequest(session.metadata);
      if ('ask' in request) return await this.#report(session);
      carried.target = showPlace(this.#targets.choose(request.to));
      const cause = await this.#carry(session, this.#targets.choose(request.to), ended);
      this.#ended(carried.peer, session, cause);
    } catch (error) {
      // Its text is the reason that the other end reads.
      session.destroy(error as Error);
      this.#ended(carried.peer, session, error as Error);
    }
  }

  async #carry(session: Session<Buffer>, target: Place, ended: Promise<Error | undefined>): Promise<Error | undefined> {
    const stop = new AbortController();
    void ended.then(() => stop.abort());
    const socket = await dial(target, stop.signal);
    this.#log.detail('open', `${session.id.slice(0, 8)} is connected to ${showPlace(target)}`, {
      id: session.id,
      target: showPlace(target),
    });
    if (session.state !== 'closed') return await splice(socketEnd(socket), session, ended);
    reset(socket);
    return await ended;
  }

  #ended(peer: string, session: Session<Buffer>, cause: Error | undefined): void {
    const detail = { id: session.id, peer, error: cause?.message };
    if (cause === undefined) this.#log.detail('closed', `${session.id.slice(0, 8)} ended`, detail);
    else this.#log.tell('closed', `${session.id.slice(0, 8)} from ${peer} was reset: ${cause.message}`, detail);
  }

  /** What `outlast doctor` asks for: nothing that a connection would not show. */
  async #report(session: Session<Buffer>): Promise<void> {
    const { holdMs, heartbeatMs } = session.stats;
    const startMs = performance.now();
    let target = '';
    let targetError = '';
    try {
      const where = this.#targets.choose(undefined);
      target = showPlace(where);
      reset(await dial(where, new AbortController().signal));
    } catch (error) {
      targetError = (error as Error).message;
    }
    const { version } = JSON.parse(readFileSync(new URL('package.json', packageFolder), 'utf8')) as { version: string };
    const report: Report = {
      version,
      holdMs,
      heartbeatMs,
      window: this.#given.size('window') as number,
      target,
      targetError,
      targetMs: performance.now() - startMs,
      sessions: this.#server.sessions.size - 1,
    };
    if (session.state === 'closed') return;
    session.send(Buffer.from(`${JSON.stringify(report)}\n`));
    // Anything that comes after is sent back: with it the doctor measures.
    for await (const bytes of session) if (!session.send(bytes)) await session.drained();
    session.end();
  }
}

function showBound(where: Place, { address, port }: AddressInfo): string {
  return showPlace('path' in where ? where : { host: address, port });
}
