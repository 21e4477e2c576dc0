// npm run bench:tunnel [-- --rounds N] [--mib N] [--least RATIO]
// One bulk stream through `outlast forward` and `outlast listen`, and through two socats that do the same two hops, over loopback. Both
// stay up over all rounds, and within a round they take turns, so that the machine's mood falls on both. Source and sink are socat for
// both. Prints the median rates and the median of the ratios; with --least the exit code is 1 below it.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const outlast = fileURLToPath(new URL('../bin/outlast.ts', import.meta.url));
const UP_MS = 20_000;

const children: ChildProcess[] = [];

function start(program: string, args: readonly string[]): ChildProcess {
  const child = spawn(program, args, { stdio: 'ignore' });
  child.on('error', (error) => {
    console.log(`${program}: ${error.message}`);
    process.exit(1);
  });
  children.push(child);
  return child;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** Waits until a port takes connections. Only for what lives on after one: not for sinks. */
async function up(port: number): Promise<void> {
  for (const untilMs = performance.now() + UP_MS; performance.now() < untilMs; ) {
    const socket = connect(port, '127.0.0.1');
    const open = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing listens on port ${port}`);
}

/** A stream of so many bytes into `port`, out at `sinkPort`. @returns MB/s, from the start of the source to the end at the sink */
async function measure(port: number, sinkPort: number, mib: number): Promise<number> {
  const sink = spawn('socat', ['-u', '-b', '65536', `TCP-LISTEN:${sinkPort},bind=127.0.0.1,reuseaddr`, 'OPEN:/dev/null'], {
    stdio: 'ignore',
  });
  const over = once(sink, 'exit');
  // It listens a moment after it was started; a connection to find out would be the one that it serves.
  await new Promise((resolve) => setTimeout(resolve, 150));
  const startMs = performance.now();
  const source = spawn('sh', ['-c', `head -c ${mib}M /dev/zero | socat -u -b 65536 STDIN TCP:127.0.0.1:${port}`], { stdio: 'ignore' });
  await Promise.all([once(source, 'exit'), over]);
  return (mib * 1.048576) / ((performance.now() - startMs) / 1000);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;
}

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '7' }, mib: { type: 'string', default: '512' }, least: { type: 'string', default: '0' } },
});
const [rounds, mib, least] = [Number(options.rounds), Number(options.mib), Number(options.least)];
const [socatIn, socatMiddle, tunnelIn, tunnelMiddle, sink] = (await Promise.all(Array.from({ length: 5 }, freePort))) as [
  number,
  number,
  number,
  number,
  number,
];
let ratio = 0;
try {
  start('socat', [`TCP-LISTEN:${socatIn},bind=127.0.0.1,reuseaddr,fork`, `TCP:127.0.0.1:${socatMiddle}`]);
  start('socat', [`TCP-LISTEN:${socatMiddle},bind=127.0.0.1,reuseaddr,fork`, `TCP:127.0.0.1:${sink}`]);
  start(process.execPath, ['--import', 'tsx', outlast, 'listen', String(tunnelMiddle), '--to', String(sink)]);
  start(process.execPath, ['--import', 'tsx', outlast, 'forward', String(tunnelIn), String(tunnelMiddle)]);
  for (const port of [socatIn, socatMiddle, tunnelMiddle, tunnelIn]) await up(port);
  // What these looks have begun behind the entrances is over before the first sink listens.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const [socats, tunnels]: [number[], number[]] = [[], []];
  // Round 0 warms up.
  for (let round = 0; round <= rounds; round++) {
    const socat = await measure(socatIn, sink, mib);
    const tunnel = await measure(tunnelIn, sink, mib);
    console.log(`${round === 0 ? 'warm-up' : `round ${round}`}: socat ${socat.toFixed(0)} MB/s, outlast ${tunnel.toFixed(0)} MB/s`);
    if (round === 0) continue;
    socats.push(socat);
    tunnels.push(tunnel);
  }
  ratio = median(tunnels.map((rate, round) => rate / (socats[round] as number)));
  const rates = `socat ${median(socats).toFixed(0)} MB/s, outlast ${median(tunnels).toFixed(0)} MB/s`;
  console.log(`Node ${process.version}, ${rounds} rounds of ${mib} MiB, medians: ${rates}; of the ratios: ${ratio.toFixed(2)}`);
} finally {
  for (const child of children) child.kill();
}
process.exitCode = ratio >= least ? 0 : 1;
