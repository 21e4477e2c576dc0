// FrameReader: chunks of one circuit in, frames out. DATA bodies pass through as ranges, whole or in part; other frames are gathered whole.
// Its residue dies with the circuit; the message decoder's does not (PROTOCOL.md §8).
import {
  DATA_HEADER_BYTES,
  FIRST_IGNORABLE_FRAME,
  FRAME_HEADER_BYTES,
  Frame,
  MAX_CONTROL_BYTES,
  MAX_DATA_BYTES,
  readU64,
  TICKET_HEADER_BYTES,
} from './wire.ts';

export interface FrameSink {
  /** Bytes bytes[start, end) of the stream, which begin at `offset`. */
  onData(bytes: Buffer, start: number, end: number, offset: number): void;
  /** A whole frame other than DATA; its body is bytes[start, start + length) and valid during the call. */
  onControl(type: number, bytes: Buffer, start: number, length: number): void;
  /** A rule was broken; `rule` names it. Nothing follows. */
  onFault(rule: string): void;
}

/** Frames taken from one chunk before the shell gets a turn for others. */
export const FRAMES_PER_TURN = 256;

export class FrameReader {
  readonly #sink: FrameSink;
  /** Largest ticket that may come; 0: none may. */
  readonly #ticketBytes: number;
  #bodyLeft = 0;
  #bodyOffset = 0;
  // Header or control frame that a chunk boundary has cut, which is rare; it has memory until the rest has come.
  #partial: Buffer = NOTHING;
  #partialBytes = 0;
  #stopped = false;

  constructor(sink: FrameSink, ticketBytes: number = 0) {
    this.#sink = sink;
    this.#ticketBytes = ticketBytes;
  }

  /** Reads bytes[at, end). @returns the index reached: less than `end` after FRAMES_PER_TURN frames; call again with the rest. */
  read(bytes: Buffer, from: number, end: number): number {
    let at = from;
    let frames = 0;
    while (at < end && !this.#stopped) {
      if (this.#bodyLeft > 0) {
        const taken = Math.min(this.#bodyLeft, end - at);
        const offset = this.#bodyOffset;
        this.#bodyOffset += taken;
        this.#bodyLeft -= taken;
        this.#sink.onData(bytes, at, at + taken, offset);
        at += taken;
        continue;
      }
      if (frames === FRAMES_PER_TURN) return at;
      const head = this.#partialBytes > 0 ? this.#gather(bytes, at, end) : this.#header(bytes, at, end);
      if (head < 0) return end;
      at = head;
      frames++;
    }
    return this.#stopped ? end : at;
  }

  /** The last chunk ended with a frame, and more may come: a fresh reader would go on in the same way. */
  get between(): boolean {
    return this.#bodyLeft === 0 && this.#partialBytes === 0 && !this.#stopped;
  }

  /** Ends reading for good: nothing behind this frame counts (a fault, or the end of the session). */
  stop(): void {
    this.#stopped = true;
  }

  /** Takes one header, and the whole frame when it is not DATA. @returns the index behind, or -1 when the chunk ends before. */
  #header(bytes: Buffer, at: number, end: number): number {
    const need = this.#need(bytes, at, end - at);
    if (need < 0) return end;
    if (end - at < need) {
      this.#save(bytes, at, end);
      return -1;
    }
    this.#dispatch(bytes, at);
    return at + need;
  }

  /** Bytes needed before the frame at `at` can be dispatched, as far as `have` bytes tell; -1 after a fault. */
  #need(bytes: Buffer, at: number, have: number): number {
    if (have < FRAME_HEADER_BYTES) return FRAME_HEADER_BYTES;
    const type = bytes[at] as number;
    const length = ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
    if (type === Frame.DATA) {
      if (length <= 8 || length > MAX_DATA_BYTES + 8) return this.#fault(`F-3: a DATA frame of ${length} bytes`);
      return DATA_HEADER_BYTES;
    }
    if (type === Frame.TICKET && this.#ticketBytes > 0) {
      const fits = length > TICKET_HEADER_BYTES && length <= TICKET_HEADER_BYTES + this.#ticketBytes;
      return fits
        ? FRAME_HEADER_BYTES + length
        : this.#fault(`F-5: a TICKET of ${length} bytes, where ${this.#ticketBytes} were agreed on`);
    }
    if (length > MAX_CONTROL_BYTES) return this.#fault(`F-2: a frame of type ${type} with ${length} bytes`);
    if (type < FIRST_IGNORABLE_FRAME && (type === 0 || type === Frame.TICKET || type > Frame.DISCARD)) {
      return this.#fault(`F-4: unknown frame type ${type}`);
    }
    return FRAME_HEADER_BYTES + length;
  }

  #dispatch(bytes: Buffer, at: number): void {
    const type = bytes[at] as number;
    const length = ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
    if (type !== Frame.DATA) {
      this.#sink.onControl(type, bytes, at + FRAME_HEADER_BYTES, length);
      return;
    }
    const offset = readU64(bytes, at + FRAME_HEADER_BYTES);
    if (offset < 0) {
      this.#fault('F-1: an offset above 2^53-1');
      return;
    }
    this.#bodyOffset = offset;
    this.#bodyLeft = length - 8;
  }

  #save(bytes: Buffer, at: number, end: number): void {
    this.#room(end - at);
    this.#partialBytes = bytes.copy(this.#partial, 0, at, end);
  }

  /** Grows with what has arrived, never by what a length field promises. */
  #room(bytes: number): void {
    if (bytes <= this.#partial.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(FIRST_PARTIAL_BYTES, bytes, this.#partial.length * 2));
    this.#partial.copy(grown, 0, 0, this.#partialBytes);
    this.#partial = grown;
  }

  /** Continues a frame that the last chunk cut. */
  #gather(bytes: Buffer, from: number, end: number): number {
    let at = from;
    for (;;) {
      const need = this.#need(this.#partial, 0, this.#partialBytes);
      if (need < 0) return end;
      if (this.#partialBytes >= need) break;
      if (at === end) return -1;
      const taken = Math.min(end - at, need - this.#partialBytes);
      this.#room(this.#partialBytes + taken);
      const copied = bytes.copy(this.#partial, this.#partialBytes, at, at + taken);
      this.#partialBytes += copied;
      at += copied;
    }
    this.#partialBytes = 0;
    this.#dispatch(this.#partial, 0);
    this.#partial = NOTHING;
    return at;
  }

  #fault(rule: string): number {
    this.#stopped = true;
    this.#sink.onFault(rule);
    return -1;
  }
}

/** Enough for a header, and for all control frames without a text. */
const FIRST_PARTIAL_BYTES = 32;
const NOTHING: Buffer = Buffer.alloc(0);
