// Lines: messages that end with a delimiter, LF by default. In: bytes of a stream. Out: a string a line, or a Buffer.

import type { SessionError } from '../errors.ts';
import { type ByteWriter, type Decoder, type Encoder, type Framing, type FramingLimits, MAX_RESERVE, type RangeSink } from './framing.ts';
import {
  badFraming,
  bytesOption,
  checkWellFormed,
  choiceOption,
  invalidMessage,
  invalidOption,
  messageLimit,
  type Payload,
  payloadBytes,
  payloadView,
  tooLargeToSend,
  tooLargeToTake,
  utf8Text,
} from './internal/checks.ts';
import { Delimiter, MAX_DELIMITER_BYTES, type TextDelimiter, textClashes } from './internal/delimiter.ts';
import { Residue } from './internal/residue.ts';
import { view } from './internal/view.ts';

interface LinesOptions {
  /** What ends a line, 1 to 8 bytes: '\n' (default), '\r\n', '\0' or any other. A string means its bytes in `encoding`, or in UTF-8. */
  readonly delimiter?: string | Uint8Array;
  /**
   * For peers that end lines with LF or CRLF as they please: one CR in front of the LF is taken off, and a line to be sent must not
   * end with CR. Only with the delimiter '\n', which is what is written. Default false.
   */
  readonly stripCr?: boolean;
}

export interface TextLinesOptions extends LinesOptions {
  /** How a line becomes bytes. 'utf8' (default) takes nothing but UTF-8; 'latin1' takes any byte, and sends U+0000 to U+00FF. */
  readonly encoding?: 'utf8' | 'latin1';
}

export interface BufferLinesOptions extends LinesOptions {
  /** Messages are Buffers, without the delimiter. */
  readonly encoding: 'buffer';
}

/**
 * Messages that end with a delimiter. One that contains the delimiter is refused (ERR_INVALID_MESSAGE), and so is text that the
 * encoding lacks.
 * Bytes that are no UTF-8 are ERR_FRAMING, not U+FFFD: for a peer with an unknown encoding take 'latin1' or 'buffer'.
 * limits.messageBytes holds for the line without its delimiter.
 * @throws SessionError ERR_INVALID_OPTION
 */
export function lines(options: BufferLinesOptions): Framing<Buffer>;
export function lines(options?: TextLinesOptions): Framing<string>;
export function lines(options: TextLinesOptions | BufferLinesOptions = {}): Framing<string> | Framing<Buffer> {
  const encoding = choiceOption<LineEncoding>('encoding', options.encoding ?? 'utf8', ['utf8', 'latin1', 'buffer']);
  const textEncoding = encoding === 'latin1' ? 'latin1' : 'utf8';
  const delimiter = new Delimiter(bytesOption('delimiter', options.delimiter ?? '\n', MAX_DELIMITER_BYTES, textEncoding));
  const stripCr = options.stripCr ?? false;
  if (stripCr && delimiter.name !== 'x0a') throw invalidOption("stripCr is set, which goes with the delimiter '\\n' only");
  const layout: Layout = { name: `lines/${stripCr ? 'lf-or-crlf' : nameOf(delimiter)}/${encoding}`, delimiter, stripCr };
  if (encoding === 'buffer') {
    return {
      name: layout.name,
      decoder: (limits: FramingLimits): Decoder<Buffer> => new LinesDecoder(limits, layout, view),
      encoder: (limits: FramingLimits): Encoder<Payload> => new BufferLinesEncoder(limits, layout),
    };
  }
  // Otherwise a delimiter could begin in the middle of a character, and no check of the text would find it.
  if (encoding === 'utf8' && utf8Text(delimiter.bytes, 0, delimiter.length) === null) throw invalidOption('delimiter is not UTF-8');
  return {
    name: layout.name,
    decoder: (limits: FramingLimits): Decoder<string> => new LinesDecoder(limits, layout, encoding === 'utf8' ? utf8Line : latin1Line),
    encoder: (limits: FramingLimits): Encoder<string> => new TextLinesEncoder(limits, layout, encoding),
  };
}

type LineEncoding = 'utf8' | 'latin1' | 'buffer';

interface Layout {
  readonly name: string;
  readonly delimiter: Delimiter;
  readonly stripCr: boolean;
}

class LinesDecoder<Message> implements Decoder<Message> {
  readonly #limit: number;
  readonly #delimiter: Delimiter;
  readonly #stripCr: boolean;
  /** Bytes behind a line's payload that may have come before its delimiter is whole. */
  readonly #slack: number;
  readonly #read: (buffer: Buffer, start: number, end: number) => Message;
  readonly #residue: Residue = new Residue();
  #fault: SessionError | null = null;

  constructor(limits: FramingLimits, layout: Layout, read: (buffer: Buffer, start: number, end: number) => Message) {
    this.#limit = messageLimit(limits);
    this.#delimiter = layout.delimiter;
    this.#stripCr = layout.stripCr;
    this.#slack = layout.delimiter.length - 1 + (layout.stripCr ? 1 : 0);
    this.#read = read;
  }

  get residueBytes(): number {
    return this.#residue.bytes;
  }

  decode(bytes: Buffer, start: number, end: number, sink: RangeSink): number {
    if (this.#fault !== null) throw this.#fault;
    // indexOf() cannot be told where to stop: without this a long chunk would be searched to its end for every small range of it.
    const scan = end === bytes.length ? bytes : bytes.subarray(0, end);
    const residue = this.#residue;
    const delimiter = this.#delimiter;
    let at = start;
    if (residue.bytes > 0) {
      at = this.#gather(scan, start, end);
      const size = residue.bytes - delimiter.length;
      if (size < 0 || !delimiter.endsAt(residue.buffer, residue.bytes - 1)) return at;
      const stop = this.#stop(residue.buffer, 0, size);
      if (!sink.range(residue.take(), 0, stop, at)) return at;
    }
    for (;;) {
      const hit = delimiter.find(scan, at);
      if (hit < 0) break;
      const first = at;
      const stop = this.#stop(scan, first, hit + 1 - delimiter.length);
      at = hit + 1;
      if (!sink.range(bytes, first, stop, at)) return at;
    }
    this.#checkUnfinished(end - at);
    if (at < end) residue.append(bytes, at, end, this.#limit + this.#slack + 1);
    return end;
  }

  message(buffer: Buffer, start: number, end: number): Message {
    return this.#read(buffer, start, end);
  }

  /** Moves bytes into the residue until it ends with the delimiter. @returns the index behind the last byte moved. */
  #gather(scan: Buffer, start: number, end: number): number {
    const residue = this.#residue;
    const delimiter = this.#delimiter;
    let at = start;
    while (at < end) {
      const hit = scan.indexOf(delimiter.last, at);
      const to = hit < 0 ? end : hit + 1;
      // The byte found may be the delimiter's last and thus no payload.
      this.#checkUnfinished(residue.bytes + to - at - (hit < 0 ? 0 : 1));
      residue.append(scan, at, to, this.#limit + this.#slack + 1);
      at = to;
      if (hit < 0) break;
      if (residue.bytes >= delimiter.length && delimiter.endsAt(residue.buffer, residue.bytes - 1)) break;
      this.#checkUnfinished(residue.bytes);
    }
    return at;
  }

  /** @returns where the payload ends, of a line that reaches up to its delimiter at `end`. */
  #stop(buffer: Buffer, start: number, end: number): number {
    const stop = this.#stripCr && end > start && buffer[end - 1] === CR ? end - 1 : end;
    if (stop - start > this.#limit) this.#fail(stop - start);
    return stop;
  }

  #checkUnfinished(bytes: number): void {
    if (bytes > this.#limit + this.#slack) this.#fail(bytes);
  }

  #fail(bytes: number): never {
    this.#fault = tooLargeToTake(`${bytes} or more`, this.#limit);
    this.#residue.clear();
    throw this.#fault;
  }
}

class TextLinesEncoder implements Encoder<string> {
  readonly #limit: number;
  readonly #delimiter: Delimiter;
  readonly #text: TextDelimiter;
  readonly #encoding: 'utf8' | 'latin1';
  readonly #stripCr: boolean;
  /** The most bytes that one UTF-16 code unit becomes. */
  readonly #bytesPerUnit: number;

  constructor(limits: FramingLimits, layout: Layout, encoding: 'utf8' | 'latin1') {
    this.#bytesPerUnit = encoding === 'utf8' ? 3 : 1;
    this.#limit = messageLimit(limits);
    this.#delimiter = layout.delimiter;
    this.#text = layout.delimiter.asText(encoding);
    this.#encoding = encoding;
    this.#stripCr = layout.stripCr;
  }

  encode(message: string, out: ByteWriter): void {
    if (typeof message !== 'string') throw invalidMessage(`a value of type ${typeof message} was given where a line of text is sent`);
    const delimiter = this.#delimiter;
    if (textClashes(message, this.#text)) throw delimiterInside();
    if (this.#stripCr && message.endsWith('\r')) throw crAtEnd();
    this.#checkCharacters(message);
    const most = message.length * this.#bytesPerUnit;
    if (most > this.#limit || most + delimiter.length > MAX_RESERVE) {
      this.#encodeLarge(message, out);
      return;
    }
    out.reserve(most + delimiter.length);
    const buffer = out.buffer;
    let at = out.position;
    at += buffer.write(message, at, this.#encoding);
    for (let index = 0; index < delimiter.length; index++) buffer[at++] = delimiter.bytes[index] as number;
    out.position = at;
  }

  /** Where the text may be too large, its size is counted first. */
  #encodeLarge(message: string, out: ByteWriter): void {
    const bytes = Buffer.byteLength(message, this.#encoding);
    if (bytes > this.#limit) throw tooLargeToSend(bytes, this.#limit);
    out.text(message, this.#encoding, bytes);
    out.copy(this.#delimiter.bytes, 0, this.#delimiter.length);
  }

  #checkCharacters(message: string): void {
    if (this.#encoding === 'utf8') checkWellFormed(message);
    else if (/[\u0100-\uffff]/.test(message)) throw invalidMessage('the text holds a character above U+00FF, which latin1 does not have');
  }
}

class BufferLinesEncoder implements Encoder<Payload> {
  readonly #limit: number;
  readonly #delimiter: Delimiter;
  readonly #stripCr: boolean;

  constructor(limits: FramingLimits, layout: Layout) {
    this.#limit = messageLimit(limits);
    this.#delimiter = layout.delimiter;
    this.#stripCr = layout.stripCr;
  }

  encode(message: Payload, out: ByteWriter): void {
    payloadBytes(message, this.#limit);
    const bytes = payloadView(message);
    const delimiter = this.#delimiter;
    if (delimiter.clashes(bytes)) throw delimiterInside();
    if (this.#stripCr && bytes[bytes.length - 1] === CR) throw crAtEnd();
    out.payload(bytes);
    out.copy(delimiter.bytes, 0, delimiter.length);
  }
}

const CR = 0x0d;

function utf8Line(buffer: Buffer, start: number, end: number): string {
  const text = utf8Text(buffer, start, end);
  if (text === null) throw badFraming(`a line of ${end - start} bytes that is not UTF-8`);
  return text;
}

function latin1Line(buffer: Buffer, start: number, end: number): string {
  return buffer.toString('latin1', start, end);
}

function delimiterInside(): SessionError {
  return invalidMessage('the line contains its own delimiter, or makes one together with it');
}

function crAtEnd(): SessionError {
  return invalidMessage('the line ends with CR, which stripCr would take off');
}

function nameOf(delimiter: Delimiter): string {
  if (delimiter.name === 'x0a') return 'lf';
  if (delimiter.name === 'x0d0a') return 'crlf';
  return delimiter.name === 'x00' ? 'nul' : delimiter.name;
}
