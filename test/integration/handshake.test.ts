// Handshakes over real connections: who may open and resume, on which transport and with which keys, and what each refusal is called.

import { once } from 'node:events';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { expect } from 'chai';
import { SessionClient } from '../../lib/client.ts';
import { KeyMethod, Kind, RejectCode } from '../../lib/core/wire.ts';
import { SessionError } from '../../lib/errors.ts';
import { lines } from '../../lib/framing/lines.ts';
import { netstring } from '../../lib/framing/netstring.ts';
import type { Hello, ResumeRequest } from '../../lib/options.ts';
import { generateKeyPair } from '../../lib/security/keys.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import {
  ended,
  eventually,
  Listener,
  next,
  Pair,
  pretend,
  rejection,
  rejections,
  remoteDoor,
  routed,
  take,
  tcp,
  turns,
  VirtualRuntime,
} from '../support/net.ts';
import { answerOpen, openFlight, RawPeer, RawServer, rawOpen, rawSession, rejectedFlight, resumeFlight } from '../support/raw-peer.ts';
import { clientTls, serverTls } from '../support/tls.ts';

const PSK = Buffer.from('00f1d2c3b4a5968778695a4b3c2d1e0f', 'hex');
const OTHER_PSK = Buffer.from('11f1d2c3b4a5968778695a4b3c2d1e0e', 'hex');

describe('authenticate', () => {
  it('names the principal, from credentials and metadata', async () => {
    const hellos: Hello[] = [];
    await using pair = await Pair.make({
      framing: lines(),
      server: {
        authenticate: (hello) => {
          hellos.push(hello);
          return 'ann';
        },
      },
      client: { credentials: 'secret', metadata: 'v2' },
    });
    const { near, far } = await pair.open();
    expect([far.principal, near.principal]).to.deep.equal(['ann', undefined]);
    expect(hellos.map(({ credentials, metadata, circuit }) => [`${credentials}`, `${metadata}`, circuit.transport])).to.deep.equal([
      ['secret', 'v2', 'tcp'],
    ]);
  });

  it('takes true for a nameless one, promises, and credentials as bytes or from a function', async () => {
    const seen: string[] = [];
    await using pair = await Pair.make({
      framing: lines(),
      server: {
        authenticate: async ({ credentials }) => {
          await turns(3);
          seen.push(credentials.toString());
          return true;
        },
      },
    });
    for (const credentials of [Buffer.from('bytes'), () => 'called', async () => Buffer.from('awaited')]) {
      const { far } = await pair.open(pair.another({ credentials }));
      expect(far.principal).to.equal(undefined);
    }
    expect(seen).to.deep.equal(['bytes', 'called', 'awaited']);
  });

  it('false is ERR_AUTH, at once, also with retry', async () => {
    await using pair = await Pair.make({ framing: lines(), server: { authenticate: () => false } });
    const refused = rejections(pair.server);
    const error = await rejection(pair.client.open({ retry: true }));
    expect([error.code, error.blame, error.retryable]).to.deep.equal(['ERR_AUTH', 'policy', false]);
    expect(refused.length).to.equal(1);
    expect(pair.server.sessions.size).to.equal(0);
  });

  it('that throws refuses this connection, says so here, and tells the client nothing', async () => {
    await using pair = await Pair.make({
      framing: lines(),
      server: {
        authenticate: () => {
          throw new Error('the database is away, password hunter2');
        },
      },
    });
    const refused = rejections(pair.server);
    const error = await rejection(pair.client.open());
    expect(error.retryable).to.equal(true);
    expect(error.message).not.to.contain('hunter2');
    expect(refused.map(({ code, cause }) => [code, (cause as Error).message])).to.deep.equal([
      ['ERR_APPLICATION', 'the database is away, password hunter2'],
    ]);
  });

  it('that hangs is stopped after hookMs, and its signal is aborted', async () => {
    const runtime = new VirtualRuntime();
    let given: AbortSignal | undefined;
    await using pair = await Pair.make({
      framing: lines(),
      server: {
        runtime,
        limits: { hookMs: 700 },
        authenticate: (_, { signal }) => {
          given = signal;
          return new Promise(() => {});
        },
      },
    });
    const refused = rejections(pair.server);
    const opening = rejection(pair.client.open());
    await eventually(() => given !== undefined);
    runtime.advance(699);
    expect(given?.aborted).to.equal(false);
    runtime.advance(1);
    expect((await opening).retryable).to.equal(true);
    expect(given?.aborted).to.equal(true);
    expect(refused.map(({ code }) => code)).to.deep.equal(['ERR_HANDSHAKE_TIMEOUT']);
  });
});

describe('authorizeResume', () => {
  it('is asked at every resume, and false ends the session with ERR_AUTH', async () => {
    const asked: ResumeRequest[] = [];
    let allowed = true;
    await using pair = await Pair.make({
      framing: lines(),
      server: {
        authenticate: () => 'ann',
        authorizeResume: async (request) => {
          asked.push(request);
          await turns(2);
          return allowed;
        },
      },
    });
    const { near, far } = await pair.open();
    const again = next(near, 'attached');
    pair.client.nudge();
    await again;
    allowed = false;
    const cause = ended(near);
    pair.client.nudge();
    expect((await cause)?.code).to.equal('ERR_AUTH');
    expect(asked.map(({ id, principal, opened, circuit }) => [id, principal, opened.transport, circuit.transport])).to.deep.equal([
      [far.id, 'ann', 'tcp', 'tcp'],
      [far.id, 'ann', 'tcp', 'tcp'],
    ]);
  });

  it('that throws leaves session and old circuit untouched', async () => {
    await using pair = await Pair.make({
      framing: lines(),
      server: {
        authorizeResume: () => {
          throw new Error('no');
        },
      },
    });
    const refused = rejections(pair.server);
    const { near, far } = await pair.open();
    pair.client.nudge();
    await eventually(() => refused.length === 1);
    near.send('on the old circuit');
    expect(await take(far, 1)).to.deep.equal(['on the old circuit']);
    expect([refused[0]?.code, far.stats.circuits]).to.deep.equal(['ERR_APPLICATION', 1]);
  });

  /** Opens with the first way to connect and resumes with the second. @returns why the session ended, or undefined when it was resumed. */
  async function moved(ways: readonly (() => Promise<Socket>)[], tls: boolean = true): Promise<string | undefined> {
    let dials = 0;
    const client = new SessionClient({ framing: lines(), connect: () => (ways[dials++] as () => Promise<Socket>)() });
    const near = await client.open();
    expect(near.circuit?.secure).to.equal(tls);
    const outcome = new Promise<string | undefined>((resolve) => {
      near.once('attached', () => resolve(undefined));
      near.once('close', (cause) => resolve(cause?.code));
    });
    client.nudge();
    const result = await outcome;
    near.destroy();
    return result;
  }

  const overTls = (port: number, identity?: 'client' | 'other-client', servername?: string) => async (): Promise<Socket> => {
    const socket = connectTls({ ...clientTls(identity, servername), port, host: '127.0.0.1', allowHalfOpen: true } as object);
    await once(socket, 'secureConnect');
    return socket;
  };

  it('by default asks for the same TLS server name', async () => {
    await using server = new SessionServer({ framing: lines(), tls: serverTls() });
    const { port } = await server.listen({ port: 0 });
    expect(await moved([overTls(port), overTls(port)])).to.equal(undefined);
    expect(await moved([overTls(port), overTls(port, undefined, 'elsewhere.test')])).to.equal('ERR_AUTH');
  });

  it('by default asks for the same client certificate', async () => {
    await using server = new SessionServer({ framing: lines(), tls: serverTls('TLSv1.3', true) });
    const { port } = await server.listen({ port: 0 });
    expect(await moved([overTls(port, 'client'), overTls(port, 'client')])).to.equal(undefined);
    expect(await moved([overTls(port, 'client'), overTls(port, 'other-client')])).to.equal('ERR_AUTH');
  });

  it('by default asks for the same listener', async () => {
    await using server = new SessionServer({ framing: lines() });
    const first = await server.listen({ port: 0 });
    const second = await server.listen({ port: 0, host: '127.0.0.2' });
    const dial = (port: number, host: string) => async (): Promise<Socket> => {
      const socket = connectPlain({ port, host, allowHalfOpen: true });
      await once(socket, 'connect');
      return socket;
    };
    const one = dial(first.port, '127.0.0.1');
    expect(await moved([one, one], false)).to.equal(undefined);
    expect(await moved([one, dial(second.port, '127.0.0.2')], false)).to.equal('ERR_AUTH');
  });

  it('whatever it says, a session opened over TLS is not resumed in the clear', async () => {
    await using server = new SessionServer({ framing: lines(), tls: serverTls(), authorizeResume: () => true });
    const { port } = await server.listen({ port: 0 });
    await using door = await new Listener((socket) => server.accept(socket, '127.0.0.1:0')).listen();
    expect(await moved([overTls(port), () => tcp(door.port)])).to.equal('ERR_AUTH');
    expect(await moved([overTls(port), overTls(port, undefined, 'elsewhere.test')])).to.equal(undefined);
  });
});

describe('onDuplicate', () => {
  const options = (onDuplicate: 'parallel' | 'replace' | 'reject') => ({
    framing: lines(),
    server: { onDuplicate, authenticate: ({ credentials }: Hello) => credentials.toString() || true },
  });

  it('parallel: sessions of one principal live side by side, up to sessionsPerPrincipal', async () => {
    await using pair = await Pair.make({
      ...options('parallel'),
      server: { ...options('parallel').server, limits: { sessionsPerPrincipal: 2 } },
    });
    const ann = pair.another({ credentials: 'ann' });
    const first = await pair.open(ann);
    await pair.open(ann);
    const error = await rejection(ann.open());
    expect([error.code, error.retryable]).to.deep.equal(['ERR_BUSY', true]);
    expect(error.message).to.contain('principal');
    await pair.open(pair.another({ credentials: 'bob' }));
    const cause = ended(first.far);
    first.near.destroy();
    await cause;
    await pair.open(ann);
    expect(pair.server.sessions.size).to.equal(3);
  });

  it('replace: the newer session ends the older one with ERR_REPLACED on both sides', async () => {
    await using pair = await Pair.make(options('replace'));
    const ann = pair.another({ credentials: 'ann' });
    const first = await pair.open(ann);
    const bystander = await pair.open(pair.another({ credentials: 'bob' }));
    const causes = Promise.all([ended(first.near), ended(first.far)]);
    const second = await pair.open(pair.another({ credentials: 'ann' }));
    expect((await causes).map((cause) => cause?.code)).to.deep.equal(['ERR_REPLACED', 'ERR_REPLACED']);
    expect([second.far.state, bystander.far.state]).to.deep.equal(['attached', 'attached']);
  });

  it('reject: the second session ends with ERR_DUPLICATE, and the application never sees it', async () => {
    await using pair = await Pair.make(options('reject'));
    const ann = pair.another({ credentials: 'ann' });
    const first = await pair.open(ann);
    const announced: unknown[] = [];
    pair.server.on('session', (session) => announced.push(session));
    const second = await ann.open();
    second.send('never delivered');
    const error = (await ended(second)) as SessionError;
    expect([error.code, error.loss?.unconfirmed]).to.deep.equal(['ERR_DUPLICATE', ['never delivered']]);
    expect([announced.length, first.near.state]).to.deep.equal([0, 'attached']);
    for (let i = 0; i < 2; i++) await pair.open(pair.another());
    expect(pair.server.sessions.size).to.equal(3);
  });
});

describe('challenge', () => {
  async function firstAnswer(port: number, door: number): Promise<Kind> {
    const { peer, session } = await rawSession(port);
    await peer.heard();
    const asking = (await RawPeer.dial(door)).write(resumeFlight(session, { generation: 2 }));
    const { flight } = await asking.flight();
    for (const each of [peer, asking]) each.destroy();
    return flight.kind;
  }

  it('auto: none on this machine, one on plain TCP that leaves it', async () => {
    await using pair = await Pair.make({ framing: lines(), server: { authorizeResume: () => true } });
    await using door = await remoteDoor(pair.server, () => '203.0.113.9');
    expect(await firstAnswer(pair.port, pair.port)).to.equal(Kind.RESUMED);
    expect(await firstAnswer(pair.port, door.port)).to.equal(Kind.CHALLENGE);
  });

  it('always and never do as they say', async () => {
    for (const [challenge, kind] of [
      ['always', Kind.CHALLENGE],
      ['never', Kind.RESUMED],
    ] as const) {
      await using pair = await Pair.make({ framing: lines(), server: { challenge, authorizeResume: () => true } });
      await using door = await remoteDoor(pair.server, () => '203.0.113.9');
      expect(await firstAnswer(pair.port, challenge === 'always' ? pair.port : door.port)).to.equal(kind);
    }
  });

  it('a client answers it behind its early data, on every transport', async () => {
    for (const carrier of ['TCP', 'TLS 1.3', 'TLS 1.2'] as const) {
      await using pair = await Pair.make({ framing: lines(), carrier, server: { challenge: 'always' } });
      const { near, far } = await pair.open();
      near.send('early');
      const again = next(far, 'attached');
      pair.client.nudge();
      await again;
      expect(await take(far, 1)).to.deep.equal(['early']);
    }
  });
});

describe('psk', () => {
  const make = (server?: Buffer, client?: Buffer): Promise<Pair<string>> =>
    Pair.make({
      framing: lines(),
      server: server === undefined ? {} : { psk: server },
      client: client === undefined ? {} : { psk: client },
    });

  it('the same on both ends opens and resumes', async () => {
    await using pair = await make(PSK, PSK);
    const { near, far } = await pair.open();
    const again = next(far, 'attached');
    pair.client.nudge();
    await again;
    near.send('mixed in');
    expect(await take(far, 1)).to.deep.equal(['mixed in']);
  });

  it('is never sent', async () => {
    const { pair, router } = await routed({ framing: lines(), shared: { psk: PSK } });
    await using _ = pair;
    await using front = router;
    await pair.open();
    expect(front.sent[0]?.includes(PSK)).to.equal(false);
  });

  it('two different ones do not shake hands', async () => {
    await using pair = await make(PSK, OTHER_PSK);
    const error = await rejection(pair.client.open());
    expect([error.code, error.blame]).to.deep.equal(['ERR_HANDSHAKE', 'peer']);
    expect(error.message).to.contain('same psk');
    expect(pair.server.sessions.size).to.equal(0);
  });

  it('on one end only is ERR_KEY_METHOD, which says which end lacks it', async () => {
    await using serverOnly = await make(PSK, undefined);
    await using clientOnly = await make(undefined, PSK);
    const needs = await rejection(serverOnly.client.open());
    const lacks = await rejection(clientOnly.client.open());
    expect([needs.code, lacks.code]).to.deep.equal(['ERR_KEY_METHOD', 'ERR_KEY_METHOD']);
    expect(needs.message).to.contain('needs a psk');
    expect(lacks.message).to.contain('has no psk');
  });

  it('a weak one is refused', () => {
    for (const psk of [Buffer.alloc(16), Buffer.from('short'), Buffer.from('passwordpassword')]) {
      expect(() => new SessionServer({ framing: lines(), psk }))
        .to.throw(SessionError)
        .with.property('code', 'ERR_INVALID_OPTION');
    }
  });
});

describe('TLS', () => {
  /** Ends TLS and passes plain bytes on. */
  async function terminator(port: number): Promise<{ port: number; close: () => void }> {
    const sockets: Socket[] = [];
    const server = createTlsServer({ ...serverTls(), ALPNProtocols: ['outlast/1'] }, (socket) => {
      const onward = connectPlain({ port, host: '127.0.0.1' });
      for (const each of [socket, onward]) {
        sockets.push(each);
        each.on('error', () => {});
      }
      socket.pipe(onward).pipe(socket);
      socket.on('close', () => onward.destroy());
      onward.on('close', () => socket.destroy());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const close = (): void => {
      for (const socket of sockets) socket.destroy();
      server.close();
    };
    return { port: (server.address() as { port: number }).port, close };
  }

  it('through a terminator needs tlsTerminated on the client, and the refusal says so', async () => {
    await using pair = await Pair.make({ framing: lines(), server: { tlsTerminated: true } });
    const front = await terminator(pair.port);
    const tls = clientTls();
    const error = await rejection(pair.another({ port: front.port, tls }).open());
    expect(error.code).to.equal('ERR_KEY_METHOD');
    expect(error.message).to.contain('tlsTerminated: true');
    const client = pair.another({ port: front.port, tls, tlsTerminated: true });
    const { near, far } = await pair.open(client);
    expect([near.circuit?.transport, far.circuit?.transport, far.circuit?.secure]).to.deep.equal(['tls', 'tcp', true]);
    const again = next(far, 'attached');
    client.nudge();
    await again;
    near.send('through');
    expect(await take(far, 1)).to.deep.equal(['through']);
    near.destroy();
    front.close();
  });

  it('keys are tied to TLS 1.3, and agreed on by X25519 on TLS 1.2', async () => {
    for (const [version, bits] of [
      ['TLSv1.3', KeyMethod.EXPORTER],
      ['TLSv1.2', KeyMethod.X25519],
    ] as const) {
      await using server = new SessionServer({ framing: lines(), tls: serverTls(version) });
      const { port } = await server.listen({ port: 0 });
      const seen: number[] = [];
      const connect = async (): Promise<Socket> => {
        const socket = connectTls({ ...clientTls(), port, host: '127.0.0.1', allowHalfOpen: true } as object);
        await once(socket, 'secureConnect');
        const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
        socket.write = (...args: unknown[]) => {
          // The KEY_METHODS TLV stands behind the NONCE.
          if (seen.length === 0) seen.push((args[0] as Buffer)[26 + 19 + 3] as number);
          return write(...args);
        };
        return socket;
      };
      const client = new SessionClient({ framing: lines(), connect });
      const near = await client.open();
      expect(seen).to.deep.equal([bits]);
      near.destroy();
    }
  });

  it('offers ALPN outlast/1, and a client that wants another protocol is turned away', async () => {
    await using pair = await Pair.make({ framing: lines(), carrier: 'TLS 1.3' });
    const socket = connectTls({ ...clientTls(), port: pair.port, host: '127.0.0.1', ALPNProtocols: ['h2', 'outlast/1'] });
    await once(socket, 'secureConnect');
    expect(socket.alpnProtocol).to.equal('outlast/1');
    socket.destroy();
    const refused = rejections(pair.server);
    const error = await rejection(pair.another({ tls: { ...clientTls(), ALPNProtocols: ['h2'] } }).open());
    expect(error.code).to.equal('ERR_CONNECT');
    await eventually(() => refused.length > 0);
    expect(refused[0]?.code).to.equal('ERR_NOT_OUR_PROTOCOL');
  });

  it('a certificate that is not for this name is ERR_CONNECT', async () => {
    await using pair = await Pair.make({ framing: lines(), carrier: 'TLS 1.3' });
    const error = await rejection(pair.another({ tls: clientTls(undefined, 'stranger.test') }).open());
    expect(error.code).to.equal('ERR_CONNECT');
    expect((error.cause as NodeJS.ErrnoException).code).to.equal('ERR_TLS_CERT_ALTNAME_INVALID');
    expect((await rejection(pair.another({ tls: true }).open())).code).to.equal('ERR_CONNECT');
  });

  it('a plain OPEN on a TLS port is ERR_NOT_OUR_PROTOCOL there', async () => {
    await using pair = await Pair.make({ framing: lines(), carrier: 'TLS 1.3' });
    const refused = rejections(pair.server);
    const error = await rejection(new SessionClient({ framing: lines(), port: pair.port }).open());
    expect(error.retryable || error.code === 'ERR_NOT_OUR_PROTOCOL').to.equal(true);
    await eventually(() => refused.length === 1);
    expect(refused[0]?.code).to.equal('ERR_NOT_OUR_PROTOCOL');
  });

  it('a TLS client on a plain port is ERR_NOT_OUR_PROTOCOL there, and gets no byte back', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const refused = rejections(pair.server);
    expect((await rejection(pair.another({ tls: clientTls() }).open())).code).to.equal('ERR_CONNECT');
    expect(refused.map(({ code }) => code)).to.deep.equal(['ERR_NOT_OUR_PROTOCOL']);
    expect(refused[0]?.message).to.contain('TLS');
  });
});

describe('credentials in the clear', () => {
  it('are refused off this machine, before a byte is sent', async () => {
    await using server = await new RawServer().listen();
    const connect = async (): Promise<Socket> => pretend(await tcp(server.port), '203.0.113.9');
    const client = new SessionClient({ framing: lines(), connect, credentials: 'secret' });
    const error = await rejection(client.open({ retry: true }));
    expect([error.code, error.blame]).to.deep.equal(['ERR_CLEARTEXT_CREDENTIALS', 'caller']);
    expect(error.message).to.contain('203.0.113.9');
    const peer = await server.next();
    await peer.gone();
    expect(peer.receivedBytes).to.equal(0);
  });

  it('are sent where that is allowed, over TLS, or where there are none', async () => {
    const seen: string[] = [];
    const authenticate = ({ credentials }: Hello): boolean => {
      seen.push(credentials.toString());
      return true;
    };
    await using pair = await Pair.make({ framing: lines(), server: { authenticate } });
    const connect = async (): Promise<Socket> => pretend(await tcp(pair.port), '203.0.113.9');
    await pair.open(pair.another({ connect, credentials: 'allowed', allowCleartextCredentials: true }));
    await pair.open(pair.another({ connect }));
    await using secure = await Pair.make({ framing: lines(), carrier: 'TLS 1.3', server: { authenticate } });
    const overTls = async (): Promise<Socket> => {
      const socket = connectTls({ ...clientTls(), port: secure.port, host: '127.0.0.1', allowHalfOpen: true } as object);
      await once(socket, 'secureConnect');
      return pretend(socket, '203.0.113.9');
    };
    await secure.open(secure.another({ connect: overTls, credentials: 'over TLS' }));
    expect(seen).to.deep.equal(['allowed', '', 'over TLS']);
  });
});

describe('open()', () => {
  /** A port where nobody listens. */
  async function nobody(): Promise<number> {
    const listener = await new Listener(() => {}).listen();
    await listener[Symbol.asyncDispose]();
    return listener.port;
  }

  it('is ERR_CONNECT where nobody listens, with the reason of the system', async () => {
    const port = await nobody();
    const error = await rejection(new SessionClient({ framing: lines(), port }).open());
    expect([error.code, error.blame, error.retryable]).to.deep.equal(['ERR_CONNECT', 'network', true]);
    expect((error.cause as NodeJS.ErrnoException).code).to.equal('ECONNREFUSED');
    expect(error.message).to.contain(`127.0.0.1:${port}`);
  });

  it('tries each address once, and lists all errors', async () => {
    const addresses = [{ port: await nobody() }, { port: await nobody(), host: '127.0.0.2' }, { path: '/nowhere/at/all.sock' }];
    const error = await rejection(new SessionClient({ framing: lines(), addresses }).open());
    expect(error.code).to.equal('ERR_CONNECT');
    const { errors } = error.cause as AggregateError;
    expect(errors.map(({ code, cause }) => [code, cause.code])).to.deep.equal([
      ['ERR_CONNECT', 'ECONNREFUSED'],
      ['ERR_CONNECT', 'ECONNREFUSED'],
      ['ERR_CONNECT', 'ENOENT'],
    ]);
  });

  it('goes on with the next address, and so does a redial', async () => {
    const { pair, router } = await routed({ framing: lines() });
    await using _ = pair;
    await using front = router;
    const frontPort = (pair.clientOptions as { port: number }).port;
    const client = pair.another({ addresses: [{ port: await nobody() }, { port: frontPort }, { port: pair.port }] });
    const { near, far } = await pair.open(client);
    expect(front.count).to.equal(1);
    front.sockets[0]?.resetAndDestroy();
    await next(near, 'attached');
    near.send('found');
    expect(await take(far, 1)).to.deep.equal(['found']);
  });

  it('with retry keeps trying until a server is there', async () => {
    const runtime = new VirtualRuntime();
    const port = await nobody();
    const client = new SessionClient({ framing: lines(), port, runtime });
    const opening = client.open({ retry: true });
    const before = runtime.now();
    await Promise.race([runtime.until(opening), turns(100)]);
    await using server = new SessionServer({ framing: lines() });
    await server.listen({ port });
    const near = await runtime.until(opening);
    expect(near.state).to.equal('attached');
    expect(runtime.now()).to.be.above(before);
    near.destroy();
  });

  it('gives up on a connection that does not come within connectMs, and does not keep it when it comes late', async () => {
    const runtime = new VirtualRuntime();
    await using server = await new RawServer().listen();
    let arrive: (socket: Socket) => void = () => {};
    const connect = (): Promise<Socket> =>
      new Promise((resolve) => {
        arrive = resolve;
      });
    const client = new SessionClient({ framing: lines(), connect, runtime, limits: { connectMs: 300 } });
    const opening = rejection(client.open());
    await turns(3);
    runtime.advance(300);
    const error = await opening;
    expect(error.code).to.equal('ERR_CONNECT');
    expect(error.message).to.contain('300 ms');
    const late = await tcp(server.port);
    arrive(late);
    await once(late, 'close');
  });

  it('gives up on a server that does not answer the handshake', async () => {
    const runtime = new VirtualRuntime();
    await using server = await new RawServer().listen();
    const client = new SessionClient({ framing: lines(), port: server.port, runtime });
    const opening = rejection(client.open());
    await (await server.next()).flight();
    runtime.advance(15_000);
    expect((await opening).code).to.equal('ERR_HANDSHAKE_TIMEOUT');
  });

  it('after close() is ERR_CLOSED', async () => {
    const client = new SessionClient({ framing: lines(), port: 1 });
    await client.close();
    expect((await rejection(client.open())).code).to.equal('ERR_CLOSED');
    expect((await rejection(client.resume(Buffer.alloc(0)))).code).to.equal('ERR_CLOSED');
  });

  it('options are checked when the client is made', () => {
    const bad: object[] = [
      {},
      { framing: lines() },
      { framing: lines(), addresses: [] },
      { framing: lines(), port: 1, metadata: 'x'.repeat(513) },
      { framing: lines(), port: 1, heartbeatMs: 1 },
      { framing: lines(), port: 1, window: 100 },
      { framing: lines(), port: 1, limits: { nonsense: 1 } },
      { framing: lines(), port: 1, limits: { messageBytes: 0 } },
      { framing: lines(), port: 1, limits: { outboxHardCap: 100 } },
    ];
    for (const options of bad) {
      expect(() => new SessionClient(options as never), JSON.stringify(options))
        .to.throw(SessionError)
        .with.property('code', 'ERR_INVALID_OPTION');
    }
  });
});

describe('refusals', () => {
  /** Opens against a server that answers OPEN with these bytes. */
  async function answered(answer: Buffer): Promise<SessionError> {
    await using server = await new RawServer().listen();
    const opening = rejection(new SessionClient({ framing: lines(), port: server.port }).open());
    const peer = await server.next();
    await peer.flight();
    peer.write(answer);
    const error = await opening;
    peer.socket.end();
    return error;
  }

  it('each code of REJECTED is an error of its own', async () => {
    const codes: [Parameters<typeof rejectedFlight>[0], string, boolean][] = [
      [{ code: RejectCode.BUSY, retryAfterMs: 1500 }, 'ERR_BUSY', true],
      [{ code: RejectCode.DRAINING }, 'ERR_DRAINING', true],
      [{ code: RejectCode.RETRY_LATER }, 'ERR_RETRY_LATER', true],
      [{ code: RejectCode.VERSION, versions: [2, 3] }, 'ERR_VERSION', false],
      [{ code: RejectCode.DOWNGRADE, versions: [1, 2] }, 'ERR_DOWNGRADE', false],
      [{ code: RejectCode.FRAMING, reason: 'this server frames by smoke' }, 'ERR_FRAMING_MISMATCH', false],
      [{ code: RejectCode.KEY_METHOD }, 'ERR_KEY_METHOD', false],
      [{ code: RejectCode.UNSUPPORTED }, 'ERR_UNSUPPORTED', false],
      [{ code: RejectCode.AUTH }, 'ERR_AUTH', false],
    ];
    for (const [flight, code, retryable] of codes) {
      const error = await answered(rejectedFlight(flight));
      expect([error.code, error.retryable]).to.deep.equal([code, retryable]);
      if (flight.retryAfterMs !== undefined) expect(error.retryAfterMs).to.equal(1500);
      if (flight.reason !== undefined) expect(error.message).to.contain('smoke');
    }
  });

  it('another framing is ERR_FRAMING_MISMATCH, which names the one of the server', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const error = await rejection(new SessionClient({ framing: netstring(), port: pair.port }).open());
    expect(error.code).to.equal('ERR_FRAMING_MISMATCH');
    expect(error.message).to.contain(lines().name);
  });

  it('another version is answered VERSION, with the versions spoken here', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const open = openFlight({}, generateKeyPair().publicKey);
    open[4] = 9;
    const peer = (await RawPeer.dial(pair.port)).write(open);
    const refused = await peer.rejected();
    expect([refused.code, refused.versions]).to.deep.equal([RejectCode.VERSION, [1]]);
    expect(await peer.gone()).to.equal('end');
  });

  it('an unknown tag that must be understood is answered UNSUPPORTED', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const open = openFlight({}, generateKeyPair().publicKey);
    const tagged = Buffer.concat([open, Buffer.from('70000100', 'hex')]);
    tagged.writeUInt16BE(tagged.length - 26, 24);
    const peer = (await RawPeer.dial(pair.port)).write(tagged);
    expect((await peer.rejected()).code).to.equal(RejectCode.UNSUPPORTED);
    const ignorable = Buffer.concat([open, Buffer.from('90000100', 'hex')]);
    ignorable.writeUInt16BE(ignorable.length - 26, 24);
    const other = (await RawPeer.dial(pair.port)).write(ignorable);
    expect((await other.flight()).flight.kind).to.equal(Kind.OPENED);
    other.destroy();
  });

  it('a REJECTED is told once on the server, also when the client then resets', async () => {
    await using pair = await Pair.make({ framing: lines(), server: { authenticate: () => false } });
    const refused = rejections(pair.server);
    const peer = (await RawPeer.dial(pair.port)).write(openFlight({}, generateKeyPair().publicKey));
    await peer.rejected();
    (peer.socket as Socket).resetAndDestroy();
    await turns(30);
    expect(refused.length).to.equal(1);
  });

  it('an OPENED that is not an honest answer is refused', async () => {
    const cases: [Parameters<typeof answerOpen>[1], string][] = [
      [{ keyMethods: KeyMethod.X25519 | KeyMethod.PSK }, 'ERR_HANDSHAKE'],
      [{ heartbeatMs: 1 }, 'ERR_PROTOCOL'],
      [{ publicKey: Buffer.alloc(32) }, 'ERR_HANDSHAKE'],
    ];
    for (const [fields, code] of cases) {
      await using server = await new RawServer().listen();
      const opening = rejection(new SessionClient({ framing: lines(), port: server.port }).open());
      const peer = await server.next();
      await answerOpen(peer, fields);
      expect((await opening).code).to.equal(code);
      await peer.gone();
    }
  });

  it('a low-order X25519 key and bytes behind OPEN get no answer', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const refused = rejections(pair.server);
    const good = openFlight({}, generateKeyPair().publicKey);
    for (const bytes of [openFlight({}, Buffer.alloc(32)), Buffer.concat([good, Buffer.of(1)])]) {
      const peer = (await RawPeer.dial(pair.port)).write(bytes);
      await peer.gone();
      expect(peer.receivedBytes).to.equal(0);
    }
    expect(refused.map(({ code }) => code)).to.deep.equal(['ERR_HANDSHAKE', 'ERR_PROTOCOL']);
  });

  it('a wrong MAC in CONFIRM, or another first frame, ends the connection and makes no session', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const refused = rejections(pair.server);
    for (const first of [`0b000010${'00'.repeat(16)}`, '050000080000000000000000', '01000009000000000000000061']) {
      const peer = await RawPeer.dial(pair.port);
      await rawOpen(peer);
      peer.write(Buffer.from(first.padEnd(40, '0'), 'hex'));
      await peer.gone();
    }
    expect(refused.map(({ code }) => code)).to.deep.equal(['ERR_HANDSHAKE', 'ERR_PROTOCOL', 'ERR_PROTOCOL']);
    expect(pair.server.sessions.size).to.equal(0);
  });

  it('the node hint of the server comes back with the next dial', async () => {
    const { pair, router } = await routed({ framing: lines(), server: { node: 7 } });
    await using _ = pair;
    await using front = router;
    const { near } = await pair.open();
    const again = next(near, 'attached');
    pair.client.nudge();
    await again;
    expect(front.sent.map((bytes) => [bytes[5], bytes[6]])).to.deep.equal([
      [Kind.OPEN, 0],
      [Kind.RESUME, 7],
    ]);
  });
});

describe('foreign bytes', () => {
  const strangers: [string, Buffer, RegExp][] = [
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), /HTTP/],
    ['HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), /HTTP/],
    ['a TLS hello', Buffer.from('16030100c8010000c40303', 'hex'), /TLS/],
    ['SSH', Buffer.from('SSH-2.0-OpenSSH_9.6\r\n'), /SSH/],
    ['telnet', Buffer.from('fffd18fffd20', 'hex'), /telnet/],
    ['PROXY v1', Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n'), /PROXY/],
    ['PROXY v2', Buffer.from('0d0a0d0a000d0a515549540a2111000c', 'hex'), /PROXY/],
    ['Redis', Buffer.from('*1\r\n$4\r\nPING\r\n'), /text protocol/],
    ['SMTP', Buffer.from('EHLO example.org\r\n'), /text protocol/],
    ['garbage', Buffer.from('00010203', 'hex'), /no protocol known/],
    ['our magic with a wrong last byte', Buffer.from('8f4f5400', 'hex'), /no protocol known/],
  ];
  for (const [name, bytes, words] of strangers) {
    it(`${name}: ERR_NOT_OUR_PROTOCOL, and not a byte back`, async () => {
      await using pair = await Pair.make({ framing: lines() });
      const refused = rejections(pair.server);
      const peer = (await RawPeer.dial(pair.port)).write(bytes);
      await peer.gone();
      expect(peer.receivedBytes).to.equal(0);
      expect(refused.map(({ code }) => code)).to.deep.equal(['ERR_NOT_OUR_PROTOCOL']);
      expect(refused[0]?.message).to.match(words);
    });
  }

  it('a client that meets another server says what it met, and may try again', async () => {
    for (const [banner, words] of [
      ['HTTP/1.1 400 Bad Request\r\n\r\n', /HTTP/],
      ['SSH-2.0-OpenSSH_9.6\r\n', /SSH/],
      ['220 mail.example.org ESMTP\r\n', /text protocol/],
    ] as const) {
      await using other = await new Listener((socket) => socket.end(banner)).listen();
      const error = await rejection(new SessionClient({ framing: lines(), port: other.port }).open());
      expect(error.code).to.equal('ERR_NOT_OUR_PROTOCOL');
      expect(error.message).to.match(words);
    }
  });

  it('open({ retry }) goes on after foreign bytes: a portal may stand in the way', async () => {
    const runtime = new VirtualRuntime();
    const { pair, router } = await routed({ framing: lines(), client: { runtime } });
    await using _ = pair;
    await using front = router;
    for (let i = 0; i < 3; i++) front.routes.push((socket) => socket.end('HTTP/1.1 302 Found\r\n\r\n'));
    const near = await runtime.until(pair.client.open({ retry: true }));
    expect([near.state, front.count]).to.deep.equal(['attached', 4]);
  });
});

describe('numbers that run out', () => {
  it('an offset or generation above 2^53-1 is ERR_EXHAUSTED', async () => {
    const runtime = new VirtualRuntime();
    await using pair = await Pair.make({ framing: lines(), client: { runtime } });
    const { near } = await pair.open();
    const record = pair.client.record(near);
    // The record: 3 + 16 + 64 bytes, then the snapshot with its eight numbers behind 18 bytes.
    const at = (index: number): number => 83 + 18 + index * 8;
    const put = (bytes: Buffer, index: number, value: number): void => {
      bytes.writeBigUInt64BE(BigInt(value), at(index));
    };
    const generations = Buffer.from(record);
    put(generations, 4, Number.MAX_SAFE_INTEGER);
    const client = pair.another();
    const retried = next<[{ cause: SessionError }]>(client, 'retry');
    const resuming = rejection(client.resume(generations));
    const [outcome] = (await Promise.race([retried, resuming.then((cause) => [{ cause }])])) as [{ cause: SessionError }];
    expect(outcome.cause.code).to.equal('ERR_EXHAUSTED');
    for (const session of client.sessions) session.destroy();
    await resuming;
    const offsets = Buffer.from(record);
    for (const index of [1, 2, 3]) put(offsets, index, Number.MAX_SAFE_INTEGER - 50);
    const other = pair.another({ connect: () => new Promise(() => {}) });
    const waiting = rejection(other.resume(offsets));
    const [session] = [...other.sessions] as [Session<string>];
    expect(() => session.send('x'.repeat(100)))
      .to.throw(SessionError)
      .with.property('code', 'ERR_EXHAUSTED');
    session.destroy();
    await waiting;
  });
});
