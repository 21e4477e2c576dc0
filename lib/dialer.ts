// Dialer: keeps one session of the dialing side on a circuit: redials with jitter, proves who it is, takes verdicts, and ends the session
// only for an authenticated reason or when its time is over. The one writer of generations.
import { Attempt, type AttemptHost, type AttemptOptions } from './attempt.ts';
import type { Circuit } from './circuit.ts';
import { nameOf } from './connect.ts';
import {
  type ChallengeFlight,
  encodeResume,
  type Flight,
  macInput,
  type Positions,
  type RejectedFlight,
  type ResumedFlight,
  setMac,
} from './core/handshake.ts';
import { Redial } from './core/redial.ts';
import { tell } from './core/resume.ts';
import { isRetry, rejectError } from './core/verdict.ts';
import { Frame, Kind, MAC_BYTES, NONCE_BYTES, putBytesFrame, RejectCode, VERSION } from './core/wire.ts';
import type { SessionDriver } from './driver.ts';
import type { SessionHost } from './driver-host.ts';
import { SessionError } from './errors.ts';
import type { Address, Settings } from './options.ts';
import { Sleeper } from './runtime.ts';
import type { SessionKeys, TlsSecrets } from './security/keys.ts';
import { showTicket } from './ticket-shown.ts';

/** The same for all sessions of a client. */
export interface DialerOptions<Message> {
  readonly settings: Settings<Message>;
  readonly addresses: readonly (Address | undefined)[];
  readonly attempts: AttemptOptions;
  readonly secretsOf: (circuit: Circuit) => TlsSecrets | undefined;
  /** The next attempt of this session is due in so many milliseconds, because of this. */
  readonly retrying: (driver: SessionDriver<Message>, attempt: number, delayMs: number, cause: SessionError) => void;
  readonly ended: (driver: SessionDriver<Message>) => void;
}

export interface DialerIdentity {
  readonly id: Buffer;
  readonly keys: SessionKeys;
  readonly bound: boolean;
  node: number;
}

const RETRY_AFTER_MOST_MS = 60_000;
/** UNKNOWN is believed after so many answers, this far apart: one wrong or restarting machine must not end a session. */
const UNKNOWN_ANSWERS = 3;
const UNKNOWN_APART_MS = 1_000;
/** So many in a row; then it is dialed as after any refusal, and they count anew. */
const FOLLOWED_MOST = 3;

const NOTHING_TOLD: Positions = { received: 0, acked: 0, limit: 0, base: 0, sent: 0 };

export class Dialer<Message> extends Sleeper implements SessionHost<SessionDriver<Message>>, AttemptHost {
  readonly identity: DialerIdentity;
  readonly #options: DialerOptions<Message>;
  #driver!: SessionDriver<Message>;
  #attempt: Attempt | null = null;
  readonly #redial = new Redial();
  #place: number;
  #unknown = 0;
  /** Addresses offered by servers that were dialed one after the other. */
  #followed = 0;
  // What was written on the circuit of the current attempt: MACs cover it.
  #resumeBytes: Buffer = NOTHING;
  #challengeBytes: Buffer | null = null;
  #told: Positions = NOTHING_TOLD;
  #earlyEnd = 0;
  /** A server accepted this process before. A process fresh from a record puts no new byte on a circuit until then. */
  #accepted: boolean;
  #jumped = false;
  /** Generations up to here are in the record: no other process of this side will use them. */
  #reserved = 0;
  #reserving = false;
  #moving = false;

  constructor(options: DialerOptions<Message>, identity: DialerIdentity, place: number, accepted: boolean) {
    super();
    this.#options = options;
    this.identity = identity;
    this.#place = place;
    this.#accepted = accepted;
  }

  /** @param driver the session; `attached`: it was opened on a circuit just now; `reserved`: highest generation in its record */
  begin(driver: SessionDriver<Message>, attached: boolean, reserved: number = 0): void {
    this.#driver = driver;
    this.#reserved = reserved;
    if (attached) return this.#redial.attached(this.#now());
    this.#redial.search(this.#now());
    this.#dial();
  }

  /** The network has changed, or the user does not want to wait: a new circuit now. A living one is kept until the new one is accepted. */
  nudge(): void {
    if (this.#driver.ended || this.#attempt !== null) return;
    this.#options.settings.runtime.disarm(this);
    this.#dial();
  }

  // ---------------------------------------------------------------- SessionHost

  detached(_driver: SessionDriver<Message>, cause: SessionError): void {
    this.#redial.search(this.#now());
    this.#moving = false;
    if (this.#attempt === null) this.#again(cause, 0);
  }

  noticed(driver: SessionDriver<Message>): void {
    const { core } = driver;
    const { drainNotice: notice, supersededBy } = core.incidents;
    if (core.incidents.noticed) core.incidents.noticesSeen();
    // One of a generation that was dialed here says nothing: its verdict is on its way.
    if (supersededBy > core.generation)
      return this.#conclude(new SessionError('ERR_TAKEN_OVER', 'a newer circuit of another process was accepted'));
    if (notice === null) return;
    driver.tellDraining({ deadlineMs: notice.deadlineMs, move: notice.move });
    if (!notice.move || this.#attempt !== null || driver.ended) return;
    this.#moving = true;
    this.#redial.search(this.#now());
    this.#arm(this.#options.settings.runtime.random() * notice.spreadMs);
  }

  ended(): void {
    this.#attempt?.abandon();
    this.#attempt = null;
    this.#options.settings.runtime.disarm(this);
    this.#options.ended(this.#driver);
  }

  // ---------------------------------------------------------------- one attempt

  /** The next attempt is due. */
  override ring(): void {
    this.#dial();
  }

  #dial(): void {
    const { durable, core, ended } = this.#driver;
    if (ended || this.#attempt !== null || this.#reserving) return;
    if (durable?.kind !== 'record' || this.#reserved > core.generation) return this.#connect();
    const generation = core.generation + 1;
    const instance = this.#accepted || this.#jumped ? core.instance : generation;
    this.#reserving = true;
    const failed = (error: unknown): void => this.#driver.applicationFailed(error);
    durable.reclaim(generation, instance).then((result) => {
      this.#reserving = false;
      // Anything else has ended the session.
      if (result?.status !== 'claimed' || this.#driver.ended) return;
      this.#reserved = generation;
      this.#dial();
    }, failed);
  }

  #connect(): void {
    const { addresses, attempts } = this.#options;
    const address = addresses[this.#place % addresses.length];
    this.#place++;
    this.#redial.dials++;
    this.#attempt = new Attempt(this, address, attempts);
    this.#attempt.start();
  }

  connected(_attempt: Attempt, circuit: Circuit): void {
    const { core } = this.#driver;
    const { runtime } = this.#options.settings;
    if (core.generation >= Number.MAX_SAFE_INTEGER) return this.#conclude(new SessionError('ERR_EXHAUSTED', 'no generation is left'));
    core.generation++;
    if (!this.#accepted && !this.#jumped) core.instance = core.generation;
    // From the RESUME on only the new circuit counts: bytes read from the old one would make these positions wrong.
    this.#driver.frozen = true;
    const early = core.earlyData(this.#accepted);
    this.#earlyEnd = early.end;
    this.#challengeBytes = null;
    const { id, keys, node } = this.identity;
    const { generation, instance } = core;
    const nonce = runtime.randomBytes(NONCE_BYTES);
    const positions = core.positions();
    this.#told = positions;
    const shown = showTicket(core.inbound.withheld);
    const resume = encodeResume({
      node,
      sessionId: id,
      generation,
      instance,
      positions,
      nonce,
      credentials: undefined,
      ...shown.fields,
      maxVersion: VERSION,
    });
    setMac(resume, keys.mac('resume', [macInput(resume)], this.#binding(circuit)));
    this.#resumeBytes = resume;
    circuit.write([resume, ...shown.behind, early.bytes].filter((bytes) => bytes.length > 0));
  }

  flight(attempt: Attempt, circuit: Circuit, flight: Flight, bytes: Buffer, rest: Buffer): void {
    if (flight.kind === Kind.CHALLENGE) return this.#prove(circuit, flight, bytes);
    if (flight.kind === Kind.RESUMED) return this.#resumed(attempt, circuit, flight, bytes, rest);
    if (flight.kind === Kind.REJECTED) return this.#rejected(attempt, circuit, flight, bytes);
    throw new SessionError('ERR_PROTOCOL', `flight of kind ${flight.kind} in answer to RESUME`);
  }

  failed(attempt: Attempt, error: SessionError): void {
    if (attempt !== this.#attempt) return;
    this.#attempt = null;
    // Without a verdict nobody here knows whether the RESUME was accepted, and what the older circuit still brings may be of another life.
    if (!this.#driver.dropFrozen(error)) this.#again(error, 0);
  }

  #prove(circuit: Circuit, flight: ChallengeFlight, bytes: Buffer): void {
    if (this.#challengeBytes !== null) throw new SessionError('ERR_PROTOCOL', 'a second CHALLENGE');
    if (!flight.sessionId.equals(this.identity.id)) throw new SessionError('ERR_PROTOCOL', 'a CHALLENGE for another session');
    this.#challengeBytes = bytes;
    const frame = Buffer.alloc(4 + MAC_BYTES);
    putBytesFrame(frame, 0, Frame.PROOF, this.identity.keys.mac('proof', [this.#resumeBytes, bytes], this.#binding(circuit)));
    circuit.write([frame]);
  }

  #resumed(attempt: Attempt, circuit: Circuit, flight: ResumedFlight, bytes: Buffer, rest: Buffer): void {
    const { core } = this.#driver;
    const { id, keys } = this.identity;
    const ours = flight.sessionId.equals(id) && flight.generation === core.generation;
    if (!ours || !keys.verify('resumed', [...this.#flights(), macInput(bytes)], this.#binding(circuit), flight.mac)) {
      throw new SessionError('ERR_HANDSHAKE', 'a RESUMED that is not for this RESUME');
    }
    attempt.settled();
    this.#attempt = null;
    this.identity.node = flight.node;
    const lost = core.judge(flight.positions);
    if (lost !== null) {
      circuit.destroy();
      return this.#conclude(new SessionError('ERR_STATE_LOST', lost));
    }
    this.#accepted = true;
    this.#unknown = 0;
    this.#followed = 0;
    this.#moving = false;
    this.#redial.attached(this.#now());
    core.renew(flight.heartbeatMs, flight.holdMs);
    this.#driver.attach(circuit, flight.positions, this.#told, this.#earlyEnd, Buffer.from(rest));
  }

  // ---------------------------------------------------------------- refusals

  #rejected(attempt: Attempt, circuit: Circuit, flight: RejectedFlight, bytes: Buffer): void {
    const { code, retryAfterMs, cause, reason } = flight;
    const told = flight.mac !== undefined && flight.sessionId.equals(this.identity.id);
    const good =
      told && this.identity.keys.verify('rejected', [...this.#flights(), macInput(bytes)], this.#binding(circuit), flight.mac as Buffer);
    if (flight.mac !== undefined && !good) throw new SessionError('ERR_HANDSHAKE', 'the MAC of REJECTED is wrong');
    attempt.settled();
    this.#attempt = null;
    circuit.finish();
    const { positions } = flight;
    const numbers = code === RejectCode.STATE_LOST && positions !== undefined ? `the server has ${tell(positions)}` : '';
    const what = numbers === '' ? reason : `${reason}; ${numbers}, this end ${tell(this.#driver.core.positions())}`;
    const error = rejectError(code, cause, what, Math.min(retryAfterMs, RETRY_AFTER_MOST_MS));
    if (isRetry(code)) return good && this.#follow(flight.address) ? this.#later(error, 0) : this.#again(error, error.retryAfterMs);
    if (code === RejectCode.UNKNOWN) return this.#unknownHere(error);
    // Anybody on the way could have written it: a fault of this circuit and nothing more.
    if (!good) return this.#again(error, 0);
    const overtaken = code === RejectCode.TAKEN_OVER || code === RejectCode.STALE_GENERATION;
    if (overtaken && this.#jump(flight.generation ?? 0)) return;
    const finals = code === RejectCode.CLOSED || code === RejectCode.EXPIRED ? flight.positions : undefined;
    this.#driver.core.concluded(finals, error);
    this.#driver.touched();
  }

  /** Sent to another of this client's places. Not for ever: two servers may each believe that the other has the session. */
  #follow(address: string | undefined): boolean {
    const place =
      address === undefined ? -1 : this.#options.addresses.findIndex((known) => known !== undefined && nameOf(known) === address);
    const goes = place >= 0 && this.#followed < FOLLOWED_MOST;
    this.#followed = goes ? this.#followed + 1 : 0;
    if (goes) this.#place = place;
    return goes;
  }

  /** One UNKNOWN may come from the wrong machine. Three, apart in time and from all places dialed, mean what they say. */
  #unknownHere(error: SessionError): void {
    // Where a circuit lives the session is known at its other end, whatever another machine says. A side that is done is no exception
    // to the count: its peer may still wait for the last ACK.
    if (this.#driver.circuit === null) this.#unknown++;
    if (this.#unknown >= UNKNOWN_ANSWERS && this.#unknown >= Math.min(this.#options.addresses.length, 2)) return this.#conclude(error);
    this.#later(error, UNKNOWN_APART_MS * (1 + this.#options.settings.runtime.random()));
  }

  /** A process fresh from a record, which another one had overtaken, may claim the session once. */
  #jump(current: number): boolean {
    if (this.#accepted || this.#jumped || current >= Number.MAX_SAFE_INTEGER) return false;
    this.#jumped = true;
    const { core } = this.#driver;
    core.generation = Math.max(core.generation, current);
    core.instance = core.generation + 1;
    this.#dial();
    return true;
  }

  #conclude(error: SessionError): void {
    this.#driver.core.concluded(undefined, error);
    this.#driver.touched();
  }

  // ---------------------------------------------------------------- waiting

  #again(cause: SessionError, leastMs: number): void {
    this.#later(cause, this.#redial.delayMs(this.#now(), this.#options.settings.runtime.random(), leastMs));
  }

  #later(cause: SessionError, delayMs: number): void {
    if (this.#driver.ended) return;
    this.#driver.frozen = false;
    // The old circuit lives on: only a move still needs a new one.
    if (this.#driver.circuit !== null && !this.#moving) return;
    this.#options.retrying(this.#driver, this.#redial.dials + 1, delayMs, cause);
    this.#arm(delayMs);
  }

  #arm(delayMs: number): void {
    const { runtime } = this.#options.settings;
    runtime.disarm(this);
    runtime.arm(this, this.#now() + delayMs);
  }

  #flights(): Buffer[] {
    return this.#challengeBytes === null ? [this.#resumeBytes] : [this.#resumeBytes, this.#challengeBytes];
  }

  #binding(circuit: Circuit): Buffer | undefined {
    return this.identity.bound ? this.#options.secretsOf(circuit)?.binding : undefined;
  }

  #now(): number {
    return this.#options.settings.runtime.now();
  }
}

const NOTHING = Buffer.alloc(0);
