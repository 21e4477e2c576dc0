// Delimited: a start sequence, the payload, an end sequence, and an optional checksum byte, as industrial STX/ETX protocols have it.
// In: bytes of a stream. Out: one Buffer a message, the payload alone.

import type { SessionError } from '../errors.ts';
import type { ByteWriter, Decoder, Encoder, Framing, FramingLimits, RangeSink } from './framing.ts';
import {
  badFraming,
  bytesOption,
  choiceOption,
  invalidMessage,
  messageLimit,
  type Payload,
  payloadBytes,
  payloadView,
  shownBytes,
  tooLargeToTake,
} from './internal/checks.ts';
import { Delimiter, MAX_DELIMITER_BYTES } from './internal/delimiter.ts';
import { Residue } from './internal/residue.ts';
import { view } from './internal/view.ts';

export interface DelimitedOptions {
  /** What begins a frame, 1 to 8 bytes. Default STX (02). Inside a payload it has no meaning. */
  readonly start?: string | Uint8Array;
  /** What ends a frame, 1 to 8 bytes. Default ETX (03). A payload that contains it is refused: this layout has no escapes. */
  readonly end?: string | Uint8Array;
  /**
   * 'lrc': behind the end sequence follows one byte, the XOR of all payload bytes and all bytes of the end sequence.
   * The start sequence does not count. A wrong one is ERR_FRAMING. Default 'none'.
   */
  readonly checksum?: 'none' | 'lrc';
  /** Bytes between frames: 'error' (default) is ERR_FRAMING; 'skip' drops them, for peers that send line noise, CRLF or ACK there. */
  readonly between?: 'error' | 'skip';
}

/**
 * Messages between a start and an end sequence.
 * @throws SessionError ERR_INVALID_OPTION
 */
export function delimited(options: DelimitedOptions = {}): Framing<Buffer> {
  const start = bytesOption('start', options.start ?? '\x02', MAX_DELIMITER_BYTES);
  const end = new Delimiter(bytesOption('end', options.end ?? '\x03', MAX_DELIMITER_BYTES));
  const lrc = choiceOption('checksum', options.checksum ?? 'none', ['none', 'lrc']) === 'lrc';
  const skip = choiceOption('between', options.between ?? 'error', ['error', 'skip']) === 'skip';
  const layout: Layout = { start, end, lrc, skip };
  return {
    name: `delimited/x${start.toString('hex')}/${end.name}${lrc ? '/lrc' : ''}${skip ? '/skip' : ''}`,
    decoder: (limits: FramingLimits): Decoder<Buffer> => new DelimitedDecoder(limits, layout),
    encoder: (limits: FramingLimits): Encoder<Payload> => new DelimitedEncoder(limits, layout),
  };
}

interface Layout {
  readonly start: Buffer;
  readonly end: Delimiter;
  readonly lrc: boolean;
  readonly skip: boolean;
}

class DelimitedDecoder implements Decoder<Buffer> {
  readonly #limit: number;
  readonly #start: Buffer;
  readonly #end: Delimiter;
  readonly #skip: boolean;
  /** Bytes behind the end sequence. */
  readonly #tailBytes: number;
  readonly #frameBytesMax: number;
  readonly #residue: Residue = new Residue();
  /** Where the payload ends in the residue; -1 as long as the end sequence has not come. */
  #payloadEnd = -1;
  #fault: SessionError | null = null;

  constructor(limits: FramingLimits, layout: Layout) {
    this.#limit = messageLimit(limits);
    this.#start = layout.start;
    this.#end = layout.end;
    this.#skip = layout.skip;
    this.#tailBytes = layout.lrc ? 1 : 0;
    this.#frameBytesMax = this.#limit + layout.start.length + layout.end.length + 1;
  }

  get residueBytes(): number {
    return this.#residue.bytes;
  }

  decode(bytes: Buffer, start: number, end: number, sink: RangeSink): number {
    if (this.#fault !== null) throw this.#fault;
    // indexOf() cannot be told where to stop.
    const scan = end === bytes.length ? bytes : bytes.subarray(0, end);
    const startBytes = this.#start.length;
    const endBytes = this.#end.length;
    let at = start;
    if (this.#residue.bytes > 0) {
      at = this.#gather(scan, start, end);
      const stop = this.#payloadEnd;
      const size = this.#residue.bytes;
      if (stop >= 0 && size === stop + endBytes + this.#tailBytes) {
        const frame = this.#residue.take();
        this.#payloadEnd = -1;
        if (this.#tailBytes > 0) this.#checkLrc(frame, startBytes, size);
        if (!sink.range(frame, startBytes, stop, at)) return at;
      } else if (size > 0) {
        return at;
      }
    }
    for (;;) {
      const first = this.#frameStart(scan, at, end);
      if (first === end) return end;
      const from = first + startBytes;
      const last = from < end ? this.#end.find(scan, from) : -1;
      const stop = last < 0 ? end : last + 1 - endBytes;
      this.#checkSize(last < 0 ? stop - from - (endBytes - 1) : stop - from);
      at = last + 1 + this.#tailBytes;
      if (last < 0 || at > end) {
        this.#residue.append(bytes, first, end, this.#frameBytesMax);
        this.#payloadEnd = last < 0 ? -1 : stop - first;
        return end;
      }
      if (this.#tailBytes > 0) this.#checkLrc(bytes, from, at);
      if (!sink.range(bytes, from, stop, at)) return at;
    }
  }

  message(buffer: Buffer, start: number, end: number): Buffer {
    return view(buffer, start, end);
  }

  /** @returns where the next frame begins, with at least the part of the start sequence that is there; `end` where none does. */
  #frameStart(scan: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end) {
      if (this.#skip) at = scan.indexOf(this.#start[0] as number, at);
      if (at < 0) return end;
      if (this.#begins(scan, at, end)) return at;
      if (!this.#skip) this.#strayBytes(scan, at, end);
      at++;
    }
    return end;
  }

  #begins(bytes: Buffer, from: number, end: number): boolean {
    const count = Math.min(this.#start.length, end - from);
    for (let index = 0; index < count; index++) if (bytes[from + index] !== this.#start[index]) return false;
    return true;
  }

  /**
   * Moves bytes into the residue up to the end of its frame. When skipping, the residue may prove to begin no frame, and become empty.
   * @returns the index behind the last byte moved.
   */
  #gather(scan: Buffer, start: number, end: number): number {
    const residue = this.#residue;
    let at = start;
    while (at < end && residue.bytes < this.#start.length) {
      residue.push(scan[at++] as number, this.#frameBytesMax);
      while (residue.bytes > 0 && !this.#begins(residue.buffer, 0, residue.bytes)) {
        if (!this.#skip) this.#strayBytes(residue.buffer, 0, residue.bytes);
        residue.shift();
      }
      if (residue.bytes === 0) return at;
    }
    if (this.#payloadEnd < 0) at = this.#gatherPayload(scan, at, end);
    if (this.#payloadEnd >= 0 && this.#tailBytes > 0 && at < end) residue.push(scan[at++] as number, this.#frameBytesMax);
    return at;
  }

  #gatherPayload(scan: Buffer, start: number, end: number): number {
    const residue = this.#residue;
    const endBytes = this.#end.length;
    let at = start;
    while (at < end) {
      const hit = scan.indexOf(this.#end.last, at);
      const to = hit < 0 ? end : hit + 1;
      const held = residue.bytes - this.#start.length + to - at;
      this.#checkSize(held - (hit < 0 ? endBytes - 1 : endBytes));
      residue.append(scan, at, to, this.#frameBytesMax);
      at = to;
      if (hit < 0) return at;
      if (held >= endBytes && this.#end.endsAt(residue.buffer, residue.bytes - 1)) {
        this.#payloadEnd = residue.bytes - endBytes;
        return at;
      }
      this.#checkSize(held - (endBytes - 1));
    }
    return at;
  }

  #checkSize(payloadBytes: number): void {
    if (payloadBytes > this.#limit) this.#fail(tooLargeToTake(`${payloadBytes} or more`, this.#limit));
  }

  /** @param end The index behind the checksum. */
  #checkLrc(bytes: Buffer, start: number, end: number): void {
    const computed = lrcOf(bytes, start, end - 1);
    const sent = bytes[end - 1] as number;
    if (computed !== sent)
      this.#fail(badFraming(`a message with checksum 0x${sent.toString(16)}, where 0x${computed.toString(16)} is right`));
  }

  #strayBytes(bytes: Buffer, start: number, end: number): never {
    this.#fail(
      badFraming(
        `${shownBytes(bytes, start, end)} between frames, where ${shownBytes(this.#start, 0, this.#start.length)} has to begin one`,
      ),
    );
  }

  #fail(fault: SessionError): never {
    this.#fault = fault;
    this.#residue.clear();
    throw fault;
  }
}

class DelimitedEncoder implements Encoder<Payload> {
  readonly #limit: number;
  readonly #layout: Layout;

  constructor(limits: FramingLimits, layout: Layout) {
    this.#limit = messageLimit(limits);
    this.#layout = layout;
  }

  encode(message: Payload, out: ByteWriter): void {
    const { start, end, lrc } = this.#layout;
    payloadBytes(message, this.#limit);
    const bytes = payloadView(message);
    if (end.clashes(bytes)) throw invalidMessage('the message contains the end sequence, or makes one together with it');
    out.copy(start, 0, start.length);
    out.payload(bytes);
    out.copy(end.bytes, 0, end.length);
    if (lrc) out.byte(lrcOf(bytes, 0, bytes.length) ^ lrcOf(end.bytes, 0, end.length));
  }
}

function lrcOf(bytes: Uint8Array, start: number, end: number): number {
  let sum = 0;
  for (let at = start; at < end; at++) sum ^= bytes[at] as number;
  return sum;
}
