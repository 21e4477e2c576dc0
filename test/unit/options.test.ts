// Options: every default, every boundary, and errors that name what is wrong.
import { expect } from 'chai';
import type { CircuitInfo } from '../../lib/circuit.ts';
import { SessionError } from '../../lib/errors.ts';
import { lines } from '../../lib/framing/lines.ts';
import { type Limits, parseShared, type Settings, type SharedOptions, sameOrigin } from '../../lib/options.ts';

const MIB = 1_048_576;

function parse(options: Partial<SharedOptions<string>>): Settings<string> {
  return parseShared({ framing: lines(), ...options });
}

/** The text of the ERR_INVALID_OPTION that parsing throws. */
function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return SessionError.is(error, 'ERR_INVALID_OPTION') ? error.message : `not ours: ${error}`;
  }
  return 'nothing thrown';
}

describe('options', () => {
  it('have the defaults of the design', () => {
    const { limits, rules, runtime, turns, flushes, budget, framing, ...others } = parse({});
    expect(rules.limits).to.deep.equal({ ...limits, checkLent: process.env.NODE_ENV === 'development' });
    expect(others).to.deep.equal({
      heartbeatMs: 15_000,
      holdMs: 300_000,
      window: 2 * MIB,
      psk: undefined,
      coalescer: null,
      allowHalfOpen: false,
      bare: false,
      durability: 'memory',
    });
    const { processBytes, ...fixed } = limits;
    expect(fixed).to.deep.include({
      messageBytes: MIB,
      batchMessages: 1024,
      outboxHighWater: MIB,
      outboxHardCap: 8 * MIB,
      replaySegments: 16_384,
      socketBytes: 262_144,
      ackDelayMs: 200,
      writeStallMs: 20_000,
      controlPerSecond: 100,
      controlBurst: 200,
      handshakeMs: 5000,
      hookMs: 10_000,
      unfinishedPerAddress: 64,
      unfinished: Math.min(1024, limits.connections >> 1),
      provisional: 1024,
      tombstones: 65_536,
      takeovers: 5,
    });
    expect(processBytes).to.be.within(1, 512 * MIB);
    expect(limits.connections).to.be.at.least(16);
  });

  it('are frozen', () => {
    const settings = parse({});
    expect([Object.isFrozen(settings), Object.isFrozen(settings.limits)]).to.deep.equal([true, true]);
  });

  const ranges: [name: 'heartbeatMs' | 'holdMs' | 'window', least: number, most: number][] = [
    ['heartbeatMs', 1000, 300_000],
    ['holdMs', 0, 30 * 24 * 3_600_000],
    ['window', 4096, 1024 * MIB],
  ];
  for (const [name, least, most] of ranges) {
    it(`${name} takes ${least} to ${most} and nothing else`, () => {
      const small = { limits: { messageBytes: 1000, outboxHighWater: 1000 } };
      for (const value of [least, most]) expect(parse({ ...small, [name]: value })[name]).to.equal(value);
      for (const value of [least - 1, most + 1, 1.5, Number.NaN, Infinity, -1, '4096', null as never]) {
        if (value === null) continue;
        const text = refusal(() => parse({ ...small, [name]: value as number }));
        expect(text)
          .to.include(name)
          .and.to.include(`from ${least} to ${most}, not ${String(value)}`);
      }
    });
  }

  it('limits take whole numbers from 1 on, and are known by name', () => {
    for (const name of Object.keys(parse({}).limits) as (keyof Limits)[]) {
      for (const value of [0, -1, 1.5, Number.NaN, 2 ** 53, '5']) {
        expect(
          refusal(() => parse({ limits: { [name]: value as number } })),
          name,
        ).to.include(`limits.${name}`);
      }
    }
    expect(refusal(() => parse({ limits: { windows: 1 } as never }))).to.include('limits.windows is not a limit');
    expect(refusal(() => parse({ limits: { toString: 1 } as never }))).to.include('limits.toString is not a limit');
    expect(parse({ limits: { batchMessages: undefined as never } }).limits.batchMessages).to.equal(1024);
  });

  it('let no message be larger than the window, framing included', () => {
    expect(parse({ window: MIB + 1024 }).window).to.equal(MIB + 1024);
    expect(refusal(() => parse({ window: MIB + 1023 })))
      .to.include('limits.messageBytes')
      .and.to.include('must fit the window');
    expect(parse({ window: 4096, bare: true }).bare, 'without a peer window there is nothing to fit').to.equal(true);
  });

  it('keep the hard cap above twice the high-water mark and a message', () => {
    const limits = { messageBytes: 1000, outboxHighWater: 2000 };
    expect(parse({ limits: { ...limits, outboxHardCap: 6000 } }).limits.outboxHardCap).to.equal(6000);
    expect(refusal(() => parse({ limits: { ...limits, outboxHardCap: 5999 } })))
      .to.include('limits.outboxHardCap')
      .and.to.include('6000');
    expect(parse({ limits: { outboxHighWater: 16 * MIB } }).limits.outboxHardCap, 'grows along').to.equal(2 * 17 * MIB);
  });

  it('need a framing with a name that fits the wire', () => {
    for (const options of [
      undefined,
      null,
      7,
      {},
      { framing: null },
      { framing: {} },
      { framing: { decoder() {}, encoder: 1, name: 'x' } },
    ]) {
      expect(refusal(() => parseShared(options as never))).to.not.include('not ours');
      expect(refusal(() => parseShared(options as never))).to.not.equal('nothing thrown');
    }
    for (const [name, good] of [
      ['x', true],
      ['x'.repeat(64), true],
      ['', false],
      ['x'.repeat(65), false],
      ['a b', false],
      ['ä', false],
      ['a\n', false],
    ] as const) {
      const text = refusal(() => parse({ framing: { ...lines(), name } }));
      expect(text === 'nothing thrown', JSON.stringify(name)).to.equal(good);
    }
  });

  it('take a psk of 16 random bytes or more, as a copy', () => {
    const psk = Buffer.from('8f1d0c7a5be24493a6d7f0e1b2c3d495', 'hex');
    const settings = parse({ psk });
    const before = psk.toString('hex');
    psk.fill(0);
    expect(settings.psk?.toString('hex')).to.equal(before);
    for (const bad of [
      new Uint8Array(0),
      Buffer.from(before, 'hex').subarray(1),
      new Uint8Array(32),
      'a text of more than sixteen bytes',
    ]) {
      expect(refusal(() => parse({ psk: bad as Uint8Array }))).to.include('psk');
      expect(refusal(() => parse({ psk: bad as Uint8Array }))).to.not.include('not ours');
    }
  });
});

describe('sameOrigin', () => {
  const opened: CircuitInfo = {
    transport: 'tls',
    remoteAddress: '192.0.2.1',
    remotePort: 1,
    local: false,
    secure: true,
    listener: '0.0.0.0:1',
    serverName: 'example.org',
    certificate: 'AA',
  };
  const cases: [name: string, change: Partial<CircuitInfo>, same: boolean][] = [
    ['the same', {}, true],
    ['another address and port', { remoteAddress: '198.51.100.9', remotePort: 9 }, true],
    ['another listener', { listener: '0.0.0.0:2' }, false],
    ['another server name', { serverName: 'other.example' }, false],
    ['another client certificate', { certificate: 'BB' }, false],
    ['no client certificate', { certificate: '' }, false],
    ['no TLS', { transport: 'tcp', secure: false }, false],
  ];
  for (const [name, change, same] of cases) {
    it(`${same ? 'accepts' : 'refuses'} ${name}`, () => {
      const circuit = { ...opened, ...change };
      expect(sameOrigin({ id: 'x', principal: undefined, credentials: Buffer.alloc(0), opened, circuit })).to.equal(same);
    });
  }

  it('accepts a stronger transport than before', () => {
    const plain: CircuitInfo = { ...opened, transport: 'tcp', secure: false };
    expect(sameOrigin({ id: 'x', principal: undefined, credentials: Buffer.alloc(0), opened: plain, circuit: opened })).to.equal(true);
  });
});
