// Makes one connection: TCP, TLS, a Unix socket, or whatever the application's connect() makes. Within a time limit, and stoppable.
import { connect as connectTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { SessionError } from './errors.ts';
import type { LateAbort } from './late-abort.ts';
import type { Address, SessionClientOptions } from './options.ts';
import { Alarm, type Runtime } from './runtime.ts';
import { tlsModule } from './tls-lazily.ts';

export interface ConnectLimits {
  readonly connectMs: number;
  readonly socketBytes: number;
}

/** Where this client dials, in the order of its options; undefined where connect() knows by itself. */
export function addressesOf<Message>(options: SessionClientOptions<Message>): readonly (Address | undefined)[] {
  if (options.addresses !== undefined) return options.addresses;
  if (options.path !== undefined) return [{ path: options.path }];
  if (options.port !== undefined) return [{ host: options.host ?? '127.0.0.1', port: options.port }];
  return [undefined];
}

export function nameOf(address: Address | undefined): string {
  if (address === undefined) return 'the given connection';
  return 'path' in address ? address.path : `${address.host ?? '127.0.0.1'}:${address.port}`;
}

/** @param stop is aborted here when the time is over @throws SessionError ERR_CONNECT with the system's error as its cause */
export async function connect<Message>(
  address: Address | undefined,
  options: SessionClientOptions<Message>,
  limits: ConnectLimits,
  runtime: Runtime,
  stop: LateAbort,
): Promise<Duplex> {
  const alarm = new Alarm(() => stop.abort(new Error(`no connection within ${limits.connectMs} ms`)));
  runtime.arm(alarm, runtime.now() + limits.connectMs);
  try {
    return await (options.connect === undefined ? dial(address, options, limits, stop) : given(address, options.connect, stop.signal));
  } catch (cause) {
    const text = cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : String(cause);
    throw new SessionError('ERR_CONNECT', `cannot connect to ${nameOf(address)} (${text})`, { cause });
  } finally {
    runtime.disarm(alarm);
  }
}

type Connector = NonNullable<SessionClientOptions<never>['connect']>;

/** The application's own way. A connection that comes after the limit is not left open. */
async function given(address: Address | undefined, make: Connector, signal: AbortSignal): Promise<Duplex> {
  const made = Promise.resolve(make(address, { signal }));
  const stopped = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  try {
    return await Promise.race([made, stopped]);
  } catch (error) {
    made.then(destroyQuietly, ignore);
    throw error;
  }
}

function dial<Message>(
  address: Address | undefined,
  options: SessionClientOptions<Message>,
  limits: ConnectLimits,
  stop: LateAbort,
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = begin(address, options, limits);
    const event = options.tls === undefined ? 'connect' : 'secureConnect';
    const finish = (error: Error | null): void => {
      stop.forget();
      socket.removeListener(event, onConnect);
      socket.removeListener('error', finish);
      socket.removeListener('close', onClose);
      if (error === null) return resolve(socket);
      destroyQuietly(socket);
      reject(error);
    };
    const onConnect = (): void => finish(null);
    const onClose = (): void => finish(new Error('closed before it was ready'));
    socket.once(event, onConnect);
    socket.once('error', finish);
    socket.once('close', onClose);
    stop.tell(finish);
  });
}

/** Names are looked up anew at every dial, and with several addresses the first to answer wins (RFC 8305, Node's autoSelectFamily). */
function begin<Message>(address: Address | undefined, options: SessionClientOptions<Message>, limits: ConnectLimits): Socket {
  const where =
    address === undefined
      ? { port: 0 }
      : 'path' in address
        ? { path: address.path }
        : { host: address.host ?? '127.0.0.1', port: address.port };
  const shared = { ...where, allowHalfOpen: true, noDelay: true, highWaterMark: limits.socketBytes, autoSelectFamily: true };
  if (options.tls === undefined) return connectTcp(shared);
  const tls = options.tls === true ? {} : options.tls;
  // A name for SNI and the certificate; an IP address is none (RFC 6066 §3).
  const host = 'host' in where ? where.host : 'localhost';
  const servername = /^[\d.]+$|:/.test(host) ? {} : { servername: host };
  return tlsModule().connect({ ALPNProtocols: ['outlast/1'], ...servername, ...tls, ...shared });
}

function destroyQuietly(socket: Duplex): void {
  socket.on('error', ignore);
  socket.destroy();
}

function ignore(): void {}
