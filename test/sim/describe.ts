// Flights and frames as lines of text, for the trace of one seed: bytes of one direction of a circuit go in, in any pieces.

import { decodeFlight, flightLength } from '../../lib/core/handshake.ts';
import { FRAME_HEADER_BYTES, Frame, MAGIC, readU16, readU64 } from '../../lib/core/wire.ts';

const FRAME_NAMES: Readonly<Record<number, string>> = Object.fromEntries(Object.entries(Frame).map(([name, type]) => [type, name]));
const FLIGHT_NAMES: Readonly<Record<number, string>> = {
  1: 'OPEN',
  2: 'RESUME',
  129: 'OPENED',
  130: 'RESUMED',
  131: 'CHALLENGE',
  143: 'REJECTED',
};

export class Describer {
  readonly #line: (text: string) => void;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(line: (text: string) => void) {
    this.#line = line;
  }

  push(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    for (;;) {
      const taken = this.#bytes[0] === MAGIC[0] ? this.#flight() : this.#frame();
      if (taken === 0) return;
      this.#bytes = this.#bytes.subarray(taken);
    }
  }

  #flight(): number {
    let total: number;
    try {
      total = flightLength(this.#bytes, this.#bytes.length);
      if (total === 0 || this.#bytes.length < total) return 0;
      this.#line(describeFlight(this.#bytes.subarray(0, total)));
    } catch (error) {
      this.#line(`no flight: ${String(error)}`);
      return this.#bytes.length;
    }
    return total;
  }

  #frame(): number {
    const bytes = this.#bytes;
    if (bytes.length < FRAME_HEADER_BYTES) return 0;
    const end = FRAME_HEADER_BYTES + bytes.readUIntBE(1, 3);
    if (bytes.length < end) return 0;
    this.#line(describeFrame(bytes.subarray(0, end)));
    return end;
  }
}

function describeFlight(bytes: Buffer): string {
  const flight = decodeFlight(Buffer.from(bytes));
  const parts: string[] = [FLIGHT_NAMES[flight.kind] ?? `flight ${flight.kind}`];
  if ('generation' in flight && flight.generation !== undefined) parts.push(`generation ${flight.generation}`);
  if ('instance' in flight) parts.push(`instance ${flight.instance}`);
  if ('code' in flight) parts.push(`code ${flight.code}${flight.cause === undefined ? '' : ` cause ${flight.cause}`}`);
  if ('positions' in flight && flight.positions !== undefined) {
    const { received, acked, limit, base, sent } = flight.positions;
    parts.push(`received ${received} acked ${acked} limit ${limit} base ${base} sent ${sent}`);
  }
  if ('mac' in flight && flight.mac !== undefined) parts.push('mac');
  return parts.join(' ');
}

function describeFrame(frame: Buffer): string {
  const type = frame[0] as number;
  const name = FRAME_NAMES[type] ?? `frame ${type}`;
  const at = FRAME_HEADER_BYTES;
  if (type === Frame.DATA) return `${name} ${readU64(frame, at)}..${readU64(frame, at) + frame.length - at - 8}`;
  if (type === Frame.ACK) return `${name} ${readU64(frame, at)} limit ${readU64(frame, at + 8)}`;
  if (type === Frame.END || type === Frame.SYNC || type === Frame.SUPERSEDED) return `${name} ${readU64(frame, at)}`;
  if (type === Frame.CLOSE) return `${name} ${readU16(frame, at)}`;
  return name;
}
