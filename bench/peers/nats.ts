// NATS: nats.js and the nats-server of Debian, a process of its own that the server's process starts and ends. Two subjects for each
// client, and one for all. The broker's CPU and memory are in no figure, so idle sessions are not compared.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { connect } from 'nats';
import type { Endpoint, Link, Peer, Serving, Taker } from '../peer.ts';

const HELLO = 'hello';
const EVERYBODY = 'all';

export function make(): Peer {
  return {
    async serve(accept): Promise<Serving> {
      const broker = await Broker.start();
      const connection = await connect({ servers: `127.0.0.1:${broker.port}`, reconnect: false });
      const takers = new Map<string, Taker>();
      connection.subscribe('up.*', {
        callback: (_error, { subject, data }) => takers.get(subject.slice(3))?.take(data, 0, data.length),
      });
      connection.subscribe(HELLO, {
        callback(_error, message) {
          const name = message.string();
          const link: Link = {
            send(bytes) {
              connection.publish(`down.${name}`, bytes);
              return true;
            },
            close() {},
          };
          takers.set(name, accept(link));
          message.respond();
        },
      });
      await connection.flush();
      return {
        endpoint: { port: broker.port },
        broadcast: (message) => connection.publish(EVERYBODY, message),
        async close() {
          await connection.close();
          await broker.end();
        },
      };
    },
    async connect({ port }: Endpoint, taker: Taker): Promise<Link> {
      const connection = await connect({ servers: `127.0.0.1:${port}`, reconnect: false });
      const name = `${process.pid}-${++clients}`;
      const callback = (_error: unknown, { data }: { readonly data: Uint8Array }): void => taker.take(data, 0, data.length);
      connection.subscribe(`down.${name}`, { callback });
      connection.subscribe(EVERYBODY, { callback });
      // The broker handles them in turn: both subscriptions are there when the answer is.
      await connection.request(HELLO, name, { timeout: 10_000 });
      const up = `up.${name}`;
      return {
        send(message) {
          connection.publish(up, message);
          return true;
        },
        close: () => void connection.close(),
      };
    },
  };
}

let clients = 0;

/** The nats-server program on a free port of loopback. */
class Broker {
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #orphan: () => void;

  private constructor(process_: ChildProcess, port: number, orphan: () => void) {
    this.#process = process_;
    this.port = port;
    this.#orphan = orphan;
  }

  /** @throws when the program is not installed, or does not listen */
  static async start(): Promise<Broker> {
    const child = spawn('nats-server', ['--addr', '127.0.0.1', '--port', '-1'], { stdio: ['ignore', 'ignore', 'pipe'] });
    // It would live on when this process ends without close().
    const orphan = (): void => void child.kill();
    process.on('exit', orphan);
    try {
      await once(child, 'spawn');
    } catch (cause) {
      process.off('exit', orphan);
      throw new Error("nats-server cannot be started: Debian's package nats-server has it", { cause });
    }
    for await (const line of createInterface({ input: child.stderr })) {
      const port = /Listening for client connections on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (port === undefined) continue;
      child.stderr.resume();
      return new Broker(child, Number(port), orphan);
    }
    throw new Error('nats-server ended before it listened');
  }

  async end(): Promise<void> {
    process.off('exit', this.#orphan);
    const gone = once(this.#process, 'exit');
    this.#process.kill();
    await gone;
  }
}
