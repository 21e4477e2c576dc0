// The Q method: the table of RFC 1143, one end against any peer, and two ends against each other through all that they can do.

import { expect } from 'chai';
import type { Verb } from '../../examples/telnet/protocol.ts';
import { OptionStates, type QInput, type QState, transitions } from '../../examples/telnet/q-method.ts';

/** RFC 1143 §7 for "him": state, input, next state, verb sent. Rows that stay and say nothing are left out. */
const RFC: readonly [QState, QInput, QState, 'on' | 'off' | undefined][] = [
  ['no', 'on', 'yes', 'on'],
  ['no', 'on-refused', 'no', 'off'],
  ['no', 'ask-on', 'want-yes', 'on'],
  ['yes', 'off', 'no', 'off'],
  ['yes', 'ask-off', 'want-no', 'off'],
  ['want-no', 'on', 'no', undefined],
  ['want-no', 'on-refused', 'no', undefined],
  ['want-no', 'off', 'no', undefined],
  ['want-no', 'ask-on', 'want-no-opposite', undefined],
  ['want-no-opposite', 'on', 'yes', undefined],
  ['want-no-opposite', 'on-refused', 'yes', undefined],
  ['want-no-opposite', 'off', 'want-yes', 'on'],
  ['want-no-opposite', 'ask-off', 'want-no', undefined],
  ['want-yes', 'on', 'yes', undefined],
  ['want-yes', 'on-refused', 'yes', undefined],
  ['want-yes', 'off', 'no', undefined],
  ['want-yes', 'ask-off', 'want-yes-opposite', undefined],
  ['want-yes-opposite', 'on', 'want-no', 'off'],
  ['want-yes-opposite', 'on-refused', 'want-no', 'off'],
  ['want-yes-opposite', 'off', 'no', undefined],
  ['want-yes-opposite', 'ask-on', 'want-yes', undefined],
];

const OPTION = 1;
const WISHES = 8;

interface Policy {
  readonly ownAgrees: boolean;
  readonly peerAgrees: boolean;
}

/** One option between the end that performs it (own) and the end that watches (peer), with what is on its way between them. */
interface World {
  readonly own: Uint8Array;
  readonly peer: Uint8Array;
  readonly toPeer: readonly Verb[];
  readonly toOwn: readonly Verb[];
  readonly wishes: number;
  readonly sent: number;
}

function wish(world: World, side: 'own' | 'peer', on: boolean): World {
  const states = new OptionStates(side === 'own' ? world.own : world.peer);
  const { send } = states.ask(side, OPTION, on);
  return said({ ...world, [side]: states.bytes, wishes: world.wishes + 1 }, side, send);
}

function deliver(world: World, to: 'own' | 'peer', policy: Policy): World {
  const states = new OptionStates(to === 'own' ? world.own : world.peer);
  const [verb, ...rest] = to === 'own' ? world.toOwn : world.toPeer;
  const { send } = states.receive(verb as Verb, OPTION, to === 'own' ? policy.ownAgrees : policy.peerAgrees);
  return said({ ...world, [to]: states.bytes, [to === 'own' ? 'toOwn' : 'toPeer']: rest }, to, send);
}

function said(world: World, by: 'own' | 'peer', send: Verb | null): World {
  if (send === null) return world;
  const lane = by === 'own' ? 'toPeer' : 'toOwn';
  return { ...world, [lane]: [...world[lane], send], sent: world.sent + 1 };
}

function keyOf(world: World): string {
  return [world.own[OPTION], world.peer[256 + OPTION], world.toPeer, world.toOwn, world.wishes, world.sent].join(';');
}

/** Walks every world that can be reached. `settled` gets those with nothing on its way. */
function explore(policy: Policy, settled: (world: World) => void): number {
  const empty = new OptionStates().bytes;
  const stack: World[] = [{ own: empty, peer: empty, toPeer: [], toOwn: [], wishes: 0, sent: 0 }];
  const seen = new Set(stack.map(keyOf));
  while (stack.length > 0) {
    const world = stack.pop() as World;
    // A loop would send without end; what two ends may say is bounded by what they wished.
    expect(world.sent, keyOf(world)).to.be.at.most(2 * world.wishes);
    if (world.toOwn.length + world.toPeer.length === 0) settled(world);
    const next: World[] = [];
    if (world.wishes < WISHES) for (const side of ['own', 'peer'] as const) next.push(wish(world, side, true), wish(world, side, false));
    if (world.toOwn.length > 0) next.push(deliver(world, 'own', policy));
    if (world.toPeer.length > 0) next.push(deliver(world, 'peer', policy));
    for (const one of next) {
      const key = keyOf(one);
      if (!seen.has(key)) stack.push(one);
      seen.add(key);
    }
  }
  return seen.size;
}

describe('telnet option negotiation', () => {
  it('follows RFC 1143 in every state with every input', () => {
    let rows = 0;
    for (const state of Object.keys(transitions) as QState[]) {
      for (const input of Object.keys(transitions[state]) as QInput[]) {
        const row = RFC.find(([from, with_]) => from === state && with_ === input) ?? [state, input, state, undefined];
        expect([state, input, transitions[state][input].next, transitions[state][input].say]).to.deep.equal(row);
        rows++;
      }
    }
    expect(rows).to.equal(30);
  });

  for (const ownAgrees of [true, false]) {
    for (const peerAgrees of [true, false]) {
      const ends = [ownAgrees, peerAgrees].map((agrees) => (agrees ? 'agrees' : 'refuses'));
      it(`never loops: two ends, all orders of ${WISHES} wishes; one ${ends[0]}, one ${ends[1]}`, () => {
        let quiet = 0;
        const worlds = explore({ ownAgrees, peerAgrees }, (world) => {
          quiet++;
          const own = new OptionStates(world.own);
          const peer = new OptionStates(world.peer);
          expect(own.inEffect('own', OPTION), keyOf(world)).to.equal(peer.inEffect('peer', OPTION));
          // An end may wait for ever only for one that has refused before, and is not bound to say so again.
          if (peerAgrees) expect(own.state('own', OPTION), keyOf(world)).to.be.oneOf(['yes', 'no']);
          if (ownAgrees) expect(peer.state('peer', OPTION), keyOf(world)).to.be.oneOf(['yes', 'no']);
        });
        expect(worlds).to.be.greaterThan(500);
        expect(quiet).to.be.greaterThan(10);
      });
    }
  }

  it('refuses once a side, whatever a peer sends', () => {
    const all: readonly Verb[] = ['will', 'wont', 'do', 'dont'];
    for (let number = 0; number < 4 ** 6; number++) {
      const states = new OptionStates();
      let refusals = 0;
      for (let at = 0; at < 6; at++) {
        const verb = all[(number >> (2 * at)) & 3] as Verb;
        const { send } = states.receive(verb, OPTION, false);
        if (send !== null) refusals++;
      }
      if (refusals > 2) expect.fail(`${refusals} answers for ${number}`);
    }
  });

  it('answers a request that repeats the state with silence', () => {
    const states = new OptionStates();
    expect(states.receive('will', 31, true)).to.deep.equal({ side: 'peer', send: 'do', changed: true });
    for (let count = 0; count < 5; count++)
      expect(states.receive('will', 31, true)).to.deep.equal({ side: 'peer', send: null, changed: null });
    expect(states.receive('wont', 31, true)).to.deep.equal({ side: 'peer', send: 'dont', changed: false });
    expect(states.receive('wont', 31, true)).to.deep.equal({ side: 'peer', send: null, changed: null });
  });

  it('keeps both sides of an option and all 256 options apart', () => {
    const states = new OptionStates();
    for (let option = 0; option < 256; option++) {
      expect(states.ask('own', option, true).send).to.equal('will');
      expect(states.ask('peer', option, true).send).to.equal('do');
      expect(states.receive('do', option, true)).to.deep.equal({ side: 'own', send: null, changed: true });
      expect(states.inEffect('peer', option)).to.equal(false);
    }
  });

  it('ends our own option when we say so, the peer’s when it says so', () => {
    const states = new OptionStates();
    for (const verb of ['will', 'do'] as const) states.receive(verb, 0, true);
    expect(states.ask('own', 0, false)).to.deep.equal({ side: 'own', send: 'wont', changed: false });
    expect(states.ask('peer', 0, false)).to.deep.equal({ side: 'peer', send: 'dont', changed: null });
    expect(states.inEffect('peer', 0)).to.equal(true);
    expect(states.receive('dont', 0, true)).to.deep.equal({ side: 'own', send: null, changed: null });
    expect(states.receive('wont', 0, true)).to.deep.equal({ side: 'peer', send: null, changed: false });
  });

  it('answers a request it had passed over once it wants the option itself', () => {
    const states = new OptionStates();
    expect(states.receive('will', 34, false).send).to.equal('dont');
    expect(states.receive('will', 34, false).send).to.equal(null);
    expect(states.ask('peer', 34, true)).to.deep.equal({ side: 'peer', send: 'do', changed: true });
  });

  it('asks anew where the peer has taken that request back', () => {
    const states = new OptionStates();
    for (const verb of ['will', 'will', 'wont'] as const) states.receive(verb, 34, false);
    expect(states.ask('peer', 34, true)).to.deep.equal({ side: 'peer', send: 'do', changed: null });
  });
});
