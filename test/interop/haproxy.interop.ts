// deploy/haproxy.cfg in a real HAProxy, in front of two nodes that share nothing: each resume must come to the node that has the session,
// by what HAProxy has learned or by the node's number, also when the first flight comes in pieces.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect } from 'chai';
import { type Session, SessionClient, SessionServer } from 'outlast';
import { lines } from 'outlast/framing/lines';
import { ChaosProxy } from 'outlast/testing';
import { freePort } from '../support/free-port.ts';
import { Haproxy } from '../support/haproxy.ts';
import { eventually } from '../support/net.ts';

const SESSIONS = 16;
const RESUMES = 3;

/** Two nodes and a HAProxy in front. */
class Site implements AsyncDisposable {
  readonly nodes: readonly SessionServer<string>[];
  readonly haproxy: Haproxy;
  /** Which node a session was opened on, by its id, and what was turned away. */
  readonly homes: Map<string, number> = new Map();
  readonly rejections: string[] = [];

  private constructor(nodes: readonly SessionServer<string>[], haproxy: Haproxy) {
    this.nodes = nodes;
    this.haproxy = haproxy;
    nodes.forEach((server, index) => {
      server.on('session', (session) => {
        this.homes.set(session.id, index + 1);
        session.receive((line) => session.send(`node ${index + 1}: ${line}`));
      });
      server.on('rejected', (error) => this.rejections.push(error.message));
    });
  }

  static async make(): Promise<Site> {
    const ports = [await freePort(), await freePort()] as const;
    const proxyProtocol = { trust: ['127.0.0.1'] };
    const nodes = ports.map((_, index) => new SessionServer({ framing: lines(), node: index + 1, proxyProtocol }));
    await Promise.all(nodes.map((server, index) => server.listen({ port: ports[index] as number })));
    return new Site(nodes, await Haproxy.start(ports));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.haproxy[Symbol.asyncDispose]();
    await Promise.all(this.nodes.map((server) => server.close()));
  }
}

/** Sends a line and expects the answer of this session's node. */
async function asks(site: Site, session: Session<string>, text: string): Promise<void> {
  session.send(text);
  for await (const line of session) {
    expect(line).to.equal(`node ${site.homes.get(session.id)}: ${text}`);
    return;
  }
}

/** Opens sessions, resumes each several times, and counts where they came. */
async function resumesAtHome(site: Site, port: number, between: () => Promise<void> = async () => {}): Promise<void> {
  // Every other one sends its first flights in pieces of five bytes.
  await using proxy = new ChaosProxy({ target: { port }, plan: () => ({ trickle: { bytes: 5, everyMs: 1 } }) });
  const pieces = await proxy.listen();
  const clients = Array.from({ length: SESSIONS }, (_, i) => new SessionClient({ framing: lines(), port: i % 2 === 0 ? port : pieces }));
  const sessions = await Promise.all(clients.map((client) => client.open()));
  await Promise.all(sessions.map((session) => asks(site, session, 'opened')));
  expect(new Set(site.homes.values())).to.deep.equal(new Set([1, 2]));
  for (let round = 1; round <= RESUMES; round++) {
    if (round === 2) await between();
    for (const client of clients) client.nudge();
    await eventually(() => sessions.every((session) => session.stats.resumes >= round && session.state === 'attached'));
    await Promise.all(sessions.map((session) => asks(site, session, `resumed ${round}`)));
  }
  expect(site.rejections).to.deep.equal([]);
  await Promise.all(sessions.map((session) => session.close()));
  await Promise.all(clients.map((client) => client.close()));
}

describe('HAProxy in front of two nodes', function () {
  this.timeout(60_000);

  it('brings each resume to its node by what it has learned', async () => {
    await using site = await Site.make();
    await resumesAtHome(site, site.haproxy.learned);
  });

  it('brings each resume to its node by number, also behind a restart of HAProxy', async () => {
    await using site = await Site.make();
    await resumesAtHome(site, site.haproxy.numbered, () => site.haproxy.restart());
  });

  it('tells each node who its clients are', async () => {
    await using site = await Site.make();
    const from = async (address: string): Promise<Socket> => {
      const socket = connect({ port: site.haproxy.learned, host: '127.0.0.1', localAddress: address });
      await once(socket, 'connect');
      return socket;
    };
    for (const address of ['127.0.0.77', '127.0.0.78']) {
      const client = new SessionClient({ framing: lines(), connect: () => from(address) });
      const session = await client.open();
      await asks(site, session, 'hello');
      const held = site.nodes.map((server) => server.sessions.get(session.id)).find((found) => found !== undefined);
      expect(held?.circuit?.remoteAddress).to.equal(address);
      await session.close();
      await client.close();
    }
  });
});
