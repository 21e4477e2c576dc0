// netstring(): the contract and the bytes of the definition (https://cr.yp.to/proto/netstrings.txt).

import { expect } from 'chai';
import { netstring } from '../../lib/framing/netstring.ts';
import { Deframer, encodeMessage } from '../../lib/framing/standalone.ts';
import { bytes, framingContract, randomPayload } from '../contract/framing.ts';
import { LIMIT } from '../contract/framing-subject.ts';

framingContract(
  'netstring',
  netstring,
  ['hello world!', Buffer.alloc(0), ',', bytes(0, 0xff), Buffer.alloc(LIMIT, 0x2c), '3:abc,'],
  [
    { what: 'no comma', bytes: bytes('5:hello;'), code: 'ERR_FRAMING' },
    { what: 'no comma behind nothing', bytes: bytes('0::'), code: 'ERR_FRAMING' },
    { what: 'a leading zero', bytes: bytes('05:hello,'), code: 'ERR_FRAMING' },
    { what: 'two zeros', bytes: bytes('00:,'), code: 'ERR_FRAMING' },
    { what: 'no digit', bytes: bytes(':,'), code: 'ERR_FRAMING' },
    { what: 'a sign', bytes: bytes('-1:,'), code: 'ERR_FRAMING' },
    { what: 'a plus', bytes: bytes('+1:a,'), code: 'ERR_FRAMING' },
    { what: 'a space', bytes: bytes(' 1:a,'), code: 'ERR_FRAMING' },
    { what: 'a space behind the digits', bytes: bytes('1 :a,'), code: 'ERR_FRAMING' },
    { what: 'a line end between netstrings', bytes: bytes('\n1:a,'), code: 'ERR_FRAMING' },
    { what: 'a telnet negotiation', bytes: bytes(0xff, 0xfb, 0x01), code: 'ERR_FRAMING' },
    { what: 'digits without end', bytes: bytes('1'.repeat(400)), code: 'ERR_MESSAGE_TOO_LARGE' },
  ],
  {
    overheadBytes: 18,
    sized: (size) => Buffer.alloc(size, 0x61),
    random: randomPayload,
    refused: [5, null, undefined, {}, '\ud800'],
    endless: (size) => ({ head: bytes(`${size}:`), filler: Buffer.of(0x2c) }),
  },
);

describe('netstring', () => {
  it('writes the examples of the definition', () => {
    expect(encodeMessage(netstring(), 'hello world!').toString()).to.equal('12:hello world!,');
    expect(encodeMessage(netstring(), '').toString()).to.equal('0:,');
    for (const size of [9, 10, 99, 100, 999, 1000, 1005, 1006, 1007, 9999, 10_000]) {
      expect(encodeMessage(netstring(), 'x'.repeat(size)).toString()).to.equal(`${size}:${'x'.repeat(size)},`);
    }
  });

  it('reads nested netstrings', () => {
    const [outer] = new Deframer(netstring()).push(bytes('11:5:hello,0:,,'));
    expect(new Deframer(netstring()).push(outer ?? expect.fail('no message'))).to.deep.equal([bytes('hello'), bytes()]);
  });
});
