// FlightReader: chunks of a fresh circuit in, one whole handshake flight out. Holds no more than the largest flight.
import { flightLength } from './core/handshake.ts';
import { FLIGHT_HEADER_BYTES, FlightAt, Kind, MAX_FLIGHT_BODY_BYTES, readU16, SESSION_ID_BYTES } from './core/wire.ts';

export class FlightReader {
  #bytes: Buffer = EMPTY;
  #length = 0;
  // A whole header has come, and the bytes still begin with it.
  #headed = false;

  /** How far into the last chunk the flight reached: what stands behind it is not the handshake's. */
  end = 0;

  /** Session id that a refusal repeats: that of a RESUME, as soon as its header is there; else zero. */
  get resumed(): Buffer {
    const id = Buffer.alloc(SESSION_ID_BYTES);
    if (this.#headed && this.#bytes[FlightAt.KIND] === Kind.RESUME) this.#bytes.copy(id, 0, FlightAt.SESSION_ID);
    return id;
  }

  /**
   * Adds chunk[at, end). @returns the flight once it is whole, else null.
   * @throws SessionError ERR_NOT_OUR_PROTOCOL, ERR_VERSION or ERR_PROTOCOL as soon as the bytes tell.
   */
  push(chunk: Buffer, at: number): Buffer | null {
    let from = at;
    if (this.#length === 0) {
      // Who has the flight before this one keeps it.
      this.#bytes = EMPTY;
      from += this.#begin(chunk, at);
    }
    for (;;) {
      const total = flightLength(this.#bytes, this.#length);
      if (total > 0 && this.#length === total) return this.#take(from);
      if (from === chunk.length) return null;
      // First the header and then exactly the rest, so that nothing behind the flight is taken.
      const wanted = total === 0 ? FLIGHT_HEADER_BYTES : total;
      const bytes = Math.min(wanted - this.#length, chunk.length - from);
      this.#room(this.#length + bytes);
      chunk.copy(this.#bytes, this.#length, from, from + bytes);
      this.#length += bytes;
      this.#headed = this.#length >= FLIGHT_HEADER_BYTES;
      from += bytes;
    }
  }

  /** Takes all of a flight that lies whole in the chunk, as nearly all do: it need not be gathered. @returns its length */
  #begin(chunk: Buffer, at: number): number {
    const length = wholeLength(chunk, at);
    if (length === 0) return 0;
    this.#bytes = Buffer.allocUnsafe(length);
    chunk.copy(this.#bytes, 0, at, at + length);
    this.#length = length;
    this.#headed = true;
    return length;
  }

  #take(end: number): Buffer {
    const flight = this.#bytes.length === this.#length ? this.#bytes : this.#bytes.subarray(0, this.#length);
    this.end = end;
    this.#length = 0;
    return flight;
  }

  /** Grows by doubling with what has arrived, never by what a length field promises. */
  #room(bytes: number): void {
    if (bytes <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.min(FLIGHT_HEADER_BYTES + MAX_FLIGHT_BODY_BYTES, Math.max(256, bytes, this.#bytes.length * 2)));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

/** As the header at chunk[at] says; 0 where not all of it is there, or it says what no header may. */
function wholeLength(chunk: Buffer, at: number): number {
  if (chunk.length - at < FLIGHT_HEADER_BYTES) return 0;
  const body = readU16(chunk, at + FlightAt.BODY_LENGTH);
  const whole = FLIGHT_HEADER_BYTES + body;
  return body > MAX_FLIGHT_BODY_BYTES || whole > chunk.length - at ? 0 : whole;
}

const EMPTY = Buffer.alloc(0);
