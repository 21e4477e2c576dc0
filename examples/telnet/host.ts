// The host's half of a telnet conversation: which options a login wants, agrees to and refuses, and what the client told by them. In:
// negotiations and subnegotiations of the decoder, with the time. Out: steps, in order: events to send and facts for the server. Whatever
// makes it answer has a budget, and so has whatever makes it work: a peer that uses one up is a flood, and is not listened to any more.

import { type Allowance, Budget } from './budget.ts';
import { allowEnvironment, type Environment, environmentRequest, parseEnvironment } from './environ.ts';
import { EDIT, forwardmaskRefused, linemode, parseLinemode, slcReply, TRAPSIG } from './linemode.ts';
import { Option, type Verb } from './protocol.ts';
import { type Negotiated, OptionStates, type Side } from './q-method.ts';
import * as say from './subnegotiation.ts';
import { negotiation, type SubnegotiationEvent, type TelnetEvent } from './telnet.ts';
import { type TerminalType, TerminalTypeCycle, terminalTypeRequest } from './terminal-type.ts';

export interface HostOptions {
  /** Use LINEMODE after the login. Default false: few clients have it, and its parser was the way in of CVE-2026-32746. */
  readonly linemode?: boolean;
}

/** What to do next. 'send' goes to the peer; the others are facts. */
export type HostStep =
  | { readonly kind: 'send'; readonly event: TelnetEvent }
  | { readonly kind: 'option'; readonly side: Side; readonly option: number; readonly on: boolean }
  | { readonly kind: 'size'; readonly size: say.WindowSize }
  | { readonly kind: 'terminal'; readonly terminal: TerminalType }
  | { readonly kind: 'environment'; readonly environment: Environment }
  /** null: the client has refused UTF-8. */
  | { readonly kind: 'charset'; readonly name: string | null }
  | { readonly kind: 'linemode'; readonly mode: number }
  /** The client has answered a ping(). */
  | { readonly kind: 'pong'; readonly rttMs: number }
  /** The peer is to be disconnected; no step follows. Tells which limit it met. */
  | { readonly kind: 'flood'; readonly limit: Flood };

export type Flood = 'answers' | 'subnegotiations' | 'overflows';

/** What the peer may ask this end to do. */
const AGREED_OWN: readonly number[] = [Option.binary, Option.echo, Option.suppressGoAhead, Option.status, Option.charset];
/** What the peer may offer to do. The rest is refused, once each. */
const AGREED_PEER: readonly number[] = [
  Option.binary,
  Option.suppressGoAhead,
  Option.terminalType,
  Option.windowSize,
  Option.newEnviron,
  Option.charset,
];
const ASKED_VARIABLES: readonly string[] = ['LANG', 'LC_ALL', 'COLORTERM', 'USER'];

/** Answers of all kinds: a burst of 256, then 8 a second. The busiest client recorded makes us give 30. */
const ANSWERS: Allowance = { burst: 256, perSecond: 8 };
/** Dragging a window's edge gives some 60 sizes a second. */
const SUBNEGOTIATIONS: Allowance = { burst: 1024, perSecond: 64 };
const MOST_OVERFLOWS = 3;
/** Pings on their way. More are not sent: a client that answers none would make the list grow. */
const MOST_PINGS = 4;

export class Host {
  readonly #linemode: boolean;
  readonly #options: OptionStates = new OptionStates();
  readonly #answers: Budget = new Budget(ANSWERS);
  readonly #subnegotiations: Budget = new Budget(SUBNEGOTIATIONS);
  readonly #pings: number[] = [];
  #steps: HostStep[] = [];
  #began = false;
  #heard = false;
  #loggedIn = false;
  #flooded = false;
  #overflows = 0;
  #size: say.WindowSize = { columns: 80, rows: 24 };
  #types: TerminalTypeCycle | null = null;
  #mode = 0;
  #charset: 'idle' | 'requested' | 'settled' = 'idle';

  constructor(options: HostOptions = {}) {
    this.#linemode = options.linemode ?? false;
  }

  /** Last size told, 80 × 24 before. */
  get size(): say.WindowSize {
    return this.#size;
  }

  inEffect(side: Side, option: number): boolean {
    return this.#options.inEffect(side, option);
  }

  /** First steps on a new connection: what every client should be asked. Only the first call does anything. */
  begin(): HostStep[] {
    if (!this.#began) {
      this.#began = true;
      this.#ask('own', Option.echo, true);
      this.#ask('own', Option.suppressGoAhead, true);
      this.#ask('peer', Option.suppressGoAhead, true);
      this.#ask('peer', Option.terminalType, true);
      this.#ask('peer', Option.windowSize, true);
      this.#ask('peer', Option.newEnviron, true);
    }
    return this.#take();
  }

  /** The user is known: from here on LINEMODE is possible, where it was configured. */
  loggedIn(): HostStep[] {
    if (this.#linemode && !this.#loggedIn) {
      this.#loggedIn = true;
      this.#ask('peer', Option.linemode, true);
    }
    return this.#take();
  }

  /** Wants an option on or off, such as ECHO around a password. */
  ask(side: Side, option: number, on: boolean): HostStep[] {
    this.#ask(side, option, on);
    return this.#take();
  }

  /** Asks for a sign of life (DO TIMING-MARK): nearly all clients answer, some with WONT, which is as good. `now` in ms, monotonic. */
  ping(now: number): HostStep[] {
    if (this.#pings.length < MOST_PINGS) {
      this.#pings.push(now);
      this.#send(negotiation('do', Option.timingMark));
    }
    return this.#take();
  }

  /** Takes an event of the decoder; data and commands are none of its business. `now` in ms, monotonic. */
  receive(event: TelnetEvent, now: number): HostStep[] {
    if (this.#flooded) return [];
    if (event.kind === 'negotiation') this.#negotiated(event.verb, event.option, now);
    else if (event.kind === 'subnegotiation') this.#told(event, now);
    else if (event.kind === 'discarded') this.#discarded(event.reason === 'overflow', now);
    return this.#take();
  }

  #take(): HostStep[] {
    const steps = this.#steps;
    this.#steps = [];
    return steps;
  }

  #push(step: HostStep): void {
    if (!this.#flooded) this.#steps.push(step);
  }

  #send(event: TelnetEvent): void {
    this.#push({ kind: 'send', event });
  }

  /** Sends what the peer made us say. */
  #answer(event: TelnetEvent, now: number): void {
    if (this.#answers.take(now)) this.#send(event);
    else this.#flood('answers');
  }

  #flood(limit: Flood): void {
    this.#push({ kind: 'flood', limit });
    this.#flooded = true;
  }

  #ask(side: Side, option: number, on: boolean): void {
    const { send, changed } = this.#options.ask(side, option, on);
    if (send !== null) this.#send(negotiation(send, option));
    if (changed !== null) this.#push({ kind: 'option', side, option, on: changed });
  }

  #negotiated(verb: Verb, option: number, now: number): void {
    if (option === Option.timingMark) this.#timingMark(verb, now);
    else this.#apply(this.#options.receive(verb, option, this.#agrees(verb, option)), option, now);
    if (this.#heard) return;
    // Only a client that negotiates at all is asked for more: what shows raw bytes to its user gets six verbs and no others.
    this.#heard = true;
    this.#ask('own', Option.binary, true);
    this.#ask('peer', Option.binary, true);
  }

  #agrees(verb: Verb, option: number): boolean {
    if (verb === 'do') return AGREED_OWN.includes(option);
    return AGREED_PEER.includes(option) || (option === Option.linemode && this.#loggedIn);
  }

  #apply({ side, send, changed }: Negotiated, option: number, now: number): void {
    if (send !== null) this.#answer(negotiation(send, option), now);
    if (changed === null) return;
    this.#push({ kind: 'option', side, option, on: changed });
    if (!changed) return;
    if (option === Option.charset) this.#wantUtf8(now);
    if (side === 'own') return;
    if (option === Option.terminalType) {
      this.#types = new TerminalTypeCycle();
      this.#answer(terminalTypeRequest(), now);
    } else if (option === Option.newEnviron) {
      this.#answer(environmentRequest(...ASKED_VARIABLES), now);
    } else if (option === Option.linemode) {
      this.#answer(linemode(EDIT | TRAPSIG), now);
    }
  }

  /** RFC 860. Not an option that is ever on: each DO is answered, and WILL or WONT is the echo of our own DO. */
  #timingMark(verb: Verb, now: number): void {
    if (verb === 'do') {
      this.#answer(negotiation('will', Option.timingMark), now);
      return;
    }
    if (verb === 'dont') return;
    const sentAt = this.#pings.shift();
    if (sentAt !== undefined) this.#push({ kind: 'pong', rttMs: now - sentAt });
  }

  #told(event: SubnegotiationEvent, now: number): void {
    if (!this.#subnegotiations.take(now)) {
      this.#flood('subnegotiations');
      return;
    }
    const { option, bytes } = event;
    if (option === Option.status) {
      if (this.#options.inEffect('own', option) && say.isStatusRequest(bytes)) this.#answer(say.status(this.#status()), now);
    } else if (option === Option.charset) {
      if (this.#options.inEffect('own', option) || this.#options.inEffect('peer', option)) this.#charsetTold(bytes, now);
    } else if (this.#options.inEffect('peer', option)) {
      if (option === Option.windowSize) this.#sizeTold(bytes);
      else if (option === Option.terminalType) this.#typeTold(bytes, now);
      else if (option === Option.newEnviron) this.#environmentTold(bytes);
      else if (option === Option.linemode) this.#linemodeTold(bytes, now);
    }
  }

  #discarded(overflow: boolean, now: number): void {
    if (!this.#subnegotiations.take(now)) this.#flood('subnegotiations');
    else if (overflow && ++this.#overflows >= MOST_OVERFLOWS) this.#flood('overflows');
  }

  #sizeTold(bytes: Buffer): void {
    const size = say.parseWindowSize(bytes, this.#size);
    if (size === null) return;
    this.#size = size;
    this.#push({ kind: 'size', size });
  }

  #typeTold(bytes: Buffer, now: number): void {
    const types = this.#types;
    if (types === null) return;
    if (types.take(bytes)) {
      this.#answer(terminalTypeRequest(), now);
      return;
    }
    this.#types = null;
    const terminal = types.result;
    this.#push({ kind: 'terminal', terminal });
    if (terminal.utf8) this.#wantUtf8(now);
  }

  #environmentTold(bytes: Buffer): void {
    const found = parseEnvironment(bytes);
    if (found !== null) this.#push({ kind: 'environment', environment: allowEnvironment(found) });
  }

  /**
   * RFC 2066 lets only the WILL side request, but TinTin++ says WILL itself, never answers ours, and takes the request: so either will
   * do.
   */
  #wantUtf8(now: number): void {
    this.#ask('own', Option.charset, true);
    this.#ask('peer', Option.charset, true);
    const possible = this.#options.inEffect('own', Option.charset) || this.#options.inEffect('peer', Option.charset);
    if (!possible || this.#charset !== 'idle') return;
    this.#charset = 'requested';
    this.#answer(say.charsetRequest('UTF-8'), now);
  }

  #charsetTold(bytes: Buffer, now: number): void {
    const told = say.parseCharset(bytes);
    if (told === null) return;
    if (told.kind === 'table') this.#answer(say.charsetTableRejected(), now);
    else if (told.kind === 'request') {
      // While ours is on its way the server's request goes first (RFC 2066 §5).
      const name = this.#charset === 'requested' ? undefined : told.names.find((one) => /^utf-?8$/i.test(one));
      this.#answer(name === undefined ? say.charsetRejected() : say.charsetAccepted(name), now);
      if (name !== undefined) this.#settleCharset(name);
    } else if (this.#charset === 'requested') {
      this.#settleCharset(told.kind === 'accepted' ? told.name : null);
    }
  }

  #settleCharset(name: string | null): void {
    this.#charset = 'settled';
    this.#push({ kind: 'charset', name });
  }

  #linemodeTold(bytes: Buffer, now: number): void {
    const told = parseLinemode(bytes);
    if (told?.kind === 'slc') {
      const reply = slcReply(told.triplets);
      if (reply !== null) this.#answer(reply, now);
    } else if (told?.kind === 'mode') {
      if (told.mode === this.#mode) return;
      this.#mode = told.mode;
      if (!told.acknowledged) this.#answer(linemode(told.mode, true), now);
      this.#push({ kind: 'linemode', mode: told.mode });
    } else if (told?.kind === 'forwardmask' && told.willing) {
      this.#answer(forwardmaskRefused(), now);
    }
  }

  #status(): say.Status {
    const all = Array.from({ length: 256 }, (_, option) => option);
    return {
      own: all.filter((option) => this.#options.inEffect('own', option)),
      peer: all.filter((option) => this.#options.inEffect('peer', option)),
    };
  }
}
