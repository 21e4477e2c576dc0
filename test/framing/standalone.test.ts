// encodeMessage() and Deframer: framings without a session.

import { expect } from 'chai';
import { SessionError } from '../../lib/errors.ts';
import { json } from '../../lib/framing/json.ts';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { lines } from '../../lib/framing/lines.ts';
import { Deframer, encodeMessage } from '../../lib/framing/standalone.ts';

describe('standalone framing', () => {
  it('encodes with a framing or an encoder, up to 1 MiB unless told otherwise', () => {
    expect(encodeMessage(lines(), 'a')).to.deep.equal(Buffer.from('a\n'));
    const encoder = lengthPrefix({ bytes: 1 }).encoder({ messageBytes: 2 });
    expect(encodeMessage(encoder, Buffer.from('ab'))).to.deep.equal(Buffer.from('\x02ab'));
    expect(() => encodeMessage(encoder, Buffer.from('abc')))
      .to.throw()
      .with.property('code', 'ERR_MESSAGE_TOO_LARGE');
    expect(encodeMessage(lengthPrefix(), Buffer.alloc(1_048_576))).to.have.length(1_048_580);
    expect(() => encodeMessage(lengthPrefix(), Buffer.alloc(1_048_577)))
      .to.throw()
      .with.property('code', 'ERR_MESSAGE_TOO_LARGE');
  });

  it('gives messages of their own type, for any chunk of bytes', () => {
    const deframer = new Deframer(lines());
    const messages: string[] = [...deframer.push(Uint8Array.of(0x61, 0x0a, 0x62)), ...deframer.push(Buffer.from('c\n'))];
    expect(messages).to.deep.equal(['a', 'bc']);
    deframer.end();
    const backing = Uint8Array.from(Buffer.from('##a\n##'));
    expect(deframer.push(backing.subarray(2, 4))).to.deep.equal(['a']);
  });

  it('throws ERR_TRUNCATED at the end of half a message', () => {
    const deframer = new Deframer(lines());
    deframer.push(Buffer.from('half'));
    expect(deframer.residueBytes).to.equal(4);
    expect(() => deframer.end())
      .to.throw('4 bytes')
      .with.property('code', 'ERR_TRUNCATED');
  });

  it('returns the messages in front of a fault, then throws it again and again', () => {
    const deframer = new Deframer(lines(), { messageBytes: 3 });
    expect(deframer.push(Buffer.from('a\nb\ntoo long\nc\n'))).to.deep.equal(['a', 'b']);
    for (const call of [() => deframer.push(Buffer.from('d\n')), () => deframer.push(Buffer.alloc(0)), () => deframer.end()]) {
      expect(call).to.throw(SessionError).with.property('code', 'ERR_MESSAGE_TOO_LARGE');
    }
    expect(() => new Deframer(lines(), { messageBytes: 3 }).push(Buffer.from('too long')))
      .to.throw()
      .with.property('code', 'ERR_MESSAGE_TOO_LARGE');
  });

  it('treats a message that cannot be made like any other fault', () => {
    const deframer = new Deframer(json(lines()));
    expect(deframer.push(Buffer.from('1\n2\n{\n3\n'))).to.deep.equal([1, 2]);
    expect(() => deframer.end())
      .to.throw()
      .with.property('code', 'ERR_FRAMING');
  });

  it('lets errors pass that are not of the framing', () => {
    const failure = new Error('a fault of this framing');
    const framing = { ...lines(), decoder: () => ({ residueBytes: 0, decode: () => 0, message: () => '' }) };
    framing.decoder = () => ({
      residueBytes: 0,
      message: () => '',
      decode: () => {
        throw failure;
      },
    });
    expect(() => new Deframer(framing).push(Buffer.from('x'))).to.throw(failure);
  });
});
