// Real telnet clients of Debian against our server, each at a terminal of its own: login, resize, ^C, bytes, a paste, escapes, line mode and
// exit. A client that is not there fails: nothing is skipped.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { PASSWORD, PROMPT } from '../telnet/server/support.ts';
import { Program, ServerProcess } from './telnet-support.ts';

interface Client {
  readonly words: (port: number) => readonly string[];
  /** Tells the server when its window changes. */
  readonly resizes: boolean;
  /**
   * What is pasted: 1 MiB, or 64 KiB where the client takes a write or longer for every few keys (libtelnet, TinTin++) or stalls at more
   * (Kermit). screen loses keys of more than its own buffer holds.
   */
  readonly pasteBytes: number;
  /** Passes FF on. TinTin++ deletes it; curl and the like have no terminal. */
  readonly passesFf: boolean;
  /** Stays when the server has hung up, and is left with this. */
  readonly leave?: string;
}

const MIB = 1_048_576;
const root = fileURLToPath(new URL('../..', import.meta.url));
const usual = { resizes: true, pasteBytes: MIB, passesFf: true };
const slow = { ...usual, pasteBytes: MIB / 16 };

const clients: Readonly<Record<string, Client>> = {
  'GNU inetutils telnet': { ...usual, words: (port) => ['inetutils-telnet', '127.0.0.1', `${port}`] },
  'netkit telnet-ssl': { ...usual, words: (port) => ['telnet-ssl', '127.0.0.1', `${port}`] },
  "PuTTY's plink": { ...usual, words: (port) => ['plink', '-telnet', '-l', 'alice', '-P', `${port}`, '127.0.0.1'] },
  busybox: { ...usual, resizes: false, words: (port) => ['busybox', 'telnet', '127.0.0.1', `${port}`] },
  'C-Kermit': { ...slow, words: (port) => ['kermit', '-Y', '-H', '-C', `set host /connect 127.0.0.1 ${port} /telnet, exit`] },
  "libtelnet's telnet-client": { ...slow, resizes: false, words: (port) => ['telnet-client', '127.0.0.1', `${port}`] },
  'TinTin++': { ...slow, passesFf: false, leave: '#end\r', words: (port) => ['tt++', '-G', '-e', `#session {r} {127.0.0.1} {${port}}`] },
  screen: {
    ...slow,
    pasteBytes: 4_096,
    passesFf: false,
    words: (port) => ['screen', '-c', '/dev/null', '//telnet', '127.0.0.1', `${port}`],
  },
  'our client': { ...usual, words: (port) => [process.execPath, '--import', 'tsx', 'examples/telnet/client/main.ts', `127.0.0.1:${port}`] },
};

function start(client: Client, port: number): Program {
  return new Program(client.words(port), {}, root);
}

/** Text that no client takes for an escape: no line begins in it. */
function pasteOf(bytes: number): string {
  const seed = createHash('sha256').update('a paste').digest('hex');
  return seed.repeat(bytes / seed.length);
}

/** Sets the remote terminal so that it passes every byte, and runs a command that reads so many. */
async function feed(program: Program, reader: string, bytes: Buffer | string): Promise<string> {
  program.type(`stty raw -echo; echo "[rea""dy]"; ${reader}; stty sane; echo "[do""ne]"\r`);
  await program.sees('[ready]');
  await program.typeAll(bytes);
  const seen = await program.sees('[done]');
  await program.sees(PROMPT);
  return seen;
}

/** Runs something that only ^C ends. A ^C that comes while the shell is still starting it is the shell's. */
async function interruptible(program: Program): Promise<void> {
  program.type('sh -c \'echo "[run""ning]"; exec sleep 1000\'; echo sle""pt\r');
  await program.sees('[running]');
  await sleep(200);
}

describe('telnet clients', function () {
  this.timeout(90_000);

  for (const [name, client] of Object.entries(clients)) {
    it(`${name}: login, resize, ^C, bytes, a paste, exit`, async () => {
      await using server = await ServerProcess.start();
      await using program = start(client, server.port);
      await program.login();
      expect(await program.run('stty size')).to.match(/(^|\n)24 80$/);

      program.resize(132, 43);
      if (client.resizes) await program.until('stty size', /(^|\n)43 132$/);
      else expect(await program.run('stty size')).to.match(/(^|\n)24 80$/);

      await interruptible(program);
      program.type('\u0003');
      expect(await program.sees(PROMPT)).to.not.include('slept');

      const word = Buffer.from(client.passesFf ? 'grün 世\u00ff' : 'grün 世', 'utf8');
      const odd = client.passesFf ? Buffer.concat([word, Buffer.of(0xff, 0xff, 0xf0, 0xff)]) : word;
      const dump = await feed(program, `head -c ${odd.length} | od -An -v -tx1 -w64`, odd);
      expect(dump.replaceAll(/\s/g, '')).to.include(odd.toString('hex'));

      const paste = pasteOf(client.pasteBytes);
      await server.delay();
      await sleep(200);
      const idle = await server.delay();
      const seen = await feed(program, `head -c ${paste.length} | sha256sum`, paste);
      const { percentileMs } = await server.delay();
      expect(seen).to.include(createHash('sha256').update(paste).digest('hex'));
      // What the machine does to an idle process it does to a busy one as well.
      expect(percentileMs, 'event loop of the server while it was pasted to').to.be.below(20 + 2 * idle.longestMs);

      program.type('exit\r');
      if (client.leave === undefined) {
        await program.gone;
      } else {
        await program.sees('ended');
        program.type(client.leave);
        await program.gone;
      }
    });
  }

  it('netcat: login and commands from a pipe, without any telnet', async () => {
    await using server = await ServerProcess.start();
    const input = `alice\n${PASSWORD}\nexpr 6 \\* 7\nexit\n`;
    await using program = new Program(['sh', '-c', `printf '%s' '${input}' | nc -N 127.0.0.1 ${server.port}`]);
    await program.sees(/42\r/);
    await program.gone;
  });

  it('curl: login, and a megabyte whose hash is the same', async () => {
    await using server = await ServerProcess.start();
    const curl = spawn('curl', ['-sN', `telnet://127.0.0.1:${server.port}`], { stdio: ['pipe', 'pipe', 'inherit'], timeout: 30_000 });
    let text = '';
    curl.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    // It shows whole lines only, so that no prompt is seen: what is typed ahead waits for its question.
    curl.stdin.write(`alice\n${PASSWORD}\nstty raw -echo; head -c ${MIB} | sha256sum; stty sane\n`);
    await sleep(1_500);
    const paste = pasteOf(MIB);
    curl.stdin.write(`${paste}exit\n`);
    // It writes what it has when it ends, which it does at the end of its input and not at that of the connection.
    await sleep(3_000);
    curl.stdin.end();
    await once(curl, 'close');
    expect(text).to.include(createHash('sha256').update(paste).digest('hex'));
  });

  for (const name of ['GNU inetutils telnet', 'netkit telnet-ssl']) {
    const client = clients[name] as Client;

    it(`${name}: commands of its escape`, async () => {
      await using server = await ServerProcess.start();
      await using program = start(client, server.port);
      await program.login();
      const send = async (what: string): Promise<void> => {
        program.type('\u001d');
        await program.sees(/telnet(-ssl)?> /);
        program.type(`send ${what}\r`);
      };
      await send('ayt');
      await program.sees(/\[[^\]]*session[^\]]*\]/);
      await interruptible(program);
      await send('ip');
      await program.sees(PROMPT);
      for (const harmless of ['nop', 'ga', 'eor']) await send(harmless);
      // Urgent data: neither its mark nor what Linux makes of it may reach the shell.
      await send('synch');
      expect(await program.run('echo un""hurt')).to.match(/(^|\n)unhurt$/);
      program.type('exit\r');
      await program.gone;
    });

    it(`${name}: line mode`, async () => {
      await using server = await ServerProcess.start();
      await using program = start(client, server.port);
      await program.login();
      program.type('\u001d');
      await program.sees(/telnet(-ssl)?> /);
      program.type('mode line\r');
      await sleep(300);
      program.type('expr 6 \\* 7\r');
      await program.sees(/42\r/);
      program.type('sleep 1000\r');
      await sleep(300);
      program.type('\u0003');
      // In line mode that is IAC IP and a question that has to be answered before the client shows anything again.
      await program.sees(PROMPT);
      // netkit ends itself when a line comes too soon behind.
      await sleep(300);
      program.type('expr 7 \\* 7\r');
      await program.sees(/49\r/);
      program.type('exit\r');
      await program.gone;
    });
  }

  it('C-Kermit: commands of its escape', async () => {
    await using server = await ServerProcess.start();
    await using program = start(clients['C-Kermit'] as Client, server.port);
    await program.login();
    program.type('\u001ca');
    await program.sees(/\[[^\]]*session[^\]]*\]/);
    await interruptible(program);
    program.type('\u001ci');
    await program.sees(PROMPT);
    program.type('exit\r');
    await program.gone;
  });
});
