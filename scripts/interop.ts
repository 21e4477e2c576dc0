// `npm run test:interop`: the tests against real programs, test/interop/*.interop.ts. test/interop/packages.txt names the Debian packages
// that they need, one a line; what is missing is installed first (as root, or with sudo). Not part of `npm test`.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installMissing } from './debian.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'test/interop');

const files = readdirSync(folder).filter((name) => name.endsWith('.interop.ts'));
installMissing(wanted());
const mocha = join(root, 'node_modules/mocha/bin/mocha.js');
process.exitCode = run(process.execPath, [mocha, '--timeout', '60000', ...files.map((name) => join(folder, name))]);

function wanted(): string[] {
  const list = join(folder, 'packages.txt');
  return existsSync(list) ? readFileSync(list, 'utf8').split(/\s+/).filter(Boolean) : [];
}

function run(name: string, args: readonly string[]): number {
  return spawnSync(name, args, { cwd: root, stdio: 'inherit' }).status ?? 1;
}
