// Holes that telnet servers really had, against the whole server over a socket: what was sent then, and that nothing comes of it but a login.
// The codec's part of the same list is in test/telnet/security.test.ts.

import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { environment } from '../../../examples/telnet/environ.ts';
import { Command, Option } from '../../../examples/telnet/protocol.ts';
import { command, negotiation, subnegotiation, type TelnetEvent } from '../../../examples/telnet/telnet.ts';
import { Door, PROMPT, type TelnetPeer } from './support.ts';

/** Sent before the login; a login must then work as if nothing had been sent. */
const before: Readonly<Record<string, readonly TelnetEvent[]>> = {
  'CVE-2011-4862: an ENCRYPT key id that overflows': [
    negotiation('will', 38),
    negotiation('do', 38),
    subnegotiation(38, 7, Buffer.alloc(400, 'A')),
    subnegotiation(38, 0, Buffer.alloc(400, 'A')),
  ],
  'CVE-2026-32746 and CVE-2005-0469: SLC triplets before the login': [
    negotiation('will', Option.linemode),
    subnegotiation(Option.linemode, 3, Buffer.alloc(900, Buffer.of(1, 2, 3))),
    subnegotiation(Option.linemode, 3, Buffer.alloc(900, Buffer.of(0, 3, 0))),
  ],
  'CVE-2022-39028: erasing where there is no terminal': [command(Command.eraseCharacter), command(Command.eraseLine)],
  'CVE-2020-10188 and CVE-2001-0554: urgent data and questions that fill a reply buffer': Array.from({ length: 100 }, () => [
    command(Command.areYouThere),
    command(Command.dataMark),
    command(Command.abortOutput),
  ]).flat(),
  'telnetlib3: an empty subnegotiation': [subnegotiation(Option.terminalType), subnegotiation(Option.windowSize)],
  'compression and the rest of what is not here': [85, 86, 87, 201, 35, 36, 37, 44].flatMap((option) => [
    negotiation('will', option),
    negotiation('do', option),
    subnegotiation(option, 1),
  ]),
};

async function logsIn(peer: TelnetPeer): Promise<void> {
  await peer.login('alice');
  await peer.sees(PROMPT);
  expect(await peer.run('echo works')).to.equal('works\n');
}

describe('telnet server: holes of the past', function () {
  this.timeout(20_000);

  for (const [name, events] of Object.entries(before)) {
    it(name, async () => {
      await using door = await Door.open();
      const peer = await door.dial();
      peer.send(...events);
      await logsIn(peer);
    });
  }

  for (const user of ['-f root', '-froot', 'root -f', '-p', 'alice\nroot', '../alice', 'alice;id', '$(id)', 'a'.repeat(200)]) {
    it(`CVE-2026-24061 and CVE-2007-0882: the user ${JSON.stringify(user.slice(0, 12))} is asked who he is`, async () => {
      await using door = await Door.open();
      const peer = await door.dial({ variables: { USER: user } });
      expect(await peer.sees('login: ')).to.match(/^login: $/);
      peer.type('alice\r');
      await peer.sees('password: ');
      peer.type('wrong\r');
      await peer.sees('wrong name or password');
    });
  }

  it('CVE-2026-28372, CVE-1999-0073 and their kind: no variable of a client gets to a program, and it is noted', async () => {
    await using door = await Door.open();
    const names = [
      'CREDENTIALS_DIRECTORY',
      'LD_PRELOAD',
      'LD_LIBRARY_PATH',
      'TERMCAP',
      'IFS',
      'ENV',
      'BASH_ENV',
      'PATH',
      'HOME',
      'SHELL',
      'TTYPROMPT',
    ];
    const peer = await door.login('alice', { variables: Object.fromEntries(names.map((name) => [name, '/tmp/evil'])) });
    expect(await peer.run('tr "\\0" "\\n" < /proc/$$/environ | grep -c evil')).to.equal('0\n');
    peer.type('exit\r');
    await peer.untilClosed();
    const log = await readFile(door.auditPath, 'utf8');
    expect(log).to.match(/"event":"suspicious".*"variables":\["CREDENTIALS_DIRECTORY","LD_PRELOAD"/);
  });

  it('FreeBSD-SA-00:69: a terminal type is a name and never a path', async () => {
    await using door = await Door.open();
    const peer = await door.login('alice', { terminal: '../../tmp/evil' });
    expect(await peer.run('echo $TERM')).to.equal('vt100\n');
  });

  it('variables that come after the login change nothing', async () => {
    await using door = await Door.open();
    const peer = await door.login('alice');
    peer.send(
      environment([
        { name: 'USER', value: 'bob' },
        { name: 'LD_PRELOAD', value: '/tmp/evil' },
      ]),
    );
    expect(await peer.run('echo "$USER $LD_PRELOAD"')).to.match(/^\w+ \n$/);
  });

  it('CVE-2021-40523: every option is answered, and CVE-2021-38387: who goes away is hung up on', async () => {
    await using door = await Door.open();
    const peer = await door.dial({ negotiate: false });
    for (let option = 50; option < 150; option++) peer.send(negotiation('do', option), negotiation('will', option));
    await peer.sees('login: ');
    peer.send(negotiation('do', Option.timingMark));
    while (!peer.events.some((event) => event.kind === 'negotiation' && event.verb === 'will' && event.option === Option.timingMark)) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    const refused = peer.events.filter((event) => event.kind === 'negotiation' && event.option >= 50 && event.option < 150);
    expect(refused.length).to.equal(200);
    peer.socket.end();
    await peer.untilClosed();
  });

  it('what a program puts into a title does nothing to whoever lists it', async () => {
    await using door = await Door.open();
    const peer = await door.login('alice+work');
    await peer.run("printf '\\033]2;evil\\033[31m\\007\\033]2;a\\302\\233b\\007'");
    peer.type('~l');
    const list = await peer.sees('80x24');
    expect(list.slice(list.indexOf('work'))).not.to.match(/evil.*31m/);
  });
});
