// Runs another program of the package as a process of its own: from its source where this command runs from source, else as it was built.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const fromSource = import.meta.url.endsWith('.ts');

/** @param name without its ending, from the root of the package. @returns whether it is there */
export function hasFile(name: string, packageFolder: URL): boolean {
  return existsSync(pathOf(name, packageFolder));
}

/** Its standard streams are ours. @returns its exit code */
export async function runFile(name: string, args: readonly string[], packageFolder: URL): Promise<number> {
  const loader = fromSource ? ['--import', import.meta.resolve('tsx')] : [];
  // From the root of the package: there its own name resolves, for tsx by tsconfig.json and for Node by package.json.
  const child = spawn(process.execPath, [...loader, pathOf(name, packageFolder), ...args], { stdio: 'inherit', cwd: packageFolder });
  const forward = (signal: NodeJS.Signals): boolean => child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, forward);
  const [code] = (await once(child, 'exit')) as [number | null];
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, forward);
  return code ?? 1;
}

function pathOf(name: string, packageFolder: URL): string {
  return fileURLToPath(new URL(fromSource ? `${name}.ts` : `dist/${name}.js`, packageFolder));
}
