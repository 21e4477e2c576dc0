// One direction of a proxied connection. Bytes of one socket flow in; the same bytes flow out to the other socket, late, in small
// pieces, up to a mark, or not at all. Ends and resets travel behind the bytes before them, so that a stalled lane delivers all of it late.

import type { Socket } from 'node:net';

/** What a lane does to its bytes; every mark counts bytes passed on, and Infinity means never. */
export interface LaneFaults {
  /** Cut the circuit when so many bytes have been passed on; 0: when the first one arrives. */
  cutAt: number;
  /** Keep everything behind so many bytes until release(). */
  holdAt: number;
  /** Read and drop everything behind so many bytes, and let no end or reset through. */
  swallowAt: number;
  delayMs: number;
  /** At most `bytes` at a time, `everyMs` apart. */
  trickle: { readonly bytes: number; readonly everyMs: number } | undefined;
}

/** What flows through a lane: bytes, then at most one end and at most one reset. */
type Piece = { readonly bytes: Buffer | 'end' | 'reset'; readonly dueMs: number };

/** Above this the source is not read: a held lane must not fill the memory. */
const QUEUE_BYTES = 1_048_576;

export class Lane {
  readonly faults: LaneFaults;
  passedBytes: number = 0;
  /** True once anything was dropped: the stream has a hole and must never go on. */
  lossy: boolean = false;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #onCut: () => void;
  readonly #onPassed: (bytes: number) => void;
  readonly #queue: Piece[] = [];
  #queuedBytes: number = 0;
  #blocked: boolean = false;
  #stopped: boolean = false;
  #nextPieceMs: number = 0;
  #timer: NodeJS.Timeout | undefined = undefined;

  constructor(from: Socket, to: Socket, faults: LaneFaults, onPassed: (bytes: number) => void, onCut: () => void) {
    this.#from = from;
    this.#to = to;
    this.faults = faults;
    this.#onPassed = onPassed;
    this.#onCut = onCut;
    from.on('data', (chunk: Buffer) => this.#push(chunk));
    from.on('end', () => this.#push('end'));
    from.on('error', () => this.#push('reset'));
    to.on('drain', () => {
      this.#blocked = false;
      this.pump();
    });
    to.on('close', () => this.stop());
  }

  /** From now on bytes are read and dropped. */
  stop(): void {
    this.#stopped = true;
    this.#queue.length = 0;
    this.#queuedBytes = 0;
    clearTimeout(this.#timer);
    if (!this.#from.destroyed) this.#from.resume();
  }

  /** Passes on what may go now; called again whenever something changed. */
  pump(): void {
    while (!this.#stopped && !this.#blocked) {
      const piece = this.#queue[0];
      if (piece === undefined) break;
      if (this.passedBytes >= this.faults.swallowAt) {
        this.#swallow();
        break;
      }
      if (this.passedBytes >= this.faults.holdAt) break;
      const waitMs = Math.max(piece.dueMs, this.#nextPieceMs) - performance.now();
      if (waitMs > 0) {
        this.#pumpLater(waitMs);
        break;
      }
      if (typeof piece.bytes === 'string') {
        this.#queue.shift();
        if (piece.bytes === 'end') this.#to.end();
        else reset(this.#to);
      } else if (this.#pass(piece as Piece & { bytes: Buffer })) {
        break;
      }
    }
    this.#throttle();
  }

  #push(bytes: Buffer | 'end' | 'reset'): void {
    if (this.#stopped) return;
    if (bytes === 'reset' && this.#blocked && this.#undisturbed()) {
      // Behind a receiver that does not read, a reset overtakes the bytes, as the kernel's own does.
      reset(this.#to);
      return;
    }
    this.#queue.push({ bytes, dueMs: this.faults.delayMs > 0 ? performance.now() + this.faults.delayMs : 0 });
    this.#queuedBytes += typeof bytes === 'string' ? 0 : bytes.length;
    this.pump();
  }

  /** Writes as much of the first piece as the marks allow. @returns true where the circuit is cut. */
  #pass(piece: Piece & { bytes: Buffer }): boolean {
    const { cutAt, holdAt, swallowAt, trickle } = this.faults;
    if (this.passedBytes >= cutAt) {
      this.#onCut();
      return true;
    }
    const mark = Math.min(cutAt, holdAt, swallowAt) - this.passedBytes;
    const length = Math.min(piece.bytes.length, mark, trickle?.bytes ?? Number.POSITIVE_INFINITY);
    if (length === piece.bytes.length) this.#queue.shift();
    else this.#queue[0] = { bytes: piece.bytes.subarray(length), dueMs: piece.dueMs };
    this.#queuedBytes -= length;
    this.passedBytes += length;
    this.#onPassed(length);
    if (trickle !== undefined) this.#nextPieceMs = performance.now() + trickle.everyMs;
    const cuts = this.passedBytes === cutAt;
    // The callback comes when the kernel has all of it: exactly these bytes reach the other end, and then the cut does.
    const flowing = this.#to.write(piece.bytes.subarray(0, length), cuts ? () => this.#onCut() : undefined);
    this.#blocked = cuts || !flowing;
    return cuts;
  }

  #undisturbed(): boolean {
    const { holdAt, swallowAt, delayMs } = this.faults;
    return this.passedBytes < Math.min(holdAt, swallowAt) && delayMs === 0;
  }

  #swallow(): void {
    this.lossy = true;
    this.#queue.length = 0;
    this.#queuedBytes = 0;
  }

  #pumpLater(waitMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.pump(), Math.ceil(waitMs));
  }

  #throttle(): void {
    if (this.#from.destroyed) return;
    if (this.#queuedBytes > QUEUE_BYTES) this.#from.pause();
    else if (this.#from.isPaused()) this.#from.resume();
  }
}

/** Ends a socket the hard way: RST on TCP; on a Unix socket there is no such thing, it is just closed. */
export function reset(socket: Socket): void {
  if (socket.destroyed) return;
  // While a FIN is being sent libuv refuses to reset (EINVAL), and Node then never closes the handle.
  if (socket.remoteAddress === undefined || (socket.writableEnded && !socket.writableFinished)) socket.destroy();
  else socket.resetAndDestroy();
}
