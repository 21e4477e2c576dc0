// The client's half of a telnet conversation, the mirror of host.ts: it offers nothing by itself, agrees to what a login needs, refuses the
// rest once each, and tells of its terminal what it is asked for. In: negotiations and subnegotiations of the decoder, with the time. Out:
// steps, in order: events to send, and options that came into effect or went out of it. A server that asks without end is a flood.

import { Budget } from './budget.ts';
import { environmentReply } from './environ.ts';
import { Option, SEND, type Verb } from './protocol.ts';
import { OptionStates, type Side } from './q-method.ts';
import { type WindowSize, windowSize } from './subnegotiation.ts';
import { negotiation, type SubnegotiationEvent, type TelnetEvent } from './telnet.ts';
import { terminalType } from './terminal-type.ts';

export interface GuestOptions {
  /** TERM, such as 'xterm-256color'. */
  readonly terminal: string;
  readonly size: WindowSize;
  /** All that a server may learn of the environment (CVE-2026-32772: other clients tell what they were not asked to). */
  readonly environment: ReadonlyMap<string, string>;
  /** `states` of the guest that had this session before. Default: nothing is in effect. */
  readonly states?: Uint8Array;
}

export type GuestStep =
  | { readonly kind: 'send'; readonly event: TelnetEvent }
  | { readonly kind: 'option'; readonly side: Side; readonly option: number; readonly on: boolean }
  /** Nothing more is answered: the server is to be left. */
  | { readonly kind: 'flood' };

const AGREED_OWN: readonly number[] = [Option.binary, Option.suppressGoAhead, Option.terminalType, Option.windowSize, Option.newEnviron];
const AGREED_PEER: readonly number[] = [Option.binary, Option.echo, Option.suppressGoAhead];

export class Guest {
  readonly #options: GuestOptions;
  readonly #states: OptionStates;
  /** A server pings at its heartbeat, and asks for everything once. */
  readonly #answers: Budget = new Budget({ burst: 256, perSecond: 8 });
  #size: WindowSize;
  #steps: GuestStep[] = [];
  #flooded = false;

  constructor(options: GuestOptions) {
    this.#options = options;
    this.#size = options.size;
    this.#states = new OptionStates(options.states);
  }

  /** For another guest that goes on with this conversation. */
  get states(): Uint8Array {
    return this.#states.bytes;
  }

  inEffect(side: Side, option: number): boolean {
    return this.#states.inEffect(side, option);
  }

  /** The window has another size now. The same again is told too: that makes programs draw themselves. */
  resized(size: WindowSize): GuestStep[] {
    this.#size = size;
    if (this.inEffect('own', Option.windowSize)) this.#send(windowSize(size));
    return this.#take();
  }

  /** Takes an event of the decoder; data and commands are none of its business. `now` in ms, monotonic. */
  receive(event: TelnetEvent, now: number): GuestStep[] {
    if (this.#flooded) return [];
    if (event.kind === 'negotiation') this.#negotiated(event.verb, event.option, now);
    else if (event.kind === 'subnegotiation') this.#asked(event, now);
    return this.#take();
  }

  #take(): GuestStep[] {
    const steps = this.#steps;
    this.#steps = [];
    return steps;
  }

  #send(event: TelnetEvent): void {
    this.#steps.push({ kind: 'send', event });
  }

  #answer(event: TelnetEvent, now: number): void {
    if (this.#flooded) return;
    if (this.#answers.take(now)) {
      this.#send(event);
      return;
    }
    this.#flooded = true;
    this.#steps.push({ kind: 'flood' });
  }

  #negotiated(verb: Verb, option: number, now: number): void {
    if (option === Option.timingMark) {
      // RFC 860: whoever gets the answer knows that everything before the question was taken.
      if (verb === 'do') this.#answer(negotiation('will', option), now);
      return;
    }
    const agreed = verb === 'do' ? AGREED_OWN.includes(option) : AGREED_PEER.includes(option);
    const { side, send, changed } = this.#states.receive(verb, option, agreed);
    if (send !== null) this.#answer(negotiation(send, option), now);
    if (changed === null || this.#flooded) return;
    this.#steps.push({ kind: 'option', side, option, on: changed });
    if (changed && side === 'own' && option === Option.windowSize) this.#answer(windowSize(this.#size), now);
  }

  #asked({ option, bytes }: SubnegotiationEvent, now: number): void {
    if (!this.inEffect('own', option)) return;
    if (option === Option.terminalType && bytes.length === 1 && bytes[0] === SEND) {
      this.#answer(terminalType(this.#options.terminal), now);
    } else if (option === Option.newEnviron) {
      const reply = environmentReply(bytes, this.#options.environment);
      if (reply !== null) this.#answer(reply, now);
    }
  }
}
