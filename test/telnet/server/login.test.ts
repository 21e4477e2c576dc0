// The login of the telnet server over real sockets and a real pty: who gets in, who does not, and what everybody sees of it.

import { readFile, stat } from 'node:fs/promises';
import { expect } from 'chai';
import { firstBrokenLine } from '../../../examples/telnet/server/audit.ts';
import { data } from '../../../examples/telnet/telnet.ts';
import { serverTls } from '../../support/tls.ts';
import { Door, PASSWORD, PROMPT } from './support.ts';

describe('telnet server: login', function () {
  this.timeout(20_000);

  it('takes a telnet client to a shell on a terminal of its size', async () => {
    await using door = await Door.open();
    const peer = await door.login('alice', { columns: 101, rows: 33, terminal: 'XTERM-256COLOR' });
    expect(peer.text).not.to.contain(PASSWORD);
    expect(peer.text).not.to.contain('will show the password');
    expect(await peer.run('stty size; echo $TERM; tty')).to.match(/^33 101\nxterm-256color\n\/dev\/pts\/\d+\n$/);
    peer.type('exit 3\r');
    expect(await peer.untilClosed()).to.contain('ended, exit 3]');
    expect(door.server.shells.size).to.equal(0);
  });

  it('takes netcat, which says all at once and then nothing more', async () => {
    await using door = await Door.open();
    const peer = await door.dial({ negotiate: false });
    peer.socket.end(`alice\n${PASSWORD}\necho $((6*7)); exit\n`);
    const text = await peer.untilClosed();
    expect(text).to.contain('your client will show the password').and.to.contain('42\r\n').and.to.contain('ended, exit 0]');
  });

  it('speaks TLS on the same port, and looks again inside', async () => {
    await using door = await Door.open({ tls: serverTls(), inlineUrgent: false });
    const secure = await door.login('alice', { tls: true });
    expect(await secure.run('echo over TLS')).to.equal('over TLS\n');
    const plain = await door.login('bob');
    expect(await plain.run('echo and without')).to.equal('and without\n');
  });

  it('takes the name from NEW-ENVIRON', async () => {
    await using door = await Door.open();
    const peer = await door.dial({ variables: { USER: 'alice+work' } });
    await peer.sees('login: alice+work');
    await peer.sees('password: ');
    peer.type(`${PASSWORD}\r`);
    await peer.sees(PROMPT);
    expect(await peer.run('echo $OUTLAST_SESSION')).to.equal('work\n');
  });

  it('shows typed names, hides passwords, and lets mistakes be erased', async () => {
    await using door = await Door.open();
    const peer = await door.dial();
    await peer.sees('login: ');
    peer.type('alicX\x7fe\r');
    expect(await peer.sees('password: ')).to.equal('alicX\b \be\r\npassword: ');
    peer.type(`${PASSWORD}\r`);
    expect(await peer.sees(PROMPT)).not.to.contain(PASSWORD.slice(0, 3));
  });

  it('gives three tries, and answers unknown names and wrong passwords alike', async () => {
    await using door = await Door.open();
    const peer = await door.dial();
    await peer.login('alice', 'wrong');
    await peer.login('nobody-of-that-name', 'wrong');
    await peer.login('-f root', 'wrong');
    const rest = await peer.untilClosed();
    expect(rest).to.match(/^\r\nwrong name or password\r\n$/);
    expect(peer.text.match(/wrong name or password/g)?.length).to.equal(3);
  });

  it('makes guessers wait, and not those who logged in from there before', async () => {
    await using door = await Door.open();
    await door.login('alice');
    for (let round = 0; round < 2; round++) {
      const guesser = await door.dial({ from: '127.0.0.2' });
      for (let tries = 0; tries < 3; tries++) await guesser.login('alice', `guess ${tries}`);
      await guesser.untilClosed();
    }
    const guesser = await door.dial({ from: '127.0.0.2' });
    await guesser.login('alice', PASSWORD);
    expect(await guesser.untilClosed()).to.match(/too many wrong passwords, try again in \d+ s/);
    const owner = await door.dial();
    await owner.login('alice');
    await owner.sees('Your sessions:');
  });

  it('gives up on whoever does not log in', async () => {
    await using door = await Door.open({ limits: { loginMs: 100 } });
    const peer = await door.dial();
    expect(await peer.untilClosed()).to.contain('That took too long.');
  });

  it('lets only so many wait at the login, and others in all the same', async () => {
    await using door = await Door.open({ limits: { loginsPerAddress: 2 } });
    await (await door.dial()).sees('login: ');
    await (await door.dial()).sees('login: ');
    expect(await (await door.dial()).untilClosed()).to.contain('Too many logins at once');
    await (await door.dial({ from: '127.0.0.2' })).sees('login: ');
  });

  it('refuses passwords over a network that can read them', async () => {
    await using door = await Door.open();
    expect(await door.seenFrom('192.0.2.1')).to.contain('takes no passwords');
    await using open = await Door.open({ insecure: true });
    expect(await open.seenFrom('192.0.2.1')).to.contain('login: ');
  });

  it('will not listen where that would be unsafe', async () => {
    const opening = (options: object): Promise<string> =>
      Door.open(options).then(
        async (door) => {
          await door[Symbol.asyncDispose]();
          return 'listens';
        },
        (error: Error) => error.message,
      );
    expect(await opening({ host: '0.0.0.0' })).to.contain('reads the passwords');
    expect(await opening({ host: '127.0.0.1' })).to.equal('listens');
    if (process.getuid?.() === 0) expect(await opening({ allowRoot: false })).to.contain('is root');
  });

  it('writes who did what to a log that only its owner reads, without anything typed', async () => {
    let text = '';
    {
      await using door = await Door.open();
      const peer = await door.dial();
      await peer.login('alice', 'my other password');
      await peer.login(PASSWORD, 'typed the password as the name');
      await peer.login('alice');
      await peer.sees(PROMPT);
      await peer.run('echo something secret');
      peer.send(data('exit\r'));
      await peer.untilClosed();
      text = await readFile(door.auditPath, 'utf8');
      expect((await stat(door.auditPath)).mode & 0o777).to.equal(0o600);
    }
    const events = text
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { event: string }).event);
    expect(events).to.deep.equal([
      'listening',
      'connected',
      'negotiated',
      'login-failed',
      'login-failed',
      'login',
      'created',
      'attached',
      'detached',
      'ended',
    ]);
    for (const secret of [PASSWORD, 'my other password', 'typed the password', 'something secret']) expect(text).not.to.contain(secret);
    expect(firstBrokenLine(text)).to.equal(0);
    const lines = text.trim().split('\n');
    expect(firstBrokenLine([...lines.slice(0, 3), ...lines.slice(4)].join('\n'))).to.equal(4);
    expect(firstBrokenLine(text.replace('"alice"', '"mallory"'))).to.be.above(1);
  });
});
