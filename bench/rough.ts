// One end of the rough benchmark, a process of its own: receives or sends `count` messages of `size` bytes, in one of the ways that are
// compared. The parent (main.ts) says what to do over IPC. The receiver's count and rolling sum travel back and are checked by the sender.

import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { type Session, SessionClient, SessionServer } from 'outlast';
import { lengthPrefix } from 'outlast/framing/length-prefix';

export type Way = 'bare socket' | 'bare socket, views' | 'receiveRanges()' | 'receive()' | 'batches()' | 'for await';
export type Order =
  | { readonly role: 'receive'; readonly way: Way; readonly count: number }
  | { readonly role: 'send'; readonly way: Way; readonly count: number; readonly size: number; readonly port: number };
export type Answer = { readonly port: number } | { readonly ms: number };

/** As Outlast has it: the default of Node 20 is 16 KiB. */
const SOCKET_BYTES = 256 * 1024;
const SLAB_BYTES = 64 * 1024;

/** Sees every message; each begins with a counter, so that order counts too. */
class Judge {
  readonly #count: number;
  readonly #done: (result: Buffer) => void;
  #seen = 0;
  #sum = 0;

  constructor(count: number, done: (result: Buffer) => void) {
    this.#count = count;
    this.#done = done;
  }

  take(bytes: Buffer, start: number, end: number): void {
    this.#sum = roll(this.#sum, bytes, start, end);
    if (++this.#seen === this.#count) this.#done(result(this.#seen, this.#sum));
  }
}

function roll(sum: number, bytes: Buffer, start: number, end: number): number {
  const counter = ((bytes[start] as number) << 16) | ((bytes[start + 1] as number) << 8) | (bytes[start + 2] as number);
  return (Math.imul(sum, 31) + counter + (bytes[end - 1] as number) + end - start) | 0;
}

function result(count: number, sum: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE(count, 0);
  bytes.writeInt32BE(sum, 4);
  return bytes;
}

/** Makes the messages, in one buffer: send() copies. */
class Source {
  readonly message: Buffer;
  sum = 0;
  #made = 0;

  constructor(size: number) {
    this.message = Buffer.alloc(size, 0x61);
  }

  next(): Buffer {
    const { message } = this;
    const n = this.#made++;
    message[0] = n >> 16;
    message[1] = n >> 8;
    message[2] = n;
    this.sum = roll(this.sum, message, 0, message.length);
    return message;
  }
}

// ---------------------------------------------------------------- Outlast

async function receiveSession(way: Way, count: number): Promise<number> {
  const server = new SessionServer({ framing: lengthPrefix() });
  server.on('session', (session) => {
    const judge = new Judge(count, (bytes) => session.send(bytes));
    session.on('close', () => void server.close());
    return read(session, way, judge);
  });
  return (await server.listen({ port: 0 })).port;
}

async function read(session: Session, way: Way, judge: Judge): Promise<void> {
  if (way === 'receiveRanges()') session.receiveRanges((buffer, start, end) => judge.take(buffer, start, end));
  else if (way === 'receive()') session.receive((message) => judge.take(message, 0, message.length));
  else if (way === 'for await') for await (const message of session) judge.take(message, 0, message.length);
  else for await (const batch of session.batches()) for (const message of batch) judge.take(message, 0, message.length);
}

async function sendSession(port: number, source: Source, count: number): Promise<number> {
  await using client = new SessionClient({ framing: lengthPrefix(), port });
  const session = await client.open();
  const startMs = performance.now();
  for (let n = 0; n < count; n++) {
    if (!session.send(source.next())) await session.drained();
  }
  for await (const answer of session) {
    check(answer, count, source.sum);
    break;
  }
  return performance.now() - startMs;
}

// ---------------------------------------------------------------- a bare socket with the same framing

async function receiveBare(way: Way, count: number): Promise<number> {
  const server = createServer({ highWaterMark: SOCKET_BYTES, noDelay: true }, (socket) => {
    const judge = new Judge(count, (bytes) => socket.end(bytes));
    const views = way === 'bare socket, views';
    socket.on(
      'data',
      deframer((bytes, start, end) => {
        if (!views) return judge.take(bytes, start, end);
        const view = bytes.subarray(start, end);
        judge.take(view, 0, view.length);
      }),
    );
    server.close();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as { port: number }).port;
}

/** Cuts chunks at their u32 lengths; what is not whole waits in a buffer of its message's size. */
function deframer(message: (bytes: Buffer, start: number, end: number) => void): (chunk: Buffer) => void {
  const head = Buffer.alloc(4);
  let headBytes = 0;
  let partial: Buffer | null = null;
  let partialBytes = 0;
  return (chunk) => {
    let at = 0;
    while (at < chunk.length) {
      if (partial !== null) {
        const taken = chunk.copy(partial, partialBytes, at);
        at += taken;
        partialBytes += taken;
        if (partialBytes < partial.length) return;
        message(partial, 0, partialBytes);
        partial = null;
        continue;
      }
      while (headBytes < 4 && at < chunk.length) head[headBytes++] = chunk[at++] as number;
      if (headBytes < 4) return;
      headBytes = 0;
      const bytes = head.readUInt32BE();
      if (at + bytes <= chunk.length) {
        message(chunk, at, at + bytes);
        at += bytes;
        continue;
      }
      partial = Buffer.allocUnsafe(bytes);
      partialBytes = 0;
    }
  };
}

/** Length and payload go into a slab; it is written when it is full, else once at the end of the tick. */
class SlabWriter {
  readonly #socket: Socket;
  #slab: Buffer;
  #bytes = 0;
  #scheduled = false;

  constructor(socket: Socket, size: number) {
    this.#socket = socket;
    this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, size + 4));
  }

  /** @returns false: wait for 'drain' */
  send(message: Buffer): boolean {
    if (this.#bytes + 4 + message.length > this.#slab.length) this.flush();
    const slab = this.#slab;
    const { length } = message;
    let at = this.#bytes;
    slab[at++] = length >>> 24;
    slab[at++] = length >>> 16;
    slab[at++] = length >>> 8;
    slab[at++] = length;
    slab.set(message, at);
    this.#bytes = at + length;
    if (!this.#scheduled) {
      this.#scheduled = true;
      process.nextTick(flushLater, this);
    }
    return !this.#socket.writableNeedDrain;
  }

  flush(): void {
    if (this.#bytes === 0) return;
    this.#socket.write(this.#slab.subarray(0, this.#bytes));
    // The kernel has it all: the memory is free again.
    if (this.#socket.writableLength > 0) this.#slab = Buffer.allocUnsafeSlow(this.#slab.length);
    this.#bytes = 0;
  }

  flushAtEndOfTick(): void {
    this.#scheduled = false;
    this.flush();
  }
}

function flushLater(writer: SlabWriter): void {
  writer.flushAtEndOfTick();
}

async function sendBare(port: number, source: Source, count: number): Promise<number> {
  const options = { port, host: '127.0.0.1', noDelay: true, highWaterMark: SOCKET_BYTES };
  const socket = connect(options);
  await once(socket, 'connect');
  const answered = once(socket, 'data') as Promise<[Buffer]>;
  const writer = new SlabWriter(socket, source.message.length);
  const startMs = performance.now();
  for (let n = 0; n < count; n++) {
    if (!writer.send(source.next())) await once(socket, 'drain');
  }
  const [answer] = await answered;
  const ms = performance.now() - startMs;
  check(answer, count, source.sum);
  socket.destroy();
  return ms;
}

// ---------------------------------------------------------------- orders

function check(answer: Buffer, count: number, sum: number): void {
  if (!answer.equals(result(count, sum)))
    throw new Error(`the receiver saw ${answer.toString('hex')}, not ${result(count, sum).toString('hex')}`);
}

async function obey(order: Order): Promise<Answer> {
  const bare = order.way.startsWith('bare');
  if (order.role === 'receive') return { port: await (bare ? receiveBare : receiveSession)(order.way, order.count) };
  const source = new Source(order.size);
  return { ms: await (bare ? sendBare : sendSession)(order.port, source, order.count) };
}

process.on('message', (order: Order) => {
  obey(order).then((answer) => process.send?.(answer));
});
process.on('disconnect', () => process.exit());
