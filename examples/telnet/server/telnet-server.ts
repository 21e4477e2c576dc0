// The telnet server: listener, login, sessions and log put together. In: options. Out: a port that people log in to. A client over a bare
// session and one over a resumable session take the same way through it.

import type { AddressInfo, Socket } from 'node:net';
import type { TlsOptions } from 'node:tls';
import { type Session, SessionServer } from 'outlast';
import { type TelnetEvent, telnet } from '../telnet.ts';
import { type Account, accountNamed, launchOf, ownAccount } from './account.ts';
import { Attachment } from './attachment.ts';
import type { AuditEvent, AuditFacts, AuditLog } from './audit.ts';
import { type ConnectionFacts, TelnetConnection } from './connection.ts';
import { TelnetListener } from './listener.ts';
import { type LoggedIn, login } from './login.ts';
import { type Choice, chooseSession, type Manner, plainManner } from './menu.ts';
import { Prompter } from './prompter.ts';
import type { Shell, SizePolicy } from './shell.ts';
import { Shells } from './shells.ts';
import { LoginThrottle } from './throttle.ts';
import type { User, Users } from './users.ts';

export interface TelnetServerOptions {
  readonly users: Users;
  readonly audit: AuditLog;
  readonly port: number;
  /** Default 127.0.0.1: only this machine. */
  readonly host?: string;
  /** Key and certificate: TLS on the same port. */
  readonly tls?: TlsOptions;
  /** Take passwords over connections that leave the machine and are not encrypted. Default false. */
  readonly insecure?: boolean;
  /** Run although the process is root. Shells then run as `runAs`, never as root. Default false. */
  readonly allowRoot?: boolean;
  /** System account of the shells of a server that is root, for users that name none. Default 'nobody'. */
  readonly runAs?: string;
  readonly sizePolicy?: SizePolicy;
  readonly limits?: Partial<TelnetLimits>;
  /** false: as on a machine without perl. Default true. */
  readonly inlineUrgent?: boolean;
}

export interface TelnetLimits {
  /** From the connection to the login. 60 s, as long as sshd once gave. */
  readonly loginMs: number;
  /** Nothing typed in a session: its client is detached. Default 0: never. */
  readonly idleMs: number;
  /** A program waits this long for a terminal that takes nothing, and then runs on; the terminal is painted later. 10 s. */
  readonly holdUpMs: number;
  /** A session that nobody looks at is hung up. 7 days: a holiday week. */
  readonly orphanMs: number;
  readonly shellsPerUser: number;
  readonly shells: number;
  readonly viewersPerShell: number;
  /** Connections of one address, and of all, that have not logged in. */
  readonly loginsPerAddress: number;
  readonly logins: number;
  /** A client that answers is asked for a sign of life this often; three that it owes, and it is gone. 15 s. */
  readonly heartbeatMs: number;
  /** How long a client of ours may be away; after that it logs in again. 24 h. */
  readonly holdMs: number;
}

const defaultLimits: TelnetLimits = {
  loginMs: 60_000,
  idleMs: 0,
  holdUpMs: 10_000,
  orphanMs: 7 * 86_400_000,
  shellsPerUser: 10,
  shells: 200,
  viewersPerShell: 8,
  loginsPerAddress: 32,
  logins: 128,
  heartbeatMs: 15_000,
  holdMs: 86_400_000,
};

const LAST_WORDS_MS = 1_000;
/** A small window: all that is on its way is shown before ^C takes effect. */
const WINDOW_BYTES = 262_144;
const SESSION_LIMITS = { messageBytes: 65_536, outboxHighWater: 16_384, socketBytes: 65_536 };

export class TelnetServer implements AsyncDisposable {
  readonly #options: TelnetServerOptions;
  readonly #limits: TelnetLimits;
  readonly #account: Account;
  readonly #throttle: LoginThrottle = new LoginThrottle();
  readonly #shells: Shells;
  readonly #bare: SessionServer<TelnetEvent>;
  readonly #resumable: SessionServer<TelnetEvent>;
  readonly #listener: TelnetListener;
  readonly #connections: Set<TelnetConnection> = new Set();
  /** Those that an attachment speaks with. */
  readonly #attached: WeakSet<TelnetConnection> = new WeakSet();
  /** Not logged in yet, by address. */
  readonly #logins: Map<string, number> = new Map();

  /** @throws Error where it would be unsafe, with what to do about it */
  constructor(options: TelnetServerOptions) {
    checkSafety(options);
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    const own = ownAccount();
    this.#account = own.uid === 0 ? accountNamed(options.runAs ?? 'nobody') : own;
    const { shellsPerUser, shells, orphanMs, holdMs } = this.#limits;
    this.#shells = new Shells({
      shellsPerUser,
      shells,
      orphanMs,
      sizePolicy: options.sizePolicy ?? 'active',
      onEnd: (shell, exit) => this.#audit('ended', { user: shell.user, session: shell.id, code: exit.code, signal: exit.signal }),
    });
    const shared = { framing: telnet(), allowHalfOpen: true, window: WINDOW_BYTES, limits: SESSION_LIMITS } as const;
    this.#bare = new SessionServer({ ...shared, bare: true });
    this.#resumable = new SessionServer({ ...shared, holdMs });
    this.#bare.on('session', (session) => this.#welcome(session, false));
    this.#resumable.on('session', (session) => this.#welcome(session, true));
    this.#listener = new TelnetListener({
      ...(options.tls === undefined ? {} : { tls: options.tls }),
      inlineUrgent: options.inlineUrgent ?? true,
      onTelnet: (socket) => this.#bare.accept(socket, 'telnet'),
      onSession: (socket) => this.#resumable.accept(socket, 'telnet'),
      onRefused: (socket, why) => this.#refused(socket, why),
    });
  }

  /** Sessions with a program. */
  get shells(): Shells {
    return this.#shells;
  }

  /** Clients at the login or in a session. */
  get connections(): number {
    return this.#connections.size;
  }

  get inlineUrgent(): boolean {
    return this.#listener.inlineUrgent;
  }

  async listen(): Promise<AddressInfo> {
    const address = await this.#listener.listen(this.#options.port, this.#options.host ?? '127.0.0.1');
    this.#audit('listening', { address: address.address, port: address.port, inlineUrgent: this.inlineUrgent });
    return address;
  }

  /** Takes a connection that was made elsewhere: by a listener of systemd's, or a test's. */
  accept(socket: Socket): void {
    this.#listener.accept(socket);
  }

  /** Hangs up all sessions, and ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.stop();
    // First whoever could still begin a session.
    for (const connection of this.#connections) if (!this.#attached.has(connection)) connection.close();
    await this.#shells[Symbol.asyncDispose]();
    // Clients are told how their sessions ended, and have a moment to hear it.
    for (const connection of this.#connections) connection.close();
    const late = performance.now() + LAST_WORDS_MS;
    while (this.#connections.size > 0 && performance.now() < late) await new Promise((resolve) => setTimeout(resolve, 10));
    await Promise.all([this.#bare.close(), this.#resumable.close()]);
    await this.#listener[Symbol.asyncDispose]();
  }

  #audit(event: AuditEvent, facts: AuditFacts): void {
    this.#options.audit.write(event, facts);
  }

  #refused(socket: Socket, why: string): void {
    this.#audit('disconnected', { address: socket.remoteAddress ?? '', why });
  }

  #welcome(session: Session<TelnetEvent>, resumable: boolean): void {
    const { circuit } = session;
    // A bare session is announced before its connection is bound to it; a resumable one behind that.
    const begin = (facts: ConnectionFacts): void => void this.#serve(session, facts).catch(() => session.destroy());
    const { heartbeatMs } = this.#limits;
    if (circuit !== undefined) begin({ circuit, resumable, heartbeatMs });
    else session.once('attached', (later) => begin({ circuit: later, resumable, heartbeatMs }));
  }

  async #serve(session: Session<TelnetEvent>, facts: ConnectionFacts): Promise<void> {
    const { remoteAddress: address, transport } = facts.circuit;
    const log: Log = (event, more = {}) => this.#audit(event, { connection: session.id.slice(0, 8), address, ...more });
    const connection = new TelnetConnection(session, facts, (limit) => log('suspicious', { limit }));
    this.#connections.add(connection);
    session.once('close', () => this.#connections.delete(connection));
    const prompter = new Prompter(connection);
    log('connected', { transport, resumable: facts.resumable });
    connection.start(prompter);
    const leave = this.#enter(address);
    if (leave === null) {
      connection.say('\nToo many logins at once, try again later.\n');
      connection.close();
      return log('login-refused', { why: 'too many' });
    }
    const late = setTimeout(() => {
      connection.say('\nThat took too long.\n');
      prompter.abort();
      connection.close();
    }, this.#limits.loginMs);
    try {
      const { users, insecure = false } = this.#options;
      const who = await login(connection, prompter, { users, throttle: this.#throttle, insecure, audit: log });
      if (who === null || connection.over) return log('disconnected', { why: 'no login' });
      clearTimeout(late);
      leave();
      await this.#choose(connection, prompter, who, log);
    } finally {
      clearTimeout(late);
      leave();
      // Attached, the attachment has the conversation; else nothing is left to say.
      if (!this.#attached.has(connection)) connection.close();
    }
  }

  /** Counts somebody who has not logged in. @returns what takes that back; null where there are too many */
  #enter(address: string): (() => void) | null {
    const { logins, loginsPerAddress } = this.#limits;
    const count = this.#logins.get(address) ?? 0;
    const all = [...this.#logins.values()].reduce((sum, one) => sum + one, 0);
    if (count >= loginsPerAddress || all >= logins) return null;
    this.#logins.set(address, count + 1);
    let counted = true;
    return () => {
      if (!counted) return;
      counted = false;
      const left = (this.#logins.get(address) ?? 1) - 1;
      if (left === 0) this.#logins.delete(address);
      else this.#logins.set(address, left);
    };
  }

  async #choose(connection: TelnetConnection, prompter: Prompter, { user, wanted }: LoggedIn, log: Log): Promise<void> {
    let choice: Choice | null;
    if (wanted === null)
      choice = await chooseSession(
        prompter,
        () => this.#shells.of(user.name),
        (text) => connection.say(text),
      );
    else {
      const shell = this.#shells.find(user.name, wanted);
      choice = shell === null ? { kind: 'new', name: wanted } : { kind: 'attach', shell, manner: plainManner(shell) };
    }
    if (choice === null || connection.over) return log('disconnected', { user: user.name, why: 'no session chosen' });
    try {
      const shell = choice.kind === 'new' ? this.#create(connection, user, choice.name) : choice.shell;
      if (choice.kind === 'new') log('created', { user: user.name, session: shell.id, name: shell.name, pid: shell.pid });
      this.#attach(connection, prompter, shell, choice.kind === 'new' ? 'take' : choice.manner, log);
    } catch (error) {
      connection.say(`\n${(error as Error).message}\n`);
      log('disconnected', { user: user.name, why: (error as Error).message });
    }
  }

  #create(connection: TelnetConnection, user: User, name: string | null): Shell {
    const { terminal, environment } = connection.client;
    const account = user.runAs === undefined ? this.#account : accountNamed(user.runAs);
    const type = terminal?.name ?? (connection.negotiates ? 'vt100' : 'dumb');
    const launch = launchOf(account, type, environment?.variables ?? new Map(), user.command);
    return this.#shells.create(user.name, name, launch, connection.size);
  }

  #attach(connection: TelnetConnection, prompter: Prompter, shell: Shell, manner: Manner, log: Log): void {
    const by = connection.facts.circuit.remoteAddress || 'this machine';
    if (manner === 'take' && shell.viewers.size > 0) shell.takeOver(by);
    if (shell.ended) throw new Error('that session has just ended');
    if (shell.viewers.size >= this.#limits.viewersPerShell) throw new Error('too many are attached to that session already');
    const facts = { user: shell.user, session: shell.id };
    const role = manner === 'watch' ? 'watcher' : 'writer';
    const events = {
      list: () => this.#shells.of(shell.user),
      shared: (on: boolean) => log('shared', { ...facts, on }),
      gone: (why: string) => log('detached', { ...facts, why }),
    };
    const { idleMs, holdUpMs } = this.#limits;
    log('attached', { ...facts, manner, from: by });
    this.#attached.add(connection);
    new Attachment(connection, shell, events, { role, idleMs, holdUpMs }).begin(prompter.rest());
  }
}

type Log = (event: AuditEvent, more?: AuditFacts) => void;

function checkSafety({ host = '127.0.0.1', tls, insecure = false, allowRoot = false }: TelnetServerOptions): void {
  const isLocal = host === 'localhost' || host === '::1' || /^127\./.test(host);
  if (!isLocal && tls === undefined && !insecure)
    throw new Error(`${host} can be reached from elsewhere, and without TLS everybody on the way reads the passwords: give a certificate`);
  if (process.getuid?.() === 0 && !allowRoot) throw new Error('this process is root, and a telnet server should not be');
}
