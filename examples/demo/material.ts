// What the demo sends: a file, whole, as lines and as blocks of 64 KiB, over and over.

import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Material {
  readonly name: string;
  readonly bytes: Buffer;
}

const BLOCK_BYTES = 65_536;
const WANTED_BYTES = { min: 1024 * 1024, max: 8 * 1024 * 1024 };
const TEXT = /\.(js|cjs|mjs|ts|json|md|txt)$/;

/** The file at `path`; without one, the largest text of a few MiB under node_modules; where there is none, text made here. */
export async function findMaterial(path: string | undefined): Promise<Material> {
  const found = path ?? (await largestText(fileURLToPath(new URL('../../node_modules', import.meta.url))));
  if (found === undefined) return { name: 'made-for-the-purpose.txt', bytes: madeText() };
  const bytes = await readFile(found);
  if (bytes.length === 0) throw new Error(`${found} is empty`);
  return { name: found, bytes };
}

/** The lines with their LF taken off, for ever. Lines above a block's size go in pieces. */
export function* linesOf(bytes: Buffer): Generator<Buffer, never, void> {
  for (;;) {
    for (let at = 0; at < bytes.length; ) {
      const limit = Math.min(at + BLOCK_BYTES, bytes.length);
      const end = bytes.subarray(at, limit).indexOf(0x0a);
      yield bytes.subarray(at, end < 0 ? limit : at + end);
      at = end < 0 ? limit : at + end + 1;
    }
  }
}

export function* blocksOf(bytes: Buffer): Generator<Buffer, never, void> {
  for (;;) {
    for (let at = 0; at < bytes.length; at += BLOCK_BYTES) yield bytes.subarray(at, at + BLOCK_BYTES);
  }
}

async function largestText(folder: string): Promise<string | undefined> {
  let largest: string | undefined;
  let most = WANTED_BYTES.min;
  for (const name of await readdir(folder, { recursive: true }).catch(() => [])) {
    if (!TEXT.test(name)) continue;
    const path = join(folder, name);
    const { size } = await stat(path);
    if (size <= most || size > WANTED_BYTES.max) continue;
    most = size;
    largest = path;
  }
  return largest;
}

function madeText(): Buffer {
  const lines: string[] = [];
  for (let n = 0; n < 50_000; n++) lines.push(`line ${n}: ${'abcdefghijklmnopqrstuvwxyz'.slice(n % 26)} ${n * n}`);
  return Buffer.from(`${lines.join('\n')}\n`);
}
