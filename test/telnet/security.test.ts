// Holes that telnet servers and clients really had, each as what a peer sent then and what becomes of it here, as far as it concerns the
// codec.

import { expect } from 'chai';
import { allowEnvironment, environment, environmentReply } from '../../examples/telnet/environ.ts';
import { Host, type HostStep } from '../../examples/telnet/host.ts';
import { data, negotiation, telnet } from '../../examples/telnet/telnet.ts';
import { encodeMessage } from '../../lib/framing/standalone.ts';
import { bytewise, decoded, decodedEvents, encoded, hex, shown, verb } from './support.ts';

/** Feeds bytes to a fresh host through the decoder. */
function attack(stream: Buffer, host: Host = new Host()): { readonly steps: HostStep[]; readonly sent: Buffer } {
  const steps = [...host.begin(), ...decodedEvents([stream]).flatMap((event) => host.receive(event, 0))];
  return { steps, sent: encoded(...steps.flatMap((step) => (step.kind === 'send' ? [step.event] : []))) };
}

/** The environment that a host takes from these variables. */
function taken(variables: Readonly<Record<string, string>>): Extract<HostStep, { kind: 'environment' }>['environment'] {
  const list = Object.entries(variables).map(([name, value]) => ({ name, value }));
  const { steps } = attack(encoded(negotiation('will', 39), environment(list)));
  const told = steps.find((step) => step.kind === 'environment');
  if (told?.kind !== 'environment') throw new Error('no environment');
  return told.environment;
}

describe('telnet holes of the past', () => {
  it('CVE-2026-24061: USER="-f root" becomes no user', () => {
    for (const user of [
      '-f root',
      '-froot',
      '-f',
      'root -f',
      'a;id',
      '$(id)',
      '../x',
      'a\nb',
      'a\0b',
      `a${'b'.repeat(40)}`,
      'Root',
      'a+',
      'a+b+c',
      '',
    ]) {
      const { user: name, variables, refused } = taken({ USER: user });
      expect(name, JSON.stringify(user)).to.equal(null);
      expect(variables.size).to.equal(0);
      if (user !== '') expect(refused).to.deep.equal(['USER']);
    }
  });

  it('CVE-2007-0882: nor does a user name that begins with a dash', () => {
    expect(taken({ USER: '-fbin' }).user).to.equal(null);
    expect(taken({ USER: 'bin' }).user).to.equal('bin');
  });

  it('CVE-2026-28372: CREDENTIALS_DIRECTORY is not passed on', () => {
    const { variables, refused } = taken({ CREDENTIALS_DIRECTORY: '/tmp/x', LANG: 'C' });
    expect([...variables.keys()]).to.deep.equal(['LANG']);
    expect(refused).to.deep.equal(['CREDENTIALS_DIRECTORY']);
  });

  it('CVE-1999-0073 and its kind: nor is anything that a loader or a shell obeys', () => {
    const names = [
      'LD_PRELOAD',
      'LD_LIBRARY_PATH',
      'IFS',
      'ENV',
      'BASH_ENV',
      'PATH',
      'HOME',
      'SHELL',
      'TERM',
      'TERMCAP',
      'TERMINFO',
      'DISPLAY',
      'NODE_OPTIONS',
    ];
    const { variables, user, refused } = taken(Object.fromEntries(names.map((name) => [name, '/tmp/x'])));
    expect(variables.size).to.equal(0);
    expect(user).to.equal(null);
    expect(refused).to.deep.equal(names);
    const variants = allowEnvironment(
      ['lang', 'LANG ', 'LANGUAGE', 'LC_', 'LC_all', 'LC_ALL=x', 'XLANG'].map((name) => ({ name, value: 'C' })),
    );
    expect(variants.variables.size).to.equal(0);
  });

  it('FreeBSD-SA-00:69: a terminal type is a name and never a path', () => {
    const { steps } = attack(
      Buffer.concat([
        hex('fffb18'),
        hex('fffa1800'),
        Buffer.from('../../../tmp/termcap'),
        hex('fff0fffa1800'),
        Buffer.from('../../../tmp/termcap'),
        hex('fff0'),
      ]),
    );
    const told = steps.find((step) => step.kind === 'terminal');
    expect(told?.kind === 'terminal' && told.terminal.name).to.equal('vt100');
  });

  it('a locale is a name and never a path', () => {
    expect(taken({ LANG: '../../tmp/x', LC_ALL: 'C;id', LC_TIME: 'x'.repeat(33), LC_CTYPE: 'en_US.UTF-8' }).variables).to.deep.equal(
      new Map([['LC_CTYPE', 'en_US.UTF-8']]),
    );
  });

  it('CVE-2026-32746: 300 SLC triplets are not looked at before the login, and are thirty after it', () => {
    const triplets = Buffer.alloc(900, hex('030203'));
    const flood = Buffer.concat([hex('fffb22 fffa2203'), triplets, hex('fff0')]);
    const before = attack(flood);
    expect(before.sent.includes(hex('fffa22'))).to.equal(false);

    const host = new Host({ linemode: true });
    host.begin();
    host.loggedIn();
    const { sent } = attack(flood, host);
    const reply = sent.subarray(sent.indexOf(hex('fffa2203')));
    expect(reply.length).to.equal(4 + 90 + 2);
    expect(sent.length).to.be.at.most(240);
  });

  it('CVE-2005-0469: nor do SLC triplets that ask for defaults make a reply grow', () => {
    const host = new Host({ linemode: true });
    host.begin();
    host.loggedIn();
    const zero = Buffer.concat([hex('fffb22 fffa2203'), Buffer.alloc(900, hex('000200')), hex('fff0')]);
    expect(attack(zero, host).sent.includes(hex('fffa2203'))).to.equal(false);
  });

  it('CVE-2026-32772: a client tells what it exports, whatever a server asks for', () => {
    const reply = environmentReply(Buffer.from('\x01\x00AWS_SECRET_ACCESS_KEY\x03HOME\x00LANG', 'latin1'), new Map([['LANG', 'C']]));
    expect(reply === null ? '' : shown(reply)).to.equal(`<sb 39 ${Buffer.from('\x00\x00LANG\x01C', 'latin1').toString('hex')}>`);
  });

  it('CVE-2019-0053: a client writes into no fixed buffer, however long the names are that a server asks for', () => {
    const request = Buffer.concat([hex('01'), ...Array.from({ length: 50 }, () => Buffer.from(`\x00${'D'.repeat(5000)}`, 'latin1'))]);
    expect(environmentReply(request, new Map([['LANG', 'C']]))?.bytes).to.deep.equal(hex('00 00 4c414e47 01 43'));
  });

  it('CVE-2022-39028: ERASE CHARACTER and ERASE LINE as the first bytes are two events, as is any command in any state', () => {
    expect(decoded([hex('fff7')])).to.equal('<f7>');
    expect(decoded([hex('fff8')])).to.equal('<f8>');
    const prefixes = ['', '61', 'ff', 'fffb', 'fffa', 'fffa18', 'fffa1800', 'fffa1800ff', 'fffa1800ffff', 'ffff', '0d'];
    for (const prefix of prefixes) {
      for (let number = 0; number < 256; number++) {
        const stream = Buffer.concat([hex(prefix), Buffer.of(0xff, number), Buffer.of(0x61, 0xff, 0xf0, 0x62)]);
        expect(decoded(bytewise(stream)), stream.toString('hex')).to.equal(decoded([stream]));
        attack(stream);
      }
    }
  });

  it('CVE-2001-0554 and CVE-2020-10188: a flood of requests makes a bounded reply', () => {
    for (const request of ['fff6', 'fffd06', 'fffd05fffa0501fff0', 'fffd01fffe01', 'fffb18fffc18', 'fff2', 'fff5']) {
      const { sent, steps } = attack(Buffer.concat([hex('fffd05'), ...Array.from({ length: 20_000 }, () => hex(request))]));
      expect(sent.length, request).to.be.at.most(16_384);
      expect(steps.length, request).to.be.at.most(1500);
    }
  });

  it('CVE-2011-4862: ENCRYPT and AUTHENTICATION are refused, and their subnegotiations are not read', () => {
    const keyId = Buffer.concat([hex('fffb26 fffd26 fffb25 fffd25 fffa2607'), Buffer.alloc(400, 0x41), hex('fff0 fffa2500 fff0')]);
    const { steps } = attack(keyId);
    expect(steps.slice(6).map((step) => (step.kind === 'send' ? shown(step.event) : step.kind))).to.deep.equal([
      '<dont 38>',
      '<will 0>',
      '<do 0>',
      '<wont 38>',
      '<dont 37>',
      '<wont 37>',
    ]);
  });

  it('CVE-2021-40523: the first request for each of the 256 options, either way, is answered', () => {
    const host = new Host();
    host.begin();
    for (let option = 0; option < 256; option++) {
      for (const [asked, wanted, refused] of [
        ['do', 'will', 'wont'],
        ['will', 'do', 'dont'],
      ] as const) {
        const steps = host.receive(verb(`${asked} ${option}`), option * 1000);
        const said = steps.flatMap((step) => (step.kind === 'send' ? [shown(step.event)] : []));
        const settled = steps.some((step) => step.kind === 'option' && step.option === option);
        const answered = said.includes(`<${wanted} ${option}>`) || said.includes(`<${refused} ${option}>`) || settled;
        // A WILL TIMING-MARK is an answer itself.
        if (!(option === 6 && asked === 'will')) expect(answered, `${asked} ${option}`).to.equal(true);
      }
    }
  });

  it('telnetlib3: an empty subnegotiation is passed over', () => {
    for (const stream of ['fffafff0', 'fffb18fffa18fff0', 'fffb1ffffa1ffff0', 'fffb27fffa27fff0', 'fffb2afffa2afff0', 'fffd05fffa05fff0']) {
      const { steps } = attack(hex(stream));
      expect(
        steps.every((step) => step.kind === 'send' || step.kind === 'option' || step.kind === 'terminal'),
        stream,
      ).to.equal(true);
    }
  });

  it('telnetlib3: 100 KB of an unterminated subnegotiation are cut at the third overflow', () => {
    const { steps } = attack(Buffer.concat([hex('fffb18 fffa1800'), Buffer.alloc(100_000, 0x41)]));
    expect(steps.at(-1)).to.deep.equal({ kind: 'flood', limit: 'overflows' });
    expect(steps.filter((step) => step.kind === 'flood')).to.have.length(1);
  });

  it('npm telnet-client: compression is refused, and so what follows is read as what it is', () => {
    const { sent } = attack(hex('fffb56 fffb57 fffd56 fffd57'));
    for (const refusal of ['fffe56', 'fffe57', 'fffc56', 'fffc57']) expect(sent.includes(hex(refusal)), refusal).to.equal(true);
  });

  it('user data cannot become a command on the way out', () => {
    const evil = hex('ff fd 06 ff fa 18 01 ff f0 ff');
    expect(decodedEvents([encodeMessage(telnet(), data(evil))]).every((event) => event.kind === 'data')).to.equal(true);
    expect(decoded([encodeMessage(telnet(), data(evil))])).to.equal(evil.toString('hex'));
  });
});
