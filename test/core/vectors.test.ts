// The vectors of PROTOCOL.md: recomputed from their inputs, printed there as they stand in vectors.json, and read back as what they mean.

import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import { decodeFlight, type Flight, macInput } from '../../lib/core/handshake.ts';
import { FIRST_IGNORABLE_FRAME, Frame, Kind } from '../../lib/core/wire.ts';
import { type MacLabel, SessionKeys } from '../../lib/security/keys.ts';
import { buildVectors, given, type Vectors } from './vectors.ts';

const vectors = JSON.parse(readFileSync(new URL('./vectors.json', import.meta.url), 'utf8')) as Vectors;
const protocol = readFileSync(new URL('../../PROTOCOL.md', import.meta.url), 'utf8');

const groupOf = (group: string): Record<string, string> => vectors[group] ?? {};
const bytes = (group: string, name: string): Buffer => {
  const text = groupOf(group)[name];
  if (text === undefined) throw new Error(`no vector ${group}.${name}`);
  return Buffer.from(text, 'hex');
};

/** The blocks of the appendix: `**A.open**` and, in the next fence, hex with blanks and line ends. */
function printed(): Vectors {
  const found: Vectors = {};
  for (const [, group, name, hex] of protocol.matchAll(/^\*\*(\w+)\.(\w+)\*\*[^\n]*\n+```hex\n([^`]+)```/gm)) {
    found[group as string] ??= {};
    (found[group as string] as Record<string, string>)[name as string] = (hex as string).replace(/\s+/g, '');
  }
  return found;
}

/** Flights by name: kind, and for those with a mac its label and the flights in front. */
const flights: ReadonlyArray<readonly [group: string, name: string, kind: Kind, label?: MacLabel, earlier?: readonly string[]]> = [
  ...(['A', 'B', 'C', 'D'] as const).flatMap(
    (group) =>
      [
        [group, 'open', Kind.OPEN],
        [group, 'opened', Kind.OPENED, 'opened', ['open']],
      ] as const,
  ),
  ['A', 'resume', Kind.RESUME, 'resume', []],
  ['A', 'challenge', Kind.CHALLENGE],
  ['A', 'resumed', Kind.RESUMED, 'resumed', ['resume']],
  ['A', 'resumedChallenged', Kind.RESUMED, 'resumed', ['resume', 'challenge']],
  ['A', 'rejectedClosed', Kind.REJECTED, 'rejected', ['resume']],
  ['A', 'rejectedStateLost', Kind.REJECTED, 'rejected', ['resume', 'challenge']],
  ['B', 'resume', Kind.RESUME, 'resume', []],
  ['B', 'resumed', Kind.RESUMED, 'resumed', ['resume']],
  ['B', 'rejectedTakenOver', Kind.REJECTED, 'rejected', ['resume']],
  ['B', 'rejectedElsewhere', Kind.REJECTED, 'rejected', ['resume']],
  ['D', 'resume', Kind.RESUME, 'resume', []],
  ['D', 'resumeAnnouncing', Kind.RESUME, 'resume', []],
  ['rejected', 'busy', Kind.REJECTED],
  ['rejected', 'version', Kind.REJECTED],
  ['rejected', 'keyMethod', Kind.REJECTED],
  ['rejected', 'unknown', Kind.REJECTED],
];

const keysOf = (group: string): SessionKeys => SessionKeys.from(Buffer.concat([bytes(group, 'clientKey'), bytes(group, 'serverKey')]));
const bindingOf = (group: string): Buffer | undefined => (group === 'A' || group === 'D' ? undefined : given.binding);

describe('vectors', () => {
  it('are what the code computes from their inputs', () => {
    expect(buildVectors()).to.deep.equal(vectors);
  });

  it('are printed in PROTOCOL.md, all of them and nothing else', () => {
    expect(printed()).to.deep.equal(vectors);
  });

  for (const [group, name, kind, label, earlier] of flights) {
    it(`${group}.${name} has the right kind${label === undefined ? '' : ' and a good mac'}`, () => {
      const flight = bytes(group, name);
      const decoded: Flight = decodeFlight(flight);
      expect(decoded.kind).to.equal(kind);
      const mac = 'mac' in decoded ? decoded.mac : undefined;
      expect(mac !== undefined).to.equal(label !== undefined);
      if (label === undefined || mac === undefined) return;
      const parts = [...(earlier ?? []).map((other) => bytes(group, other)), macInput(flight)];
      expect(keysOf(group).verify(label, parts, bindingOf(group), mac)).to.equal(true);
    });
  }

  it('CONFIRM and PROOF carry the macs over the flights in front of them', () => {
    const check = (group: string, name: string, label: MacLabel, earlier: readonly string[]): void => {
      const parts = earlier.map((other) => bytes(group, other));
      expect(keysOf(group).verify(label, parts, bindingOf(group), bytes(group, name).subarray(4)), `${group}.${name}`).to.equal(true);
    };
    for (const group of ['A', 'B', 'C', 'D']) check(group, 'confirm', 'confirm', ['open', 'opened']);
    check('A', 'proof', 'proof', ['resume', 'challenge']);
  });

  it('stand behind rules that are numbered in order, and include every rule that the library or the text names', () => {
    const rules = [...protocol.matchAll(/^- \*\*([A-Z]-\d+)\*\*/gm)].map((match) => match[1] as string);
    const last = new Map<string, number>();
    for (const rule of rules) {
      const due = (last.get(rule.charAt(0)) ?? 0) + 1;
      expect(rule).to.equal(`${rule.charAt(0)}-${due}`);
      last.set(rule.charAt(0), due);
    }
    const lib = new URL('../../lib/', import.meta.url);
    const sources = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
    const texts = [protocol, ...sources.map((file) => readFileSync(new URL(file, lib), 'utf8'))];
    // Letters of rules only, so that SHA-256, UTF-8 and ranges in regular expressions stay out.
    const named = texts.flatMap((text) => text.match(/(?<![\w-])[TOHKRXEFSACLDBVZ]-\d+(?![\w-])/g) ?? []);
    expect(named).to.include('F-3').and.to.include('H-20');
    expect(named.filter((rule) => !rules.includes(rule))).to.deep.equal([]);
  });

  it('show every kind of flight and every type of frame', () => {
    const kinds = new Set(flights.map((flight) => flight[2]));
    expect([...kinds].sort()).to.deep.equal(Object.values(Kind).sort());
    const all = [...Object.keys(groupOf('frames')).map((name) => bytes('frames', name)), bytes('A', 'confirm'), bytes('A', 'proof')];
    const types = new Set(all.map((frame) => frame[0]));
    const due = [...Object.values(Frame), FIRST_IGNORABLE_FRAME];
    expect([...types].sort()).to.deep.equal(due.sort());
  });

  it('give each frame the length its header says', () => {
    for (const name of Object.keys(groupOf('frames'))) {
      const frame = bytes('frames', name);
      expect(frame.readUIntBE(1, 3), name).to.equal(frame.length - 4);
    }
  });
});
