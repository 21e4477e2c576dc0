// Faces: reads like a map of sessions, and follows the map of entries behind it.
import { expect } from 'chai';
import { Faces } from '../../lib/faces.ts';
import type { Session } from '../../lib/session.ts';

describe('sessions by id', () => {
  const [one, two] = [{ id: 'one' }, { id: 'two' }] as unknown as [Session<string>, Session<string>];

  it('read like a map', () => {
    const faces = new Faces(
      new Map([
        ['one', { session: one }],
        ['two', { session: two }],
      ]),
    );
    expect([faces.size, faces.get('one'), faces.get('three'), faces.has('two'), faces.has('three')]).to.deep.equal([
      2,
      one,
      undefined,
      true,
      false,
    ]);
    expect([...faces.keys()]).to.deep.equal(['one', 'two']);
    expect([...faces.values()]).to.deep.equal([one, two]);
    expect([...faces]).to.deep.equal([...faces.entries()]);
    expect(new Map(faces)).to.deep.equal(new Map(Object.entries({ one, two })));
    const told: unknown[] = [];
    const self = {};
    faces.forEach(function (this: unknown, session, id, map) {
      told.push([this === self, session, id, map === faces]);
    }, self);
    expect(told).to.deep.equal([
      [true, one, 'one', true],
      [true, two, 'two', true],
    ]);
  });

  it('follow their entries, while they are walked through as well', () => {
    const entries = new Map([['one', { session: one }]]);
    const faces = new Faces(entries);
    const seen: string[] = [];
    for (const [id] of faces) {
      seen.push(id);
      entries.delete('one');
      if (seen.length === 1) entries.set('two', { session: two });
    }
    expect([seen, faces.size, faces.get('one')]).to.deep.equal([['one', 'two'], 1, undefined]);
  });
});
