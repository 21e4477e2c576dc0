// The seam between a session's byte stream and the application's messages.
// A framing is two pure halves: a Decoder cuts bytes into ranges and makes messages of them; an Encoder appends a message to a writer.

/** How messages are laid out in the byte stream. One object serves any number of sessions: all state is in the halves. */
export interface Framing<Message = Buffer> {
  /** The layout with every option that changes bytes, such as `length-prefix/4/big`: 1 to 64 printable ASCII characters. */
  readonly name: string;
  decoder(limits: FramingLimits): Decoder<Message>;
  encoder(limits: FramingLimits): Encoder<Message>;
}

/** What can be sent where `Message` is received: framings of Buffers take any Uint8Array, and text as UTF-8. */
export type Sendable<Message> = Message extends Buffer ? Uint8Array | string : Message;

export interface FramingLimits {
  /** Largest payload of one message, in bytes, without delimiters, headers and escapes. */
  readonly messageBytes: number;
}

/** Takes messages as byte ranges, so that the hot path makes no object per message. */
export interface RangeSink {
  /**
   * One whole message is buffer[start, end). It ended at index `next` of the bytes given to decode().
   * The decoder never writes to `buffer` again, so a view of it may be kept.
   * Returning false stops decode() right behind this message.
   */
  range(buffer: Buffer, start: number, end: number, next: number): boolean;
}

export interface Decoder<Message> {
  /**
   * Cuts bytes[start, end) into messages. Whatever is left of an unfinished message is copied into the residue.
   * @returns the index behind the last byte taken: `end`, or less when the sink said stop.
   * @throws SessionError ERR_FRAMING or ERR_MESSAGE_TOO_LARGE (blame peer). All messages before the fault have been delivered.
   *   The fault is final: every later call throws the same error.
   */
  decode(bytes: Buffer, start: number, end: number, sink: RangeSink): number;
  /** Bytes taken of a message not yet complete; 0 at a message boundary. At most messageBytes plus the layout's own overhead. */
  readonly residueBytes: number;
  /** Makes the message of a range that decode() delivered. @throws SessionError ERR_FRAMING where the bytes are no such message (JSON). */
  message(buffer: Buffer, start: number, end: number): Message;
}

export interface Encoder<Message> {
  /**
   * Appends one message. Checks everything before the first byte is written. The bytes depend on the message alone: a broadcast is encoded
   * once for all its sessions.
   * @throws SessionError ERR_INVALID_MESSAGE or ERR_MESSAGE_TOO_LARGE (blame caller); then nothing was written.
   */
  encode(message: Message, out: ByteWriter): void;
}

/** Where encoders write. Bytes become part of the stream in the order of the calls. */
export interface ByteWriter {
  /** Current block; write at `position` after reserve(), then move `position` forward. Changes with every call below. */
  readonly buffer: Buffer;
  position: number;
  /** Makes sure that `bytes` (at most MAX_RESERVE) can be written at `position` in one piece. */
  reserve(bytes: number): void;
  /** Appends one byte. */
  byte(value: number): void;
  /** Appends a copy of source[start, end). */
  copy(source: Uint8Array, start: number, end: number): void;
  /** Appends a whole payload that is sent as it is: a copy, or a reference where the caller lent it. */
  payload(source: Uint8Array): void;
  /** Appends text whose encoded length is known. */
  text(value: string, encoding: TextEncoding, byteLength: number): void;
}

export type TextEncoding = 'utf8' | 'latin1' | 'ascii' | 'utf16le';

/** The most that reserve() gives in one piece, in bytes. */
export const MAX_RESERVE = 2048;
