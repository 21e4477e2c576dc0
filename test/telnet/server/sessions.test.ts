// Sessions of the telnet server: they outlive their clients, are found again by name, number or menu, are shared, taken over, and end.

import { expect } from 'chai';
import { Command } from '../../../examples/telnet/protocol.ts';
import { command, negotiation } from '../../../examples/telnet/telnet.ts';
import { eventually } from '../../support/net.ts';
import { Door, PROMPT, type TelnetPeer } from './support.ts';

/** Logs in to a session that is there, and waits until its screen was painted. */
async function back(door: Door, login: string, choice?: string): Promise<TelnetPeer> {
  const peer = await door.dial();
  await peer.login(login);
  if (choice !== undefined) {
    await peer.sees('session: ');
    peer.type(`${choice}\r`);
  }
  await peer.sees('\x1b[?2026l');
  return peer;
}

describe('telnet server: sessions', function () {
  this.timeout(20_000);

  it('go on when the terminal is closed, and are there again by name', async () => {
    await using door = await Door.open();
    const peer = await door.login('alice+work');
    await peer.run('x=kept; echo a line to see again');
    peer.socket.end();
    await eventually(() => door.server.shells.of('alice')[0]?.detachedMs !== null);
    const again = await back(door, 'alice+work');
    expect(again.text).to.contain('a line to see again');
    expect(await again.run('echo $x')).to.equal('kept\n');
    again.type('exit\r');
    expect(await again.untilClosed()).to.contain('[session work ended, exit 0]');
    const fresh = await door.login('alice+work');
    expect(await fresh.run('echo "<$x>"')).to.equal('<>\n');
  });

  it('go on when the connection is reset', async () => {
    await using door = await Door.open();
    const peer = await door.login('alice+work');
    peer.socket.resetAndDestroy();
    await eventually(() => door.server.shells.of('alice')[0]?.detachedMs !== null);
    expect(door.server.shells.size).to.equal(1);
  });

  it('are shown after the login with age, size, title and last line, to their owner alone', async () => {
    await using door = await Door.open();
    const peer = await door.login('alice+work', { columns: 91, rows: 31 });
    await peer.run("printf '\\033]2;my title\\007'; echo last words");
    peer.socket.end();
    await eventually(() => door.server.shells.of('alice')[0]?.detachedMs !== null);
    const again = await door.dial();
    await again.login('alice');
    const menu = await again.sees('session: ');
    expect(menu).to.match(/ 1 {2}work +detached for \d+ s, \d+ s old, 91x31 "my title"\r\n +\| ready\$\r\n/);
    again.type('7\r');
    await again.sees('There is no such session.');
    await again.sees('session: ');
    again.type('\r');
    await again.sees(PROMPT);
    expect(door.server.shells.of('alice').length).to.equal(2);
    const other = await door.login('bob');
    expect(other.text).not.to.contain('work');
    const thief = await door.login('bob+work');
    expect(await thief.run('echo $OUTLAST_SESSION; echo $$')).to.match(/^work\n/);
    expect(door.server.shells.of('bob').length).to.equal(2);
  });

  it('are left by the menu with q, and made by name with n', async () => {
    await using door = await Door.open();
    (await door.login('alice+work')).socket.end();
    const leaving = await door.dial();
    await leaving.login('alice');
    await leaving.sees('session: ');
    leaving.type('q\r');
    await leaving.untilClosed();
    const other = await door.dial();
    await other.login('alice');
    await other.sees('session: ');
    other.type('n play\r');
    await other.sees(PROMPT);
    expect(await other.run('echo $OUTLAST_SESSION')).to.equal('play\n');
  });

  it('are taken over by a second attach, and the first is told', async () => {
    await using door = await Door.open();
    const first = await door.login('alice+work');
    await first.run('x=kept');
    const second = await back(door, 'alice+work');
    expect(await first.untilClosed()).to.contain('[detached: taken over from 127.0.0.1]');
    expect(await second.run('echo $x')).to.equal('kept\n');
  });

  it('are joined where they are shared: both type, both see', async () => {
    await using door = await Door.open();
    const first = await door.login('alice+work');
    first.type('~s');
    await first.sees('[shared: who attaches next joins]');
    const second = await back(door, 'alice+work');
    second.type('echo from second\r');
    await first.sees('from second\r\n');
    await second.sees('from second\r\n');
    first.type('~s');
    await first.sees('[no longer shared');
    await back(door, 'alice+work');
    expect(await first.untilClosed()).to.contain('taken over');
    expect(await second.untilClosed()).to.contain('taken over');
  });

  it('are watched by somebody who cannot type', async () => {
    await using door = await Door.open();
    const writer = await door.login('alice+work');
    const watcher = await back(door, 'alice', '1w');
    watcher.type('echo from watcher\r');
    watcher.send(command(Command.interrupt));
    watcher.type('\r~.');
    await watcher.sees('[you only watch]');
    await writer.run('echo from writer');
    await watcher.sees('from writer\r\n');
    expect(writer.text).not.to.contain('from watcher');
    watcher.resize(200, 100);
    watcher.type('\r~d');
    await watcher.untilClosed();
    expect(await writer.run('stty size')).to.equal('24 80\n');
  });

  it('take the size of whoever typed last', async () => {
    await using door = await Door.open();
    const first = await door.login('alice+work', { columns: 100, rows: 40 });
    const second = await door.dial({ columns: 90, rows: 30 });
    await second.login('alice');
    await second.sees('session: ');
    second.type('1j\r');
    await second.sees('\x1b[?2026l');
    expect(await second.run('stty size')).to.equal('30 90\n');
    first.type('stty size\r');
    await first.sees('40 100\r\n');
    first.resize(101, 41);
    await eventually(() => door.server.shells.of('alice')[0]?.screen.size.columns === 101);
    first.socket.end();
    await eventually(() => door.server.shells.of('alice')[0]?.screen.size.columns === 90);
  });

  for (const [sizePolicy, size] of [
    ['smallest', '30 90\n'],
    ['largest', '40 100\n'],
  ] as const) {
    it(`take the ${sizePolicy} size where the server is told so`, async () => {
      await using door = await Door.open({ sizePolicy });
      const first = await door.login('alice+work', { columns: 100, rows: 40 });
      await first.run('true');
      const second = await door.dial({ columns: 90, rows: 30 });
      await second.login('alice');
      await second.sees('session: ');
      second.type('1j\r');
      await second.sees('\x1b[?2026l');
      expect(await second.run('stty size')).to.equal(size);
    });
  }

  it('hear the last of many sizes', async () => {
    await using door = await Door.open();
    const peer = await door.login();
    await peer.run("trap 'n=$((n+1))' WINCH; n=0");
    for (let columns = 81; columns <= 120; columns++) peer.resize(columns, 40);
    await eventually(() => door.server.shells.of('alice')[0]?.screen.size.columns === 120);
    expect(await peer.run('stty size; [ $n -le 4 ] && echo few')).to.equal('40 120\nfew\n');
  });

  it('are detached, hung up and listed by escapes', async () => {
    await using door = await Door.open();
    const peer = await door.login('alice+work');
    peer.type('~?');
    await peer.sees('~d  detach');
    peer.type('~l');
    await peer.sees('1  work       attached from 127.0.0.1');
    expect(await peer.run('echo ~~')).to.contain('~~');
    peer.type('~d');
    expect(await peer.untilClosed()).to.contain('[detached from work]');
    const again = await back(door, 'alice+work');
    again.type('\r~.');
    expect(await again.untilClosed()).to.match(/\[session work ended, (SIGHUP|exit \d+)\]/);
    expect(door.server.shells.size).to.equal(0);
  });

  it('are no more than so many for a user, and less for nobody else', async () => {
    await using door = await Door.open({ limits: { shellsPerUser: 2 } });
    await door.login('alice+one');
    await door.login('alice+two');
    const third = await door.dial();
    await third.login('alice+three');
    expect(await third.untilClosed()).to.contain('you have 2 sessions, end one first');
    await door.login('bob');
  });

  it('have no more than so many viewers', async () => {
    await using door = await Door.open({ limits: { viewersPerShell: 2 } });
    const first = await door.login('alice+work');
    first.type('~s');
    await first.sees('[shared');
    await back(door, 'alice+work');
    const third = await door.dial();
    await third.login('alice+work');
    expect(await third.untilClosed()).to.contain('too many are attached');
  });

  it('end when nobody came back, and not while somebody is there', async () => {
    await using door = await Door.open({ limits: { orphanMs: 50 } });
    await door.login('alice+left');
    const stays = await door.login('bob+stays');
    (await back(door, 'alice+left')).socket.end();
    await eventually(() => door.server.shells.of('alice').length === 0);
    expect(await stays.run('echo here')).to.equal('here\n');
  });

  it('lose a client that types nothing for too long, and go on', async () => {
    await using door = await Door.open({ limits: { idleMs: 200 } });
    const peer = await door.dial();
    await peer.login('alice+work');
    expect(await peer.untilClosed()).to.contain('[detached: nothing was typed for too long]');
    expect(door.server.shells.of('alice').length).to.equal(1);
  });

  it('answer commands as a person expects', async () => {
    await using door = await Door.open();
    const peer = await door.login('alice+work');
    peer.send(command(Command.areYouThere));
    await peer.sees(/\[session work, 1 attached, \d+ s old/);
    peer.type('garbage');
    peer.send(command(Command.eraseLine));
    peer.type('echo onX');
    peer.send(command(Command.eraseCharacter));
    peer.type('e\r');
    await peer.sees('one\r\n');
    await peer.sees(PROMPT);
    // Without exec, dash loses a ^C that comes while it starts the program.
    const sleep = async (): Promise<void> => {
      peer.type("sh -c 'echo up; exec sleep 100'\r");
      await peer.sees('up\r\n');
    };
    await sleep();
    peer.send(command(Command.interrupt), negotiation('do', 6));
    await peer.sees(PROMPT);
    expect(peer.events.some((event) => event.kind === 'negotiation' && event.verb === 'will' && event.option === 6)).to.equal(true);
    await sleep();
    peer.send(command(Command.brk));
    await peer.sees(PROMPT);
    peer.type('cat\r');
    peer.send(command(Command.eof));
    await peer.sees(PROMPT);
    await sleep();
    peer.send(command(Command.susp));
    await peer.sees('Stopped');
    peer.send(command(Command.abortOutput));
    await peer.sees('\x1b[?2026l');
    expect(peer.events.some((event) => event.kind === 'command' && event.command === Command.dataMark)).to.equal(true);
    await peer.run('kill %1');
  });

  it('get nothing of the server: not its variables, not its descriptors, not the terminals of others', async () => {
    process.env.OUTLAST_TEST_SECRET = 'leaked';
    try {
      await using door = await Door.open();
      await door.login('bob');
      const peer = await door.login('alice', { variables: { LANG: 'de_DE.UTF-8', LD_PRELOAD: '/tmp/x.so', HOME: '/tmp' } });
      const names = (await peer.run('tr "\\0" "\\n" < /proc/$$/environ | cut -d= -f1 | sort | xargs')).trim();
      expect(names).to.equal('HOME LANG LOGNAME OUTLAST_SESSION PATH PS1 PWD SHELL TERM USER');
      expect(await peer.run('echo $LANG')).to.equal('de_DE.UTF-8\n');
      const open = await peer.run('for fd in /proc/$$/fd/*; do readlink $fd; done | sort -u');
      const own = (await peer.run('tty')).trim();
      expect(
        open
          .trim()
          .split('\n')
          .filter((path) => path !== '/dev/null' && path !== '/dev/tty'),
      ).to.deep.equal([own]);
    } finally {
      delete process.env.OUTLAST_TEST_SECRET;
    }
  });

  it('never run as root', async () => {
    await using door = await Door.open({ runAs: 'root' }).catch(() => null as unknown as Door);
    if (process.getuid?.() !== 0) return;
    const peer = await door.dial();
    await peer.login('alice');
    expect(await peer.untilClosed()).to.contain('a shell is not run as root');
    await using other = await Door.open();
    expect(await (await other.login()).run('id -un')).to.equal('nobody\n');
  });

  it('end with the server, also where a program does not want to, and their clients are told', async () => {
    const door = await Door.open();
    const willing = await door.login('bob+willing');
    const peer = await door.login('alice');
    const pid = Number(await peer.run('echo $$'));
    await peer.run("trap '' HUP");
    const told = Promise.all([willing.untilClosed(), peer.untilClosed()]);
    await door[Symbol.asyncDispose]();
    expect(() => process.kill(pid, 0)).to.throw('ESRCH');
    const [first, second] = await told;
    expect(first).to.contain('[session willing ended');
    expect(second).to.contain('ended, SIGKILL]');
  });

  it('are no larger than a screen can be', async () => {
    await using door = await Door.open();
    const peer = await door.login('alice', { columns: 65_535, rows: 65_535 });
    expect(await peer.run('stty size')).to.equal('200 640\n');
  });
});
