// What an accepting process knows by session id, and the limit of every map in it.
import { expect } from 'chai';
import type { CircuitInfo } from '../../lib/circuit.ts';
import { CloseCode } from '../../lib/core/wire.ts';
import { type Live, type Provisional, Registry, type Tombstone } from '../../lib/registry.ts';
import type { Session } from '../../lib/session.ts';
import { FRESH, HOLD_MS } from '../support/cores.ts';

const HOUR_MS = 3_600_000;

function circuit(remoteAddress: string, local = false): CircuitInfo {
  return { transport: 'tcp', remoteAddress, remotePort: 1, local, secure: false, listener: '', serverName: '', certificate: '' };
}

const A = circuit('192.0.2.1');
const keys = {} as Live<string>['keys'];

/** The registry looks at no more of a session than its id. */
function live(id: string, principal?: string, opened: CircuitInfo = A): Live<string> {
  const session = { id } as Session<string>;
  return { session, driver: {} as Live<string>['driver'], keys, bound: false, principal, opened, takeoversMs: [] };
}

function provisional(id: string, alive: boolean, holdMs = HOLD_MS): Provisional {
  const terms = { role: 'accept', window: 1, peerWindow: 1, heartbeatMs: 1, holdMs } as const;
  return { id, terms, metadata: Buffer.alloc(0), live: alive, untilMs: Infinity, keys, bound: false, principal: undefined, opened: A };
}

const tombstone: Omit<Tombstone, 'untilMs'> = {
  keys,
  bound: false,
  principal: undefined,
  opened: A,
  generation: 1,
  instance: 1,
  cause: CloseCode.CLEAN,
  finals: FRESH,
};

const registryOf = (provisional = 3, tombstones = 3): Registry<string> => new Registry<string>({ provisional, tombstones });

describe('registry', () => {
  it('counts live sessions by address and principal, and forgets what is gone', () => {
    const registry = registryOf();
    const B = circuit('192.0.2.2');
    for (const entry of [live('a', 'ann'), live('b', 'ann', B), live('c', 'bob'), live('d')]) registry.add(entry);
    const names = (principal: string): string[] => [...registry.ofPrincipal(principal)].map(({ id }) => id);
    expect([registry.countOf(A), registry.countOf(B), names('ann'), names('bob'), names('cat')]).to.deep.equal([
      3,
      1,
      ['a', 'b'],
      ['c'],
      [],
    ]);
    expect(registry.remove('a')?.session.id).to.equal('a');
    expect(registry.remove('a')).to.equal(undefined);
    expect([registry.countOf(A), names('ann'), registry.live.size]).to.deep.equal([2, ['b'], 3]);
    for (const id of ['b', 'c', 'd']) registry.remove(id);
    expect([registry.countOf(A), registry.countOf(B), names('ann'), registry.live.size]).to.deep.equal([0, 0, [], 0]);
  });

  it('does not count sessions of this machine by address', () => {
    const registry = registryOf();
    const local = circuit('127.0.0.1', true);
    registry.add(live('a', undefined, local));
    expect(registry.countOf(local)).to.equal(0);
    registry.remove('a');
    expect(registry.countOf(local)).to.equal(0);
  });

  it('makes room among provisional sessions that have no circuit, the oldest first', () => {
    const registry = registryOf(3);
    const [first, second, third] = [provisional('1', true), provisional('2', true), provisional('3', true)];
    for (const entry of [first, second, third]) expect(registry.addProvisional(entry, 0)).to.equal(true);
    expect(registry.addProvisional(provisional('4', true), 0), 'all have a circuit').to.equal(false);
    registry.orphan(third, 0);
    registry.orphan(first, 1);
    expect(registry.addProvisional(provisional('4', true), 2)).to.equal(true);
    expect([...registry.provisional.keys()].sort()).to.deep.equal(['1', '2', '4']);
    expect(registry.addProvisional(provisional('5', true), 2)).to.equal(true);
    expect([...registry.provisional.keys()].sort()).to.deep.equal(['2', '4', '5']);
  });

  it('keeps an orphan for its hold time, and 60 s at most', () => {
    for (const [holdMs, keptMs] of [
      [1000, 1000],
      [HOLD_MS, 60_000],
      [0, 0],
    ] as const) {
      const registry = registryOf();
      const entry = provisional('1', true, holdMs);
      registry.addProvisional(entry, 0);
      expect(registry.findProvisional('1', 1e9), 'it has a circuit').to.equal(entry);
      registry.orphan(entry, 500);
      if (keptMs > 0) expect(registry.findProvisional('1', 500 + keptMs - 1)).to.equal(entry);
      expect(registry.findProvisional('1', 500 + keptMs)).to.equal(undefined);
      expect(registry.provisional.size).to.equal(0);
    }
  });

  it('does not bring an orphan back that has become a session or had to go', () => {
    const registry = registryOf();
    const entry = provisional('1', true);
    registry.addProvisional(entry, 0);
    registry.provisional.delete('1');
    registry.orphan(entry, 0);
    expect(registry.provisional.size).to.equal(0);
  });

  it('keeps tombstones for the hold time, and an hour at least', () => {
    for (const [holdMs, keptMs] of [
      [1000, HOUR_MS],
      [2 * HOUR_MS, 2 * HOUR_MS],
    ] as const) {
      const registry = registryOf();
      registry.bury('x', tombstone, holdMs, 100);
      expect(registry.findTombstone('x', 100 + keptMs - 1)?.finals).to.equal(FRESH);
      expect(registry.findTombstone('x', 100 + keptMs)).to.equal(undefined);
      expect(registry.tombstones.size).to.equal(0);
    }
  });

  it('lets the oldest tombstone go when there are too many', () => {
    const registry = registryOf(3, 3);
    for (const id of ['1', '2', '3', '4', '5']) registry.bury(id, tombstone, 0, 0);
    expect([...registry.tombstones.keys()]).to.deep.equal(['3', '4', '5']);
  });
});
