// `npm run conformance -- HOST:PORT`: runs every case of the suite against an implementation of PROTOCOL.md. Prints a table, or JSON;
// exit code 1 where a case fails, 2 where the suite could not run.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Target } from './circuit.ts';
import { sections, traitsOf } from './sections.ts';
import { echoServer } from './serve.ts';
import { count, run, table } from './suite.ts';

const HELP = `npm run conformance -- HOST:PORT [options]

Checks an accepting side of the Outlast protocol, version 1, with raw bytes. It must run an echo application:
framing length-prefix/4/big; each message is sent back as it is; when the peer has ended, it ends too; no
authentication, and no limit per address for where the suite runs.

  --tls            connect with TLS (any certificate is taken)
  --psk FILE       pre-shared key of the target, raw bytes
  --only TEXT      only cases whose section, rule or name has TEXT in it
  --parallel N     cases at once; default 24
  --patience MS    what is due at once may take this long; default 5000
  --json           print the results as JSON
  --list           print the cases, and run none
  --serve [PORT]   run our own echo server instead (with --tls, --psk and --challenge)
  --self           run our own echo server in this process, and the suite against it
  --challenge      our own server asks every RESUME for a proof
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tls: { type: 'boolean', default: false },
    psk: { type: 'string' },
    only: { type: 'string' },
    parallel: { type: 'string', default: '24' },
    patience: { type: 'string', default: '5000' },
    json: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    serve: { type: 'boolean', default: false },
    self: { type: 'boolean', default: false },
    challenge: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

const psk = values.psk === undefined ? undefined : readFileSync(values.psk);
const { tls, challenge } = values;
if (values.help || (positionals.length === 0 && !values.serve && !values.self && !values.list)) {
  process.stdout.write(HELP);
  process.exitCode = values.help ? 0 : 2;
} else if (values.list) {
  for (const { title, cases } of sections) for (const { rule, name } of cases) process.stdout.write(`${title}\t${rule}\t${name}\n`);
} else if (values.serve) {
  const { address, port } = await echoServer({ tls, psk, challenge }).listen({ port: Number(positionals[0] ?? 0) });
  process.stdout.write(`echo, length-prefix/4/big${tls ? ', TLS' : ''}: ${address}:${port}\n`);
} else if (values.self) {
  const server = echoServer({ tls, psk, challenge });
  const { port } = await server.listen({ port: 0 });
  process.exitCode = await conform('127.0.0.1', port);
  await server.close();
} else {
  const [, host, port] = /^(?:\[(?=.*\]))?([^\]]+)\]?:(\d+)$/.exec(positionals[0] as string) ?? [];
  process.exitCode = host === undefined ? fail(`${positionals[0]} is not HOST:PORT`) : await conform(host, Number(port));
}

async function conform(host: string, port: number): Promise<number> {
  const target: Target = { host, port, tls, psk, patienceMs: Number(values.patience), quietMs: 150 };
  try {
    const traits = await traitsOf(target);
    const results = await run(sections, target, traits, { parallel: Number(values.parallel), only: values.only });
    const counts = count(results);
    process.stdout.write(
      `${values.json ? JSON.stringify({ target: `${host}:${port}`, traits, counts, results }, null, 2) : table(results)}\n`,
    );
    return counts.fail > 0 || counts.pass === 0 ? 1 : 0;
  } catch (error) {
    return fail(`no session with ${host}:${port}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function fail(why: string): number {
  process.stderr.write(`${why}\n`);
  return 2;
}
