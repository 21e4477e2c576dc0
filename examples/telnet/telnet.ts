// Telnet (RFC 854, RFC 855) as a framing. In: bytes of a stream. Out: user data, commands, option negotiations and subnegotiations, in
// order. Any bytes are telnet, so the decoder never fails: what it cannot keep it reports as discarded, and whoever reads decides when it
// is enough. Line ends are not touched here (nvt.ts): what they mean changes with BINARY, in the middle of a chunk.

import type { ByteWriter, Decoder, Encoder, Framing, FramingLimits, RangeSink } from 'outlast/framing/framing';
import { TelnetError } from './errors.ts';
import { Command, IAC, type Verb } from './protocol.ts';

/** User data with the doubled IACs undone; cut anywhere. */
export interface DataEvent {
  readonly kind: 'data';
  readonly bytes: Buffer;
}

/** IAC and one byte: see `Command`. A number below 236 has no meaning and is to be ignored. */
export interface CommandEvent {
  readonly kind: 'command';
  readonly command: number;
}

export interface NegotiationEvent {
  readonly kind: 'negotiation';
  readonly verb: Verb;
  readonly option: number;
}

/** Between IAC SB option and IAC SE, with the doubled IACs undone. */
export interface SubnegotiationEvent {
  readonly kind: 'subnegotiation';
  readonly option: number;
  readonly bytes: Buffer;
}

/** A subnegotiation that was not delivered. Received only. */
export interface DiscardedEvent {
  readonly kind: 'discarded';
  readonly option: number;
  /**
   * 'overflow': longer than subnegotiationBytes; repeated for each time that many more bytes go by without IAC SE.
   * 'interrupted': another command came before IAC SE; the command follows. 'empty': not even an option, which is then 0.
   */
  readonly reason: DiscardReason;
}

export type DiscardReason = 'overflow' | 'interrupted' | 'empty';
export type TelnetEvent = DataEvent | CommandEvent | NegotiationEvent | SubnegotiationEvent | DiscardedEvent;

export interface TelnetOptions {
  /** Longest subnegotiation, in bytes without option and doubling, 1 to 1 MiB. Default 2,048: no option needs more. */
  readonly subnegotiationBytes?: number;
}

/**
 * Telnet events. limits.messageBytes is the largest piece of user data; a subnegotiation is bounded by the smaller of both limits.
 * @throws TelnetError ERR_INVALID_OPTION
 */
export function telnet(options: TelnetOptions = {}): Framing<TelnetEvent> {
  const most = integer('subnegotiationBytes', options.subnegotiationBytes ?? SUBNEGOTIATION_BYTES, 1_048_576);
  return {
    name: 'telnet',
    decoder: (limits: FramingLimits): Decoder<TelnetEvent> => new TelnetDecoder(limits, most),
    encoder: (limits: FramingLimits): Encoder<TelnetEvent> => new TelnetEncoder(limits, most),
  };
}

/** User data; text as UTF-8. */
export function data(bytes: Uint8Array | string): DataEvent {
  return {
    kind: 'data',
    bytes: typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length),
  };
}

export function command(number: number): CommandEvent {
  return { kind: 'command', command: number };
}

export function negotiation(verb: Verb, option: number): NegotiationEvent {
  return { kind: 'negotiation', verb, option };
}

/** @param parts Numbers are bytes; text is ASCII. */
export function subnegotiation(option: number, ...parts: readonly (number | string | Uint8Array)[]): SubnegotiationEvent {
  const bytes = parts.map((part) =>
    typeof part === 'number' ? Buffer.of(part) : typeof part === 'string' ? Buffer.from(part, 'latin1') : part,
  );
  return { kind: 'subnegotiation', option, bytes: Buffer.concat(bytes) };
}

const SUBNEGOTIATION_BYTES = 2048;
const FIRST_HELD_BYTES = 64;
/** IAC, SB and the option, which stand in front of the bytes that are kept. */
const HEAD_BYTES = 3;
const NONE: Buffer = Buffer.alloc(0);

/** Where the next byte falls. Every state can be left at any byte and entered again with the next chunk. */
type State = 'data' | 'iac' | 'verb' | 'sb' | 'sb-iac' | 'skip' | 'skip-iac';

const verbs: readonly Verb[] = ['will', 'wont', 'do', 'dont'];
const reasons: readonly DiscardReason[] = ['overflow', 'interrupted', 'empty'];
// Short events are ranges of these two tables, so that one that was split over chunks costs no memory of its own.
const commandTable: Buffer = Buffer.from(Array.from({ length: 512 }, (_, at) => (at % 2 === 0 ? IAC : at >> 1)));
const negotiationTable: Buffer = Buffer.concat(
  verbs.flatMap((_, verb) => Array.from({ length: 256 }, (_unused, option) => Buffer.of(IAC, Command.will + verb, option))),
);

/**
 * A range begins with IAC, unless it is user data: `FF x` command (`FF FF`: a byte FF), `FF verb option`, `FF FA option …`, `FF F0 option
 * reason`.
 */
class TelnetDecoder implements Decoder<TelnetEvent> {
  readonly #dataBytes: number;
  readonly #bodyBytes: number;
  #state: State = 'data';
  #verb = 0;
  /** A subnegotiation so far: IAC, SB, option, bytes. */
  #held: Buffer = NONE;
  #heldBytes = 0;
  /** In 'skip': whose overflow it is, and how much of it went by since it was last reported. */
  #skippedOption = 0;
  #skippedBytes = 0;
  /** The sink said stop. */
  #told = false;

  constructor(limits: FramingLimits, subnegotiationBytes: number) {
    this.#dataBytes = messageLimit(limits);
    this.#bodyBytes = Math.min(subnegotiationBytes, this.#dataBytes);
  }

  get residueBytes(): number {
    if (this.#state === 'data') return 0;
    if (this.#state === 'sb') return this.#heldBytes;
    if (this.#state === 'sb-iac') return this.#heldBytes + 1;
    return this.#state === 'iac' || this.#state === 'skip' ? 1 : 2;
  }

  decode(bytes: Buffer, start: number, end: number, sink: RangeSink): number {
    let at = start;
    this.#told = false;
    while (at < end && !this.#told) {
      if (this.#state === 'data') at = this.#data(bytes, at, end, sink);
      else if (this.#state === 'sb') at = this.#body(bytes, at, end, sink);
      else if (this.#state === 'skip') at = this.#skip(bytes, at, end, sink);
      else at = this.#behind(bytes[at] as number, at, sink);
    }
    return at;
  }

  message(buffer: Buffer, start: number, end: number): TelnetEvent {
    if (buffer[start] !== IAC) return { kind: 'data', bytes: buffer.subarray(start, end) };
    const second = buffer[start + 1] as number;
    if (end - start === 2) return second === IAC ? { kind: 'data', bytes: Buffer.of(IAC) } : { kind: 'command', command: second };
    const option = buffer[start + 2] as number;
    if (second === Command.sb) return { kind: 'subnegotiation', option, bytes: buffer.subarray(start + HEAD_BYTES, end) };
    if (second === Command.se) return { kind: 'discarded', option, reason: reasons[buffer[start + 3] as number] as DiscardReason };
    return { kind: 'negotiation', verb: verbs[second - Command.will] as Verb, option };
  }

  #emit(sink: RangeSink, buffer: Buffer, start: number, end: number, next: number): number {
    this.#told = !sink.range(buffer, start, end, next);
    return next;
  }

  #data(bytes: Buffer, at: number, end: number, sink: RangeSink): number {
    const stop = Math.min(end, at + this.#dataBytes);
    const hit = findIac(bytes, at, stop);
    if (hit < 0) return this.#emit(sink, bytes, at, stop, stop);
    // The first byte of a doubled IAC can stay with the text in front of it.
    if (hit > at && hit + 1 < end && bytes[hit + 1] === IAC) return this.#emit(sink, bytes, at, hit + 1, hit + 2);
    if (hit > at) return this.#emit(sink, bytes, at, hit, hit);
    this.#state = 'iac';
    return hit + 1;
  }

  /** Takes the one byte behind an IAC or a verb. */
  #behind(byte: number, at: number, sink: RangeSink): number {
    if (this.#state === 'verb') {
      this.#state = 'data';
      const entry = HEAD_BYTES * (256 * (this.#verb - Command.will) + byte);
      return this.#emit(sink, negotiationTable, entry, entry + HEAD_BYTES, at + 1);
    }
    if (this.#state === 'sb-iac') return this.#behindInBody(byte, at, sink);
    if (this.#state === 'skip-iac') {
      this.#state = byte === Command.se ? 'data' : 'skip';
      return this.#state === 'skip' ? this.#skipped(2, at + 1, sink) : at + 1;
    }
    if (byte === Command.sb) {
      this.#state = 'sb';
      this.#held = Buffer.allocUnsafe(FIRST_HELD_BYTES);
      this.#held[0] = IAC;
      this.#held[1] = Command.sb;
      this.#heldBytes = 2;
      return at + 1;
    }
    if (byte >= Command.will && byte <= Command.dont) {
      this.#state = 'verb';
      this.#verb = byte;
      return at + 1;
    }
    this.#state = 'data';
    return this.#emit(sink, commandTable, 2 * byte, 2 * byte + 2, at + 1);
  }

  #behindInBody(byte: number, at: number, sink: RangeSink): number {
    if (byte === IAC) {
      this.#state = 'sb';
      return this.#hold(commandTable, 2 * IAC, 2 * IAC + 1, at, sink);
    }
    const held = this.#held;
    const heldBytes = this.#heldBytes;
    this.#held = NONE;
    this.#heldBytes = 0;
    if (byte === Command.se) {
      this.#state = 'data';
      if (heldBytes >= HEAD_BYTES) return this.#emit(sink, held, 0, heldBytes, at + 1);
      return this.#discard('empty', 0, at + 1, sink);
    }
    // The command is left for the state 'iac', so that a sink that says stop gets it with the next call.
    this.#state = 'iac';
    return this.#discard('interrupted', heldBytes >= HEAD_BYTES ? (held[2] as number) : 0, at, sink);
  }

  #body(bytes: Buffer, at: number, end: number, sink: RangeSink): number {
    const hit = findIac(bytes, at, Math.min(end, at + this.#bodyBytes));
    if (hit === at) {
      this.#state = 'sb-iac';
      return at + 1;
    }
    const to = hit < 0 ? Math.min(end, at + this.#bodyBytes) : hit;
    return this.#hold(bytes, at, to, at, sink);
  }

  /** Keeps source[start, end), whose last byte is at stream index at + (end - start) - 1; what does not fit ends the keeping. */
  #hold(source: Buffer, start: number, end: number, at: number, sink: RangeSink): number {
    const count = end - start;
    const room = this.#bodyBytes + HEAD_BYTES - this.#heldBytes;
    if (count > room) {
      this.#skippedOption = this.#heldBytes >= HEAD_BYTES ? (this.#held[2] as number) : (source[start] as number);
      this.#held = NONE;
      this.#heldBytes = 0;
      this.#state = 'skip';
      this.#skippedBytes = 0;
      return this.#discard('overflow', this.#skippedOption, at + room + 1, sink);
    }
    if (this.#heldBytes + count > this.#held.length) this.#grow(this.#heldBytes + count);
    source.copy(this.#held, this.#heldBytes, start, end);
    this.#heldBytes += count;
    return at + count;
  }

  #grow(needed: number): void {
    const grown = Buffer.allocUnsafe(Math.min(2 * needed, this.#bodyBytes + HEAD_BYTES));
    this.#held.copy(grown, 0, 0, this.#heldBytes);
    this.#held = grown;
  }

  #skip(bytes: Buffer, at: number, end: number, sink: RangeSink): number {
    const stop = Math.min(end, at + this.#bodyBytes - this.#skippedBytes);
    const hit = findIac(bytes, at, stop);
    if (hit === at) {
      this.#state = 'skip-iac';
      return at + 1;
    }
    const to = hit < 0 ? stop : hit;
    return this.#skipped(to - at, to, sink);
  }

  #skipped(count: number, next: number, sink: RangeSink): number {
    this.#skippedBytes += count;
    if (this.#skippedBytes < this.#bodyBytes) return next;
    this.#skippedBytes = 0;
    return this.#discard('overflow', this.#skippedOption, next, sink);
  }

  #discard(reason: DiscardReason, option: number, next: number, sink: RangeSink): number {
    return this.#emit(sink, Buffer.of(IAC, Command.se, option, reasons.indexOf(reason)), 0, 4, next);
  }
}

class TelnetEncoder implements Encoder<TelnetEvent> {
  readonly #dataBytes: number;
  readonly #bodyBytes: number;

  constructor(limits: FramingLimits, subnegotiationBytes: number) {
    this.#dataBytes = messageLimit(limits);
    this.#bodyBytes = Math.min(subnegotiationBytes, this.#dataBytes);
  }

  encode(event: TelnetEvent, out: ByteWriter): void {
    const kind = typeof event === 'object' && event !== null ? event.kind : typeof event;
    if (kind === 'data') this.#data((event as DataEvent).bytes, out);
    else if (kind === 'command') putCommand((event as CommandEvent).command, out);
    else if (kind === 'negotiation') putNegotiation(event as NegotiationEvent, out);
    else if (kind === 'subnegotiation') this.#subnegotiation(event as SubnegotiationEvent, out);
    else throw invalid(`an event of kind '${String(kind).slice(0, 32)}' cannot be sent`);
  }

  #data(bytes: unknown, out: ByteWriter): void {
    checkBytes(bytes, this.#dataBytes);
    if (bytes.length === 0) throw invalid('an empty piece of data, which has no bytes that could arrive');
    putDoubled(bytes, out);
  }

  #subnegotiation(event: SubnegotiationEvent, out: ByteWriter): void {
    const option = byteOf('option', event.option);
    checkBytes(event.bytes, this.#bodyBytes);
    out.byte(IAC);
    out.byte(Command.sb);
    if (option === IAC) out.byte(IAC);
    out.byte(option);
    if (event.bytes.length > 0) putDoubled(event.bytes, out);
    out.byte(IAC);
    out.byte(Command.se);
  }
}

function putCommand(number: number, out: ByteWriter): void {
  // IAC, SB and the verbs would open something that this event does not hold.
  if (!Number.isInteger(number) || number < Command.eof || number >= Command.sb)
    throw invalid(`${String(number)} is no command of its own`);
  out.byte(IAC);
  out.byte(number);
}

function putNegotiation(event: NegotiationEvent, out: ByteWriter): void {
  const verb = verbs.indexOf(event.verb);
  if (verb < 0) throw invalid(`'${String(event.verb).slice(0, 32)}' is none of ${verbs.join(', ')}`);
  const option = byteOf('option', event.option);
  out.byte(IAC);
  out.byte(Command.will + verb);
  out.byte(option);
}

function putDoubled(bytes: Uint8Array, out: ByteWriter): void {
  let hit = bytes.indexOf(IAC);
  if (hit < 0) {
    out.payload(bytes);
    return;
  }
  let from = 0;
  for (; hit >= 0; hit = bytes.indexOf(IAC, from)) {
    out.copy(bytes, from, hit + 1);
    out.byte(IAC);
    from = hit + 1;
  }
  if (from < bytes.length) out.copy(bytes, from, bytes.length);
}

/** Index of the first IAC in bytes[start, end), or -1. indexOf() alone cannot be told where to stop. */
function findIac(bytes: Buffer, start: number, end: number): number {
  if (bytes[start] === IAC) return start;
  if (end === bytes.length) return bytes.indexOf(IAC, start);
  const hit = bytes.subarray(start, end).indexOf(IAC);
  return hit < 0 ? -1 : start + hit;
}

function checkBytes(bytes: unknown, most: number): asserts bytes is Uint8Array {
  if (!(bytes instanceof Uint8Array)) throw invalid('the bytes of an event are no Uint8Array');
  if (bytes.length > most) throw new TelnetError('ERR_MESSAGE_TOO_LARGE', `an event of ${bytes.length} bytes, where ${most} can be sent`);
}

function byteOf(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= 255) return value;
  throw invalid(`${name} is ${String(value)}, not a byte`);
}

function messageLimit(limits: FramingLimits): number {
  return integer('limits.messageBytes', limits.messageBytes, Number.MAX_SAFE_INTEGER);
}

function integer(name: string, value: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= 1 && value <= most) return value;
  throw new TelnetError('ERR_INVALID_OPTION', `${name} is ${String(value)}, not an integer from 1 to ${most}`);
}

function invalid(what: string): TelnetError {
  return new TelnetError('ERR_INVALID_MESSAGE', what);
}
