// Signed and encrypted tokens (JWT, RFC 7519) as credentials: what a client said goes in, its principal or a refusal comes out.
// `jose` does the cryptography; everything RFC 8725 warns of is decided here, before it. Only this file of the package imports it.
import { KeyObject } from 'node:crypto';
import { jwtDecrypt, jwtVerify } from 'jose';
import { SessionError } from './errors.ts';
import type { Hello, Verdict } from './options.ts';
import { parseSecret } from './security/secret.ts';

/** What a signed token may be signed with. `none` does not exist. */
export type SignatureAlgorithm =
  | 'EdDSA'
  | 'ES256'
  | 'ES384'
  | 'ES512'
  | 'PS256'
  | 'PS384'
  | 'PS512'
  | 'RS256'
  | 'RS384'
  | 'RS512'
  | 'HS256'
  | 'HS384'
  | 'HS512';
/**
 * How an encrypted token's key is found. Symmetric only: whoever has a public key can encrypt, so that an asymmetric token would say
 * nothing about who made it.
 */
export type EncryptionAlgorithm = 'dir' | 'A256KW';

/** A key is for exactly one algorithm (RFC 8725 §3.1): no token can have an RSA key taken for an HMAC secret. */
export type TokenKey = {
  /** As in the token's header; 1 to 64 bytes. A token without `kid` is taken only where there is one key. */
  readonly kid: string;
} & (
  | { readonly algorithm: Exclude<SignatureAlgorithm, `HS${string}`> /** Public. */; readonly key: KeyObject }
  | { readonly algorithm: `HS${string}` & SignatureAlgorithm /** Random, as long as the hash. */; readonly key: Uint8Array }
  | { readonly algorithm: EncryptionAlgorithm; readonly encryption: 'A256GCM' /** 32 random bytes. */; readonly key: Uint8Array }
);

export interface TokenOptions {
  readonly keys: readonly TokenKey[];
  /** Must be the token's `iss`. */
  readonly issuer: string;
  /** Must be the token's `aud`, or one of them. */
  readonly audience: string;
  /** Must be the token's `typ` (RFC 8725 §3.11), so that a token made for something else is none. Default outlast+jwt. */
  readonly type?: string;
  /** Tokens that are good for longer than this from now are refused. 24 h. */
  readonly lifetimeMs?: number;
  /** How far the issuer's clock may be off. 30 s; at most 5 minutes. */
  readonly leewayMs?: number;
  /** Asked with the claims of a good token. Default: its `sub` is the principal. */
  readonly accept?: (claims: Readonly<Record<string, unknown>>, hello: Hello) => Verdict | Promise<Verdict>;
  /** Told why a token was refused, for the server's own log; the client learns ERR_AUTH only. */
  readonly refused?: (reason: string, hello: Hello) => void;
  /** Wall clock, milliseconds since 1970. Only tests set it. */
  readonly now?: () => number;
}

/**
 * For `authenticate`: the client's `credentials` are a compact JWT. It opens a session and does not resume it: a resume is proved with the
 * session's own keys, so that a stolen token steals no session.
 * @throws SessionError ERR_INVALID_OPTION for a key that does not fit its algorithm, is too small, private or not random.
 */
export function tokenCredentials(options: TokenOptions): (hello: Hello) => Promise<Verdict> {
  const rules = parse(options);
  return async (hello) => {
    const result = await claimsOf(rules, hello.credentials);
    if (typeof result === 'string') {
      options.refused?.(result, hello);
      return false;
    }
    return options.accept === undefined ? (result.sub as string) : options.accept(result, hello);
  };
}

type Claims = Readonly<Record<string, unknown>>;

interface Rules {
  readonly keys: ReadonlyMap<string, TokenKey>;
  readonly issuer: string;
  readonly audience: string;
  readonly type: string;
  readonly lifetimeS: number;
  readonly leewayS: number;
  readonly now: () => number;
}

/** @returns the claims, or why there are none. */
async function claimsOf(rules: Rules, credentials: Buffer): Promise<Claims | string> {
  if (credentials.length === 0) return 'no token';
  if (credentials.length > TOKEN_BYTES) return 'too long';
  const token = credentials.toString('latin1');
  const parts = token.split('.');
  // Before anything is decoded: what is no base64url is refused and not skipped.
  if (!/^[\w.-]+$/.test(token) || (parts.length !== 3 && parts.length !== 5)) return 'not a compact token';
  const header = membersOf(parts[0] as string);
  if (header === undefined) return 'a header that is no JSON object, or names something twice';
  const key = keyFor(rules, header, parts.length);
  if (typeof key === 'string') return key;
  const now = rules.now();
  const checks = { issuer: rules.issuer, audience: rules.audience, clockTolerance: rules.leewayS, currentDate: new Date(now) };
  try {
    const { payload } =
      'encryption' in key
        ? await jwtDecrypt(token, key.key, {
            ...checks,
            keyManagementAlgorithms: [key.algorithm],
            contentEncryptionAlgorithms: [key.encryption],
          })
        : await jwtVerify(token, key.key, { ...checks, algorithms: [key.algorithm] });
    // A signed payload is what was signed; that nothing in it stands twice is for readers that take the other one.
    if (!('encryption' in key) && membersOf(parts[1] as string) === undefined) return 'claims that name something twice';
    return refusalOf(payload, rules, now / 1000) ?? payload;
  } catch (error) {
    return error instanceof Error ? `${(error as { code?: string }).code ?? error.name}: ${error.message}` : String(error);
  }
}

/** The one key that this header may be checked with. Keys and addresses that a token brings itself (jwk, jku, x5u) are unknown members. */
function keyFor(rules: Rules, header: ReadonlyMap<string, unknown>, parts: number): TokenKey | string {
  for (const [name, value] of header) {
    if (!HEADER_MEMBERS.has(name)) return `header member ${/^\w{1,16}$/.test(name) ? name : ''} is not taken`;
    if (typeof value !== 'string') return `header member ${name} is no string`;
  }
  const kid = header.get('kid');
  if (kid === undefined && rules.keys.size > 1) return 'no kid';
  const key = kid === undefined ? rules.keys.values().next().value : rules.keys.get(kid as string);
  if (key === undefined) return 'an unknown kid';
  if (header.get('alg') !== key.algorithm) return 'another alg than that of its key';
  if ('encryption' in key !== (parts === 5)) return 'signed in the place of encrypted, or the other way';
  if (header.get('enc') !== ('encryption' in key ? key.encryption : undefined)) return 'another enc than that of its key';
  if ((header.get('typ') as string | undefined)?.toLowerCase() !== rules.type) return 'another typ';
  return key;
}

/** What jose leaves open. Times are whole seconds here: NaN, infinity and 1e300 are no time. */
function refusalOf(claims: Claims, rules: Rules, nowS: number): string | undefined {
  const { sub, exp, iat } = claims;
  if (typeof sub !== 'string' || sub === '' || Buffer.byteLength(sub) > SUBJECT_BYTES) return 'no sub';
  for (const name of ['exp', 'nbf', 'iat']) {
    const value = claims[name];
    if (value !== undefined && (!Number.isSafeInteger(value) || (value as number) < 0)) return `${name} is no time`;
  }
  if (exp === undefined) return 'no exp';
  if ((exp as number) > nowS + rules.lifetimeS + rules.leewayS) return 'good for too long';
  if (iat !== undefined && (iat as number) > nowS + rules.leewayS) return 'made in the future';
  return undefined;
}

/** Members of a base64url JSON object; undefined for what is none, and where a name stands twice: two readers may then differ. */
function membersOf(part: string): ReadonlyMap<string, unknown> | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(part, 'base64url'));
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    const members = new Map(Object.entries(value));
    return members.size === namesIn(text) ? members : undefined;
  } catch {
    return undefined;
  }
}

/** How many members the outermost object of a valid JSON text writes. */
function namesIn(json: string): number {
  let depth = 0;
  let names = 0;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]:]/g)) {
    if (token === '{' || token === '[') depth++;
    else if (token === '}' || token === ']') depth--;
    else if (token === ':' && depth === 1) names++;
  }
  return names;
}

const TOKEN_BYTES = 8192;
const SUBJECT_BYTES = 256;
const HEADER_MEMBERS: ReadonlySet<string> = new Set(['alg', 'kid', 'typ', 'enc']);

/** Which key an algorithm takes: an HMAC secret of so many bytes, or a kind of public key. */
const KEY_KINDS: Readonly<Record<SignatureAlgorithm | EncryptionAlgorithm, number | 'ed25519' | 'rsa' | `curve ${string}`>> = {
  EdDSA: 'ed25519',
  ES256: 'curve prime256v1',
  ES384: 'curve secp384r1',
  ES512: 'curve secp521r1',
  PS256: 'rsa',
  PS384: 'rsa',
  PS512: 'rsa',
  RS256: 'rsa',
  RS384: 'rsa',
  RS512: 'rsa',
  HS256: 32,
  HS384: 48,
  HS512: 64,
  dir: 32,
  A256KW: 32,
};
const RSA_BITS = 2048;

function parse(options: TokenOptions): Rules {
  const { keys, issuer, audience, type = 'outlast+jwt', lifetimeMs = 86_400_000, leewayMs = 30_000, now = Date.now } = options ?? {};
  if (!Array.isArray(keys) || keys.length === 0) throw invalid('keys must be a list of at least one key');
  for (const [name, value] of Object.entries({ issuer, audience, type })) {
    if (typeof value !== 'string' || value === '') throw invalid(`${name} must be a string`);
  }
  for (const [name, value, most] of [['lifetimeMs', lifetimeMs, 30 * 86_400_000] as const, ['leewayMs', leewayMs, 300_000] as const]) {
    if (!Number.isSafeInteger(value) || value < 0 || value > most) throw invalid(`${name} must be a whole number from 0 to ${most}`);
  }
  const known = new Map<string, TokenKey>();
  for (const key of keys) {
    const parsed = parseKey(key);
    if (known.has(parsed.kid)) throw invalid(`two keys have the kid ${parsed.kid}`);
    known.set(parsed.kid, parsed);
  }
  return { keys: known, issuer, audience, type: type.toLowerCase(), lifetimeS: lifetimeMs / 1000, leewayS: leewayMs / 1000, now };
}

function parseKey(given: TokenKey): TokenKey {
  const { kid, algorithm, key } = given;
  if (typeof kid !== 'string' || kid === '' || Buffer.byteLength(kid) > 64) throw invalid('kid must be a string of 1 to 64 bytes');
  const kind = Object.hasOwn(KEY_KINDS, algorithm) ? KEY_KINDS[algorithm] : undefined;
  if (kind === undefined) throw invalid(`algorithm ${String(algorithm)} of key ${kid} is none of ${Object.keys(KEY_KINDS).join(', ')}`);
  if (typeof kind === 'number') {
    const secret = parseSecret(`key ${kid}`, key as Uint8Array, kind);
    if ((algorithm === 'dir' || algorithm === 'A256KW') && (secret.length !== kind || given.encryption !== 'A256GCM')) {
      throw invalid(`key ${kid} must have ${kind} bytes and encryption A256GCM`);
    }
    return { ...given, key: secret } as TokenKey;
  }
  if (!(key instanceof KeyObject) || key.type !== 'public') throw invalid(`key ${kid} must be a public KeyObject (createPublicKey)`);
  const { modulusLength = 0, namedCurve } = key.asymmetricKeyDetails ?? {};
  const fits =
    kind === 'rsa'
      ? modulusLength >= RSA_BITS && key.asymmetricKeyType === 'rsa'
      : kind === (namedCurve ? `curve ${namedCurve}` : key.asymmetricKeyType);
  if (!fits)
    throw invalid(`key ${kid} does not fit ${algorithm}${kind === 'rsa' ? `, which takes RSA keys of at least ${RSA_BITS} bits` : ''}`);
  return given;
}

function invalid(what: string): SessionError {
  return new SessionError('ERR_INVALID_OPTION', what);
}
