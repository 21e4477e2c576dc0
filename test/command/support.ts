// What tests of the command share: the command as a process of its own, as a user runs it, with its events read from --json.

import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server, type Socket, connect as tcpConnect } from 'node:net';
import { fileURLToPath } from 'node:url';

const outlast = fileURLToPath(new URL('../../bin/outlast.ts', import.meta.url));

export interface Event {
  readonly event: string;
  readonly [name: string]: unknown;
}

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command as a child process with pipes. */
export function start(args: readonly string[]): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, ['--import', 'tsx', outlast, ...args], { stdio: 'pipe' });
}

/** Runs it to its end. */
export async function run(args: readonly string[], input: string | Buffer = ''): Promise<Outcome> {
  const child = start(args);
  const texts = ['', ''];
  child.stdout.setEncoding('latin1').on('data', (text) => {
    texts[0] += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    texts[1] += text;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout: texts[0] as string, stderr: texts[1] as string };
}

/** A long-running command with --json. Disposing kills it. */
export class Running implements AsyncDisposable {
  readonly child: ChildProcessWithoutNullStreams;
  readonly events: Event[] = [];
  readonly #waiting: { readonly wanted: (event: Event) => boolean; readonly resolve: (event: Event) => void }[] = [];
  #rest = '';
  #errors = '';
  readonly exit: Promise<number | null>;

  constructor(args: readonly string[]) {
    this.child = start([...args, '--json']);
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    this.exit = once(this.child, 'close').then(([code]) => code as number | null);
  }

  /** Starts it, and waits until it listens. */
  static async listening(args: readonly string[]): Promise<Running & { readonly port: number }> {
    const running = new Running(args);
    const event = await Promise.race([running.event('listening'), running.exit]);
    if (typeof event !== 'object' || event === null) throw new Error(`exit code ${event}: ${running.#errors}`);
    return Object.assign(running, { port: Number(String(event.on).split(':').at(-1)) });
  }

  /** The next event of this name that fits, or one that has come and was not asked for yet. */
  event(name: string, fits: (event: Event) => boolean = () => true): Promise<Event> {
    const wanted = (event: Event): boolean => event.event === name && fits(event);
    const index = this.events.findIndex(wanted);
    if (index >= 0) return Promise.resolve(this.events.splice(index, 1)[0] as Event);
    return new Promise((resolve) => this.#waiting.push({ wanted, resolve }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exit;
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() as string;
    for (const line of lines) {
      const event = JSON.parse(line) as Event;
      const index = this.#waiting.findIndex(({ wanted }) => wanted(event));
      if (index < 0) this.events.push(event);
      else this.#waiting.splice(index, 1)[0]?.resolve(event);
    }
  }
}

/** A service behind a tunnel, in this process. Its sockets are destroyed with it. */
export class Service implements AsyncDisposable {
  readonly sockets: Socket[] = [];
  readonly #server: Server;
  port = 0;

  private constructor(serve: (socket: Socket) => void) {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {});
      this.sockets.push(socket);
      serve(socket);
    });
  }

  static async start(serve: (socket: Socket) => void): Promise<Service> {
    const service = new Service(serve);
    service.#server.listen(0, '127.0.0.1');
    await once(service.#server, 'listening');
    service.port = (service.#server.address() as { port: number }).port;
    return service;
  }

  /** Sends everything back, and ends when the other side has ended. */
  static echo(): Promise<Service> {
    return Service.start((socket) => socket.pipe(socket));
  }

  /** The next connection. */
  async connection(): Promise<Socket> {
    const [socket] = (await once(this.#server, 'connection')) as [Socket];
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** A connected socket that half-closes. */
export async function dialed(port: number): Promise<Socket> {
  const socket = tcpConnect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** The next bytes. Where none come the error has the events of the tunnel's end, which say why. */
export async function heard(socket: Socket, ...ends: readonly Running[]): Promise<string> {
  try {
    return String((await once(socket, 'data'))[0]);
  } catch (cause) {
    throw new Error(`${(cause as Error).message}: ${JSON.stringify(ends.map(({ events }) => events))}`, { cause });
  }
}

/** All that comes, and how it ends: 'end', or the code of the error. */
export async function ending(socket: Socket): Promise<{ readonly bytes: Buffer; readonly how: string }> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  const how = await new Promise<string>((resolve) => {
    // libuv tells a reset that comes with bytes as an end; writing nothing finds it out.
    socket.once('end', () => {
      if (socket.writableEnded) resolve('end');
      else socket.write(Buffer.alloc(0), (error) => (error ? undefined : resolve('end')));
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('close', () => resolve('close'));
  });
  return { bytes: Buffer.concat(chunks), how };
}

/** Ends a child, and waits until it is gone. */
export async function killed(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
