// Real servers for the tunnel to lead to, each on a free port of the loopback interface with its files in a folder of the test:
// OpenSSH, PostgreSQL, Redis, Mosquitto, a git daemon, Xvnc, and an HTTP server of this process.

import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type Server } from 'node:http';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const asRoot = process.getuid?.() === 0;

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

export class Services {
  readonly folder: string;
  readonly #children: ChildProcess[] = [];
  readonly #listening: Server[] = [];
  readonly image: Buffer = randomBytes(48 * 1024 * 1024);
  /** Requests for the image. */
  downloads = 0;

  constructor(folder: string) {
    this.folder = folder;
    chmodSync(folder, 0o755);
  }

  /** Waits until something takes connections there. */
  async #up(port: number, name: string): Promise<number> {
    for (let tries = 0; tries < 300; tries++) {
      const socket = connect(port, '127.0.0.1');
      const open = await once(socket, 'connect').then(
        () => true,
        () => false,
      );
      socket.destroy();
      if (open) return port;
      await delay(100);
    }
    throw new Error(`${name} does not listen: ${existsSync(this.log(name)) ? readFileSync(this.log(name), 'utf8') : 'no log'}`);
  }

  log(name: string): string {
    return join(this.folder, `${name}.log`);
  }

  #start(name: string, program: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const log = openSync(this.log(name), 'w');
    const child = spawn(program, args, { cwd: this.folder, stdio: ['ignore', log, log], ...options });
    this.#children.push(child);
    return child;
  }

  /** Its own keys and configuration; the user is who runs the test. @returns the port; ssh_config names `gate` */
  async ssh(): Promise<number> {
    const port = await freePort();
    const folder = join(this.folder, 'ssh');
    mkdirSync(folder, { mode: 0o700 });
    for (const name of ['host', 'user']) execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)]);
    writeFileSync(join(folder, 'authorized'), readFileSync(join(folder, 'user.pub')), { mode: 0o600 });
    const config = [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${folder}/host`,
      `AuthorizedKeysFile ${folder}/authorized`,
      `PidFile ${folder}/pid`,
      'StrictModes no',
      'UsePAM no',
      'PermitRootLogin yes',
      'PasswordAuthentication no',
      'MaxStartups 100',
      'Subsystem sftp internal-sftp',
    ];
    writeFileSync(join(folder, 'sshd_config'), `${config.join('\n')}\n`);
    const user = execFileSync('id', ['-un'], { encoding: 'utf8' }).trim();
    const client = [
      'Host gate',
      '  HostName 127.0.0.1',
      `  User ${user}`,
      `  IdentityFile ${folder}/user`,
      '  IdentitiesOnly yes',
      `  UserKnownHostsFile ${folder}/known`,
      '  StrictHostKeyChecking accept-new',
      '  LogLevel ERROR',
    ];
    writeFileSync(join(folder, 'config'), `${client.join('\n')}\n`, { mode: 0o600 });
    // Where privileges are separated; Debian's service makes it at boot.
    if (asRoot) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
    this.#start('sshd', '/usr/sbin/sshd', ['-D', '-e', '-f', join(folder, 'sshd_config')]);
    return await this.#up(port, 'sshd');
  }

  async postgres(): Promise<number> {
    const port = await freePort();
    const data = join(this.folder, 'postgres');
    const bin = execFileSync('bash', ['-c', 'ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1'], { encoding: 'utf8' }).trim();
    mkdirSync(data, { mode: 0o700 });
    const who: { uid?: number; gid?: number } = asRoot ? { uid: idOf('-u', 'postgres'), gid: idOf('-g', 'postgres') } : {};
    // It refuses to run as root.
    if (asRoot) chownSync(data, who.uid as number, who.gid as number);
    execFileSync(join(bin, 'initdb'), ['-D', data, '-U', 'app', '-A', 'trust', '--no-sync', '--no-instructions'], {
      ...who,
      cwd: '/',
      stdio: 'ignore',
    });
    const settings = ['-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off', '-c', `unix_socket_directories=${data}`];
    this.#start('postgres', join(bin, 'postgres'), ['-D', data, ...settings], { ...who, cwd: '/' });
    await this.#up(port, 'postgres');
    execFileSync('psql', ['-h', '127.0.0.1', '-p', String(port), '-U', 'app', '-q', '-c', 'create database app', 'postgres']);
    return port;
  }

  async redis(): Promise<number> {
    const port = await freePort();
    this.#start('redis', 'redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', this.folder]);
    return await this.#up(port, 'redis');
  }

  async mqtt(): Promise<number> {
    const port = await freePort();
    const config = join(this.folder, 'mosquitto.conf');
    // All that is published before the subscriber has taken it must wait, whatever the network does.
    writeFileSync(config, `listener ${port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n`, { mode: 0o644 });
    this.#start('mosquitto', '/usr/sbin/mosquitto', ['-c', config]);
    return await this.#up(port, 'mosquitto');
  }

  /** A repository with so many bytes that do not compress. @returns the daemon's port; its folder is `git/` */
  async git(): Promise<number> {
    const port = await freePort();
    const base = join(this.folder, 'git');
    const work = join(base, 'project.git');
    mkdirSync(work, { recursive: true });
    for (let i = 0; i < 40; i++) writeFileSync(join(work, `file-${i}`), randomBytes(512 * 1024));
    const git = (...args: readonly string[]): string =>
      execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], {
        cwd: work,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    git('init', '-q');
    git('add', '.');
    git('commit', '-qm', 'all');
    this.#start('git', 'git', ['daemon', '--reuseaddr', '--listen=127.0.0.1', `--port=${port}`, `--base-path=${base}`, '--export-all']);
    return await this.#up(port, 'git');
  }

  /** An X server with VNC, and a second one for the viewer to draw on. @returns the port, and the viewer's display */
  async vnc(): Promise<{ readonly port: number; readonly display: string }> {
    const [port, viewerPort] = [await freePort(), await freePort()];
    const [number, viewerNumber] = [freeDisplay(0), freeDisplay(1)];
    const flags = ['-SecurityTypes', 'None', '-localhost', '-ac', '-geometry', '320x200'];
    this.#start('xvnc', 'Xtigervnc', [`:${number}`, '-rfbport', String(port), ...flags]);
    this.#start('xvnc-viewer', 'Xtigervnc', [`:${viewerNumber}`, '-rfbport', String(viewerPort), ...flags]);
    await this.#up(viewerPort, 'xvnc-viewer');
    return { port: await this.#up(port, 'xvnc'), display: `:${viewerNumber}` };
  }

  /** `/image.iso`, slowly, and `/hello`. */
  async http(): Promise<number> {
    const server = createHttpServer(async (request, response) => {
      if (request.url === '/hello') return void response.end('hello\n');
      this.downloads++;
      response.setHeader('content-length', this.image.length);
      const piece = 256 * 1024;
      for (let at = 0; at < this.image.length && !response.destroyed; at += piece) {
        if (!response.write(this.image.subarray(at, at + piece))) await once(response, 'drain').catch(() => {});
        await delay(150);
      }
      response.end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#listening.push(server);
    return (server.address() as { port: number }).port;
  }

  async stop(): Promise<void> {
    const running = this.#children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    const gone = running.map((child) => once(child, 'exit'));
    for (const child of running) child.kill('SIGTERM');
    const late = setTimeout(() => {
      for (const child of running) child.kill('SIGKILL');
    }, 10_000);
    await Promise.all(gone);
    clearTimeout(late);
    for (const server of this.#listening) {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    }
  }
}

function idOf(flag: string, name: string): number {
  return Number(execFileSync('id', [flag, name], { encoding: 'utf8' }));
}

/** @param nth the first free one, or the one behind it */
function freeDisplay(nth: number): number {
  const free = Array.from({ length: 100 }, (_, i) => 100 + i).filter((number) => !existsSync(`/tmp/.X11-unix/X${number}`));
  return free[nth] as number;
}
