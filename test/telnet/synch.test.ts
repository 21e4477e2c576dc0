// A TCP urgent byte that the kernel took out is put back, and nothing is put where none was missing.

import { expect } from 'chai';
import { SynchRepair } from '../../examples/telnet/synch.ts';
import { bytewise, decoded, hex } from './support.ts';

function repaired(...pieces: readonly string[]): string {
  const repair = new SynchRepair();
  return decoded(pieces.map((piece) => repair.repair(hex(piece))));
}

describe('telnet synch without SO_OOBINLINE', () => {
  const cases: readonly [string, readonly string[], string][] = [
    ['a DM whose IAC is gone (GNU telnet)', ['61', 'f2', '62'], '61<f2>62'],
    ['a DM whose IAC is gone, with text behind it', ['61', 'f2 62 63'], '61<f2>6263'],
    ['a DM whose IAC is gone, with a command behind it', ['61', 'f2 ff fd 06'], '61<f2><do 6>'],
    ['an IAC whose DM is gone, then text', ['61 ff', '62'], '61<f2>62'],
    ['an IAC whose DM is gone, then a command', ['61 ff', 'ff fd 06'], '61<f2><do 6>'],
    ['a DM behind a subnegotiation', ['ff fa 18 00 ff f0', 'f2'], '<sb 24 00><f2>'],
  ];
  for (const [what, pieces, expected] of cases) it(`puts back ${what}`, () => expect(repaired(...pieces)).to.equal(expected));

  const whole: readonly [string, readonly string[], string][] = [
    ['a Synch that arrived as a whole', ['61 ff', 'f2 62'], '61<f2>62'],
    ['a command that was cut behind its IAC', ['ff', 'fd', '06', 'ff', 'f4'], '<do 6><f4>'],
    ['a doubled FF in two segments (Kermit)', ['ff', 'ff'], 'ff'],
    ['three doubled FF in two segments (Kermit)', ['ff', 'ff ff ff ff ff'], 'ffffff'],
    ['a character of UTF-8 that begins with F2', ['f2 80 80 80 61'], 'f280808061'],
    ['such a character that was cut', ['f2 80', '80 80'], 'f2808080'],
    ['F2 inside a subnegotiation, an option and a text', ['ff fa 18', 'f2 61 ff f0', 'ff fb', 'f2', '61 f2'], '<sb 24 f261><will 242>61f2'],
    ['F2 behind a doubled IAC in a subnegotiation', ['ff fa 18 ff ff', 'f2 61 ff f0'], '<sb 24 fff261>'],
    ['an IAC at the end of a subnegotiation', ['ff fa 18 61 ff', 'f0'], '<sb 24 61>'],
    ['nothing', ['', '61', ''], '61'],
  ];
  for (const [what, pieces, expected] of whole) it(`leaves alone ${what}`, () => expect(repaired(...pieces)).to.equal(expected));

  it('follows the stream by the rules of the decoder, byte by byte', () => {
    const stream = hex('61 ff fa 1f 00 ff ff 00 18 ff f0 ff fd 06 ff fa 18 ff f1 c3 a9 ff f6 ff fa ff f0 62');
    const repair = new SynchRepair();
    expect(decoded(bytewise(stream).map((piece) => repair.repair(piece)))).to.equal(decoded([stream]));
    expect(repair.repairs).to.equal(0);
  });
});
