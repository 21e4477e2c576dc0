// session.stream(): the session as a Node Duplex, for pipeline(), PTYs and Duplex.toWeb(). With raw framing it is bytes;
// with any other each chunk is one message (object mode). Ends and errors map to those of the session.
import { Duplex } from 'node:stream';
import { type Consumer, framingFailed, type Source } from './consumers.ts';
import { SessionError } from './errors.ts';

/** What the stream needs of its session beside the source. */
export interface StreamHost<Message> extends Source<Message> {
  send(message: Message, lend: boolean): boolean;
  drained(): Promise<void>;
  end(): void;
  destroy(error: Error | null): void;
}

/** Raw writes are sent in pieces, so that no write is too large. */
const PIECE_BYTES = 65_536;

export class SessionStream<Message> extends Duplex implements Consumer {
  readonly #host: StreamHost<Message>;
  readonly #raw: boolean;
  readonly keepsOpen: boolean = true;
  #wanted = false;
  #over = false;

  constructor(host: StreamHost<Message>, raw: boolean) {
    // One chunk at a time on the reading side: what waits in a Node buffer would count as consumed, and be lost with an unclean end.
    super({ objectMode: !raw, readableHighWaterMark: 1, writableHighWaterMark: raw ? PIECE_BYTES : 16, autoDestroy: true });
    this.#host = host;
    this.#raw = raw;
  }

  override _read(): void {
    this.#wanted = true;
    // Asking for more is what consumes the chunk before.
    this.#consume();
    this.wake();
  }

  wake(): void {
    const { inbound } = this.#host.core;
    while (this.#wanted && !this.#over && inbound.next()) {
      let message: Message;
      try {
        message = inbound.inbox.message();
      } catch (error) {
        framingFailed(this.#host, error);
        return;
      }
      try {
        // push(null) would mean the end.
        if (message === null) throw new SessionError('ERR_INVALID_MESSAGE', 'null, which a stream cannot hand over');
        this.#wanted = this.push(message);
      } catch (error) {
        this.#host.applicationFailed(error);
        return;
      }
      // True: nothing is buffered, it was handed out at once.
      if (this.#wanted) inbound.consume();
    }
    this.#host.settled();
    if (!this.#over && inbound.ended) {
      this.#over = true;
      this.push(null);
    }
  }

  ended(cause: SessionError | undefined): void {
    const first = !this.#over;
    this.#over = true;
    if (cause !== undefined) this.destroy(cause);
    else if (first) this.push(null);
  }

  override _write(chunk: unknown, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    try {
      if (this.#sendAll(chunk)) return done();
    } catch (error) {
      return done(error as Error);
    }
    this.#host.drained().then(() => done(), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#host.end();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const clean = error === null && this.writableFinished && this.readableEnded;
    this.#over = true;
    this.#host.released(this);
    if (!clean) this.#host.destroy(error);
    done(error);
  }

  /** @returns whether there is room for more. A stream lends: Node's contract is that a written chunk is not changed. */
  #sendAll(chunk: unknown): boolean {
    if (!this.#raw || !(chunk instanceof Uint8Array)) return this.#host.send(chunk as Message, true);
    let room = true;
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
      room = this.#host.send(chunk.subarray(at, at + PIECE_BYTES) as Message, true);
    }
    return room;
  }

  #consume(): void {
    const { inbound } = this.#host.core;
    if (inbound.inProgress) inbound.consume();
  }
}
