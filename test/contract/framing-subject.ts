// What the framing contract works on: a framing with its traits, and streams fed to its decoder in any pieces.

import { expect } from 'chai';
import { SessionError } from '../../lib/errors.ts';
import type { Framing, FramingLimits, RangeSink, Sendable } from '../../lib/framing/framing.ts';
import { encodeMessage } from '../../lib/framing/standalone.ts';
import type { Random } from '../../lib/testing/random.ts';

/** Largest payload in the suite. Above 254, where COBS begins its second block. */
export const LIMIT = 300;
export const limits: FramingLimits = { messageBytes: LIMIT };

/** What differs from framing to framing. */
export interface Traits<Message> {
  /** Bytes that the residue may hold on top of messageBytes. */
  readonly overheadBytes: number;
  /** A message of exactly so many payload bytes. */
  readonly sized: (bytes: number) => Sendable<Message>;
  /** Any message that may be sent, also empty ones and such that hold the layout's own bytes. One that is refused is left out. */
  readonly random: (random: Random) => Sendable<Message>;
  /** Values that cannot be sent: ERR_INVALID_MESSAGE. */
  readonly refused: readonly unknown[];
  /** Beginning of a message that goes on with `filler` for ever, or for exactly `bytes` bytes in all. null: there is none. */
  readonly endless: ((bytes: number) => { readonly head: Uint8Array; readonly filler: Uint8Array }) | null;
  /** How large a message `endless` can begin. Default 128 KiB. */
  readonly endlessBytes?: number;
  /** What arrives for what was sent, in a form that can be compared. Default: bytes, text as UTF-8. */
  readonly arrived?: (message: unknown) => string;
  /** Bytes at the front of each message that mean nothing yet. Default 0. */
  readonly leadBytes?: number;
  /** Only the bytes count, not how they are cut. Default false. */
  readonly unbounded?: boolean;
}

/** How a stream is fed. */
export interface Feeding {
  /** Ends of all chunks but the last, ascending. */
  readonly cuts: readonly number[];
  /** The sink says stop behind each message. */
  readonly stop?: boolean;
  /** Each chunk is a range of the whole stream instead of a buffer of its own. */
  readonly inPlace?: boolean;
  /** Each chunk is overwritten as soon as decode() returns; messages are copied before. */
  readonly scribble?: boolean;
}

/** What came out. */
export interface Outcome {
  readonly messages: readonly string[];
  /** Stream offsets at which messages ended. */
  readonly ends: readonly number[];
  readonly error: SessionError | null;
  readonly residueBytes: number;
}

export class Subject<Message> {
  readonly make: () => Framing<Message>;
  readonly traits: Traits<Message>;

  constructor(make: () => Framing<Message>, traits: Traits<Message>) {
    this.make = make;
    this.traits = traits;
  }

  encode(message: Sendable<Message>, messageBytes: number = LIMIT): Buffer {
    return encodeMessage(this.make(), message, { messageBytes });
  }

  stream(messages: readonly Sendable<Message>[]): Buffer {
    return Buffer.concat(messages.map((message) => this.encode(message)));
  }

  arrived(message: unknown): string {
    return this.traits.arrived === undefined ? arrivedBytes(message) : this.traits.arrived(message);
  }

  /** Messages in a form that can be compared: all of them, or where boundaries do not count, the bytes. */
  comparable(messages: readonly string[]): unknown {
    return this.traits.unbounded === true ? messages.join('') : messages;
  }

  expected(messages: readonly Sendable<Message>[]): unknown {
    return this.comparable(messages.map((message) => this.arrived(message)));
  }

  feed(stream: Buffer, feeding: Feeding): Outcome {
    const decoder = this.make().decoder(limits);
    const kept: Message[] = [];
    const copied: string[] = [];
    const ends: number[] = [];
    let error: SessionError | null = null;
    let chunkStart = 0;
    let next = -1;
    const sink: RangeSink = {
      range: (buffer, start, end, index) => {
        const message = decoder.message(buffer, start, end);
        kept.push(message);
        if (feeding.scribble === true) copied.push(this.arrived(message));
        ends.push(chunkStart + index);
        next = index;
        return feeding.stop !== true;
      },
    };
    const bounds = [0, ...feeding.cuts, stream.length];
    try {
      for (let piece = 1; piece < bounds.length; piece++) {
        const from = bounds[piece - 1] as number;
        const to = bounds[piece] as number;
        chunkStart = feeding.inPlace === true ? 0 : from;
        const chunk = feeding.inPlace === true ? stream : Buffer.from(stream.subarray(from, to));
        let at = from - chunkStart;
        const end = to - chunkStart;
        while (at < end) {
          next = -1;
          const taken = decoder.decode(chunk, at, end, sink);
          if (feeding.stop === true && next >= 0) expect(taken, 'decode() stops right behind the message').to.equal(next);
          else expect(taken, 'decode() takes everything').to.equal(end);
          at = taken;
        }
        if (feeding.scribble === true) chunk.fill(0xee);
      }
    } catch (thrown) {
      if (!SessionError.is(thrown)) throw thrown;
      error = thrown;
    }
    const messages = feeding.scribble === true ? copied : kept.map((message) => this.arrived(message));
    return { messages, ends, error, residueBytes: decoder.residueBytes };
  }
}

/** Ascending places to cut a stream at. */
export function randomCuts(random: Random, length: number, count: number): number[] {
  return Array.from({ length: count }, () => random.integer(0, length)).sort((a, b) => a - b);
}

/** Bytes in a form that can be compared; text counts as its UTF-8. */
function arrivedBytes(message: unknown): string {
  return Buffer.from(message as Uint8Array).toString('hex');
}
