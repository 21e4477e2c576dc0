// npm run telnet:client -- [-l USER] [--tls] [--ca FILE] [--new] [USER@]HOST[:PORT] [PORT]
// The telnet client as a program: arguments and signals in, the exit code out.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runTelnetClient } from './client.ts';

const USAGE = `npm run telnet:client -- [options] [USER@]HOST[:PORT]

  -l, --user NAME   fills in the login; NAME+SHELL goes straight to that shell
  --tls             TLS, on the same port
  --ca FILE         trusts the certificates in this file (PEM)
  --new             a new session, although a saved one could be taken up
  --no-save         saves nothing: a killed client leaves a session that only a new login reaches

A session whose client was killed or detached is taken up again by the same command. Keys at the beginning of a line: ~d detaches,
~. hangs up; offline ~c drops what was typed, Enter retries now. All other escapes are the server's: ~?
`;

const options = {
  user: { type: 'string', short: 'l' },
  tls: { type: 'boolean', default: false },
  ca: { type: 'string' },
  new: { type: 'boolean', default: false },
  'no-save': { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

const DEFAULT_PORT = 2323;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const [target, port] = positionals;
  if (values.help || target === undefined || positionals.length > 2) {
    process.stdout.write(USAGE);
    return values.help ? 0 : 2;
  }
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  const ca = values.ca === undefined ? {} : { ca: readFileSync(values.ca) };
  return runTelnetClient({
    ...parseTarget(target, port),
    ...(values.user === undefined ? {} : { user: values.user }),
    tls: values.tls || values.ca !== undefined ? ca : false,
    fresh: values.new,
    ...(values['no-save'] ? { folder: null } : {}),
    signal: stop.signal,
  });
}

interface Target {
  readonly host: string;
  readonly port: number;
  readonly user?: string;
}

/** HOST, USER@HOST, HOST:PORT, [V6]:PORT, or HOST PORT as telnet has it. */
function parseTarget(target: string, port: string | undefined): Target {
  const [, user, bracketed, plain, behind] = /^(?:([^@]+)@)?(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(target) ?? [];
  const host = bracketed ?? plain ?? target;
  const number = Number(behind ?? port ?? DEFAULT_PORT);
  if (!Number.isInteger(number) || number < 1 || number > 65_535) throw new Error(`'${behind ?? port}' is no port`);
  return { host, port: number, ...(user === undefined ? {} : { user }) };
}

try {
  process.exit(await main());
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(2);
}
