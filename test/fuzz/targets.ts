// All fuzz targets, in the order in which they run, and the inputs that were kept for each.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { FuzzTarget } from './target.ts';
import { acceptingTarget } from './targets/accepting.ts';
import { dialingTarget } from './targets/dialing.ts';
import { framesTarget } from './targets/frames.ts';
import { framingsTarget } from './targets/framings.ts';
import { telnetTarget } from './targets/telnet.ts';

export const targets: readonly FuzzTarget[] = [framesTarget, acceptingTarget, dialingTarget, framingsTarget, telnetTarget];

/** One input a line, in hex. */
export function readCorpus(target: FuzzTarget): Buffer[] {
  const lines = readFileSync(corpusFile(target), 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => Buffer.from(line, 'hex'));
}

/** Replaces what was kept, shortest first. */
export function writeCorpus(target: FuzzTarget, corpus: readonly Buffer[]): void {
  const lines = corpus.map((input) => input.toString('hex')).sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  writeFileSync(corpusFile(target), lines.map((line) => `${line}\n`).join(''));
}

function corpusFile({ name }: FuzzTarget): string {
  return fileURLToPath(new URL(`corpus/${name}.txt`, import.meta.url));
}
