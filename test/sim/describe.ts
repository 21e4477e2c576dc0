// Flights and frames as lines of text, for the trace of one seed.

import { decodeFlight } from '../../lib/core/handshake.ts';
import { DATA_HEADER_BYTES, FRAME_HEADER_BYTES, Frame, Kind, readU16, readU64 } from '../../lib/core/wire.ts';
import type { Unit } from './scanner.ts';

const FRAME_NAMES: Readonly<Record<number, string>> = Object.fromEntries(Object.entries(Frame).map(([name, type]) => [type, name]));
const FLIGHT_NAMES: Readonly<Record<number, string>> = Object.fromEntries(Object.entries(Kind).map(([name, kind]) => [kind, name]));

export function describeUnit(unit: Unit): string {
  return unit.flight ? describeFlight(unit.bytes) : describeFrame(unit);
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

function describeFrame({ type, bytes, length }: Unit): string {
  const name = FRAME_NAMES[type] ?? `frame ${type}`;
  const at = FRAME_HEADER_BYTES;
  if (type === Frame.DATA) return `${name} ${readU64(bytes, at)}..${readU64(bytes, at) + length - DATA_HEADER_BYTES}`;
  if (type === Frame.ACK) return `${name} ${readU64(bytes, at)} limit ${readU64(bytes, at + 8)}`;
  if (type === Frame.END || type === Frame.SYNC || type === Frame.SUPERSEDED) return `${name} ${readU64(bytes, at)}`;
  if (type === Frame.CLOSE) return `${name} ${readU16(bytes, at)}`;
  return name;
}
