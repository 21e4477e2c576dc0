// A program on a pseudo-terminal. In: what is typed, sizes. Out: all that the program writes, to the last byte, and its exit. Of node-pty
// only open() and resize() are used: its own reader loses the end of the output, and its own writer stops the whole process while the
// program does not read.

import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, closeSync, constants, openSync, readdirSync, readFileSync, readSync, write } from 'node:fs';
import { createRequire } from 'node:module';
import { ReadStream } from 'node:tty';
import type { WindowSize } from '../subnegotiation.ts';
import type { Launch } from './account.ts';

export interface PtyEvents {
  /** Output. The Buffer is the receiver's. */
  readonly output: (bytes: Buffer) => void;
  /** All output was delivered. */
  readonly exited: (exit: PtyExit) => void;
}

export interface PtyExit {
  readonly code: number | null;
  readonly signal: string | null;
}

interface NativePty {
  open(columns: number, rows: number): { readonly master: number; readonly slave: number; readonly pty: string };
  resize(master: number, columns: number, rows: number): void;
}

const TTY_GROUP = 'tty';
/** The program does not read: look again this soon, then less often. */
const FIRST_RETRY_MS = 2;
const MOST_RETRY_MS = 50;
/** A line that is edited by the kernel (cat, read) loses whole characters at a backspace, not bytes. */
const PREPARE = 'stty iutf8; exec "$@"';
const WRITE_BYTES = 4_096;
/** O_CLOEXEC as /proc shows it. */
const CLOEXEC = 0o2000000;

export class Pty {
  readonly #native: NativePty;
  readonly #master: number;
  readonly #slave: number;
  readonly #reader: ReadStream;
  readonly #child: ChildProcess;
  readonly #events: PtyEvents;
  readonly #input: Buffer[] = [];
  #inputBytes = 0;
  #writing = false;
  #retry: NodeJS.Timeout | null = null;
  #retryMs = FIRST_RETRY_MS;
  #onRoom: (() => void)[] = [];
  #over = false;
  #closed = false;

  /** @throws Error where this platform has no such terminals, or the program cannot be started as this account */
  constructor(launch: Launch, size: WindowSize, events: PtyEvents) {
    this.#native = native();
    this.#events = events;
    const { master, slave, pty } = this.#native.open(size.columns, size.rows);
    this.#master = master;
    // The library's own descriptor would be inherited by every other child.
    this.#slave = openSync(pty, constants.O_RDWR | constants.O_NOCTTY);
    closeSync(slave);
    this.#reader = new ReadStream(master);
    this.#reader.on('data', (bytes: Buffer) => events.output(bytes));
    // EIO is how Linux says that the other end is gone; the exit of the program is what counts.
    this.#reader.on('error', () => {});
    try {
      if (launch.identity !== null) chownSync(pty, launch.identity.uid, ttyGroup());
      this.#child = this.#spawn(launch);
    } catch (error) {
      this.#close();
      throw error;
    }
    this.#child.once('exit', (code, signal) => this.#exited({ code, signal }));
    this.#child.once('error', () => this.#exited({ code: 127, signal: null }));
  }

  /** 0 where the program could not be started. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Typed and not taken by the terminal yet. */
  get inputBytes(): number {
    return this.#inputBytes;
  }

  /** The terminal takes no more: its program does not read. */
  get stuck(): boolean {
    return this.#retry !== null;
  }

  write(bytes: Buffer): void {
    if (this.#over || bytes.length === 0) return;
    this.#input.push(bytes);
    this.#inputBytes += bytes.length;
    this.#flush();
  }

  /** Resolves when no more than `bytes` wait to be taken, or the program has ended. */
  async inputBelow(bytes: number): Promise<void> {
    while (this.#inputBytes > bytes && !this.#over) await new Promise<void>((resolve) => this.#onRoom.push(resolve));
  }

  /** Forgets what was typed and not taken. */
  discardInput(): void {
    this.#input.length = 0;
    this.#inputBytes = 0;
    this.#tellRoom();
  }

  /** Stops the program at its next output: the terminal's buffer fills. */
  pause(): void {
    if (!this.#over) this.#reader.pause();
  }

  resume(): void {
    if (!this.#over) this.#reader.resume();
  }

  resize(size: WindowSize): void {
    // After the end it would throw EBADF, and any client could make it do so.
    if (!this.#over) this.#native.resize(this.#master, size.columns, size.rows);
  }

  /** Signals whoever has the terminal, past any input that waits. */
  interrupt(): void {
    signal(-foregroundGroup(this.pid), 'SIGINT');
  }

  /** The user is gone for good. The session of a shell gets SIGHUP from the kernel when the terminal goes. */
  hangUp(): void {
    if (this.#over) return;
    signal(this.pid, 'SIGHUP');
    signal(this.pid, 'SIGCONT');
    signal(-foregroundGroup(this.pid), 'SIGHUP');
  }

  kill(): void {
    if (!this.#over) signal(this.pid, 'SIGKILL');
  }

  #spawn({ command, environment, directory, identity }: Launch): ChildProcess {
    const leaked = inheritable();
    const nothing = leaked.length === 0 ? -1 : openSync('/dev/null', constants.O_RDWR);
    try {
      // setsid makes the terminal the controlling one, which is what ^C and job control need.
      const stdio = Array.from({ length: Math.max(2, ...leaked) + 1 }, (_, fd) =>
        fd <= 2 ? this.#slave : leaked.includes(fd) ? nothing : ('ignore' as const),
      );
      return spawn('/usr/bin/setsid', ['-c', '--', '/bin/sh', '-c', PREPARE, 'sh', ...command], {
        stdio,
        env: environment,
        cwd: directory,
        ...identity,
      });
    } finally {
      if (nothing >= 0) closeSync(nothing);
    }
  }

  /** Never blocks: the descriptor is not, and a full terminal is asked again later. */
  #flush(): void {
    const next = this.#input[0];
    if (next === undefined || this.#writing || this.#over || this.#retry !== null) return;
    this.#writing = true;
    write(this.#master, next, 0, Math.min(next.length, WRITE_BYTES), null, (error, count) => this.#wrote(next, error, count));
  }

  #wrote(piece: Buffer, error: NodeJS.ErrnoException | null, count: number): void {
    this.#writing = false;
    if (this.#over) return this.#close();
    if (error !== null && error.code !== 'EAGAIN') {
      this.discardInput();
      return;
    }
    const taken = error === null ? count : 0;
    // It may have been discarded meanwhile.
    if (taken > 0 && this.#input[0] === piece) {
      if (taken === piece.length) this.#input.shift();
      else this.#input[0] = piece.subarray(taken);
      this.#inputBytes -= taken;
      this.#tellRoom();
    }
    this.#retryMs = taken > 0 ? FIRST_RETRY_MS : Math.min(2 * this.#retryMs, MOST_RETRY_MS);
    if (taken > 0) return this.#flush();
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.#flush();
    }, this.#retryMs);
  }

  #tellRoom(): void {
    const told = this.#onRoom;
    this.#onRoom = [];
    for (const tell of told) tell();
  }

  #exited(exit: PtyExit): void {
    if (this.#over) return;
    // What the stream has read, then what the kernel still has. We hold the other end, so EAGAIN does mean that this is all.
    this.#reader.pause();
    this.#reader.removeAllListeners('data');
    for (let bytes = this.#reader.read() as Buffer | null; bytes !== null; bytes = this.#reader.read() as Buffer | null)
      this.#events.output(bytes);
    for (const bytes of remaining(this.#master)) this.#events.output(bytes);
    this.#over = true;
    this.discardInput();
    if (!this.#writing) this.#close();
    this.#events.exited(exit);
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    closeSync(this.#slave);
    this.#reader.destroy();
  }
}

let loaded: NativePty | null = null;

/** The part of the library that opens terminals. It has no types and no exported name. */
function native(): NativePty {
  if (process.platform !== 'linux') throw new Error(`the telnet server needs Linux, this is ${process.platform}`);
  if (loaded === null) {
    const require = createRequire(import.meta.url);
    const library = require('@lydell/node-pty/requireBinary.js') as { readonly requireBinary: (file: string) => NativePty };
    loaded = library.requireBinary('pty.node');
  }
  return loaded;
}

/**
 * Descriptors that a child would get although they are none of its business, above all the terminals of all other sessions: the library
 * opens them without O_CLOEXEC. In the child /dev/null is put over them.
 */
function inheritable(): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => fd > 2 && !closesOnExec(fd));
}

function closesOnExec(fd: number): boolean {
  try {
    const flags = /^flags:\s+([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
    return (Number.parseInt(flags ?? '0', 8) & CLOEXEC) !== 0;
  } catch {
    // The descriptor that listed the folder is closed by now.
    return true;
  }
}

function remaining(master: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (;;) {
    const bytes = Buffer.allocUnsafe(65_536);
    try {
      const count = readSync(master, bytes, 0, bytes.length, null);
      if (count === 0) return pieces;
      pieces.push(bytes.subarray(0, count));
    } catch {
      return pieces;
    }
  }
}

/** The process group that has the terminal of this process; 0 where it cannot be told. */
function foregroundGroup(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, second of the fields, may hold anything but ends with the last parenthesis.
    return Math.max(0, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[5]) || 0);
  } catch {
    return 0;
  }
}

/** @param to a process, or a process group where it is negative */
function signal(to: number, name: NodeJS.Signals): void {
  // 0 and -1 are all processes of ours, and all there are.
  if (Math.abs(to) <= 1) return;
  try {
    process.kill(to, name);
  } catch {
    // It has gone by itself, or has become somebody else's.
  }
}

function ttyGroup(): number {
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((one) => one.startsWith(`${TTY_GROUP}:`));
  return Number(line?.split(':')[2] ?? 0);
}
