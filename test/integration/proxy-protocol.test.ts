// A server behind proxies that send PROXY headers: who connected is known, over TCP and TLS, and nobody but a trusted proxy can say it.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { expect } from 'chai';
import type { CircuitInfo } from '../../lib/circuit.ts';
import { SessionError } from '../../lib/errors.ts';
import { lines } from '../../lib/framing/lines.ts';
import type { SessionServerOptions } from '../../lib/options.ts';
import { SessionServer } from '../../lib/server.ts';
import { echo, next, Pair, take } from '../support/net.ts';
import { proxyHeader2 } from '../support/proxy-header.ts';
import { clientTls } from '../support/tls.ts';

const TEXT = Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 51000 443\r\n');
const proxyProtocol = { trust: ['127.0.0.1'] };

/** What a proxy does: connects, and writes its header in one piece or byte by byte. */
async function proxied(port: number, header: Buffer, step: number = header.length): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').setNoDelay(true);
  await once(socket, 'connect');
  for (let at = 0; at < header.length; at += step) {
    socket.write(header.subarray(at, at + step));
    if (step < header.length) await new Promise((resolve) => setImmediate(resolve));
  }
  return socket;
}

function pairBehind(header: Buffer, step?: number, server: Partial<SessionServerOptions<string>> = {}): Promise<Pair<string>> {
  let serverPort = 0;
  const through = async (port: number): Promise<number> => {
    serverPort = port;
    return port;
  };
  return Pair.make({
    framing: lines(),
    through,
    server: { proxyProtocol, ...server },
    client: { connect: () => proxied(serverPort, header, step) },
  });
}

/** Connects, writes, and waits until the server has refused it. */
async function refusal(server: SessionServer<string>, port: number, bytes: Buffer): Promise<[SessionError, CircuitInfo]> {
  const refused = next<[SessionError, CircuitInfo]>(server, 'rejected');
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  let answered = 0;
  socket.on('data', (chunk) => {
    answered += chunk.length;
  });
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(bytes);
  const result = await refused;
  await closed;
  expect(answered).to.equal(0);
  return result;
}

describe('a server behind a proxy', () => {
  for (const [name, header] of [
    ['version 1', TEXT],
    ['version 2', proxyHeader2('192.0.2.7', 51_000)],
    ['version 2 with TLVs', proxyHeader2('192.0.2.7', 51_000, { behind: Buffer.alloc(300) })],
  ] as const) {
    for (const step of [header.length, 1]) {
      it(`knows the client by a header of ${name}${step === 1 ? ', byte by byte' : ''}`, async () => {
        await using pair = await pairBehind(header, step);
        const { near, far } = await pair.open();
        const circuit = far.circuit as CircuitInfo;
        expect([circuit.remoteAddress, circuit.remotePort, circuit.local, circuit.transport]).to.deep.equal([
          '192.0.2.7',
          51_000,
          false,
          'tcp',
        ]);
        const served = echo(far);
        near.send('through');
        expect(await take(near, 1)).to.deep.equal(['through']);
        await near.close();
        await served;
      });
    }
  }

  it('hands it to the hooks, and counts the client and not the proxy', async () => {
    const seen: string[] = [];
    const server = {
      authenticate: ({ circuit }: { circuit: CircuitInfo }) => seen.push(circuit.remoteAddress) > 0,
      limits: { sessionsPerAddress: 1 },
    };
    await using pair = await pairBehind(TEXT, undefined, server);
    await pair.open();
    const second = await pair.client.open().catch((error: unknown) => error);
    expect(SessionError.is(second, 'ERR_BUSY'), String(second)).to.equal(true);
    expect(seen).to.deep.equal(['192.0.2.7']);
  });

  it('knows the client below TLS', async () => {
    let port = 0;
    await using pair = await Pair.make({
      framing: lines(),
      carrier: 'TLS 1.3',
      server: { proxyProtocol: { trust: ['127.0.0.0/8'] } },
      through: async (given) => {
        port = given;
        return given;
      },
      client: {
        connect: async () => {
          const socket = connectTls({ ...clientTls(), ALPNProtocols: ['outlast/1'], socket: await proxied(port, TEXT) });
          await once(socket, 'secureConnect');
          return socket;
        },
      },
    });
    const { near, far } = await pair.open();
    const circuit = far.circuit as CircuitInfo;
    expect([circuit.remoteAddress, circuit.transport, circuit.tlsVersion]).to.deep.equal(['192.0.2.7', 'tls', 'TLSv1.3']);
    const served = echo(far);
    near.send('through');
    expect(await take(near, 1)).to.deep.equal(['through']);
    await near.close();
    await served;
  });

  it('takes LOCAL for the proxy itself', async () => {
    await using pair = await pairBehind(proxyHeader2('', 0, { command: 0 }));
    const { far } = await pair.open();
    expect([far.circuit?.remoteAddress, far.circuit?.local]).to.deep.equal(['127.0.0.1', true]);
  });

  it('refuses a trusted proxy without a header, with half of one, and one that is not in time', async () => {
    await using server = new SessionServer({ framing: lines(), proxyProtocol, limits: { handshakeMs: 50 } });
    const { port } = await server.listen({ port: 0 });
    const [none] = await refusal(server, port, Buffer.from('8f4f544c01010000', 'hex'));
    expect([none.code, none.message.split(':')[0]]).to.deep.equal(['ERR_NOT_OUR_PROTOCOL', 'a trusted proxy sent no PROXY header']);
    const [late] = await refusal(server, port, TEXT.subarray(0, 10));
    expect(late.code).to.equal('ERR_HANDSHAKE_TIMEOUT');
    const refused = next<[SessionError]>(server, 'rejected');
    const half = connect(port, '127.0.0.1').on('error', () => {});
    half.end(TEXT.subarray(0, 10));
    expect((await refused)[0].message).to.match(/half a PROXY header/);
  });

  for (const [name, bytes] of [
    ['without a word', Buffer.alloc(0)],
    ['as HAProxy does', proxyHeader2('', 0, { command: 0 })],
  ] as const) {
    it(`says nothing of a balancer that only looks whether the port is open, ${name}`, async () => {
      await using server = new SessionServer({ framing: lines(), proxyProtocol });
      const { port } = await server.listen({ port: 0 });
      const told: unknown[] = [];
      server.on('rejected', (error) => told.push(error));
      for (const reset of [false, true]) {
        const socket = connect(port, '127.0.0.1');
        await once(socket, 'connect');
        socket.write(bytes);
        if (reset) socket.resetAndDestroy();
        else socket.end();
        socket.resume();
        await once(socket, 'close');
      }
      expect(told).to.deep.equal([]);
    });
  }

  it('does not believe anybody else', async () => {
    await using server = new SessionServer({ framing: lines(), proxyProtocol: { trust: ['192.0.2.1', '2001:db8::/32'] } });
    const { port } = await server.listen({ port: 0 });
    for (const header of [TEXT, proxyHeader2('192.0.2.7', 51_000)]) {
      const [error, circuit] = await refusal(server, port, header);
      expect([error.code, circuit.remoteAddress]).to.deep.equal(['ERR_NOT_OUR_PROTOCOL', '127.0.0.1']);
    }
  });

  it('serves who comes without a proxy from elsewhere', async () => {
    await using pair = await Pair.make({ framing: lines(), server: { proxyProtocol: { trust: ['192.0.2.1'] } } });
    const { far } = await pair.open();
    expect(far.circuit?.remoteAddress).to.equal('127.0.0.1');
  });

  it('lets go of connections without a header when there are too many, and when it closes', async () => {
    const server = new SessionServer({ framing: lines(), proxyProtocol, limits: { unfinished: 2 } });
    const { port } = await server.listen({ port: 0 });
    const sockets = await Promise.all(Array.from({ length: 3 }, () => proxied(port, TEXT.subarray(0, 3))));
    const closed = sockets.map((socket) => once(socket.on('error', () => {}).resume(), 'close'));
    await Promise.race(closed);
    expect(sockets.filter((socket) => socket.destroyed).length).to.equal(1);
    await server.close();
    await Promise.all(closed);
  });

  for (const trust of [undefined, [], ['proxy.example'], ['10.0.0.0/33'], ['2001:db8::/129'], ['10.0.0.0/8/8'], ['*'], [7]]) {
    it(`refuses to trust ${JSON.stringify(trust)}`, () => {
      const make = (): unknown => new SessionServer({ framing: lines(), proxyProtocol: { trust: trust as string[] } });
      expect(make)
        .to.throw(SessionError, /proxyProtocol.trust/)
        .with.property('code', 'ERR_INVALID_OPTION');
    });
  }
});
