// `npm run canaries:durable [-- NAME…]`: builds each planted bug of durable.ts and tickets.ts into a copy of lib, and runs the simulator of
// durable sessions on it, with and without a store, until a seed fails. A bug that survives SEEDS_MOST seeds fails the job.

import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Canary } from './canaries.ts';
import { detachCanaries } from './detach.ts';
import { durableCanaries } from './durable.ts';
import { plant } from './plant.ts';
import { ticketCanaries } from './tickets.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const SEEDS_MOST = 2_000;

/** @returns the first failure, or undefined where it survived */
function judge(canary: Canary, world: readonly string[]): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'outlast-canary-'));
  try {
    for (const part of ['lib', 'test/sim', 'test/support/faulty-store.ts', 'package.json'])
      cpSync(join(root, part), join(folder, part), { recursive: true });
    for (const [file, source] of plant(canary, (file) => readFileSync(join(root, file), 'utf8'))) writeFileSync(join(folder, file), source);
    const argv = ['--import', 'tsx', join(folder, 'test/sim/durable/run.ts'), '1', String(SEEDS_MOST), 'first', ...world];
    const { stdout, status } = spawnSync(process.execPath, argv, { cwd: root, encoding: 'utf8', timeout: 300_000 });
    return status === 0 ? undefined : stdout.trim().split('\n').slice(0, 2).join(' ').replaceAll(/\s+/g, ' ');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const wanted = process.argv.slice(2);
const all = [
  ...durableCanaries.map((canary) => ({ canary, world: [] })),
  ...ticketCanaries.map((canary) => ({ canary, world: ['tickets'] })),
  ...detachCanaries.map((canary) => ({ canary, world: ['detach'] })),
];
const chosen = all.filter(({ canary }) => wanted.length === 0 || wanted.includes(canary.name));
let survivors = 0;
for (const { canary, world } of chosen) {
  const failure = judge(canary, world);
  if (failure === undefined) survivors++;
  console.log(`${canary.name.padEnd(34)} ${(failure ?? 'SURVIVED').slice(0, 150)}`);
}
console.log(`${chosen.length - survivors} passed, ${survivors} failed`);
process.exitCode = chosen.length > 0 && survivors === 0 ? 0 : 1;
