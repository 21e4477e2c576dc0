// The telnet server under a resumable session: the same login and the same shell, and cuts that neither side sees.

import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { NvtInput } from '../../../examples/telnet/nvt.ts';
import { Option } from '../../../examples/telnet/protocol.ts';
import { windowSize } from '../../../examples/telnet/subnegotiation.ts';
import { data, negotiation, type TelnetEvent, telnet } from '../../../examples/telnet/telnet.ts';
import { terminalType } from '../../../examples/telnet/terminal-type.ts';
import { SessionClient } from '../../../lib/client.ts';
import type { Session } from '../../../lib/session.ts';
import { ChaosProxy } from '../../../lib/testing.ts';
import { eventually } from '../../support/net.ts';
import { Door, PASSWORD, PROMPT } from './support.ts';

/** As little of a client as logs in and reads. */
class Ours implements AsyncDisposable {
  readonly client: SessionClient<TelnetEvent>;
  readonly session: Session<TelnetEvent>;
  readonly #nvt = new NvtInput('\r\n');
  text = '';
  seen = 0;
  ended = false;

  private constructor(client: SessionClient<TelnetEvent>, session: Session<TelnetEvent>) {
    this.client = client;
    this.session = session;
    session.on('close', () => {
      this.ended = true;
    });
    void this.#read().catch(() => {});
  }

  static async open(port: number): Promise<Ours> {
    const limits = { messageBytes: 65_536, outboxHighWater: 16_384, socketBytes: 65_536 };
    const client = new SessionClient({ framing: telnet(), port, allowHalfOpen: true, window: 262_144, limits });
    return new Ours(client, await client.open());
  }

  async #read(): Promise<void> {
    for await (const event of this.session) {
      if (event.kind === 'data') this.text += this.#nvt.translate(event.bytes).toString('latin1');
      else this.#answer(event);
    }
    this.session.end();
  }

  #answer(event: TelnetEvent): void {
    if (event.kind === 'subnegotiation' && event.option === Option.terminalType) this.session.send(terminalType('xterm'));
    if (event.kind !== 'negotiation') return;
    const { verb, option } = event;
    const willing = [Option.terminalType, Option.windowSize, Option.suppressGoAhead].includes(option as 24);
    if (verb === 'do') this.session.send(negotiation(willing ? 'will' : 'wont', option));
    else if (verb === 'will') this.session.send(negotiation(option === Option.binary ? 'dont' : 'do', option));
    if (verb === 'do' && option === Option.windowSize) this.session.send(windowSize({ columns: 80, rows: 24 }));
  }

  type(text: string): void {
    this.session.send(data(text));
  }

  async sees(text: string): Promise<string> {
    await eventually(() => this.text.indexOf(text, this.seen) >= 0 || this.ended);
    const at = this.text.indexOf(text, this.seen);
    if (at < 0) throw new Error(`ended before ${JSON.stringify(text)}`);
    const before = this.text.slice(this.seen, at);
    this.seen = at + text.length;
    return before;
  }

  async login(name: string): Promise<void> {
    await this.sees('login: ');
    this.type(`${name}\r`);
    await this.sees('password: ');
    this.type(`${PASSWORD}\r`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.session.destroy();
  }
}

describe('telnet server: under a resumable session', function () {
  this.timeout(30_000);

  it('logs in, works, and ends with the shell', async () => {
    await using door = await Door.open();
    await using ours = await Ours.open(door.port);
    await ours.login('alice');
    await ours.sees(PROMPT);
    ours.type('stty size; exit 4\r');
    await ours.sees('24 80\r\n');
    await ours.sees('ended, exit 4]');
    await eventually(() => ours.ended);
  });

  it('gives and takes exactly what was typed and written, over fifty cuts', async () => {
    // Without perl: the repair of urgent data is to keep its hands off what is not telnet.
    await using door = await Door.open({ inlineUrgent: false });
    await using proxy = new ChaosProxy({ target: { port: door.port } });
    await using ours = await Ours.open(await proxy.listen());
    await ours.login('alice');
    await ours.sees(PROMPT);
    ours.type('stty -echo; cat > /dev/null; seq 1 30000; echo "typed: $(head -n 2000 | sha1sum)"\r');
    ours.type('\x04');
    const typed = Array.from({ length: 2_000 }, (_, index) => `this is line ${index}`);
    for (const [index, line] of typed.entries()) {
      if (!ours.session.send(data(`${line}\r`))) await ours.session.drained();
      if (index % 40 !== 0) continue;
      proxy.cutAll();
      await eventually(() => ours.session.state === 'detached');
      ours.client.nudge();
      await eventually(() => ours.session.state === 'attached');
    }
    await ours.sees(
      `typed: ${createHash('sha1')
        .update(`${typed.join('\n')}\n`)
        .digest('hex')}`,
    );
    const numbers = Array.from({ length: 30_000 }, (_, index) => `${index + 1}\r\n`).join('');
    expect(ours.text.includes(`1\r\n2\r\n`) && ours.text.includes(numbers)).to.equal(true);
    expect(ours.session.stats.resumes).to.be.at.least(50);
  });

  it('is offline in the list while it is cut, can be taken over, and learns of it', async () => {
    await using door = await Door.open();
    await using proxy = new ChaosProxy({ target: { port: door.port } });
    await using ours = await Ours.open(await proxy.listen());
    await ours.login('alice+work');
    await ours.sees(PROMPT);
    proxy.kill();
    const peer = await door.dial();
    await eventually(() => [...(door.server.shells.of('alice')[0]?.viewers ?? [])].every(({ connection }) => connection.offline));
    await peer.login('alice');
    expect(await peer.sees('session: ')).to.contain('offline from 127.0.0.1');
    peer.type('1\r');
    await peer.sees('\x1b[?2026l');
    await proxy.restart();
    await ours.sees('[detached: taken over from 127.0.0.1]');
    await eventually(() => ours.ended);
  });

  it('detaches when the client ends the session, and when it is gone for good', async () => {
    await using door = await Door.open({ limits: { holdMs: 100 } });
    const polite = await Ours.open(door.port);
    await polite.login('alice+polite');
    await polite.sees(PROMPT);
    polite.session.end();
    await eventually(() => door.server.shells.find('alice', 'polite')?.detachedMs !== null);
    const proxy = new ChaosProxy({ target: { port: door.port } });
    const gone = await Ours.open(await proxy.listen());
    await gone.login('alice+gone');
    await gone.sees(PROMPT);
    proxy.kill();
    await eventually(() => door.server.shells.find('alice', 'gone')?.detachedMs !== null);
    for (const one of [polite, gone]) one.session.destroy();
    await proxy[Symbol.asyncDispose]();
  });

  it('speaks TLS too', async () => {
    const { clientTls, serverTls } = await import('../../support/tls.ts');
    await using door = await Door.open({ tls: serverTls(), inlineUrgent: false });
    const client = new SessionClient({ framing: telnet(), port: door.port, tls: clientTls(), allowHalfOpen: true });
    const session = await client.open();
    for await (const event of session) if (event.kind === 'data') break;
    expect(session.circuit?.transport).to.equal('tls');
    session.destroy();
  });
});
