// The accepting side of the handshake under a stranger, and under a peer with keys. A session lives beside. Only SessionErrors come out; a
// stranger gets no byte back; and unless RESUMED was written the session and its circuit are as they were.

import { Circuit, circuitInfo } from '../../../lib/circuit.ts';
import { decodeFlight, encodeChallenge, encodeOpen, encodeResume, flightLength, macInput, setMac } from '../../../lib/core/handshake.ts';
import { kindName } from '../../../lib/core/tlv.ts';
import { FlightAt, Frame, KeyMethod, Kind, MAC_BYTES, MAGIC, ticketHeader } from '../../../lib/core/wire.ts';
import { SessionError } from '../../../lib/errors.ts';
import { lines } from '../../../lib/framing/lines.ts';
import { Greeter } from '../../../lib/greeter.ts';
import { Greeting } from '../../../lib/greeting.ts';
import { parseShared } from '../../../lib/options.ts';
import type { Live } from '../../../lib/registry.ts';
import { deriveKeys, sharedSecret } from '../../../lib/security/keys.ts';
import { keyring } from '../../../lib/tickets/keyring.ts';
import { turns } from '../../support/net.ts';
import { dataFrame, frame, offsetFrame } from '../../support/raw-peer.ts';
import { check, type FuzzTarget } from '../target.ts';
import { KEYS, PAIR, repaired, SESSION_ID, SteadyRuntime, Wire } from '../world.ts';

/** First byte of an input: what the harness puts right, and how the world is. */
const Flag = { HEADER: 1, LENGTH: 2, ID: 4, SEAL: 8, CHALLENGE: 16, DETACHED: 32, CONFIRM: 64 } as const;
const HANDSHAKE_MS = 5_000;
const FRESH = { received: 0, acked: 0, limit: 65_536, base: 0, sent: 0 };
const TICKET_SECRET = Buffer.from('9d4e1c77a2b05f3866e1d9487b20cc35f1a86d0e43975bb2c81f60da247e93b8', 'hex');
const NOTHING: Buffer = Buffer.alloc(0);

export const acceptingTarget: FuzzTarget = {
  name: 'accepting',
  what: 'any first flight to a server, sealed or not: only SessionErrors, no byte to strangers, no state change by a failed RESUME',
  files: /\/lib\/(core\/(handshake|tlv|foreign|text|resume|verdict)|flight-reader|greet|registry|behind|key-choice|security)/,
  mostBytes: 1200,
  tokens: [
    Buffer.from(MAGIC),
    Buffer.from([0x7f, 0, MAC_BYTES]),
    Buffer.from([0x0b, 0, 8, 0, 0, 0, 0, 0, 0, 0]),
    Buffer.from('GET / HTTP/1.1\r\n'),
    Buffer.from([0x16, 3, 1]),
    Buffer.from('PROXY TCP4 '),
    Buffer.from('SSH-2.0-'),
    frame(Frame.PROOF, Buffer.alloc(16)),
    frame(Frame.CONFIRM, Buffer.alloc(16)),
    offsetFrame(Frame.END, 0),
    dataFrame(0, 'hello\n'),
    Buffer.from([0x80, 0, 4, 1, 2, 3, 4]),
  ],
  seeds,
  wanted: ['OPENED', 'confirmed', 'RESUMED', 'CHALLENGE', 'REJECTED', 'stranger'],
  run: async (input, outcomes) => {
    const world = new World(input[0] ?? 0);
    try {
      await world.play(input, outcomes);
    } finally {
      world.end();
    }
  },
};

class World {
  readonly #flags: number;
  readonly #runtime = new SteadyRuntime();
  readonly #greeter: Greeter<string>;
  readonly #live: Live<string>;
  readonly #errors: SessionError[] = [];
  readonly #old = new Wire();
  readonly #wire = new Wire();

  constructor(flags: number) {
    this.#flags = flags;
    const challenge = this.#has(Flag.CHALLENGE) ? 'always' : 'never';
    const settings = parseShared({ framing: lines(), runtime: this.#runtime });
    const tickets = keyring([TICKET_SECRET], { audience: 'fuzz' });
    this.#greeter = new Greeter({ framing: lines(), challenge, tickets }, settings, {
      opened: () => {},
      rejected: (error) => this.#errors.push(error),
      ended: () => {},
    });
    const opened = circuitInfo(this.#old, 'test', false);
    const terms = { role: 'accept', window: 65_536, peerWindow: 65_536, heartbeatMs: 15_000, holdMs: 300_000 } as const;
    const provisional = {
      id: SESSION_ID.toString('hex'),
      keys: KEYS,
      bound: false,
      principal: undefined,
      opened,
      terms,
      metadata: NOTHING,
    };
    this.#live = this.#greeter.make({ ...provisional, live: true, untilMs: 0 });
    const circuit = new Circuit(this.#old, opened, this.#runtime);
    this.#greeter.join(this.#live, circuit, FRESH, this.#live.driver.core.positions(), NOTHING, true);
    this.#live.session.send('replayed');
    if (this.#has(Flag.DETACHED)) this.#old.destroy();
  }

  async play(input: Buffer, outcomes: Set<string>): Promise<void> {
    const behindBytes = input[1] ?? 0;
    const piece = 1 + (input[2] ?? 0) * 8;
    const repairs = { header: this.#has(Flag.HEADER), length: this.#has(Flag.LENGTH), id: this.#has(Flag.ID) };
    const content = input.subarray(3);
    const cutAt = Math.max(0, content.length - behindBytes);
    const flight = repaired(content.subarray(0, cutAt), repairs);
    if (this.#has(Flag.SEAL) && flight.length > MAC_BYTES) setMac(flight, KEYS.mac('resume', [macInput(flight)], undefined));
    await turns(1);
    const before = this.#state();
    const oldBytes = this.#old.written.length;
    const resumed = async (): Promise<boolean> => {
      await turns(2);
      return kindOf(this.#wire.written) === Kind.RESUMED || kindOf(afterChallenge(this.#wire.written)) === Kind.RESUMED;
    };
    Greeting.begin(this.#greeter, new Circuit(this.#wire, circuitInfo(this.#wire, 'test', false), this.#runtime));
    await this.#wire.arrive(Buffer.concat([flight, content.subarray(cutAt)]), piece);
    if (this.#has(Flag.CONFIRM)) await this.#answer(flight, content.subarray(cutAt), piece);
    if (!(await resumed())) {
      check(this.#state() === before, `a handshake that was not accepted changed the session: ${before} to ${this.#state()}`);
      check(this.#old.written.length === oldBytes, 'a handshake that was not accepted wrote to the session’s circuit');
    } else {
      check(this.#has(Flag.SEAL), 'RESUMED for a RESUME without a good MAC');
    }
    for (const answer of [this.#wire.written, afterChallenge(this.#wire.written)])
      if (answer.length > 0) outcomes.add(kindName(kindOf(answer)));
    if (this.#greeter.registry.live.size > 1) outcomes.add('confirmed');
    if (!begins(flight)) outcomes.add('stranger');
    if (!begins(flight)) check(this.#wire.written.length === 0, 'bytes back to a stranger');
    this.#runtime.advance(HANDSHAKE_MS);
    await turns(1);
    this.#checkErrors();
  }

  end(): void {
    this.#live.session.destroy();
    this.#greeter.dropGreetings(new SessionError('ERR_SHUTDOWN', 'over'));
    for (const { session } of [...this.#greeter.registry.live.values()]) session.destroy();
    this.#old.destroy();
    this.#wire.destroy();
  }

  /** The honest next step of a peer that has keys: CONFIRM behind OPENED, PROOF behind CHALLENGE. */
  async #answer(flight: Buffer, behind: Buffer, piece: number): Promise<void> {
    const answer = this.#wire.written;
    const kind = kindOf(answer);
    if (kind === Kind.OPENED) {
      const opened = decodeFlight(answer);
      if (opened.kind !== Kind.OPENED || opened.publicKey === undefined || !flight.includes(PAIR.publicKey)) return;
      const shared = sharedSecret(PAIR.privateKey, opened.publicKey);
      const keys = deriveKeys({ openBytes: flight, openedBytes: answer, exporter: undefined, shared, psk: undefined });
      const proof = frame(Frame.CONFIRM, keys.mac('confirm', [flight, answer], undefined));
      await this.#wire.arrive(Buffer.concat([proof, behind]), piece);
    } else if (kind === Kind.CHALLENGE) {
      await this.#wire.arrive(frame(Frame.PROOF, KEYS.mac('proof', [flight, answer], undefined)), piece);
    }
  }

  /** What a failed handshake must not change. */
  #state(): string {
    const { core, ended, circuit } = this.#live.driver;
    const told = [core.generation, core.instance, core.circuit, core.state, ended, circuit === null];
    return JSON.stringify([
      told,
      core.positions(),
      this.#live.takeoversMs.length,
      this.#greeter.registry.live.has(SESSION_ID.toString('hex')),
    ]);
  }

  #checkErrors(): void {
    for (const error of this.#errors) {
      check(SessionError.is(error), `told of ${String(error)}`);
      // Our own mistakes would show as causes: nothing here has a hook that could fail.
      const inner = error.cause === undefined || SessionError.is(error.cause);
      check(inner && error.code !== 'ERR_APPLICATION', `a mistake of the library: ${String((error.cause as Error | undefined)?.stack)}`);
    }
  }

  #has(flag: number): boolean {
    return (this.#flags & flag) !== 0;
  }
}

/** Whether the bytes are ours as far as they go. */
function begins(bytes: Buffer): boolean {
  return MAGIC.every((byte, at) => at >= bytes.length || bytes[at] === byte);
}

function kindOf(answer: Buffer): number {
  return answer[FlightAt.KIND] ?? 0;
}

function afterChallenge(answer: Buffer): Buffer {
  return kindOf(answer) === Kind.CHALLENGE ? answer.subarray(flightLength(answer, answer.length)) : NOTHING;
}

function seeds(): Buffer[] {
  const open = encodeOpen({
    node: 0,
    nonce: Buffer.alloc(16, 1),
    keyMethods: KeyMethod.X25519,
    publicKey: PAIR.publicKey,
    framing: lines().name,
    window: 65_536,
    heartbeatMs: 15_000,
    holdMs: 300_000,
    credentials: Buffer.from('token'),
    metadata: Buffer.from('{}'),
    maxVersion: 1,
    ticketBytes: 73_728,
  });
  const resumeFields = {
    node: 1,
    sessionId: SESSION_ID,
    generation: 2,
    instance: 1,
    positions: { ...FRESH, sent: 6 },
    nonce: Buffer.alloc(16, 2),
    credentials: undefined,
    ticket: undefined,
    ticketFollows: undefined,
    maxVersion: 1,
  };
  const resume = encodeResume(resumeFields);
  const shown = encodeResume({ ...resumeFields, ticket: Buffer.alloc(120, 1) });
  const announcing = encodeResume({ ...resumeFields, ticketFollows: { length: 6145, digest: Buffer.alloc(32) } });
  const early = dataFrame(0, 'hello\n');
  const all = Flag.HEADER | Flag.LENGTH | Flag.ID | Flag.SEAL | Flag.CONFIRM;
  const input = (flags: number, flight: Buffer, behind: Buffer = NOTHING): Buffer =>
    Buffer.concat([Buffer.of(flags, behind.length, 255), flight, behind]);
  return [
    input(Flag.CONFIRM | Flag.HEADER | Flag.LENGTH, open),
    input(Flag.CONFIRM, open, early),
    input(all, resume, early),
    input(all | Flag.CHALLENGE, resume, early),
    input(all, shown, early),
    input(all, announcing, Buffer.concat([ticketHeader(0, 6145), Buffer.alloc(100)])),
    input(all | Flag.DETACHED, resume, Buffer.concat([early, offsetFrame(Frame.END, 6)])),
    input(all & ~Flag.SEAL, resume),
    input(0, encodeChallenge({ sessionId: SESSION_ID, nonce: Buffer.alloc(32) })),
    input(0, Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')),
  ];
}
