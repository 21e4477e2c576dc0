// The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): the first bytes of a connection go in, who really connected comes
// out. Only parsing: whom to believe is decided in proxy-gate.ts.
import { isIP } from 'node:net';

/** Who connected to the proxy. */
export interface ProxiedSource {
  readonly address: string;
  readonly port: number;
}

export interface ProxyHeader {
  /** undefined: the proxy speaks for itself (a health check), or does not know. The connection's own address counts. */
  readonly source: ProxiedSource | undefined;
  /** Length of the header; the connection's own bytes begin behind it. */
  readonly bytes: number;
}

/** A header is not longer than this; version 2 leaves room for TLVs of no interest here. */
const PROXY_HEADER_MOST_BYTES = 4096;

/** @returns 'more' while the header is not complete, 'bad' as soon as it can be none. */
export function parseProxyHeader(bytes: Buffer): ProxyHeader | 'more' | 'bad' {
  const version = startsLike(bytes, SIGNATURE_2) ? 2 : startsLike(bytes, SIGNATURE_1) ? 1 : 0;
  if (version === 0) return 'bad';
  return version === 2 ? parseBinary(bytes) : parseText(bytes);
}

const SIGNATURE_1: Buffer = Buffer.from('PROXY ');
const SIGNATURE_2: Buffer = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
/** With CRLF (§2.1). */
const TEXT_MOST_BYTES = 107;
const BINARY_FIXED_BYTES = 16;
const LOW_HALF = 15;
/** Length of the address block by family (high four bits): IPv4, IPv6. Others, Unix sockets among them, name no address. */
const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [1, 4],
  [2, 16],
]);

function startsLike(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length);
  return bytes.subarray(0, length).equals(signature.subarray(0, length));
}

function parseText(bytes: Buffer): ProxyHeader | 'more' | 'bad' {
  const end = bytes.subarray(0, TEXT_MOST_BYTES).indexOf('\r\n');
  if (end < 0) return bytes.length < TEXT_MOST_BYTES ? 'more' : 'bad';
  const line = bytes.toString('latin1', 0, end);
  const length = end + 2;
  if (/^PROXY UNKNOWN( |$)/.test(line)) return { source: undefined, bytes: length };
  const match = /^PROXY TCP([46]) ([\da-fA-F:.]+) ([\da-fA-F:.]+) (\d{1,5}) (\d{1,5})$/.exec(line);
  if (match === null) return 'bad';
  const [, family, address, destination, ...ports] = match as unknown as [string, string, string, string, string, string];
  const [port, destinationPort] = ports.map(Number) as [number, number];
  if (isIP(address) !== Number(family) || isIP(destination) !== Number(family) || port > 0xffff || destinationPort > 0xffff) return 'bad';
  return { source: { address, port }, bytes: length };
}

function parseBinary(bytes: Buffer): ProxyHeader | 'more' | 'bad' {
  if (bytes.length < BINARY_FIXED_BYTES) return 'more';
  const command = bytes[12] as number;
  const family = (bytes[13] as number) >> 4;
  const transport = (bytes[13] as number) & LOW_HALF;
  const length = BINARY_FIXED_BYTES + bytes.readUInt16BE(14);
  if (command >> 4 !== 2 || (command & LOW_HALF) > 1 || family > 3 || transport > 2 || length > PROXY_HEADER_MOST_BYTES) return 'bad';
  if (bytes.length < length) return 'more';
  const size = ADDRESS_BYTES.get(family);
  // LOCAL: whatever stands in the address block is ignored (§2.2).
  if ((command & LOW_HALF) === 0 || size === undefined) return { source: undefined, bytes: length };
  if (length < BINARY_FIXED_BYTES + 2 * size + 4) return 'bad';
  const address = addressOf(bytes.subarray(BINARY_FIXED_BYTES, BINARY_FIXED_BYTES + size));
  return { source: { address, port: bytes.readUInt16BE(BINARY_FIXED_BYTES + 2 * size) }, bytes: length };
}

/** As Node writes them: IPv6 by RFC 5952, so that one address has one name. */
function addressOf(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
