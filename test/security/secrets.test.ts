// What must never be shown: session keys, psk, credentials and MACs, in whatever a program prints, logs or subscribes to. And what must not
// be told: whether a session exists, to who cannot prove that it is theirs.

import { spawnSync } from 'node:child_process';
import { channel } from 'node:diagnostics_channel';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { SessionClient } from '../../lib/client.ts';
import { SessionError } from '../../lib/errors.ts';
import { lines } from '../../lib/framing/lines.ts';
import { next, Pair, rejection, rejections } from '../support/net.ts';
import { RawPeer, rawOpen, rawSession, resumeFlight } from '../support/raw-peer.ts';

const PSK = Buffer.from('5c8e1f7a90b3d24e6f01a8c7b95d3e42', 'hex');
const CREDENTIALS = 'correct-horse-battery-staple';
const CHANNELS = ['open', 'attached', 'detached', 'closed', 'rejected'].map((name) => channel(`outlast:session.${name}`));
/** Session keys stand behind format, flags, node and the 16 bytes of the id. */
const KEYS_AT = 19;
const KEYS_BYTES = 64;

/** The secret in every form in which text could hold it; blanks and commas do not hide it. */
function shows(text: string, secret: Buffer): boolean {
  const dense = text.replace(/[\s,]+/g, '');
  const decimal = [...secret.subarray(0, 8)].join('');
  const forms = [
    secret.toString('hex'),
    secret.toString('base64').slice(0, -3),
    secret.toString('base64url').slice(0, -2),
    secret.toString('latin1'),
  ];
  return forms.some((form) => dense.includes(form) || dense.toLowerCase().includes(form.toLowerCase())) || dense.includes(decimal);
}

const shown = (value: unknown): string =>
  inspect(value, { depth: Number.POSITIVE_INFINITY, showHidden: true, maxArrayLength: null, maxStringLength: null, getters: true });

describe('secrets', () => {
  it('are recognised in every form that is looked for', () => {
    for (const text of [
      PSK.toString('hex'),
      PSK.toString('base64'),
      shown(PSK),
      shown(new Uint8Array(PSK)),
      JSON.stringify(PSK),
      PSK.toString('hex').toUpperCase(),
    ])
      expect(shows(`x ${text} y`, PSK), text).to.equal(true);
    expect(shows(shown(Buffer.alloc(16, 1)), PSK)).to.equal(false);
  });

  for (const carrier of ['TCP', 'TLS 1.3'] as const) {
    it(`are in no public object, error or diagnostics event (${carrier})`, async () => {
      const said: unknown[] = [];
      const listen = (message: unknown): void => void said.push(message);
      for (const one of CHANNELS) one.subscribe(listen);
      try {
        const authenticate = ({ credentials }: { credentials: Buffer }): string | false =>
          credentials.toString() === CREDENTIALS ? 'someone' : false;
        const shared = { psk: PSK };
        await using pair = await Pair.make({
          framing: lines(),
          carrier,
          shared,
          server: { authenticate },
          client: { credentials: CREDENTIALS },
        });
        const refused = rejections(pair.server);
        const { near, far } = await pair.open();
        const record = pair.client.record(near);
        const keys = record.subarray(KEYS_AT, KEYS_AT + KEYS_BYTES);
        far.receive(() => {});
        near.send('hello');
        await near.flushed();
        said.push(shown(near), shown(far), shown(pair.server), shown(pair.client), shown(near.stats), shown(near.circuit));
        // A wrong psk, wrong credentials, and a session that ends with a loss.
        const { psk: _, ...rest } = pair.clientOptions;
        said.push(await rejection(new SessionClient({ ...rest, psk: Buffer.from(PSK).reverse() }).open()));
        said.push(await rejection(pair.another({ credentials: 'wrong' }).open()));
        const closed = next<[unknown]>(far, 'close');
        far.send('not confirmed');
        near.destroy(new SessionError('ERR_DESTROYED', 'on purpose'));
        said.push(...(await closed), ...refused);
        const text = said.map((value) => (typeof value === 'string' ? value : shown(value))).join('\n');
        expect(text).to.include(near.id);
        for (const secret of [keys.subarray(0, 32), keys.subarray(32), PSK, Buffer.from(CREDENTIALS)])
          expect(shows(text, secret)).to.equal(false);
      } finally {
        for (const one of CHANNELS) one.unsubscribe(listen);
      }
    });
  }

  it('are in nothing that NODE_DEBUG prints, and in no string of the heap', function () {
    this.timeout(30_000);
    const path = fileURLToPath(new URL('../support/secretive-process.ts', import.meta.url));
    const { stdout, stderr, status } = spawnSync(process.execPath, ['--import', 'tsx', path], {
      env: { ...process.env, NODE_DEBUG: 'outlast' },
      input: Buffer.concat([PSK, Buffer.from(CREDENTIALS)]),
      encoding: 'utf8',
    });
    expect(status, stderr).to.equal(0);
    const { id, keys, searched, found } = JSON.parse(stdout) as { id: string; keys: string; searched: number; found: string[] };
    expect(searched).to.be.greaterThan(1000);
    expect(found).to.deep.equal([]);
    expect(stderr)
      .to.match(/OUTLAST \d+: open/)
      .and.to.include(id);
    for (const secret of [Buffer.from(keys, 'hex'), PSK, Buffer.from(CREDENTIALS)]) expect(shows(stderr, secret)).to.equal(false);
  });

  it('cross no wire: neither keys nor psk are in what both ends write', async () => {
    const sent: Buffer[] = [];
    await using pair = await Pair.make({ framing: lines(), shared: { psk: PSK } });
    const peer = await RawPeer.dial(pair.port);
    peer.socket.on('data', (chunk: Buffer) => sent.push(chunk));
    const session = await rawOpen(peer, { psk: PSK });
    sent.push(session.openBytes);
    const all = Buffer.concat(sent);
    for (const secret of [session.keys.bytes().subarray(0, 32), session.keys.bytes().subarray(32), PSK])
      expect(all.includes(secret)).to.equal(false);
    peer.destroy();
  });
});

describe('an unknown session and a bad MAC', () => {
  for (const challenge of ['never', 'always'] as const) {
    it(`get the same bytes (challenge: ${challenge})`, async () => {
      // Without chance: two challenges would differ.
      await using known = await Pair.make({ framing: lines(), server: { challenge } });
      await using strange = await Pair.make({ framing: lines(), server: { challenge } });
      const { peer, session } = await rawSession(known.port);
      const flight = resumeFlight(session, { generation: 2 });
      flight.set(Buffer.alloc(16, 9), flight.length - 16);
      const answers: Buffer[] = [];
      for (const { port } of [known, strange]) {
        const asking = (await RawPeer.dial(port)).write(flight);
        const { bytes } = await asking.flight();
        if (challenge === 'never') answers.push(bytes);
        else {
          asking.write(Buffer.concat([Buffer.from([0x0a, 0, 0, 16]), Buffer.alloc(16, 7)]));
          answers.push(Buffer.concat([bytes.subarray(0, 29), (await asking.flight()).bytes]));
        }
        asking.destroy();
      }
      expect(answers[0]?.length).to.be.greaterThan(26);
      expect(answers[0]?.toString('hex')).to.equal(answers[1]?.toString('hex'));
      peer.destroy();
    });
  }
});
