// FlightReader: one flight out of any chunks, nothing taken from behind it, no memory for what was only promised.
import { expect } from 'chai';
import { SessionError } from '../../lib/errors.ts';
import { FlightReader } from '../../lib/flight-reader.ts';

function flight(bodyBytes: number, kind = 0x01): Buffer {
  const bytes = Buffer.alloc(26 + bodyBytes, 0x55);
  bytes.set([0x8f, 0x4f, 0x54, 0x4c, 1, kind, 0, 0]);
  bytes.writeUInt16BE(bodyBytes, 24);
  return bytes;
}

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return SessionError.is(error) ? error.code : `not ours: ${error}`;
  }
  return 'nothing thrown';
}

describe('flight reader', () => {
  for (const bodyBytes of [0, 1, 300, 8191, 8192]) {
    it(`takes a body of ${bodyBytes} bytes from chunks of any size, and nothing behind it`, () => {
      const whole = Buffer.concat([flight(bodyBytes), Buffer.from('behind')]);
      for (const size of [1, 25, 26, 27, 1000, whole.length]) {
        const reader = new FlightReader();
        let taken: Buffer | null = null;
        let behind = '';
        for (let at = 0; at < whole.length; at += size) {
          const chunk = whole.subarray(at, at + size);
          if (taken !== null) {
            behind += chunk.toString();
            continue;
          }
          taken = reader.push(chunk, 0);
          if (taken !== null) behind = chunk.toString('latin1', reader.end);
        }
        expect(taken?.equals(flight(bodyBytes)), `chunks of ${size}`).to.equal(true);
        expect(behind).to.equal('behind');
      }
    });
  }

  it('reads one flight behind another', () => {
    const reader = new FlightReader();
    const chunk = Buffer.concat([Buffer.from('xx'), flight(10), flight(2000, 0x02)]);
    expect(reader.push(chunk, 2)?.length).to.equal(36);
    expect(reader.end).to.equal(38);
    expect(reader.push(chunk, reader.end)?.length).to.equal(2026);
    expect(reader.push(chunk, reader.end)).to.equal(null);
  });

  it('gives a flight that stays as it is', () => {
    const reader = new FlightReader();
    const first = reader.push(flight(10), 0);
    reader.push(flight(10, 0x02), 0);
    for (const byte of flight(5, 0x02)) reader.push(Buffer.of(byte), 0);
    expect(first?.equals(flight(10))).to.equal(true);
  });

  it('takes nothing for an empty chunk', () => {
    expect(new FlightReader().push(Buffer.alloc(0), 0)).to.equal(null);
  });

  it('refuses foreign bytes, versions and lengths as soon as they show', () => {
    const bent = (at: number, ...bytes: number[]): Buffer => {
      const out = flight(10);
      out.set(bytes, at);
      return out;
    };
    const cases: [name: string, bytes: Buffer, code: string][] = [
      ['HTTP', Buffer.from('GET / HTTP/1.1\r\n'), 'ERR_NOT_OUR_PROTOCOL'],
      ['another magic', bent(3, 0x4d), 'ERR_NOT_OUR_PROTOCOL'],
      ['another version', bent(4, 2), 'ERR_VERSION'],
      ['a body above 8,192', bent(24, 0x20, 0x01), 'ERR_PROTOCOL'],
    ];
    for (const [name, bytes, code] of cases) {
      expect(
        codeOf(() => new FlightReader().push(bytes, 0)),
        name,
      ).to.equal(code);
      const reader = new FlightReader();
      const slowly = codeOf(() => {
        for (const byte of bytes) reader.push(Buffer.from([byte]), 0);
      });
      expect(slowly, `${name}, byte by byte`).to.equal(code);
    }
  });
});
