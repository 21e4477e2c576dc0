// PROXY headers as bytes: what is taken off, how much of it, and what is no header.

import { expect } from 'chai';
import fc from 'fast-check';
import { parseProxyHeader } from '../../lib/proxy-protocol.ts';
import { proxyHeader2 as binary } from '../support/proxy-header.ts';

const text = (line: string): Buffer => Buffer.from(`${line}\r\n`, 'latin1');
const v4 = binary('192.0.2.7', 51_000);
const v6 = binary('2001:db8::7', 51_000);

describe('PROXY protocol', () => {
  const good: [string, Buffer, string | undefined][] = [
    ['version 1, IPv4', text('PROXY TCP4 192.0.2.7 198.51.100.1 51000 443'), '192.0.2.7 51000'],
    ['version 1, IPv6', text('PROXY TCP6 2001:db8::7 2001:db8::1 51000 443'), '2001:db8::7 51000'],
    ['version 1, unknown', text('PROXY UNKNOWN'), undefined],
    ['version 1, unknown with anything behind it', text('PROXY UNKNOWN ffff::1 whatever'), undefined],
    ['version 1 of 107 bytes', text(`PROXY UNKNOWN ${'x'.repeat(91)}`), undefined],
    ['version 2, IPv4', v4, '192.0.2.7 51000'],
    ['version 2, IPv6', v6, '2001:db8::7 51000'],
    ['version 2, IPv6 that holds an IPv4 address', binary('::ffff:192.0.2.7', 1), '::ffff:c000:207 1'],
    ['version 2, datagram', binary('192.0.2.7', 1, { transport: 2 }), '192.0.2.7 1'],
    ['version 2, LOCAL', binary('192.0.2.7', 1, { command: 0 }), undefined],
    ['version 2, LOCAL without addresses', binary('', 0, { command: 0 }), undefined],
    ['version 2, no family', binary('', 0), undefined],
    ['version 2, Unix sockets', binary('', 0, { family: 3, behind: Buffer.alloc(216) }), undefined],
    ['version 2 with TLVs', binary('192.0.2.7', 2, { behind: Buffer.alloc(500, 4) }), '192.0.2.7 2'],
    ['version 2 of 4,096 bytes', binary('192.0.2.7', 2, { behind: Buffer.alloc(4096 - 28) }), '192.0.2.7 2'],
  ];
  for (const [name, header, source] of good) {
    it(`reads ${name}, with any bytes behind it and cut at any place`, () => {
      for (const behind of ['', 'P', '\x8fOTL', 'PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n']) {
        const result = parseProxyHeader(Buffer.concat([header, Buffer.from(behind, 'latin1')]));
        if (typeof result === 'string') expect.fail(result);
        expect(result.bytes).to.equal(header.length);
        expect(result.source && `${result.source.address} ${result.source.port}`).to.equal(source);
      }
      for (let length = 0; length < header.length; length++)
        expect(parseProxyHeader(header.subarray(0, length)), `${length}`).to.equal('more');
    });
  }

  const bad: [string, Buffer][] = [
    ['our own magic', Buffer.from('8f4f544c', 'hex')],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n')],
    ['TLS', Buffer.from('160301', 'hex')],
    ['one wrong byte of signature 1', Buffer.from('PROXy ')],
    ['one wrong byte of signature 2', Buffer.from('0d0a0d0a000d0a515549540b', 'hex')],
    ['no line end in 107 bytes', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(93)}`)],
    ['a line end behind 107 bytes', text(`PROXY UNKNOWN ${'x'.repeat(92)}`)],
    ['another family', text('PROXY UDP4 192.0.2.7 198.51.100.1 51000 443')],
    ['UNKNOWNS', text('PROXY UNKNOWNS')],
    ['an IPv6 address as TCP4', text('PROXY TCP4 2001:db8::7 2001:db8::1 51000 443')],
    ['an IPv4 address as TCP6', text('PROXY TCP6 192.0.2.7 192.0.2.8 51000 443')],
    ['a bad address', text('PROXY TCP4 192.0.2.256 198.51.100.1 51000 443')],
    ['a bad destination', text('PROXY TCP4 192.0.2.6 198.51.100.1.1 51000 443')],
    ['a port above 65535', text('PROXY TCP4 192.0.2.7 198.51.100.1 65536 443')],
    ['a destination port above 65535', text('PROXY TCP4 192.0.2.7 198.51.100.1 1 99999')],
    ['a negative port', text('PROXY TCP4 192.0.2.7 198.51.100.1 -1 443')],
    ['two blanks', text('PROXY  TCP4 192.0.2.7 198.51.100.1 51000 443')],
    ['a missing port', text('PROXY TCP4 192.0.2.7 198.51.100.1 51000')],
    ['something more', text('PROXY TCP4 192.0.2.7 198.51.100.1 51000 443 x')],
    ['version 3', binary('192.0.2.7', 1, { version: 3 })],
    ['version 1 in binary', binary('192.0.2.7', 1, { version: 1 })],
    ['command 2', binary('192.0.2.7', 1, { command: 2 })],
    ['family 4', binary('', 1, { family: 4 })],
    ['transport 3', binary('192.0.2.7', 1, { transport: 3 })],
    ['an IPv4 family without addresses', binary('', 0, { family: 1 })],
    ['an IPv6 family with IPv4 addresses', binary('192.0.2.7', 1, { family: 2 })],
    ['more than 4,096 bytes', binary('192.0.2.7', 2, { behind: Buffer.alloc(4097 - 28) })],
  ];
  for (const [name, bytes] of bad) {
    it(`refuses ${name}`, () => {
      expect(parseProxyHeader(bytes)).to.equal('bad');
    });
  }

  it('answers any bytes, and never takes more than there are', () => {
    const headers = fc.constantFrom(v4, v6, ...good.map(([, header]) => header));
    const changes = fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 3 });
    const property = fc.property(headers, changes, fc.nat(120), (header, changed, length) => {
      const bytes = Buffer.from(header.subarray(0, length));
      for (const [at, value] of changed) if (at < bytes.length) bytes[at] = value;
      const result = parseProxyHeader(bytes);
      return typeof result === 'string' || (result.bytes > 0 && result.bytes <= bytes.length);
    });
    fc.assert(property, { numRuns: 2000 });
  });
});
