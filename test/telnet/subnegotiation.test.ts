// What is said inside subnegotiations: window size, terminal type, status, charset, environment, linemode. Also for bytes that say nothing.

import { expect } from 'chai';
import fc from 'fast-check';
import { allowEnvironment, environment, environmentReply, environmentRequest, parseEnvironment } from '../../examples/telnet/environ.ts';
import { forwardmaskRefused, linemode, MOST_TRIPLETS, parseLinemode, slcReply } from '../../examples/telnet/linemode.ts';
import * as say from '../../examples/telnet/subnegotiation.ts';
import { TerminalTypeCycle, terminalType, terminalTypeRequest } from '../../examples/telnet/terminal-type.ts';
import { encoded, hex, shown } from './support.ts';

const before: say.WindowSize = { columns: 100, rows: 30 };

describe('telnet window size', () => {
  it('is read and written', () => {
    expect(say.parseWindowSize(hex('0050 0018'), before)).to.deep.equal({ columns: 80, rows: 24 });
    expect(encoded(say.windowSize({ columns: 255, rows: 60 })).toString('hex')).to.equal('fffa1f00ffff003cfff0');
  });

  it('keeps what it was where the client does not know, and stays within limits', () => {
    expect(say.parseWindowSize(hex('0000 0000'), before)).to.deep.equal(before);
    expect(say.parseWindowSize(hex('0000 0028'), before)).to.deep.equal({ columns: 100, rows: 40 });
    expect(say.parseWindowSize(hex('ffff ffff'), before)).to.deep.equal({ columns: 1000, rows: 500 });
    expect(say.parseWindowSize(hex('0001 0001'), before)).to.deep.equal({ columns: 2, rows: 1 });
  });

  it('is four bytes or nothing', () => {
    for (const bytes of ['', '00', '005000', '0050001800']) expect(say.parseWindowSize(hex(bytes), before)).to.equal(null);
  });
});

describe('telnet terminal type', () => {
  const ask = (...answers: readonly string[]): { readonly asked: number; readonly result: TerminalTypeCycle['result'] } => {
    const cycle = new TerminalTypeCycle();
    let asked = 1;
    for (const answer of answers) {
      if (!cycle.take(terminalType(answer).bytes)) break;
      asked++;
    }
    return { asked, result: cycle.result };
  };

  it('is asked for until an answer repeats', () => {
    expect(ask('XTERM-256COLOR', 'XTERM-256COLOR').result).to.deep.equal({
      name: 'xterm-256color',
      names: ['xterm-256color'],
      mtts: null,
      utf8: false,
    });
    expect(ask('XTERM-256COLOR', 'XTERM-256COLOR', 'never').asked).to.equal(2);
    expect(encoded(terminalTypeRequest()).toString('hex')).to.equal('fffa1801fff0');
  });

  it('is the second name of a client with MTTS (TinTin++)', () => {
    const { asked, result } = ask('TINTIN++', 'xterm-256color', 'MTTS 271', 'MTTS 271');
    expect(asked).to.equal(4);
    expect(result).to.deep.equal({ name: 'xterm-256color', names: ['tintin++', 'xterm-256color'], mtts: 271, utf8: true });
    expect(ask('MUDLET', 'MTTS 3', 'MTTS 3').result).to.include({ name: 'mudlet', mtts: 3, utf8: false });
  });

  it('is asked for four times at most', () => {
    expect(ask('a', 'b', 'c', 'd', 'e', 'f')).to.deep.include({ asked: 4 });
    const cycle = new TerminalTypeCycle();
    for (let count = 0; count < 1000; count++) cycle.take(terminalType(`name${count}`).bytes);
    expect(cycle.result.names).to.have.length(4);
  });

  it('is vt100 where the name is none that a file of terminfo may have', () => {
    for (const name of ['', '../../etc/passwd', 'a b', '-rm', 'x\0y', '$(id)', 'ü', 'x'.repeat(41), 'x'.repeat(2000)])
      expect(ask(name, name).result.name, name).to.equal('vt100');
    expect(ask('../x', 'linux', 'linux').result.name).to.equal('linux');
  });

  it('ends at what is no answer', () => {
    const cycle = new TerminalTypeCycle();
    expect(cycle.take(hex(''))).to.equal(false);
    expect(cycle.take(hex('01'))).to.equal(false);
    expect(cycle.result.name).to.equal('vt100');
  });
});

describe('telnet status', () => {
  it('is asked for, written and read', () => {
    expect(say.isStatusRequest(say.statusRequest().bytes)).to.equal(true);
    expect(say.isStatusRequest(hex('0100'))).to.equal(false);
    const sent = say.status({ own: [1, 3], peer: [31, 240, 255] });
    expect(encoded(sent).toString('hex')).to.equal('fffa0500fb01fb03fd1ffdf0f0fdfffffff0');
    expect(say.parseStatus(sent.bytes)).to.deep.equal({ own: [1, 3], peer: [31, 240, 255] });
  });

  it('of telnetlib3 is read with the subnegotiation in it', () => {
    const bytes = hex('00fb03fb18fc24fcfa2202fd01fd03');
    expect(say.parseStatus(bytes)).to.equal(null);
    expect(say.parseStatus(hex('00fb03fb18fc24fa220161f0fd01fe03'))).to.deep.equal({ own: [3, 24], peer: [1] });
    expect(say.parseStatus(hex('00fb03fa22f0f061f0fd01'))).to.deep.equal({ own: [3], peer: [1] });
  });

  it('is nothing where a verb or its option is missing', () => {
    for (const bytes of ['', '01', '00fb', '0041', '00fb0361']) expect(say.parseStatus(hex(bytes)), bytes).to.equal(null);
    expect(say.parseStatus(hex('00'))).to.deep.equal({ own: [], peer: [] });
    expect(say.parseStatus(hex('00fa2201'))).to.deep.equal({ own: [], peer: [] });
  });
});

describe('telnet charset', () => {
  const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');

  it('is asked for and answered', () => {
    expect(encoded(say.charsetRequest('UTF-8', 'US-ASCII')).toString('latin1')).to.equal('\xff\xfa\x2a\x01;UTF-8;US-ASCII\xff\xf0');
    expect(say.parseCharset(say.charsetRequest('UTF-8', 'US-ASCII').bytes)).to.deep.equal({
      kind: 'request',
      names: ['UTF-8', 'US-ASCII'],
    });
    expect(say.parseCharset(say.charsetAccepted('UTF-8').bytes)).to.deep.equal({ kind: 'accepted', name: 'UTF-8' });
    expect(say.parseCharset(say.charsetRejected().bytes)).to.deep.equal({ kind: 'rejected' });
    expect(say.parseCharset(hex('04 01'))).to.deep.equal({ kind: 'table' });
    expect(say.charsetTableRejected().bytes).to.deep.equal(hex('05'));
  });

  it('takes any separator, and the offer of a table in front', () => {
    expect(say.parseCharset(ascii('\x01 utf-8 latin1'))).to.deep.equal({ kind: 'request', names: ['utf-8', 'latin1'] });
    expect(say.parseCharset(ascii('\x01[TTABLE]\x01;UTF-8'))).to.deep.equal({ kind: 'request', names: ['UTF-8'] });
  });

  it('looks at 32 names of 40 characters', () => {
    const many = say.parseCharset(ascii(`\x01${';UTF-8'.repeat(300)}`));
    expect(many?.kind === 'request' && many.names.length).to.equal(32);
    expect(say.parseCharset(ascii(`\x01;${'x'.repeat(41)};a b;\x01`))).to.deep.equal({ kind: 'request', names: [] });
    expect(say.parseCharset(ascii(`\x02${'x'.repeat(41)}`))).to.equal(null);
  });

  it('says nothing otherwise', () => {
    for (const bytes of ['', '00', '05', '06', '02']) expect(say.parseCharset(hex(bytes))).to.equal(null);
    expect(say.parseCharset(hex('01'))).to.deep.equal({ kind: 'request', names: [] });
  });
});

describe('telnet environment', () => {
  const parsed = (text: string): unknown => parseEnvironment(Buffer.from(text, 'latin1'));

  it('is read: VAR and USERVAR, escapes, unset and empty, the last of equal names', () => {
    expect(parsed('\x00\x00USER\x01bob\x03LANG\x01C')).to.deep.equal([
      { name: 'USER', value: 'bob' },
      { name: 'LANG', value: 'C' },
    ]);
    expect(parsed('\x02\x00A\x01x\x02\x01y\x02\x02z')).to.deep.equal([{ name: 'A', value: 'x\x01y\x02z' }]);
    expect(parsed('\x00\x00USER\x00A\x01\x00A\x01b')).to.deep.equal([
      { name: 'USER', value: null },
      { name: 'A', value: 'b' },
    ]);
    expect(parsed('\x00')).to.deep.equal([]);
  });

  it('is nothing for a SEND and for other bytes', () => {
    for (const text of ['', '\x01', '\x01\x00USER', '\x04', 'USER']) expect(parsed(text), JSON.stringify(text)).to.equal(null);
  });

  it('survives values without names, names without ends and stray escapes', () => {
    expect(parsed('\x00\x01x\x00\x01y\x00A\x01b')).to.deep.equal([{ name: 'A', value: 'b' }]);
    expect(parsed('\x00xyz\x02\x00\x00A')).to.deep.equal([{ name: 'A', value: null }]);
    expect(parsed('\x00\x02\x00A')).to.deep.equal([]);
    expect(parsed('\x00\x00A\x02')).to.deep.equal([{ name: 'A', value: null }]);
  });

  it('has sixteen variables at most, names of 64 bytes, values of 256', () => {
    const many = Array.from({ length: 100 }, (_, index) => `\x00V${index}\x01x`).join('');
    expect(parsed(`\x00${many}`)).to.have.length(16);
    expect(parsed(`\x00\x00${'n'.repeat(65)}\x01x\x00A\x01${'v'.repeat(257)}\x00B\x01${'v'.repeat(256)}`)).to.deep.equal([
      { name: 'B', value: 'v'.repeat(256) },
    ]);
  });

  it('lets locale, colours and the user name through, and names the rest', () => {
    const allowed = allowEnvironment(
      Object.entries({ LANG: 'de_DE.UTF-8', LC_ALL: 'C', COLORTERM: 'truecolor', USER: 'alice+work', DISPLAY: 'x:0', 'A\x1b[2J': 'x' }).map(
        ([name, value]) => ({ name, value }),
      ),
    );
    expect([...allowed.variables]).to.deep.equal([
      ['LANG', 'de_DE.UTF-8'],
      ['LC_ALL', 'C'],
      ['COLORTERM', 'truecolor'],
    ]);
    expect(allowed.user).to.equal('alice+work');
    expect(allowed.refused).to.deep.equal(['DISPLAY', 'A?[2J']);
  });

  it('is asked for by name, in a subnegotiation that every client can hold', () => {
    const request = environmentRequest('LANG', 'LC_ALL', 'COLORTERM', 'USER');
    expect(encoded(request).toString('latin1')).to.equal('\xff\xfa\x27\x01\x00LANG\x00LC_ALL\x00COLORTERM\x00USER\xff\xf0');
    expect(encoded(request).length).to.be.at.most(240);
  });

  it('comes back as it was', () => {
    const variables = [
      { name: 'A', value: '\0\x01\x02\x03\xff' },
      { name: 'B\x01', value: null },
      { name: 'C', value: '' },
    ];
    expect(parseEnvironment(environment(variables).bytes)).to.deep.equal(variables);
  });

  it('of a client is what it exports, and nothing else', () => {
    const exported = new Map([
      ['LANG', 'C'],
      ['USER', 'bob'],
    ]);
    const reply = (request: string): string | undefined =>
      environmentReply(Buffer.from(request, 'latin1'), exported)?.bytes.toString('latin1');
    expect(reply('\x01\x00LANG\x00SECRET_KEY\x03HOME')).to.equal('\x00\x00LANG\x01C');
    expect(reply('\x01')).to.equal('\x00\x00LANG\x01C\x00USER\x01bob');
    expect(reply('\x01\x00')).to.equal('\x00\x00LANG\x01C\x00USER\x01bob');
    expect(reply('\x00\x00LANG')).to.equal(undefined);
  });
});

describe('telnet linemode', () => {
  it('reads and writes modes', () => {
    expect(parseLinemode(hex('01 03'))).to.deep.equal({ kind: 'mode', mode: 3, acknowledged: false });
    expect(parseLinemode(hex('01 07'))).to.deep.equal({ kind: 'mode', mode: 3, acknowledged: true });
    expect(linemode(3).bytes).to.deep.equal(hex('01 03'));
    expect(linemode(3, true).bytes).to.deep.equal(hex('01 07'));
  });

  it('reads what GNU telnet says of its characters, and agrees once', () => {
    const told = parseLinemode(hex('03 010000 036203 04020f 050000 07621c 080204'));
    expect(told?.kind).to.equal('slc');
    if (told?.kind !== 'slc') return;
    expect(told.triplets).to.have.length(6);
    const reply = slcReply(told.triplets);
    expect(reply?.bytes).to.deep.equal(hex('03 03e203 04820f 07e21c 088204'));
    const again = parseLinemode(reply?.bytes ?? hex(''));
    expect(again?.kind === 'slc' && slcReply(again.triplets)).to.equal(null);
  });

  it('takes thirty triplets and counts the rest', () => {
    const told = parseLinemode(Buffer.concat([hex('03'), Buffer.alloc(900, hex('03 02 03'))]));
    expect(told).to.deep.include({ kind: 'slc', dropped: 270 });
    expect(told?.kind === 'slc' && told.triplets.length).to.equal(MOST_TRIPLETS);
  });

  it('reads forward masks, and nothing else', () => {
    expect(parseLinemode(hex('fb 02'))).to.deep.equal({ kind: 'forwardmask', willing: true });
    expect(parseLinemode(hex('fc 02'))).to.deep.equal({ kind: 'forwardmask', willing: false });
    expect(forwardmaskRefused().bytes).to.deep.equal(hex('fe 02'));
    for (const bytes of ['', '01', '0103ff', '02', 'fb', 'fb03', '05']) expect(parseLinemode(hex(bytes)), bytes).to.equal(null);
    expect(parseLinemode(hex('03'))).to.deep.equal({ kind: 'slc', triplets: [], dropped: 0 });
    expect(parseLinemode(hex('03 0102'))).to.deep.equal({ kind: 'slc', triplets: [], dropped: 0 });
  });
});

describe('telnet subnegotiations of any bytes', () => {
  it('are read without a throw, and nothing that is sent of them exceeds 240 bytes', () => {
    const marks = fc.constantFrom(0, 1, 2, 3, 4, 0xf0, 0xfa, 0xfb, 0xfd, 0xff, 0x3b, 0x41);
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 2048 }),
      fc.array(marks, { maxLength: 400 }).map((all) => Uint8Array.from(all)),
    );
    const property = fc.property(bytes, (given) => {
      const body = Buffer.from(given);
      say.parseWindowSize(body, before);
      say.parseStatus(body);
      say.parseCharset(body);
      new TerminalTypeCycle().take(body);
      const variables = parseEnvironment(body);
      if (variables !== null) expect(allowEnvironment(variables).refused.every((name) => /^[\x21-\x7e?]{1,64}$/.test(name))).to.equal(true);
      const told = parseLinemode(body);
      const reply = told?.kind === 'slc' ? slcReply(told.triplets) : null;
      if (reply !== null) expect(encoded(reply).length, shown(reply)).to.be.at.most(240);
    });
    fc.assert(property, { numRuns: 500, seed: 1 });
  });
});
