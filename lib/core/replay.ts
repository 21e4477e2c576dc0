// ReplayBuffer: every outgoing byte from `base` (the lowest not acked) to `end`, as segments by byte offset.
// A segment is the memory it was encoded and written from; an ack frees whole segments from the front.
import { LARGE_SLAB_BYTES, ROOM_BYTES, releaseSlab, Slab } from './slab.ts';

/** Stands for no checksum; a payload that has just this one is not checked either. */
export const UNCHECKED = 0;

export class Segment {
  readonly buffer: Buffer;
  start = 0;
  end = 0;
  /** Stream offset of the byte at `start`. */
  readonly offset: number = 0;
  /** The block to give back; null for a payload lent by the application. */
  readonly slab: Slab | null;
  /** Serial number of the circuit it was first written to; 0 before that. */
  circuit = 0;
  /** Checksum of a lent payload, in development; UNCHECKED where none is kept. */
  sum: number = UNCHECKED;

  constructor(buffer: Buffer, start: number, end: number, offset: number, slab: Slab | null) {
    this.buffer = buffer;
    this.start = start;
    this.end = end;
    this.offset = offset;
    this.slab = slab;
  }

  /** False when the application has changed a payload that it lent. */
  get intact(): boolean {
    return this.sum === UNCHECKED || this.sum === checksum(this.buffer);
  }
}

/** FNV-1a, for mistakes and not for attacks. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0x811c9dc5;
  for (const byte of bytes) sum = Math.imul(sum ^ byte, 0x01000193);
  return sum;
}

export class ReplayBuffer {
  readonly #segmentsMax: number;
  #segments: Segment[] = [];
  // Freed segments stay as holes in front of `head` until half of the array is holes: no shift() per ack.
  #head = 0;
  #base = 0;
  #end = 0;

  constructor(segmentsMax: number) {
    this.#segmentsMax = segmentsMax;
  }

  /** The stream begins at this offset. */
  begin(offset: number): void {
    this.#base = offset;
    this.#end = offset;
  }

  /** Lowest offset that can still be replayed. */
  get base(): number {
    return this.#base;
  }

  /** Offset behind the last byte. */
  get end(): number {
    return this.#end;
  }

  get segments(): number {
    return this.#segments.length - this.#head;
  }

  push(segment: Segment): void {
    if (segment.slab !== null) segment.slab.uses++;
    this.#segments.push(segment);
    this.#end += segment.end - segment.start;
    if (this.segments > this.#segmentsMax) this.#merge();
  }

  /**
   * Frees everything below `offset`. `recyclable`: the current circuit's socket holds no bytes.
   * @param circuit serial of the current circuit: memory that only it has carried may be used again
   */
  free(offset: number, recyclable: boolean, circuit: number): void {
    const segments = this.#segments;
    let head = this.#head;
    while (head < segments.length) {
      const segment = segments[head] as Segment;
      if (segment.offset + (segment.end - segment.start) > offset) break;
      if (segment.slab !== null) releaseSlab(segment.slab, recyclable && segment.circuit === circuit);
      segments[head++] = HOLE;
    }
    if (head === segments.length) {
      // Not by its length: that would give its memory away, only to take it again for the next message.
      while (segments.length > 0) segments.pop();
      head = 0;
    } else if (head > 512 && head * 2 > segments.length) {
      segments.splice(0, head);
      head = 0;
    }
    this.#head = head;
    this.#base = offset;
  }

  /** The segment that holds `offset`, by binary search; undefined at or behind the end. */
  find(offset: number): Segment | undefined {
    const segments = this.#segments;
    let low = this.#head;
    let high = segments.length - 1;
    // The end of the array first: in steady state the next byte to write is in the newest segment.
    const last = segments[high];
    if (last === undefined || high < low || offset >= this.#end) return undefined;
    if (offset >= last.offset) return last;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((segments[middle] as Segment).offset <= offset) low = middle;
      else high = middle - 1;
    }
    return segments[low];
  }

  /** Takes back everything from `offset` on. Only bytes that no circuit has seen may be taken back. */
  truncate(offset: number): void {
    const segments = this.#segments;
    while (segments.length > this.#head) {
      const last = segments[segments.length - 1] as Segment;
      if (last.offset < offset) {
        last.end = Math.min(last.end, last.start + (offset - last.offset));
        break;
      }
      if (last.slab !== null) releaseSlab(last.slab, true);
      segments.pop();
    }
    this.#end = offset;
  }

  /** Copies [from, to) out, for snapshots. */
  slice(from: number, to: number): Buffer {
    return Buffer.concat(this.#views(from, to));
  }

  /**
   * [from, to) without a copy, for the loss of a session that ends: when memory is short, that must not take more of it. Valid behind
   * clear(), which gives nothing back to the pool. What the application has lent is copied: it may change it from now on.
   */
  leave(from: number, to: number): Buffer[] {
    return this.#views(from, to, true);
  }

  #views(from: number, to: number, copiesLent = false): Buffer[] {
    const views: Buffer[] = [];
    let at = from;
    while (at < to) {
      const segment = this.find(at) as Segment;
      const start = segment.start + (at - segment.offset);
      const bytes = Math.min(segment.end - start, to - at);
      const view = segment.buffer.subarray(start, start + bytes);
      views.push(copiesLent && segment.slab === null ? Buffer.from(view) : view);
      at += bytes;
    }
    return views;
  }

  /** Hands all segments over, and begins and ends at `end`. Their blocks are never used again: whoever has a segment may keep it. */
  take(): readonly Segment[] {
    const segments = this.#segments.slice(this.#head);
    this.clear();
    return segments;
  }

  /** Gives all memory back; the buffer then begins and ends at `end`. */
  clear(): void {
    for (let i = this.#head; i < this.#segments.length; i++) {
      const slab = (this.#segments[i] as Segment).slab;
      if (slab !== null) releaseSlab(slab, false);
    }
    this.#segments = [];
    this.#head = 0;
    this.#base = this.#end;
  }

  /** Too many small segments (one a flush): copies runs of neighbours into full blocks. Costs each byte once per segmentsMax flushes. */
  #merge(): void {
    const merged: Segment[] = [];
    let into: Segment | null = null;
    for (let i = this.#head; i < this.#segments.length; i++) {
      const segment = this.#segments[i] as Segment;
      const bytes = segment.end - segment.start;
      if (bytes * 2 > LARGE_SLAB_BYTES) {
        merged.push(segment);
        into = null;
        continue;
      }
      if (into === null || into.end + bytes > into.buffer.length) {
        const slab = new Slab(LARGE_SLAB_BYTES);
        slab.uses = 1;
        slab.tainted = true;
        into = new Segment(slab.buffer, ROOM_BYTES, ROOM_BYTES, segment.offset, slab);
        into.circuit = segment.circuit;
        merged.push(into);
      }
      segment.buffer.copy(into.buffer, into.end, segment.start, segment.end);
      into.end += bytes;
      if (segment.slab !== null) releaseSlab(segment.slab, false);
    }
    this.#segments = merged;
    this.#head = 0;
  }
}

const HOLE = new Segment(Buffer.alloc(0), 0, 0, 0, null);
