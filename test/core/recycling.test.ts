// Memory that a socket may still hold is never written to again: what a circuit was given is compared after others filled their slabs.
import { expect } from 'chai';
import type { SessionCore } from '../../lib/core/session-core.ts';
import { takeSlab } from '../../lib/core/slab.ts';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { ack, coreOf, FRESH, give, WINDOW } from '../support/cores.ts';

/** A core that has given many large slabs' worth of bytes to its first circuit. */
function busyCore(out: Buffer[]): SessionCore<Buffer> {
  const core = coreOf('accept', { framing: lengthPrefix(), window: WINDOW, peerWindow: 1_000_000, limits: { outboxHardCap: 4_000_000 } });
  core.circuitUp({ ...FRESH, limit: 1_000_000 }, core.positions(), 0, 0);
  for (let i = 0; i < 60; i++) core.send(Buffer.alloc(4000, i), false);
  drain(core, out);
  return core;
}

function drain(core: SessionCore<Buffer>, out: Buffer[]): void {
  while (core.wantsTransmit) core.transmit(out, Number.MAX_SAFE_INTEGER, 0);
}

/** Takes slabs as other sessions would, and overwrites them. @returns whether one of them was memory of `out` */
function poison(out: readonly Buffer[]): boolean {
  const memory = new Set(out.map(({ buffer }) => buffer));
  let shared = false;
  for (let i = 0; i < 80; i++) {
    const slab = takeSlab(true);
    if (memory.has(slab.buffer.buffer)) shared = true;
    slab.buffer.fill(0xee);
  }
  return shared;
}

const acked = (bytes: number): Buffer => ack(bytes, 1_000_000 + bytes);
const ALL = 60 * 4004;

describe('slab recycling', () => {
  const cases: [name: string, recyclable: boolean, reused: boolean][] = [
    ['an empty socket: the memory is used again', true, true],
    ['a socket that still holds bytes: it never is', false, false],
  ];
  for (const [name, recyclable, reused] of cases) {
    it(`${name}`, () => {
      const out: Buffer[] = [];
      const core = busyCore(out);
      const before = Buffer.concat(out);
      core.recyclable = recyclable;
      give(core, acked(ALL), 0);
      expect(core.outbound.egress.replay.segments).to.equal(0);
      expect(poison(out)).to.equal(reused);
      expect(Buffer.concat(out).equals(before)).to.equal(!reused);
    });
  }

  it('an ACK by halves, the first while the socket still holds bytes', () => {
    const out: Buffer[] = [];
    const core = busyCore(out);
    const slabs = new Set(out.map(({ buffer }) => buffer)).size;
    expect(slabs).to.be.greaterThan(3);
    const half = out.slice(0, Math.floor(out.length / 2));
    const before = Buffer.concat(half);
    core.recyclable = false;
    give(core, acked(ALL / 2), 0);
    core.recyclable = true;
    give(core, acked(ALL), 0);
    expect(poison(out), 'the second half may be used again').to.equal(true);
    expect(Buffer.concat(half).equals(before)).to.equal(true);
  });

  it('two circuits: the old socket may hold what was acked on the new one', () => {
    const old: Buffer[] = [];
    const core = busyCore(old);
    const bodies = old.map((chunk) => Buffer.from(chunk.subarray(64)));
    core.circuitLost(false, 0);
    core.circuitUp({ ...FRESH, limit: 1_000_000 }, core.positions(), 0, 0);
    const out: Buffer[] = [];
    drain(core, out);
    core.recyclable = true;
    give(core, acked(ALL), 0);
    expect([poison(old), poison(out)]).to.deep.equal([false, false]);
    expect(old.every((chunk, i) => chunk.subarray(64).equals(bodies[i] as Buffer))).to.equal(true);
  });

  it('a resume in which the peer had everything: the old socket may hold it all the same', () => {
    const old: Buffer[] = [];
    const core = busyCore(old);
    const before = Buffer.concat(old);
    core.circuitLost(false, 0);
    core.recyclable = true;
    core.circuitUp({ ...FRESH, received: ALL, acked: ALL, limit: 1_000_000 + ALL }, core.positions(), 0, 0);
    expect(core.outbound.egress.replay.segments).to.equal(0);
    expect(poison(old)).to.equal(false);
    expect(Buffer.concat(old).equals(before)).to.equal(true);
  });

  it('a resume in which the peer acks later what it had: the old socket may hold it all the same', () => {
    const old: Buffer[] = [];
    const core = busyCore(old);
    const before = Buffer.concat(old);
    core.circuitLost(false, 0);
    core.circuitUp({ ...FRESH, received: ALL, acked: 0, limit: 1_000_000 }, core.positions(), 0, 0);
    core.recyclable = true;
    give(core, acked(ALL), 0);
    expect(poison(old)).to.equal(false);
    expect(Buffer.concat(old).equals(before)).to.equal(true);
  });
});
