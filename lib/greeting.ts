// Greeting: the accepting side of one handshake, from the first byte to the circuit's place in a session.
// OPEN → OPENED → CONFIRM makes a session; RESUME → [CHALLENGE → PROOF] → RESUMED moves one to this circuit. Any failure before the
// one synchronous fencing step leaves the session and its old circuit as they are.
import { Behind } from './behind.ts';
import type { Circuit, CircuitOwner } from './circuit.ts';
import {
  decodeFlight,
  encodeRejected,
  encodeResumed,
  macInput,
  type OpenFlight,
  type Positions,
  type RejectedFlight,
  type ResumeFlight,
  setMac,
} from './core/handshake.ts';
import { judgeEnded, judgeGeneration } from './core/resume.ts';
import { rejectError } from './core/verdict.ts';
import { Kind, NONCE_BYTES, RejectCode, VERSION } from './core/wire.ts';
import { SessionError } from './errors.ts';
import { FlightReader } from './flight-reader.ts';
import type { Greeter } from './greeter.ts';
import { chooseKeys } from './key-choice.ts';
import { LateAbort } from './late-abort.ts';
import { offer } from './offer.ts';
import { METADATA_MOST_BYTES } from './options.ts';
import type { Known, Live, Provisional } from './registry.ts';
import type { Restorer } from './restorer.ts';
import { Sleeper } from './runtime.ts';
import type { Shown } from './ticket-restorer.ts';

/** What is awaited: a flight; its ticket; a hook's answer; CONFIRM; PROOF; the slot of the timers at which UNKNOWN is told; nothing. */
type Phase = 'flight' | 'ticket' | 'deciding' | 'confirm' | 'proof' | 'refusing' | 'over';

interface Asked {
  readonly flight: ResumeFlight;
  readonly bytes: Buffer;
  /** Whose MAC was good; undefined for an unknown session and for a bad MAC, which are challenged and answered alike. */
  readonly known: Known | undefined;
  readonly challenge: Buffer | undefined;
  /** What it has shown, and what that names; undefined where that is nothing, or no good. */
  readonly shown: Shown | undefined;
}

type Vouched = Asked & { readonly known: Known };

export class Greeting<Message> extends Sleeper implements CircuitOwner {
  readonly #greeter: Greeter<Message>;
  readonly #circuit: Circuit;
  readonly #reader = new FlightReader();
  readonly #abort = new LateAbort();
  #phase: Phase = 'flight';
  readonly #behind = new Behind();
  #openBytes: Buffer = EMPTY;
  #openedBytes: Buffer = EMPTY;
  #provisional: Provisional | null = null;
  #asked: Asked | null = null;
  #answered = 0;

  /** Begins a handshake on a fresh connection. */
  static begin<Message>(greeter: Greeter<Message>, circuit: Circuit): void {
    greeter.greeting(new Greeting(greeter, circuit));
  }

  private constructor(greeter: Greeter<Message>, circuit: Circuit) {
    super();
    this.#greeter = greeter;
    this.#circuit = circuit;
    circuit.owner = this;
    this.#wait(greeter.settings.limits.handshakeMs);
  }

  circuitData(circuit: Circuit, chunk: Buffer, at: number): number {
    try {
      this.#take(circuit, chunk, at);
    } catch (error) {
      this.#failed(SessionError.is(error) ? error : new SessionError('ERR_PROTOCOL', 'the handshake failed', { cause: error }));
    }
    return chunk.length;
  }

  circuitWritable(): void {}

  circuitLost(_circuit: Circuit, error: SessionError): void {
    if (this.#ended()) return;
    if (this.#provisional !== null) this.#greeter.registry.orphan(this.#provisional, this.#now());
    this.#over();
    this.#greeter.turnedAway(this.#circuit, error, false);
  }

  /** The server closes, or needs the room for others. */
  drop(error: SessionError): void {
    this.#failed(error);
  }

  #take(circuit: Circuit, chunk: Buffer, at: number): void {
    if (this.#phase !== 'flight') return this.#takeBehind(chunk.subarray(at));
    const bytes = this.#reader.push(chunk, at);
    if (bytes === null) return;
    this.#answered = bytes.length;
    const flight = decodeFlight(bytes);
    const { end } = this.#reader;
    const rest = end === chunk.length ? EMPTY : Buffer.from(chunk.subarray(end));
    if (flight.kind === Kind.OPEN) {
      if (rest.length > 0) throw new SessionError('ERR_PROTOCOL', 'bytes behind OPEN');
      this.#openBytes = bytes;
      this.#run(this.#open(flight, circuit));
    } else if (flight.kind === Kind.RESUME) {
      this.#resume(flight, bytes, rest);
    } else {
      throw new SessionError('ERR_PROTOCOL', `flight of kind ${flight.kind} from the dialing side`);
    }
  }

  #takeBehind(bytes: Buffer): void {
    if (this.#phase === 'over' || this.#phase === 'refusing') return;
    if (this.#phase === 'confirm') return this.#confirm(bytes);
    if (this.#openBytes.length > 0) throw new SessionError('ERR_PROTOCOL', 'bytes behind OPEN');
    this.#behind.add(bytes);
    if (this.#phase === 'ticket' && !this.#behind.waits) this.#lookUp(this.#asked as Asked);
    else if (this.#phase === 'proof') this.#prove(this.#asked as Asked);
  }

  // ---------------------------------------------------------------- OPEN → OPENED → CONFIRM

  async #open(flight: OpenFlight, circuit: Circuit): Promise<void> {
    const { settings, registry } = this.#greeter;
    if ((flight.metadata?.length ?? 0) > METADATA_MOST_BYTES) {
      return this.#reject(RejectCode.UNSUPPORTED, undefined, { reason: `more than ${METADATA_MOST_BYTES} bytes of metadata` });
    }
    const full = this.#greeter.full(circuit);
    if (full !== null) return this.#reject(full, undefined, { reason: full === RejectCode.DRAINING ? 'shutting down' : 'at a limit' });
    if (flight.framing !== settings.framing.name) {
      return this.#reject(RejectCode.FRAMING, undefined, { reason: `this server frames by ${settings.framing.name}` });
    }
    this.#phase = 'deciding';
    this.#wait(settings.limits.hookMs);
    const turn = this.#greeter.openTurn();
    if (turn !== null) await turn;
    if (this.#ended()) return;
    const secrets = this.#greeter.secretsOf(circuit);
    const choice = chooseKeys(flight, secrets, settings.psk, () => this.#greeter.ephemeral.current(this.#now()));
    if (typeof choice === 'string') return this.#reject(RejectCode.KEY_METHOD, undefined, { reason: choice });
    const verdict = await this.#greeter.authenticate(flight, circuit.info, this.#abort);
    if (this.#ended()) return;
    if (verdict === false || verdict === '') return this.#reject(RejectCode.AUTH, undefined, {});
    if (typeof verdict === 'string' && registry.ofPrincipal(verdict).size >= settings.limits.sessionsPerPrincipal) {
      return this.#reject(RejectCode.BUSY, undefined, { reason: 'too many sessions of this principal' });
    }
    const principal = typeof verdict === 'string' ? verdict : undefined;
    const { node } = this.#greeter;
    const openBytes = this.#openBytes;
    const ticketBytes = this.#greeter.tickets?.ticketBytes(flight.ticketBytes) ?? 0;
    const { openedBytes, provisional } = offer({
      settings,
      node,
      flight,
      openBytes,
      choice,
      principal,
      ticketBytes,
      circuit: circuit.info,
    });
    this.#openedBytes = openedBytes;
    if (!registry.addProvisional(provisional, this.#now()))
      return this.#reject(RejectCode.BUSY, undefined, { reason: 'too many opens at once' });
    this.#provisional = provisional;
    this.#phase = 'confirm';
    this.#wait(settings.limits.handshakeMs);
    circuit.write([openedBytes]);
  }

  #confirm(chunk: Buffer): void {
    const frame = this.#behind.confirm(chunk);
    if (frame === null) return;
    const provisional = this.#provisional as Provisional;
    const parts = [this.#openBytes, this.#openedBytes];
    if (!provisional.keys.verify('confirm', parts, this.#binding(provisional), frame.mac)) {
      throw new SessionError('ERR_HANDSHAKE', 'the MAC of CONFIRM is wrong');
    }
    // A RESUME may have made it real meanwhile: this circuit was stalled, and delivers late.
    if (this.#greeter.registry.provisional.get(provisional.id) !== provisional) {
      throw new SessionError('ERR_STALE_GENERATION', 'CONFIRM for a session that a newer circuit confirmed, or that had to make room');
    }
    this.#provisional = null;
    this.#over();
    const entry = this.#greeter.make(provisional);
    const positions: Positions = { received: 0, acked: 0, limit: provisional.terms.peerWindow, base: 0, sent: 0 };
    this.#greeter.join(entry, this.#circuit, positions, entry.driver.core.positions(), frame.rest, true);
  }

  // ---------------------------------------------------------------- RESUME → [CHALLENGE → PROOF] → RESUMED

  #resume(flight: ResumeFlight, bytes: Buffer, rest: Buffer): void {
    this.#behind.expectTicket(flight.ticketFollows);
    this.#behind.add(rest);
    // Before anything is looked up: its moment tells nothing.
    const challenge = this.#greeter.challenge(this.#circuit, flight);
    this.#asked = { flight, bytes, known: undefined, challenge, shown: undefined };
    if (this.#behind.waits) this.#phase = 'ticket';
    else this.#lookUp(this.#asked);
  }

  #lookUp(asked: Asked): void {
    const { flight, bytes } = asked;
    const { restorer } = this.#greeter;
    const shown = this.#greeter.shown(flight, this.#behind.ticket);
    const known = this.#greeter.find(flight.sessionId.toString('hex'), shown, this.#circuit);
    if (restorer === null || (known !== undefined && this.#vouchesFor(known, flight, bytes))) return this.#ask({ ...asked, known, shown });
    // Another process may know it. A bad MAC for a session that is here takes as long as an unknown one.
    this.#phase = 'deciding';
    this.#wait(this.#greeter.settings.limits.hookMs);
    this.#run(this.#recall(restorer, { ...asked, known }));
  }

  async #recall(restorer: Restorer<Message>, asked: Asked): Promise<void> {
    const recalled = await restorer.recall(asked.flight.sessionId.toString('hex'), this.#circuit.info);
    if (!this.#ended()) this.#ask({ ...asked, known: asked.known ?? recalled });
  }

  #vouchesFor(known: Known | undefined, flight: ResumeFlight, bytes: Buffer): boolean {
    return this.#greeter.verify(this.#circuit, 'resume', known, [macInput(bytes)], flight.mac);
  }

  #ask(claimed: Asked): void {
    const { flight, bytes, challenge } = claimed;
    const good = this.#vouchesFor(claimed.known, flight, bytes);
    const asked = good ? claimed : { ...claimed, known: undefined };
    this.#asked = asked;
    // From here to the verdict the session must not expire: its peer has shown that it is there.
    if (good) this.#greeter.pauseExpiry(flight, true);
    if (challenge === undefined) return this.#vouched(asked);
    this.#phase = 'proof';
    this.#wait(this.#greeter.settings.limits.handshakeMs);
    this.#prove(asked);
  }

  /** All MACs are in. */
  #vouched(asked: Asked): void {
    const { known } = asked;
    if (known === undefined) {
      this.#greeter.suspect(this.#circuit);
      // Told when a slot of the timers comes, whatever the steps until here took: nobody learns from them which sessions exist.
      this.#phase = 'refusing';
      return this.#wait(0);
    }
    this.#run(this.#authorize({ ...asked, known }));
  }

  #prove(asked: Asked): void {
    const mac = this.#behind.proof();
    if (mac === null) return;
    const { known, bytes, challenge } = asked;
    const parts = [bytes, challenge as Buffer];
    this.#vouched(this.#greeter.verify(this.#circuit, 'proof', known, parts, mac) ? asked : { ...asked, known: undefined });
  }

  async #authorize(asked: Vouched): Promise<void> {
    const { flight, known } = asked;
    this.#phase = 'deciding';
    this.#wait(this.#greeter.settings.limits.hookMs);
    const id = flight.sessionId.toString('hex');
    const credentials = Buffer.from(flight.credentials ?? EMPTY);
    const request = { id, principal: known.principal, credentials, opened: known.opened, circuit: this.#circuit.info };
    const allowed = await this.#greeter.authorizeResume(request, this.#abort);
    if (this.#ended()) return;
    if (!allowed) return this.#reject(RejectCode.AUTH, asked, {});
    if (this.#greeter.sendsOn(id)) return this.#reject(RejectCode.DRAINING, asked, { reason: 'shutting down' });
    const refusal = await this.#greeter.claim(id, asked, this.#circuit);
    if (this.#ended()) return this.#greeter.restorer?.judged(id, flight.generation);
    if (refusal === null) this.#fence(asked, id);
    else this.#reject(refusal.code, refusal.code === RejectCode.UNKNOWN ? undefined : asked, refusal.detail);
  }

  /** One synchronous step: is it open, is this circuit newer, is every byte there? Only then anything changes. */
  #fence(asked: Vouched, id: string): void {
    const { flight } = asked;
    const greeter = this.#greeter;
    const tombstone = greeter.registry.findTombstone(id, this.#now());
    if (tombstone !== undefined) {
      const { code, detail } = judgeEnded(tombstone, flight);
      return this.#reject(code, asked, detail);
    }
    const provisional = greeter.registry.findProvisional(id, this.#now());
    const entry = greeter.registry.live.get(id) ?? (provisional === undefined ? undefined : greeter.make(provisional));
    if (entry === undefined) return this.#reject(RejectCode.UNKNOWN, undefined, {});
    const { core } = entry.driver;
    const refusal = judgeGeneration(core, flight);
    if (refusal !== 0) return this.#reject(refusal, asked, { generation: core.generation });
    const lost = core.judge(flight.positions);
    if (lost !== null) return this.#reject(RejectCode.STATE_LOST, asked, { positions: core.positions(), reason: lost });
    if (flight.instance !== core.instance && !greeter.takeover(entry)) {
      return this.#reject(RejectCode.BUSY, asked, { reason: 'taken over too often', retryAfterMs: 10_000 });
    }
    this.#accept(asked, entry, greeter.positionsFor(entry, asked.shown), provisional !== undefined);
  }

  #accept(asked: Vouched, entry: Live<Message>, positions: Positions, fresh: boolean): void {
    const { flight } = asked;
    const { core } = entry.driver;
    core.generation = flight.generation;
    core.instance = flight.instance;
    const { generation, sessionId } = flight;
    const { node, settings } = this.#greeter;
    const nonce = settings.runtime.randomBytes(NONCE_BYTES);
    const resumed = encodeResumed({ node, sessionId, generation, positions, nonce, heartbeatMs: core.heartbeatMs, holdMs: core.holdMs });
    setMac(resumed, entry.keys.mac('resumed', [...this.#earlier(asked), macInput(resumed)], this.#binding(entry)));
    this.#over();
    this.#circuit.write([resumed]);
    this.#greeter.join(entry, this.#circuit, flight.positions, positions, this.#behind.bytes, fresh);
  }

  // ---------------------------------------------------------------- ends

  /**
   * @param asked the RESUME whose MAC was good: the answer then carries one too, and only then can it end a session
   * @param why what the server's own application is told; the peer learns the code
   */
  #reject(code: RejectCode, asked: Vouched | undefined, detail: Partial<RejectedFlight>, why?: SessionError): void {
    if (this.#ended()) return;
    const sessionId = this.#reader.resumed;
    const { retryAfterMs = 0, positions, generation, cause, reason = '', address } = detail;
    const versions = code === RejectCode.VERSION ? [VERSION] : [];
    const fields = { sessionId, code, retryAfterMs, versions, positions, generation, cause, reason, address };
    const bytes = encodeRejected(fields, asked !== undefined, this.#answered);
    if (asked !== undefined)
      setMac(bytes, asked.known.keys.mac('rejected', [...this.#earlier(asked), macInput(bytes)], this.#binding(asked.known)));
    const error = why ?? rejectError(code, cause, reason, retryAfterMs);
    this.#over();
    this.#circuit.write([bytes]);
    this.#circuit.finish();
    this.#greeter.turnedAway(this.#circuit, error, code === RejectCode.AUTH);
  }

  /** What was awaited has not come. */
  override ring(): void {
    if (this.#phase === 'refusing') this.#reject(RejectCode.UNKNOWN, undefined, {});
    else this.#failed(new SessionError('ERR_HANDSHAKE_TIMEOUT', `nothing whole came in time (${this.#phase})`));
  }

  #failed(error: SessionError): void {
    if (this.#ended()) return;
    if (this.#provisional !== null) this.#greeter.registry.orphan(this.#provisional, this.#now());
    if (error.code === 'ERR_VERSION') return this.#reject(RejectCode.VERSION, undefined, {});
    if (error.code === 'ERR_UNSUPPORTED') return this.#reject(RejectCode.UNSUPPORTED, undefined, { reason: error.message });
    // A slow or failing hook is this server's fault and not the address's: the peer may try again.
    if (this.#phase === 'deciding' && error.blame !== 'peer' && error.code !== 'ERR_SHUTDOWN')
      return this.#reject(RejectCode.RETRY_LATER, this.#vouchedFor(), LATER, error);
    const blamed = error.blame === 'peer' || error.code === 'ERR_HANDSHAKE_TIMEOUT';
    this.#over();
    // Not a byte to strangers: what they speak could give an answer another meaning.
    this.#circuit.destroy();
    this.#greeter.turnedAway(this.#circuit, error, blamed);
  }

  #vouchedFor(): Vouched | undefined {
    const asked = this.#asked;
    return asked?.known === undefined ? undefined : { ...asked, known: asked.known };
  }

  #earlier(asked: Asked): Buffer[] {
    return asked.challenge === undefined ? [asked.bytes] : [asked.bytes, asked.challenge];
  }

  #binding(known: Known): Buffer | undefined {
    return known.bound ? this.#greeter.bindingOf(this.#circuit) : undefined;
  }

  #run(work: Promise<void>): void {
    work.catch((error: unknown) => {
      this.#failed(SessionError.is(error) ? error : new SessionError('ERR_APPLICATION', 'a hook of the server failed', { cause: error }));
    });
  }

  #wait(ms: number): void {
    const { runtime } = this.#greeter.settings;
    runtime.disarm(this);
    runtime.arm(this, this.#now() + ms);
  }

  #over(): void {
    this.#phase = 'over';
    this.#greeter.settings.runtime.disarm(this);
    this.#abort.abort(OVER);
    if (this.#asked?.known !== undefined) this.#greeter.pauseExpiry(this.#asked.flight, false);
    this.#greeter.greeted(this, this.#circuit);
  }

  #ended(): boolean {
    return this.#phase === 'over';
  }

  #now(): number {
    return this.#greeter.settings.runtime.now();
  }
}

const LATER: Partial<RejectedFlight> = { retryAfterMs: 1000, reason: 'the server could not decide' };
const EMPTY = Buffer.alloc(0);
const OVER = new DOMException('the handshake is over', 'AbortError'); // one for all: its stack costs 5 % of a resume
