// All recorded connections of real clients and servers: the same events however they are cut, equal to those of a second, plain reading.

import { expect } from 'chai';
import { Host, type HostStep } from '../../examples/telnet/host.ts';
import { NvtInput } from '../../examples/telnet/nvt.ts';
import { SynchRepair } from '../../examples/telnet/synch.ts';
import type { TelnetEvent } from '../../examples/telnet/telnet.ts';
import { Random } from '../../lib/testing/random.ts';
import { bytewise, decoded, decodedEvents, randomly, shown, type Transcript, transcripts } from './support.ts';

const all = transcripts();

function find(name: string): Transcript {
  const found = all.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no transcript ${name}`);
  return found;
}

/** RFC 854 as one regular expression over the whole stream: nothing in common with the decoder but the numbers. */
function readPlainly(stream: Buffer): string {
  const text = stream.toString('latin1');
  const piece = /\xff(?:\xfa((?:[^\xff]|\xff\xff)*)(?:\xff\xf0|(?=\xff[^\xff\xf0])|\xff?$)|([\xfb-\xfe])([\s\S])|\xff|([\s\S]))|[^\xff]+/g;
  let out = '';
  for (const match of text.matchAll(piece)) {
    const [whole, body, verb, option, single] = match;
    const hex = (part: string): string => Buffer.from(part, 'latin1').toString('hex');
    if (body !== undefined) {
      const plain = body.replaceAll('\xff\xff', '\xff');
      if (whole === '\xff\xfa\xff\xf0') out += '<empty 0>';
      else if (whole.endsWith('\xff\xf0')) out += `<sb ${plain.charCodeAt(0)} ${hex(plain.slice(1))}>`;
      else if (match.index + whole.length < text.length) out += `<interrupted ${plain.charCodeAt(0)}>`;
    } else if (verb !== undefined && option !== undefined) {
      out += `<${['will', 'wont', 'do', 'dont'][verb.charCodeAt(0) - 0xfb]} ${option.charCodeAt(0)}>`;
    } else if (single !== undefined) out += `<${single.charCodeAt(0).toString(16)}>`;
    else out += whole === '\xff\xff' ? 'ff' : hex(whole);
  }
  return out;
}

/** What a host learns from the client's half, in the recorded pieces. */
function hosted(transcript: Transcript): { readonly steps: HostStep[]; readonly sent: string[]; readonly input: string } {
  const host = new Host();
  const keyboard = new NvtInput('\r');
  const steps = host.begin();
  const typed: Buffer[] = [];
  for (const event of decodedEvents(transcript.toServer)) {
    if (event.kind === 'data') typed.push(keyboard.translate(event.bytes));
    steps.push(...host.receive(event, 0));
  }
  const sent = steps.flatMap((step) => (step.kind === 'send' ? [shown(step.event)] : []));
  return { steps, sent, input: Buffer.concat(typed).toString('utf8') };
}

describe('telnet transcripts', () => {
  it('are all there', () => {
    expect(all).to.have.length(117);
    expect(all.every((one) => one.toClient.length + one.toServer.length > 0)).to.equal(true);
  });

  it('give the events of a plain reading: whole, as recorded, byte by byte and at seeded splits', () => {
    for (const { name, toServer, toClient } of all) {
      for (const [direction, pieces] of [
        ['to the server', toServer],
        ['to the client', toClient],
      ] as const) {
        const stream = Buffer.concat(pieces);
        const expected = readPlainly(stream);
        const what = `${name}, ${direction}`;
        same(decoded([stream]), expected, `${what}, whole`);
        same(decoded(pieces), expected, `${what}, as recorded`);
        same(decoded(bytewise(stream)), expected, `${what}, byte by byte`);
        for (let seed = 1; seed <= 8; seed++) same(decoded(randomly(stream, new Random(seed))), expected, `${what}, seed ${seed}`);
      }
    }
  });

  it('hold events of every kind', () => {
    const kinds = new Set<string>();
    for (const { toServer, toClient } of all)
      for (const event of [...decodedEvents(toServer), ...decodedEvents(toClient)]) kinds.add(kindOf(event));
    expect([...kinds]).to.include.members(['data', 'subnegotiation', 'discarded', 'will', 'wont', 'do', 'dont']);
    for (const number of [0xec, 0xed, 0xee, 0xef, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9])
      expect(kinds).to.include(`<${number.toString(16)}>`);
  });

  it('make no host answer without end, whichever client it is', () => {
    for (const transcript of all) {
      const { steps, sent } = hosted(transcript);
      expect(sent.length, transcript.name).to.be.at.most(60);
      expect(
        steps.map((step) => step.kind),
        transcript.name,
      ).to.not.include('flood');
      const refusals = sent.filter((one) => /^<(wont|dont)/.test(one));
      const repeated = refusals.filter((one, index) => refusals.indexOf(one) !== index);
      // What was on may go off several times; what was never on is refused once.
      expect(
        repeated.filter((one) => !/ (0|1|3|24|31|39|42)>$/.test(one)),
        transcript.name,
      ).to.deep.equal([]);
    }
  });

  const clients: readonly [string, string, readonly string[]][] = [
    ['inetutils-telnet-2.4-login', 'xterm-256color', ['<dont 32>', '<dont 35>', '<dont 33>']],
    ['netkit-telnet-ssl-0.17-login', 'xterm-256color', ['<dont 32>', '<dont 35>', '<dont 33>']],
    ['plink-0.78-login', 'xterm', ['<dont 32>']],
    ['busybox-telnet-1.35-login', 'xterm-256color', []],
    ['ckermit-10beta8-login', 'xterm-256color', ['<dont 44>', '<dont 47>', '<wont 47>']],
    ['telnetlib3-client-4.0.5-login', 'xterm-256color', ['<dont 32>', '<dont 35>', '<dont 33>']],
    ['tintin-2.02.20-login', 'xterm-256color', ['<dont 32>']],
  ];
  for (const [name, terminal, refused] of clients) {
    it(`tell terminal, size and login of ${name}`, () => {
      const { steps, sent, input } = hosted(find(name));
      expect(steps.filter((step) => step.kind === 'terminal').map((step) => step.terminal.name)).to.deep.equal([terminal]);
      expect(steps.filter((step) => step.kind === 'size').at(-1)?.size).to.deep.equal({ columns: 80, rows: 24 });
      expect(input).to.match(/^alice\rs3cret\rwhoami\r/);
      for (const refusal of refused) expect(sent.filter((one) => one === refusal)).to.have.length(1);
    });
  }

  it('tell every size of a client that resizes, 255 columns among them', () => {
    for (const name of ['inetutils-telnet-2.4-resize', 'netkit-telnet-ssl-0.17-resize', 'plink-0.78-resize', 'ckermit-10beta8-resize']) {
      const sizes = hosted(find(name)).steps.flatMap((step) => (step.kind === 'size' ? [`${step.size.columns}x${step.size.rows}`] : []));
      expect(sizes, name).to.include.members(['80x24', '132x43', '100x30', '255x60']);
      expect(sizes.at(-1), name).to.equal('80x24');
    }
  });

  it('keep the size before for curl, which says 0 x 0', () => {
    const { steps } = hosted(find('curl-7.88-login'));
    expect(steps.filter((step) => step.kind === 'size').map((step) => step.size)).to.deep.equal([{ columns: 80, rows: 24 }]);
  });

  it('fill in the user name of a client started with -l, and drop the variables nobody asked for', () => {
    for (const name of ['inetutils-telnet-2.4-env-user', 'netkit-telnet-ssl-0.17-env-user', 'plink-0.78-env-user', 'curl-7.88-env-user']) {
      const told = hosted(find(name)).steps.flatMap((step) => (step.kind === 'environment' ? [step.environment] : []));
      expect(told.at(-1)?.user, name).to.equal('bob');
      expect([...(told.at(-1)?.variables ?? [])], name).to.deep.equal([]);
    }
    const curl = hosted(find('curl-7.88-env-user')).steps.flatMap((step) => (step.kind === 'environment' ? step.environment.refused : []));
    expect(curl).to.deep.equal(['EVIL']);
  });

  it('carry UTF-8 and FF through unharmed', () => {
    for (const name of [
      'inetutils-telnet-2.4-bytes',
      'netkit-telnet-ssl-0.17-bytes',
      'plink-0.78-bytes',
      'busybox-telnet-1.35-bytes',
      'ckermit-10beta8-bytes',
    ]) {
      const { toServer } = find(name);
      const text = decoded(toServer).replace(/<[^>]*>/g, '');
      expect(text, name).to.include(Buffer.from('héllo 世界 😀').toString('hex'));
      expect(text, name).to.include('ffffff61ff62f063fa64');
    }
  });

  it('need no repair where the urgent byte is in the stream, and get it back where it is not', () => {
    const { toServer } = find('inetutils-telnet-2.4-escapes');
    const repair = new SynchRepair();
    expect(decoded(toServer.map((piece) => repair.repair(piece)))).to.equal(decoded(toServer));
    expect(repair.repairs).to.equal(0);
    // GNU telnet marks the IAC of IAC DM as urgent: without SO_OOBINLINE it is the lone ff that goes missing.
    const lossy = new SynchRepair();
    const without = toServer.filter((piece) => !piece.equals(Buffer.of(0xff)));
    expect(without).to.have.length(toServer.length - 1);
    expect(decoded(without.map((piece) => lossy.repair(piece)))).to.equal(decoded(toServer));
    expect(lossy.repairs).to.equal(1);
  });
});

function kindOf(event: TelnetEvent): string {
  if (event.kind === 'negotiation') return event.verb;
  return event.kind === 'command' ? shown(event) : event.kind;
}

/** Kilobytes of hexadecimal are of no use in a report: only the place is. */
function same(actual: string, expected: string, what: string): void {
  let at = 0;
  while (at < expected.length && actual[at] === expected[at]) at++;
  if (actual !== expected) expect(actual.slice(at, at + 60), `${what}, at ${at}`).to.equal(expected.slice(at, at + 60));
}
