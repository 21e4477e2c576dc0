// What the documentation says of the code, where it can be compared: the state diagram with the table, links with files, and names of
// functions with the source.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { coreInputs, coreStates, next } from '../lib/core/state.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const markdown = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).flatMap((name) =>
    name.endsWith('.md') ? [join(folder, name)] : [],
  );
const pages = [...readdirSync(root).filter((name) => name.endsWith('.md')), ...markdown('docs')];

/** `from input to`, one for each arrow. */
function arrowsOf(page: string): string[] {
  return [...page.matchAll(/^ {2}(\w+) --> (\w+): (\w+)$/gm)].map(([, from, to, input]) => `${from} ${input} ${to}`);
}

/** Links to files and headings of this repository that lead nowhere. */
function brokenLinks(path: string, page: string, text: (path: string) => string | undefined): string[] {
  const prose = page.replaceAll(/```[\s\S]*?```/g, '');
  return [...prose.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].flatMap(([, file, heading]) => {
    const target = file === '' ? path : join(dirname(path), file as string);
    const found = text(target);
    if (found === undefined) return [`${path}: ${target}`];
    if (heading === undefined || headingsOf(found).includes(heading)) return [];
    return [`${path}: ${target}#${heading}`];
  });
}

/** As GitHub names them. */
function headingsOf(page: string): string[] {
  return [...page.matchAll(/^#+ (.*)$/gm)].map((match) =>
    (match[1] as string)
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

describe('documentation and code', () => {
  it('draws the states as the table has them', () => {
    const arrows = coreStates.flatMap((state) =>
      coreInputs.flatMap((input) => {
        const to = next(state, input);
        return to === undefined ? [] : [`${state} ${input} ${to}`];
      }),
    );
    expect(arrowsOf(read('docs/architecture.md'))).to.have.members(arrows);
  });

  it('walks through functions that exist', () => {
    const source = sourceOf('lib');
    const walk = read('docs/architecture.md').split('## One read, up')[1]?.split('## States')[0] ?? '';
    const names = [...walk.matchAll(/`(?:(\w+)\.)?(#?\w+)(?:\([^)]*\))?`/g)].map(([, owner, name]) => [owner, name] as const);
    expect(names.length).to.be.above(25);
    const unknown = names.filter(
      ([owner, name]) =>
        !new RegExp(`(?<![\\w#])${name}\\b`).test(source) ||
        (owner !== undefined && !/^(socket)$/.test(owner) && !source.includes(` ${owner}`)),
    );
    expect(unknown).to.deep.equal([]);
  });

  it('links to files and headings that are there', () => {
    const text = (path: string): string | undefined => {
      if (!existsSync(join(root, path))) return undefined;
      return path.endsWith('.md') ? read(path) : '';
    };
    expect(pages.flatMap((path) => brokenLinks(path, read(path), text))).to.deep.equal([]);
    const doctored = 'a [x](gone.md) [y](#two) [z](b.md#Three) [w](https://example.org/gone) [v](b.md#three-3)\n## One\n';
    const found = brokenLinks('a.md', doctored, (path) => ({ 'a.md': doctored, 'b.md': '# Three (3)\n' })[path]);
    expect(found).to.deep.equal(['a.md: gone.md', 'a.md: a.md#two', 'a.md: b.md#Three']);
  });
});

/** All of the library's source in one string. */
function sourceOf(folder: string): string {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => read(join(folder, name)))
    .join('\n');
}
