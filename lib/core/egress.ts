// Egress: where encoders write. An open region of the current slab grows until it is sealed; the sealed region is a replay segment,
// and the very memory that the socket is given.
import { type ByteWriter, MAX_RESERVE, type TextEncoding } from '../framing/framing.ts';
import { checksum, ReplayBuffer, Segment, UNCHECKED } from './replay.ts';
import { ROOM_BYTES, releaseSlab, type Slab, SMALL_SLAB_BYTES, takeSlab } from './slab.ts';

/** Payloads up to here are copied even when they are lent: a copy is cheaper than a segment of their own. */
export const LEND_MIN_BYTES = 4096;

/** A region that would be smaller begins in a new slab. */
const REGION_LEAST_BYTES = 256;
const NONE = Buffer.alloc(0);

export class Egress implements ByteWriter {
  buffer: Buffer = NONE;
  position = 0;
  readonly replay: ReplayBuffer;
  #slab: Slab | null = null;
  #regionStart = 0;
  /** Stream offset of position 0 of the block, so that the end is one addition away. */
  #origin = 0;
  /** The next block is a large one. */
  #busy = false;
  #restedAt = 0;
  readonly #checkLent: boolean;
  /** A slab was filled since this was last set back: there is enough for a write. */
  filled = false;
  /** Set around encode() of a message that the application lent. */
  lending = false;

  /** @param checkLent keep a checksum of lent payloads: costs time, finds buffers that are changed too early */
  constructor(segmentsMax: number, checkLent = false) {
    this.#checkLent = checkLent;
    this.replay = new ReplayBuffer(segmentsMax);
  }

  /** Stream offset behind the last byte written. */
  get end(): number {
    return this.#origin + this.position;
  }

  reserve(bytes: number): void {
    if (this.position + bytes > this.buffer.length) this.#open(bytes);
  }

  byte(value: number): void {
    if (this.position === this.buffer.length) this.#open(1);
    this.buffer[this.position++] = value;
  }

  copy(source: Uint8Array, start: number, end: number): void {
    const bytes = end - start;
    if (bytes <= this.buffer.length - this.position) {
      this.buffer.set(start === 0 && bytes === source.length ? source : source.subarray(start, end), this.position);
      this.position += bytes;
      return;
    }
    this.#copyAcross(source, start, end);
  }

  payload(source: Uint8Array): void {
    if (this.lending && source.length > LEND_MIN_BYTES) this.#lend(source);
    else this.copy(source, 0, source.length);
  }

  text(value: string, encoding: TextEncoding, byteLength: number): void {
    if (byteLength <= MAX_RESERVE) {
      this.reserve(byteLength);
      this.position += this.buffer.write(value, this.position, byteLength, encoding);
      return;
    }
    const bytes = Buffer.from(value, encoding);
    this.copy(bytes, 0, bytes.length);
  }

  /** Appends bytes that were encoded for many sessions, by reference. */
  share(part: Segment): void {
    this.#refer(part.buffer, part.start, part.end, part.sum);
  }

  /** The stream begins at this offset. */
  begin(offset: number): void {
    this.replay.begin(offset);
    this.#restedAt = offset;
    this.#region(this.position);
  }

  /** Turns what was written since the last call into a segment, ready to be sent. */
  seal(): void {
    if (!this.#close()) return;
    const next = this.position + ROOM_BYTES;
    if (next + REGION_LEAST_BYTES > this.buffer.length) {
      this.#busy = true;
      this.#drop();
    } else {
      this.#region(next);
    }
  }

  /** Takes back what was written from `offset` on; nothing of it may have been sent. */
  truncate(offset: number): void {
    const sealed = this.replay.end;
    if (offset >= sealed) {
      this.position = this.#regionStart + (offset - sealed);
      return;
    }
    this.position = this.#regionStart;
    this.replay.truncate(offset);
    this.#drop();
  }

  /** Called when everything written is acked, so that an idle session owns no memory. */
  rest(recyclable: boolean): void {
    if (this.#slab === null || this.position !== this.#regionStart) return;
    if (!recyclable) this.#slab.tainted = true;
    // As much as was written since the last rest is likely to be written again, and goes out in one piece where it lies in one.
    const { end } = this;
    this.#busy = end - this.#restedAt > SMALL_SLAB_BYTES;
    this.#restedAt = end;
    this.#drop();
  }

  /** Drops all bytes, sent or not; offsets stay as they are. */
  clear(): void {
    this.seal();
    this.replay.clear();
    this.#drop();
  }

  #open(bytes: number): void {
    if (this.#slab !== null) {
      this.#busy = true;
      this.filled = true;
      this.#close();
      this.#drop();
    }
    const slab = takeSlab(this.#busy || bytes > MAX_RESERVE);
    slab.uses++;
    this.#slab = slab;
    this.buffer = slab.buffer;
    this.#region(ROOM_BYTES);
  }

  /** The open region becomes a segment. @returns false when it is empty */
  #close(): boolean {
    if (this.position === this.#regionStart) return false;
    this.replay.push(new Segment(this.buffer, this.#regionStart, this.position, this.replay.end, this.#slab));
    return true;
  }

  /** An empty region begins here, behind everything that is sealed. */
  #region(start: number): void {
    this.#regionStart = start;
    this.position = start;
    this.#origin = this.replay.end - start;
  }

  #drop(): void {
    const slab = this.#slab;
    this.#slab = null;
    this.buffer = NONE;
    this.#region(0);
    // Its segments keep it in use. Without any, nothing was sent from it that has not been released before.
    if (slab !== null) releaseSlab(slab, true);
  }

  #copyAcross(source: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end) {
      if (this.position === this.buffer.length) this.#open(Math.min(end - at, MAX_RESERVE + 1));
      const bytes = Math.min(this.buffer.length - this.position, end - at);
      this.buffer.set(source.subarray(at, at + bytes), this.position);
      this.position += bytes;
      at += bytes;
    }
  }

  #lend(source: Uint8Array): void {
    const view = Buffer.from(source.buffer, source.byteOffset, source.byteLength);
    this.#refer(view, 0, view.length, this.#checkLent ? checksum(view) : UNCHECKED);
  }

  #refer(buffer: Buffer, start: number, end: number, sum: number): void {
    this.seal();
    const segment = new Segment(buffer, start, end, this.replay.end, null);
    segment.sum = sum;
    this.replay.push(segment);
    this.#region(this.position);
  }
}
