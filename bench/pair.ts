// The two processes of one peer, and the answers to what they are asked.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { keepApart } from './cores.ts';
import type { Endpoint, PeerInfo } from './peer.ts';
import type { Answer, Figures, Order } from './worker.ts';

const LONGEST_MS = 90_000;

export class Pair {
  readonly info: PeerInfo;
  readonly server: Child;
  readonly client: Child;

  private constructor(info: PeerInfo) {
    this.info = info;
    this.server = new Child();
    this.client = new Child();
  }

  /** @throws when the peer is not installed, or its module fails */
  static async start(info: PeerInfo): Promise<Pair> {
    const pair = new Pair(info);
    const order: Order = { do: 'load', module: info.module, variant: info.variant };
    try {
      await Promise.all([pair.server.ask(order), pair.client.ask(order)]);
      keepApart(pair.server.pid, 'server');
      keepApart(pair.client.pid, 'client');
      if (info.workloads.includes('W1')) await pair.#stand();
      return pair;
    } catch (error) {
      await pair.end();
      throw error;
    }
  }

  /**
   * One link that stays: while a process rests, V8 throws away all code that was compiled for objects of which there are none left.
   * A server in use has some connection at any time. It is never finished: what is served next takes its place, and it ends with its
   * process.
   */
  async #stand(): Promise<void> {
    const { endpoint } = (await this.server.ask({ do: 'serve', workload: 'idle', options: {} })) as unknown as { endpoint: Endpoint };
    await this.client.ask({ do: 'run', workload: 'idle', endpoint, options: { count: 1 } });
  }

  async end(): Promise<void> {
    await Promise.all([this.server.end(), this.client.end()]);
  }
}

export class Child {
  readonly #process: ChildProcess = fork(fileURLToPath(new URL('worker.js', import.meta.url)), { execArgv: ['--expose-gc'] });

  get pid(): number {
    return this.#process.pid as number;
  }

  async ask(order: Order): Promise<Figures & { readonly endpoint?: never }> {
    const child = this.#process;
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`the process is gone (${child.exitCode ?? child.signalCode})`);
    if (!child.connected) throw new Error('the process is gone');
    // An error here is an end of the process that is about to be told.
    child.send(order, () => {});
    const stop = new AbortController();
    const answered = once(child, 'message', { signal: stop.signal }).then(([answer]) => answer as Answer);
    const gone = once(child, 'exit', { signal: stop.signal }).then(([code]) => ({ failed: `the process ended (${code})` }));
    const late = new Promise<Answer>((resolve) => {
      setTimeout(resolve, LONGEST_MS, { failed: `no answer to '${order.do}' in ${LONGEST_MS} ms` }).unref();
    });
    answered.catch(() => {});
    gone.catch(() => {});
    const answer = await Promise.race([answered, gone, late]);
    stop.abort();
    if ('failed' in answer) throw new Error(answer.failed);
    return answer.ok as never;
  }

  async end(): Promise<void> {
    const child = this.#process;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    if (child.connected) child.disconnect();
    const timer = setTimeout(() => child.kill('SIGKILL'), 3000);
    await gone;
    clearTimeout(timer);
  }
}
