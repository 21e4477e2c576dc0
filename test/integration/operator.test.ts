// What an operator needs of a running server: certificates renewed without a restart, and how long a detached session is still held.

import { expect } from 'chai';
import { SessionError } from '../../lib/errors.ts';
import { lines } from '../../lib/framing/lines.ts';
import { SessionServer } from '../../lib/server.ts';
import { next, Pair, proxied, rejection, VirtualRuntime } from '../support/net.ts';
import { clientTls, serverTls } from '../support/tls.ts';

describe('a server in operation', () => {
  it('takes new certificates for new connections, and keeps the old ones open', async () => {
    await using pair = await Pair.make({ framing: lines(), carrier: 'TLS 1.3' });
    const { near } = await pair.open();
    // One that no client accepts from a server, to see that it is in use.
    const { key, cert } = clientTls('client');
    pair.server.setSecureContext({ key, cert });
    expect((await rejection(pair.another().open())).code).to.equal('ERR_CONNECT');
    expect(near.state).to.equal('attached');
    const { port } = await pair.server.listen({ port: 0 });
    expect((await rejection(pair.another({ port }).open())).code).to.equal('ERR_CONNECT');

    const { key: ownKey, cert: ownCert } = serverTls();
    pair.server.setSecureContext({ key: ownKey, cert: ownCert });
    expect((await pair.another({ port }).open()).state).to.equal('attached');
    pair.client.nudge();
    await next(near, 'attached');
    expect(near.stats.circuits).to.equal(2);
  });

  it('has no certificates to renew without TLS', async () => {
    await using server = new SessionServer({ framing: lines() });
    expect(() => server.setSecureContext({}))
      .to.throw(SessionError)
      .with.property('code', 'ERR_INVALID_OPTION');
  });

  it('tells what was agreed on, and how long a detached session is held', async () => {
    const runtime = new VirtualRuntime();
    const { pair, proxy } = await proxied({
      framing: lines(),
      server: { runtime, holdMs: 60_000, heartbeatMs: 20_000 },
      client: { holdMs: 40_000, heartbeatMs: 30_000 },
    });
    await using _pair = pair;
    await using _proxy = proxy;
    const { far } = await pair.open();
    const { heartbeatMs, holdMs, holdLeftMs } = far.stats;
    expect([heartbeatMs, holdMs, holdLeftMs]).to.deep.equal([20_000, 40_000, Infinity]);
    const gone = next(far, 'detached');
    proxy.kill();
    await gone;
    expect(far.stats.holdLeftMs).to.equal(40_000);
    runtime.advance(15_000);
    expect(far.stats.holdLeftMs).to.equal(25_000);
  });
});
