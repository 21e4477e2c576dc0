// Every TypeScript block of README.md and docs/*.md is compiled, and run as it stands: documentation that does not work fails here.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { inParallel, type Outcome, type Snippet, SnippetFolder, snippetsOf } from './support/snippets.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const pages = ['README.md', ...readdirSync(join(root, 'docs')).flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : []))];
const snippets = pages
  .filter((page) => existsSync(join(root, page)))
  .flatMap((page) => snippetsOf(page, readFileSync(join(root, page), 'utf8')));

/** Runs all that is to run, two at a time; a background snippet stays up while the next one of its page runs. */
async function runAll(folder: SnippetFolder, all: readonly Snippet[]): Promise<Map<Snippet, Outcome>> {
  const outcomes = new Map<Snippet, Outcome>();
  const single = async (snippet: Snippet): Promise<void> => {
    outcomes.set(snippet, await folder.run(snippet));
  };
  const tasks: (() => Promise<void>)[] = [];
  let server: Snippet | undefined;
  for (const snippet of all) {
    if (snippet.mode === 'background') server = snippet;
    if (snippet.mode !== 'run') continue;
    const background = server;
    server = undefined;
    if (background === undefined) tasks.push(() => single(snippet));
    else tasks.push(async () => void outcomes.set(background, await folder.runBeside(background, () => single(snippet))));
  }
  await inParallel(2, tasks);
  return outcomes;
}

/** Empty when a snippet did what it should: a program ends with 0, a server runs until it is stopped. */
function failureOf(snippet: Snippet, outcome: Outcome | undefined): string {
  if (outcome === undefined) return snippet.mode === 'background' ? 'no block of the page runs beside it' : 'its server did not start';
  if (snippet.mode === 'background' && outcome.signal === 'SIGTERM') return '';
  return outcome.exitCode === 0 ? '' : `exit ${outcome.exitCode ?? outcome.signal}\n${outcome.output}`;
}

describe('documentation', function () {
  this.timeout(120_000);
  let folder: SnippetFolder;
  let outcomes: Map<Snippet, Outcome>;
  let typeErrors = '';
  const live = snippets.filter((snippet) => snippet.mode !== 'ignore');

  before(async () => {
    folder = await SnippetFolder.write(live);
    typeErrors = live.length === 0 ? '' : await folder.check();
    outcomes = await runAll(folder, live);
  });
  after(async () => {
    await folder[Symbol.asyncDispose]();
  });

  it('type-checks as a whole', () => {
    expect(typeErrors).to.equal('');
  });
  for (const snippet of live.filter(({ mode }) => mode !== 'check')) {
    it(`${snippet.page}:${snippet.line} ${snippet.mode === 'run' ? 'runs' : 'serves'}`, () => {
      expect(failureOf(snippet, outcomes.get(snippet))).to.equal('');
    });
  }
});

describe('documentation test', function () {
  this.timeout(60_000);
  const fenced = (words: string, code: string): string => `Text.\n\n\`\`\`${words}\n${code}\n\`\`\`\n\n`;

  it('finds the blocks and what they are', () => {
    const page = `${fenced('ts', 'a();')}${fenced('sh', 'npm ci')}${fenced('ts check', 'b();')}${fenced('ts ignore: needs Redis', 'c();')}`;
    expect(snippetsOf('x.md', page).map(({ line, mode, reason, code }) => [line, mode, reason, code])).to.deep.equal([
      [3, 'run', '', 'a();\n'],
      [15, 'check', '', 'b();\n'],
      [21, 'ignore', 'needs Redis', 'c();\n'],
    ]);
    expect(snippetsOf('x.md', '1. Item\n   ```ts\n   a();\n   ```\n')[0]?.code).to.equal('a();\n');
    for (const words of ['ts ignore', 'ts ignore:', 'ts nonsense'])
      expect(() => snippetsOf('x.md', fenced(words, 'a();'))).to.throw('x.md:3');
  });

  it('finds type errors, failing programs and servers without a client', async () => {
    const page = [
      fenced('ts', "const a: number = 'text';"),
      fenced('ts', 'process.exitCode = 3;'),
      fenced('ts background', "import { createServer } from 'node:http';\ncreateServer().listen(0, () => console.log('up'));"),
      fenced('ts', "console.log('beside');"),
      fenced('ts background', "throw new Error('no server');"),
      fenced('ts', "console.log('beside nothing');"),
      fenced('ts background', 'setInterval(() => {}, 1000);'),
    ].join('');
    const doctored = snippetsOf('x.md', page);
    await using folder = await SnippetFolder.write(doctored);
    expect(await folder.check()).to.match(/^\S*x-md-line-3.ts\(1,7\): error TS2322[^\n]*\n$/);
    const outcomes = await runAll(folder, doctored);
    const failures = doctored.map((snippet) => failureOf(snippet, outcomes.get(snippet)).split('\n')[0]);
    expect(failures).to.deep.equal(['', 'exit 3', '', '', 'exit 1', 'its server did not start', 'no block of the page runs beside it']);
  });
});
