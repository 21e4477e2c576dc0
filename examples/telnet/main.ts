// npm run telnet [-- options], npm run telnet -- adduser NAME
// The telnet server as a program. Without a user file it makes up a user for this run, and says what to type next.

import { randomInt } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { AuditLog } from './server/audit.ts';
import { Passwords } from './server/password.ts';
import { TelnetServer, type TelnetServerOptions } from './server/telnet-server.ts';
import { Users } from './server/users.ts';

const USAGE = `npm run telnet [-- options]                  serves; with no users yet, one is made up
npm run telnet -- adduser NAME [options]     adds a user, or changes the password; asks for it

  --port N          2323; 0: any free one
  --host ADDRESS    127.0.0.1; any other needs --cert and --key, or --insecure
  --cert FILE       certificate and key in PEM: TLS on the same port
  --key FILE
  --insecure        takes passwords over connections that others can read
  --users FILE      default ${defaultPath('telnet-users.json')}
  --audit FILE      JSON lines; default: none
  --size POLICY     of a session with several viewers: active (default), smallest, largest
  --idle MINUTES    detaches whoever types nothing; default: never
  --allow-root      run as root; shells run as the account of --run-as
  --run-as ACCOUNT  default nobody; with adduser: of this user alone
`;

const options = {
  port: { type: 'string', default: '2323' },
  host: { type: 'string', default: '127.0.0.1' },
  cert: { type: 'string' },
  key: { type: 'string' },
  insecure: { type: 'boolean', default: false },
  users: { type: 'string', default: defaultPath('telnet-users.json') },
  audit: { type: 'string' },
  size: { type: 'string', default: 'active' },
  idle: { type: 'string', default: '0' },
  'allow-root': { type: 'boolean', default: false },
  'run-as': { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** Letters that nobody mistakes for another. */
const PASSWORD_LETTERS = 'abcdefghjkmnpqrstuvwxyz23456789';

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  if (values.help) return void console.log(USAGE);
  const [word, name, ...rest] = positionals;
  if (word === 'adduser' && name !== undefined && rest.length === 0) return addUser(name, values.users, values['run-as']);
  if (word !== undefined) throw new Error(`what is '${positionals.join(' ')}'?\n\n${USAGE}`);
  const users = await Users.load(new Passwords(), values.users);
  const demo = users.size === 0 ? { name: 'demo', password: madeUp() } : null;
  const passing = demo === null ? users : new Users(new Passwords());
  if (demo !== null) await passing.add(demo.name, demo.password);
  const audit = await AuditLog.open(values.audit ?? null);
  const server = new TelnetServer({ ...serverOptions(values), users: passing, audit });
  const { address, port } = await server.listen();
  tellNextSteps(address, port, demo, values.cert !== undefined, server.inlineUrgent);
  const stop = (): void => {
    console.log('hanging up all sessions');
    void server[Symbol.asyncDispose]().then(() => audit[Symbol.asyncDispose]());
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
}

type Values = ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];

function serverOptions(values: Values): Omit<TelnetServerOptions, 'users' | 'audit'> {
  const { cert, key, size = 'active', 'run-as': runAs } = values;
  if ((cert === undefined) !== (key === undefined)) throw new Error('--cert and --key go together');
  if (size !== 'active' && size !== 'smallest' && size !== 'largest') throw new Error('--size takes active, smallest or largest');
  if (process.getuid?.() === 0 && values['allow-root'] !== true)
    throw new Error('you are root. Run this as another user, or with --allow-root: shells then run as nobody, or as --run-as says');
  return {
    port: whole('port', values.port ?? ''),
    host: values.host ?? '127.0.0.1',
    ...(cert === undefined || key === undefined ? {} : { tls: { cert: readFileSync(cert), key: readFileSync(key) } }),
    insecure: values.insecure ?? false,
    allowRoot: values['allow-root'] ?? false,
    ...(runAs === undefined ? {} : { runAs }),
    sizePolicy: size,
    limits: { idleMs: 60_000 * whole('idle', values.idle ?? '') },
  };
}

async function addUser(name: string, path: string, runAs: string | undefined): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const users = await Users.load(new Passwords(), path);
  const password = await askHidden(`password for ${name}: `);
  if (process.stdin.isTTY && (await askHidden('once more: ')) !== password) throw new Error('these were two different passwords');
  await users.add(name, password, runAs === undefined ? {} : { runAs });
  console.log(`${name} may log in (${path}); a server that runs reads the file when it starts`);
}

/** From a terminal without showing it, or a line of a pipe. */
async function askHidden(question: string): Promise<string> {
  process.stdout.write(question);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: process.stdin.isTTY === true });
  try {
    return await lines.question('');
  } finally {
    lines.close();
    process.stdout.write('\n');
  }
}

function tellNextSteps(host: string, port: number, demo: { name: string; password: string } | null, tls: boolean, inline: boolean): void {
  const user = demo?.name ?? 'NAME';
  console.log(
    `telnet server on ${host} port ${port}${tls ? ', with and without TLS' : ''}${/^127\.|^::1$/.test(host) ? ' (this machine only)' : ''}`,
  );
  if (demo !== null)
    console.log(`user ${demo.name}, password ${demo.password} (made up for this run; npm run telnet -- adduser NAME makes others)`);
  console.log(`
in another terminal type one of these:
  telnet -l ${user} ${host} ${port}                    any telnet client will do
  telnet -l ${user}+work ${host} ${port}               straight to the session "work", new or not
  npm run telnet:client -- ${user}@${host}:${port}     a client whose session outlasts its connections

then close that window and log in again: your session is still there. In a session: Enter ~ ? for help.
Ctrl-C here ends the server and all sessions.`);
  if (!inline) console.log('(no perl here: urgent data of telnet clients is repaired as well as that can be)');
}

function madeUp(): string {
  const letters = Array.from({ length: 12 }, () => PASSWORD_LETTERS[randomInt(PASSWORD_LETTERS.length)]);
  return letters.join('').replace(/(.{4})(?=.)/g, '$1-');
}

function defaultPath(name: string): string {
  return join(process.env.XDG_CONFIG_HOME ?? join(homedir(), '.config'), 'outlast', name);
}

function whole(name: string, text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new Error(`--${name} takes a whole number, not '${text}'`);
  return Number(text);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
