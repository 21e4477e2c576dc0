// The joint of the tunnel, in one process: a local program, a session through a proxy, a service. Each kind of end arrives as what it is.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { expect } from 'chai';
import { bind, dial, endOf, reset, socketEnd, socketOptions, splice } from '../../bin/tunnel/splice.ts';
import { raw } from '../../lib/framing/raw.ts';
import { SessionClient, SessionServer } from '../../lib/index.ts';
import { ChaosProxy } from '../../lib/testing.ts';
import { dialed, ending, Service } from './support.ts';

const limits = { messageBytes: 65_536 };
const options = { framing: raw(), allowHalfOpen: true, limits } as const;

/** Both ends of a tunnel to `service`, with a proxy in the middle. `causes`: how the joints ended, service's side first. */
class Tunnel implements AsyncDisposable {
  readonly server = new SessionServer(options);
  readonly proxy: ChaosProxy;
  readonly client: SessionClient<Buffer>;
  readonly far: (string | undefined)[] = [];
  readonly near: (string | undefined)[] = [];
  readonly #entrance = createServer({ ...socketOptions, pauseOnConnect: true }, (socket) => void this.#enter(socket));
  port = 0;

  private constructor(proxy: ChaosProxy, port: number) {
    this.proxy = proxy;
    this.client = new SessionClient({ ...options, port });
  }

  static async to(service: Service): Promise<Tunnel> {
    let port = 0;
    const proxy = new ChaosProxy({
      target: {
        get port() {
          return port || 1;
        },
      },
    });
    const tunnel = new Tunnel(proxy, await proxy.listen());
    tunnel.server.on('session', async (session) => {
      const ended = endOf(session);
      const socket = await dial({ host: '127.0.0.1', port: service.port }, new AbortController().signal);
      tunnel.far.push((await splice(socketEnd(socket), session, ended))?.message);
    });
    port = (await tunnel.server.listen({ port: 0 })).port;
    const bound = await bind(tunnel.#entrance, { host: '127.0.0.1', port: 0 });
    tunnel.port = 'port' in bound ? bound.port : 0;
    return tunnel;
  }

  async #enter(socket: Socket): Promise<void> {
    const session = await this.client.open();
    const over = splice(socketEnd(socket), session, endOf(session));
    socket.resume();
    this.near.push((await over)?.message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.client.sessions) session.destroy();
    this.#entrance.close();
    await this.server.close();
    await this.proxy.close();
  }
}

/** Both ends of one connection through the tunnel. */
async function joined(tunnel: Tunnel, service: Service): Promise<{ program: Socket; served: Socket }> {
  const accepted = service.connection();
  const program = await dialed(tunnel.port);
  return { program, served: await accepted };
}

const silent = (): void => {};

describe('the joint of a tunnel', () => {
  it('carries bytes both ways over cuts, and both ends in order', async () => {
    await using service = await Service.echo();
    await using tunnel = await Tunnel.to(service);
    const { program } = await joined(tunnel, service);
    const bytes = randomBytes(3_000_000);
    const back = ending(program);
    let received = 0;
    program.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received > 300_000 * (tunnel.proxy.stats.cuts + 1)) tunnel.proxy.cutAll(tunnel.proxy.stats.cuts % 2 === 0 ? 'rst' : 'fin');
    });
    program.end(bytes);
    const whole = await back;
    expect([whole.bytes.equals(bytes), whole.how]).to.deep.equal([true, 'end']);
    expect(tunnel.proxy.stats.cuts).to.be.above(2);
  });

  it('carries the end of one direction and leaves the other open', async () => {
    await using service = await Service.start(silent);
    await using tunnel = await Tunnel.to(service);
    const { program, served } = await joined(tunnel, service);
    program.end('question');
    const asked = await ending(served);
    expect([asked.bytes.toString(), asked.how]).to.deep.equal(['question', 'end']);
    tunnel.proxy.cutAll();
    served.end('answer');
    const answered = await ending(program);
    expect([answered.bytes.toString(), answered.how]).to.deep.equal(['answer', 'end']);
    // The same the other way round.
    const second = await joined(tunnel, service);
    second.served.end('hello');
    expect((await ending(second.program)).how).to.equal('end');
    second.program.end('bye');
    expect((await ending(second.served)).bytes.toString()).to.equal('bye');
  });

  for (const side of ['program', 'service'] as const) {
    it(`carries a reset by the ${side} as a reset, and not as an end`, async () => {
      await using service = await Service.start(silent);
      await using tunnel = await Tunnel.to(service);
      const { program, served } = await joined(tunnel, service);
      const [from, to] = side === 'program' ? [program, served] : [served, program];
      const over = ending(to);
      // With bytes right before it, libuv tells the reset as an end.
      from.write('last words', () => from.resetAndDestroy());
      expect((await over).how).to.equal('ECONNRESET');
    });
  }

  it('tells a reset behind an end from the end', async () => {
    await using service = await Service.start(silent);
    await using tunnel = await Tunnel.to(service);
    const { program, served } = await joined(tunnel, service);
    served.end();
    expect((await ending(program)).how).to.equal('end');
    const over = once(served, 'error');
    served.resume();
    program.resetAndDestroy();
    const [error] = (await over) as [NodeJS.ErrnoException];
    expect(error.code).to.equal('ECONNRESET');
  });

  it('resets both local connections when the session is lost', async () => {
    await using service = await Service.start(silent);
    await using tunnel = await Tunnel.to(service);
    const { program, served } = await joined(tunnel, service);
    const ends = Promise.all([ending(program), ending(served)]);
    program.write('on its way');
    for (const session of tunnel.server.sessions.values()) session.destroy(new Error('lost'));
    expect((await ends).map(({ how }) => how)).to.deep.equal(['ECONNRESET', 'ECONNRESET']);
    expect(tunnel.near.concat(tunnel.far).filter((cause) => cause === undefined)).to.deep.equal([]);
  });

  it('holds a writer back where nobody reads, and keeps no more than the windows', async () => {
    await using service = await Service.start((socket) => socket.pause());
    await using tunnel = await Tunnel.to(service);
    const { program, served } = await joined(tunnel, service);
    const piece = Buffer.alloc(1_000_000, 7);
    let written = 0;
    // Until the kernels, the joints and the session are full: then drain does not come any more.
    for (let quiet = false; !quiet; written += piece.length) {
      if (program.write(piece)) continue;
      const held = (): number => Math.max(...[...tunnel.client.sessions].map(({ stats }) => stats.outboundBytes));
      const drained = once(program, 'drain').then(() => false);
      quiet = await Promise.race([drained, stuck(() => program.bytesWritten + held())]);
      expect(held()).to.be.below(9_000_000);
    }
    expect(written).to.be.below(60_000_000);
    const rest = ending(served);
    served.resume();
    program.end();
    expect((await rest).bytes.length).to.equal(written);
    served.end();
  });

  it('resets a connection whose end is just on its way', async () => {
    await using service = await Service.start(silent);
    const accepted = service.connection();
    const socket = await dial({ host: '127.0.0.1', port: service.port }, new AbortController().signal);
    const served = await accepted;
    const over = new Promise((resolve) => served.once('close', resolve));
    served.resume();
    const closed = once(socket, 'close');
    socket.end();
    reset(socket);
    await closed;
    served.end();
    await over;
  });

  it('says where it could not connect, and why', async () => {
    const service = await Service.start(silent);
    const { port } = service;
    await service[Symbol.asyncDispose]();
    const error = await dial({ host: '127.0.0.1', port }, new AbortController().signal).catch((cause: Error) => cause);
    expect((error as Error).message).to.equal(`cannot connect to 127.0.0.1:${port} (ECONNREFUSED)`);
  });
});

/** True once a figure has not changed for many turns with pauses between. */
async function stuck(figure: () => number): Promise<boolean> {
  for (let same = 0, last = -1; same < 20; same++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    if (figure() !== last) same = 0;
    last = figure();
  }
  return true;
}
