// Our client whole, against our server, at a terminal made of memory: what is typed offline, what is thrown away, detaching and going on in
// another client, and servers that are none.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { runTelnetClient } from '../../../examples/telnet/client/client.ts';
import type { Terminal, TerminalListener } from '../../../examples/telnet/client/terminal.ts';
import { ChaosProxy } from '../../../lib/testing/chaos-proxy.ts';
import { eventually } from '../../support/net.ts';
import { Door, PASSWORD, PROMPT } from '../server/support.ts';

class Desk implements Terminal {
  readonly interactive = true;
  readonly size = { columns: 80, rows: 24 };
  text = '';
  #listener: TerminalListener | null = null;

  open(listener: TerminalListener): void {
    this.#listener = listener;
  }

  async write(bytes: Uint8Array | string): Promise<void> {
    this.text += Buffer.from(bytes as string).toString('latin1');
  }

  pause(): void {}
  resume(): void {}

  close(): void {
    this.#listener = null;
  }

  type(text: string): void {
    this.#listener?.typed(Buffer.from(text));
  }

  /** Waits for text, and forgets all up to it. */
  async sees(what: string): Promise<void> {
    await eventually(() => this.text.includes(what));
    this.text = this.text.slice(this.text.indexOf(what) + what.length);
  }

  async login(): Promise<void> {
    await this.sees('login: ');
    this.type('alice\r');
    await this.sees('password: ');
    this.type(`${PASSWORD}\r`);
    await this.sees(PROMPT);
  }
}

describe('telnet client', function () {
  this.timeout(30_000);
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'outlast-client-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  function start(port: number): { readonly desk: Desk; readonly code: Promise<number> } {
    const desk = new Desk();
    return { desk, code: runTelnetClient({ host: '127.0.0.1', port, terminal: desk, folder, environment: { TERM: 'xterm' } }) };
  }

  it('keeps what is typed offline, shows it, drops it on ~c, and sends the rest once', async () => {
    await using door = await Door.open();
    await using proxy = new ChaosProxy({ target: { port: door.port } });
    await proxy.listen();
    const { desk, code } = start(proxy.port);
    await desk.login();
    proxy.pauseAccepting('refuse');
    proxy.cutAll();
    await desk.sees('offline');
    desk.type('echo un""wanted');
    await desk.sees('~c drops: echo un""wanted');
    desk.type('\r~c');
    desk.type('echo wan""ted\r');
    await desk.sees('~c drops: echo wan""ted');
    await proxy.resumeAccepting();
    desk.type('\r');
    await desk.sees('wanted\r\n');
    desk.type('echo la""st\r');
    await desk.sees('last\r\n');
    expect(desk.text).to.not.include('unwanted');
    desk.type('exit\r');
    expect(await code).to.equal(0);
    expect(readdirSync(folder)).to.deep.equal([]);
  });

  it('detaches on ~d, and another client goes on without a login', async () => {
    await using door = await Door.open();
    const first = start(door.port);
    await first.desk.login();
    first.desk.type('mark=kept\r');
    await first.desk.sees(PROMPT);
    first.desk.type('~d');
    expect(await first.code).to.equal(0);
    await first.desk.sees('[outlast: detached; the same command takes it up again]');
    const [name] = readdirSync(folder) as [string];
    // This process lives, and so would keep its session.
    const path = join(folder, name);
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), owner: '4194305 1' }));
    const second = start(door.port);
    await second.desk.sees(PROMPT);
    second.desk.type('echo "[$mark]"\r');
    await second.desk.sees('[kept]');
    expect(second.desk.text).to.not.include('login');
    second.desk.type('exit\r');
    expect(await second.code).to.equal(0);
  });

  it('says so where a plain telnet server or nobody answers', async () => {
    const plain = createServer((socket) => {
      socket.on('error', () => {});
      socket.end(Buffer.of(0xff, 0xfb, 0x01, 0xff, 0xfb, 0x03));
    });
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    const { port } = plain.address() as { readonly port: number };
    const stranger = start(port);
    expect(await stranger.code).to.equal(1);
    await stranger.desk.sees('is no Outlast server but a plain telnet server: use telnet(1)');
    await new Promise((resolve) => plain.close(resolve));
    const nobody = start(port);
    expect(await nobody.code).to.equal(1);
    await nobody.desk.sees('ECONNREFUSED');
  });
});
