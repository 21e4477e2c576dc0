// Inbox: DATA bytes on their way to the application. Decodes ahead up to a number of messages, keeps the rest as bytes,
// and hands out ranges one at a time. Bounded in bytes by the session's window and in count by messagesMax and by whole blocks.
import { SessionError } from '../errors.ts';
import type { Decoder, RangeSink } from '../framing/framing.ts';

/** Pieces smaller than half of the memory that they pin are gathered in blocks of this size. */
const BLOCK_BYTES = 65_536;
/** The ring is given back when it has grown beyond this and is empty. */
const RING_KEPT = 64;

class Part {
  buffer: Buffer;
  start: number;
  end: number;
  /** Bytes of `buffer` behind `end` belong to this part and may be appended to. */
  readonly growable: boolean;

  constructor(buffer: Buffer, start: number, end: number, growable: boolean) {
    this.buffer = buffer;
    this.start = start;
    this.end = end;
    this.growable = growable;
  }
}

export class Inbox<Message> implements RangeSink {
  readonly decoder: Decoder<Message>;
  readonly #messagesMax: number;
  // The ring of decoded ranges: four arrays side by side instead of an object per message.
  #buffers: (Buffer | null)[] = [];
  #starts: number[] = [];
  #ends: number[] = [];
  #offsets: number[] = [];
  #first = 0;
  #count = 0;
  // Bytes not decoded yet, because enough messages wait.
  #parts: Part[] = [];
  #partsBytes = 0;
  /** Stream offset behind the last byte given to the decoder. */
  #decoded = 0;
  // Where decode() stands: `next` of range() is an index into the chunk that begins at this offset.
  #chunkStart = 0;
  #error: SessionError | null = null;

  /** The range handed out last. */
  buffer: Buffer;
  start = 0;
  end = 0;
  /** Stream offset behind it. */
  endOffset = 0;

  constructor(decoder: Decoder<Message>, messagesMax: number) {
    this.decoder = decoder;
    this.#messagesMax = messagesMax;
    this.buffer = EMPTY;
  }

  /** The stream begins at this offset. */
  begin(offset: number): void {
    this.#decoded = offset;
    this.endOffset = offset;
  }

  /** True when no message, no undecoded byte and no part of a message is held. */
  get empty(): boolean {
    return this.#count === 0 && this.#partsBytes === 0 && this.decoder.residueBytes === 0;
  }

  /** A fault of the framing; everything in front of it can still be taken. */
  get error(): SessionError | null {
    return this.#error;
  }

  /** Messages decoded and waiting. */
  get waiting(): number {
    return this.#count;
  }

  /** Takes bytes[start, end) of the stream; they must follow what was taken before. The chunk is kept by reference or copied. */
  take(bytes: Buffer, start: number, end: number): void {
    if (this.#error !== null) return;
    let at = start;
    if (this.#partsBytes === 0 && this.#count < this.#messagesMax) at = this.#decode(bytes, start, end);
    if (at < end && this.#error === null) this.#keep(bytes, at, end);
  }

  /** Moves to the next message. False when none is complete. */
  next(): boolean {
    if (this.#count === 0 && !this.#refill()) return false;
    const at = this.#first;
    this.buffer = this.#buffers[at] as Buffer;
    this.#buffers[at] = null;
    this.start = this.#starts[at] as number;
    this.end = this.#ends[at] as number;
    this.endOffset = this.#offsets[at] as number;
    this.#first = (at + 1) & (this.#buffers.length - 1);
    this.#count--;
    return true;
  }

  /** Takes the last next() back. @param endOffset what it was before */
  back(endOffset: number): void {
    this.#first = (this.#first - 1) & (this.#buffers.length - 1);
    this.#buffers[this.#first] = this.buffer;
    this.#count++;
    this.endOffset = endOffset;
  }

  /** The message that next() moved to. */
  message(): Message {
    return this.decoder.message(this.buffer, this.start, this.end);
  }

  /** True when next() would move. */
  get ready(): boolean {
    return this.#count > 0 || this.#refill();
  }

  range(buffer: Buffer, start: number, end: number, next: number): boolean {
    if (this.#count === this.#buffers.length) this.#grow();
    const at = (this.#first + this.#count) & (this.#buffers.length - 1);
    this.#buffers[at] = buffer;
    this.#starts[at] = start;
    this.#ends[at] = end;
    this.#offsets[at] = this.#chunkStart + next;
    return ++this.#count < this.#messagesMax;
  }

  /** Lets go of the memory that an idle session does not need. */
  rest(): void {
    this.buffer = EMPTY;
    if (this.#count > 0 || this.#buffers.length <= RING_KEPT) return;
    this.#buffers = [];
    this.#starts = [];
    this.#ends = [];
    this.#offsets = [];
    this.#first = 0;
  }

  /** Drops everything that was not handed out. @returns how many messages were complete. */
  clear(): number {
    let messages = 0;
    while (this.#error === null && this.next()) messages++;
    messages += this.#count;
    this.#count = 0;
    this.#parts = [];
    this.#partsBytes = 0;
    this.rest();
    return messages;
  }

  #decode(bytes: Buffer, start: number, end: number): number {
    this.#chunkStart = this.#decoded - start;
    let at = end;
    try {
      at = this.decoder.decode(bytes, start, end, this);
    } catch (error) {
      // A codec that throws anything else is broken; its bytes cannot be trusted either.
      this.#error = SessionError.is(error) ? error : new SessionError('ERR_FRAMING', 'the framing failed', { cause: error });
    }
    this.#decoded += at - start;
    return at;
  }

  #refill(): boolean {
    while (this.#count === 0 && this.#error === null) {
      const part = this.#parts[0];
      if (part === undefined) return false;
      const at = this.#decode(part.buffer, part.start, part.end);
      this.#partsBytes -= at - part.start;
      part.start = at;
      if (at === part.end) this.#parts.shift();
      if (this.#error !== null) this.#partsBytes = 0;
    }
    return this.#count > 0;
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    this.#partsBytes += length;
    if (length * 2 >= bytes.buffer.byteLength) {
      this.#parts.push(new Part(bytes, start, end, false));
      return;
    }
    // A small piece of a large chunk: copied, so that kept memory stays within twice the kept bytes.
    let at = start;
    while (at < end) {
      let last = this.#parts[this.#parts.length - 1];
      if (last === undefined || !last.growable || last.end === last.buffer.length) {
        const size = last?.growable ? last.buffer.length * 2 : Math.max(1024, length);
        last = new Part(Buffer.allocUnsafeSlow(Math.min(BLOCK_BYTES, size)), 0, 0, true);
        this.#parts.push(last);
      }
      const copied = bytes.copy(last.buffer, last.end, at, end);
      last.end += copied;
      at += copied;
    }
  }

  #grow(): void {
    const size = this.#buffers.length === 0 ? 16 : this.#buffers.length * 2;
    const buffers = new Array<Buffer | null>(size).fill(null);
    const starts = new Array<number>(size).fill(0);
    const ends = new Array<number>(size).fill(0);
    const offsets = new Array<number>(size).fill(0);
    for (let i = 0; i < this.#count; i++) {
      const at = (this.#first + i) & (this.#buffers.length - 1);
      buffers[i] = this.#buffers[at] as Buffer;
      starts[i] = this.#starts[at] as number;
      ends[i] = this.#ends[at] as number;
      offsets[i] = this.#offsets[at] as number;
    }
    this.#buffers = buffers;
    this.#starts = starts;
    this.#ends = ends;
    this.#offsets = offsets;
    this.#first = 0;
  }
}

const EMPTY = Buffer.alloc(0);
