// The threat model tells the truth: each proof that docs/threat-model.md names exists, and each attack and fuzz target has a row.

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { targets } from '../fuzz/targets.ts';
import { attacks } from './attacks.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const text = readFileSync(`${root}docs/threat-model.md`, 'utf8');
const rows = text.split('\n').filter((line) => /^\| (?!threat|---)/.test(line) && !line.startsWith('|---'));
const named = (pattern: RegExp): string[] => [...text.matchAll(pattern)].map((match) => match[1] as string);
const scripts = (JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { scripts: Record<string, string> }).scripts;

describe('threat model', () => {
  it('names attacks that exist, and every one of them', () => {
    const rowed = named(/attack `([\w-]+)`/g);
    expect([...new Set(rowed)].sort()).to.deep.equal(attacks.map(({ name }) => name).sort());
    expect(attacks.length).to.be.at.least(25);
  });

  it('names fuzz targets that exist, and every one of them', () => {
    expect([...new Set(named(/fuzz `([\w-]+)`/g))].sort()).to.deep.equal(targets.map(({ name }) => name).sort());
  });

  it('names test files and titles that exist', () => {
    const files = [...text.matchAll(/`(test\/[\w./-]+)`(?: "((?:[^"\\]|\\")+)")?/g)];
    expect(files.length).to.be.greaterThan(20);
    for (const [, file, title] of files) {
      expect(existsSync(`${root}${file}`), file).to.equal(true);
      if (title === undefined || file === undefined) continue;
      // A title may be put together in the code: then its words are there, in their order.
      const source = readFileSync(`${root}${file}`, 'utf8');
      const parts = title.replaceAll('\\"', '"').split(/ \(challenge: \w+\)|^receive\(\): /);
      for (const part of parts.filter((one) => one !== '')) expect(source.includes(part), `${file}: ${part}`).to.equal(true);
    }
  });

  it('names scripts that exist', () => {
    const names = named(/`npm run ([\w:]+)`/g);
    expect(names.filter((name) => scripts[name] === undefined)).to.deep.equal([]);
  });

  it('has a defence in every row, and a proof in all but one', () => {
    expect(rows.length).to.be.greaterThan(35);
    const cells = rows.map((row) => row.split(' | ').length);
    expect([...new Set(cells)]).to.deep.equal([4]);
    expect(rows.filter((row) => /\|\s*\|$/.test(row)).map((row) => row.split('|')[1]?.trim())).to.deep.equal(['compression']);
  });
});
