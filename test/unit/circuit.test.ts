// Circuit over a duplex made here: order, turns, holding, the orderly end and the sudden one.
import { Duplex } from 'node:stream';
import { expect } from 'chai';
import { Circuit, type CircuitOwner, circuitInfo, isLoopback } from '../../lib/circuit.ts';
import type { SessionError } from '../../lib/errors.ts';
import { type Alarm, processRuntime, type Runtime } from '../../lib/runtime.ts';

/** The near end of a connection; the test is the far end. */
class Wire extends Duplex {
  readonly chunks: Buffer[] = [];
  ended = false;
  /** Writes that wait until the test lets them through. */
  readonly waiting: (() => void)[] = [];
  stalls = false;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.chunks.push(chunk);
    if (this.stalls) this.waiting.push(done);
    else done();
  }

  override _final(done: () => void): void {
    this.ended = true;
    done();
  }
}

/** A world where time and turns pass only when told. */
class World implements Runtime {
  ms = 0;
  readonly alarms: Set<Alarm> = new Set();
  readonly turns: (() => void)[] = [];
  readonly random = (): number => 0;
  readonly randomBytes = processRuntime.randomBytes;
  readonly defer = processRuntime.defer;
  readonly after = processRuntime.after;

  now(): number {
    return this.ms;
  }

  arm(alarm: Alarm, atMs: number): void {
    alarm.dueMs = atMs;
    this.alarms.add(alarm);
  }

  disarm(alarm: Alarm): void {
    this.alarms.delete(alarm);
  }

  yield<T>(task: (argument: T) => void, argument: T): void {
    this.turns.push(() => task(argument));
  }

  turn(): void {
    for (const task of this.turns.splice(0)) task();
  }

  pass(ms: number): void {
    this.ms += ms;
    for (const alarm of [...this.alarms]) {
      if (alarm.dueMs > this.ms) continue;
      this.alarms.delete(alarm);
      alarm.ring(this.ms);
    }
  }
}

class Owner implements CircuitOwner {
  text = '';
  readonly lost: SessionError[] = [];
  writables = 0;
  /** Bytes taken in one turn. */
  perTurn = Infinity;
  goesOn = false;

  circuitData(_circuit: Circuit, chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.perTurn);
    this.text += chunk.toString('latin1', at, end);
    return end;
  }

  circuitWritable(): void {
    this.writables++;
  }

  circuitLost(_circuit: Circuit, error: SessionError): void {
    this.lost.push(error);
  }

  circuitEnded(): boolean {
    return this.goesOn;
  }
}

interface Rig {
  readonly wire: Wire;
  readonly world: World;
  readonly owner: Owner;
  readonly circuit: Circuit;
}

function rig(): Rig {
  const wire = new Wire({ allowHalfOpen: true });
  const world = new World();
  const owner = new Owner();
  const circuit = new Circuit(wire, circuitInfo(wire, 'here', false), world);
  circuit.owner = owner;
  return { wire, world, owner, circuit };
}

const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('circuit', () => {
  it('hands over what comes, in order', async () => {
    const { wire, owner } = rig();
    wire.push('one ');
    wire.push('two');
    await soon();
    expect(owner.text).to.equal('one two');
  });

  it('gives others a turn when its owner asks for one, and keeps the order', async () => {
    const { wire, owner, world } = rig();
    owner.perTurn = 4;
    wire.push('abcdefghij');
    await soon();
    expect(owner.text).to.equal('abcd');
    wire.push('klm');
    await soon();
    expect(owner.text).to.equal('abcd');
    for (let i = 0; i < 5; i++) {
      world.turn();
      await soon();
    }
    expect(owner.text).to.equal('abcdefghijklm');
  });

  it('hands nothing over while it is held, and all of it afterwards', async () => {
    const { wire, owner, world, circuit } = rig();
    wire.push('a');
    await soon();
    circuit.held = true;
    wire.push('b');
    wire.push('c');
    await soon();
    world.turn();
    expect(owner.text).to.equal('a');
    circuit.held = false;
    for (let i = 0; i < 3; i++) {
      await soon();
      world.turn();
    }
    expect(owner.text).to.equal('abc');
  });

  it('stays in order when it is held in the middle of a chunk', async () => {
    const { wire, owner, world, circuit } = rig();
    owner.perTurn = 2;
    wire.push('abcdef');
    await soon();
    circuit.held = true;
    world.turn();
    expect(owner.text).to.equal('ab');
    circuit.held = false;
    for (let i = 0; i < 5; i++) {
      world.turn();
      await soon();
    }
    expect(owner.text).to.equal('abcdef');
  });

  it('never gives its memory to a duplex that could keep it', () => {
    for (const count of [1, 2, 3]) {
      const { wire, circuit } = rig();
      const memory = Buffer.from('secret');
      circuit.write(Array.from({ length: count }, () => memory));
      memory.fill(0);
      expect(Buffer.concat(wire.chunks).toString()).to.equal('secret'.repeat(count));
      expect(wire.chunks.length, 'one write').to.equal(1);
      expect(circuit.recyclable).to.equal(true);
    }
  });

  it('writes nothing for nothing, and nothing behind its end', async () => {
    const { wire, circuit } = rig();
    circuit.write([]);
    circuit.end();
    circuit.write([Buffer.from('late')]);
    await soon();
    expect([wire.chunks.length, wire.ended]).to.deep.equal([0, true]);
  });

  it('tells what waits in the socket, and when that is gone', async () => {
    const { wire, owner, circuit } = rig();
    wire.stalls = true;
    circuit.write([Buffer.alloc(100_000)]);
    circuit.write([Buffer.alloc(50_000)]);
    expect(circuit.queuedBytes).to.equal(150_000);
    wire.stalls = false;
    for (const done of wire.waiting.splice(0)) done();
    await soon();
    expect([circuit.queuedBytes, owner.writables]).to.deep.equal([0, 1]);
  });

  it('is lost when the peer ends, unless its owner goes on', async () => {
    const lost = rig();
    lost.wire.push('last');
    lost.wire.push(null);
    await soon();
    expect([lost.owner.text, lost.owner.lost.map(({ code }) => code), lost.circuit.peerEnded]).to.deep.equal([
      'last',
      ['ERR_CIRCUIT_LOST'],
      true,
    ]);
    expect(lost.circuit.over).to.equal(true);
    const bare = rig();
    bare.owner.goesOn = true;
    bare.wire.push(null);
    await soon();
    expect([bare.owner.lost.length, bare.circuit.over]).to.deep.equal([0, false]);
    bare.circuit.destroy();
  });

  it('hands over what was read before the end, in as many turns as that takes', async () => {
    const { wire, owner, world } = rig();
    owner.perTurn = 3;
    wire.push('abcdefgh');
    wire.push(null);
    for (let i = 0; i < 5; i++) {
      await soon();
      world.turn();
    }
    await soon();
    expect([owner.text, owner.lost.map(({ code }) => code)]).to.deep.equal(['abcdefgh', ['ERR_CIRCUIT_LOST']]);
  });

  it('tells a failure once, with its cause', async () => {
    const { wire, owner } = rig();
    const cause = Object.assign(new Error('boom'), { code: 'EPIPE' });
    wire.destroy(cause);
    await soon();
    expect(owner.lost.length).to.equal(1);
    expect([owner.lost[0]?.code, owner.lost[0]?.cause]).to.deep.equal(['ERR_CIRCUIT_LOST', cause]);
    expect(owner.lost[0]?.message).to.include('EPIPE');
  });

  it('says nothing when it was destroyed or released by its owner', async () => {
    const destroyed = rig();
    destroyed.circuit.destroy();
    destroyed.circuit.destroy();
    await soon();
    expect([destroyed.owner.lost.length, destroyed.wire.destroyed]).to.deep.equal([0, true]);
    const released = rig();
    released.circuit.release();
    released.wire.push('x');
    released.wire.destroy(new Error('later'));
    await soon();
    expect([released.owner.lost.length, released.owner.text]).to.deep.equal([0, '']);
  });

  it('ends in order: writes all, ends its half, waits for the other half', async () => {
    const { wire, world, circuit } = rig();
    circuit.write([Buffer.from('bye')]);
    circuit.finish();
    circuit.finish();
    await soon();
    expect([wire.ended, wire.destroyed, Buffer.concat(wire.chunks).toString()]).to.deep.equal([true, false, 'bye']);
    wire.push('ignored');
    wire.push(null);
    await soon();
    expect([wire.destroyed, world.alarms.size]).to.deep.equal([true, 0]);
  });

  it('does not wait for the other half for ever', async () => {
    const { wire, world, circuit } = rig();
    circuit.finish();
    await soon();
    world.pass(4999);
    expect(wire.destroyed).to.equal(false);
    world.pass(1);
    expect(wire.destroyed).to.equal(true);
    await soon();
  });

  it('knows which addresses are this machine', () => {
    for (const address of ['127.0.0.1', '127.8.9.10', '::1', 'localhost', '::ffff:127.0.0.1'])
      expect(isLoopback(address), address).to.equal(true);
    for (const address of ['', '128.0.0.1', '1127.0.0.1', '::2', '127.0.0.1.evil.example', '::ffff:10.0.0.1', 'localhost.example']) {
      expect(isLoopback(address), address).to.equal(false);
    }
  });

  it('tells the facts of a duplex', () => {
    const { circuit } = rig();
    expect(circuit.info).to.deep.equal({
      transport: 'duplex',
      remoteAddress: '',
      remotePort: 0,
      local: true,
      secure: false,
      listener: 'here',
      serverName: '',
      certificate: '',
    });
    const { wire } = rig();
    expect(circuitInfo(wire, '', true).secure).to.equal(true);
  });
});
