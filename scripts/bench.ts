// npm run bench [-- --quick …]: builds the library and the benchmarks, installs the peers (bench/package.json, not a dependency of ours),
// and runs bench/main.ts with the arguments given. Only compiled code is measured.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const args = process.argv.slice(2);

step('npm', ['run', '--silent', 'build']);
// Some peers are native and come prebuilt; no script of any is run.
step('npm', ['ci', '--prefix', 'bench', '--ignore-scripts', '--no-audit', '--no-fund', '--silent']);
step('npx', ['tsc', '-p', 'bench']);
process.exitCode = run(process.execPath, ['bench/dist/main.js', ...args]);

function step(name: string, words: readonly string[]): void {
  process.stderr.write(`${name} ${words.join(' ')}\n`);
  const status = run(name, words);
  if (status !== 0) process.exit(status);
}

function run(name: string, words: readonly string[]): number {
  return spawnSync(name, words, { cwd: root, stdio: 'inherit' }).status ?? 1;
}
