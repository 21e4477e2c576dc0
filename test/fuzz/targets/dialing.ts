// The dialing side under whatever answers: an OPEN or a RESUME is out, and any bytes come back, sealed with the right keys or not. Only
// SessionErrors come out; without a good MAC nothing is opened, nothing resumed, and no session ends.

import { SessionClient } from '../../../lib/client.ts';
import {
  decodeFlight,
  encodeChallenge,
  encodeOpened,
  encodeRejected,
  encodeResumed,
  flightLength,
  macInput,
  type RejectedFlight,
  setMac,
  type Unsealed,
} from '../../../lib/core/handshake.ts';
import { encodeSnapshot } from '../../../lib/core/snapshot.ts';
import { FlightAt, Frame, KeyMethod, Kind, MAC_BYTES, MAGIC, RejectCode } from '../../../lib/core/wire.ts';
import { SessionError } from '../../../lib/errors.ts';
import { lines } from '../../../lib/framing/lines.ts';
import { deriveKeys, sharedSecret } from '../../../lib/security/keys.ts';
import type { Session } from '../../../lib/session.ts';
import { attachedLines, written } from '../../support/cores.ts';
import { turns } from '../../support/net.ts';
import { dataFrame, frame } from '../../support/raw-peer.ts';
import { check, type FuzzTarget } from '../target.ts';
import { KEYS, PAIR, repaired, SESSION_ID, SteadyRuntime, Wire } from '../world.ts';

const Flag = { HEADER: 1, LENGTH: 2, ID: 4, SEAL: 8, RESUME: 16, CHALLENGE: 32 } as const;
/** Longer than a verdict may take: an attempt without one is over. */
const VERDICT_MS = 16_000;
const FRESH = { received: 0, acked: 0, limit: 131_072, base: 0, sent: 0 };
const NOTHING: Buffer = Buffer.alloc(0);

export const dialingTarget: FuzzTarget = {
  name: 'dialing',
  what: 'any answer to OPEN and RESUME, sealed or not: only SessionErrors; without a good MAC nothing opens, resumes or ends',
  files: /\/lib\/(core\/(handshake|tlv|foreign|text|resume|verdict|snapshot)|flight-reader|attempt|opening|dialer|client|security)/,
  mostBytes: 1200,
  tokens: [
    Buffer.from(MAGIC),
    Buffer.from([0x7f, 0, MAC_BYTES]),
    Buffer.from([0x0f, 0, 2, 0, 11]),
    Buffer.from([0x12, 0, 2, 0, 0]),
    Buffer.from('HTTP/1.1 302 Found\r\n'),
    frame(Frame.SUPERSEDED, Buffer.alloc(8, 9)),
    dataFrame(0, 'hello\n'),
    Buffer.from([0x80, 0, 4, 1, 2, 3, 4]),
  ],
  seeds,
  wanted: ['opened', 'refused', 'attached', 'detached', 'closed', 'ERR_HANDSHAKE', 'ERR_NOT_OUR_PROTOCOL', 'ERR_PROTOCOL'],
  run: async (input, outcomes) => {
    const flags = input[0] ?? 0;
    const dialed = new Dialed(flags, outcomes);
    try {
      await ((flags & Flag.RESUME) === 0 ? dialed.open(input) : dialed.resume(input));
    } finally {
      await dialed.end();
    }
  },
};

class Dialed {
  readonly #flags: number;
  readonly #runtime = new SteadyRuntime();
  readonly #wire = new Wire();
  readonly #client: SessionClient<string>;
  readonly #outcomes: Set<string>;
  #dials = 0;

  constructor(flags: number, outcomes: Set<string>) {
    this.#flags = flags;
    this.#outcomes = outcomes;
    const connect = (): Wire => {
      if (this.#dials++ > 0) throw new SessionError('ERR_CONNECT', 'only one connection');
      return this.#wire;
    };
    this.#client = new SessionClient({ framing: lines(), connect, runtime: this.#runtime });
  }

  async open(input: Buffer): Promise<void> {
    const opening = this.#client.open().then(
      (session) => session,
      (error: unknown) => error,
    );
    await turns(2);
    const open = this.#wire.written;
    const { flight, behind, piece } = this.#answerOf(input);
    if (this.#has(Flag.SEAL)) sealOpened(open, flight);
    await this.#wire.arrive(Buffer.concat([flight, behind]), piece);
    this.#runtime.advance(VERDICT_MS);
    const result = await opening;
    this.#outcomes.add(result instanceof Error ? 'refused' : 'opened');
    if (result instanceof Error) this.#checkError(result);
    else check(this.#has(Flag.SEAL), 'opened by an OPENED without a good MAC');
  }

  async resume(input: Buffer): Promise<void> {
    const resuming = this.#client.resume(record()).then(
      () => null,
      (error: unknown) => error,
    );
    const [session] = this.#client.sessions as ReadonlySet<Session<string>>;
    check(session !== undefined, 'no session is there');
    const seen = { attached: false };
    session.on('attached', () => {
      seen.attached = true;
    });
    await turns(2);
    const earlier = [flightOf(this.#wire.written)];
    if (this.#has(Flag.CHALLENGE)) {
      const challenge = encodeChallenge({ sessionId: SESSION_ID, nonce: Buffer.alloc(32, 5) });
      await this.#wire.arrive(challenge, challenge.length);
      earlier.push(challenge);
    }
    const { flight, behind, piece } = this.#answerOf(input);
    if (this.#has(Flag.SEAL) && flight.length > MAC_BYTES) {
      const label = flight[FlightAt.KIND] === Kind.RESUMED ? 'resumed' : 'rejected';
      setMac(flight, KEYS.mac(label, [...earlier, macInput(flight)], undefined));
    }
    await this.#wire.arrive(Buffer.concat([flight, behind]), piece);
    if (!this.#has(Flag.SEAL)) check(!seen.attached && session.state === 'detached', `${session.state} by an answer without a good MAC`);
    this.#outcomes.add(session.state);
    if (session.state !== 'closed') {
      this.#runtime.advance(VERDICT_MS);
      await turns(1);
    }
    session.destroy();
    const error = await resuming;
    if (error !== null) this.#checkError(error);
  }

  async end(): Promise<void> {
    for (const session of this.#client.sessions) session.destroy();
    this.#wire.destroy();
    await turns(1);
  }

  #answerOf(input: Buffer): { readonly flight: Buffer; readonly behind: Buffer; readonly piece: number } {
    const content = input.subarray(3);
    const cutAt = Math.max(0, content.length - (input[1] ?? 0));
    const repairs = { header: this.#has(Flag.HEADER), length: this.#has(Flag.LENGTH), id: this.#has(Flag.ID) };
    return { flight: repaired(content.subarray(0, cutAt), repairs), behind: content.subarray(cutAt), piece: 1 + (input[2] ?? 0) * 8 };
  }

  #checkError(error: unknown): void {
    check(SessionError.is(error), `not a SessionError: ${String((error as Error | undefined)?.stack)}`);
    this.#outcomes.add(error.code);
    const { cause } = error;
    check(cause === undefined || SessionError.is(cause), `a mistake of the library: ${String((cause as Error | undefined)?.stack)}`);
  }

  #has(flag: number): boolean {
    return (this.#flags & flag) !== 0;
  }
}

/** Of a session of generation 1 that has written one message: format, not bound, node 3. */
function record(): Buffer {
  const core = attachedLines('dial');
  core.send('replayed', false);
  written(core, 0);
  return Buffer.concat([Buffer.of(1, 0, 3), SESSION_ID, KEYS.bytes(), encodeSnapshot(core)]);
}

/** The first flight of what was written: early data may stand behind it. */
function flightOf(written: Buffer): Buffer {
  return written.subarray(0, flightLength(written, written.length));
}

/** As a server with the harness's key would; a flight that is none stays as it is. */
function sealOpened(open: Buffer, flight: Buffer): void {
  const asked = decodeFlight(open);
  if (asked.kind !== Kind.OPEN || asked.publicKey === undefined || flight.length <= MAC_BYTES) return;
  const shared = sharedSecret(PAIR.privateKey, asked.publicKey);
  const keys = deriveKeys({ openBytes: open, openedBytes: flight, exporter: undefined, shared, psk: undefined });
  setMac(flight, keys.mac('opened', [open, macInput(flight)], undefined));
}

function seeds(): Buffer[] {
  const opened = encodeOpened({
    node: 3,
    sessionId: SESSION_ID,
    nonce: Buffer.alloc(16, 1),
    keyMethods: KeyMethod.X25519,
    publicKey: PAIR.publicKey,
    window: 65_536,
    heartbeatMs: 15_000,
    holdMs: 300_000,
    ticketBytes: 4096,
  });
  const resumed = encodeResumed({
    node: 3,
    sessionId: SESSION_ID,
    generation: 2,
    positions: FRESH,
    nonce: Buffer.alloc(16, 2),
    heartbeatMs: 15_000,
    holdMs: 300_000,
  });
  const blank: Unsealed<RejectedFlight> = {
    sessionId: SESSION_ID,
    code: RejectCode.UNKNOWN,
    retryAfterMs: 0,
    versions: [],
    positions: undefined,
    generation: undefined,
    cause: undefined,
    reason: '',
  };
  const final = { ...blank, positions: FRESH };
  const all = Flag.HEADER | Flag.LENGTH | Flag.ID;
  const input = (flags: number, flight: Buffer, behind: Buffer = NOTHING): Buffer =>
    Buffer.concat([Buffer.of(flags, behind.length, 255), flight, behind]);
  const resume = all | Flag.SEAL | Flag.RESUME;
  return [
    input(all | Flag.SEAL, opened, dataFrame(0, 'hello\n')),
    input(0, opened),
    input(0, encodeRejected({ ...blank, sessionId: Buffer.alloc(16), code: RejectCode.VERSION, versions: [2] }, false)),
    input(resume, resumed, dataFrame(0, 'hello\n')),
    input(resume | Flag.CHALLENGE, resumed),
    input(all | Flag.RESUME, encodeRejected(blank, false)),
    input(resume, encodeRejected({ ...final, code: RejectCode.CLOSED, cause: 0 }, true)),
    input(all | Flag.RESUME, encodeRejected({ ...final, code: RejectCode.CLOSED, cause: 0 }, false)),
    input(resume, encodeRejected({ ...final, code: RejectCode.STATE_LOST }, true)),
    input(resume, encodeRejected({ ...blank, code: RejectCode.TAKEN_OVER, generation: 9 }, true)),
    input(Flag.RESUME, encodeRejected({ ...blank, code: RejectCode.BUSY, retryAfterMs: 1000, reason: 'full' }, false)),
    input(0, Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')),
  ];
}
