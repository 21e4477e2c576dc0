// Real programs through the tunnel, all at the same time, while every circuit is cut 0.5 to 3 seconds after it was made: the lines of
// docs/cookbook.md, and load on top of them. None of the programs may notice anything but time.

import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { spawn as spawnPty } from '@lydell/node-pty';
import { expect } from 'chai';
import { Running } from '../command/support.ts';
import { Cookbook, type Outcome } from './cookbook.ts';
import { freePort, Services } from './services.ts';

const CUTS_MS = 60_000;
/** All of it; what is not over then has failed. */
const LONGEST_MS = 170_000;
const MIB = 1024 * 1024;

interface Shell {
  readonly counts: readonly number[];
  readonly pids: readonly number[];
}

describe('the command with real programs, over a network that is cut all the time', function () {
  this.timeout(240_000);
  let folder: string;
  let services: Services;
  let book: Cookbook;
  let storm: Running;
  let answering: Server;
  let startedMs: number;
  let late: Promise<never> = new Promise(() => {});
  /** What runs, by name; every test awaits its own. */
  const work: Record<string, Promise<unknown>> = {};
  const overMs = new Map<string, number>();
  const done = async <T>(name: string): Promise<T> => {
    const result = (await Promise.race([work[name], late])) as T;
    process.stdout.write(`      ${name}: over after ${(overMs.get(name) ?? 0).toFixed(0)} ms\n`);
    return result;
  };

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'outlast-interop-'));
    services = new Services(folder);
    const [ssh, postgres, redis, mqtt, git, vnc, http] = await Promise.all([
      services.ssh(),
      services.postgres(),
      services.redis(),
      services.mqtt(),
      services.git(),
      services.vnc(),
      services.http(),
    ]);
    answering = await answerer();
    const gate = await freePort();
    const entrances = ['19418', '15432', '16379', '11883', '15901', '18080', '7001'];
    const ports = await Promise.all(entrances.map(() => freePort()));
    storm = await Running.listening(['chaos', '0', `127.0.0.1:${gate}`, '--cut', '500ms-3s', '--seed', '11']);
    const through = `127.0.0.1:${(storm as Running & { port: number }).port}`;
    book = new Cookbook(folder, {
      '0.0.0.0:7000': `127.0.0.1:${gate}`,
      '127.0.0.1:7000': `127.0.0.1:${gate}`,
      'gate:7000': through,
      '%h:7000': through,
      '127.0.0.1:22': `127.0.0.1:${ssh}`,
      '127.0.0.1:5432': `127.0.0.1:${postgres}`,
      '127.0.0.1:6379': `127.0.0.1:${redis}`,
      '127.0.0.1:1883': `127.0.0.1:${mqtt}`,
      '127.0.0.1:5901': `127.0.0.1:${vnc.port}`,
      '127.0.0.1:9418': `127.0.0.1:${git}`,
      '127.0.0.1:80': `127.0.0.1:${http}`,
      'ssh -o': `ssh -F ${folder}/ssh/config -o`,
      'scp -o': `scp -F ${folder}/ssh/config -o`,
      '/srv/': `${folder}/`,
      ...Object.fromEntries(entrances.map((port, i) => [port, String(ports[i])])),
    });
    await book.run(book.line('openssl rand'));
    await book.run(book.line('chmod 600'));
    // Behind one more port stands a service that answers late, so that cuts fall between the end of a question and the answer.
    const slow = `127.0.0.1:${(answering.address() as { port: number }).port}`;
    await book.serve(`${book.line('outlast listen')} --allow ${slow}`);
    for (const name of ['9418', '5432', '6379', '1883', '5901', '80'])
      await book.serve(book.line('outlast forward', `target 127.0.0.1:${name} `));
    startedMs = performance.now();
    late = delay(LONGEST_MS, undefined, { ref: false }).then(() => {
      throw new Error(`not over after ${LONGEST_MS / 1000} s`);
    });
    late.catch(() => {});
    begin(vnc.display, slow, through);
  });

  /** Starts everything at once. */
  function begin(display: string, slow: string, through: string): void {
    const start = (name: string, task: () => Promise<unknown>): void => {
      work[name] = task().finally(() => overMs.set(name, performance.now() - startedMs));
      // Told by its test.
      work[name]?.catch(() => {});
    };
    const until = startedMs + CUTS_MS;
    start('doctor', () => book.run(book.line('outlast doctor')));
    start('shell', () => shell(book, until));
    start('scp', () => copy(book, folder));
    start('rsync', () => tree(book, folder));
    start('git over ssh', () => book.run(book.line('git clone gate:')));
    start('git daemon', () => book.run(book.line('git clone git:')));
    start('postgres', () => bench(book));
    start('redis', () => redisLoad(book));
    start('mqtt', () => mqttLoad(book));
    start('vnc', () => look(book, display, until));
    start('curl', () => book.run(book.line('curl')));
    start('nc', () => halfCloses(book, slow, through, until));
    start('chaos', () => secondStorm(book));
  }

  after(async () => {
    await book?.stop();
    await storm?.[Symbol.asyncDispose]();
    await services?.stop();
    answering?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('ssh: an interactive shell keeps its state and its process for a minute', async () => {
    const { counts, pids } = await done<Shell>('shell');
    expect(counts.length).to.be.above(30);
    expect(counts).to.deep.equal(counts.map((_, index) => index + 1));
    expect(new Set(pids).size).to.equal(1);
  });

  it('scp: 200 MiB arrive whole', async () => {
    const { sent, received, outcome } = await done<{ sent: string; received: string; outcome: Outcome }>('scp');
    expect([outcome.code, outcome.output, received]).to.deep.equal([0, '', sent]);
  });

  it('rsync: a tree arrives whole', async () => {
    const { copied, compared } = await done<{ copied: Outcome; compared: Outcome }>('rsync');
    expect([copied.code, copied.output]).to.deep.equal([0, '']);
    expect([compared.code, compared.output]).to.deep.equal([0, '']);
  });

  it('git: a clone over ssh and one from a daemon are whole', async () => {
    for (const name of ['git over ssh', 'git daemon']) {
      const { code, output } = await done<Outcome>(name);
      expect(code, output).to.equal(0);
      const clone = name === 'git daemon' ? 'project' : 'over-ssh';
      const checked = await book.run(`git -C ${clone} fsck --full && git -C ${clone} status --porcelain && ls ${clone} | wc -l`);
      expect([checked.code, checked.output.trim().split('\n').at(-1)]).to.deep.equal([0, '40']);
    }
  });

  it('ssh: nobody has connected twice', async () => {
    for (const name of ['shell', 'scp', 'rsync', 'git over ssh']) await Promise.race([work[name], late]);
    const accepted = readFileSync(services.log('sshd'), 'utf8').match(/Accepted publickey/g) ?? [];
    // The shell, scp, rsync, and rsync that compares, and git.
    expect(accepted.length).to.equal(5);
  });

  it('PostgreSQL: half a minute of pgbench without a failed transaction', async () => {
    const { made, measured, asked } = await done<{ made: Outcome; measured: Outcome; asked: Outcome }>('postgres');
    expect(made.code, made.output).to.equal(0);
    expect(measured.code, measured.output).to.equal(0);
    expect(measured.output).to.match(/number of failed transactions: 0 \(0\.000%\)/);
    const transactions = Number(/number of transactions actually processed: (\d+)/.exec(measured.output)?.[1]);
    expect(transactions).to.be.above(100);
    // Each transaction writes one line of history: none was done twice.
    expect([asked.code, Number(asked.output)]).to.deep.equal([0, transactions]);
  });

  it('Redis: a pipelined benchmark without an error, and a counter that is exact', async () => {
    const { measured, counted } = await done<{ measured: Outcome; counted: Outcome }>('redis');
    expect(measured.code, measured.output).to.equal(0);
    expect(measured.output)
      .to.match(/^"SET","\d/m)
      .and.to.not.match(/error/i);
    expect([counted.code, counted.output]).to.deep.equal([0, '201\n']);
  });

  it('MQTT: a thousand messages without an acknowledgement, each once and in order', async () => {
    const { heard, sent } = await done<{ heard: Outcome; sent: Outcome }>('mqtt');
    expect([sent.code, heard.code]).to.deep.equal([0, 0]);
    expect(heard.output).to.equal(Array.from({ length: 1000 }, (_, i) => `opened ${i}\n`).join(''));
  });

  it('VNC: the viewer keeps its one connection', async () => {
    const output = await done<string>('vnc');
    expect(output)
      .to.contain('Connected to host')
      .and.to.not.match(/reset|closed unexpectedly|error/i);
    const log = readFileSync(services.log('xvnc'), 'utf8');
    expect(log.match(/Client needs protocol version/g)?.length).to.equal(1);
  });

  it('curl: one request, and the whole image', async () => {
    const { code, output } = await done<Outcome>('curl');
    expect(code, output).to.equal(0);
    expect(services.downloads).to.equal(1);
    expect(readFileSync(join(folder, 'image.iso')).equals(services.image)).to.equal(true);
  });

  it('nc -N: the end of the request is told, and the answer comes after it', async () => {
    const { page, answers } = await done<{ page: Outcome; answers: readonly Outcome[] }>('nc');
    expect(page.output).to.match(/^HTTP\/1\.[01] 200[\s\S]*hello\n$/);
    expect(answers.length).to.be.above(8);
    answers.forEach(({ code, output }, index) => {
      expect([code, output]).to.deep.equal([0, `heard: question ${index}`]);
    });
  });

  it('the doctor finds nothing, and a second proxy is like the first', async () => {
    const { output } = await done<Outcome>('doctor');
    expect(output).to.contain('ok   handshake').and.to.contain('ok   round trip');
    const { connections } = await done<{ connections: number }>('chaos');
    expect(connections).to.be.above(0);
  });

  it('has tried every line of the cookbook, and cut all the time', async () => {
    await Promise.race([Promise.all(Object.values(work)), late]);
    expect(book.untried).to.deep.equal([]);
    storm.child.kill('SIGTERM');
    const { cuts, connections } = await storm.event('summary');
    process.stdout.write(`      ${String(cuts)} cuts of ${String(connections)} connections\n`);
    expect(Number(cuts)).to.be.above(100);
  });
});

/** Types into a shell until the time is over, a line and its answer at a time; each line changes the state that the next one tells. */
async function shell(book: Cookbook, untilMs: number): Promise<Shell> {
  const line = book.line('ssh -o', "' gate");
  const pty = spawnPty('bash', ['-c', `${line.replace('ssh ', 'ssh -tt ')} sh`], {
    cwd: book.folder,
    env: book.environment as Record<string, string>,
  });
  let text = '';
  pty.onData((data) => {
    text += data;
  });
  const over = new Promise<void>((resolve) => pty.onExit(() => resolve()));
  pty.write('N=0\r');
  const answers = (): RegExpMatchArray[] => [...text.matchAll(/<(\d+):(\d+)>/g)];
  for (let count = 1; performance.now() < untilMs; count++) {
    pty.write('N=$((N+1)); echo "<$N:$$>"\r');
    while (answers().length < count) await delay(20);
    await delay(200);
  }
  pty.write('exit\r');
  await over;
  return { counts: answers().map(([, count]) => Number(count)), pids: answers().map(([, , pid]) => Number(pid)) };
}

async function copy(book: Cookbook, folder: string): Promise<{ sent: string; received: string; outcome: Outcome }> {
  mkdirSync(join(folder, 'backups'));
  // Not slower than needed: so fast that the network is what it waits for, and so slow that many cuts fall into it.
  const block = randomBytes(MIB);
  const image = Buffer.concat(Array.from({ length: 200 }, (_, i) => block.fill(i, 0, 4)).map((piece) => Buffer.from(piece)));
  for (let i = 0; i < 200; i++) image.writeUInt32BE(i, i * MIB);
  writeFileSync(join(folder, 'backup.img'), image);
  const outcome = await book.run(book.line('scp').replace('scp ', 'scp -q -l 65536 '));
  return { sent: await hashOf(join(folder, 'backup.img')), received: await hashOf(join(folder, 'backups/backup.img')), outcome };
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest('hex');
}

/** A folder of this repository, deep and with many small files; then rsync itself compares by checksum. */
async function tree(book: Cookbook, folder: string): Promise<{ copied: Outcome; compared: Outcome }> {
  const modules = fileURLToPath(new URL('../../node_modules', import.meta.url));
  await book.run(`mkdir photos && cp -a ${modules}/typescript ${modules}/@types photos/ && mkdir -p ${folder}/photos-there`);
  const line = book.line('rsync -a').replace(`gate:${folder}/photos/`, `gate:${folder}/photos-there/`);
  const copied = await book.run(line);
  return { copied, compared: await book.run(line.replace('rsync -a', 'rsync -a --checksum --dry-run --itemize-changes')) };
}

async function bench(book: Cookbook): Promise<{ made: Outcome; measured: Outcome; asked: Outcome }> {
  const where = book.replaced('-h 127.0.0.1 -p 15432 -U app');
  const made = await book.run(`pgbench -q -i ${where} app`);
  const measured = await book.run(`pgbench -T 30 -c 4 -R 200 -M prepared ${where} app`);
  const asked = await book.run(`${book.line('psql')} -At -c 'select count(*) from pgbench_history'`);
  return { made, measured, asked };
}

async function redisLoad(book: Cookbook): Promise<{ measured: Outcome; counted: Outcome }> {
  const where = book.replaced('-h 127.0.0.1 -p 16379');
  // Large values, so that it lasts without taking the processor from the others.
  const measuring = book.run(`redis-benchmark ${where} -P 16 -c 8 -d 16384 -n 12000 -t set,get --csv`);
  for (let i = 0; i < 20; i++) {
    await book.run(`redis-cli ${where} -r 10 INCR visits`);
    await delay(300);
  }
  const counted = await book.run(book.line('redis-cli'));
  return { measured: await measuring, counted };
}

async function mqttLoad(book: Cookbook): Promise<{ heard: Outcome; sent: Outcome }> {
  const hearing = book.run(book.line('mosquitto_sub'));
  await delay(5_000);
  const feed = `for i in $(seq 0 999); do echo opened $i; sleep 0.01; done`;
  const sent = await book.run(`(${feed}) | ${book.line('mosquitto_pub')}`);
  return { sent, heard: await hearing };
}

async function look(book: Cookbook, display: string, untilMs: number): Promise<string> {
  const child = book.start(book.line('vncviewer'), { DISPLAY: display });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += chunk));
  await Promise.race([delay(untilMs - performance.now()), once(child, 'exit')]);
  const lives = child.exitCode === null;
  if (lives) {
    process.kill(-(child.pid as number), 'SIGTERM');
    await once(child, 'exit');
  }
  return lives ? output : `${output}\nerror: it ended by itself with ${child.exitCode}`;
}

/** Answers when the question has ended, and two seconds later. */
async function answerer(): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let question = '';
    socket.on('error', () => {});
    socket.on('data', (chunk) => (question += chunk));
    socket.on('end', () => setTimeout(() => socket.end(`heard: ${question}`), 2_000));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function halfCloses(book: Cookbook, slow: string, through: string, untilMs: number): Promise<{ page: Outcome; answers: Outcome[] }> {
  const page = await book.run(book.line('nc -N'));
  const port = await freePort();
  await book.serve(`outlast forward ${port} ${through} --target ${slow} --psk ~/.outlast-psk`);
  const answers: Outcome[] = [];
  while (performance.now() < untilMs) answers.push(await book.run(`printf 'question ${answers.length}' | nc -N 127.0.0.1 ${port}`));
  return { page, answers };
}

/** The cookbook's own line for a proxy, with one connection through it. */
async function secondStorm(book: Cookbook): Promise<{ connections: number }> {
  const line = book.line('outlast chaos');
  const port = Number(/chaos (\d+)/.exec(line)?.[1]);
  const child = book.start(`exec ${line} --json`);
  let text = '';
  child.stdout?.on('data', (chunk) => (text += chunk));
  while (!text.includes('listening')) await delay(50);
  await book.run(`echo | nc -N -w 2 127.0.0.1 ${port}`);
  process.kill(-(child.pid as number), 'SIGTERM');
  await once(child, 'close');
  return JSON.parse(text.trim().split('\n').at(-1) as string) as { connections: number };
}
