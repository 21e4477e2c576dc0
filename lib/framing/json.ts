// JSON: one value a message, over any framing of text or bytes. In: bytes of a stream, cut by the inner framing. Out: values.

import type { ByteWriter, Decoder, Encoder, Framing, FramingLimits, RangeSink } from './framing.ts';
import { badFraming, invalidMessage, invalidOption, utf8Text } from './internal/checks.ts';

/** How deep arrays and objects may lie in one another. Deeper ones parse, but overflow the stack of what walks through them later. */
export const MAX_JSON_DEPTH = 128;

/**
 * JSON values over `inner`, for example json(lines()), which is NDJSON, or json(lengthPrefix()).
 *
 * Sent is what JSON.stringify() makes: a value without JSON (undefined, a function, a symbol, a cycle, a BigInt) is refused with
 * ERR_INVALID_MESSAGE; inside a value undefined and functions are left out, as always.
 * Refused both ways, as ERR_FRAMING when they arrive: more than 128 levels, and a key "__proto__", with which a merge of the value
 * into another object would change that object's prototype.
 * Values arrive as `unknown`: a peer may send any JSON, so check before use.
 * @throws SessionError ERR_INVALID_OPTION over raw(), which does not keep messages apart.
 */
export function json(inner: Framing<string> | Framing<Buffer>): Framing<unknown> {
  if (inner.name === 'raw') throw invalidOption('the framing under json() is raw, which does not keep messages apart');
  return {
    name: `json/${inner.name}`,
    decoder: (limits: FramingLimits): Decoder<unknown> => new JsonDecoder(inner.decoder(limits)),
    encoder: (limits: FramingLimits): Encoder<unknown> => new JsonEncoder((inner as Framing<string>).encoder(limits)),
  };
}

class JsonDecoder implements Decoder<unknown> {
  readonly #inner: Decoder<string | Buffer>;

  constructor(inner: Decoder<string | Buffer>) {
    this.#inner = inner;
  }

  get residueBytes(): number {
    return this.#inner.residueBytes;
  }

  decode(bytes: Buffer, start: number, end: number, sink: RangeSink): number {
    return this.#inner.decode(bytes, start, end, sink);
  }

  message(buffer: Buffer, start: number, end: number): unknown {
    const inner = this.#inner.message(buffer, start, end);
    const text = typeof inner === 'string' ? inner : utf8Text(inner, 0, inner.length);
    if (text === null) throw badFraming(`a message of ${end - start} bytes that is not UTF-8`);
    const hazard = hazardIn(text);
    if (hazard !== null) throw badFraming(hazard);
    try {
      return JSON.parse(text);
    } catch (error) {
      throw badFraming(`a message of ${end - start} bytes that is not JSON`, error);
    }
  }
}

class JsonEncoder implements Encoder<unknown> {
  /** Framings of bytes take text as well. */
  readonly #inner: Encoder<string>;

  constructor(inner: Encoder<string>) {
    this.#inner = inner;
  }

  encode(message: unknown, out: ByteWriter): void {
    const text = textOf(message);
    if (text === undefined) throw invalidMessage(`a value of type ${typeof message}, which JSON does not have`);
    const hazard = hazardIn(text);
    if (hazard !== null) throw invalidMessage(hazard);
    this.#inner.encode(text, out);
  }
}

function textOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    throw invalidMessage('a value that JSON.stringify() throws on', error);
  }
}

function hazardIn(text: string): string | null {
  if (isTooDeep(text)) return `JSON with more than ${MAX_JSON_DEPTH} levels`;
  // An escaped letter could hide the key; both are rare, so the exact and slow look is.
  if ((text.includes('__proto__') || text.includes('\\u00')) && hasProtoKey(text)) return 'JSON with a key "__proto__"';
  return null;
}

function isTooDeep(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = stringEnd(text, at + 1);
    else if (code === OPEN_ARRAY || code === OPEN_OBJECT) depth++;
    else if (code === CLOSE_ARRAY || code === CLOSE_OBJECT) depth--;
    if (depth > MAX_JSON_DEPTH) return true;
  }
  return false;
}

/** Index of the quote that ends the string which begins at `from`. */
function stringEnd(text: string, from: number): number {
  let at = from;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at;
    at += code === BACKSLASH ? 2 : 1;
  }
  return at;
}

function hasProtoKey(text: string): boolean {
  let found = false;
  try {
    JSON.parse(text, (key: string, value: unknown): unknown => {
      if (key === '__proto__') found = true;
      return value;
    });
  } catch {
    // Not JSON at all: the caller finds out by itself.
    return false;
  }
  return found;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
