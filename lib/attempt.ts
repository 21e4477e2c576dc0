// Attempt: one dial of the dialing side: a connection, then handshake flights from the server, each handed to the dialer.
// Ends by a verdict, by an error, or by being abandoned.
import type { Duplex } from 'node:stream';
import { Circuit, type CircuitOwner, circuitInfo } from './circuit.ts';
import { decodeFlight, type Flight } from './core/handshake.ts';
import { SessionError } from './errors.ts';
import { FlightReader } from './flight-reader.ts';
import { LateAbort } from './late-abort.ts';
import type { Address } from './options.ts';
import { type Runtime, Sleeper } from './runtime.ts';

export interface AttemptHost {
  /** The connection is there: write the first flight. */
  connected(attempt: Attempt, circuit: Circuit): void;
  /** A flight came; `rest` stands behind it. */
  flight(attempt: Attempt, circuit: Circuit, flight: Flight, bytes: Buffer, rest: Buffer): void;
  /** It failed, and its connection is gone. */
  failed(attempt: Attempt, error: SessionError): void;
}

/** The same for all dials of a client. */
export interface AttemptOptions {
  readonly runtime: Runtime;
  /** From the connection to the verdict. */
  readonly verdictMs: number;
  /** The other end of the connection is a TLS terminator that the user trusts. */
  readonly connect: (address: Address | undefined, stop: LateAbort) => Promise<Duplex>;
}

export class Attempt extends Sleeper implements CircuitOwner {
  readonly address: Address | undefined;
  readonly #host: AttemptHost;
  readonly #options: AttemptOptions;
  readonly #abort = new LateAbort();
  readonly #reader = new FlightReader();
  #circuit: Circuit | null = null;
  #over = false;

  constructor(host: AttemptHost, address: Address | undefined, options: AttemptOptions) {
    super();
    this.#host = host;
    this.address = address;
    this.#options = options;
  }

  start(): void {
    this.#options.connect(this.address, this.#abort).then(
      (socket) => this.#connected(socket),
      (error: unknown) =>
        this.#fail(SessionError.is(error) ? error : new SessionError('ERR_CONNECT', 'connect() failed', { cause: error })),
    );
  }

  /** The verdict was taken: the circuit is the session's now, or is being ended. */
  settled(): void {
    this.#over = true;
    this.#options.runtime.disarm(this);
  }

  /** Gives up without a word to the host. */
  abandon(): void {
    if (this.#over) return;
    this.settled();
    this.#abort.abort(new Error('abandoned'));
    this.#circuit?.destroy();
  }

  circuitData(circuit: Circuit, chunk: Buffer, at: number): number {
    let from = at;
    try {
      while (!this.#over && from < chunk.length) {
        const bytes = this.#reader.push(chunk, from);
        if (bytes === null) return chunk.length;
        from = this.#reader.end;
        this.#host.flight(this, circuit, decodeFlight(bytes), bytes, chunk.subarray(from));
      }
    } catch (error) {
      this.#fail(SessionError.is(error) ? error : new SessionError('ERR_PROTOCOL', 'the handshake failed', { cause: error }));
    }
    return chunk.length;
  }

  override ring(): void {
    this.#fail(new SessionError('ERR_HANDSHAKE_TIMEOUT', `no verdict within ${this.#options.verdictMs} ms`));
  }

  circuitWritable(): void {}

  circuitLost(_circuit: Circuit, error: SessionError): void {
    this.#fail(error);
  }

  #connected(socket: Duplex): void {
    if (this.#over) {
      socket.on('error', () => {});
      socket.destroy();
      return;
    }
    const { runtime, verdictMs } = this.#options;
    const circuit = new Circuit(socket, circuitInfo(socket, '', false), runtime);
    this.#circuit = circuit;
    circuit.owner = this;
    runtime.arm(this, runtime.now() + verdictMs);
    try {
      this.#host.connected(this, circuit);
    } catch (error) {
      this.#fail(SessionError.is(error) ? error : new SessionError('ERR_PROTOCOL', 'the handshake failed', { cause: error }));
    }
  }

  #fail(error: SessionError): void {
    if (this.#over) return;
    this.settled();
    this.#circuit?.destroy();
    this.#host.failed(this, error);
  }
}
