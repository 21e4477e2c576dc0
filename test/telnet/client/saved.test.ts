// Saved sessions: who may read them, which one is taken up, and which one never.

import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { removeSaved, SavedFile, type SavedSession, stateFolder, writeSaved } from '../../../examples/telnet/client/saved.ts';

const session: SavedSession = {
  host: 'example.org',
  port: 2323,
  tls: false,
  user: '',
  record: Buffer.from('the record'),
  states: Buffer.alloc(512, 1),
};

describe('telnet client: saved sessions', () => {
  let root: string;
  let folder: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'outlast-saved-'));
    folder = join(root, 'state', 'telnet');
  });
  afterEach(() => rmSync(root, { recursive: true }));

  /** Writes a session as if by a process that is no more. */
  function orphan(id: string, change: Partial<SavedSession> = {}, savedMs?: number): string {
    const path = SavedFile.for(folder, id);
    writeSaved(path, { ...session, ...change });
    const file = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...file, owner: '4194305 1', ...(savedMs === undefined ? {} : { savedMs }) }));
    return path;
  }

  it('are readable by their owner alone, and replaced whole', () => {
    const path = SavedFile.for(folder, 'one');
    for (let i = 0; i < 3; i++) writeSaved(path, session);
    expect(statSync(path).mode & 0o777).to.equal(0o600);
    expect(statSync(folder).mode & 0o777).to.equal(0o700);
    expect(readdirSync(folder)).to.deep.equal(['one.json']);
  });

  it('come back as they were, the youngest first', () => {
    orphan('old', { record: Buffer.from('old') }, 1_000);
    orphan('young', {}, 2_000);
    const found = SavedFile.find(folder, session);
    expect(found?.session).to.deep.equal(session);
    removeSaved(found?.path ?? '');
    expect(SavedFile.find(folder, session)?.session.record.toString()).to.equal('old');
  });

  it('are those of the same server and user', () => {
    orphan('one');
    for (const other of [{ host: 'example.com' }, { port: 23 }, { tls: true }, { user: 'bob' }]) {
      expect(SavedFile.find(folder, { ...session, ...other }), JSON.stringify(other)).to.equal(null);
    }
    expect(SavedFile.find(folder, session)).to.not.equal(null);
  });

  it('are not taken from a client that lives, and are from one whose number is used again', () => {
    const path = SavedFile.for(folder, 'mine');
    writeSaved(path, session);
    expect(SavedFile.find(folder, session)).to.equal(null);
    const file = JSON.parse(readFileSync(path, 'utf8')) as { readonly owner: string };
    expect(file.owner).to.match(new RegExp(`^${process.pid} \\d+$`));
    writeFileSync(path, JSON.stringify({ ...file, owner: `${process.pid} 1` }));
    expect(SavedFile.find(folder, session)).to.not.equal(null);
  });

  it('that are spoilt are passed over', () => {
    orphan('good');
    for (const [name, text] of Object.entries({ empty: '', half: '{"format":1,', other: '{"format":2}', list: '[]', null: 'null' })) {
      writeFileSync(join(folder, `${name}.json`), text);
    }
    expect(SavedFile.find(folder, session)?.session.record.toString()).to.equal('the record');
    expect(SavedFile.find(join(root, 'nowhere'), session)).to.equal(null);
  });

  it('lie where XDG says', () => {
    expect(stateFolder({ XDG_STATE_HOME: '/var/state', HOME: '/home/alice' })).to.equal('/var/state/outlast/telnet');
    expect(stateFolder({ XDG_STATE_HOME: 'relative', HOME: '/home/alice' })).to.equal('/home/alice/.local/state/outlast/telnet');
  });
});
