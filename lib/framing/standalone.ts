// Framings without a session: the bytes of one message, and the messages in a stream of chunks.
// For sockets that speak another protocol, and for tests.

import { SessionError } from '../errors.ts';
import type { Decoder, Encoder, Framing, FramingLimits, RangeSink, Sendable } from './framing.ts';
import { GrowingWriter } from './internal/growing-writer.ts';

/** 1 MiB a message, the default of sessions too. */
const DEFAULT_LIMITS: FramingLimits = { messageBytes: 1_048_576 };

/**
 * The bytes of one message, framed.
 * @param limits Count only with a framing; an encoder has its own. Default: messages of at most 1 MiB.
 * @throws SessionError ERR_INVALID_MESSAGE or ERR_MESSAGE_TOO_LARGE
 */
export function encodeMessage<Message>(
  framing: Framing<Message> | Encoder<Message>,
  message: Sendable<Message>,
  limits: FramingLimits = DEFAULT_LIMITS,
): Buffer {
  const encoder = 'encoder' in framing ? framing.encoder(limits) : framing;
  const out = new GrowingWriter();
  encoder.encode(message as Message, out);
  return out.bytes();
}

/** Cuts chunks of a stream into messages. */
export class Deframer<Message> {
  readonly #decoder: Decoder<Message>;
  readonly #sink: RangeSink;
  #messages: Message[] = [];
  #fault: SessionError | null = null;

  /** @param limits Default: messages of at most 1 MiB. */
  constructor(framing: Framing<Message>, limits: FramingLimits = DEFAULT_LIMITS) {
    this.#decoder = framing.decoder(limits);
    this.#sink = { range: (buffer: Buffer, start: number, end: number): boolean => this.#add(buffer, start, end) };
  }

  /** Bytes of a message that is not complete yet. */
  get residueBytes(): number {
    return this.#decoder.residueBytes;
  }

  /**
   * Takes the next bytes of the stream. Messages may be views of the chunk, so leave it as it is afterwards.
   * @returns the messages that ended in them. A fault behind some of them is thrown by the next call.
   * @throws SessionError ERR_FRAMING or ERR_MESSAGE_TOO_LARGE; the same again on every later call.
   */
  push(chunk: Uint8Array): Message[] {
    if (this.#fault !== null) throw this.#fault;
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    try {
      this.#decoder.decode(bytes, 0, bytes.length, this.#sink);
    } catch (error) {
      this.#keep(error);
    }
    const messages = this.#messages;
    this.#messages = [];
    if (this.#fault !== null && messages.length === 0) throw this.#fault;
    return messages;
  }

  /** Tells that the stream has ended. @throws SessionError ERR_TRUNCATED in the middle of a message; a fault that push() kept back. */
  end(): void {
    if (this.#fault !== null) throw this.#fault;
    const bytes = this.#decoder.residueBytes;
    if (bytes > 0) throw new SessionError('ERR_TRUNCATED', `the stream ended with ${bytes} bytes of an unfinished message`);
  }

  #add(buffer: Buffer, start: number, end: number): boolean {
    try {
      this.#messages.push(this.#decoder.message(buffer, start, end));
      return true;
    } catch (error) {
      this.#keep(error);
      return false;
    }
  }

  #keep(error: unknown): void {
    if (!SessionError.is(error)) throw error;
    this.#fault = error;
  }
}
