// `npm run telnet` as a user runs it: what it prints can be typed, what is unsafe is refused, and users are added.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { TelnetPeer } from './support.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

class Program {
  readonly child: ChildProcess;
  text = '';

  constructor(...words: readonly string[]) {
    this.child = spawn(process.execPath, ['--import', 'tsx', 'examples/telnet/main.ts', ...words], { cwd: root, stdio: 'pipe' });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.text += text;
      });
    }
  }

  async sees(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.text);
      if (found !== null) return found;
      if (this.child.exitCode !== null) throw new Error(`ended: ${this.text}`);
      await Promise.race([once(this.child.stdout as NodeJS.EventEmitter, 'data'), once(this.child, 'close')]);
    }
  }

  async ended(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'close');
    return this.child.exitCode;
  }
}

describe('npm run telnet', function () {
  this.timeout(40_000);
  let folder = '';
  let safe: readonly string[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'outlast-telnet-'));
    safe = ['--port', '0', '--users', join(folder, 'users.json'), ...(process.getuid?.() === 0 ? ['--allow-root'] : [])];
  });
  after(async () => {
    await rm(folder, { recursive: true });
  });

  it('makes up a user, says what to type, lets him in, and ends all with one signal', async () => {
    const program = new Program(...safe);
    const [, name = '', password = ''] = await program.sees(/user (\w+), password (\S+) /);
    const [, port = ''] = await program.sees(/telnet -l demo 127\.0\.0\.1 (\d+) /);
    const peer = await TelnetPeer.dial(Number(port), {});
    await peer.login(name, password);
    peer.type('echo $((6*7)); stty size\r');
    await peer.sees('42\r\n');
    await peer.sees('24 80\r\n');
    program.child.kill('SIGTERM');
    await peer.untilClosed();
    expect(await program.ended()).to.equal(0);
    peer.socket.destroy();
  });

  it('adds a user, who can then log in, and nobody is made up', async () => {
    const adding = new Program('adduser', 'alice', ...safe);
    adding.child.stdin?.end('a password of hers\n');
    expect(await adding.ended(), adding.text).to.equal(0);
    expect(await readFile(join(folder, 'users.json'), 'utf8'))
      .to.contain('$scrypt$ln=15,r=8,p=3$')
      .and.not.to.contain('a password of hers');
    const program = new Program(...safe);
    const [, port = ''] = await program.sees(/telnet -l NAME 127\.0\.0\.1 (\d+) /);
    expect(program.text).not.to.contain('made up for this run');
    const peer = await TelnetPeer.dial(Number(port), {});
    await peer.login('alice', 'a password of hers');
    peer.type('echo $((6*7))\r');
    await peer.sees('42\r\n');
    program.child.kill('SIGINT');
    expect(await program.ended()).to.equal(0);
    peer.socket.destroy();
  });

  const refused: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['an address that others reach, without TLS', ['--host', '0.0.0.0'], /without TLS everybody on the way reads the passwords/],
    ['a short password', ['adduser', 'bob'], /8 characters or more/],
    ['words without a meaning', ['serve'], /what is .serve.\?[\s\S]*--audit[\s\S]*--run-as/],
  ];
  for (const [name, words, message] of refused) {
    it(`refuses ${name}`, async () => {
      const program = new Program(...words, ...safe);
      program.child.stdin?.end('short\n');
      expect(await program.ended()).to.equal(1);
      expect(program.text).to.match(message).and.not.to.contain('    at ');
    });
  }

  it('refuses to be root unless told', async () => {
    const program = new Program('--port', '0', '--users', join(folder, 'users.json'));
    if (process.getuid?.() === 0) {
      expect(await program.ended()).to.equal(1);
      expect(program.text).to.contain('you are root');
    } else {
      await program.sees(/telnet server on/);
      program.child.kill('SIGTERM');
      expect(await program.ended()).to.equal(0);
    }
  });
});
