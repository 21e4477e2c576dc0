// Too much of everything: output that nobody can read that fast, and peers that send what no client sends. Bounded, and nobody else is hurt.

import { expect } from 'chai';
import { Command, Option } from '../../../examples/telnet/protocol.ts';
import { command, negotiation, subnegotiation } from '../../../examples/telnet/telnet.ts';
import { eventually } from '../../support/net.ts';
import { hex } from '../support.ts';
import { Door, PASSWORD, PROMPT, type TelnetPeer } from './support.ts';

/** What a peer does before anybody knows it; `cut`: the server hangs up. */
interface Attack {
  readonly name: string;
  readonly cut: boolean;
  readonly make: (peer: TelnetPeer) => void;
}

const MIB = 1_048_576;

const attacks: readonly Attack[] = [
  {
    name: 'an option storm that is answered with refusals',
    cut: true,
    make: (peer) => {
      for (let round = 0; round < 20; round++) {
        for (let option = 0; option < 256; option++) peer.send(negotiation(round % 2 === 0 ? 'do' : 'dont', option));
      }
    },
  },
  {
    name: 'ECHO on and off for ever',
    cut: true,
    make: (peer) => {
      for (let round = 0; round < 5_000; round++) peer.send(negotiation('dont', Option.echo), negotiation('do', Option.echo));
    },
  },
  {
    name: 'a mebibyte of an unterminated subnegotiation',
    cut: true,
    make: (peer) => peer.type(Buffer.concat([hex('ff fa 18 00'), Buffer.alloc(MIB, 'x')])),
  },
  {
    name: 'DO TIMING-MARK without end, reading nothing',
    cut: true,
    make: (peer) => {
      peer.socket.pause();
      peer.type(Buffer.alloc(600_000, hex('ff fd 06')));
    },
  },
  {
    name: 'sizes without end',
    cut: true,
    make: (peer) => {
      for (let round = 0; round < 5_000; round++) peer.resize(80 + (round % 100), 24);
    },
  },
  {
    name: '300 SLC triplets',
    cut: false,
    make: (peer) => peer.send(negotiation('will', Option.linemode), subnegotiation(Option.linemode, 3, Buffer.alloc(900, hex('01 02 03')))),
  },
  {
    name: 'ARE YOU THERE ten thousand times',
    cut: false,
    make: (peer) => peer.type(Buffer.alloc(20_000, hex('ff f6'))),
  },
  {
    name: 'ERASE CHARACTER and ERASE LINE as the first bytes',
    cut: false,
    make: (peer) => peer.type(hex('ff f7 ff f8 ff f7 ff f8')),
  },
  {
    name: 'every command there is, and such as are not',
    cut: false,
    make: (peer) => {
      // IP and BRK at the login are ^C, which leaves it.
      for (let byte = 0; byte < 250; byte++) if (byte !== Command.interrupt && byte !== Command.brk) peer.type(Buffer.of(0xff, byte));
    },
  },
  {
    name: 'four mebibytes of nothing in particular',
    cut: false,
    make: (peer) => peer.type(Buffer.alloc(4 * MIB, 'a')),
  },
];

describe('telnet server: floods', function () {
  this.timeout(30_000);

  for (const { name, cut, make } of attacks) {
    it(`${name}: ${cut ? 'hung up' : 'borne'}, and others are not hurt`, async () => {
      await using door = await Door.open();
      const other = await door.login('bob');
      const peer = await door.dial();
      await peer.sees('login: ');
      make(peer);
      expect(await other.run('echo still here')).to.equal('still here\n');
      if (cut) {
        peer.socket.resume();
        await peer.untilClosed();
      }
      await door.login('alice');
      expect(door.server.connections).to.equal(cut ? 2 : 3);
    });
  }

  it('an attacker inside a session cannot hurt others either', async () => {
    await using door = await Door.open();
    const other = await door.login('bob');
    for (const { make } of attacks) make(await door.login('alice+work'));
    expect(await other.run('echo still here')).to.equal('still here\n');
  });

  it('a subnegotiation that is begun and never ended is hung up after a while', async () => {
    await using door = await Door.open({ limits: { heartbeatMs: 150 } });
    // Any command would end it, so also an answer to a TIMING-MARK.
    const peer = await door.dial({ pongs: false });
    await peer.sees('login: ');
    peer.type(hex('ff fa 18 00'));
    await peer.untilClosed();
    expect(peer.text).not.to.contain('too long');
  });

  it('a client that answered before and then is silent is detached; one that never answers is not', async () => {
    await using door = await Door.open({ limits: { heartbeatMs: 100 } });
    const silent = await door.login('alice+silent');
    const deaf = await door.login('bob+deaf', { pongs: false });
    await eventually(() => silent.events.filter((event) => event.kind === 'negotiation' && event.option === Option.timingMark).length >= 3);
    silent.send(command(Command.areYouThere));
    await silent.sees(/\[session silent, 1 attached, \d+ s old, \d+ ms away\]/);
    silent.socket.pause();
    await eventually(() => door.server.shells.of('alice')[0]?.detachedMs !== null);
    expect(await deaf.run('echo here')).to.equal('here\n');
  });

  it('^C ends a flood at once for a client that reads', async () => {
    await using door = await Door.open();
    const peer = await door.login();
    for (let round = 0; round < 2; round++) {
      peer.type('yes "a line of many" \r');
      const before = peer.bytes;
      await eventually(() => peer.bytes > before + MIB / 4);
      peer.type('\x03');
      const typedMs = performance.now();
      await peer.sees(`^C\r\n${PROMPT}`);
      // Measured: 5 to 40 ms. A flood that is read to its end takes seconds.
      expect(performance.now() - typedMs).to.be.below(1_500);
    }
  });

  it('^C and IP end it for a client that reads slowly: what waits is dropped, and the screen is painted', async () => {
    await using door = await Door.open();
    const peer = await door.login();
    for (const interrupt of [(): void => peer.type('\x03'), (): void => peer.send(command(Command.interrupt))]) {
      peer.type('yes "a line of many"\r');
      await peer.sees('a line of many\r\na line');
      peer.socket.pause();
      const shell = door.server.shells.of('alice')[0];
      const stopped = async (): Promise<number> => {
        const before = shell?.outputBytes ?? 0;
        await new Promise((resolve) => setTimeout(resolve, 50));
        return (shell?.outputBytes ?? 0) - before;
      };
      // Not only slow for a moment: the program waits.
      while ((await stopped()) > 0 || ![...(shell?.viewers ?? [])].some((viewer) => viewer.holdsUp));
      interrupt();
      await eventually(() => shell?.screen.lastLine === PROMPT.trimEnd());
      peer.socket.resume();
      await peer.sees('\x1b[?2026l');
      await peer.run('true');
    }
  });

  it('a program waits for a writer that does not read, not for a watcher', async () => {
    await using door = await Door.open();
    const writer = await door.login('alice+work');
    writer.keep = false;
    const watcher = await door.dial();
    await watcher.login('alice');
    await watcher.sees('session: ');
    watcher.type('1w\r');
    await watcher.sees('\x1b[?2026l');
    watcher.socket.pause();
    writer.type('yes "a line of many" | head -c 4000000; echo\r');
    await eventually(() => writer.bytes > 4_000_000);
    watcher.socket.resume();
    await watcher.sees('\x1b[?2026l');
    expect(watcher.bytes).to.be.below(2_000_000);
  });

  it('a program does not wait for ever for a writer that reads nothing, and what he sees then is how it ended', async () => {
    await using door = await Door.open({ limits: { holdUpMs: 100 } });
    const peer = await door.login('alice+work');
    peer.keep = false;
    peer.type('yes "a line of many" | head -c 4000000; echo; echo "it ended"\r');
    await eventually(() => peer.bytes > 10_000);
    peer.socket.pause();
    const shell = door.server.shells.of('alice')[0];
    await eventually(() => (shell?.outputBytes ?? 0) > 4_000_000 && shell?.screen.lastLine === PROMPT.trimEnd());
    peer.keep = true;
    peer.socket.resume();
    // It may have been painted in the middle as well.
    await peer.sees('it ended\r\n');
    expect(peer.text).to.contain('\x1b[?2026h');
  });

  it('a paste of a mebibyte arrives whole', async () => {
    await using door = await Door.open();
    const peer = await door.login();
    const paste = Buffer.alloc(MIB, `${PASSWORD} and ~d and more\n~.\n`);
    peer.type(`stty raw -echo; echo up; sleep 0.2; head -c ${paste.length} | sha1sum; stty sane\r`);
    await peer.sees('up\n');
    peer.type(paste);
    const { createHash } = await import('node:crypto');
    await peer.sees(createHash('sha1').update(paste).digest('hex'));
  });
});
