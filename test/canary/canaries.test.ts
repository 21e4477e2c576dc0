// The table of planted bugs fits lib as it is now: each edit finds its place, and changes something. What the bugs do is for
// `npm run canaries`.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type Canary, canaries } from './canaries.ts';
import { detachCanaries } from './detach.ts';
import { durableCanaries } from './durable.ts';
import { plant } from './plant.ts';
import { ticketCanaries } from './tickets.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string): string => readFileSync(root + file, 'utf8');

describe('canaries', () => {
  it('are as many as were promised, each with its own name', () => {
    expect(new Set(canaries.map(({ name }) => name)).size)
      .to.equal(canaries.length)
      .and.to.be.at.least(22);
    expect(new Set(durableCanaries.map(({ name }) => name)).size)
      .to.equal(durableCanaries.length)
      .and.to.be.at.least(16);
  });

  for (const canary of [...canaries, ...durableCanaries, ...ticketCanaries, ...detachCanaries]) {
    it(`${canary.name}: finds its place in lib`, () => {
      for (const [file, source] of plant(canary, read)) expect(source, file).not.to.equal(read(file));
    });
  }

  it('are refused where a text is missing or there twice', () => {
    const canary: Canary = { name: 'doctored', why: 'a test', edits: [{ file: 'a.ts', find: 'one', replace: 'two' }] };
    expect(() => plant(canary, () => 'nil')).to.throw(/0 places/);
    expect(() => plant(canary, () => 'one one')).to.throw(/2 places/);
    expect(plant(canary, () => 'only one').get('a.ts')).to.equal('only two');
  });
});
