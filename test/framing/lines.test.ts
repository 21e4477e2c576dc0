// lines(): the contract for each delimiter and encoding, and the exact bytes.

import { expect } from 'chai';
import { lines } from '../../lib/framing/lines.ts';
import { Deframer, encodeMessage } from '../../lib/framing/standalone.ts';
import type { Random } from '../../lib/testing/random.ts';
import { bytes, framingContract, randomPayload } from '../contract/framing.ts';
import { LIMIT, type Traits } from '../contract/framing-subject.ts';
import { countWork } from '../contract/work.ts';

const endless = (): { head: Buffer; filler: Buffer } => ({ head: Buffer.from('x'), filler: Buffer.from('y') });

function text(overheadBytes: number, alphabet: string, refused: readonly unknown[]): Traits<string> {
  return {
    overheadBytes,
    sized: (size) => 'a'.repeat(size),
    random: (random: Random) =>
      Array.from({ length: random.integer(0, random.pick([3, 8, 60])) }, () => random.pick([...alphabet])).join(''),
    refused: [...refused, 5, null, undefined, {}, Buffer.from('bytes')],
    endless,
  };
}

const limitLine = 'z'.repeat(LIMIT);
framingContract(
  'lines()',
  () => lines(),
  ['hello', '', 'grün €𝄞', '\r', limitLine, ' \0 '],
  [],
  text(0, 'ab\rü€𝄞\0', ['a\nb', '\n', '\ud800', 'x\udc00y']),
);
framingContract(
  "lines '\\r\\n'",
  () => lines({ delimiter: '\r\n' }),
  ['hello', '', 'a\rb\nc', '\r', limitLine],
  [],
  text(1, 'ab\r\nü', ['a\r\nb', '\r\n']),
);
framingContract(
  'lines stripCr',
  () => lines({ stripCr: true }),
  ['hello', '', 'a\rb', limitLine],
  [],
  text(1, 'ab\r', ['a\nb', 'a\r', '\r']),
);
framingContract(
  'lines NUL latin1',
  () => lines({ delimiter: '\0', encoding: 'latin1' }),
  ['hello', '', 'gr\u00fcn\u00ff\n', limitLine],
  [],
  text(0, 'a\u0080\u00ff\n', ['a\0', '€', '\ud800']),
);
framingContract(
  "lines '\\n\\n'",
  () => lines({ delimiter: '\n\n' }),
  ['hello', '', 'a\nb', '\na', limitLine],
  [],
  text(1, 'ab\n', ['a\n', 'a\n\nb', '\n']),
);
framingContract(
  "lines 'abab'",
  () => lines({ delimiter: 'abab' }),
  ['hello', '', 'ba', 'aba', limitLine],
  [],
  text(3, 'ab', ['ab', 'xab', 'ababab', 'abab']),
);
framingContract(
  'lines buffer',
  () => lines({ encoding: 'buffer', delimiter: Uint8Array.of(0xff, 0x00, 0xff) }),
  ['hello', Buffer.alloc(0), bytes(0xff, 0, 0), Buffer.from(limitLine), bytes(0, 0xff)],
  [],
  {
    overheadBytes: 2,
    sized: (size) => Buffer.alloc(size, 0x61),
    random: randomPayload,
    refused: [bytes(0xff, 0, 0xff), bytes('x', 0xff, 0), 5, null],
    endless,
  },
);

describe('lines', () => {
  it('writes the text, then the delimiter', () => {
    expect(encodeMessage(lines(), 'grün')).to.deep.equal(Buffer.from('grün\n'));
    expect(encodeMessage(lines({ delimiter: '\r\n' }), 'x')).to.deep.equal(Buffer.from('x\r\n'));
    expect(encodeMessage(lines({ delimiter: '\0', encoding: 'latin1' }), 'ü')).to.deep.equal(bytes(0xfc, 0));
    expect(encodeMessage(lines({ encoding: 'buffer' }), 'ü')).to.deep.equal(Buffer.from('ü\n'));
    for (const size of [339, 340, 341, 342, 1023, 1024, 5000]) {
      expect(encodeMessage(lines(), '€'.repeat(size))).to.deep.equal(Buffer.from(`${'€'.repeat(size)}\n`));
      expect(encodeMessage(lines({ encoding: 'latin1' }), 'ü'.repeat(size))).to.deep.equal(Buffer.from(`${'ü'.repeat(size)}\n`, 'latin1'));
    }
  });

  it('counts bytes and not characters against the limit', () => {
    const limits = { messageBytes: 6 };
    expect(encodeMessage(lines(), '€€', limits)).to.have.length(7);
    expect(() => encodeMessage(lines(), '€€a', limits))
      .to.throw()
      .with.property('code', 'ERR_MESSAGE_TOO_LARGE');
  });

  it('takes LF and CRLF alike with stripCr, also at the limit', () => {
    const deframer = new Deframer(lines({ stripCr: true }), { messageBytes: 3 });
    expect(deframer.push(Buffer.from('a\r\nb\n\r\r\nabc\r\nabc\n\n\r\n'))).to.deep.equal(['a', 'b', '\r', 'abc', 'abc', '', '']);
    expect(() => deframer.push(Buffer.from('abcd\n')))
      .to.throw()
      .with.property('code', 'ERR_MESSAGE_TOO_LARGE');
  });

  it('sees a line that is too long at the same byte, however it comes', () => {
    const framing = lines({ delimiter: '\r\n' });
    const limits = { messageBytes: 3 };
    for (const text of ['abcd\n', 'abc\n\n', '\n\n\n\n\n', 'abcde', 'ab\r\r\r']) {
      const stream = Buffer.from(text);
      expect(() => new Deframer(framing, limits).push(stream))
        .to.throw()
        .with.property('code', 'ERR_MESSAGE_TOO_LARGE');
      expect(new Deframer(framing, limits).push(stream.subarray(0, 4))).to.deep.equal([]);
      const slow = new Deframer(framing, limits);
      for (let at = 0; at < 4; at++) slow.push(stream.subarray(at, at + 1));
      expect(() => slow.push(stream.subarray(4)))
        .to.throw()
        .with.property('code', 'ERR_MESSAGE_TOO_LARGE');
    }
  });

  it('refuses bytes that are not UTF-8 and takes a real U+FFFD', () => {
    const deframer = new Deframer(lines());
    expect(deframer.push(Buffer.from('a\ufffd\n\ufeffb\n'))).to.deep.equal(['a\ufffd', '\ufeffb']);
    for (const bad of [
      bytes('a', 0xff, '\n'),
      bytes(0xc3, '\n'),
      bytes(0xed, 0xa0, 0x80, '\n'),
      bytes(0xc0, 0x80, '\n'),
      bytes(0xef, 0xbf, '\n'),
    ]) {
      expect(() => new Deframer(lines()).push(bad))
        .to.throw()
        .with.property('code', 'ERR_FRAMING');
    }
    expect(new Deframer(lines({ encoding: 'latin1' })).push(bytes('a', 0xff, '\n'))).to.deep.equal(['a\u00ff']);
  });

  it('refuses just the lines that would come back changed', () => {
    for (const delimiter of ['\n', '\n\n', 'aba', 'aab', 'abab', 'aaaa']) {
      const framing = lines({ delimiter });
      for (let number = 0; number < 4 ** 5; number++) {
        const line = number.toString(4).replaceAll('0', 'a').replaceAll('1', 'b').replaceAll('2', '\n').replaceAll('3', 'c');
        const safe = `${line}${delimiter}`.indexOf(delimiter) === line.length;
        let sent = true;
        try {
          encodeMessage(framing, line);
        } catch {
          sent = false;
        }
        expect(sent, JSON.stringify([line, delimiter])).to.equal(safe);
      }
    }
  });

  it('names every option that changes bytes', () => {
    expect(lines().name).to.equal('lines/lf/utf8');
    expect(lines({ delimiter: '\r\n', encoding: 'latin1' }).name).to.equal('lines/crlf/latin1');
    expect(lines({ stripCr: true }).name).to.equal('lines/lf-or-crlf/utf8');
    expect(lines({ delimiter: '\0', encoding: 'buffer' }).name).to.equal('lines/nul/buffer');
    expect(lines({ delimiter: '12345678', encoding: 'latin1' }).name).to.equal('lines/x3132333435363738/latin1');
  });

  it('refuses options that make no sense', () => {
    const wrong: unknown[] = [
      { delimiter: '' },
      { delimiter: '123456789' },
      { delimiter: 10 },
      { delimiter: Uint8Array.of(0xff) },
      { encoding: 'utf16le' },
      { stripCr: true, delimiter: '\r\n' },
    ];
    for (const options of wrong)
      expect(() => lines(options as object))
        .to.throw()
        .with.property('code', 'ERR_INVALID_OPTION');
  });

  it('does not search a chunk beyond the range it is given', () => {
    const decoder = lines().decoder({ messageBytes: 100_000 });
    const chunk = Buffer.alloc(65_536, 0x61);
    const work = countWork(() => {
      for (let at = 0; at < chunk.length; at += 64) decoder.decode(chunk, at, at + 64, { range: () => true });
    });
    expect(work.scannedBytes).to.equal(chunk.length);
  });

  it('makes no object a message', () => {
    const decoder = lines().decoder({ messageBytes: 100 });
    const chunk = Buffer.from('a line\n'.repeat(9000));
    let count = 0;
    const work = countWork(() => decoder.decode(chunk, 0, chunk.length, { range: () => ++count > 0 }));
    expect(count).to.equal(9000);
    expect(work).to.include({ views: 0, allocatedBytes: 0, copiedBytes: 0, scannedBytes: chunk.length });
  });
});
