// Keys: the derivation against Node's own HKDF, X25519 against RFC 7748, every MAC label apart, and that nothing of a key shows.

import { createHash, createHmac, createPrivateKey, hkdfSync, type KeyObject } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { inspect } from 'node:util';
import { expect } from 'chai';
import fc from 'fast-check';
import { SessionError, type SessionErrorCode } from '../../lib/errors.ts';
import {
  deriveKeys,
  EphemeralKey,
  generateKeyPair,
  keysOfNobody,
  type MacLabel,
  MinuteKey,
  parsePsk,
  SessionKeys,
  sharedSecret,
  type TlsChannel,
  tlsSecrets,
} from '../../lib/security/keys.ts';

const labels: readonly MacLabel[] = ['opened', 'confirm', 'resume', 'proof', 'resumed', 'rejected'];
const serverSide: readonly MacLabel[] = ['opened', 'resumed', 'rejected'];

const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const buffer = (minLength: number, maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array));
const count = (length: number, first: number = 0): Buffer => Buffer.from(Array.from({ length }, (_, i) => first + i));

function x25519Private(raw: string): KeyObject {
  return createPrivateKey({ key: hex(`302e020100300506032b656e04220420${raw}`), format: 'der', type: 'pkcs8' });
}

function expectCode(code: SessionErrorCode, call: () => unknown): SessionError {
  let thrown: unknown;
  try {
    call();
  } catch (error) {
    thrown = error;
  }
  expect(SessionError.is(thrown, code), `expected ${code}, got ${String(thrown)}`).to.equal(true);
  return thrown as SessionError;
}

describe('security/keys: X25519', () => {
  it('agrees with RFC 7748 §5.2 and §6.1', () => {
    const scalar = x25519Private('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4');
    const point = hex('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c');
    expect(sharedSecret(scalar, point).toString('hex')).to.equal('c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552');
    const bob = x25519Private('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb');
    const base = Buffer.alloc(32);
    base[0] = 9;
    expect(sharedSecret(bob, base).toString('hex')).to.equal('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f');
  });

  it('makes pairs that agree with each other', () => {
    const ours = generateKeyPair();
    const theirs = generateKeyPair();
    expect(ours.publicKey).to.have.length(32);
    expect(ours.publicKey.equals(theirs.publicKey)).to.equal(false);
    expect(sharedSecret(ours.privateKey, theirs.publicKey).equals(sharedSecret(theirs.privateKey, ours.publicKey))).to.equal(true);
  });

  // The points of small order in RFC 7748's curve and their unreduced twins.
  const lowOrder = [
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000000',
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ];
  for (const point of lowOrder) {
    it(`refuses the low-order point ${point.slice(0, 8)}…`, () => {
      const { privateKey } = generateKeyPair();
      expectCode('ERR_HANDSHAKE', () => sharedSecret(privateKey, hex(point)));
    });
  }

  it('refuses a key of another length', () => {
    const { privateKey } = generateKeyPair();
    expectCode('ERR_HANDSHAKE', () => sharedSecret(privateKey, Buffer.alloc(31, 9)));
    expectCode('ERR_HANDSHAKE', () => sharedSecret(privateKey, Buffer.alloc(33, 9)));
  });

  it('keeps the server key for its lifetime and not longer', () => {
    const ephemeral = new EphemeralKey();
    const first = ephemeral.current(1_000);
    expect(ephemeral.current(60_999)).to.equal(first);
    const second = ephemeral.current(61_000);
    expect(second.publicKey.equals(first.publicKey)).to.equal(false);
    expect(ephemeral.current(61_001)).to.equal(second);
  });
});

describe('security/keys: what a key has agreed', () => {
  it('is the same again, of each peer its own, however many there were', () => {
    const key = new MinuteKey();
    const peers = Array.from({ length: 300 }, generateKeyPair);
    for (let round = 0; round < 2; round++) {
      for (const { privateKey, publicKey } of peers)
        expect(key.agree(publicKey).equals(sharedSecret(privateKey, key.publicKey))).to.equal(true);
    }
  });

  it('is worked out once for a peer that comes often, and not for its key of the next minute', () => {
    const ephemeral = new EphemeralKey();
    const peer = generateKeyPair();
    const first = ephemeral.current(0).agree(peer.publicKey);
    expect(ephemeral.current(59_999).agree(Buffer.from(peer.publicKey))).to.equal(first);
    expect(ephemeral.current(60_000).agree(peer.publicKey).equals(first)).to.equal(false);
  });

  it('is nothing for a low-order point, the second time neither', () => {
    const key = new MinuteKey();
    for (let i = 0; i < 2; i++) expectCode('ERR_HANDSHAKE', () => key.agree(Buffer.alloc(32)));
  });

  it('does not show', () => {
    const key = new MinuteKey();
    const shared = key.agree(generateKeyPair().publicKey);
    const text = inspect(key, { depth: 9, showHidden: true });
    expect(text).to.not.include(shared.toString('hex'));
    expect(text).to.not.match(/PrivateKey|agreed/);
  });
});

describe('security/keys: derivation', () => {
  const openBytes = count(60);
  const openedBytes = count(80, 100);

  it('is HKDF-SHA-256 over length-prefixed secrets, salted with the transcript up to the mac of OPENED', () => {
    const secret = fc.option(buffer(32, 32), { nil: undefined });
    fc.assert(
      fc.property(
        buffer(26, 200),
        buffer(42, 200),
        secret,
        secret,
        fc.option(buffer(16, 80), { nil: undefined }),
        (open, opened, a, b, psk) => {
          fc.pre(a !== undefined || b !== undefined);
          const parts = [a, b, psk].flatMap((part) => [Buffer.of(0, part?.length ?? 0), part ?? Buffer.alloc(0)]);
          const salt = createHash('sha256')
            .update(Buffer.concat([open, opened.subarray(0, -16)]))
            .digest();
          const expand = (info: string): Buffer => Buffer.from(hkdfSync('sha256', Buffer.concat(parts), salt, info, 32));
          const expected = Buffer.concat([expand('outlast1 client'), expand('outlast1 server')]);
          const keys = deriveKeys({ openBytes: open, openedBytes: opened, exporter: a, shared: b, psk });
          expect(keys.bytes().equals(expected)).to.equal(true);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('depends on every input, and not on the mac of OPENED', () => {
    const inputs = { openBytes, openedBytes, exporter: Buffer.alloc(32, 1), shared: Buffer.alloc(32, 2), psk: Buffer.alloc(16, 3) };
    const flip = (bytes: Buffer, at: number): Buffer => {
      const copy = Buffer.from(bytes);
      copy[at] = (copy[at] as number) ^ 1;
      return copy;
    };
    const plain = deriveKeys(inputs).bytes();
    const changed = [
      { ...inputs, openBytes: flip(openBytes, 0) },
      { ...inputs, openedBytes: flip(openedBytes, openedBytes.length - 17) },
      { ...inputs, exporter: flip(inputs.exporter, 31) },
      { ...inputs, shared: flip(inputs.shared, 0) },
      { ...inputs, psk: flip(inputs.psk, 0) },
      { ...inputs, psk: undefined },
      { ...inputs, exporter: inputs.shared, shared: inputs.exporter },
      { ...inputs, exporter: undefined },
    ];
    for (const other of changed) expect(deriveKeys(other).bytes().equals(plain)).to.equal(false);
    const sameMac = deriveKeys({ ...inputs, openedBytes: flip(openedBytes, openedBytes.length - 16) });
    expect(sameMac.bytes().equals(plain)).to.equal(true);
  });

  it('refuses a psk alone', () => {
    expectCode('ERR_INVALID_OPTION', () => deriveKeys({ openBytes, openedBytes, exporter: undefined, shared: undefined, psk: count(16) }));
  });
});

describe('security/keys: MACs', () => {
  const keys = SessionKeys.from(count(64));
  const parts = [Buffer.from('RESUME'), Buffer.from('CHALLENGE')];
  const binding = Buffer.alloc(32, 7);

  for (const label of labels) {
    it(`${label}: HMAC-SHA-256 of label, parts and binding under the ${serverSide.includes(label) ? 'server' : 'client'} key, 16 bytes`, () => {
      const key = serverSide.includes(label) ? count(32, 32) : count(32);
      const input = Buffer.concat([Buffer.from(`outlast1 ${label}`), ...parts, binding]);
      const expected = createHmac('sha256', key).update(input).digest().subarray(0, 16);
      expect(keys.mac(label, parts, binding).toString('hex')).to.equal(expected.toString('hex'));
      expect(keys.verify(label, parts, binding, expected)).to.equal(true);
      for (const other of labels) expect(keys.verify(other, parts, binding, expected), other).to.equal(other === label);
      expect(keys.verify(label, parts, undefined, expected)).to.equal(false);
      expect(keys.verify(label, [...parts, Buffer.of(0)], binding, expected)).to.equal(false);
    });
  }

  it('refuses every changed bit and every other length', () => {
    const mac = keys.mac('resume', parts, undefined);
    for (let bit = 0; bit < 128; bit++) {
      const other = Buffer.from(mac);
      other[bit >> 3] = (other[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(keys.verify('resume', parts, undefined, other)).to.equal(false);
    }
    expect(keys.verify('resume', parts, undefined, mac.subarray(0, 15))).to.equal(false);
    expect(keys.verify('resume', parts, undefined, Buffer.concat([mac, Buffer.of(0)]))).to.equal(false);
    expect(keys.verify('resume', parts, undefined, Buffer.alloc(0))).to.equal(false);
  });

  it('never says yes for nobody', () => {
    for (const label of labels) expect(keysOfNobody().verify(label, parts, undefined, keys.mac(label, parts, undefined))).to.equal(false);
    expect(keysOfNobody().bytes().equals(Buffer.alloc(64))).to.equal(false);
    expect(keysOfNobody()).to.equal(keysOfNobody());
  });

  it('goes into a record and back, by copy', () => {
    const record = keys.bytes();
    const restored = SessionKeys.from(record);
    record.fill(0);
    expect(restored.bytes().equals(count(64))).to.equal(true);
    expect(keys.bytes().equals(count(64))).to.equal(true);
    expectCode('ERR_INVALID_OPTION', () => SessionKeys.from(Buffer.alloc(63)));
  });

  it('shows nothing', () => {
    const secret = SessionKeys.from(Buffer.alloc(64, 'S'));
    for (const text of [
      inspect(secret, { showHidden: true, depth: 9 }),
      JSON.stringify(secret),
      String(secret),
      `${inspect({ secret })}`,
    ]) {
      expect(text).to.not.match(/SSS|5353|83, ?83/);
    }
    expect(Reflect.ownKeys(secret)).to.deep.equal([]);
  });
});

describe('security/keys: psk', () => {
  const good = hex('9f3c61d2a80be4577c15f06e2b93d84a');

  it('takes 16 random bytes and copies them', () => {
    const own = parsePsk(good);
    expect(own.equals(good)).to.equal(true);
    expect(own).to.not.equal(good);
    fc.assert(
      fc.property(buffer(32, 64), (psk) => new Set(psk).size < 8 || parsePsk(psk).equals(psk)),
      { numRuns: 50 },
    );
  });

  const weak: Array<readonly [string, Buffer]> = [
    ['15 bytes', good.subarray(0, 15)],
    ['nothing', Buffer.alloc(0)],
    ['65,536 bytes', Buffer.concat(Array.from({ length: 4096 }, () => good))],
    ['all equal', Buffer.alloc(32, 0x5a)],
    ['zeros', Buffer.alloc(16)],
    ['counting up', count(16)],
    ['counting down', Buffer.from(count(32)).reverse()],
    ['counting by threes', Buffer.from(count(16).map((byte) => 3 * byte))],
    ['a repeated word', Buffer.from('secretsecretsecretsecret')],
  ];
  for (const [name, psk] of weak) {
    it(`refuses ${name}, and does not print it`, () => {
      const error = expectCode('ERR_INVALID_OPTION', () => parsePsk(psk));
      if (psk.length > 0) expect(error.message).to.not.contain(psk.toString('latin1').slice(0, 12));
    });
  }
});

describe('security/keys: TLS', () => {
  const channel = (protocol: string | null, asked: unknown[][]): TlsChannel => ({
    getProtocol: () => protocol,
    exportKeyingMaterial(...args) {
      asked.push(args);
      return Buffer.alloc(args[0], args[1].length);
    },
  });

  it('takes exporter and channel binding of TLS 1.3, 32 bytes each, no context', () => {
    const asked: unknown[][] = [];
    const secrets = tlsSecrets(channel('TLSv1.3', asked));
    expect(asked).to.deep.equal([
      [32, 'EXPORTER-outlast-1'],
      [32, 'EXPORTER-Channel-Binding'],
    ]);
    expect(secrets?.exporter.equals(Buffer.alloc(32, 18))).to.equal(true);
    expect(secrets?.binding.equals(Buffer.alloc(32, 24))).to.equal(true);
  });

  it('takes nothing of older TLS or before the handshake', () => {
    const asked: unknown[][] = [];
    for (const protocol of ['TLSv1.2', 'TLSv1.1', 'unknown', null]) expect(tlsSecrets(channel(protocol, asked))).to.equal(undefined);
    expect(asked).to.deep.equal([]);
  });

  it('fits a TLSSocket', () => {
    const take: (socket: TLSSocket) => unknown = tlsSecrets;
    expect(take).to.equal(tlsSecrets);
  });
});
