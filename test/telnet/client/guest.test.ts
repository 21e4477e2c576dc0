// The client's negotiation: what it agrees to, what it tells and to whom; and with a real host at the other end, that both come to rest.

import { expect } from 'chai';
import { Guest, type GuestStep } from '../../../examples/telnet/guest.ts';
import { Host, type HostStep } from '../../../examples/telnet/host.ts';
import { Option } from '../../../examples/telnet/protocol.ts';
import { negotiation, subnegotiation, type TelnetEvent } from '../../../examples/telnet/telnet.ts';
import { shown, verb } from '../support.ts';

const environment = new Map([
  ['LANG', 'de_DE.UTF-8'],
  ['USER', 'alice+work'],
]);

function guest(states?: Uint8Array): Guest {
  const size = { columns: 100, rows: 30 };
  return new Guest({ terminal: 'xterm-256color', size, environment, ...(states === undefined ? {} : { states }) });
}

function sentIn(steps: readonly (GuestStep | HostStep)[]): string[] {
  return steps.flatMap((step) => (step.kind === 'send' ? [shown(step.event)] : []));
}

function feed(one: Guest, ...events: readonly (string | TelnetEvent)[]): GuestStep[] {
  return events.flatMap((event) => one.receive(typeof event === 'string' ? verb(event) : event, 0));
}

describe('telnet guest', () => {
  it('agrees with our host on all that a login needs, and both come to rest', () => {
    const near = guest();
    const far = new Host();
    const facts: HostStep[] = [];
    let toNear = far.begin();
    let rounds = 0;
    while (toNear.length > 0 && rounds++ < 20) {
      const toFar = toNear.flatMap((step) => (step.kind === 'send' ? near.receive(step.event, 0) : []));
      toNear = toFar.flatMap((step) => (step.kind === 'send' ? far.receive(step.event, 0) : []));
      facts.push(...toNear.filter((step) => step.kind !== 'send'));
    }
    expect(rounds).to.be.below(8);
    for (const option of [Option.binary, Option.suppressGoAhead]) {
      expect([near.inEffect('own', option), near.inEffect('peer', option), far.inEffect('own', option)]).to.deep.equal([true, true, true]);
    }
    expect([near.inEffect('peer', Option.echo), near.inEffect('own', Option.windowSize)]).to.deep.equal([true, true]);
    const kinds = facts.map((fact) => (fact.kind === 'option' ? '' : fact.kind)).filter(Boolean);
    expect(kinds).to.deep.equal(['size', 'environment', 'terminal']);
    const told = facts.find((fact) => fact.kind === 'environment');
    expect(told?.kind === 'environment' && told.environment.user).to.equal('alice+work');
    expect(told?.kind === 'environment' && [...told.environment.variables]).to.deep.equal([['LANG', 'de_DE.UTF-8']]);
  });

  it('refuses once each what it is not for', () => {
    for (const option of [5, 34, 35, 36, 37, 38, 42, 44, 86, 201, 250]) {
      expect(sentIn(feed(guest(), `do ${option}`, `do ${option}`)), `do ${option}`).to.deep.equal([`<wont ${option}>`]);
      expect(sentIn(feed(guest(), `will ${option}`, `will ${option}`)), `will ${option}`).to.deep.equal([`<dont ${option}>`]);
    }
    // It is no server: nobody else's keys are echoed here.
    expect(sentIn(feed(guest(), 'do 1'))).to.deep.equal(['<wont 1>']);
  });

  it('tells of its environment what was given to it and nothing else, whatever is asked (CVE-2026-32772)', () => {
    const asked = ['SSH_AUTH_SOCK', 'PATH', 'LANG', 'USER'].flatMap((name) => [0, name]);
    const steps = feed(guest(), 'do 39', subnegotiation(Option.newEnviron, 1, ...asked), subnegotiation(Option.newEnviron, 1));
    const text = steps.map((step) => (step.kind === 'send' && step.event.kind === 'subnegotiation' ? step.event.bytes.toString() : ''));
    for (const told of text.filter(Boolean))
      expect(told)
        .to.match(/LANG.*USER.*alice/s)
        .and.not.match(/PATH|SSH/);
    expect(text.filter(Boolean).length).to.equal(2);
  });

  it('answers no question about an option that is not in effect', () => {
    expect(feed(guest(), subnegotiation(Option.terminalType, 1), subnegotiation(Option.newEnviron, 1))).to.deep.equal([]);
  });

  it('tells a new size only where the server wants to know', () => {
    const one = guest();
    expect(one.resized({ columns: 90, rows: 20 })).to.deep.equal([]);
    expect(sentIn(feed(one, 'do 31'))).to.deep.equal(['<will 31>', '<sb 31 005a0014>']);
    expect(sentIn(one.resized({ columns: 91, rows: 20 }))).to.deep.equal(['<sb 31 005b0014>']);
  });

  it('answers every TIMING-MARK at once', () => {
    expect(sentIn(feed(guest(), 'do 6', 'do 6', 'dont 6'))).to.deep.equal(['<will 6>', '<will 6>']);
  });

  it('goes on in another process where it was', () => {
    const before = guest();
    feed(before, 'do 31', 'do 0', 'will 0', 'will 1');
    const after = guest(before.states);
    expect(sentIn(after.resized({ columns: 80, rows: 24 }))).to.deep.equal(['<sb 31 00500018>']);
    expect([after.inEffect('own', 0), after.inEffect('peer', 0), after.inEffect('peer', 1)]).to.deep.equal([true, true, true]);
    expect(feed(after, 'do 0', 'will 1')).to.deep.equal([]);
  });

  it('leaves a server that asks without end', () => {
    const one = guest();
    feed(one, 'do 31');
    const steps = Array.from({ length: 400 }, () => negotiation('do', Option.timingMark)).flatMap((event) => one.receive(event, 0));
    expect(steps.filter((step) => step.kind === 'flood').length).to.equal(1);
    expect(steps.at(-1)?.kind).to.equal('flood');
    expect(sentIn(steps).length).to.be.at.most(256);
  });
});
