// One session's writes: it stands in the queue once, however often it is flushed meanwhile, and comes again while it has more to say.

import { expect } from 'chai';
import type { Circuit } from '../../lib/circuit.ts';
import type { SessionCore } from '../../lib/core/session-core.ts';
import type { Flushable } from '../../lib/flush-queue.ts';
import { Flusher } from '../../lib/flusher.ts';
import type { Settings } from '../../lib/options.ts';

const ROOM = 1000;

describe('flusher', () => {
  let queue: Flushable[];
  let flusher: Flusher<Buffer>;
  let circuit: { queuedBytes: number; written: number; write(buffers: Buffer[]): void };
  let core: {
    wantsTransmit: boolean;
    fault: Error | null;
    inbound: { dataEnd: number; endOffset: number };
    outbound: { sendableBytes: number; filled: boolean };
    transmit(into: Buffer[]): number;
    queued(): void;
  };
  let settings: { flushes: unknown; coalescer: unknown; limits: unknown; runtime: unknown };
  let touched: () => void;

  beforeEach(() => {
    queue = [];
    touched = () => undefined;
    circuit = {
      queuedBytes: 0,
      written: 0,
      write(buffers) {
        this.written += buffers.length;
      },
    };
    core = {
      wantsTransmit: false,
      fault: null,
      inbound: { dataEnd: 0, endOffset: 0 },
      outbound: { sendableBytes: 0, filled: false },
      transmit(into) {
        if (!this.wantsTransmit) return 0;
        this.wantsTransmit = false;
        into.push(Buffer.alloc(1));
        return 1;
      },
      queued: () => undefined,
    };
    settings = {
      flushes: { add: (one: Flushable) => queue.push(one) },
      coalescer: null,
      limits: { socketBytes: ROOM },
      runtime: { now: () => 0 },
    };
    flusher = new Flusher({
      core: core as unknown as SessionCore<Buffer>,
      settings: settings as unknown as Settings<Buffer>,
      touched: () => touched(),
    });
    flusher.circuit = circuit as unknown as Circuit;
  });

  const say = (): void => {
    core.wantsTransmit = true;
    flusher.schedule();
  };

  it('stands in the queue once, though chunks that are read flush it meanwhile', () => {
    for (let i = 0; i < 10; i++) {
      say();
      flusher.reads();
      flusher.hasRead(circuit as unknown as Circuit);
    }
    expect([queue.length, circuit.written]).to.deep.equal([1, 10]);
    say();
    queue.shift()?.flushScheduled();
    expect([queue.length, circuit.written]).to.deep.equal([0, 11]);
    say();
    expect(queue.length).to.equal(1);
  });

  it('stands there again when a flush left or made something to say', () => {
    let more = 3;
    touched = () => {
      if (more-- > 0) say();
    };
    say();
    for (let turns = 0; turns < 10; turns++) {
      expect(queue.length).to.be.at.most(1);
      queue.shift()?.flushScheduled();
    }
    expect(circuit.written).to.equal(4);
  });

  it('does not stand there while the socket is full, nor without a circuit', () => {
    circuit.queuedBytes = ROOM;
    say();
    expect(queue.length).to.equal(0);
    circuit.queuedBytes = 0;
    flusher.circuit = null;
    say();
    expect(queue.length).to.equal(0);
  });

  describe('while it reads a chunk', () => {
    beforeEach(() => {
      flusher.reads();
      core.wantsTransmit = true;
      core.inbound.dataEnd = 8192;
      core.inbound.endOffset = 4096;
      core.outbound.sendableBytes = 4096;
    });

    it('writes the first answers ahead, once, and the others behind it', () => {
      flusher.sent();
      expect([circuit.written, flusher.due]).to.deep.equal([1, true]);
      core.wantsTransmit = true;
      flusher.sent();
      expect(circuit.written).to.equal(1);
      flusher.hasRead(circuit as unknown as Circuit);
      expect([circuit.written, queue.length]).to.deep.equal([2, 0]);
    });

    it('waits until they are worth a write', () => {
      core.outbound.sendableBytes = 4095;
      flusher.sent();
      expect([circuit.written, flusher.due]).to.deep.equal([0, false]);
      core.outbound.sendableBytes = 4096;
      flusher.sent();
      expect(circuit.written).to.equal(1);
    });

    it('writes nothing ahead where little is left to be read', () => {
      core.inbound.endOffset = 4097;
      flusher.sent();
      expect([circuit.written, flusher.due]).to.deep.equal([0, true]);
    });

    it('nor to a circuit that broke a rule, or is frozen', () => {
      core.fault = new Error('S-2');
      flusher.sent();
      core.fault = null;
      flusher.reads();
      flusher.frozen = true;
      flusher.sent();
      expect(circuit.written).to.equal(0);
    });

    it('nor with a flush interval', () => {
      settings.coalescer = { add: () => undefined };
      flusher.reads();
      flusher.sent();
      expect([circuit.written, flusher.due]).to.deep.equal([0, true]);
    });

    it('nor what is sent later, in a tick of its own', () => {
      core.wantsTransmit = false;
      flusher.hasRead(circuit as unknown as Circuit);
      core.wantsTransmit = true;
      flusher.sent();
      expect([circuit.written, queue.length]).to.deep.equal([0, 1]);
    });
  });

  describe('with more to send than one write may carry', () => {
    beforeEach(() => {
      core.outbound.sendableBytes = Number.MAX_SAFE_INTEGER;
      core.transmit = (into) => into.push(Buffer.alloc(1));
    });

    it('writes on while the kernel takes all at once, and leaves turns for others', () => {
      flusher.flush();
      expect(circuit.written).to.equal(16);
    });

    it('writes until the kernel leaves something behind', () => {
      circuit.write = function write(): void {
        if (++this.written === 3) this.queuedBytes = 1;
      };
      flusher.flush();
      expect(circuit.written).to.equal(3);
    });

    it('writes until what is left is not worth it', () => {
      circuit.write = function write(): void {
        if (++this.written === 3) core.outbound.sendableBytes = 65_535;
      };
      flusher.flush();
      expect(circuit.written).to.equal(3);
    });

    it('writes no more once a write has taken the circuit away, or frozen it', () => {
      circuit.write = function write(): void {
        this.written++;
        flusher.circuit = null;
      };
      flusher.flush();
      flusher.circuit = circuit as unknown as Circuit;
      circuit.write = function write(): void {
        this.written++;
        flusher.frozen = true;
      };
      flusher.flush();
      expect(circuit.written).to.equal(2);
    });
  });

  it('writes nothing from the queue while frozen, and goes on when asked again', () => {
    say();
    flusher.frozen = true;
    queue.shift()?.flushScheduled();
    expect(circuit.written).to.equal(0);
    flusher.frozen = false;
    say();
    queue.shift()?.flushScheduled();
    expect(circuit.written).to.equal(1);
  });
});
