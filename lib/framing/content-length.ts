// Content-Length: a block of header lines, an empty line, a body, as in the Language Server Protocol and SIP over TCP.
// In: bytes of a stream. Out: one Buffer a message, the body or the whole of it.

import type { Encoder, Framing, FramingLimits } from './framing.ts';
import { badFraming, choiceOption, messageLimit, type Payload, shownBytes, tooLargeToTake } from './internal/checks.ts';
import { CountedDecoder, CountedEncoder, MAX_DECIMAL_BYTES, NO_TRAILER, putDecimal, WholeFrameEncoder } from './internal/counted.ts';

export interface ContentLengthOptions {
  /**
   * What is handed over and sent. 'body' (default): the body alone; written with a header block of `Content-Length` only, as LSP has it.
   * 'whole': everything from the first header byte on, for SIP, where the headers are the message; a start line may stand before them.
   */
  readonly message?: 'body' | 'whole';
}

/** The most bytes of a header block, including the empty line. */
export const MAX_HEADER_BYTES = 8192;

/**
 * Messages behind a header block with `Content-Length: n` (any case, or SIP's compact form `l`).
 * CRLFs between messages are skipped (keep-alives, RFC 5626 §3.5.1). limits.messageBytes holds for the message as handed over.
 *
 * Everything that two parsers could read in two ways is refused with ERR_FRAMING: a second length, even an equal one; a missing one;
 * a length that is not plain digits; folded lines; a space in front of a colon; CR or LF on their own; other control characters.
 * So is a header block above 8 KiB.
 * @throws SessionError ERR_INVALID_OPTION
 */
export function contentLength(options: ContentLengthOptions = {}): Framing<Buffer> {
  const whole = choiceOption('message', options.message ?? 'body', ['body', 'whole']) === 'whole';
  const decoder = (limits: FramingLimits): ContentLengthDecoder => new ContentLengthDecoder(limits, whole);
  return {
    name: whole ? 'content-length/whole' : 'content-length',
    decoder,
    encoder: (limits: FramingLimits): Encoder<Payload> =>
      whole ? new WholeFrameEncoder(limits, decoder) : new ContentLengthEncoder(limits),
  };
}

class ContentLengthDecoder extends CountedDecoder {
  readonly #whole: boolean;
  /** Bytes of an unfinished header block that have been looked at: a block that comes byte by byte is scanned once. */
  #scanned = 0;

  constructor(limits: FramingLimits, whole: boolean) {
    super(limits, NO_TRAILER);
    this.#whole = whole;
  }

  protected override head(bytes: Buffer, start: number, end: number): number {
    if (bytes[start] === CR) return this.#keepAlive(bytes, start, end);
    for (let at = start + this.#scanned; at < end; at++) {
      const byte = bytes[at] as number;
      const afterCr = at > start && bytes[at - 1] === CR;
      if (at - start >= MAX_HEADER_BYTES) this.fail(badFraming(`a header block of more than ${MAX_HEADER_BYTES} bytes`));
      if (afterCr !== (byte === LF)) this.fail(badFraming('a CR or LF on its own in a header block'));
      if (afterCr && bytes[at - 2] === LF) {
        this.#scanned = 0;
        return this.#frame(bytes, start, at + 1);
      }
      if (isControl(byte)) this.fail(badFraming(`control character ${shownBytes(bytes, at, at + 1)} in a header block`));
    }
    this.#scanned = end - start;
    const last = bytes[end - 1];
    if (last === CR) return bytes[end - 2] === LF ? -1 : -3;
    return last === LF ? -2 : -4;
  }

  /** A frame without a message. */
  #keepAlive(bytes: Buffer, start: number, end: number): number {
    if (end - start < 2) return -1;
    if (bytes[start + 1] !== LF) this.fail(badFraming('a CR without LF between messages'));
    this.from = -1;
    return 2;
  }

  #frame(bytes: Buffer, start: number, headerEnd: number): number {
    let length = -1;
    for (let at = start; at < headerEnd - 2; ) {
      const lineEnd = bytes.indexOf(CR, at);
      const value = this.#lengthValue(bytes, at, lineEnd, at === start);
      if (value > 0 && length >= 0) this.fail(badFraming('two lengths in one header block'));
      if (value > 0) length = this.#digits(bytes, value, lineEnd);
      at = lineEnd + 2;
    }
    if (length < 0) this.fail(badFraming('a header block without Content-Length'));
    const header = headerEnd - start;
    const message = this.#whole ? header + length : length;
    if (message > this.limit) this.fail(tooLargeToTake(message, this.limit));
    this.from = this.#whole ? 0 : header;
    return header + length;
  }

  /** @returns where the value of a length header begins, behind its colon; 0 for any other line. */
  #lengthValue(bytes: Buffer, start: number, end: number, first: boolean): number {
    let at = start;
    while (at < end && isToken(bytes[at] as number)) at++;
    if (at > start && bytes[at] === COLON) return isLengthName(bytes, start, at) ? at + 1 : 0;
    const startLine = this.#whole && first && at > start && bytes[skipBlanks(bytes, at, end)] !== COLON;
    if (!startLine) this.fail(badFraming(`a line that is no header, ${shownBytes(bytes, start, end)}`));
    return 0;
  }

  #digits(bytes: Buffer, start: number, end: number): number {
    const first = skipBlanks(bytes, start, end);
    let at = first;
    let length = 0;
    while (at < end && isDigit(bytes[at] as number)) length = length * 10 + (bytes[at++] as number) - ZERO;
    if (at === first || skipBlanks(bytes, at, end) !== end) this.fail(badFraming(`a length of ${shownBytes(bytes, first, end)}`));
    return length;
  }
}

class ContentLengthEncoder extends CountedEncoder {
  constructor(limits: FramingLimits) {
    super(messageLimit(limits), NAME.length + MAX_DECIMAL_BYTES + 4, NO_TRAILER);
  }

  protected override putHead(out: Buffer, at: number, payloadBytes: number): number {
    out.set(NAME, at);
    const to = putDecimal(out, at + NAME.length, payloadBytes);
    out[to] = CR;
    out[to + 1] = LF;
    out[to + 2] = CR;
    out[to + 3] = LF;
    return to + 4;
  }
}

const CR = 0x0d;
const LF = 0x0a;
const TAB = 0x09;
const SPACE = 0x20;
const COLON = 0x3a;
const ZERO = 0x30;
const NAME = Buffer.from('Content-Length: ', 'latin1');
const LONG_NAME = Buffer.from('content-length', 'latin1');
const COMPACT_NAME = Buffer.from('l', 'latin1');
const TOKEN = new Uint8Array(256);
for (const byte of Buffer.from("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 'latin1')) TOKEN[byte] = 1;

function isControl(byte: number): boolean {
  return byte === 0x7f || (byte < SPACE && byte !== CR && byte !== LF && byte !== TAB);
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= ZERO + 9;
}

/** RFC 9110 §5.6.2; SIP's token is narrower, its header names fit. */
function isToken(byte: number): boolean {
  return TOKEN[byte] === 1;
}

function isLengthName(bytes: Buffer, start: number, end: number): boolean {
  const name = end - start === 1 ? COMPACT_NAME : LONG_NAME;
  if (end - start !== name.length) return false;
  // Lower case by one bit: of the characters in a token, only letters come out as letters.
  for (let index = 0; index < name.length; index++) if (((bytes[start + index] as number) | 0x20) !== name[index]) return false;
  return true;
}

function skipBlanks(bytes: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && (bytes[at] === SPACE || bytes[at] === TAB)) at++;
  return at;
}
