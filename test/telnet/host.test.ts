// The host's negotiation: what it asks, agrees to and refuses; what it learns; and that no peer can make it work or answer without end.

import { expect } from 'chai';
import fc from 'fast-check';
import { environment } from '../../examples/telnet/environ.ts';
import { Host, type HostStep } from '../../examples/telnet/host.ts';
import { charsetAccepted, charsetRejected, charsetRequest, statusRequest, windowSize } from '../../examples/telnet/subnegotiation.ts';
import { command, data, negotiation, subnegotiation, type TelnetEvent } from '../../examples/telnet/telnet.ts';
import { terminalType } from '../../examples/telnet/terminal-type.ts';
import { encoded, shown, verb } from './support.ts';

function sentIn(steps: readonly HostStep[]): string[] {
  return steps.flatMap((step) => (step.kind === 'send' ? [shown(step.event)] : []));
}

function factsIn(steps: readonly HostStep[]): HostStep[] {
  return steps.filter((step) => step.kind !== 'send');
}

/** A host and what it did for the events given to it at time 0. */
function hostWith(...events: readonly (string | TelnetEvent)[]): { readonly host: Host; readonly steps: HostStep[] } {
  const host = new Host();
  host.begin();
  return { host, steps: feed(host, ...events) };
}

function feed(host: Host, ...events: readonly (string | TelnetEvent)[]): HostStep[] {
  return events.flatMap((event) => host.receive(typeof event === 'string' ? verb(event) : event, 0));
}

describe('telnet host', () => {
  it('begins with six verbs, once, and asks for BINARY when the client negotiates at all', () => {
    const host = new Host();
    expect(sentIn(host.begin())).to.deep.equal(['<will 1>', '<will 3>', '<do 3>', '<do 24>', '<do 31>', '<do 39>']);
    expect(host.begin()).to.deep.equal([]);
    expect(feed(host, data('alice\n'), command(0xf1))).to.deep.equal([]);
    expect(sentIn(feed(host, 'do 1'))).to.deep.equal(['<will 0>', '<do 0>']);
    expect(feed(host, 'do 3').map((step) => step.kind)).to.deep.equal(['option']);
  });

  it('crosses with a client that speaks first (plink) without a word too many', () => {
    const { host, steps } = hostWith('will 31', 'will 32', 'will 24', 'will 39', 'do 1', 'will 3', 'do 3');
    expect(sentIn(steps)).to.deep.equal([
      '<will 0>',
      '<do 0>',
      '<dont 32>',
      '<sb 24 01>',
      '<sb 39 01004c414e47004c435f414c4c00434f4c4f525445524d0055534552>',
    ]);
    for (const option of [24, 31, 39, 3]) expect(host.inEffect('peer', option)).to.equal(true);
    for (const option of [1, 3]) expect(host.inEffect('own', option)).to.equal(true);
  });

  it('refuses once each what no login needs, in both directions', () => {
    const { host } = hostWith();
    const refused = {
      AUTH: 37,
      ENCRYPT: 38,
      LINEMODE: 34,
      'COM-PORT': 44,
      MCCP2: 86,
      MCCP3: 87,
      GMCP: 201,
      XDISPLOC: 35,
      LFLOW: 33,
      'START-TLS': 46,
      250: 250,
    };
    feed(host, 'wont 24');
    for (const [name, option] of Object.entries(refused)) {
      expect(sentIn(feed(host, `will ${option}`)), name).to.deep.equal([`<dont ${option}>`]);
      expect(sentIn(feed(host, `do ${option}`)), name).to.deep.equal([`<wont ${option}>`]);
      for (const again of [`will ${option}`, `do ${option}`, `wont ${option}`, `dont ${option}`, `will ${option}`, `do ${option}`])
        expect(feed(host, again), name).to.deep.equal([]);
      expect(host.inEffect('own', option) || host.inEffect('peer', option), name).to.equal(false);
    }
  });

  it('refuses the echo of a peer', () => {
    expect(sentIn(hostWith('wont 24', 'will 1').steps)).to.include('<dont 1>');
  });

  it('tells BINARY of each direction when it changes', () => {
    const { host } = hostWith('do 3');
    expect(factsIn(feed(host, 'will 0', 'do 0', 'will 0', 'dont 0'))).to.deep.equal([
      { kind: 'option', side: 'peer', option: 0, on: true },
      { kind: 'option', side: 'own', option: 0, on: true },
      { kind: 'option', side: 'own', option: 0, on: false },
    ]);
    expect(sentIn(host.ask('own', 0, true))).to.deep.equal(['<will 0>']);
  });

  it('asks for terminal names until one repeats, and for UTF-8 where MTTS says so (TinTin++)', () => {
    const { host, steps } = hostWith('will 24', terminalType('TINTIN++'), terminalType('xterm-256color'), terminalType('MTTS 271'));
    expect(sentIn(steps).filter((one) => one === '<sb 24 01>')).to.have.length(4);
    const end = feed(host, terminalType('MTTS 271'));
    expect(end[0]).to.deep.include({ kind: 'terminal' });
    expect(sentIn(end)).to.deep.equal(['<will 42>', '<do 42>']);
    const request = shown(charsetRequest('UTF-8'));
    expect(sentIn(feed(host, 'will 42'))).to.deep.equal([request]);
    expect(feed(host, charsetAccepted('UTF-8'))).to.deep.equal([{ kind: 'charset', name: 'UTF-8' }]);
    expect(sentIn(feed(host, 'do 42', charsetRejected(), terminalType('more')))).to.deep.equal([]);
  });

  it('answers a charset request, and puts its own first', () => {
    const { host } = hostWith('will 42', 'do 42');
    expect(sentIn(feed(host, charsetRequest('UTF-8')))).to.deep.equal([shown(charsetRejected())]);
    expect(feed(host, charsetRejected())).to.deep.equal([{ kind: 'charset', name: null }]);
    expect(sentIn(feed(host, charsetRequest('latin1', 'utf-8')))).to.deep.equal([shown(charsetAccepted('utf-8'))]);
    expect(sentIn(feed(host, charsetRequest('latin1'), subnegotiation(42, 4)))).to.deep.equal([shown(charsetRejected()), '<sb 42 05>']);
  });

  it('keeps the size, tells each change, and takes none from a client that did not agree', () => {
    const { host } = hostWith();
    expect(feed(host, windowSize({ columns: 132, rows: 43 }))).to.deep.equal([]);
    expect(factsIn(feed(host, 'will 31', windowSize({ columns: 132, rows: 43 }))).at(-1)).to.deep.equal({
      kind: 'size',
      size: { columns: 132, rows: 43 },
    });
    expect(feed(host, windowSize({ columns: 0, rows: 0 }), subnegotiation(31, 'bad'))).to.have.length(1);
    expect(host.size).to.deep.equal({ columns: 132, rows: 43 });
  });

  it('passes over subnegotiations of options that are not in effect', () => {
    const { host } = hostWith('wont 24', 'wont 31', 'wont 39');
    const told = [terminalType('x'), windowSize({ columns: 9, rows: 9 }), environment([{ name: 'USER', value: 'bob' }]), statusRequest()];
    expect(feed(host, ...told, charsetRequest('UTF-8'), subnegotiation(34, 1, 1), subnegotiation(201, 'Core.Hello'))).to.deep.equal([]);
  });

  it('says what is in effect (STATUS), and only that', () => {
    const { host } = hostWith('do 5', 'do 1', 'will 31', 'will 37', 'do 0');
    expect(sentIn(feed(host, statusRequest()))).to.deep.equal(['<sb 5 00fb00fb01fb05fd1f>']);
  });

  it('answers every DO TIMING-MARK at once, and measures its own', () => {
    const { host } = hostWith('do 3');
    for (let count = 0; count < 5; count++) expect(sentIn(feed(host, 'do 6'))).to.deep.equal(['<will 6>']);
    expect(feed(host, 'dont 6', 'will 6', 'wont 6')).to.deep.equal([]);
    expect(sentIn(host.ping(1000))).to.deep.equal(['<do 6>']);
    expect(sentIn(host.ping(1500))).to.deep.equal(['<do 6>']);
    expect(host.receive(verb('wont 6'), 1502)).to.deep.equal([{ kind: 'pong', rttMs: 502 }]);
    expect(host.receive(verb('will 6'), 1503)).to.deep.equal([{ kind: 'pong', rttMs: 3 }]);
    expect(host.receive(verb('will 6'), 1504)).to.deep.equal([]);
    const pings = Array.from({ length: 10 }, () => sentIn(host.ping(2000)).length);
    expect(pings).to.deep.equal([1, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
  });

  it('uses LINEMODE after the login only, and only where it was told to', () => {
    const plain = hostWith('do 3').host;
    expect(plain.loggedIn()).to.deep.equal([]);
    expect(sentIn(feed(plain, 'will 34'))).to.deep.equal(['<dont 34>']);

    const host = new Host({ linemode: true });
    host.begin();
    expect(sentIn(feed(host, 'do 3', 'will 34'))).to.include('<dont 34>');
    expect(feed(host, subnegotiation(34, 3, 3, 2, 3))).to.deep.equal([]);
    expect(sentIn(host.loggedIn())).to.deep.equal(['<do 34>']);
    expect(host.loggedIn()).to.deep.equal([]);
    expect(sentIn(feed(host, 'will 34'))).to.deep.equal(['<sb 34 0103>']);
    expect(feed(host, subnegotiation(34, 1, 7), subnegotiation(34, 1, 7))).to.deep.equal([{ kind: 'linemode', mode: 3 }]);
    expect(sentIn(feed(host, subnegotiation(34, 1, 1)))).to.deep.equal(['<sb 34 0105>']);
    expect(sentIn(feed(host, subnegotiation(34, 3, 3, 2, 3)))).to.deep.equal(['<sb 34 03038203>']);
    expect(sentIn(feed(host, subnegotiation(34, 0xfb, 2), subnegotiation(34, 0xfc, 2)))).to.deep.equal(['<sb 34 fe02>']);
  });
});

describe('telnet host under attack', () => {
  it('ends an option storm after a bounded number of answers, and is silent then', () => {
    const { host } = hostWith();
    const steps: HostStep[] = [];
    for (let count = 0; count < 20_000; count++) steps.push(...feed(host, ...(['do 1', 'dont 1', 'will 31', 'wont 31'] as const)));
    expect(sentIn(steps).length).to.be.at.most(300);
    expect(steps.filter((step) => step.kind === 'flood')).to.deep.equal([{ kind: 'flood', limit: 'answers' }]);
    expect(steps.at(-1)?.kind).to.equal('flood');
    expect(feed(host, 'do 6', 'will 200', statusRequest())).to.deep.equal([]);
    feed(host, 'will 39');
    expect(host.inEffect('peer', 39)).to.equal(false);
    expect([...host.ping(0), ...host.ask('peer', 34, true), ...host.loggedIn()]).to.deep.equal([]);
  });

  it('ends a storm of timing marks and of status requests', () => {
    for (const event of [verb('do 6'), statusRequest(), charsetRequest('UTF-8')]) {
      const { host } = hostWith('do 5', 'do 42');
      const steps = Array.from({ length: 5000 }, () => host.receive(event, 0)).flat();
      expect(sentIn(steps).length).to.be.at.most(256);
      expect(steps.at(-1)).to.deep.equal({ kind: 'flood', limit: 'answers' });
    }
  });

  it('says nothing behind the flood, whichever answer was the one too many', () => {
    const last = [charsetRequest('UTF-8'), subnegotiation(34, 1, 1), subnegotiation(34, 3, 3, 2, 3), 'will 24', 'do 42', terminalType('A')];
    for (const event of last) {
      for (let answers = 250; answers <= 256; answers++) {
        const host = new Host({ linemode: true });
        host.begin();
        host.loggedIn();
        feed(host, 'do 42', charsetRejected(), 'will 34', ...Array.from({ length: answers }, () => 'do 6'));
        const steps = feed(host, event, 'do 6', event, 'do 6', 'do 6', 'do 6', 'do 6');
        const flood = steps.findIndex((step) => step.kind === 'flood');
        if (flood >= 0) expect(steps.length, `${answers}`).to.equal(flood + 1);
      }
    }
  });

  it('lets a client go on for days that stays within the rate', () => {
    const { host } = hostWith('do 1', 'will 31');
    let answers = 0;
    for (let second = 1; second <= 20_000; second++) {
      const steps = [
        ...host.receive(verb('do 6'), second * 1000),
        ...host.receive(windowSize({ columns: 80 + (second % 9), rows: 24 }), second * 1000),
      ];
      answers += sentIn(steps).length;
      expect(steps.length).to.equal(2);
    }
    expect(answers).to.equal(20_000);
  });

  it('takes the sizes of a dragged window, and ends a flood of them', () => {
    const { host } = hostWith('will 31');
    const sizes = (perSecond: number, seconds: number): HostStep[] =>
      Array.from({ length: perSecond * seconds }, (_, at) =>
        host.receive(windowSize({ columns: 80, rows: 24 }), (1000 * at) / perSecond),
      ).flat();
    expect(sizes(60, 120).every((step) => step.kind === 'size')).to.equal(true);
    expect(sizes(100_000, 1).at(-1)).to.deep.equal({ kind: 'flood', limit: 'subnegotiations' });
  });

  it('ends at the third overflow, and at a flood of interrupted subnegotiations', () => {
    const { host } = hostWith();
    const overflow: TelnetEvent = { kind: 'discarded', option: 24, reason: 'overflow' };
    expect(feed(host, overflow, overflow)).to.deep.equal([]);
    expect(feed(host, overflow, overflow)).to.deep.equal([{ kind: 'flood', limit: 'overflows' }]);
    const other = hostWith().host;
    const steps = Array.from({ length: 5000 }, () => other.receive({ kind: 'discarded', option: 24, reason: 'interrupted' }, 0)).flat();
    expect(steps).to.deep.equal([{ kind: 'flood', limit: 'subnegotiations' }]);
  });

  it('throws nothing and answers within its budget for any events at all', () => {
    const option = fc.oneof(fc.constantFrom(0, 1, 3, 5, 6, 24, 31, 34, 39, 42), fc.nat(255));
    const body = fc.oneof(
      fc.constantFrom(
        statusRequest().bytes,
        charsetRequest('UTF-8').bytes,
        terminalType('X').bytes,
        Buffer.from([3, 3, 2, 3]),
        Buffer.from([1, 1]),
      ),
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    );
    const event = fc.oneof<fc.Arbitrary<TelnetEvent>[]>(
      fc.tuple(fc.constantFrom('will', 'wont', 'do', 'dont'), option).map(([word, number]) => negotiation(word, number)),
      fc.tuple(option, body).map(([number, bytes]) => subnegotiation(number, bytes)),
      fc.constant({ kind: 'discarded', option: 1, reason: 'empty' }),
      fc.nat(255).map(command),
    );
    const property = fc.property(fc.array(event, { maxLength: 400 }), fc.boolean(), (events, linemode) => {
      const host = new Host({ linemode });
      const steps = [...host.begin(), ...host.loggedIn(), ...feed(host, ...events)];
      expect(sentIn(steps).length).to.be.at.most(256 + 40);
      for (const step of steps) if (step.kind === 'send') expect(encoded(step.event).length).to.be.at.most(240);
      const flood = steps.findIndex((step) => step.kind === 'flood');
      expect(flood === -1 || flood === steps.length - 1).to.equal(true);
    });
    fc.assert(property, { numRuns: 200, seed: 1 });
  });
});
