// node:tls, loaded when TLS is first used: it is a third of a megabyte of heap, and many processes never need it.
import { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** The module, loaded now if it was not. */
export function tlsModule(): typeof import('node:tls') {
  return process.getBuiltinModule('node:tls');
}

/** Node's documented mark of a TLSSocket; to ask `instanceof` would load the module. */
export function isTlsSocket(socket: unknown): socket is TLSSocket {
  return socket instanceof Socket && (socket as Partial<TLSSocket>).encrypted === true;
}
