// contentLength(): the contract for LSP and SIP, and what could smuggle a message past one of two parsers.

import { expect } from 'chai';
import { contentLength, MAX_HEADER_BYTES } from '../../lib/framing/content-length.ts';
import { Deframer, encodeMessage } from '../../lib/framing/standalone.ts';
import { bytes, framingContract, type Garbage, randomPayload } from '../contract/framing.ts';
import { LIMIT } from '../contract/framing-subject.ts';

const bad = (what: string, text: string): Garbage => ({ what, bytes: bytes(text), code: 'ERR_FRAMING' });
const garbage: readonly Garbage[] = [
  bad('two different lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!'),
  bad('two equal lengths', 'Content-Length: 5\r\ncontent-length: 5\r\n\r\nhello'),
  bad('a long and a compact length', 'Content-Length: 5\r\nl: 5\r\n\r\nhello'),
  bad('no length', 'Content-Type: text/plain\r\n\r\nhello'),
  bad('an empty length', 'Content-Length:\r\n\r\nhello'),
  bad('a list of lengths', 'Content-Length: 5, 5\r\n\r\nhello'),
  bad('a signed length', 'Content-Length: +5\r\n\r\nhello'),
  bad('a negative length', 'Content-Length: -5\r\n\r\nhello'),
  bad('a hexadecimal length', 'Content-Length: 0x5\r\n\r\nhello'),
  bad('a length with a fraction', 'Content-Length: 5.0\r\n\r\nhello'),
  bad('a length with a space inside', 'Content-Length: 5 5\r\n\r\nhello'),
  bad('a space in front of the colon', 'Content-Length : 5\r\n\r\nhello'),
  bad('a space in front of a second colon', 'Content-Length: 5\r\nContent-Length : 6\r\n\r\nhello!'),
  bad('a space in front of the first colon of two', 'Content-Length : 6\r\nContent-Length: 5\r\n\r\nhello!'),
  bad('a folded line', 'X: a\r\n Content-Length: 6\r\nContent-Length: 5\r\n\r\nhello'),
  bad('a folded length', 'Content-Length:\r\n 5\r\n\r\nhello'),
  bad('a line without a colon', 'Content-Length: 5\r\nhello\r\n\r\nhello'),
  bad('a line without a name', ': 5\r\nContent-Length: 5\r\n\r\nhello'),
  bad('LF alone', 'Content-Length: 5\n\nhello'),
  bad('LF alone at the end', 'Content-Length: 5\r\n\nhello'),
  bad('CR alone', 'Content-Length: 5\rX: y\r\n\r\nhello'),
  bad('two CRs', 'Content-Length: 5\r\r\n\r\nhello'),
  bad('CR alone between messages', '\rContent-Length: 5\r\n\r\nhello'),
  bad('LF alone between messages', '\nContent-Length: 5\r\n\r\nhello'),
  bad('a control character in any header', 'X: a\x1bb\r\nContent-Length: 5\r\n\r\nhello'),
  bad('a NUL', 'Content-Length: 5\0\r\n\r\nhello'),
  bad('a header block too long', `X: ${'y'.repeat(MAX_HEADER_BYTES)}`),
  { what: 'a length above all numbers', bytes: bytes(`Content-Length: ${'9'.repeat(400)}\r\n\r\n`), code: 'ERR_MESSAGE_TOO_LARGE' },
];

const header = (size: number): string => `Content-Length: ${size}\r\n\r\n`;
const endless = (size: number): { head: Buffer; filler: Buffer } => ({ head: bytes(header(size)), filler: Buffer.of(0x0a) });
const refused = [5, null, undefined, {}, '\ud800'];

framingContract(
  'contentLength()',
  () => contentLength(),
  ['{"id":1}', Buffer.alloc(0), bytes('\r\n\r\n', 0), Buffer.alloc(LIMIT, 0xff)],
  garbage,
  {
    overheadBytes: MAX_HEADER_BYTES,
    sized: (size) => Buffer.alloc(size, 0x61),
    random: randomPayload,
    refused,
    endless,
  },
);

const invite = (body: string, name = 'Content-Length'): Buffer =>
  bytes(`INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\n${name}: ${body.length}\r\n\r\n${body}`);
/** A whole frame of exactly `size` bytes. */
const exactly = (size: number): Buffer => {
  for (let body = size; body >= 0; body--) if (header(body).length + body === size) return bytes(header(body), 'b'.repeat(body));
  throw new Error(`no frame has ${size} bytes`);
};

framingContract(
  'contentLength whole',
  () => contentLength({ message: 'whole' }),
  [invite('v=0'), invite('', 'l'), bytes('SIP/2.0 200 OK: fine\r\nL:  0 \r\n\r\n'), bytes(header(2), '\r\n'), exactly(LIMIT)],
  [
    ...garbage,
    bad('two start lines', 'A b\r\nC d\r\nContent-Length: 0\r\n\r\n'),
    bad('an indented start line', ' A b\r\nContent-Length: 0\r\n\r\n'),
  ],
  {
    overheadBytes: MAX_HEADER_BYTES,
    sized: exactly,
    random: (random) => {
      const body = randomPayload(random).subarray(0, 200);
      return Buffer.concat([bytes(header(body.length)), body]);
    },
    refused: [
      ...refused,
      'hello',
      bytes('\r\n', header(0)),
      bytes(header(1)),
      bytes(header(0), 'a'),
      bytes(header(0), header(0)),
      bytes(header(999_999), 'a'),
    ],
    endless: (size) => ({ head: exactly(size).subarray(0, exactly(size).indexOf('b')), filler: Buffer.from('b') }),
  },
);

describe('contentLength', () => {
  it('writes what LSP writes', () => {
    expect(encodeMessage(contentLength(), '{"ü":1}').toString()).to.equal('Content-Length: 8\r\n\r\n{"ü":1}');
    expect(encodeMessage(contentLength(), 'x'.repeat(3000)).toString()).to.equal(`Content-Length: 3000\r\n\r\n${'x'.repeat(3000)}`);
  });

  it('reads any case, other headers, blanks and tabs, leading zeros, and the compact form', () => {
    const stream = bytes(
      'content-length:1\r\n\r\na',
      'Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nCONTENT-LENGTH:\t 0002 \t\r\nX-Text: gr\xfcn, a:b\r\n\r\nbc',
      'l: 3\r\n\r\ndef',
      'Length: 99\r\nL:0\r\nlL: 98\r\n\r\n',
    );
    expect(new Deframer(contentLength()).push(stream)).to.deep.equal(['a', 'bc', 'def', ''].map((text) => bytes(text)));
  });

  it('skips CRLFs between messages, and holds nothing of them', () => {
    const deframer = new Deframer(contentLength());
    const pings = bytes('\r\n\r\n'.repeat(5000));
    expect(deframer.push(pings)).to.deep.equal([]);
    expect(deframer.residueBytes).to.equal(0);
    for (const byte of bytes('\r\n\r\nl: 1\r\n\r\na\r\n')) deframer.push(Buffer.of(byte));
    expect(deframer.residueBytes).to.equal(0);
    expect(deframer.push(bytes('\r\n', 'l: 1\r\n\r\nb\r'))).to.deep.equal([bytes('b')]);
    expect(() => deframer.end())
      .to.throw()
      .with.property('code', 'ERR_TRUNCATED');
  });

  it('takes a header block of 8 KiB and not one byte more', () => {
    const block = (size: number): Buffer => bytes('X: ', 'y'.repeat(size - 3 - 2 - 8), '\r\n', 'l: 1\r\n\r\n', 'a');
    expect(block(MAX_HEADER_BYTES)).to.have.length(MAX_HEADER_BYTES + 1);
    expect(new Deframer(contentLength()).push(block(MAX_HEADER_BYTES))).to.deep.equal([bytes('a')]);
    expect(() => new Deframer(contentLength()).push(block(MAX_HEADER_BYTES + 1)))
      .to.throw()
      .with.property('code', 'ERR_FRAMING');
  });

  it('refuses an unknown option', () => {
    expect(() => contentLength({ message: 'headers' as 'body' }))
      .to.throw()
      .with.property('code', 'ERR_INVALID_OPTION');
    expect(contentLength().name).to.equal('content-length');
    expect(contentLength({ message: 'whole' }).name).to.equal('content-length/whole');
  });
});
