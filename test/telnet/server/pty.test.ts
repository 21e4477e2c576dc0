// The pty of the telnet server: nothing of the output is lost, nothing blocks, nothing leaks into other programs.

import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { expect } from 'chai';
import type { Launch } from '../../../examples/telnet/server/account.ts';
import { Pty, type PtyExit } from '../../../examples/telnet/server/pty.ts';
import { eventually, turns } from '../../support/net.ts';

const SIZE = { columns: 80, rows: 24 };
const environment = { PATH: '/usr/local/bin:/usr/bin:/bin', TERM: 'xterm' };

class Program {
  readonly pty: Pty;
  readonly output: Buffer[] = [];
  exit: PtyExit | null = null;

  constructor(script: string, identity: Launch['identity'] = null) {
    this.pty = new Pty({ command: ['/bin/sh', '-c', script], environment, directory: '/', identity }, SIZE, {
      output: (bytes) => this.output.push(bytes),
      exited: (exit) => {
        this.exit = exit;
      },
    });
  }

  get text(): string {
    return Buffer.concat(this.output).toString('latin1');
  }

  async sees(text: string): Promise<void> {
    await eventually(() => this.text.includes(text));
  }

  async ended(): Promise<PtyExit> {
    await eventually(() => this.exit !== null);
    return this.exit as PtyExit;
  }
}

describe('telnet server: pty', function () {
  this.timeout(20_000);

  it('gives all output before the exit, however short the program lives', async () => {
    for (let round = 0; round < 40; round++) {
      const program = new Program(`seq 1 ${50 * round}; printf END; exit 7`);
      expect(await program.ended()).to.deep.equal({ code: 7, signal: null });
      const lines = Array.from({ length: 50 * round }, (_, index) => `${index + 1}\r\n`).join('');
      expect(program.text).to.equal(`${lines}END`);
    }
  });

  it('gives it also where nobody was reading when the program ended', async () => {
    const program = new Program('seq 1 400; printf END');
    program.pty.pause();
    await program.ended();
    expect(program.text.endsWith('400\r\nEND')).to.equal(true);
  });

  it('holds a program up that writes more than is read', async () => {
    const program = new Program('yes & sleep 0.1; kill $!; wait; echo gone');
    program.pty.pause();
    await turns(50);
    const before = program.text.length;
    await turns(50);
    expect(program.text.length).to.equal(before);
    program.pty.resume();
    await program.sees('gone');
    await program.ended();
  });

  it('takes a mebibyte that is typed while nobody reads it, without stopping anything else, and gives it unchanged', async () => {
    const typed = Buffer.alloc(
      1_048_576,
      'The quick brown fox jumps over the lazy dog, and \xff\x00\x03\x04\x11\x13 are bytes as well. ',
      'latin1',
    );
    const program = new Program(
      `stty raw -echo; trap 'head -c ${typed.length} | sha1sum; exit' USR1; echo up; while :; do sleep 0.01; done`,
    );
    await program.sees('up');
    program.pty.write(typed);
    // A write that blocks never gets here: who reads is told by us.
    await eventually(() => program.pty.stuck);
    await turns(100);
    expect(program.pty.inputBytes).to.be.above(900_000);
    process.kill(program.pty.pid, 'SIGUSR1');
    await program.ended();
    expect(program.text).to.contain(createHash('sha1').update(typed).digest('hex'));
  });

  it('can forget what a program has not read, and still interrupt it', async () => {
    const program = new Program("stty raw -echo isig; echo up; trap 'echo interrupted; exit 5' INT; while :; do sleep 0.01; done");
    await program.sees('up');
    program.pty.write(Buffer.alloc(300_000, 'x'));
    await eventually(() => program.pty.stuck);
    expect(program.pty.inputBytes).to.be.above(100_000);
    program.pty.discardInput();
    program.pty.interrupt();
    expect((await program.ended()).code).to.equal(5);
    expect(program.text).to.contain('interrupted');
  });

  it('resizes, and does not fall over a program that has ended', async () => {
    const program = new Program('trap "stty size; exit" WINCH; echo up; while :; do sleep 0.01; done');
    await program.sees('up');
    program.pty.resize({ columns: 132, rows: 43 });
    await program.ended();
    expect(program.text).to.contain('43 132');
    program.pty.resize(SIZE);
    program.pty.write(Buffer.from('late'));
    program.pty.hangUp();
    program.pty.kill();
    program.pty.interrupt();
    expect(program.pty.inputBytes).to.equal(0);
  });

  it('is the controlling terminal: ^C works, and the end of the terminal ends the program', async () => {
    const program = new Program('echo up; exec cat');
    await program.sees('up');
    program.pty.write(Buffer.of(0x03));
    expect((await program.ended()).code).to.not.equal(0);
    const other = new Program('echo up; exec cat');
    await other.sees('up');
    other.pty.hangUp();
    await other.ended();
  });

  it('tells where a program cannot be started', async () => {
    const exits: PtyExit[] = [];
    const events = { output: () => {}, exited: (exit: PtyExit) => exits.push(exit) };
    new Pty({ command: ['/no/such/program'], environment, directory: '/', identity: null }, SIZE, events);
    await eventually(() => exits.length > 0);
    expect(exits[0]?.code).to.equal(127);
  });

  it('shows no program the terminal of another, and leaves no descriptor behind', async () => {
    const before = readdirSync('/proc/self/fd').length;
    const first = new Program('echo up; exec cat');
    await first.sees('up');
    const second = new Program('for fd in /proc/self/fd/*; do readlink $fd; done | sort | uniq -c; tty');
    await second.ended();
    expect(second.text).to.match(/\/dev\/pts/);
    expect(second.text).not.to.contain('ptmx');
    expect(new Set(second.text.match(/\/dev\/pts\/\d+/g)).size).to.equal(1);
    first.pty.hangUp();
    await first.ended();
    await eventually(() => readdirSync('/proc/self/fd').length <= before);
  });
});
