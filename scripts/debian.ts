// Debian packages that scripts need: names in, installed packages out, as root or with sudo.

import { spawnSync } from 'node:child_process';

/** Installs what is missing. @throws where that fails */
export function installMissing(packages: readonly string[]): void {
  const missing = packages.filter((name) => spawnSync('dpkg', ['-s', name], { stdio: 'ignore' }).status !== 0);
  if (missing.length === 0) return;
  process.stdout.write(`installing ${missing.join(' ')}\n`);
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo'];
  for (const command of [
    ['apt-get', 'update', '-qq'],
    ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...missing],
  ]) {
    const [name, ...args] = [...asRoot, 'env', 'DEBIAN_FRONTEND=noninteractive', ...command] as [string, ...string[]];
    if (spawnSync(name, args, { stdio: 'inherit' }).status !== 0)
      throw new Error(`'${command.join(' ')}' failed; install ${missing.join(', ')} first`);
  }
}
