// The TypeScript blocks of Markdown pages as programs: extracted, type-checked together, run one process each.
// The words behind ```ts say what a block is: nothing = it runs and exits 0; `check` = it is only type-checked; `background` = it is a
// server, which runs until the next block of its page has ended; `ignore: reason` = it is neither checked nor run.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export type SnippetMode = 'run' | 'check' | 'background' | 'ignore';

export interface Snippet {
  readonly page: string;
  /** Line of the opening fence. */
  readonly line: number;
  readonly mode: SnippetMode;
  /** Why it is ignored; empty otherwise. */
  readonly reason: string;
  readonly code: string;
}

export interface Outcome {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Standard output and error, in order of arrival. */
  readonly output: string;
}

const root: string = fileURLToPath(new URL('../..', import.meta.url));
const RUN_MS = 20_000;

/** All ```ts blocks of a page. Throws where the words behind ```ts are not understood. */
export function snippetsOf(page: string, markdown: string): Snippet[] {
  const found: Snippet[] = [];
  for (const match of markdown.matchAll(/^( *)```(ts|typescript)\b *(.*)\n([\s\S]*?)^\1```$/gm)) {
    const [, indent, , words, body] = match as unknown as [string, string, string, string, string];
    const line = markdown.slice(0, match.index).split('\n').length;
    const mode = /^(check|background)?$/.exec(words.trim()) === null ? 'ignore' : ((words.trim() || 'run') as SnippetMode);
    const reason = /^ignore: *(\S.*)$/.exec(words.trim())?.[1] ?? '';
    if (mode === 'ignore' && reason === '') {
      throw new Error(`${page}:${line}: behind \`\`\`ts stands '${words}'; known are check, background and 'ignore: reason'`);
    }
    const code = body.replaceAll(new RegExp(`^${indent}`, 'gm'), '');
    found.push({ page, line, mode, reason, code });
  }
  return found;
}

/** A folder inside the repository, so that the package's own name and its dependencies resolve. */
export class SnippetFolder implements AsyncDisposable {
  readonly path: string;
  readonly #files: Map<Snippet, string> = new Map();

  private constructor(path: string) {
    this.path = path;
  }

  static async write(snippets: readonly Snippet[]): Promise<SnippetFolder> {
    await mkdir(join(root, '.tmp'), { recursive: true });
    const folder = new SnippetFolder(await mkdtemp(join(root, '.tmp', 'snippets-')));
    const config = {
      extends: '../../tsconfig.json',
      compilerOptions: { noUnusedLocals: false, isolatedDeclarations: false },
      include: ['*.ts'],
    };
    await writeFile(join(folder.path, 'tsconfig.json'), JSON.stringify(config));
    for (const snippet of snippets) {
      const name = `${snippet.page.replaceAll(/\W/g, '-')}-line-${snippet.line}.ts`;
      folder.#files.set(snippet, name);
      await writeFile(join(folder.path, name), `${snippet.code}\nexport {};\n`);
    }
    return folder;
  }

  /** @returns what tsc has to say; empty when all is well. */
  async check(): Promise<string> {
    const { output } = await outcomeOf(
      start([join(root, 'node_modules/typescript/bin/tsc'), '-p', this.path, '--pretty', 'false']),
      RUN_MS,
    );
    return output;
  }

  /** Runs a snippet to its end. */
  async run(snippet: Snippet): Promise<Outcome> {
    return await outcomeOf(this.#start(snippet), RUN_MS);
  }

  /** Starts a server snippet, waits for its first line of output, gives `use` its turn, and stops it. @returns how it fared until then. */
  async runBeside(server: Snippet, use: () => Promise<void>): Promise<Outcome> {
    const child = this.#start(server);
    const ending = outcomeOf(child, 2 * RUN_MS);
    await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), ending]);
    if (child.exitCode !== null) return await ending;
    await use();
    child.kill('SIGTERM');
    return await ending;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }

  #start(snippet: Snippet): ChildProcess {
    return start(['--import', import.meta.resolve('tsx'), join(this.path, this.#files.get(snippet) as string)]);
  }
}

/** Runs tasks in order of the list, at most `width` at a time. */
export async function inParallel(width: number, tasks: readonly (() => Promise<void>)[]): Promise<void> {
  const queue = [...tasks];
  const worker = async (): Promise<void> => {
    for (let task = queue.shift(); task !== undefined; task = queue.shift()) await task();
  };
  await Promise.all(Array.from({ length: width }, worker));
}

function start(args: readonly string[]): ChildProcess {
  return spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
}

async function outcomeOf(child: ChildProcess, limitMs: number): Promise<Outcome> {
  const chunks: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => chunks.push(text));
  const timer = setTimeout(() => {
    chunks.push(`\nstopped: it did not end within ${limitMs} ms\n`);
    child.kill('SIGKILL');
  }, limitMs);
  const [exitCode, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  return { exitCode, signal, output: chunks.join('') };
}
