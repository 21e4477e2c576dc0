// Taste is a test: the rules of docs and CONTRIBUTING.md that can be checked are checked here, over every file of the repository.
// The rules themselves are tested on doctored files, each of which must be found.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { sessionErrorCodes } from '../lib/errors.ts';
import { functionsOf, importsOf, strip } from './support/source-text.ts';
import * as tidy from './support/tidy.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

function read(folders: readonly string[]): Map<string, string> {
  const files = new Map<string, string>();
  for (const folder of folders.filter((name) => existsSync(join(root, name)))) {
    for (const entry of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      const path = join(folder, entry);
      if (/(^|\/)(node_modules|dist)\//.test(path)) continue;
      if (/\.(ts|md)$/.test(path)) files.set(path, readFileSync(join(root, path), 'utf8'));
    }
  }
  return files;
}

describe('architecture of this repository', () => {
  const tree = read(['lib', 'bin', 'test', 'examples', 'scripts', 'bench', 'docs']);
  const rules: readonly [string, tidy.Rule][] = [
    ['imports run one way and form no cycle', tidy.importsRunOneWay],
    ['the command uses the public API', tidy.commandUsesThePublicApi],
    ['there are no barrels', tidy.noBarrels],
    ['the entries only re-export', tidy.entriesOnlyReExport],
    ['core and framing are pure', tidy.pureLayersStayPure],
    ['lib and bin contain no banned word', tidy.noBannedWords],
    ['wire numbers stand in one file', tidy.wireNumbersInOneFile],
    ['files, functions and lines stay within their sizes', tidy.sizesStayWithin(tidy.FILE_RATCHET)],
    ['every file of lib and bin has a header', tidy.filesHaveHeaders],
    ['no file of lib is dead', tidy.noDeadFiles],
    ['examples import the package by name', tidy.examplesImportByName],
    ['every error code is documented, raised and tested', tidy.errorCodesAreTrue(sessionErrorCodes)],
  ];
  for (const [name, rule] of rules) {
    it(name, () => {
      expect(tidy.show(rule(tree))).to.equal('');
    });
  }
});

describe('architecture rules', () => {
  const header = '// A file for this test, which says what it is.\n';
  /** Checks that the rule finds one offence in the first file, with these words. */
  const finds = (rule: tidy.Rule, files: Readonly<Record<string, string>>, what: RegExp): void => {
    const offences = rule(new Map(Object.entries(files)));
    expect(tidy.show(offences)).to.match(what);
    expect(offences.length).to.equal(1);
    expect(offences[0]?.path).to.equal(Object.keys(files)[0]);
  };
  const passes = (rule: tidy.Rule, files: Readonly<Record<string, string>>): void => {
    expect(tidy.show(rule(new Map(Object.entries(files))))).to.equal('');
  };
  const errors = { 'lib/errors.ts': '' };

  it('find forbidden imports', () => {
    const rule = tidy.importsRunOneWay;
    finds(rule, { 'lib/core/a.ts': "import { b } from '../security/b.ts';", 'lib/security/b.ts': '' }, /core imports security/);
    finds(rule, { 'lib/core/a.ts': "import type { b } from '../session.ts';", 'lib/session.ts': '' }, /core imports shell/);
    finds(rule, { 'lib/core/a.ts': "import { Raw } from '../framing/raw.ts';", 'lib/framing/raw.ts': '' }, /of framing only/);
    finds(rule, { 'lib/framing/a.ts': "import { b } from '../core/wire.ts';", 'lib/core/wire.ts': '' }, /framing imports core/);
    finds(rule, { 'lib/security/a.ts': "import { b } from '../core/inbox.ts';", 'lib/core/inbox.ts': '' }, /of core only/);
    finds(rule, { 'lib/stores/a.ts': "import { b } from '../core/wire.ts';", 'lib/core/wire.ts': '' }, /stores imports core/);
    finds(rule, { 'lib/session.ts': "import { b } from './server.ts';", 'lib/server.ts': '' }, /only index.ts knows/);
    finds(rule, { 'lib/server.ts': "import { b } from './index.ts';", 'lib/index.ts': '' }, /for users/);
    finds(rule, { 'lib/server.ts': "import { b } from './testing/random.ts';", 'lib/testing/random.ts': '' }, /shell imports testing/);
    finds(rule, { 'lib/server.ts': "import { b } from '../test/b.ts';" }, /lib imports test/);
    finds(rule, { 'lib/server.ts': "import ws from 'ws';" }, /no dependencies/);
    finds(rule, { 'lib/stores/redis.ts': "import { open } from 'lmdb';" }, /no dependencies/);
    finds(rule, { 'lib/server.ts': "import { a } from './jose.ts';", 'lib/jose.ts': '' }, /need not have jose/);
    finds(rule, { 'lib/tickets/a.ts': "import { b } from '../security/keys.ts';", 'lib/security/keys.ts': '' }, /of security only/);
    finds(rule, { 'lib/core/a.ts': "import net from 'node:net';" }, /core imports node:net/);
    finds(rule, { 'lib/framing/a.ts': "const net = import('node:net');" }, /framing imports node:net/);
    finds(rule, { 'lib/core/a.ts': "export { b } from '../server.ts';", 'lib/server.ts': '' }, /only index.ts knows/);
    finds(rule, { 'lib/server.ts': "import { b } from './gone.ts';" }, /not there/);
    const cycle = { 'lib/core/a.ts': "import './b.ts';", 'lib/core/b.ts': "import './c.ts';", 'lib/core/c.ts': "import './a.ts';" };
    finds(rule, cycle, /cycle: lib\/core\/a.ts -> lib\/core\/b.ts -> lib\/core\/c.ts -> lib\/core\/a.ts/);
  });

  it('let allowed imports pass', () => {
    passes(tidy.importsRunOneWay, {
      ...errors,
      'lib/index.ts': "export { Server } from './server.ts';",
      'lib/server.ts':
        "import { createServer } from 'node:net';\nimport { Core } from './core/core.ts';\nimport { keys } from './security/keys.ts';",
      'lib/core/core.ts':
        "// import x from '../server.ts'\nimport { E } from '../errors.ts';\nimport type { F } from '../framing/framing.ts';",
      'lib/core/wire.ts': '',
      'lib/jose.ts': "import { jwtVerify } from 'jose';",
      'lib/framing/framing.ts': "import { E } from '../errors.ts';",
      'lib/security/keys.ts': "import { createHmac } from 'node:crypto';\nimport { MAC } from '../core/wire.ts';",
    });
  });

  it('find a command that reaches into lib, and commands that know each other', () => {
    const rule = tidy.commandUsesThePublicApi;
    finds(rule, { 'bin/main.ts': "import { a } from '../lib/client.ts';" }, /client.ts: it is not public/);
    finds(rule, { 'bin/main.ts': "import { a } from '../lib/framing/internal/checks.ts';" }, /not public/);
    finds(rule, { 'bin/main.ts': "import ws from 'ws';" }, /no dependencies/);
    finds(rule, { 'bin/commands/a.ts': "import { b } from './b.ts';", 'bin/commands/b.ts': '' }, /only main.ts knows/);
    finds(rule, { 'bin/a.ts': "import './b.ts';", 'bin/b.ts': "import './a.ts';" }, /cycle/);
    passes(rule, {
      'bin/main.ts': "import { a } from './commands/a.ts';\nimport { raw } from '../lib/framing/raw.ts';",
      'bin/commands/a.ts':
        "import { connect } from 'node:net';\nimport { S } from '../../lib/index.ts';\nimport { C } from '../../lib/testing.ts';",
    });
  });

  it('find barrels and entries with code', () => {
    finds(tidy.noBarrels, { 'lib/core/index.ts': "export * from './a.ts';" }, /re-export/);
    finds(tidy.noBarrels, { 'lib/session.ts': "import './a.ts';\nexport type { A } from './a.ts';" }, /session.ts:2 re-export/);
    passes(tidy.noBarrels, { 'lib/index.ts': "export { A } from './a.ts';", 'lib/a.ts': 'export { b };' });
    finds(tidy.entriesOnlyReExport, { 'lib/index.ts': "export { A } from './a.ts';\nexport const b = 1;" }, /more than re-exports/);
    passes(tidy.entriesOnlyReExport, { 'lib/index.ts': "// Header.\nexport type { A,\n B } from './a.ts';\nexport * from './b.ts';" });
  });

  it('find impurity', () => {
    const rule = tidy.pureLayersStayPure;
    const impure = [
      'const at = Date.now();',
      'const at = performance.now();',
      'setTimeout(f, 1);',
      'setImmediate(f);',
      'queueMicrotask(f);',
      'const x = Math.random();',
      'const x = process.env;',
      'const x = crypto.randomUUID();',
      'const x = Promise.resolve();',
      'async function f() {}',
      'for await (const x of y) {}',
    ];
    for (const line of impure) {
      finds(rule, { 'lib/core/a.ts': `${header}${line}` }, /a.ts:2/);
      finds(rule, { 'lib/framing/a.ts': `${header}${line}` }, /a.ts:2/);
      passes(rule, { 'lib/session.ts': line, 'lib/core/b.ts': `// ${line}\nconst text = \`${line}\`;` });
    }
    passes(rule, { 'lib/core/a.ts': 'this.process(); const o = { a: x.performance }; const asyncness = 1;' });
  });

  it('find banned words', () => {
    const rule = tidy.noBannedWords;
    const bad = [
      'console.log(1);',
      'let x: any;',
      'const x = y as any;',
      'type A = Map<string, any>;',
      'export default class {}',
      'enum A {}',
      'export const enum A {}',
      'namespace A {}',
      'export declare namespace A.B {}',
      '@sealed class A {}',
      'get #now(): number {',
      '// @ts-ignore',
      '/* @ts-nocheck */',
      '// @ts-expect-error',
    ];
    for (const line of bad) finds(rule, { 'lib/a.ts': `${header}${line}` }, /a.ts:2/);
    passes(rule, {
      'lib/a.ts': "// any console\nconst x = AbortSignal.any([]); const many = 'any default'; /** @param x any */ x.enum = 1;",
    });
    passes(rule, { 'test/a.ts': 'console.log(1 as any);' });
  });

  it('find wire numbers outside of wire.ts', () => {
    const wire = { 'lib/core/wire.ts': 'export const Kind = { OPEN: 0x01, REJECTED: 0x8f }; const mask = 0xff;' };
    finds(tidy.wireNumbersInOneFile, { 'lib/core/a.ts': 'if (kind === 0x8F) f();', ...wire }, /0x8f is a wire number/);
    finds(tidy.wireNumbersInOneFile, { 'lib/server.ts': 'const open = 0x1;', ...wire }, /0x1 is a wire number/);
    passes(tidy.wireNumbersInOneFile, { 'lib/core/a.ts': '// 0x01\nconst x = y & 0xff; const z = 0x8f01; const w = 0x20;', ...wire });
    passes(tidy.wireNumbersInOneFile, { 'lib/framing/a.ts': 'const ETX = 0x01;', ...wire });
  });

  it('find files, functions and lines that are too long', () => {
    const rule = tidy.sizesStayWithin({});
    const lines = (count: number): string => 'x();\n'.repeat(count);
    finds(rule, { 'lib/a.ts': lines(401) }, /401 lines/);
    finds(rule, { 'lib/core/a.ts': lines(601) }, /601 lines/);
    passes(rule, { 'lib/a.ts': lines(400), 'lib/core/a.ts': lines(600), 'test/a.ts': lines(2000) });
    finds(rule, { 'lib/a.ts': `${'x'.repeat(141)}\n`, 'test/a.ts': `${'x'.repeat(141)}\n` }, /^lib.a.ts:1 141 columns/);
    finds(rule, { 'test/a.ts': `${'x'.repeat(181)}\n` }, /181 columns/);
    const heads = [
      'function f(a: { b: number }): void {',
      'export async function* f<T extends { a: 1 }>(\n  a: T,\n): AsyncGenerator<T> {',
      'const f = (a: () => void): Promise<() => void> => {',
      'class A {\n  async #f(): Promise<Map<string, () => { a: 1 }>> {',
      'class A {\n  static g<T>(a: T): a is T {',
      'class A {\n  get size(): number | undefined {',
      'class A {\n  constructor(a = f({})) {',
      'x.on(1, function () {',
      "const f = (): 'a' | 'b' => {",
      'function f(): { a: 1 } & B {',
    ];
    for (const head of heads) {
      const close = head.startsWith('class') ? '}}' : '}';
      finds(rule, { 'lib/a.ts': `${head}\n${lines(69)}${close}\n` }, /function of 71 lines/);
      passes(rule, { 'lib/a.ts': `${head}\n${lines(68)}${close}\n` });
    }
    for (const head of [
      'class A {',
      'if (f(a)) {',
      'for (const a of b) {',
      'const a = {',
      'switch (a) {',
      'try { } catch (e) {',
      'interface A {',
    ]) {
      passes(rule, { 'lib/a.ts': `${head}\n${lines(200)}}\n` });
    }
  });

  it('let a ratchet only shrink', () => {
    const file = { 'lib/a.ts': 'x();\n'.repeat(450) };
    passes(tidy.sizesStayWithin({ 'lib/a.ts': 450 }), file);
    finds(tidy.sizesStayWithin({ 'lib/a.ts': 460 }), file, /lower its ratchet from 460 to 450/);
    finds(tidy.sizesStayWithin({ 'lib/a.ts': 440 }), file, /450 lines, 440 are allowed/);
    expect(tidy.sizesStayWithin({ 'lib/gone.ts': 500 })(new Map())[0]?.what).to.match(/gone/);
  });

  it('find files without a header, and dead files', () => {
    finds(tidy.filesHaveHeaders, { 'lib/a.ts': "import './b.ts';" }, /header/);
    finds(tidy.filesHaveHeaders, { 'lib/a.ts': '// a\nlet x;' }, /header/);
    finds(tidy.filesHaveHeaders, { 'bin/a.ts': '#!/usr/bin/env node\nlet x;' }, /header/);
    passes(tidy.filesHaveHeaders, { 'lib/a.ts': header, 'bin/a.ts': `#!/usr/bin/env node\n${header}` });
    const tree = { 'lib/index.ts': "export { b } from './b.ts';", 'lib/b.ts': "import './core/c.ts';", 'lib/core/c.ts': '' };
    passes(tidy.noDeadFiles, tree);
    finds(tidy.noDeadFiles, { 'lib/core/d.ts': "import '../b.ts';", ...tree }, /nothing that the package exports/);
  });

  it('find examples that reach into lib', () => {
    finds(tidy.examplesImportByName, { 'examples/demo/main.ts': "import { a } from '../../lib/index.ts';" }, /by name/);
    passes(tidy.examplesImportByName, {
      'examples/demo/main.ts': "import { a } from 'outlast';\nimport './view.ts';\nimport '../telnet/b.ts';",
    });
  });

  it('find error codes that are not true', () => {
    const rule = tidy.errorCodesAreTrue(['ERR_A']);
    const good = { 'docs/errors.md': '# Errors\n\n### `ERR_A`\n', 'lib/a.ts': "'ERR_A'", 'test/a.test.ts': "'ERR_A'" };
    passes(rule, good);
    finds(rule, { ...good, 'docs/errors.md': 'ERR_A is bad' }, /ERR_A has no heading/);
    finds(rule, { ...good, 'docs/errors.md': '## ERR_A\n## ERR_B' }, /ERR_B is no code/);
    expect(tidy.show(rule(new Map(Object.entries({ ...good, 'lib/a.ts': "'ERR_AB'" }))))).to.match(/nothing in lib raises ERR_A/);
    expect(tidy.show(rule(new Map(Object.entries({ ...good, 'test/a.test.ts': '' }))))).to.match(/no test names ERR_A/);
  });

  it('read source text as it is meant', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source text
    const source = 'const a = `x ${b ? `"${c}"` : "}"} // no`; /* " */ const d = e / f; const g = /["/]}/.test(h); // "';
    const code = strip(source);
    expect(code.length).to.equal(source.length);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source text
    expect(code.replace(/ +/g, ' ').trim()).to.equal('const a = ` ${b ? ` ${c} ` : " "} `; const d = e / f; const g = / /.test(h);');
    expect(
      importsOf("import a, { type B } from './a.ts';\nimport './b.ts';\nconst c = await import('./c.ts');\nexport * from './d.ts';"),
    ).to.deep.equal([
      { specifier: './a.ts', line: 1, reExport: false },
      { specifier: './b.ts', line: 2, reExport: false },
      { specifier: './c.ts', line: 3, reExport: false },
      { specifier: './d.ts', line: 4, reExport: true },
    ]);
    expect(functionsOf('const a = {\n b() {\n  return () => {\n  };\n }\n};')).to.deep.equal([
      { line: 3, lines: 2 },
      { line: 2, lines: 4 },
    ]);
  });
});
