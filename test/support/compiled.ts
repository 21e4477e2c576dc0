// Test processes as plain JavaScript: some of the repository's files and what they import, compiled into a folder of their own. A process
// that is killed and started hundreds of times starts three times as fast as through tsx.

import { spawnSync } from 'node:child_process';
import { copyFile, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

export class Compiled implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** @param files from the root of the repository, `test/sigkill/server.ts` */
  static async of(files: readonly string[]): Promise<Compiled> {
    const folder = await mkdtemp(join(tmpdir(), 'outlast-compiled-'));
    const out = { noEmit: false, declaration: false, isolatedDeclarations: false, rootDir: root, outDir: folder, paths: {} };
    const compilerOptions = { ...out, types: ['node'], typeRoots: [join(root, 'node_modules/@types')] };
    const config = { extends: join(root, 'tsconfig.json'), compilerOptions, files: files.map((file) => join(root, file)), include: [] };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
    await copyFile(join(root, 'package.json'), join(folder, 'package.json'));
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
    const { status, stdout } = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`tsc: ${stdout}`);
    return new Compiled(folder);
  }

  /** Where one of the files is now. */
  path(file: string): string {
    return join(this.#folder, file.replace(/\.ts$/, '.js'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true });
  }
}
