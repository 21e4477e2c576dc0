// One SessionCore under frames that no honest end writes. The input is a small program: bytes that arrive, and what the application, the
// clock and the circuits do between. Nothing is thrown; the offsets keep their order; a faulty circuit is told; memory has its limits.

import type { Positions } from '../../../lib/core/handshake.ts';
import type { SessionCore } from '../../../lib/core/session-core.ts';
import { Frame } from '../../../lib/core/wire.ts';
import { SessionError } from '../../../lib/errors.ts';
import { lengthPrefix } from '../../../lib/framing/length-prefix.ts';
import { ack, close, coreOf, data, end, frame, ping, sync } from '../../support/cores.ts';
import { check, type FuzzTarget } from '../target.ts';

const WINDOW = 400;
const LIMITS = {
  messageBytes: 150,

  outboxHighWater: 500,
  outboxHardCap: 2000,
  replaySegments: 16,
  controlBurst: 20,
  controlPerSecond: 5,
};

const Op = { BYTES: 0, DATA: 1, CONSUME: 2, TAKE: 3, SEND: 4, WRITE: 5, TIME: 6, CIRCUIT: 7 } as const;
const TIMES_MS: readonly number[] = [1, 40, 60, 1000, 14_000, 16_000, 40_000, 400_000];
/** Memory that a core may hold for its peer: a window, a message and its header. */
const INBOUND_BYTES: number = WINDOW + LIMITS.messageBytes + 4;

export const framesTarget: FuzzTarget = {
  name: 'frames',
  what: 'any frames to a session, between sends, reads, cuts and waits: nothing thrown, offsets in order, memory bounded',
  files: /\/lib\/(core|framing)\//,
  mostBytes: 1500,
  tokens: [
    ack(0, WINDOW),
    end(0),
    sync(5),
    ping(7),
    close(0),
    close(3, Buffer.alloc(8)),
    frame(0x0d, Buffer.alloc(8)),
    frame(0x80),
    frame(Frame.TICKET, Buffer.alloc(12)),
    Buffer.of(Op.CIRCUIT, 0),
    Buffer.of(Op.CIRCUIT, 0x80),
    Buffer.of(Op.DATA, 0, 9),
  ],
  seeds,
  wanted: [
    'attached',
    'detached',
    'closed',
    'finishing',
    'lingering',
    'faulty',
    'ERR_PROTOCOL',
    'ERR_MESSAGE_TOO_LARGE',
    'ERR_TRUNCATED',
    'ERR_EXPIRED',
    'clean',
    'covered',
  ],
  run: (input, outcomes) => {
    const machine = new Machine(input, outcomes);
    while (machine.step()) machine.checkPromises();
  },
};

class Machine {
  readonly #input: Buffer;
  readonly #core: SessionCore<Buffer>;
  #at = 1;
  #now = 0;
  #acked = 0;
  #limit = 0;
  readonly #outcomes: Set<string>;
  readonly #stream = new Stream();

  constructor(input: Buffer, outcomes: Set<string>) {
    this.#input = input;
    this.#outcomes = outcomes;
    const role = ((input[0] ?? 0) & 1) === 0 ? 'accept' : 'dial';
    const ticketBytes = ((input[0] ?? 0) & 2) === 0 ? 0 : 64;
    this.#core = coreOf(role, { framing: lengthPrefix(), limits: LIMITS, window: WINDOW, peerWindow: WINDOW, ticketBytes });
    this.#core.circuitUp({ received: 0, acked: 0, limit: WINDOW, base: 0, sent: 0 }, this.#core.positions(), 0, 0);
  }

  /** One instruction: the low three bits tell which, the others are its argument. @returns false at the end of the program */
  step(): boolean {
    if (this.#at >= this.#input.length) return false;
    const code = this.#byte();
    const argument = code >> 3;
    switch (code & 7) {
      case Op.BYTES:
        this.#arrive(this.#take(this.#byte()));
        break;
      case Op.DATA:
        this.#arrive(data(Math.max(0, this.#core.inbound.received + (argument < 28 ? 0 : argument - 30)), this.#take(this.#byte())));
        break;
      case Op.CONSUME:
        while (this.#next());
        break;
      case Op.TAKE:
        this.#next();
        if (argument > 15 && this.#core.inbound.next()) this.#core.inbound.inbox.message();
        break;
      case Op.SEND:
        this.#send(argument * argument);
        break;
      case Op.WRITE:
        this.#write(argument === 0 ? 1 << 20 : argument * 8);
        break;
      case Op.TIME:
        this.#now += TIMES_MS[argument % TIMES_MS.length] as number;
        this.#core.tick(this.#now, argument);
        break;
      default:
        this.#change(argument);
    }
    this.#loseFaulty();
    return true;
  }

  checkPromises(): void {
    const { inbound, outbound, state, limits } = this.#core;
    check(inbound.acked >= this.#acked, `acked fell from ${this.#acked} to ${inbound.acked}`);
    check(inbound.acked <= inbound.available, `acked ${inbound.acked} is above ${inbound.available}, which may be consumed`);
    check(inbound.available <= inbound.received, `a ticket covers ${inbound.available} of ${inbound.received} received`);
    if ((inbound.withheld?.covered ?? 0) > 0) this.#outcomes.add('covered');
    check(inbound.limitTold >= this.#limit, `the limit fell from ${this.#limit} to ${inbound.limitTold}`);
    check(inbound.received - inbound.acked <= WINDOW + 1, `${inbound.received - inbound.acked} bytes wait, more than a window`);
    check(outbound.peerAcked <= outbound.sent, `confirmed ${outbound.peerAcked} of ${outbound.sent} sent`);
    check(outbound.egress.replay.base <= outbound.sent, 'the replay begins behind what was sent');
    check(outbound.heldBytes <= limits.outboxHardCap + 1, `${outbound.heldBytes} bytes held for the peer`);
    check(inbound.inbox.decoder.residueBytes <= INBOUND_BYTES, `a residue of ${inbound.inbox.decoder.residueBytes} bytes`);
    check(state === 'closed' || this.#core.cause === undefined || SessionError.is(this.#core.cause), 'a cause that is no SessionError');
    const ended = inbound.peerEnd >= 0 ? 1 : 0;
    check(inbound.received - ended <= this.#stream.end, `received ${inbound.received}, while the stream came up to ${this.#stream.end}`);
    this.#acked = inbound.acked;
    this.#limit = inbound.limitTold;
    this.#outcomes.add(state);
    if (state === 'closed') this.#outcomes.add(this.#core.cause?.code ?? 'clean');
  }

  #byte(): number {
    return this.#input[this.#at++] ?? 0;
  }

  #take(bytes: number): Buffer {
    const taken = Buffer.from(this.#input.subarray(this.#at, this.#at + bytes));
    this.#at += bytes;
    return taken;
  }

  #arrive(bytes: Buffer): void {
    if (!this.#core.attached) return;
    this.#stream.add(bytes);
    for (let at = 0; at < bytes.length; ) {
      const reached = this.#core.receive(bytes, at, this.#now);
      check(reached > at, 'receive() stands still');
      this.#core.inbound.inbox.own();
      at = reached;
    }
  }

  #next(): boolean {
    const { inbound } = this.#core;
    if (inbound.inProgress) inbound.consume();
    const more = inbound.next();
    if (more) {
      inbound.inbox.message();
      inbound.consume();
    }
    this.#core.settle(this.#now);
    return more;
  }

  #send(bytes: number): void {
    try {
      this.#core.send(Buffer.alloc(bytes, 0x41), bytes > 500);
    } catch (error) {
      if (!SessionError.is(error)) throw error;
    }
  }

  #write(budget: number): void {
    const out: Buffer[] = [];
    const told = this.#core.transmit(out, budget, this.#now);
    check(told === out.reduce((sum, part) => sum + part.length, 0), 'transmit() miscounts');
  }

  /** As the shell does: a faulty circuit goes, and the session waits for the next. */
  #loseFaulty(): void {
    if (this.#core.fault === null || !this.#core.attached) return;
    this.#outcomes.add('faulty');
    this.#core.circuitLost(false, this.#now, this.#core.fault);
  }

  #change(argument: number): void {
    const core = this.#core;
    if (argument === 31) core.end(this.#now);
    else if (argument === 30) core.discard(this.#now);
    else if (argument === 29) core.sync();
    else if (argument >= 16) this.#resume();
    else if (core.attached) core.circuitLost((argument & 1) === 1, this.#now);
  }

  /** A RESUME with any positions, judged before it counts. */
  #resume(): void {
    const core = this.#core;
    const { inbound, outbound } = core;
    const near = (around: number): number => Math.max(0, around + this.#byte() - 128);
    const sent = near(inbound.received + 128);
    const theirs: Positions = {
      received: near(outbound.sent),
      acked: near(outbound.peerAcked + 128),
      limit: near(outbound.peerLimit + 128),
      base: near(inbound.received),
      sent,
    };
    const formed = theirs.acked <= theirs.received && theirs.acked <= theirs.limit && theirs.base <= theirs.sent;
    if (core.state === 'closed' || !formed || core.judge(theirs) !== null) return;
    this.#stream.cut();
    core.circuitUp(theirs, core.positions(), 0, this.#now);
  }
}

/** A second reader of the same bytes, which knows DATA frames only: up to where the stream can be known. */
class Stream {
  /** Offset behind the last byte of which all before came as well. */
  end = 0;
  readonly #came = new Set<number>();
  #bytes: Buffer = Buffer.alloc(0);

  /** A new circuit: half a frame of the old one is worth nothing. */
  cut(): void {
    this.#bytes = Buffer.alloc(0);
  }

  add(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    let at = 0;
    for (; at + 4 <= this.#bytes.length; at += 4 + this.#bytes.readUIntBE(at + 1, 3)) if (this.#bytes[at] === Frame.DATA) this.#data(at);
    while (this.#came.has(this.end)) this.end++;
  }

  /** A DATA frame, as far as it came: its parts count before it is whole. */
  #data(at: number): void {
    if (at + 12 > this.#bytes.length) return;
    const offset = Number(this.#bytes.readBigUInt64BE(at + 4));
    const bytes = Math.min(this.#bytes.length - at - 12, this.#bytes.readUIntBE(at + 1, 3) - 8);
    for (let i = 0; i < bytes; i++) this.#came.add(offset + i);
  }
}

function seeds(): Buffer[] {
  const bytes = (...frames: Buffer[]): Buffer => Buffer.concat(frames.flatMap((one) => [Buffer.of(Op.BYTES, one.length), one]));
  const message = Buffer.concat([Buffer.of(0, 0, 0, 5), Buffer.from('hello')]);
  const honest = [
    Buffer.of(Op.DATA, message.length),
    message,
    Buffer.of(Op.CONSUME, Op.SEND | (9 << 3), Op.WRITE, Op.TIME | (2 << 3), Op.WRITE),
    bytes(ack(85, WINDOW + 85), sync(9), ping(1)),
    Buffer.of(Op.WRITE),
  ];
  const ticket = frame(Frame.TICKET, Buffer.concat([Buffer.of(0, 0, 0, 0, 0, 0, 0, 9), Buffer.from('sealed')]));
  const covered = [Buffer.of(Op.DATA, message.length), message, bytes(ticket), Buffer.of(Op.CONSUME, Op.WRITE)];
  const ended = [bytes(end(9), ack(86, WINDOW + 85)), Buffer.of(Op.CONSUME, Op.CIRCUIT | (31 << 3), Op.WRITE), bytes(close(0))];
  const cut = [Buffer.of(Op.CIRCUIT, Op.SEND | (3 << 3), Op.CIRCUIT | (16 << 3), 0, 128, 0, 0, 128, Op.WRITE)];
  const late = [Op.TIME | (4 << 3), Op.WRITE, Op.TIME | (5 << 3), Op.WRITE, Op.TIME | (6 << 3), Op.TIME | (7 << 3)];
  const endless = Buffer.of(Op.DATA, 8, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4);
  // One byte further than the stream, and more than the window: unread empty messages.
  const gap = Buffer.of(Op.DATA | (31 << 3), 3, 1, 2, 3);
  const unread = Buffer.concat([Buffer.of(Op.DATA, 255), Buffer.alloc(255)]);
  const half = Buffer.concat([Buffer.of(Op.DATA, 6, 0, 0, 0, 5, 1, 2), bytes(end(6))]);
  const faults = Buffer.concat([0, 1, 2].map(() => Buffer.concat([bytes(frame(0)), Buffer.of(Op.CIRCUIT | (16 << 3), 0, 128, 0, 0, 128)])));
  const done = [Buffer.of(Op.CIRCUIT | (31 << 3), Op.WRITE), bytes(end(0), ack(1, WINDOW + 1)), Buffer.of(Op.WRITE, Op.CIRCUIT)];
  // The second bit: its server seals tickets.
  return [0, 1, 3].flatMap((role) =>
    [
      [...covered, ...cut, Buffer.of(Op.DATA, 2, 0, 0), ...cut],
      [...honest, ...ended],
      [...honest, ...cut, ...honest],
      [...honest, Buffer.from(late)],
      [endless, ...cut],
      [half],
      [gap],
      [unread, unread],
      [faults],
      done,
      [Buffer.of(Op.CIRCUIT | (30 << 3)), ...honest, ...ended],
    ].map((parts) => Buffer.concat([Buffer.of(role), ...parts])),
  );
}
