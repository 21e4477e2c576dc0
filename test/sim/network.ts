// The network of a world: dials become links with a fate, or fail. It also holds those who are neither client nor server: machines that
// answer with forged refusals, and listeners who play recorded bytes again.

import type { Duplex } from 'node:stream';
import { encodeRejected, setMac } from '../../lib/core/handshake.ts';
import { type CloseCode, FLIGHT_HEADER_BYTES, FlightAt, Kind, RejectCode, VERSION } from '../../lib/core/wire.ts';
import type { Random } from '../../lib/testing/random.ts';
import type { Clock, Host } from './clock.ts';
import { type Fate, type LaneOptions, Link, type LinkKind, unharmed } from './lane.ts';
import { asDuplex, PipeEnd } from './pipe.ts';
import type { Witness } from './witness.ts';

export interface NetworkOptions extends LaneOptions {
  /** lib/circuit.ts sees a Duplex, a loopback TCP socket, or one of another machine. */
  readonly transport: 'duplex' | 'loopback' | 'remote';
  readonly highWaterMark: number;
}

/** What becomes of one dial. */
export type Dial =
  | { readonly kind: 'server'; readonly fate: Fate; readonly delayMs: number }
  /** Another server that knows nothing of this session. */
  | { readonly kind: 'stranger'; readonly fate: Fate; readonly delayMs: number }
  | { readonly kind: 'refused'; readonly delayMs: number }
  /** Never answered; the attempt has to end by itself. */
  | { readonly kind: 'hole' }
  /** Connected, and then not a byte. */
  | { readonly kind: 'mute'; readonly delayMs: number }
  /** disowns: it says UNKNOWN, which only so many may. */
  | { readonly kind: 'forger'; readonly delayMs: number; readonly disowns: boolean };

/** What a client wrote on one circuit, as a listener on the way sees it. */
export interface Recording {
  readonly link: Link;
  readonly bytes: Buffer[];
  /** The dialing side has had its verdict on these bytes. */
  settled: boolean;
}

/** What a network needs beside its clock. */
export interface Surroundings {
  /** The host of all who are neither client nor server. */
  readonly outside: Host;
  readonly witness: Witness;
  /** Told of what must not happen. */
  readonly complain: (who: string, what: string) => void;
}

const RECORDINGS_MOST = 16;

export class Network {
  readonly options: NetworkOptions;
  readonly links: Set<Link> = new Set();
  readonly recordings: Recording[] = [];
  cuts: number = 0;
  dials: number = 0;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #outside: Host;
  readonly #complain: (who: string, what: string) => void;
  readonly #witness: Witness;
  // The end that reads what an attacker wrote, just now.
  #attacked: PipeEnd | null = null;
  #ends = 0;
  #healed = false;

  constructor(clock: Clock, random: Random, options: NetworkOptions, surroundings: Surroundings) {
    this.#clock = clock;
    this.#random = random;
    this.options = options;
    this.#outside = surroundings.outside;
    this.#witness = surroundings.witness;
    this.#complain = surroundings.complain;
  }

  /** Ends that nobody has destroyed. */
  get openEnds(): string[] {
    const open: string[] = [];
    for (const { client, server } of this.links)
      for (const end of [client, server]) if (!end.destroyed && !end.host.dead && end.host !== this.#outside) open.push(end.name);
    return open;
  }

  /** Something of this process waits in a socket, since the network takes no more. */
  congested(host: Host): boolean {
    for (const { client, server } of this.links)
      for (const end of [client, server]) if (end.host === host && !end.destroyed && end.writableLength > 0) return true;
    return false;
  }

  /** One dial of a client; `accept` is given the other end of the connection. */
  dial(host: Host, to: Host, dial: Dial, accept: (end: Duplex) => void, signal: AbortSignal): Promise<Duplex> {
    this.dials++;
    this.#clock.trace.note(this.#clock.nowMs, host.name, `dial ${dial.kind}`);
    return new Promise((resolve, reject) => {
      // Some connectors heed the signal, others come back too late with a connection that nobody wants.
      if (dial.kind === 'refused') this.#clock.coverage.count('connect refused');
      if (dial.kind === 'hole') this.#clock.coverage.count('connect black hole');
      if (dial.kind === 'mute') this.#clock.coverage.count('connected to silence');
      const heeds = dial.kind === 'hole' || this.#random.chance(0.5);
      if (heeds) signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      if (dial.kind === 'hole') return;
      this.#clock.after(dial.delayMs, host, () => {
        if (heeds && signal.aborted) return;
        if (dial.kind === 'refused') return reject(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
        resolve(this.#connect(host, to, dial, accept));
      });
    });
  }

  /** Plays recorded bytes again, from another machine, and listens for a while. */
  replay(to: Host, bytes: Buffer, accept: (end: Duplex) => void, onFlight: (kind: number) => void): void {
    const link = this.#link(this.#outside, to, unharmed, 'attacker');
    this.#guard(link.server);
    const attacker = asDuplex(link.client, false);
    let heard = Buffer.alloc(0);
    attacker.on('data', (answer: Buffer) => {
      const before = heard.length;
      heard = Buffer.concat([heard, answer]);
      if (before <= FlightAt.KIND && heard.length > FlightAt.KIND) onFlight(heard[FlightAt.KIND] as number);
    });
    attacker.on('error', () => {});
    link.server.await();
    this.#clock.after(0, to, () => {
      accept(asDuplex(link.server, this.options.transport !== 'duplex'));
      link.server.accepted();
    });
    attacker.write(bytes);
    this.#clock.after(this.#random.integer(1, 8_000), null, () => attacker.destroy());
  }

  /** Faults stop: connections that are whole stay whole. */
  heal(): void {
    this.#healed = true;
    for (const link of this.links) link.heal();
  }

  /** What a process writes from now on goes nowhere, and if it is deaf nothing comes either. It learns of that after a while. */
  silence(host: Host, ms: number, deaf: boolean): void {
    for (const { client, up, down } of this.links) {
      if (client.host !== host || client.destroyed) continue;
      up.kill();
      if (deaf) down.kill();
      this.#clock.after(ms, host, () => client.fail('ECONNRESET'));
    }
  }

  /** A process has died: its ends go without a word, or with what the kernel says for it. */
  bury(host: Host, how: 'silent' | 'rst'): void {
    for (const link of this.links) {
      for (const end of [link.client, link.server]) {
        if (end.host !== host || end.destroyed) continue;
        end.destroyed = true;
        end.removeAllListeners();
        if (how === 'rst') end.out.reset();
      }
    }
  }

  #connect(host: Host, to: Host, dial: Exclude<Dial, { kind: 'refused' | 'hole' }>, accept: (end: Duplex) => void): Duplex {
    const fate = dial.kind === 'server' || dial.kind === 'stranger' ? dial.fate : unharmed;
    const link = this.#link(host, dial.kind === 'mute' || dial.kind === 'forger' ? this.#outside : to, fate, dial.kind);
    const tcp = this.options.transport !== 'duplex';
    const client = asDuplex(link.client, tcp);
    if (dial.kind === 'mute') {
      link.up.kill();
      link.down.kill();
      link.server.destroyed = true;
    } else if (dial.kind === 'forger') {
      this.#forge(link, dial.disowns);
    } else {
      if (dial.kind === 'server') this.#record(link);
      link.server.await();
      this.#clock.after(0, to, () => {
        accept(asDuplex(link.server, tcp));
        link.server.accepted();
      });
    }
    return client;
  }

  /** While the bytes of an attacker are read, nobody else's connection may be ended. */
  #guard(attacked: PipeEnd): void {
    attacked.whileRead = (read) => {
      this.#attacked = attacked;
      read();
      this.#attacked = null;
    };
  }

  #ended(end: PipeEnd): void {
    const attacked = this.#attacked;
    if (attacked !== null && end !== attacked && end.host === attacked.host)
      this.#complain(end.name, 'was ended by what an attacker wrote');
  }

  #link(host: Host, to: Host, fate: Fate, kind: LinkKind): Link {
    const name = kind === 'attacker' ? kind : host.name;
    const { transport, highWaterMark } = this.options;
    const serial = this.#ends++;
    const clock = this.#clock;
    // Listeners on the way have an address of their own, so that their failures are not counted against the client.
    const address = transport === 'remote' ? (host === this.#outside ? '198.51.100.7' : '192.0.2.1') : '127.0.0.1';
    const complain = this.#complain;
    const onEnd = (ended: PipeEnd): void => this.#ended(ended);
    const end = (at: Host, label: string): PipeEnd =>
      new PipeEnd({ clock, host: at, name: `${label}#${serial}`, highWaterMark, address, complain, onEnd });
    const onCut = (): void => {
      this.cuts++;
    };
    const plan = { client: end(host, name), server: end(to, to.name), fate, kind, options: this.options, onCut };
    const link = new Link(plan, clock, this.#random);
    if (this.#healed) link.heal();
    this.links.add(link);
    this.#witness.watch(link);
    return link;
  }

  #record(link: Link): void {
    const recording: Recording = { link, bytes: [], settled: false };
    this.recordings.push(recording);
    if (this.recordings.length > RECORDINGS_MOST) this.recordings.shift();
    link.up.tap = (bytes) => {
      if (recording.bytes.length < 64) recording.bytes.push(bytes);
    };
  }

  /** Answers the first flight with a refusal that no key has signed, or with another protocol. */
  #forge(link: Link, disowns: boolean): void {
    const end = link.server;
    let seen = Buffer.alloc(0);
    end.on('error', () => {});
    end.on('end', () => end.destroy());
    end.on('data', (bytes: Buffer) => {
      if (seen.length < FLIGHT_HEADER_BYTES) seen = Buffer.concat([seen, bytes]);
      if (seen.length < FLIGHT_HEADER_BYTES || end.writableEnded || end.destroyed) return;
      end.write(this.#forged(seen.subarray(8, 24), seen[FlightAt.KIND] as number, disowns));
      end.end();
    });
  }

  #forged(sessionId: Buffer, kind: number, disowns: boolean): Buffer {
    const random = this.#random;
    if (random.chance(0.15)) {
      this.#clock.coverage.count('another protocol answers');
      return Buffer.from('HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n');
    }
    // In answer to OPEN the other codes are final, whoever says them.
    const codes = Object.values(RejectCode).filter((code) =>
      kind === Kind.RESUME ? code !== RejectCode.UNKNOWN : code <= RejectCode.RETRY_LATER,
    );
    const code = disowns && kind === Kind.RESUME ? RejectCode.UNKNOWN : random.pick(codes);
    const number = (): number => random.integer(0, 100_000);
    // Well-formed: what refuses it must be that nobody has signed it.
    const [acked, received, limit] = [number(), number(), number()].sort((a, b) => a - b) as [number, number, number];
    const [base, sent] = [number(), number()].sort((a, b) => a - b) as [number, number];
    const positions = { received, acked, limit, base, sent };
    const signed = random.chance(0.3);
    const bytes = encodeRejected(
      {
        sessionId: Buffer.from(sessionId),
        code,
        retryAfterMs: random.chance(0.3) ? random.integer(1, 2_000) : 0,
        versions: code === RejectCode.VERSION || code === RejectCode.DOWNGRADE ? [VERSION + 1] : [],
        positions: code === RejectCode.CLOSED || code === RejectCode.EXPIRED || code === RejectCode.STATE_LOST ? positions : undefined,
        generation: code === RejectCode.TAKEN_OVER || code === RejectCode.STALE_GENERATION ? number() : undefined,
        cause: code === RejectCode.CLOSED ? (random.integer(0, 11) as CloseCode) : undefined,
        reason: 'forged',
      },
      signed,
    );
    if (signed) setMac(bytes, random.bytes(16));
    return bytes;
  }
}
