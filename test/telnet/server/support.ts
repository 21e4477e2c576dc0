// What the tests of the telnet server share: a server with cheap passwords, and a client that knows as much telnet as a test needs.

import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { environment } from '../../../examples/telnet/environ.ts';
import { Option } from '../../../examples/telnet/protocol.ts';
import { AuditLog } from '../../../examples/telnet/server/audit.ts';
import { Passwords } from '../../../examples/telnet/server/password.ts';
import { TelnetServer, type TelnetServerOptions } from '../../../examples/telnet/server/telnet-server.ts';
import { type User, Users } from '../../../examples/telnet/server/users.ts';
import { windowSize } from '../../../examples/telnet/subnegotiation.ts';
import { negotiation, type TelnetEvent, telnet } from '../../../examples/telnet/telnet.ts';
import { terminalType } from '../../../examples/telnet/terminal-type.ts';
import { Deframer } from '../../../lib/framing/standalone.ts';
import { Listener, pretend } from '../../support/net.ts';
import { clientTls } from '../../support/tls.ts';
import { encoded } from '../support.ts';

export const PASSWORD = 'correct horse';

/** A hash that costs a millisecond. */
export const cheap: Passwords = new Passwords({ log2N: 4, blockSize: 1, parallel: 1 });

/** A server with the users alice and bob, on a port of its own. */
export class Door implements AsyncDisposable {
  readonly server: TelnetServer;
  readonly port: number;
  readonly folder: string;
  readonly #audit: AuditLog;
  readonly #clients: TelnetPeer[] = [];

  private constructor(server: TelnetServer, port: number, folder: string, audit: AuditLog) {
    this.server = server;
    this.port = port;
    this.folder = folder;
    this.#audit = audit;
  }

  static async open(options: Partial<TelnetServerOptions> = {}, user: Pick<User, 'command' | 'runAs'> = plainShell): Promise<Door> {
    const folder = await mkdtemp(join(tmpdir(), 'outlast-telnet-'));
    const users = new Users(cheap);
    for (const name of ['alice', 'bob']) await users.add(name, PASSWORD, user);
    const audit = await AuditLog.open(join(folder, 'audit.jsonl'));
    const server = new TelnetServer({ users, audit, port: 0, allowRoot: true, ...options });
    const { port } = await server.listen();
    return new Door(server, port, folder, audit);
  }

  get auditPath(): string {
    return join(this.folder, 'audit.jsonl');
  }

  /** A connection; `negotiate`: as a telnet client with a terminal, else like netcat. */
  async dial(options: PeerOptions = {}): Promise<TelnetPeer> {
    const peer = await TelnetPeer.dial(this.port, options);
    this.#clients.push(peer);
    return peer;
  }

  /** Logged in, and at a prompt. */
  async login(name = 'alice', options: PeerOptions = {}): Promise<TelnetPeer> {
    const peer = await this.dial(options);
    await peer.login(name);
    await peer.sees(PROMPT);
    return peer;
  }

  /** What a client sees first that comes from elsewhere. */
  async seenFrom(address: string): Promise<string> {
    await using outside = await new Listener((socket) => this.server.accept(pretend(socket, address))).listen();
    const peer = await TelnetPeer.dial(outside.port, {});
    this.#clients.push(peer);
    return await peer.sees(/login: |passwords/);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    for (const client of this.#clients) client.socket.destroy();
    await this.#audit[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true });
  }
}

/** No profile, no history: the same prompt on every machine. */
export const PROMPT = 'ready$ ';
export const plainShell: Pick<User, 'command'> = { command: ['/usr/bin/env', `PS1=${PROMPT}`, '/bin/sh', '-i'] };

export interface PeerOptions {
  /** Answers options as a terminal does. Default true. */
  readonly negotiate?: boolean;
  readonly tls?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  readonly terminal?: string;
  /** Told in answer to NEW-ENVIRON SEND, whatever was asked. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Answers DO TIMING-MARK. Default true. */
  readonly pongs?: boolean;
  /** Another address of this machine to come from. */
  readonly from?: string;
}

/** What this client does when asked, and lets the server do. NAWS it has offered already. */
const WILLING: readonly number[] = [Option.terminalType, Option.suppressGoAhead, Option.binary, Option.newEnviron];
const WANTED: readonly number[] = [Option.echo, Option.suppressGoAhead, Option.binary];

export class TelnetPeer {
  readonly socket: Socket;
  readonly events: TelnetEvent[] = [];
  readonly #options: PeerOptions;
  readonly #deframer = new Deframer(telnet());
  #text = '';
  #seen = 0;
  #waiters: (() => void)[] = [];
  #closed = false;
  /** Bytes of user data received. */
  bytes = 0;
  /** Keeps text; a flood needs none. */
  keep = true;

  private constructor(socket: Socket, options: PeerOptions) {
    this.socket = socket;
    this.#options = options;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', () => {});
    for (const name of ['close', 'end']) {
      socket.on(name, () => {
        this.#closed = true;
        this.#wake();
      });
    }
  }

  static async dial(port: number, options: PeerOptions): Promise<TelnetPeer> {
    const where = { port, host: '127.0.0.1', ...(options.from === undefined ? {} : { localAddress: options.from }) };
    const socket = options.tls === true ? connectTls({ ...where, ...clientTls() }) : connect(where);
    const peer = new TelnetPeer(socket, options);
    await new Promise<void>((resolve, reject) => {
      socket.once(options.tls === true ? 'secureConnect' : 'connect', () => resolve());
      socket.once('error', reject);
    });
    // As PuTTY does; the server then need not wait for what the first byte is.
    if (options.negotiate !== false) peer.send(negotiation('will', Option.windowSize));
    return peer;
  }

  /** All text so far. */
  get text(): string {
    return this.#text;
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(...events: readonly TelnetEvent[]): void {
    this.socket.write(encoded(...events));
  }

  type(text: string | Buffer): void {
    this.socket.write(text);
  }

  async login(name: string, password: string = PASSWORD): Promise<void> {
    await this.sees('login: ');
    this.type(`${name}\r`);
    await this.sees('password: ');
    this.type(`${password}\r`);
  }

  /** Waits for text behind the text that was waited for last. @returns what came up to it, inclusive */
  async sees(what: string | RegExp): Promise<string> {
    for (;;) {
      const rest = this.#text.slice(this.#seen);
      const at = typeof what === 'string' ? rest.indexOf(what) : rest.search(what);
      if (at >= 0) {
        const length = typeof what === 'string' ? what.length : (what.exec(rest)?.[0].length ?? 0);
        this.#seen += at + length;
        return rest.slice(0, at + length);
      }
      if (this.#closed) throw new Error(`closed before ${String(what)} came; there was: ${JSON.stringify(rest.slice(-400))}`);
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  /** Waits for the end, and gives all text behind the text waited for. */
  async untilClosed(): Promise<string> {
    while (!this.#closed) await new Promise<void>((resolve) => this.#waiters.push(resolve));
    return this.#text.slice(this.#seen);
  }

  /** Runs a command of the shell. @returns its output */
  async run(command: string): Promise<string> {
    this.type(`${command}\r`);
    const seen = await this.sees(PROMPT);
    return seen.slice(seen.indexOf('\n') + 1, -PROMPT.length).replaceAll('\r\n', '\n');
  }

  resize(columns: number, rows: number): void {
    this.send(windowSize({ columns, rows }));
  }

  #take(chunk: Buffer): void {
    for (const event of this.#deframer.push(chunk)) {
      if (event.kind === 'data') {
        this.bytes += event.bytes.length;
        if (this.keep) this.#text += event.bytes.toString('latin1').replaceAll('\0', '');
      } else {
        this.events.push(event);
        if (this.#options.negotiate !== false) this.#answer(event);
      }
    }
    this.#wake();
  }

  #answer(event: TelnetEvent): void {
    const { columns = 80, rows = 24, terminal = 'xterm', variables = {} } = this.#options;
    if (event.kind === 'subnegotiation' && event.option === Option.terminalType) this.send(terminalType(terminal));
    if (event.kind === 'subnegotiation' && event.option === Option.newEnviron) {
      this.send(environment(Object.entries(variables).map(([name, value]) => ({ name, value }))));
    }
    if (event.kind !== 'negotiation') return;
    const { verb, option } = event;
    if (option === Option.timingMark && this.#options.pongs === false) return;
    if (option === Option.windowSize) this.resize(columns, rows);
    else if (verb === 'do') this.send(negotiation(WILLING.includes(option) ? 'will' : 'wont', option));
    else if (verb === 'will') this.send(negotiation(WANTED.includes(option) ? 'do' : 'dont', option));
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}
