// Taste as rules (after TigerBeetle's tidy.zig). Files flow in as path and text, offences flow out. test/architecture.test.ts
// runs every rule over this repository, and over doctored files that must be found.

import { posix } from 'node:path';
import { functionsOf, importsOf, lineAt, strip } from './source-text.ts';

export interface Offence {
  readonly path: string;
  readonly line: number;
  readonly what: string;
}

/** Path from the root of the repository -> text. */
export type Tree = ReadonlyMap<string, string>;
export type Rule = (tree: Tree) => Offence[];

type Layer =
  | 'index'
  | 'testing entry'
  | 'testing'
  | 'errors'
  | 'core'
  | 'framing'
  | 'security'
  | 'stores'
  | 'tickets'
  | 'durable'
  | 'shell';

/** Which layers a layer may import, besides itself. Everything not said is forbidden. */
const MAY_IMPORT: Readonly<Record<Layer, readonly Layer[]>> = {
  index: ['shell', 'framing', 'security', 'stores', 'tickets', 'core', 'errors'],
  'testing entry': ['testing'],
  testing: ['errors'],
  shell: ['core', 'security', 'framing', 'stores', 'durable', 'errors'],
  durable: ['core', 'stores', 'errors'],
  core: ['framing', 'errors'],
  security: ['core', 'errors'],
  stores: ['errors'],
  tickets: ['security', 'errors'],
  framing: ['errors'],
  errors: [],
};

/** Of these layers only some files may be imported from other layers. */
const OPEN_FILES: Partial<Record<Layer, Partial<Record<Layer, readonly string[]>>>> = {
  // The seam alone: which framing a session has is the application's choice.
  core: { framing: ['lib/framing/framing.ts'] },
  // Stores are given, as framings are: the shells know the interface and none of them.
  shell: { framing: ['lib/framing/framing.ts'], stores: ['lib/stores/store.ts'] },
  durable: { stores: ['lib/stores/store.ts'] },
  tickets: { security: ['lib/security/secret.ts'] },
  security: { core: ['lib/core/wire.ts', 'lib/core/handshake.ts', 'lib/core/bucket.ts'] },
};

/** Optional peers: each is imported by the one file that nothing else of lib imports, so that who does not use it need not have it. */
const OPTIONAL_PEERS: Readonly<Record<string, string>> = { 'lib/jose.ts': 'jose', 'lib/stores/lmdb.ts': 'lmdb' };
/** The files that package.json exports under a name of their own. */
const ENTRIES = /^lib\/(framing\/[^/]+|stores\/[^/]+|tickets\/keyring|jose)\.ts$/;

/** The two ends of the library: only index.ts knows them. */
const TOPS: readonly string[] = ['lib/server.ts', 'lib/client.ts'];
const PURE: readonly Layer[] = ['core', 'framing'];
const MAY_RE_EXPORT: readonly string[] = ['lib/index.ts', 'lib/testing.ts'];

const BANNED_IN_PURE: readonly (readonly [RegExp, string])[] = [
  [/(?<![.\w$#])Date\b/g, 'Date: time comes in as `now`'],
  [/(?<![.\w$#])performance\b/g, 'performance: time comes in as `now`'],
  [/\b(setTimeout|setInterval|setImmediate|queueMicrotask)\b/g, 'timers belong to the shells'],
  [/\bMath\s*\.\s*random\b/g, 'Math.random: randomness comes in as an argument'],
  [/(?<![.\w$#])process\b/g, 'process belongs to the shells'],
  [/(?<![.\w$#])(crypto|globalThis)\b/g, 'the core takes nothing from the world but Buffer'],
  [/(?<![.\w$#])Promise\b/g, 'Promise: the core answers at once'],
  [/(?<![.\w$#])(async|await)\b/g, 'async and await: the core answers at once'],
];

const BANNED_IN_LIB: readonly (readonly [RegExp, string])[] = [
  [/(?<![.\w$#])console\b/g, 'console: use events, diagnostics_channel or NODE_DEBUG'],
  [/(?<![.\w$#])any\b/g, 'any: use unknown'],
  [/\bexport\s+default\b/g, 'default export: name it'],
  [/(?<![.\w$#])enum\s+\w/g, 'enum: use a const object and a union'],
  [/^[ \t]*(export\s+|declare\s+)*(namespace|module)\s+[\w.]+\s*\{/gm, 'namespace: use a file'],
  [/^[ \t]*@\w/gm, 'decorator'],
  [/^[ \t]*(static[ \t]+)?[gs]et[ \t]+#\w+/gm, 'private accessor: use a method, V8 calls its runtime for each use'],
];

const FILE_LINES = 400;
const CORE_FILE_LINES = 600;
const FUNCTION_LINES = 70;
const COLUMNS = 140;
/** A test's data may stand in long lines. */
const TEST_COLUMNS = 180;

/** Files that are longer than allowed, with their length. May only shrink: an entry that could be lower is an offence. */
export const FILE_RATCHET: Readonly<Record<string, number>> = {};

/** Imports run one way, reach files of this package or node: modules only, and form no cycle. */
export const importsRunOneWay: Rule = (tree) => {
  const offences: Offence[] = [];
  const graph = new Map<string, string[]>();
  for (const [path, source] of libFiles(tree)) {
    const targets: string[] = [];
    for (const { specifier, line } of importsOf(source)) {
      const target = specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : specifier;
      const what = forbidden(path, specifier, target, tree);
      if (what !== undefined) offences.push({ path, line, what });
      targets.push(target);
    }
    graph.set(path, targets);
  }
  return [...offences, ...cycles(graph)];
};

/** The command is made of the public API alone, so that whatever it can do its users can do too. Imports run one way: main, commands, the rest. */
export const commandUsesThePublicApi: Rule = (tree) => {
  const graph = new Map<string, string[]>();
  const offences: Offence[] = [];
  for (const [path, source] of [...tree].filter(([name]) => name.startsWith('bin/'))) {
    const targets: string[] = [];
    for (const { specifier, line } of importsOf(source)) {
      if (specifier.startsWith('node:')) continue;
      const target = posix.join(posix.dirname(path), specifier);
      targets.push(target);
      const open = MAY_RE_EXPORT.includes(target) || /^lib\/framing\/[^/]+\.ts$/.test(target);
      if (!specifier.startsWith('.')) offences.push({ path, line, what: `imports ${specifier}: the command has no dependencies` });
      else if (!target.startsWith('bin/') && !open) offences.push({ path, line, what: `imports ${target}: it is not public` });
      else if (target.startsWith('bin/commands/') && path !== 'bin/main.ts')
        offences.push({ path, line, what: `imports ${target}: only main.ts knows the commands` });
    }
    graph.set(path, targets);
  }
  return [...offences, ...cycles(graph)];
};

/** Only the two entries re-export; a barrel hides who uses what. */
export const noBarrels: Rule = (tree) =>
  libFiles(tree).flatMap(([path, source]) =>
    importsOf(source)
      .filter((found) => found.reExport && !MAY_RE_EXPORT.includes(path))
      .map(({ line }) => ({ path, line, what: 're-export: import it from where it is' })),
  );

/** The entries themselves hold no code. */
export const entriesOnlyReExport: Rule = (tree) =>
  MAY_RE_EXPORT.filter((path) => tree.has(path)).flatMap((path) => {
    const rest = strip(tree.get(path) as string).replace(/\bexport\s+(type\s+)?(\{[^}]*\}|\*)\s+from\s+(['"]) *\3;?/g, '');
    return rest.trim() === '' ? [] : [{ path, line: 1, what: `holds more than re-exports: ${rest.trim().slice(0, 60)}` }];
  });

/** Core and framing are pure. */
export const pureLayersStayPure: Rule = (tree) =>
  libFiles(tree)
    .filter(([path]) => PURE.includes(layerOf(path) as Layer))
    .flatMap(([path, source]) => banned(path, strip(source), BANNED_IN_PURE));

/** What no file of lib or bin may contain. */
export const noBannedWords: Rule = (tree) =>
  shippedFiles(tree).flatMap(([path, source]) => {
    const silenced = [...source.matchAll(/@ts-(ignore|nocheck|expect-error)/g)].map((match) => ({
      path,
      line: lineAt(source, match.index),
      what: `${match[0]}: repair the type`,
    }));
    return [...banned(path, strip(source), BANNED_IN_LIB), ...silenced];
  });

/** A one-byte hex number that stands in wire.ts has a name; elsewhere the name is used. 0x7f, 0x80 and 0xff are masks and DEL as well. */
export const wireNumbersInOneFile: Rule = (tree) => {
  const wire = 'lib/core/wire.ts';
  const numbers = new Set(hexBytes(strip(tree.get(wire) ?? '')).map((found) => found.value));
  for (const mask of [0x00, 0x7f, 0x80, 0xff]) numbers.delete(mask);
  return libFiles(tree)
    .filter(([path]) => path !== wire && ['core', 'security', 'shell'].includes(layerOf(path)))
    .flatMap(([path, source]) =>
      hexBytes(strip(source))
        .filter((found) => numbers.has(found.value))
        .map((found) => ({
          path,
          line: lineAt(source, found.index),
          what: `0x${found.value.toString(16)} is a wire number: use its name`,
        })),
    );
};

/** Files, functions and lines have a size. */
export function sizesStayWithin(ratchet: Readonly<Record<string, number>>): Rule {
  return (tree) => {
    const offences: Offence[] = [];
    for (const [path, source] of tree) {
      if (!path.endsWith('.ts')) continue;
      const lines = source.trimEnd().split('\n');
      const columns = path.startsWith('test/') ? TEST_COLUMNS : COLUMNS;
      lines.forEach((text, index) => {
        if (text.length > columns) offences.push({ path, line: index + 1, what: `${text.length} columns, ${columns} are allowed` });
      });
      if (!/^(lib|bin|examples|scripts|bench)\//.test(path)) continue;
      const most = ratchet[path] ?? (layerOf(path) === 'core' ? CORE_FILE_LINES : FILE_LINES);
      if (lines.length > most) offences.push({ path, line: 1, what: `${lines.length} lines, ${most} are allowed` });
      if (path in ratchet && lines.length < most)
        offences.push({ path, line: 1, what: `lower its ratchet from ${most} to ${lines.length}` });
      for (const { line, lines: length } of functionsOf(strip(source))) {
        if (length > FUNCTION_LINES) offences.push({ path, line, what: `function of ${length} lines, ${FUNCTION_LINES} are allowed` });
      }
    }
    for (const path of Object.keys(ratchet)) if (!tree.has(path)) offences.push({ path, line: 1, what: 'is gone: drop its ratchet' });
    return offences;
  };
}

/** A file begins with a sentence that says what it is. */
export const filesHaveHeaders: Rule = (tree) =>
  shippedFiles(tree)
    .filter(([, source]) => !/^(#!.*\n)?\/\/ \S.{20,}/.test(source))
    .map(([path]) => ({ path, line: 1, what: 'begins without a header comment' }));

/** Every file of lib can be reached from an entry of the package. */
export const noDeadFiles: Rule = (tree) => {
  const reached = new Set<string>();
  const visit = (path: string): void => {
    if (reached.has(path) || !tree.has(path)) return;
    reached.add(path);
    for (const { specifier } of importsOf(tree.get(path) as string)) {
      if (specifier.startsWith('.')) visit(posix.join(posix.dirname(path), specifier));
    }
  };
  for (const path of tree.keys()) {
    if (MAY_RE_EXPORT.includes(path) || ENTRIES.test(path) || path.startsWith('bin/')) visit(path);
  }
  return libFiles(tree)
    .filter(([path]) => !reached.has(path))
    .map(([path]) => ({ path, line: 1, what: 'nothing that the package exports uses this file' }));
};

/** Examples are written as users write: they import the package by name. */
export const examplesImportByName: Rule = (tree) =>
  [...tree]
    .filter(([path]) => path.startsWith('examples/') && path.endsWith('.ts'))
    .flatMap(([path, source]) =>
      importsOf(source)
        .filter(({ specifier }) => specifier.startsWith('.') && !posix.join(posix.dirname(path), specifier).startsWith('examples/'))
        .map(({ specifier, line }) => ({ path, line, what: `imports ${specifier}: import the package by name` })),
    );

/** Every error code has its paragraph, is raised somewhere in lib, and is provoked by a test. */
export function errorCodesAreTrue(codes: readonly string[]): Rule {
  return (tree) => {
    const docs = 'docs/errors.md';
    const headings = [...(tree.get(docs) ?? '').matchAll(/^#{2,4}\s+`?(ERR_\w+)`?/gm)].map((match) => match[1] as string);
    const texts = (folder: RegExp): string => [...tree].flatMap(([path, source]) => (folder.test(path) ? [source] : [])).join('\n');
    const lib = texts(/^lib\/(?!errors\.ts$)/);
    const tests = texts(/^test\/.*\.ts$/);
    const named = (text: string, code: string): boolean => new RegExp(`\\b${code}\\b`).test(text);
    const table = 'lib/errors.ts';
    return [
      ...codes.filter((code) => !headings.includes(code)).map((code) => ({ path: docs, line: 1, what: `${code} has no heading` })),
      ...headings.filter((code) => !codes.includes(code)).map((code) => ({ path: docs, line: 1, what: `${code} is no code of the table` })),
      ...codes.filter((code) => !named(lib, code)).map((code) => ({ path: table, line: 1, what: `nothing in lib raises ${code}` })),
      ...codes.filter((code) => !named(tests, code)).map((code) => ({ path: table, line: 1, what: `no test names ${code}` })),
    ];
  };
}

export function show(offences: readonly Offence[]): string {
  return offences.map(({ path, line, what }) => `${path}:${line} ${what}`).join('\n');
}

function libFiles(tree: Tree): [string, string][] {
  return [...tree].filter(([path]) => path.startsWith('lib/') && path.endsWith('.ts'));
}

function shippedFiles(tree: Tree): [string, string][] {
  return [...tree].filter(([path]) => /^(lib|bin)\/.*\.ts$/.test(path));
}

function layerOf(path: string): Layer {
  const folder = /^lib\/(\w+)\//.exec(path)?.[1];
  if (folder !== undefined) return folder as Layer;
  if (path === 'lib/index.ts') return 'index';
  if (path === 'lib/testing.ts') return 'testing entry';
  return path === 'lib/errors.ts' ? 'errors' : 'shell';
}

function forbidden(path: string, specifier: string, target: string, tree: Tree): string | undefined {
  const from = layerOf(path);
  if (specifier.startsWith('node:')) return PURE.includes(from) ? `${from} imports ${specifier}` : undefined;
  if (specifier === OPTIONAL_PEERS[path]) return undefined;
  if (target in OPTIONAL_PEERS) return `imports ${target}: who does not use it need not have ${OPTIONAL_PEERS[target]}`;
  if (!specifier.startsWith('.')) return `imports ${specifier}: lib has no dependencies`;
  if (!target.startsWith('lib/')) return `lib imports ${target}`;
  if (!tree.has(target)) return `imports ${target}, which is not there`;
  if (TOPS.includes(target) && path !== 'lib/index.ts') return `imports ${target}: only index.ts knows server and client`;
  const to = layerOf(target);
  if (to === 'index' || to === 'testing entry') return `imports ${target}: it is for users of the package`;
  if (to === from) return undefined;
  if (!(MAY_IMPORT[from] ?? []).includes(to)) return `${from} imports ${to} (${target})`;
  const open = OPEN_FILES[from]?.[to];
  return open === undefined || open.includes(target) ? undefined : `${from} imports ${target}: of ${to} only ${open.join(', ')}`;
}

/** One offence for every cycle found, at the first file of its path. */
function cycles(graph: ReadonlyMap<string, readonly string[]>): Offence[] {
  const offences: Offence[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) {
      offences.push({ path, line: 1, what: `import cycle: ${[...trail.slice(start), path].join(' -> ')}` });
      return;
    }
    if (done.has(path)) return;
    for (const target of graph.get(path) ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return offences;
}

function banned(path: string, code: string, words: readonly (readonly [RegExp, string])[]): Offence[] {
  return words.flatMap(([pattern, what]) => [...code.matchAll(pattern)].map((match) => ({ path, line: lineAt(code, match.index), what })));
}

function hexBytes(code: string): { value: number; index: number }[] {
  return [...code.matchAll(/\b0x([0-9a-fA-F]{1,2})\b/g)].map((match) => ({
    value: Number.parseInt(match[1] as string, 16),
    index: match.index,
  }));
}
