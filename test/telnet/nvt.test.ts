// Line ends of the virtual terminal: what each real client sends for Enter, both directions, BINARY, every split.

import { expect } from 'chai';
import { NvtInput, NvtOutput } from '../../examples/telnet/nvt.ts';
import { Random } from '../../lib/testing/random.ts';
import { bytewise, hex, randomly } from './support.ts';

function input(pieces: readonly Buffer[], newline: '\r' | '\r\n' = '\r'): string {
  const nvt = new NvtInput(newline);
  return Buffer.concat(pieces.map((piece) => nvt.translate(piece))).toString('hex');
}

function output(pieces: readonly Buffer[]): Buffer {
  const nvt = new NvtOutput();
  return Buffer.concat([...pieces.map((piece) => nvt.translate(piece)), nvt.flush()]);
}

/** Streams of the bytes that matter, all of them up to five bytes long. */
function* streams(): Generator<Buffer> {
  const alphabet = [0x00, 0x0a, 0x0d, 0x61];
  for (let length = 0; length <= 5; length++) {
    for (let number = 0; number < alphabet.length ** length; number++) {
      yield Buffer.from(
        Array.from({ length }, (_, at) => alphabet[Math.floor(number / alphabet.length ** at) % alphabet.length] as number),
      );
    }
  }
}

describe('telnet line ends, from the network', () => {
  const cases: readonly [string, string, string][] = [
    ['GNU, netkit, plink and screen: CR NUL', '61 0d 00 62', '610d62'],
    ['Kermit, busybox, libtelnet and TinTin++: CR LF', '61 0d 0a 62', '610d62'],
    ['telnetlib3: a bare CR', '61 0d 62', '610d62'],
    ['curl, nc and Python: LF', '61 0a 62', '610a62'],
    ['busybox pasting CR LF: CR LF twice', '0d 0a 0d 0a', '0d0d'],
    ['CR CR LF LF', '0d 0d 0a 0a', '0d0d0a'],
    ['CR CR NUL', '0d 0d 00', '0d0d'],
    ['only one byte belongs to a CR', '0d 00 00 0d 0a 0a 0d 0a 00', '0d000d0a0d00'],
    ['a typed NUL', '00 61 00', '006100'],
  ];
  for (const [what, bytes, expected] of cases) {
    it(`reads ${what}`, () => {
      expect(input([hex(bytes)])).to.equal(expected);
      expect(input(bytewise(hex(bytes)))).to.equal(expected);
    });
  }

  it('gives a CR at the end of a chunk out at once, and swallows its LF later', () => {
    const nvt = new NvtInput('\r');
    expect(nvt.translate(hex('61 0d')).toString('hex')).to.equal('610d');
    expect(nvt.translate(hex('0a')).toString('hex')).to.equal('');
    expect(nvt.translate(hex('0a')).toString('hex')).to.equal('0a');
  });

  it('keeps the LF of CR LF where a screen shall see it', () => {
    expect(input([hex('61 0d 0a 0d 00 62 0d 0a')], '\r\n')).to.equal('610d0a0d620d0a');
    expect(input(bytewise(hex('61 0d 0a 0d 00 62 0d 0a')), '\r\n')).to.equal('610d0a0d620d0a');
  });

  it('leaves BINARY alone, from the byte where it begins to the byte where it ends', () => {
    const nvt = new NvtInput('\r');
    const pieces = [nvt.translate(hex('0d'))];
    nvt.binary = true;
    pieces.push(nvt.translate(hex('0a 0d 00 0d 0a 0d')));
    nvt.binary = false;
    pieces.push(nvt.translate(hex('0a 0d 00')));
    expect(Buffer.concat(pieces).toString('hex')).to.equal('0d0a0d000d0a0d0a0d');
    expect(nvt.binary).to.equal(false);
  });

  it('means the same however it is cut', () => {
    for (const stream of streams()) {
      for (const newline of ['\r', '\r\n'] as const) {
        const whole = input([stream], newline);
        expect(input(bytewise(stream), newline), stream.toString('hex')).to.equal(whole);
        for (let cut = 1; cut < stream.length; cut++)
          expect(input([stream.subarray(0, cut), stream.subarray(cut)], newline)).to.equal(whole);
      }
    }
  });

  it('hands text without a CR through as it is', () => {
    const text = Buffer.from('no line end in here\n');
    expect(new NvtInput('\r').translate(text)).to.equal(text);
  });
});

describe('telnet line ends, to the network', () => {
  it('puts a NUL behind a CR that no LF follows', () => {
    expect(output([hex('61 0d 0a 62 0d 63 0d 0d 0a 0d')]).toString('hex')).to.equal('610d0a620d00630d000d0a0d00');
  });

  it('holds one CR back until it is known what follows', () => {
    const nvt = new NvtOutput();
    expect(nvt.translate(hex('61 0d')).toString('hex')).to.equal('61');
    expect(nvt.holding).to.equal(true);
    expect(nvt.translate(hex('0a')).toString('hex')).to.equal('0d0a');
    expect(nvt.holding).to.equal(false);
    expect(nvt.translate(hex('0d')).toString('hex')).to.equal('');
    expect(nvt.flush().toString('hex')).to.equal('0d00');
    expect(nvt.flush().toString('hex')).to.equal('');
  });

  it('leaves BINARY alone', () => {
    const nvt = new NvtOutput();
    nvt.binary = true;
    const bytes = hex('0d 61 0d');
    expect(nvt.translate(bytes)).to.equal(bytes);
    expect(nvt.holding).to.equal(false);
  });

  it('means the same however it is cut, and comes back as it was', () => {
    const random = new Random(1);
    for (const stream of streams()) {
      const sent = output([stream]);
      expect(output(bytewise(stream)).equals(sent), stream.toString('hex')).to.equal(true);
      expect(input(randomly(sent, random), '\r\n')).to.equal(stream.toString('hex'));
      expect(/\r(?![\n\0])/.test(sent.toString('latin1'))).to.equal(false);
    }
  });
});
