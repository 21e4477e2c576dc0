// Flusher: when and how a session's bytes are written to its circuit. What the core has to say goes out in one write per tick or chunk,
// or per flush interval where messages are all it has to say; at once when a whole slab is full, and not before the socket has room.
import type { Circuit } from './circuit.ts';
import type { Coalesced } from './coalescer.ts';
import type { SessionCore } from './core/session-core.ts';
import type { Flushable } from './flush-queue.ts';
import type { Settings } from './options.ts';

// transmit() and write() are synchronous, so one list serves all sessions.
const outgoing: Buffer[] = [];
/** Less than this is not worth a write of its own: its peer would read, and answer, in two parts what was sent as one. */
const WRITE_BYTES = 32_768;
/** As much as one write should carry: nothing is won by waiting for more. */
const BLOCK_BYTES = 65_536;
/** So much is answered of a chunk and so much still to be read: where those answers do not wait for the others, both ends are at work. */
const EARLY_BYTES = 4096;
/** Writes of one flush; then others have a turn. */
const WRITES_MOST = 16;

/** Whose bytes they are. */
export interface Flushed<Message> {
  readonly core: SessionCore<Message>;
  readonly settings: Settings<Message>;
  /** After every write: it may have made something due. */
  touched(): void;
}

export class Flusher<Message> implements Coalesced, Flushable {
  readonly #owner: Flushed<Message>;
  circuit: Circuit | null = null;
  /** A newer circuit is being tried: this one is not written to. */
  frozen = false;
  /** A chunk is being read: what is written meanwhile goes out behind that, which costs no tick. */
  reading = false;
  /** So far too little was answered of it for a write ahead of the others. */
  #early = false;
  /** The queue has it, which a flush meanwhile does not change: each session stands there once. */
  #scheduled = false;
  /** The coalescer has it. */
  #waiting = false;

  constructor(owner: Flushed<Message>) {
    this.#owner = owner;
  }

  /** What is written now goes out in time: as long as no block is filled, sent() would do nothing for it. */
  get due(): boolean {
    return (this.#scheduled || (this.reading && !this.#early)) && this.circuit !== null;
  }

  /** A chunk is about to be read. With a flush interval nothing goes ahead: its answers wait for more. */
  reads(): void {
    this.reading = true;
    this.#early = this.#owner.settings.coalescer === null;
  }

  /** A message was written: blocks worth a write go out at once, the rest later. @returns whether one may be full */
  sent(): boolean {
    const { circuit } = this;
    if (circuit === null) return true;
    const { outbound } = this.#owner.core;
    const { filled } = outbound;
    if (filled) {
      outbound.egress.filled = false;
      const enough = outbound.sendableBytes >= WRITE_BYTES;
      if (enough && !this.frozen) this.#write(circuit, this.#room(circuit), true);
    } else if (this.#early && outbound.sendableBytes >= EARLY_BYTES) {
      this.#early = false;
      if (this.#muchToRead() && !this.frozen) this.#write(circuit, this.#room(circuit), false);
    }
    if (!this.#scheduled) this.schedule();
    return filled;
  }

  /** Flushes at the end of this tick, or of the interval; a full socket calls by itself when it has room. */
  schedule(): void {
    if (this.#scheduled || this.reading || this.circuit === null || this.#room(this.circuit) <= 0 || this.#waits()) return;
    this.#enqueue();
  }

  #enqueue(): void {
    this.#scheduled = true;
    this.#owner.settings.flushes.add(this);
  }

  /** The chunk was read. @returns whether there was something to write; else the owner must see itself what has become due */
  hasRead(circuit: Circuit): boolean {
    this.reading = false;
    this.#early = false;
    const core = this.#owner.core;
    const writes = core.wantsTransmit && core.fault === null && circuit === this.circuit && !this.frozen && !this.#waits();
    if (writes) this.flush();
    return writes;
  }

  flush(): void {
    const { circuit } = this;
    if (circuit === null || this.frozen) return;
    const core = this.#owner.core;
    // A kernel that took all at once has room for more: where much is to be sent, no event has to come between.
    let writes = 1;
    while (this.#write(circuit, this.#room(circuit), false) && this.#goesOn(circuit) && writes < WRITES_MOST) writes++;
    if (core.halfCloses) circuit.end();
    this.#owner.touched();
  }

  /** Writes the last frames of a session that has ended, however full the socket is, and ends the circuit in order. */
  last(circuit: Circuit): void {
    this.#write(circuit, Number.MAX_SAFE_INTEGER, false);
    circuit.finish();
  }

  flushScheduled(): void {
    this.#scheduled = false;
    this.flush();
  }

  intervalOver(): void {
    this.#waiting = false;
    // What came between may have taken everything along.
    if (!this.#scheduled && this.#owner.core.wantsTransmit) this.#enqueue();
  }

  /** Only small messages are there to be said: they wait for more, where there is an interval. */
  #waits(): boolean {
    const { coalescer } = this.#owner.settings;
    if (coalescer === null || this.#owner.core.urgent || this.#owner.core.outbound.sendableBytes >= BLOCK_BYTES) return false;
    if (!this.#waiting) coalescer.add(this);
    this.#waiting = true;
    return true;
  }

  /** As much as was answered waits to be read: once a chunk a write more is worth it. */
  #muchToRead(): boolean {
    const { fault, inbound } = this.#owner.core;
    return fault === null && inbound.dataEnd - inbound.endOffset >= EARLY_BYTES;
  }

  /** @returns whether something was written, and the kernel took all of it at once */
  #write(circuit: Circuit, budget: number, full: boolean): boolean {
    const now = this.#owner.settings.runtime.now();
    if (this.#owner.core.transmit(outgoing, budget, now, full) === 0) return false;
    circuit.write(outgoing);
    // Not by its length: that is a call into V8, and gives the memory away.
    while (outgoing.length > 0) outgoing.pop();
    const { queuedBytes } = circuit;
    this.#owner.core.queued(queuedBytes, now);
    return queuedBytes === 0;
  }

  /** There is enough for another write. To write may have ended this circuit, or frozen it: a duplex answers before write() returns. */
  #goesOn(circuit: Circuit): boolean {
    return this.#owner.core.outbound.sendableBytes >= BLOCK_BYTES && circuit === this.circuit && !this.frozen;
  }

  #room(circuit: Circuit): number {
    return this.#owner.settings.limits.socketBytes - circuit.queuedBytes;
  }
}
