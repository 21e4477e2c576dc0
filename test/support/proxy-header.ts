// PROXY headers as proxies write them, also bad ones: addresses in, bytes out.

import { isIP } from 'node:net';

export interface HeaderFields {
  readonly version?: number;
  /** 0 LOCAL, 1 PROXY. */
  readonly command?: number;
  readonly family?: number;
  readonly transport?: number;
  /** TLVs, or anything. */
  readonly behind?: Uint8Array;
}

/** Version 2; the address's own family unless told otherwise, no address block without an address. */
export function proxyHeader2(address: string, port: number, fields: HeaderFields = {}): Buffer {
  const { version = 2, command = 1, transport = 1, behind = Buffer.alloc(0) } = fields;
  const kind = isIP(address);
  const family = fields.family ?? (kind === 4 ? 1 : kind === 6 ? 2 : 0);
  const block = kind === 0 ? Buffer.alloc(0) : Buffer.concat([bytesOf(address), bytesOf(address), Buffer.alloc(4)]);
  if (kind !== 0) block.writeUInt16BE(port, block.length - 4);
  const head = Buffer.from('0d0a0d0a000d0a515549540a00000000', 'hex');
  head[12] = (version << 4) | command;
  head[13] = (family << 4) | (family === 0 ? 0 : transport);
  head.writeUInt16BE(block.length + behind.length, 14);
  return Buffer.concat([head, block, behind]);
}

function bytesOf(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const hex = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [before = '', behind] = hex.split('::');
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const right = groups(behind ?? '');
  const left = groups(before);
  const middle = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return Buffer.from([...left, ...middle, ...right].map((group) => group.padStart(4, '0')).join(''), 'hex');
}
