// The honest peer beside an attack: one session that sends a small message every 20 ms and notes when it comes back.

import { SessionClient } from '../../lib/client.ts';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import type { Session } from '../../lib/session.ts';
import { clientTls } from '../support/tls.ts';

export interface Experience {
  readonly echoP99Ms: number;
  readonly echoMaxMs: number;
  readonly echoes: number;
  /** Circuits that its session has lost. */
  readonly lost: number;
}

const EVERY_MS = 20;
const MESSAGE_BYTES = 32;

export class Honest {
  readonly #client: SessionClient<Buffer>;
  #session!: Session<Buffer>;
  #timer: NodeJS.Timeout | undefined;
  #sent = 0;
  #came = 0;
  #wrong = 0;
  readonly #sentAtMs: number[] = [];
  #latenciesMs: number[] = [];

  constructor(port: number, tls: boolean) {
    this.#client = new SessionClient({ framing: lengthPrefix(), port, metadata: 'honest', ...(tls ? { tls: clientTls() } : {}) });
  }

  async begin(): Promise<void> {
    this.#session = await this.#client.open();
    this.#session.receive((message) => this.#echoed(message));
    this.#timer = setInterval(() => this.#send(), EVERY_MS);
  }

  get id(): string {
    return this.#session.id;
  }

  /** What came before does not count. */
  forget(): void {
    this.#latenciesMs = [];
  }

  get experience(): Experience {
    // What has not come back yet has waited until now at least.
    const now = performance.now();
    const waiting = this.#sentAtMs.slice(this.#came).map((atMs) => now - atMs);
    const all = [...this.#latenciesMs, ...waiting].sort((a, b) => a - b);
    const lost = this.#session.stats.resumes + (this.#session.state === 'attached' ? 0 : 1) + this.#wrong;
    return {
      echoP99Ms: all[Math.floor(all.length * 0.99)] ?? Infinity,
      echoMaxMs: all.at(-1) ?? Infinity,
      echoes: this.#latenciesMs.length,
      lost,
    };
  }

  /** Ends in order, and shows that a new session can be had. @returns how long that took */
  async end(): Promise<number> {
    clearInterval(this.#timer);
    await this.#session.close();
    const beganMs = performance.now();
    const again = await this.#client.open();
    const openMs = performance.now() - beganMs;
    await again.close();
    await this.#client.close();
    return openMs;
  }

  /** Whatever state it is in. */
  stop(): void {
    clearInterval(this.#timer);
    for (const session of this.#client.sessions) session.destroy();
  }

  #send(): void {
    if (this.#session.state === 'closed') return;
    const message = Buffer.alloc(MESSAGE_BYTES);
    message.writeUInt32BE(this.#sent++);
    this.#sentAtMs.push(performance.now());
    this.#session.send(message);
  }

  #echoed(message: Buffer): void {
    const number = message.readUInt32BE();
    if (number !== this.#came++) this.#wrong++;
    this.#latenciesMs.push(performance.now() - (this.#sentAtMs[number] as number));
  }
}
