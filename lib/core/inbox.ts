// Inbox: DATA bytes on their way to the application. Keeps them as they came, decodes them when it is asked for messages, one at a time
// or for a visitor, and hands out ranges. Nothing is decoded ahead, so no message needs a place to wait; bytes are bounded by the window.
import { SessionError } from '../errors.ts';
import type { Decoder, RangeSink } from '../framing/framing.ts';

/** Pieces smaller than half of the memory that they pin are gathered in blocks of this size. */
const BLOCK_BYTES = 65_536;
const FIRST_BLOCK_BYTES = 1024;
/** Smaller ones are gathered too: a thousand reads of few bytes would be a thousand objects, and a long list to take the first from. */
const KEPT_BYTES = 4096;
const EMPTY = Buffer.alloc(0);

/** Is shown one message after the other, in the place where it was found. */
export interface Visitor {
  /** The inbox has moved to buffer[start, end). It may be cleared here, but not asked for the next one. @returns whether to go on */
  visit(buffer: Buffer, start: number, end: number): boolean;
}

class Part {
  buffer: Buffer;
  start = 0;
  end = 0;
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
  // Bytes not decoded yet. The last `#borrowed` parts are pieces of the chunk that is being read now; own() ends that.
  #parts: Part[] = [];
  #borrowed = 0;
  /** Stream offset behind the last byte given to the decoder. */
  #decoded = 0;
  // Where decode() stands: `next` of range() is an index into the piece that begins at this offset.
  #pieceStart = 0;
  #error: SessionError | null = null;
  /** Set while it is shown messages: the decoder is at work, and must not be begun a second time. */
  #visitor: Visitor | null = null;
  #going = false;
  // The message found and not handed out.
  #found = false;
  #foundBuffer: Buffer = EMPTY;
  #foundStart = 0;
  #foundEnd = 0;
  #foundOffset = 0;

  /** The range that next() moved to last. */
  buffer: Buffer = EMPTY;
  start = 0;
  end = 0;
  /** Stream offset behind the message handed out last, by either way. */
  endOffset = 0;

  constructor(decoder: Decoder<Message>) {
    this.decoder = decoder;
  }

  /** The stream begins at this offset. */
  begin(offset: number): void {
    this.#decoded = offset;
    this.endOffset = offset;
  }

  /** True when no message, no undecoded byte and no part of a message is held. */
  get empty(): boolean {
    return !this.#found && this.#parts.length === 0 && this.decoder.residueBytes === 0;
  }

  /** A fault of the framing; everything in front of it can still be taken. */
  get error(): SessionError | null {
    return this.#error;
  }

  /** Takes bytes[start, end) of the stream; they must follow what was taken before. They stay in place until own(). */
  take(bytes: Buffer, start: number, end: number): void {
    if (this.#error !== null) return;
    this.#parts.push(new Part(bytes, start, end, false));
    this.#borrowed++;
    // Looks for one message at once: a fault is told without waiting for a reader, and bytes without a message are done with.
    if (!this.#found) this.#find();
  }

  /** The reader had its turn at what was taken. What is left is kept, in memory of its own where it would pin too much. */
  own(): void {
    if (this.#borrowed === 0 || this.#visitor !== null) return;
    const parts = this.#parts;
    const borrowed = parts.splice(parts.length - this.#borrowed);
    this.#borrowed = 0;
    for (const part of borrowed) {
      const bytes = part.end - part.start;
      if (bytes >= KEPT_BYTES && bytes * 2 >= part.buffer.buffer.byteLength) parts.push(part);
      else this.#copy(part);
    }
  }

  /** Moves to the next message. False when none is complete. */
  next(): boolean {
    if (!this.#found && !this.#find()) return false;
    this.#found = false;
    // Most messages share their chunk with the one before, and a pointer from old to new memory costs more than to look.
    if (this.buffer !== this.#foundBuffer) this.buffer = this.#foundBuffer;
    this.start = this.#foundStart;
    this.end = this.#foundEnd;
    this.endOffset = this.#foundOffset;
    return true;
  }

  /** Shows the visitor every message that is here, until it has had enough. Cheaper than next() by what the way in and out costs. */
  each(visitor: Visitor): void {
    if (this.#visitor !== null) return;
    this.#visitor = visitor;
    this.#going = this.#found && this.next() ? visitor.visit(this.buffer, this.start, this.end) : true;
    // What is sent to a duplex within the visit may come back within it: that is found here as well.
    while (this.#going && this.#decode());
    this.#visitor = null;
  }

  /** Goes back in front of the message that is shown: buffer[start, end). @param endOffset what it was before */
  back(buffer: Buffer, start: number, end: number, endOffset: number): void {
    this.#keep(buffer, start, end, this.endOffset);
    this.endOffset = endOffset;
  }

  /** The message that next() moved to. */
  message(): Message {
    return this.decoder.message(this.buffer, this.start, this.end);
  }

  /** True when next() would move. */
  get ready(): boolean {
    return this.#found || this.#find();
  }

  range(buffer: Buffer, start: number, end: number, next: number): boolean {
    const visitor = this.#visitor;
    const endOffset = this.#pieceStart + next;
    if (visitor === null) return this.#keep(buffer, start, end, endOffset);
    this.endOffset = endOffset;
    if (visitor.visit(buffer, start, end)) return true;
    this.#going = false;
    return false;
  }

  /** Lets go of the memory that an idle session does not need. */
  rest(): void {
    this.buffer = EMPTY;
    if (!this.#found) this.#foundBuffer = EMPTY;
  }

  /**
   * Drops everything that was not handed out, for good.
   * @returns how many messages of it were complete, counted when that is asked: there may be half a million, and most ends are only logged
   */
  clear(): () => number {
    const { decoder } = this;
    const left = this.#parts;
    // In the middle of a visit, the first piece begins behind the message that is shown.
    if (left[0] !== undefined) left[0].start += Math.max(0, this.endOffset - this.#decoded) | 0;
    let messages = this.#found ? 1 : 0;
    this.#parts = [];
    this.#borrowed = 0;
    this.#found = false;
    this.rest();
    const counter: RangeSink = {
      range() {
        messages++;
        return true;
      },
    };
    return () => {
      try {
        for (const { buffer, start, end } of left.splice(0)) decoder.decode(buffer, start, end, counter);
      } catch {
        // Behind a fault there are no messages.
      }
      return messages;
    };
  }

  /** Found, and not handed out. */
  #keep(buffer: Buffer, start: number, end: number, endOffset: number): false {
    if (this.#foundBuffer !== buffer) this.#foundBuffer = buffer;
    this.#foundStart = start;
    this.#foundEnd = end;
    this.#foundOffset = endOffset;
    this.#found = true;
    return false;
  }

  #find(): boolean {
    if (this.#visitor !== null) return false;
    while (!this.#found && this.#decode());
    return this.#found;
  }

  /** Lets the decoder go on in the first piece. @returns whether there was one, and it is sound */
  #decode(): boolean {
    const parts = this.#parts;
    const part = parts[0];
    if (part === undefined) return false;
    this.#pieceStart = this.#decoded - part.start;
    const { start } = part;
    let at = part.end;
    try {
      at = this.decoder.decode(part.buffer, start, part.end, this);
    } catch (error) {
      // A codec that throws anything else is broken; its bytes cannot be trusted either.
      this.#error = SessionError.is(error) ? error : new SessionError('ERR_FRAMING', 'the framing failed', { cause: error });
      parts.length = 0;
      this.#borrowed = 0;
      return false;
    }
    this.#decoded += at - start;
    part.start = at;
    if (at < part.end) return true;
    parts.shift();
    if (this.#borrowed > parts.length) this.#borrowed = parts.length;
    return true;
  }

  /** Appends a copy, so that kept memory stays within twice the kept bytes. */
  #copy({ buffer, start, end }: Part): void {
    const parts = this.#parts;
    let at = start;
    while (at < end) {
      let last = parts[parts.length - 1];
      if (last === undefined || !last.growable || last.end === last.buffer.length) {
        const bytes = last?.growable ? last.buffer.length * 2 : Math.max(FIRST_BLOCK_BYTES, end - at);
        last = new Part(Buffer.allocUnsafeSlow(Math.min(BLOCK_BYTES, bytes)), 0, 0, true);
        parts.push(last);
      }
      const copied = buffer.copy(last.buffer, last.end, at, end);
      last.end += copied;
      at += copied;
    }
  }
}
