// Where and with what it was measured.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { apart } from '../cores.ts';
import type { PeerInfo } from '../peer.ts';

export interface Machine {
  readonly date: string;
  readonly node: string;
  readonly cpu: string;
  readonly kernel: string;
  readonly memoryGiB: number;
  readonly commit: string;
  /** Server and client had a processor each. */
  readonly apart: boolean;
  readonly versions: Readonly<Record<string, string>>;
}

export function machine(peers: readonly PeerInfo[]): Machine {
  const names = [...new Set(peers.flatMap(({ packages }) => packages))];
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    cpu: `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    kernel: release(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    commit: commit(),
    apart,
    versions: Object.fromEntries(names.map((name) => [name, versionOf(name)])),
  };
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}

function versionOf(name: string): string {
  try {
    const path = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
    return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
  } catch {
    return 'not installed';
  }
}
