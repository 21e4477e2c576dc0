// One connection to the implementation under test: any bytes out, at any pace; bytes in wait until a case asks for them. All waits end in time.

import { once } from 'node:events';
import { connect as dialTcp, type Socket } from 'node:net';
import { connect as dialTls, type TLSSocket } from 'node:tls';
import { Failure, type Frame, flightLength, type Reply, readFlight, readFrame } from './bytes.ts';

/** What is tested, and what is known about it. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly psk: Buffer | undefined;
  /** How long something that is due at once may take. Generous: it is waited for only where a case fails. */
  readonly patienceMs: number;
  /** How long nothing must come where nothing may. */
  readonly quietMs: number;
}

/** What the connection gives to the keys: both undefined but on TLS 1.3. */
export interface TlsSecrets {
  readonly exporter: Buffer;
  readonly binding: Buffer;
}

export interface DialOptions {
  readonly tlsVersion?: 'TLSv1.2' | 'TLSv1.3';
  /** Undefined: outlast/1. */
  readonly alpn?: readonly string[];
}

export class Circuit {
  readonly socket: Socket | TLSSocket;
  readonly secrets: TlsSecrets | undefined;
  readonly #target: Target;
  #bytes: Buffer = Buffer.alloc(0);
  #ended = false;
  #closed = false;
  #error = '';
  #wake: () => void = () => {};

  private constructor(socket: Socket | TLSSocket, target: Target) {
    this.socket = socket;
    this.#target = target;
    this.secrets = 'getProtocol' in socket ? tlsSecrets(socket) : undefined;
    const wake = (): void => this.#wake();
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
      wake();
    });
    socket.on('end', () => {
      this.#ended = true;
      wake();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error = error.code ?? error.message;
    });
    socket.on('close', () => {
      this.#closed = true;
      wake();
    });
  }

  static async dial(target: Target, options: DialOptions = {}): Promise<Circuit> {
    const { host, port } = target;
    const { tlsVersion, alpn = ['outlast/1'] } = options;
    const version = tlsVersion === undefined ? {} : { minVersion: tlsVersion, maxVersion: tlsVersion };
    const common = { host, port, allowHalfOpen: true };
    // The certificate is not what is tested.
    const tls = { ...common, ...version, rejectUnauthorized: false, servername: 'localhost', ALPNProtocols: [...alpn] };
    const socket = target.tls ? dialTls(tls) : dialTcp(common);
    try {
      await once(socket, target.tls ? 'secureConnect' : 'connect', { signal: AbortSignal.timeout(target.patienceMs) });
    } catch (error) {
      socket.destroy();
      throw error;
    }
    socket.setNoDelay(true);
    return new Circuit(socket, target);
  }

  /** Bytes that came and were not taken. */
  get waiting(): Buffer {
    return this.#bytes;
  }

  /** Why the connection broke; empty while it did not. */
  get error(): string {
    return this.#error;
  }

  get gone(): boolean {
    return this.#ended || this.#closed;
  }

  /** All parts in one write. */
  write(...parts: readonly Uint8Array[]): this {
    if (!this.#closed) this.socket.write(Buffer.concat(parts));
    return this;
  }

  /** So many bytes a write, each on its way before the next. */
  async trickle(bytes: Buffer, step: number = 1): Promise<void> {
    for (let at = 0; at < bytes.length && !this.#closed; at += step) {
      await new Promise<void>((resolve) => {
        this.socket.write(bytes.subarray(at, at + step), () => resolve());
      });
    }
  }

  /** Ends this half. */
  end(): void {
    this.socket.end();
  }

  /** Cuts the connection with a reset. */
  cut(): void {
    if ('getProtocol' in this.socket) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  destroy(): void {
    this.socket.destroy();
  }

  async flight(ms: number = this.#target.patienceMs): Promise<Reply> {
    const length = await this.#until('a flight', ms, () => flightLength(this.#bytes) || undefined);
    const bytes = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return readFlight(Buffer.from(bytes));
  }

  async frame(ms: number = this.#target.patienceMs): Promise<Frame> {
    const frame = await this.#until('a frame', ms, () => readFrame(this.#bytes) ?? undefined);
    this.#bytes = this.#bytes.subarray(4 + frame.body.length);
    return frame;
  }

  /** The other end has ended its half, or all of it. @returns how */
  async ended(ms: number = this.#target.patienceMs): Promise<'end' | 'reset'> {
    await this.#until('the end of the connection', ms, () => this.gone || undefined, false);
    return this.#ended ? 'end' : 'reset';
  }

  /** The connection is closed whole: also our half, by a reset, or since we have ended it. */
  async closed(ms: number = this.#target.patienceMs): Promise<void> {
    await this.#until('the end of both halves', ms, () => this.#closed || undefined, false);
  }

  /** The connection goes, and not a byte comes before. */
  async endedInSilence(ms: number = this.#target.patienceMs): Promise<void> {
    await this.ended(ms);
    if (this.#bytes.length > 0) throw new Failure(`${this.#bytes.length} bytes came first: ${this.#bytes.subarray(0, 40).toString('hex')}`);
  }

  /** The other end's half ends in order, and not a byte comes before: what was written last is not lost by a reset (T-5). */
  async halfClosed(): Promise<void> {
    const how = await this.ended();
    if (how === 'reset') throw new Failure('the connection was reset, where the half-close was due (T-5)');
    await this.endedInSilence();
  }

  /** Nothing comes, and the connection stays. */
  async quiet(ms: number = this.#target.quietMs): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ms));
    if (this.#bytes.length > 0) throw new Failure(`bytes came where none may: ${this.#bytes.subarray(0, 40).toString('hex')}`);
    if (this.gone) throw new Failure(`the connection ended${this.#error === '' ? '' : ` (${this.#error})`}`);
  }

  async #until<T>(what: string, ms: number, look: () => T | undefined, untilGone: boolean = true): Promise<T> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#wake();
    }, ms);
    try {
      for (;;) {
        const found = look();
        if (found !== undefined) return found;
        if (untilGone && this.gone)
          throw new Failure(`the connection ended before ${what} came${this.#error === '' ? '' : ` (${this.#error})`}`);
        if (late) throw new Failure(`${what} did not come within ${ms} ms (${this.#bytes.length} bytes wait)`);
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

function tlsSecrets(socket: TLSSocket): TlsSecrets | undefined {
  if (socket.getProtocol() !== 'TLSv1.3') return undefined;
  const exported = (label: string): Buffer => socket.exportKeyingMaterial(32, label, Buffer.alloc(0));
  return { exporter: exported('EXPORTER-outlast-1'), binding: exported('EXPORTER-Channel-Binding') };
}
