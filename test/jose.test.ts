// Tokens as credentials: what is taken, and a corpus of what RFC 8725 warns of, all of which is refused for the right reason.

import { createHmac, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { expect } from 'chai';
import { CompactEncrypt, EncryptJWT, SignJWT } from 'jose';
import { SessionError } from '../lib/errors.ts';
import { lengthPrefix } from '../lib/framing/length-prefix.ts';
import { type TokenKey, type TokenOptions, tokenCredentials } from '../lib/jose.ts';
import type { Hello, Verdict } from '../lib/options.ts';
import { Pair } from './support/net.ts';

const NOW = 1_800_000_000;
const ISSUER = 'https://login.example';
const AUDIENCE = 'game.example';
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const otherRsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ed = generateKeyPairSync('ed25519');
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' });
const hmac = randomBytes(64);
const aes = randomBytes(32);

const keys: TokenKey[] = [
  { kid: 'ed', algorithm: 'EdDSA', key: ed.publicKey },
  { kid: 'es', algorithm: 'ES256', key: p256.publicKey },
  { kid: 'rs', algorithm: 'RS256', key: rsa.publicKey },
  { kid: 'hs', algorithm: 'HS256', key: hmac },
  { kid: 'jwe', algorithm: 'dir', encryption: 'A256GCM', key: aes },
];
const good = { iss: ISSUER, aud: AUDIENCE, sub: 'alice', exp: NOW + 300 };
const head = { alg: 'EdDSA', kid: 'ed', typ: 'outlast+jwt' };

interface Asked {
  readonly verdict: Verdict;
  readonly reason: string;
}

async function ask(token: string | Uint8Array, options: Partial<TokenOptions> = {}): Promise<Asked> {
  let reason = '';
  const refused = (why: string): void => {
    reason = why;
  };
  const authenticate = tokenCredentials({ keys, issuer: ISSUER, audience: AUDIENCE, refused, now: () => NOW * 1000, ...options });
  const verdict = await authenticate({ credentials: Buffer.from(token) } as unknown as Hello);
  return { verdict, reason };
}

const b64 = (value: unknown): string => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** Any header and claims, also as raw JSON text, signed with the Ed25519 key: only their content is wrong. */
function signed(claims: unknown, header: unknown = head, key: KeyObject = ed.privateKey): string {
  const input = `${b64(header)}.${b64(claims)}`;
  return `${input}.${sign(null, Buffer.from(input), key).toString('base64url')}`;
}

/** The same with an HMAC: what an attacker does who holds a public key only. */
function hashed(header: unknown, claims: unknown, secret: Buffer | string): string {
  const input = `${b64(header)}.${b64(claims)}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

const pem = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }) as string;
const der = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' });
const flipped = (token: string, part: number): string => {
  const parts = token.split('.');
  const text = parts[part] as string;
  parts[part] = `${text[0] === 'A' ? 'B' : 'A'}${text.slice(1)}`;
  return parts.join('.');
};

describe('jose: tokens that are taken', () => {
  const kinds: [TokenKey, KeyObject | Uint8Array][] = [
    [{ kid: 'a', algorithm: 'EdDSA', key: ed.publicKey }, ed.privateKey],
    [{ kid: 'a', algorithm: 'ES256', key: p256.publicKey }, p256.privateKey],
    [{ kid: 'a', algorithm: 'ES384', key: p384.publicKey }, p384.privateKey],
    [{ kid: 'a', algorithm: 'ES512', key: p521.publicKey }, p521.privateKey],
    [{ kid: 'a', algorithm: 'PS256', key: rsa.publicKey }, rsa.privateKey],
    [{ kid: 'a', algorithm: 'PS384', key: rsa.publicKey }, rsa.privateKey],
    [{ kid: 'a', algorithm: 'PS512', key: rsa.publicKey }, rsa.privateKey],
    [{ kid: 'a', algorithm: 'RS256', key: rsa.publicKey }, rsa.privateKey],
    [{ kid: 'a', algorithm: 'RS384', key: rsa.publicKey }, rsa.privateKey],
    [{ kid: 'a', algorithm: 'RS512', key: rsa.publicKey }, rsa.privateKey],
    [{ kid: 'a', algorithm: 'HS256', key: hmac }, hmac],
    [{ kid: 'a', algorithm: 'HS384', key: hmac }, hmac],
    [{ kid: 'a', algorithm: 'HS512', key: hmac }, hmac],
  ];
  for (const [key, secret] of kinds) {
    it(`signed with ${key.algorithm}, with and without kid`, async () => {
      for (const kid of ['a', undefined]) {
        const header = { alg: key.algorithm, typ: 'outlast+jwt', ...(kid === undefined ? {} : { kid }) };
        const token = await new SignJWT(good).setProtectedHeader(header).sign(secret);
        expect(await ask(token, { keys: [key] })).to.deep.equal({ verdict: 'alice', reason: '' });
      }
    });
  }
  for (const algorithm of ['dir', 'A256KW'] as const) {
    it(`encrypted with ${algorithm}`, async () => {
      const header = { alg: algorithm, enc: 'A256GCM', kid: 'a', typ: 'outlast+jwt' };
      const token = await new EncryptJWT(good).setProtectedHeader(header).encrypt(aes);
      expect(await ask(token, { keys: [{ kid: 'a', algorithm, encryption: 'A256GCM', key: aes }] })).to.deep.equal({
        verdict: 'alice',
        reason: '',
      });
    });
  }

  it('with several audiences, inside the leeway, with claims that nobody knows', async () => {
    const claims = { ...good, aud: ['x', AUDIENCE], nbf: NOW + 29, iat: NOW + 29, exp: NOW - 29, act: { sub: 'bob', iss: 'x' } };
    expect(await ask(signed(claims))).to.deep.equal({ verdict: 'alice', reason: '' });
  });

  it('with a verdict of accept(), which sees the claims', async () => {
    const accept = (claims: Readonly<Record<string, unknown>>): Verdict => `${claims.sub}@${claims.org}`;
    expect((await ask(signed({ ...good, org: 'acme' }), { accept })).verdict).to.equal('alice@acme');
    expect((await ask(signed(good), { accept: () => false })).verdict).to.equal(false);
  });

  it('over a real session', async () => {
    const authenticate = tokenCredentials({ keys, issuer: ISSUER, audience: AUDIENCE });
    await using pair = await Pair.make({ framing: lengthPrefix(), server: { authenticate } });
    const exp = Math.floor(Date.now() / 1000) + 60;
    const { far } = await pair.open(pair.another({ credentials: signed({ ...good, exp }) }));
    expect(far.principal).to.equal('alice');
    const late = await pair
      .another({ credentials: signed({ ...good, exp: exp - 1000 }) })
      .open()
      .catch((error: unknown) => error);
    expect(SessionError.is(late, 'ERR_AUTH'), String(late)).to.equal(true);
  });
});

describe('jose: tokens that are refused (RFC 8725)', () => {
  const none = (alg: unknown): string => `${b64({ ...head, alg })}.${b64(good)}.`;
  const unsafe = (alg: unknown): string => signed(good, { ...head, alg });
  const corpus: [string, string | Uint8Array | (() => Promise<string>), RegExp][] = [
    ['nothing', '', /no token/],
    ['one part', b64(head), /compact/],
    ['two parts', `${b64(head)}.${b64(good)}`, /compact/],
    ['four parts', `${signed(good)}.x`, /compact/],
    ['six parts', `${signed(good)}.x.y.z`, /compact/],
    ['a space in front', ` ${signed(good)}`, /compact/],
    ['a line end behind', `${signed(good)}\n`, /compact/],
    ['base64 padding', `${signed(good)}==`, /compact/],
    ['bytes above ASCII', Buffer.concat([Buffer.from(signed(good)), Buffer.of(0xc3, 0xa9)]), /compact/],
    ['a NUL', `${signed(good)}\0`, /compact/],
    ['JSON serialization', JSON.stringify({ payload: b64(good), signatures: [] }), /compact/],
    ['8,193 bytes', 'a'.repeat(8193), /too long/],
    ['dots only', '..', /header/],
    ['a header that is no JSON', `${b64('no json')}.${b64(good)}.AA`, /header/],
    ['a header that is null', `${b64('null')}.${b64(good)}.AA`, /header/],
    ['a header that is a list', `${b64('[]')}.${b64(good)}.AA`, /header/],
    ['a header of bad UTF-8', `${Buffer.of(0x7b, 0xff, 0x7d).toString('base64url')}.${b64(good)}.AA`, /header/],
    ['alg none', none('none'), /another alg/],
    ['alg None', none('None'), /another alg/],
    ['alg nOnE', none('nOnE'), /another alg/],
    ['alg NONE', none('NONE'), /another alg/],
    ['no alg', `${b64({ kid: 'ed', typ: 'outlast+jwt' })}.${b64(good)}.AA`, /another alg/],
    ['an empty alg', none(''), /another alg/],
    ['alg as a list', none(['EdDSA']), /no string/],
    ['alg null', none(null), /no string/],
    ['alg in other case', unsafe('eddsa'), /another alg/],
    ['alg with a blank', unsafe('EdDSA '), /another alg/],
    ['alg twice, none last', `${b64('{"alg":"EdDSA","kid":"ed","typ":"outlast+jwt","alg":"none"}')}.${b64(good)}.`, /twice/],
    ['alg twice, by an escape', `${b64('{"alg":"none","kid":"ed","typ":"outlast+jwt","\\u0061lg":"EdDSA"}')}.${b64(good)}.`, /twice/],
    ['RS256 key as HMAC secret (PEM)', hashed({ ...head, alg: 'HS256', kid: 'rs' }, good, pem(rsa.publicKey)), /another alg/],
    ['RS256 key as HMAC secret (DER)', hashed({ ...head, alg: 'HS256', kid: 'rs' }, good, der(rsa.publicKey)), /another alg/],
    ['ES256 key as HMAC secret', hashed({ ...head, alg: 'HS256', kid: 'es' }, good, pem(p256.publicKey)), /another alg/],
    ['EdDSA key as HMAC secret', hashed({ ...head, alg: 'HS256' }, good, pem(ed.publicKey)), /another alg/],
    ['HS256 without its secret', hashed({ ...head, alg: 'HS256', kid: 'hs' }, good, ''), /SIGNATURE/],
    ['HS512 with the HS256 key', hashed({ ...head, alg: 'HS512', kid: 'hs' }, good, hmac), /another alg/],
    [
      'PS256 with the RS256 key',
      () => new SignJWT(good).setProtectedHeader({ ...head, alg: 'PS256', kid: 'rs' }).sign(rsa.privateKey),
      /another alg/,
    ],
    [
      'ES384 with another curve',
      () => new SignJWT(good).setProtectedHeader({ ...head, alg: 'ES384', kid: 'es' }).sign(p384.privateKey),
      /another alg/,
    ],
    [
      'signed by a stranger',
      () => new SignJWT(good).setProtectedHeader({ ...head, alg: 'RS256', kid: 'rs' }).sign(otherRsa.privateKey),
      /SIGNATURE/,
    ],
    ['an empty signature', signed(good).replace(/[^.]*$/, ''), /./],
    ['a signature of zeros', signed(good).replace(/[^.]*$/, Buffer.alloc(64).toString('base64url')), /SIGNATURE/],
    [
      'an ES256 signature of r = s = 0 (psychic)',
      `${b64({ ...head, alg: 'ES256', kid: 'es' })}.${b64(good)}.${Buffer.alloc(64).toString('base64url')}`,
      /SIGNATURE/,
    ],
    ['changed claims', flipped(signed(good), 1), /./],
    ['a changed signature', flipped(signed(good), 2), /SIGNATURE/],
    ['a changed header', signed(good).replace(/^[^.]*/, b64({ ...head, typ: 'OUTLAST+JWT' })), /SIGNATURE/],
    ['no kid beside several keys', signed(good, { alg: 'EdDSA', typ: 'outlast+jwt' }), /no kid/],
    ['an unknown kid', signed(good, { ...head, kid: 'x' }), /unknown kid/],
    ['kid __proto__', signed(good, { ...head, kid: '__proto__' }), /unknown kid/],
    ['kid constructor', signed(good, { ...head, kid: 'constructor' }), /unknown kid/],
    ['kid toString', signed(good, { ...head, kid: 'toString' }), /unknown kid/],
    ['kid as a path', signed(good, { ...head, kid: '../../dev/null' }), /unknown kid/],
    ['kid as SQL', signed(good, { ...head, kid: "' or 1=1 --" }), /unknown kid/],
    ['kid with a NUL', signed(good, { ...head, kid: 'ed\0' }), /unknown kid/],
    ['kid as a number', signed(good, { ...head, kid: 0 }), /no string/],
    ['kid as an object', signed(good, { ...head, kid: {} }), /no string/],
    ['a key of its own (jwk)', signed(good, { ...head, jwk: ed.publicKey.export({ format: 'jwk' }) }), /jwk/],
    ['an address for its key (jku)', signed(good, { ...head, jku: 'https://evil.example' }), /jku/],
    ['an address for its certificate (x5u)', signed(good, { ...head, x5u: 'https://evil.example' }), /x5u/],
    ['a certificate of its own (x5c)', signed(good, { ...head, x5c: ['AA'] }), /x5c/],
    ['crit', signed(good, { ...head, crit: ['exp'] }), /crit/],
    ['an unencoded payload (b64)', signed(good, { ...head, b64: false, crit: ['b64'] }), /b64/],
    ['zip', signed(good, { ...head, zip: 'DEF' }), /zip/],
    ['cty: a token in a token', signed(good, { ...head, cty: 'JWT' }), /cty/],
    ['header member __proto__', `${b64('{"alg":"EdDSA","kid":"ed","typ":"outlast+jwt","__proto__":"x"}')}.${b64(good)}.AA`, /__proto__/],
    ['typ JWT', signed(good, { ...head, typ: 'JWT' }), /typ/],
    ['typ at+jwt', signed(good, { ...head, typ: 'at+jwt' }), /typ/],
    ['no typ', signed(good, { alg: 'EdDSA', kid: 'ed' }), /typ/],
    ['enc on a signed token', signed(good, { ...head, enc: 'A256GCM' }), /enc/],
    ['another issuer', signed({ ...good, iss: 'https://evil.example' }), /iss/],
    ['an issuer that begins alike', signed({ ...good, iss: `${ISSUER}.evil.example` }), /iss/],
    ['no issuer', signed({ ...good, iss: undefined }), /iss/],
    ['another audience', signed({ ...good, aud: 'shop.example' }), /aud/],
    ['other audiences', signed({ ...good, aud: ['a', 'b'] }), /aud/],
    ['no audience', signed({ ...good, aud: undefined }), /aud/],
    ['no sub', signed({ ...good, sub: undefined }), /sub/],
    ['an empty sub', signed({ ...good, sub: '' }), /sub/],
    ['sub as a number', signed({ ...good, sub: 7 }), /sub/],
    ['sub true', signed({ ...good, sub: true }), /sub/],
    ['a sub of 257 bytes', signed({ ...good, sub: 'a'.repeat(257) }), /sub/],
    ['no exp', signed({ ...good, exp: undefined }), /exp/],
    ['expired beyond the leeway', signed({ ...good, exp: NOW - 31 }), /EXPIRED|exp/],
    ['good for years', signed({ ...good, exp: NOW + 10 * 365 * 86_400 }), /too long/],
    ['exp as text', signed({ ...good, exp: String(NOW + 300) }), /exp/],
    ['exp as a fraction', signed({ ...good, exp: NOW + 0.5 }), /exp/],
    ['exp 1e300', signed(JSON.stringify({ ...good, exp: 0 }).replace('"exp":0', '"exp":1e300')), /exp/],
    ['exp 1e999', signed(JSON.stringify({ ...good, exp: 0 }).replace('"exp":0', '"exp":1e999')), /exp/],
    ['exp null', signed({ ...good, exp: null }), /exp/],
    ['exp twice', signed('{"iss":"https://login.example","aud":"game.example","sub":"alice","exp":1,"exp":1800000300}'), /twice/],
    ['a header member that turns text around', signed(good, { ...head, 'a\u202eb': 'x' }), /not taken/],
    ['sub twice', signed('{"iss":"https://login.example","aud":"game.example","sub":"root","sub":"alice","exp":1800000300}'), /twice/],
    ['not yet good', signed({ ...good, nbf: NOW + 31 }), /NOT_BEFORE|nbf/],
    ['nbf as text', signed({ ...good, nbf: 'now' }), /nbf/],
    ['made in the future', signed({ ...good, iat: NOW + 31 }), /future/],
    ['iat as text', signed({ ...good, iat: 'now' }), /iat/],
    ['claims that are a list', signed('[]'), /./],
    ['claims that are text', signed('"alice"'), /./],
    ['claims that are no JSON', signed('alice'), /./],
    ['encrypted with another key', () => encrypted({}, randomBytes(32)), /DECRYPTION/],
    [
      'encrypted for RSA',
      () => new EncryptJWT(good).setProtectedHeader({ ...head, alg: 'RSA-OAEP-256', enc: 'A256GCM', kid: 'rs' }).encrypt(rsa.publicKey),
      /another alg/,
    ],
    [
      'encrypted with a password (PBES2)',
      () => new EncryptJWT(good).setProtectedHeader({ ...head, alg: 'PBES2-HS256+A128KW', enc: 'A256GCM', kid: 'jwe' }).encrypt(aes),
      /p2c|p2s|another alg/,
    ],
    [
      'encrypted, another enc',
      () => new EncryptJWT(good).setProtectedHeader({ ...head, alg: 'dir', enc: 'A128CBC-HS256', kid: 'jwe' }).encrypt(aes),
      /enc/,
    ],
    ['encrypted, compressed', () => compressed(), /zip/],
    ['encrypted, expired', () => encrypted({ exp: NOW - 100 }), /EXPIRED|exp/],
    ['encrypted, five parts of which one changed', async () => flipped(await encrypted({}), 3), /DECRYPTION/],
    ['encrypted header on a signed token', signed(good, { ...head, alg: 'dir', enc: 'A256GCM', kid: 'jwe' }), /place of/],
    ['signed header on an encrypted token', async () => (await encrypted({})).replace(/^[^.]*/, b64(head)), /place of/],
  ];

  async function encrypted(claims: object, key: Uint8Array = aes): Promise<string> {
    return new EncryptJWT({ ...good, ...claims }).setProtectedHeader({ ...head, alg: 'dir', enc: 'A256GCM', kid: 'jwe' }).encrypt(key);
  }

  async function compressed(): Promise<string> {
    const header = { ...head, alg: 'dir', enc: 'A256GCM', kid: 'jwe' };
    const token = await new CompactEncrypt(Buffer.from(JSON.stringify(good))).setProtectedHeader(header).encrypt(aes);
    return token.replace(/^[^.]*/, b64({ ...header, zip: 'DEF' }));
  }

  it('counts at least 60', () => {
    expect(corpus.length).to.be.at.least(60);
    expect(new Set(corpus.map(([name]) => name)).size).to.equal(corpus.length);
  });
  for (const [name, token, words] of corpus) {
    it(name, async () => {
      const { verdict, reason } = await ask(typeof token === 'function' ? await token() : token);
      expect(verdict, reason).to.equal(false);
      expect(reason).to.match(words);
      // What a token says must not write into a terminal or a second line of a log.
      expect(reason).to.match(/^[\x20-\x7e]*$/);
    });
  }
});

describe('jose: options that are refused', () => {
  const pss = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const bad: [string, unknown, RegExp][] = [
    ['no keys', { keys: [] }, /at least one key/],
    ['no issuer', { issuer: '' }, /issuer/],
    ['no audience', { audience: undefined }, /audience/],
    ['a lifetime of years', { lifetimeMs: 1e12 }, /lifetimeMs/],
    ['a leeway of an hour', { leewayMs: 3_600_000 }, /leewayMs/],
    ['the same kid twice', { keys: [keys[0], keys[0]] }, /two keys/],
    ['an empty kid', { keys: [{ ...keys[0], kid: '' }] }, /kid/],
    ['a kid of 65 bytes', { keys: [{ ...keys[0], kid: 'a'.repeat(65) }] }, /kid/],
    ['algorithm none', { keys: [{ kid: 'a', algorithm: 'none', key: hmac }] }, /none of/],
    ['algorithm toString', { keys: [{ kid: 'a', algorithm: 'toString', key: hmac }] }, /none of/],
    ['an asymmetric encryption', { keys: [{ kid: 'a', algorithm: 'RSA-OAEP-256', encryption: 'A256GCM', key: rsa.publicKey }] }, /none of/],
    ['a private key', { keys: [{ kid: 'a', algorithm: 'EdDSA', key: ed.privateKey }] }, /public/],
    ['a PEM', { keys: [{ kid: 'a', algorithm: 'RS256', key: pem(rsa.publicKey) }] }, /public KeyObject/],
    ['an RSA key for ES256', { keys: [{ kid: 'a', algorithm: 'ES256', key: rsa.publicKey }] }, /does not fit/],
    ['a P-384 key for ES256', { keys: [{ kid: 'a', algorithm: 'ES256', key: p384.publicKey }] }, /does not fit/],
    ['an Ed25519 key for RS256', { keys: [{ kid: 'a', algorithm: 'RS256', key: ed.publicKey }] }, /does not fit/],
    ['RSA of 1,024 bits', { keys: [{ kid: 'a', algorithm: 'RS256', key: pss.publicKey }] }, /2048/],
    ['a short HMAC secret', { keys: [{ kid: 'a', algorithm: 'HS256', key: randomBytes(31) }] }, /31 bytes/],
    ['HS512 with 32 bytes', { keys: [{ kid: 'a', algorithm: 'HS512', key: randomBytes(32) }] }, /32 bytes/],
    ['an HMAC secret of zeros', { keys: [{ kid: 'a', algorithm: 'HS256', key: Buffer.alloc(32) }] }, /not random/],
    ['an HMAC secret that is a public key', { keys: [{ kid: 'a', algorithm: 'HS256', key: rsa.publicKey }] }, /Uint8Array/],
    ['dir with 33 bytes', { keys: [{ kid: 'a', algorithm: 'dir', encryption: 'A256GCM', key: randomBytes(33) }] }, /32 bytes/],
    ['dir without encryption', { keys: [{ kid: 'a', algorithm: 'dir', key: aes }] }, /A256GCM/],
  ];
  for (const [name, options, words] of bad) {
    it(name, () => {
      const make = (): unknown => tokenCredentials({ keys, issuer: ISSUER, audience: AUDIENCE, ...(options as object) });
      expect(make).to.throw(SessionError, words).with.property('code', 'ERR_INVALID_OPTION');
    });
  }
});
