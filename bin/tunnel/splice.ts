// The joint of every tunnel: one local connection and one session, byte for byte in both directions. Ends are carried as what they are:
// an end of stream as an end, in each direction by itself; everything else, on either side, as a reset on the other.
// Backpressure goes through: what the local side does not take is not confirmed to the peer, and what the peer does not take is not read.

import { once } from 'node:events';
import { type AddressInfo, connect, type Server, Socket } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';
import type { Session } from '../../lib/index.ts';
import { type Place, showPlace } from '../values.ts';

/** What the session is joined to: a socket, or standard input and output. */
export interface LocalEnd {
  readonly input: Readable;
  readonly output: Writable;
  /** Ends both at once, so that the other side cannot take it for an orderly end. */
  reset(): void;
}

/** As much as the session's own socket may queue, so that a hop costs few system calls. */
const SOCKET_BYTES = 256 * 1024;
/** A session's messages are at most this long: what one read brings. */
export const PIECE_BYTES: number = 64 * 1024;
const CONNECT_MS = 10_000;
const NOTHING = Buffer.alloc(0);

/** For sockets of tunnels, accepted and dialed. */
export const socketOptions: { readonly allowHalfOpen: true; readonly noDelay: true; readonly highWaterMark: number } = {
  allowHalfOpen: true,
  noDelay: true,
  highWaterMark: SOCKET_BYTES,
};

/** Why a session ended, whether it has or will; undefined: in order. To be asked as soon as there is a session. */
export function endOf(session: Session<Buffer>): Promise<Error | undefined> {
  return new Promise((resolve) => session.once('close', resolve));
}

/**
 * Joins both until both are over. Never rejects.
 * @param ended of endOf()
 * @returns undefined after an orderly end of both directions; otherwise the cause, and the local end was reset
 */
export async function splice(local: LocalEnd, session: Session<Buffer>, ended: Promise<Error | undefined>): Promise<Error | undefined> {
  let failure: Error | undefined;
  const fail = (error: Error): void => {
    if (session.state !== 'closed') failure = error;
    session.destroy(error);
  };
  collect(local, session, fail);
  const delivered = deliver(session, local.output).then(
    () => undefined,
    (error: Error) => {
      fail(error);
      return error;
    },
  );
  const cause = await ended;
  if (cause === undefined) return await delivered;
  local.reset();
  return failure ?? cause;
}

/** Local bytes to the session. */
function collect({ input, output }: LocalEnd, session: Session<Buffer>, fail: (error: Error) => void): void {
  let ended = false;
  input.on('data', (chunk: Buffer) => {
    if (session.state === 'closed') return;
    try {
      // Lent: a chunk that was read is ours alone, and stays as it is.
      let room = true;
      for (let at = 0; at < chunk.length; at += PIECE_BYTES) room = session.send(chunk.subarray(at, at + PIECE_BYTES), { lend: true });
      if (room) return;
    } catch (error) {
      return fail(error as Error);
    }
    input.pause();
    session.drained().then(
      () => input.resume(),
      () => {},
    );
  });
  input.on('end', () => {
    ended = true;
    // libuv tells a reset that comes together with the last bytes as an end. Writing nothing finds it out: the kernel answers with the
    // error. Not behind bytes that wait, though: the end must not wait for a reader.
    if (!(output instanceof Socket) || (output as Duplex) !== input || output.writableLength > 0 || output.writableEnded)
      return session.end();
    output.write(NOTHING, (error) => {
      if (!error) session.end();
    });
  });
  input.on('close', () => {
    if (!ended) fail(new Error('the local connection was closed'));
  });
  for (const stream of new Set([input, output])) stream.on('error', fail);
}

/** The session's bytes to the local side, and its end. */
async function deliver(session: Session<Buffer>, output: Writable): Promise<void> {
  for await (const batch of session.batches()) {
    let room = true;
    output.cork();
    for (const chunk of batch) room = output.write(chunk);
    output.uncork();
    // Asking for the next batch confirms this one.
    if (!room) await once(output, 'drain');
  }
  // Until the kernel has all of it a failure can still be told by a reset; once the end is on its way it cannot.
  if (output.writableLength > 0) await new Promise<void>((resolve, reject) => output.write(NOTHING, (e) => (e ? reject(e) : resolve())));
  output.end();
  if (!output.writableFinished) await once(output, 'finish');
}

export function socketEnd(socket: Socket): LocalEnd {
  return { input: socket, output: socket, reset: () => reset(socket) };
}

/** Ends a connection so that its other side sees ECONNRESET. A Unix socket has no such thing, and is closed. */
export function reset(socket: Socket): void {
  if (socket.destroyed) return;
  if (socket.remoteAddress === undefined) {
    socket.destroy();
  } else if (socket.writableEnded && !socket.writableFinished) {
    // While a FIN is being sent libuv refuses to reset, and Node then never closes the handle.
    socket.once('finish', () => socket.resetAndDestroy());
    socket.once('error', () => socket.destroy());
  } else {
    socket.resetAndDestroy();
  }
}

/** A connection to a service. @throws Error with the place and the system's code in its message */
export async function dial(where: Place, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ ...where, ...socketOptions, autoSelectFamily: true });
  // A failure is told by once(), and later by splice(); in between it must not end the process.
  socket.on('error', () => {});
  const limit = AbortSignal.any([signal, AbortSignal.timeout(CONNECT_MS)]);
  try {
    await once(socket, 'connect', { signal: limit });
    return socket;
  } catch (error) {
    socket.destroy();
    const code = limit.aborted ? `no answer within ${CONNECT_MS / 1000} s` : ((error as NodeJS.ErrnoException).code ?? 'failed');
    throw new Error(`cannot connect to ${showPlace(where)} (${code})`, { cause: error });
  }
}

/** Listens. @returns where, with the real port */
export async function bind(server: Server, where: Place): Promise<Place> {
  server.listen(where);
  await once(server, 'listening');
  const address = server.address() as AddressInfo | string;
  return typeof address === 'string' ? { path: address } : { host: address.address, port: address.port };
}
