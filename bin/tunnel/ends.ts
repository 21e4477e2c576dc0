// The flags that both ends of a tunnel share, and what they mean for SessionServer and SessionClient: keys, TLS, times, window.

import type { ConnectionOptions, SecureContextOptions, TlsOptions } from 'node:tls';
import { raw } from '../../lib/framing/raw.ts';
import type { SessionClientOptions, SessionServerOptions, SharedOptions } from '../../lib/index.ts';
import type { Flags, Given } from '../command.ts';
import { fileOf, type Place, secretOf, showPlace, UsageError } from '../values.ts';
import { PIECE_BYTES } from './splice.ts';

const sharedFlags: Flags = {
  psk: { value: 'FILE', text: 'a secret of both ends, at least 16 random bytes; mixed into the keys, never sent' },
  hold: { value: 'TIME', text: 'how long a session outlives its connection; the shorter one of both ends counts', fallback: '2h' },
  heartbeat: { value: 'TIME', text: 'each end writes something this often, 1s to 5m; the shorter one counts', fallback: '15s' },
  window: { value: 'SIZE', text: 'bytes on their way to this end and not taken yet, each session', fallback: '2MiB' },
};

export const listenFlags: Flags = {
  tls: { text: 'speak TLS; needs --cert and --key' },
  cert: { value: 'FILE', text: "this end's certificate with its chain, PEM" },
  key: { value: 'FILE', text: "this end's private key, PEM" },
  ca: { value: 'FILE', text: 'admit only clients with a certificate that this authority has signed' },
  ...sharedFlags,
};

export const dialFlags: Flags = {
  tls: { text: 'speak TLS' },
  ca: { value: 'FILE', text: 'trust this authority instead of the well-known ones' },
  cert: { value: 'FILE', text: 'certificate to show, where the other end asks for one' },
  key: { value: 'FILE', text: 'its private key' },
  'server-name': { value: 'NAME', text: 'the name in the certificate of the other end, where it is not HOST' },
  ...sharedFlags,
  wait: { value: 'TIME', text: 'how long a new connection may wait for the other end to answer', fallback: '30s' },
  target: { value: 'HOST:PORT', text: 'which of the allowed targets is wanted, where the other end has more than one' },
};

/** A hop is one user's many connections, so one address may have more of them than a stranger on a server. */
const limits: NonNullable<SharedOptions<Buffer>['limits']> = {
  messageBytes: PIECE_BYTES,
  unfinishedPerAddress: 256,
  acceptsPerSecond: 200,
  acceptsBurst: 1_000,
  sessionsPerAddress: 4_096,
};

const HEARTBEAT_MS = 15_000;

function sharedOptions(given: Given, heartbeatMs = HEARTBEAT_MS): SharedOptions<Buffer> {
  const psk = given.text('psk');
  const window = given.size('window') as number;
  if (window < 2 * PIECE_BYTES) throw new UsageError(`--window must be at least ${(2 * PIECE_BYTES) / 1024}KiB`);
  return {
    framing: raw(),
    allowHalfOpen: true,
    holdMs: given.duration('hold') as number,
    heartbeatMs: given.duration('heartbeat') ?? heartbeatMs,
    window,
    limits,
    ...(psk === undefined ? {} : { psk: secretOf('--psk', psk) }),
  };
}

export function listenOptions(given: Given): SessionServerOptions<Buffer> {
  const mutual = given.has('ca') ? { requestCert: true, rejectUnauthorized: true } : {};
  const tls: TlsOptions | undefined = given.has('tls') ? { ...certificates(given, true), ...mutual } : undefined;
  return {
    ...sharedOptions(given),
    ...(tls === undefined ? withoutTls(given) : { tls }),
    // The keys of the session prove whose it is. Not the very certificate that opened it, as by default: it may have been renewed since.
    authorizeResume: ({ opened, circuit }) =>
      opened.listener === circuit.listener && (opened.certificate === '') === (circuit.certificate === ''),
  };
}

export type DialOptions = Omit<SessionClientOptions<Buffer>, 'tls'> & { readonly tls?: ConnectionOptions };

/** @param heartbeatMs where the flag is not given and has no fallback of its own */
export function dialOptions(given: Given, where: Place, heartbeatMs?: number): DialOptions {
  if (given.has('cert') !== given.has('key')) throw new UsageError('--cert and --key go together');
  const name = given.text('server-name');
  const named = name === undefined ? {} : { servername: name };
  return {
    ...sharedOptions(given, heartbeatMs),
    ...where,
    ...(given.has('tls') ? { tls: { ...certificates(given, false), ...named } } : withoutTls(given)),
  };
}

/** Reads the files anew: they may have been renewed. */
export function certificates(given: Given, needed: boolean): SecureContextOptions {
  const read = (name: string): Buffer | undefined => {
    const path = given.text(name);
    return path === undefined ? undefined : fileOf(`--${name}`, path);
  };
  const [cert, key, ca] = [read('cert'), read('key'), read('ca')];
  if (needed && (cert === undefined || key === undefined)) throw new UsageError('--tls needs --cert and --key');
  return { ...(cert && { cert }), ...(key && { key }), ...(ca && { ca }) };
}

function withoutTls(given: Given): object {
  for (const name of ['ca', 'cert', 'key', 'server-name']) {
    if (given.has(name)) throw new UsageError(`--${name} is for TLS: add --tls, or leave it out`);
  }
  return {};
}

/** What somebody who reaches the port could do; undefined where nobody else does, or they are kept out. */
export function riskOf(given: Given, where: Place, does: string): string | undefined {
  if ('path' in where || /^(127\.|::1$|localhost$)/.test(where.host)) return undefined;
  const admits = !given.has('psk') && !(given.has('tls') && given.has('ca'));
  const risks = [
    ...(admits ? [`whoever reaches this port can ${does}`] : []),
    ...(given.has('tls') ? [] : ['who sees the traffic on its way can read it, and who can change it can take it over']),
  ];
  if (risks.length === 0) return undefined;
  const advice = [...(admits ? ['--psk FILE, or --tls with --ca'] : []), ...(given.has('tls') ? [] : ['--tls'])];
  return `listening on ${showPlace(where)}, beyond this machine: ${risks.join('; ')}. Remedy: ${[...new Set(advice)].join('; and ')}`;
}
