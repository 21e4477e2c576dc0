// Finds flights and frames in the bytes of one direction of a circuit, which come in any pieces.

import { flightLength } from '../../lib/core/handshake.ts';
import { DATA_HEADER_BYTES, FLIGHT_HEADER_BYTES, FlightAt, FRAME_HEADER_BYTES, Frame, MAGIC } from '../../lib/core/wire.ts';

export interface Unit {
  readonly flight: boolean;
  /** Kind of the flight, or type of the frame. */
  readonly type: number;
  /** Where it begins in this direction, and its length, in bytes. */
  readonly start: number;
  readonly length: number;
  /** The whole of it; of DATA the header with its offset. */
  readonly bytes: Buffer;
}

export class Scanner {
  readonly #found: (unit: Unit) => void;
  #bytes: Buffer = EMPTY;
  #start = 0;
  // Of a DATA body that is still to come.
  #skip = 0;
  #lost = false;

  /** @param found told of each flight and of each frame when it is whole; of DATA when its header is */
  constructor(found: (unit: Unit) => void) {
    this.#found = found;
  }

  push(piece: Buffer): void {
    if (this.#lost) return;
    const skipped = Math.min(this.#skip, piece.length);
    this.#skip -= skipped;
    const rest = piece.subarray(skipped);
    this.#bytes = this.#bytes.length === 0 ? rest : Buffer.concat([this.#bytes, rest]);
    while (this.#bytes.length > 0 && this.#next());
    // The writer may use its memory again.
    if (this.#bytes.length > 0) this.#bytes = Buffer.from(this.#bytes);
  }

  #next(): boolean {
    const bytes = this.#bytes;
    const flight = bytes[0] === MAGIC[0];
    const length = flight ? this.#flightBytes() : bytes.length < FRAME_HEADER_BYTES ? 0 : FRAME_HEADER_BYTES + bytes.readUIntBE(1, 3);
    const type = bytes[flight ? FlightAt.KIND : 0] as number;
    const need = !flight && type === Frame.DATA ? DATA_HEADER_BYTES : length;
    if (length === 0 || bytes.length < need) return false;
    const taken = Math.min(length, bytes.length);
    this.#skip = length - taken;
    this.#bytes = bytes.subarray(taken);
    const start = this.#start;
    this.#start += length;
    this.#found({ flight, type, start, length, bytes: Buffer.from(bytes.subarray(0, need)) });
    return true;
  }

  /** @returns 0 while it cannot be told */
  #flightBytes(): number {
    if (this.#bytes.length < FLIGHT_HEADER_BYTES) return 0;
    try {
      return flightLength(this.#bytes, this.#bytes.length);
    } catch {
      // Another protocol. Nothing can be told of what follows.
      this.#lost = true;
      return 0;
    }
  }
}

const EMPTY = Buffer.alloc(0);
