// The small parts of the telnet server, each by itself: passwords, the user file, the throttle, escapes, the line editor, accounts, the log.

import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Account, accountNamed, launchOf } from '../../../examples/telnet/server/account.ts';
import { AuditLog, firstBrokenLine } from '../../../examples/telnet/server/audit.ts';
import { EscapeFilter } from '../../../examples/telnet/server/escape.ts';
import { LineEditor } from '../../../examples/telnet/server/line-editor.ts';
import { LOGIN } from '../../../examples/telnet/server/login.ts';
import { duration } from '../../../examples/telnet/server/menu.ts';
import { Passwords } from '../../../examples/telnet/server/password.ts';
import { addressKey, LoginThrottle } from '../../../examples/telnet/server/throttle.ts';
import { Users } from '../../../examples/telnet/server/users.ts';
import { cheap, PASSWORD } from './support.ts';

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'outlast-telnet-'));
  try {
    await test(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function failure(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no failure',
    (error: Error) => error.message,
  );
}

describe('telnet server: passwords and users', function () {
  this.timeout(30_000);

  it('verifies what it hashed, and nothing else', async () => {
    const stored = await cheap.hash(PASSWORD);
    expect(stored).to.match(/^\$scrypt\$ln=4,r=1,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    expect(await cheap.hash(PASSWORD)).not.to.equal(stored);
    expect(await cheap.verify(PASSWORD, stored)).to.equal(true);
    expect(await cheap.verify(`${PASSWORD} `, stored)).to.equal(false);
    expect(await cheap.verify(PASSWORD, null)).to.equal(false);
    expect(await cheap.verify('', stored.replace(/\$[^$]*$/, '$'))).to.equal(false);
  });

  it('verifies a hash of RFC 7914, and letters that can be written in two ways', async () => {
    // Its third test vector has N=16384, r=8, p=1 and 64 bytes.
    const salt = Buffer.from('SodiumChloride').toString('base64').replace(/=+$/, '');
    const hash =
      '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887';
    const stored = `$scrypt$ln=14,r=8,p=1$${salt}$${Buffer.from(hash, 'hex').toString('base64').replace(/=+$/, '')}`;
    expect(await cheap.verify('pleaseletmein', stored)).to.equal(true);
    expect(cheap.isStale(stored)).to.equal(true);
    expect(await cheap.verify('cafe\u0301 noir', await cheap.hash('caf\u00e9 noir'))).to.equal(true);
  });

  it('obeys no user file that asks for all memory', async () => {
    const stored = await cheap.hash(PASSWORD);
    for (const cost of ['ln=40,r=8,p=1', 'ln=4,r=99,p=1', 'ln=4,r=1,p=0', 'ln=0,r=1,p=1'])
      expect(await cheap.verify(PASSWORD, stored.replace('ln=4,r=1,p=1', cost))).to.equal(false);
  });

  it('keeps users in a file that only its owner reads, and makes old hashes anew at the login', async () => {
    await inFolder(async (folder) => {
      const path = join(folder, 'users.json');
      const users = await Users.load(cheap, path);
      await users.add('alice', PASSWORD, { runAs: 'games' });
      await users.add('bob', PASSWORD, { command: ['/bin/date', '-u'] });
      expect((await stat(path)).mode & 0o777).to.equal(0o600);
      const stronger = new Passwords({ log2N: 5, blockSize: 1, parallel: 1 });
      const again = await Users.load(stronger, path);
      expect(again.size).to.equal(2);
      expect((await again.check('bob', PASSWORD))?.command).to.deep.equal(['/bin/date', '-u']);
      expect(await again.check('bob', 'wrong one')).to.equal(null);
      expect(await again.check('carol', PASSWORD)).to.equal(null);
      const text = await readFile(path, 'utf8');
      expect(text.match(/ln=5/g)?.length).to.equal(1);
      expect(text).to.contain('"runAs": "games"').and.not.to.contain(PASSWORD);
      expect((await (await Users.load(cheap, path)).check('bob', PASSWORD))?.name).to.equal('bob');
    });
  });

  it('says what is wrong with a user or a file', async () => {
    const users = new Users(cheap);
    for (const name of ['-froot', 'Alice', 'a b', '', 'a'.repeat(33), 'alice+work'])
      expect(await failure(users.add(name, PASSWORD))).to.contain("cannot be a user's name");
    expect(await failure(users.add('alice', 'short'))).to.contain('8 characters');
    await inFolder(async (folder) => {
      const path = join(folder, 'users.json');
      const files = [
        '{',
        '[]',
        '{"users":[{"name":"-f"}]}',
        '{"users":[{"name":"a"}]}',
        '{"users":[{"name":"a","password":"x","command":[]}]}',
      ];
      for (const text of [...files, '{"users":[null]}', '{"users":[{"name":"a","password":"x","runAs":7}]}']) {
        await writeFile(path, text);
        expect(await failure(Users.load(cheap, path)), text).to.contain(path);
      }
    });
  });

  it('computes two hashes at once, and lets only so many wait', async () => {
    const stored = await cheap.hash(PASSWORD);
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => failure(cheap.verify(PASSWORD, stored))));
    expect(outcomes.filter((one) => one === 'too many logins at once').length).to.equal(34);
    expect(await cheap.verify(PASSWORD, stored)).to.equal(true);
  });
});

describe('telnet server: throttle', () => {
  it('lets people mistype, and then doubles the wait up to a quarter of an hour', () => {
    const throttle = new LoginThrottle();
    const waits: number[] = [];
    for (let tries = 0; tries < 20; tries++) {
      waits.push(throttle.waitMs('192.0.2.1', 'alice', 0));
      throttle.failed('192.0.2.1', 'alice', 0);
    }
    expect(waits.slice(0, 9)).to.deep.equal([0, 0, 0, 0, 0, 1_000, 2_000, 4_000, 8_000]);
    expect(Math.max(...waits)).to.equal(900_000);
    expect(throttle.waitMs('192.0.2.1', 'alice', 900_001)).to.equal(0);
  });

  it('counts for the address and for the name, but not against an owner who comes from where he came before', () => {
    const throttle = new LoginThrottle();
    throttle.succeeded('192.0.2.9', 'alice', 0);
    for (let tries = 0; tries < 6; tries++) throttle.failed(`192.0.2.${tries}`, 'alice', 0);
    expect(throttle.waitMs('192.0.2.77', 'alice', 0)).to.be.above(0);
    expect(throttle.waitMs('192.0.2.77', 'bob', 0)).to.equal(0);
    expect(throttle.waitMs('192.0.2.9', 'alice', 0)).to.equal(0);
    for (let tries = 0; tries < 6; tries++) throttle.failed('198.51.100.1', `guess${tries}`, 0);
    expect(throttle.waitMs('198.51.100.1', 'someone', 0)).to.be.above(0);
  });

  it('takes an IPv6 network for one address', () => {
    expect(addressKey('2001:db8:1:2:3:4:5:6')).to.equal(addressKey('2001:db8:1:2::9'));
    expect(addressKey('2001:db8:1:3::9')).to.not.equal(addressKey('2001:db8:1:2::9'));
    expect(addressKey('::1')).to.equal('0:0:0:0');
    expect(addressKey('::ffff:192.0.2.1')).to.equal('::ffff:192.0.2.1');
  });

  it('remembers only so much', () => {
    const throttle = new LoginThrottle();
    for (let tries = 0; tries < 6; tries++) throttle.failed('192.0.2.1', 'alice', 0);
    for (let index = 0; index < 20_000; index++) throttle.failed(`host ${index}`, `name ${index}`, 0);
    expect(throttle.waitMs('192.0.2.1', 'alice', 0)).to.equal(0);
  });
});

describe('telnet server: escapes', () => {
  const filtered = (...chunks: readonly string[]): string => {
    const filter = new EscapeFilter();
    const pieces = chunks.flatMap((chunk) => [...filter.filter(Buffer.from(chunk, 'latin1'))]);
    return pieces.map((piece) => (typeof piece === 'string' ? `<${piece}>` : piece.toString('latin1'))).join('');
  };

  it('are a tilde at the beginning of a line and a letter, in one piece or in several', () => {
    expect(filtered('~d')).to.equal('<detach>');
    expect(filtered('~', '.')).to.equal('<hang-up>');
    expect(filtered('ls\r~l')).to.equal('ls\r<list>');
    expect(filtered('ls\r', '~', 's', '~', '?')).to.equal('ls\r<share><help>');
    expect(filtered('\n~d~d')).to.equal('\n<detach><detach>');
  });

  it('are nothing else', () => {
    expect(filtered('a~d')).to.equal('a~d');
    expect(filtered('~x')).to.equal('~x');
    expect(filtered('~/bin\r')).to.equal('~/bin\r');
    expect(filtered('~~')).to.equal('~');
    expect(filtered('~~d')).to.equal('~d');
    expect(filtered('~\r~d')).to.equal('~\r<detach>');
    expect(filtered('~', '\r')).to.equal('~\r');
  });

  it('are not in what is pasted', () => {
    const paste = `${'x'.repeat(70)}\n~d\n~.`;
    expect(filtered(paste)).to.equal(paste);
    expect(filtered('~', paste)).to.equal(`~${paste}`);
    expect(filtered(`${'x'.repeat(70)}\n`, '~d')).to.equal(`${'x'.repeat(70)}\n<detach>`);
  });
});

describe('telnet server: line editor', () => {
  const typed = (text: string | Buffer): { line: string; echo: string } => {
    const editor = new LineEditor();
    const bytes = typeof text === 'string' ? Buffer.from(text) : text;
    const { typed: result, echo } = editor.take(bytes, 0);
    return { line: result.kind === 'line' ? result.text : `<${result.kind}>`, echo: Buffer.from(echo, 'latin1').toString() };
  };

  it('ends a line with CR or LF, and edits it', () => {
    expect(typed('alice\r')).to.deep.equal({ line: 'alice', echo: 'alice' });
    expect(typed('alice\n').line).to.equal('alice');
    expect(typed('aliX\x7fce\r').line).to.equal('alice');
    expect(typed('ä\x08ö\r')).to.deep.equal({ line: 'ö', echo: 'ä\b \bö' });
    expect(typed('wrong\x15right\r').line).to.equal('right');
    expect(typed('two words\x17one\r').line).to.equal('two one');
    expect(typed('\x7f\x15\x17a\r').line).to.equal('a');
    expect(typed('a\x1b[Ab\tc\x00\r').line).to.equal('a[Abc');
  });

  it('is left with ^C, and with ^D on an empty line', () => {
    expect(typed('al\x03').line).to.equal('<aborted>');
    expect(typed('\x04').line).to.equal('<aborted>');
    expect(typed('a\x04b\r').line).to.equal('ab');
    expect(typed('never ended').line).to.equal('<more>');
  });

  it('has a bound', () => {
    expect(typed(`${'x'.repeat(100_000)}\r`).line.length).to.equal(256);
  });
});

describe('telnet server: accounts', () => {
  const passwd = 'root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000:,,,:/tmp:/usr/sbin/nologin\nbroken\n';
  const own: Account = { name: 'root', uid: 0, gid: 0, home: '/root', shell: '/bin/bash' };

  it('are those of the system, with an environment of nothing but what belongs there', () => {
    const alice = accountNamed('alice', passwd);
    const launch = launchOf(
      alice,
      'xterm',
      new Map([
        ['LANG', 'de_DE.UTF-8'],
        ['PATH', '/tmp/evil'],
        ['HOME', '/'],
      ]),
      undefined,
      own,
    );
    expect(launch.identity).to.deep.equal({ uid: 1000, gid: 1000 });
    expect(launch.directory).to.equal('/tmp');
    expect(launch.command[1]).to.equal('-l');
    expect(launch.environment).to.deep.equal({
      HOME: '/tmp',
      LANG: 'de_DE.UTF-8',
      LOGNAME: 'alice',
      PATH: '/usr/local/bin:/usr/bin:/bin',
      SHELL: launch.command[0],
      TERM: 'xterm',
      USER: 'alice',
    });
    expect(() => accountNamed('bob', passwd)).to.throw("no account 'bob'");
  });

  it('are never root, and need no change where they are our own', () => {
    expect(() => launchOf(accountNamed('root', passwd), 'xterm', new Map(), undefined, own)).to.throw('not run as root');
    const alice = accountNamed('alice', passwd);
    expect(() => launchOf({ ...alice, uid: 7 }, 'xterm', new Map(), undefined, alice)).to.throw('only a server that is root');
    expect(launchOf(alice, 'xterm', new Map(), ['/bin/date'], alice)).to.deep.include({ identity: null, command: ['/bin/date'] });
  });
});

describe('telnet server: audit log', () => {
  it('goes on with the chain of a file that is there', async () => {
    await inFolder(async (folder) => {
      const path = join(folder, 'audit.jsonl');
      for (const user of ['alice', 'bob']) {
        await using log = await AuditLog.open(path);
        log.write('login', { user });
        log.write('disconnected', { user, why: 'done\n{"event":"login"}' });
      }
      const text = await readFile(path, 'utf8');
      expect(text.trim().split('\n').length).to.equal(4);
      expect(firstBrokenLine(text)).to.equal(0);
      expect(firstBrokenLine(text.replace('bob', 'eve'))).to.equal(4);
    });
  });

  it('writes nothing where no file was asked for', async () => {
    await using log = await AuditLog.open(null);
    log.write('login', { user: 'alice' });
  });
});

describe('telnet server: words', () => {
  it('a login is a name, and perhaps a session', () => {
    expect(LOGIN.exec('alice')?.slice(1)).to.deep.equal(['alice', undefined]);
    expect(LOGIN.exec('alice+my-work_2')?.slice(1)).to.deep.equal(['alice', 'my-work_2']);
    for (const text of ['-froot', 'alice+', '+work', 'alice work', 'alice+a+b', '', 'alice\u0000']) expect(LOGIN.exec(text)).to.equal(null);
  });

  it('a time is told as people do', () => {
    expect([0, 59_000, 61_000, 7_200_000, 200_000_000].map(duration)).to.deep.equal(['0 s', '59 s', '1 min', '2 h', '2 d']);
  });
});
