// `npm run test:interop`: the tests against real programs, test/interop/*.interop.ts. test/interop/packages.txt names the Debian packages
// that they need, one a line; what is missing is installed first (as root, or with sudo). Not part of `npm test`.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'test/interop');

const files = readdirSync(folder).filter((name) => name.endsWith('.interop.ts'));
installMissing();
const mocha = join(root, 'node_modules/mocha/bin/mocha.js');
process.exitCode = run(process.execPath, [mocha, '--timeout', '60000', ...files.map((name) => join(folder, name))]);

function installMissing(): void {
  const list = join(folder, 'packages.txt');
  const wanted = existsSync(list) ? readFileSync(list, 'utf8').split(/\s+/).filter(Boolean) : [];
  const missing = wanted.filter((name) => spawnSync('dpkg', ['-s', name], { stdio: 'ignore' }).status !== 0);
  if (missing.length === 0) return;
  process.stdout.write(`installing ${missing.join(' ')}\n`);
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo'];
  for (const command of [
    ['apt-get', 'update', '-qq'],
    ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...missing],
  ]) {
    const [name, ...args] = [...asRoot, 'env', 'DEBIAN_FRONTEND=noninteractive', ...command] as [string, ...string[]];
    if (run(name, args) !== 0) throw new Error(`'${command.join(' ')}' failed`);
  }
}

function run(name: string, args: readonly string[]): number {
  return spawnSync(name, args, { cwd: root, stdio: 'inherit' }).status ?? 1;
}
