// ChaosProxy over real loopback sockets: every fault does what its name says, exactly, and nothing is left over.

import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { SessionError } from '../../lib/errors.ts';
import { ChaosProxy, type Plan, Random } from '../../lib/testing.ts';

/** A target that keeps what each connection sent, and the sockets themselves. */
class Target implements AsyncDisposable {
  readonly server: Server;
  readonly sockets: Socket[] = [];
  readonly #arrived: { count: number; resolve: () => void }[] = [];

  constructor(onSocket: (socket: Socket) => void = () => {}) {
    this.server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {});
      this.sockets.push(socket);
      onSocket(socket);
      for (const waiter of this.#arrived) if (this.sockets.length >= waiter.count) waiter.resolve();
    });
  }

  async listen(): Promise<number> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return (this.server.address() as { port: number }).port;
  }

  /** The n-th connection, as soon as it is there. */
  async socket(n: number): Promise<Socket> {
    if (this.sockets.length <= n) await new Promise<void>((resolve) => this.#arrived.push({ count: n + 1, resolve }));
    return this.sockets[n] as Socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }
}

/** A client that notes how its connection ended. */
class Client {
  readonly socket: Socket;
  readonly chunks: Buffer[] = [];
  ended: boolean = false;
  errorCode: string | undefined = undefined;
  readonly closed: Promise<void>;

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    this.socket.on('data', (chunk: Buffer) => this.chunks.push(chunk));
    this.socket.on('end', () => {
      this.ended = true;
      this.socket.end();
    });
    this.socket.on('error', (error: NodeJS.ErrnoException) => {
      this.errorCode = error.code;
    });
    this.closed = new Promise((resolve) => this.socket.on('close', () => resolve()));
  }

  get received(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

/** Reads a socket to its end or its death. */
async function readAll(socket: Socket): Promise<{ bytes: Buffer; end: 'fin' | 'rst' }> {
  const chunks: Buffer[] = [];
  let ended = false;
  await new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('end', () => {
      ended = true;
      socket.end();
      resolve();
    });
    socket.on('close', () => resolve());
    socket.resume();
  });
  return { bytes: Buffer.concat(chunks), end: ended ? 'fin' : 'rst' };
}

/** Reads exactly `length` bytes, no end needed. */
async function read(socket: Socket, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let have = 0;
  while (have < length) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    chunks.push(chunk);
    have += chunk.length;
  }
  return Buffer.concat(chunks);
}

/** Lets everything that is already under way on loopback happen. */
async function settle(turns: number = 50): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}

async function proxied(
  options: { plan?: (index: number, random: Random) => Plan; seed?: number; onSocket?: (socket: Socket) => void } = {},
): Promise<{ target: Target; proxy: ChaosProxy; port: number } & AsyncDisposable> {
  const { onSocket, ...rest } = options;
  const target = new Target(onSocket);
  const proxy = new ChaosProxy({ target: { port: await target.listen() }, ...rest });
  const port = await proxy.listen();
  const dispose = async (): Promise<void> => {
    await proxy.close();
    await target[Symbol.asyncDispose]();
  };
  return { target, proxy, port, [Symbol.asyncDispose]: dispose };
}

const echo = (socket: Socket): void => {
  socket.pipe(socket);
};

describe('ChaosProxy without faults', () => {
  it('passes bytes and half-closes both ways and counts them', async () => {
    await using setup = await proxied({ onSocket: echo });
    const client = new Client(setup.port);
    const sent = new Random(7).bytes(300_000);
    client.socket.end(sent);
    await client.closed;
    expect(client.received.equals(sent)).to.equal(true);
    expect(client.ended).to.equal(true);
    await settle();
    expect(setup.proxy.stats).to.deep.equal({ connections: 1, open: 0, cuts: 0, bytesUp: 300_000, bytesDown: 300_000 });
  });

  it('passes on the reset of either end', async () => {
    await using setup = await proxied();
    const client = new Client(setup.port);
    (await setup.target.socket(0)).resetAndDestroy();
    await client.closed;
    expect(client.errorCode).to.equal('ECONNRESET');

    const second = new Client(setup.port);
    const socket = await setup.target.socket(1);
    second.socket.resetAndDestroy();
    expect((await readAll(socket)).end).to.equal('rst');
  });

  it('resets the client when the target cannot be reached', async () => {
    const target = new Target();
    const port = await target.listen();
    await target[Symbol.asyncDispose]();
    await using proxy = new ChaosProxy({ target: { port } });
    const client = new Client(await proxy.listen());
    await client.closed;
    expect(client.errorCode).to.equal('ECONNRESET');
  });

  it('reaches a Unix socket', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'outlast-'));
    const path = join(folder, 's');
    const server = createServer(echo).listen(path);
    await once(server, 'listening');
    const proxy = new ChaosProxy({ target: { path } });
    const client = new Client(await proxy.listen());
    client.socket.end('hello');
    await client.closed;
    expect(client.received.toString()).to.equal('hello');
    await proxy.close();
    server.close();
    await once(server, 'close');
    await rm(folder, { recursive: true });
  });

  it('does not buffer without bound for a target that never reads', async () => {
    await using setup = await proxied();
    const client = new Client(setup.port);
    const block = Buffer.alloc(65_536);
    let written = 0;
    while (written < 64 * 1_048_576 && client.socket.write(block)) written += block.length;
    for (let turn = 0; turn < 300; turn++) {
      await settle(1);
      while (written < 64 * 1_048_576 && client.socket.write(block)) written += block.length;
    }
    expect(client.socket.writableNeedDrain).to.equal(true);
    expect(written).to.be.lessThan(64 * 1_048_576);
    client.socket.destroy();
  });

  it('refuses a target without a usable port', () => {
    expect(() => new ChaosProxy({ target: { port: 70_000 } })).to.throw(SessionError, 'target.port is 70000');
  });
});

describe('ChaosProxy cuts', () => {
  const sent = new Random(3).bytes(3_000_000);

  for (const how of ['rst', 'fin'] as const) {
    for (const at of [0, 1, 2, 25, 26, 1000, 65_535, 65_536, 131_072, 199_999, 2_999_999]) {
      it(`lets exactly ${at} bytes up, then ${how}`, async () => {
        await using setup = await proxied();
        setup.proxy.cutAfterBytes(at, { how });
        const client = new Client(setup.port);
        client.socket.write(sent.subarray(0, at + 1000));
        const { bytes, end } = await readAll(await setup.target.socket(0));
        expect(bytes.length).to.equal(at);
        expect(bytes.equals(sent.subarray(0, at))).to.equal(true);
        expect(end).to.equal(how);
        await client.closed;
        expect(client.ended).to.equal(how === 'fin');
        expect(setup.proxy.stats.cuts).to.equal(1);
        expect(setup.proxy.stats.bytesUp).to.equal(at);
      });

      it(`lets exactly ${at} bytes down, then ${how}`, async () => {
        await using setup = await proxied({ onSocket: (socket) => socket.write(sent.subarray(0, at + 1000)) });
        setup.proxy.cutAfterBytes(at, { direction: 'down', how });
        const client = new Client(setup.port);
        await client.closed;
        expect(client.received.equals(sent.subarray(0, at))).to.equal(true);
        expect(client.ended).to.equal(how === 'fin');
        expect(setup.proxy.stats.bytesDown).to.equal(at);
      });
    }
  }

  it('cuts only the planned connection', async () => {
    await using setup = await proxied({ onSocket: echo });
    setup.proxy.planNext({}, { cutAfter: { up: 3 } });
    const clients = [new Client(setup.port), undefined, undefined] as (Client | undefined)[];
    for (const index of [0, 1, 2]) {
      const client = clients[index] ?? new Client(setup.port);
      client.socket.end('hello');
      await client.closed;
      expect(client.received.toString().length === 5).to.equal(index !== 1);
    }
    expect(setup.proxy.stats.cuts).to.equal(1);
  });

  it('cuts after a time, and on command', async () => {
    await using setup = await proxied({ plan: (index) => (index === 0 ? { cutAfterMs: 20, how: 'fin' } : {}) });
    const first = new Client(setup.port);
    await first.closed;
    expect(first.ended).to.equal(true);
    const second = new Client(setup.port);
    await setup.target.socket(1);
    expect(setup.proxy.cutAll()).to.equal(1);
    await second.closed;
    expect(second.errorCode).to.equal('ECONNRESET');
    expect(setup.proxy.stats.cuts).to.equal(2);
  });

  it('tells one side only', async () => {
    await using setup = await proxied();
    const client = new Client(setup.port);
    const socket = await setup.target.socket(0);
    socket.resume();
    setup.proxy.circuits[0]?.cut('rst', 'client');
    await client.closed;
    await settle();
    expect(socket.destroyed).to.equal(false);
    expect(socket.readableEnded).to.equal(false);
    expect(setup.proxy.stats.open).to.equal(1);
  });
});

describe('ChaosProxy half-open', () => {
  it('swallows one direction and hides the death of its sender', async () => {
    await using setup = await proxied();
    const client = new Client(setup.port);
    const socket = await setup.target.socket(0);
    client.socket.write('before');
    expect((await read(socket, 6)).toString()).to.equal('before');
    setup.proxy.halfOpen('up');
    client.socket.write('lost');
    socket.write('still comes');
    expect((await read(client.socket, 11)).toString()).to.equal('still comes');
    client.socket.destroy();
    socket.resume();
    await settle();
    expect(socket.destroyed).to.equal(false);
    expect(socket.bytesRead).to.equal(6);
  });

  it('passes on the first bytes of a plan and no more', async () => {
    await using setup = await proxied({ plan: () => ({ halfOpen: { direction: 'up', after: 4 } }) });
    const client = new Client(setup.port);
    client.socket.end('12345678');
    const socket = await setup.target.socket(0);
    expect((await read(socket, 4)).toString()).to.equal('1234');
    await settle();
    expect(socket.readableEnded).to.equal(false);
    expect(setup.proxy.stats.bytesUp).to.equal(4);
  });

  it('leaves new connections alone', async () => {
    await using setup = await proxied({ onSocket: echo });
    const old = new Client(setup.port);
    await setup.target.socket(0);
    setup.proxy.halfOpen();
    const fresh = new Client(setup.port);
    fresh.socket.end('hello');
    await fresh.closed;
    expect(fresh.received.toString()).to.equal('hello');
    old.socket.destroy();
  });

  it('resets on heal() what has a hole, and only that', async () => {
    await using setup = await proxied({ onSocket: echo });
    const [holed, whole] = [new Client(setup.port), new Client(setup.port)];
    await setup.target.socket(1);
    setup.proxy.halfOpen();
    holed.socket.write('lost');
    await settle();
    await setup.proxy.heal();
    await holed.closed;
    expect(holed.errorCode).to.equal('ECONNRESET');
    whole.socket.end('hello');
    await whole.closed;
    expect(whole.received.toString()).to.equal('hello');
  });
});

describe('ChaosProxy stall', () => {
  it('delivers late, in order, although the sender has gone', async () => {
    await using setup = await proxied();
    const client = new Client(setup.port);
    const socket = await setup.target.socket(0);
    setup.proxy.stall('up');
    client.socket.write('one ');
    client.socket.end('two');
    client.socket.destroySoon();
    await settle();
    expect(socket.bytesRead).to.equal(0);
    const arrives = readAll(socket);
    setup.proxy.release();
    expect((await arrives).bytes.toString()).to.equal('one two');
  });

  it('holds back everything behind the planned byte until its time is over', async () => {
    await using setup = await proxied({ plan: () => ({ stall: { direction: 'up', after: 2, ms: 30 } }) });
    const client = new Client(setup.port);
    client.socket.write('abcdef');
    const socket = await setup.target.socket(0);
    expect((await read(socket, 2)).toString()).to.equal('ab');
    expect((await read(socket, 4)).toString()).to.equal('cdef');
    client.socket.destroy();
  });
});

describe('ChaosProxy timing', () => {
  it('delays and trickles without changing a byte', async () => {
    const plan: Plan = { delayMs: 5, trickle: { bytes: 97, everyMs: 0 } };
    await using setup = await proxied({ plan: () => plan, onSocket: echo });
    const client = new Client(setup.port);
    const sent = new Random(5).bytes(5000);
    client.socket.end(sent);
    await client.closed;
    expect(client.received.equals(sent)).to.equal(true);
    expect(client.ended).to.equal(true);
  });

  it('makes the same plans from the same seed whatever the order of events', async () => {
    const numbers: number[][] = [];
    for (const seed of [9, 9, 10]) {
      const seen: number[] = [];
      numbers.push(seen);
      await using setup = await proxied({
        seed,
        plan: (index, random) => {
          seen[index] = random.integer(0, 1_000_000);
          return {};
        },
      });
      for (const n of [0, 1, 2]) {
        const client = new Client(setup.port);
        (await setup.target.socket(n)).end();
        await client.closed;
      }
    }
    expect(numbers[0]).to.deep.equal(numbers[1]);
    expect(numbers[0]).to.not.deep.equal(numbers[2]);
    expect(new Set(numbers[0]).size).to.equal(3);
  });
});

describe('ChaosProxy copying', () => {
  it('gives the target the same bytes a second time, and keeps the second answer to itself', async () => {
    const read: ReturnType<typeof readAll>[] = [];
    const onSocket = (socket: Socket): void => {
      read.push(readAll(socket));
      echo(socket);
    };
    await using setup = await proxied({ onSocket, plan: () => ({ copy: { afterMs: 0 } }) });
    const client = new Client(setup.port);
    client.socket.write('hel');
    await setup.target.socket(1);
    client.socket.end('lo');
    await client.closed;
    expect(client.received.toString()).to.equal('hello');
    expect((await Promise.all(read)).map(({ bytes }) => bytes.toString())).to.deep.equal(['hello', 'hello']);
  });

  it('brings them although the client is gone, and drops them when the proxy ends', async () => {
    await using setup = await proxied({ plan: (index) => ({ cutAfter: { up: 5 }, copy: { afterMs: index === 0 ? 20 : 60_000 } }) });
    for (let i = 0; i < 2; i++) {
      const client = new Client(setup.port);
      client.socket.write('hello');
      await client.closed;
    }
    const late = await readAll(await setup.target.socket(2));
    expect(late.bytes.toString()).to.equal('hello');
    await setup.proxy.close();
    expect(setup.target.sockets.length).to.equal(3);
  });
});

describe('ChaosProxy accepting', () => {
  it('refuses, and takes connections again on the same port', async () => {
    await using setup = await proxied({ onSocket: echo });
    setup.proxy.pauseAccepting('refuse');
    const refused = new Client(setup.port);
    await refused.closed;
    expect(refused.errorCode).to.equal('ECONNREFUSED');
    await setup.proxy.resumeAccepting();
    const client = new Client(setup.port);
    client.socket.end('hello');
    await client.closed;
    expect(client.received.toString()).to.equal('hello');
  });

  it('keeps connections in a black hole', async () => {
    await using setup = await proxied({ onSocket: echo });
    setup.proxy.pauseAccepting('blackHole');
    const silent = new Client(setup.port);
    silent.socket.write('anybody there?');
    await once(silent.socket, 'connect');
    await settle();
    expect(silent.socket.destroyed).to.equal(false);
    expect(setup.target.sockets.length).to.equal(0);
    await setup.proxy.resumeAccepting();
    await silent.closed;
    expect(silent.errorCode).to.equal('ECONNRESET');
  });

  it('resets a connection whose plan refuses it', async () => {
    await using setup = await proxied({ plan: () => ({ connect: 'refuse' }) });
    const client = new Client(setup.port);
    await client.closed;
    expect(client.errorCode).to.equal('ECONNRESET');
    expect(setup.target.sockets.length).to.equal(0);
  });

  it('dies and comes back on the same port', async () => {
    await using setup = await proxied({ onSocket: echo });
    const victim = new Client(setup.port);
    await setup.target.socket(0);
    setup.proxy.kill();
    await victim.closed;
    expect(victim.errorCode).to.equal('ECONNRESET');
    const refused = new Client(setup.port);
    await refused.closed;
    expect(refused.errorCode).to.equal('ECONNREFUSED');
    await setup.proxy.restart();
    expect(setup.proxy.port).to.equal(setup.port);
    const client = new Client(setup.port);
    client.socket.end('hello');
    await client.closed;
    expect(client.received.toString()).to.equal('hello');
  });

  it('closes with everything under way, twice if asked, and does not listen again', async () => {
    await using setup = await proxied({
      plan: (index) => (index === 0 ? { connect: 'blackHole' } : { delayMs: 60_000, cutAfterMs: 60_000 }),
    });
    const clients = [new Client(setup.port), new Client(setup.port)];
    for (const client of clients) client.socket.write('hello');
    await setup.target.socket(0);
    await settle();
    await Promise.all([setup.proxy.close(), setup.proxy.close()]);
    for (const client of clients) await client.closed;
    let code = '';
    await setup.proxy.listen().catch((error: NodeJS.ErrnoException) => {
      code = error.code ?? '';
    });
    expect(code).to.equal('ERR_CLOSED');
  });
});
