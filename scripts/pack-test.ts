// Packs the package as it would be published, installs the tarball in an empty folder, and uses it there as its users do:
// `import`, `require`, types under strict settings, one message there and back from the built files, and the command.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'outlast-pack-'));
const [framings, stores] = ['framing', 'stores'].map((part) =>
  readdirSync(join(root, 'lib', part)).flatMap((name) => (name.endsWith('.ts') ? [`outlast/${part}/${name.slice(0, -3)}`] : [])),
) as [string[], string[]];
const entries = ['outlast', 'outlast/testing', 'outlast/tickets', 'outlast/jose', ...stores, ...framings];
/** Optional peers, which their users install themselves, and what types need. */
const beside = ['jose', 'lmdb', '@types/node', 'undici-types'];

const echo = `
const server = new SessionServer({ framing: lines() });
server.on('session', async (session) => {
  for await (const line of session) session.send(line);
  session.end();
});
const { port } = await server.listen({ port: 0 });
const client = new SessionClient({ framing: lines(), port });
const session = await client.open();
session.send('there and back');
let answer = '';
for await (const line of session) {
  answer = line;
  break;
}
await session.close();
await client.close();
await server.close();
if (answer !== 'there and back') throw new Error('the answer was ' + answer);
`;
const names = "import { SessionClient, SessionServer } from 'outlast';\nimport { lines } from 'outlast/framing/lines';\n";
/** The command, as npm installed it: one connection through both ends of a tunnel to a server that sends everything back. */
const tunnel = `
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

const start = async (...args) => {
  const child = spawn('node_modules/.bin/outlast', [...args, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(child.stdout, 'data');
  return { child, port: JSON.parse(line).on.split(':').at(-1) };
};
const service = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
await once(service, 'listening');
const far = await start('listen', '0', '--to', String(service.address().port));
const near = await start('forward', '0', far.port);
const socket = connect(near.port, '127.0.0.1');
socket.end('through the tunnel');
let answer = '';
for await (const chunk of socket) answer += chunk;
for (const { child } of [near, far]) {
  child.kill('SIGTERM');
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error('exit code ' + code);
}
service.close();
if (answer !== 'through the tunnel') throw new Error('the answer was ' + answer);
`;
const files: Readonly<Record<string, string>> = {
  'package.json': '{ "private": true, "type": "module" }\n',
  'import.mjs': `${names}${lines((entry) => `await import('${entry}');`)}${echo}`,
  'tunnel.mjs': tunnel,
  'require.cjs': `const { SessionClient, SessionServer } = require('outlast');
const { lines } = require('outlast/framing/lines');
${lines((entry) => `require('${entry}');`)}
if (require('outlast/package.json').name !== 'outlast') throw new Error('package.json');
let hidden = false;
try { require('outlast/framing/internal/checks'); } catch (error) { hidden = error.code === 'ERR_PACKAGE_PATH_NOT_EXPORTED'; }
if (!hidden) throw new Error('framing/internal is open');
(async () => {${echo}})().catch((error) => { console.error(error); process.exitCode = 1; });
`,
  'types.ts': `${names}${lines((entry, n) => `import * as entry${n} from '${entry}';\nexport const x${n}: object = entry${n};`)}${echo}`,
  'tsconfig.json': JSON.stringify({
    compilerOptions: {
      target: 'es2022',
      lib: ['es2023', 'esnext.disposable'],
      module: 'nodenext',
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      noEmit: true,
      types: ['node'],
    },
    files: ['types.ts'],
  }),
};

try {
  const [packed] = JSON.parse(run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], root)) as [
    { filename: string; files: { path: string }[] },
  ];
  step(`packed ${packed.files.length} files`);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  run('npm', ['install', '--offline', '--omit=peer', '--no-audit', '--no-fund', join(folder, packed.filename)], folder);
  step('installed without a registry');
  mkdirSync(join(folder, 'node_modules/@types'));
  for (const name of beside) symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  run(process.execPath, ['import.mjs'], folder);
  step('works with import');
  run(process.execPath, ['require.cjs'], folder);
  step('works with require');
  if (!run('npx', ['--no-install', 'outlast', '--help'], folder).startsWith('Usage: outlast')) throw new Error('npx outlast --help');
  run(process.execPath, ['tunnel.mjs'], folder);
  if (!run('npx', ['--no-install', 'outlast', 'demo', '--cuts', '3'], folder).includes('passed:')) throw new Error('npx outlast demo');
  step('works as a command: help, a tunnel, the demo');
  run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder], folder);
  step('type-checks');
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** One line of code for each entry of the package. */
function lines(code: (entry: string, index: number) => string): string {
  return entries.map((entry, index) => `${code(entry, index)}\n`).join('');
}

function run(name: string, args: readonly string[], cwd: string): string {
  try {
    return execFileSync(name, args, { cwd, encoding: 'utf8', timeout: 120_000, stdio: ['ignore', 'pipe', 'inherit'] });
  } catch (error) {
    process.stderr.write(`${(error as { stdout?: string }).stdout ?? ''}\n`);
    throw error;
  }
}

function step(text: string): void {
  process.stdout.write(`pack-test: ${text}\n`);
}
