// One session over every kind of connection: TCP, TLS 1.3 and 1.2, Unix sockets, and a Duplex made by the application.

import { expect } from 'chai';
import { SessionError } from '../../lib/errors.ts';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { lines } from '../../lib/framing/lines.ts';
import { carriers, echo, ended, next, Pair, take, takeAll } from '../support/net.ts';

describe('a session over every carrier', () => {
  for (const carrier of carriers) {
    describe(carrier, () => {
      it('opens, and both ends know the same session', async () => {
        await using pair = await Pair.make({ framing: lines(), carrier, client: { metadata: 'app 7' } });
        const { near, far } = await pair.open();
        expect(near.id)
          .to.equal(far.id)
          .and.match(/^[0-9a-f]{32}$/);
        expect([near.state, far.state]).to.deep.equal(['attached', 'attached']);
        expect(far.metadata.toString()).to.equal('app 7');
        expect(near.metadata.length).to.equal(0);
        expect(pair.server.sessions.get(far.id)).to.equal(far);
        expect([...pair.client.sessions]).to.deep.equal([near]);
        const transport = { TCP: 'tcp', 'TLS 1.3': 'tls', 'TLS 1.2': 'tls', 'Unix socket': 'unix', duplex: 'duplex' }[carrier];
        for (const session of [near, far]) {
          expect(session.circuit?.transport).to.equal(transport);
          expect(session.circuit?.secure).to.equal(transport === 'tls');
          expect(session.circuit?.local).to.equal(true);
        }
        expect(far.circuit?.serverName).to.equal(transport === 'tls' ? 'localhost' : '');
      });

      it('carries messages both ways and ends clean on both sides', async () => {
        await using pair = await Pair.make({ framing: lines(), carrier });
        const { near, far } = await pair.open();
        const served = echo(far);
        const causes = Promise.all([ended(near), ended(far)]);
        const sent = Array.from({ length: 500 }, (_, i) => `line ${i} ${'ü'.repeat(i % 40)}`);
        for (const line of sent) near.send(line);
        const back = takeAll(near);
        near.end();
        expect(await back).to.deep.equal(sent);
        await near.close();
        await served;
        expect(await causes).to.deep.equal([undefined, undefined]);
        expect([near.state, far.state]).to.deep.equal(['closed', 'closed']);
        expect(pair.server.sessions.size).to.equal(0);
        expect(pair.client.sessions.size).to.equal(0);
      });

      it('carries large messages through small windows', async () => {
        const shared = { window: 32_768, limits: { messageBytes: 16_384 } };
        await using pair = await Pair.make({ framing: lengthPrefix(), carrier, shared });
        const { near, far } = await pair.open();
        const served = echo(far);
        const sent = Array.from({ length: 40 }, (_, i) => Buffer.alloc(1 + i * 400, i));
        const back = takeAll(near);
        for (const message of sent) if (!near.send(message)) await near.drained();
        near.end();
        expect((await back).map((message) => message.toString('hex'))).to.deep.equal(sent.map((message) => message.toString('hex')));
        await Promise.all([near.close(), served]);
      });

      it('goes on after its circuit was cut', async () => {
        await using pair = await Pair.make({ framing: lines(), carrier });
        const { near, far } = await pair.open();
        const served = echo(far);
        near.send('before');
        expect(await take(near, 1)).to.deep.equal(['before']);
        const again = next(near, 'attached');
        const lost = next<[SessionError]>(near, 'detached');
        pair.client.nudge();
        await again;
        expect(SessionError.is((await lost)[0], 'ERR_CIRCUIT_LOST')).to.equal(true);
        near.send('after');
        expect(await take(near, 1)).to.deep.equal(['after']);
        expect([near.stats.circuits, near.stats.resumes, far.stats.resumes]).to.deep.equal([2, 1, 1]);
        await Promise.all([near.close(), served]);
      });

      it('half-closes: the other direction goes on', async () => {
        await using pair = await Pair.make({ framing: lines(), carrier, shared: { allowHalfOpen: true } });
        const { near, far } = await pair.open();
        const causes = Promise.all([ended(near), ended(far)]);
        near.send('question');
        near.end();
        expect(await takeAll(far)).to.deep.equal(['question']);
        expect(far.state).to.equal('attached');
        far.send('answer one');
        far.send('answer two');
        far.end();
        expect(await takeAll(near)).to.deep.equal(['answer one', 'answer two']);
        expect(await causes).to.deep.equal([undefined, undefined]);
      });

      it('tells a failed application apart from a clean end', async () => {
        await using pair = await Pair.make({ framing: lines(), carrier });
        const { near, far } = await pair.open();
        const cause = ended(near);
        far.destroy(new Error('no more'));
        const error = (await cause) as SessionError;
        expect(error.code).to.equal('ERR_PEER_DESTROYED');
        expect(error.blame).to.equal('peer');
        expect(error.message).to.contain('no more');
      });
    });
  }
});
