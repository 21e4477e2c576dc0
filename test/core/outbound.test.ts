// The outbound half: what send() takes, what goes on a circuit, what an ACK does, and what is left at the end.
import { expect } from 'chai';
import { Outbound, type OutboundLimits } from '../../lib/core/outbound.ts';
import { SessionError } from '../../lib/errors.ts';
import type { ByteWriter } from '../../lib/framing/framing.ts';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { lines } from '../../lib/framing/lines.ts';
import { framesIn } from '../support/cores.ts';

const LIMITS: OutboundLimits = { messageBytes: 1_000_000, outboxHighWater: 200, outboxHardCap: 2000, replaySegments: 100 };
const { messageBytes } = LIMITS;

function outboundOf({ peerWindow = 1000, ...limits }: Partial<OutboundLimits> & { peerWindow?: number } = {}): Outbound<string> {
  return new Outbound({ framing: lines(), limits: { ...LIMITS, ...limits } }, peerWindow);
}

/** The DATA that one circuit carries now, as offset:text. */
function carry(outbound: Outbound<string>, budget = Number.MAX_SAFE_INTEGER, circuit = 1): string[] {
  const out: Buffer[] = [];
  outbound.seal();
  const bytes = outbound.transmit(out, budget, circuit, -1, 0);
  const all = Buffer.concat(out);
  expect(bytes).to.equal(all.length);
  return framesIn(all).map(({ type, body }) => `${type}@${body.readBigUInt64BE(0)}:${body.subarray(8).toString('latin1')}`);
}

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return SessionError.is(error) ? error.code : `not ours: ${error}`;
  }
  return 'nothing thrown';
}

const line = (bytes: number): string => 'x'.repeat(bytes - 1);

describe('outbound', () => {
  it('takes messages, and asks to wait above the high-water mark', () => {
    const outbound = outboundOf();
    expect(outbound.send(line(200), false)).to.equal(true);
    expect(outbound.drained).to.equal(false);
    expect(outbound.send(line(1), false)).to.equal(false);
    expect([outbound.needDrain, outbound.outboxBytes, outbound.heldBytes]).to.deep.equal([true, 201, 201]);
    carry(outbound);
    expect([outbound.drained, outbound.outboxBytes, outbound.heldBytes]).to.deep.equal([true, 0, 201]);
  });

  it('asks to wait above half of the hard cap, even when all is on its way', () => {
    const outbound = outboundOf({ peerWindow: 10_000 });
    for (let i = 0; i < 10; i++) {
      expect(outbound.send(line(100), false)).to.equal(true);
      carry(outbound);
    }
    expect(outbound.send(line(1), false)).to.equal(false);
    carry(outbound);
    expect(outbound.drained).to.equal(false);
    outbound.confirm(1, true, 1);
    expect(outbound.drained).to.equal(true);
  });

  it('refuses a message beyond the hard cap and keeps what was there', () => {
    const outbound = outboundOf();
    outbound.send(line(1000), false);
    outbound.send(line(1000), false);
    expect(codeOf(() => outbound.send('', false))).to.equal('ERR_BUFFER_FULL');
    expect([outbound.end, outbound.needDrain]).to.deep.equal([2000, true]);
    outbound.peerLimit = 5000;
    const sent = carry(outbound).join('');
    expect(sent.length).to.be.greaterThan(2000);
    outbound.confirm(1, true, 1);
    expect(outbound.send('', false)).to.equal(false);
  });

  it('refuses a message that the peer could never take, framing included', () => {
    const outbound = outboundOf({ outboxHardCap: 100_000 });
    outbound.send('before', false);
    expect(codeOf(() => outbound.send(line(1001), false))).to.equal('ERR_MESSAGE_TOO_LARGE');
    expect(outbound.send(line(1000), false)).to.equal(false);
    expect(outbound.end).to.equal(1007);
  });

  it('takes nothing back when a refused message spans many slabs and lent payloads', () => {
    const framing = lengthPrefix();
    const outbound = new Outbound({ framing, limits: { ...LIMITS, outboxHardCap: 300_000 } }, 300_000);
    outbound.send(Buffer.from('first'), false);
    for (const lend of [true, false]) {
      expect(codeOf(() => outbound.send(Buffer.alloc(300_000 - 4), lend))).to.equal('ERR_BUFFER_FULL');
      expect(outbound.end).to.equal(9);
    }
    outbound.send(Buffer.from('second'), false);
    const out: Buffer[] = [];
    outbound.seal();
    outbound.transmit(out, Number.MAX_SAFE_INTEGER, 1, -1, 0);
    const bodies = framesIn(Buffer.concat(out)).map(({ body }) => body.subarray(8).toString('latin1'));
    expect(bodies.join('')).to.equal('\0\0\0\x05first\0\0\0\x06second');
  });

  it('takes nothing back but its own when an encoder fails in the middle of a message', () => {
    const encoder = {
      encode(message: string, out: ByteWriter): void {
        for (let left = message.length; left > 0; left--) out.byte(0x78);
        if (message.length > 5) throw new RangeError('an encoder that does not check first');
      },
    };
    const outbound = new Outbound<string>({ framing: { encoder: () => encoder }, limits: { ...LIMITS, outboxHardCap: 500_000 } }, 200_000);
    outbound.send('abc', false);
    for (const bytes of [6, 5000, 150_000]) {
      expect(codeOf(() => outbound.send('y'.repeat(bytes), false))).to.match(/^not ours: RangeError/);
      expect(outbound.end).to.equal(3);
    }
    outbound.send('abcde', false);
    expect(
      carry(outbound)
        .map((text) => text.split(':')[1])
        .join(''),
    ).to.equal('xxxxxxxx');
  });

  it('takes bytes up to offset 2^53-2 and then says ERR_EXHAUSTED', () => {
    const outbound = outboundOf();
    const base = Number.MAX_SAFE_INTEGER - 10;
    outbound.restore(base, base, Number.MAX_SAFE_INTEGER - 1);
    expect(codeOf(() => outbound.send(line(10), false))).to.equal('ERR_EXHAUSTED');
    expect(outbound.send(line(9), false)).to.equal(true);
    expect(codeOf(() => outbound.send('', false))).to.equal('ERR_EXHAUSTED');
    expect(carry(outbound)).to.deep.equal([`1@${base}:xxxxxxxx\n`]);
    outbound.fin = outbound.egress.end;
    expect(outbound.end).to.equal(Number.MAX_SAFE_INTEGER);
    expect(outbound.finDue).to.equal(true);
    outbound.putMarks([]);
    expect(outbound.ack(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER - 1, true, 1)).to.equal(null);
    expect(outbound.finAcked).to.equal(true);
  });

  const acks: [name: string, acked: number, limit: number, rule: RegExp | null][] = [
    ['an ACK of what was acked before', 4, 1000, null],
    ['an ACK of all that was sent', 12, 1000, null],
    ['an ACK with a higher limit', 4, 5000, null],
    ['an ACK below the one before', 3, 1000, /^A-2/],
    ['an ACK above what was sent', 13, 1000, /^A-2/],
    ['a limit that shrinks', 12, 999, /^A-3/],
  ];
  for (const [name, acked, limit, rule] of acks) {
    it(`${rule === null ? 'takes' : 'refuses'} ${name}`, () => {
      const outbound = outboundOf();
      for (const text of ['abc', 'def', 'ghi']) outbound.send(text, false);
      carry(outbound);
      outbound.send('not sent', false);
      expect(outbound.ack(4, 1000, true, 1)).to.equal(null);
      const answer = outbound.ack(acked, limit, true, 1);
      if (rule === null) expect([answer, outbound.peerAcked, outbound.peerLimit]).to.deep.equal([null, acked, limit]);
      else {
        expect(answer).to.match(rule);
        expect([outbound.peerAcked, outbound.peerLimit]).to.deep.equal([4, 1000]);
      }
      expect(outbound.egress.replay.base).to.equal(outbound.peerAcked);
    });
  }

  it('stops at the limit and goes on when it rises', () => {
    const outbound = outboundOf();
    outbound.peerLimit = 5;
    outbound.send('abcdefg', false);
    expect(carry(outbound)).to.deep.equal(['1@0:abcde']);
    expect(outbound.pending).to.equal(false);
    outbound.ack(0, 6, true, 1);
    expect(outbound.pending).to.equal(true);
    expect(carry(outbound)).to.deep.equal(['1@5:f']);
  });

  it('goes beyond its budget by one frame at most, and not at all without one', () => {
    const outbound = outboundOf();
    for (let i = 0; i < 5; i++) {
      outbound.send(String(i), false);
      outbound.egress.seal();
    }
    expect(carry(outbound, 0)).to.deep.equal([]);
    expect(carry(outbound, 1)).to.deep.equal(['1@0:0\n']);
    expect(carry(outbound, 15)).to.deep.equal(['1@2:1\n', '1@4:2\n']);
  });

  it('cuts DATA at 128 KiB', () => {
    const outbound = new Outbound({ framing: lengthPrefix(), limits: { ...LIMITS, outboxHardCap: 900_000 } }, 400_000);
    outbound.send(Buffer.alloc(300_000, 7), true);
    const out: Buffer[] = [];
    outbound.seal();
    outbound.transmit(out, Number.MAX_SAFE_INTEGER, 1, -1, 0);
    expect(framesIn(Buffer.concat(out)).map(({ body }) => body.length - 8)).to.deep.equal([4, 131_072, 131_072, 300_000 - 2 * 131_072]);
  });

  it('replays from where the peer is, and counts it', () => {
    const outbound = outboundOf();
    outbound.send('abcdef', false);
    carry(outbound);
    outbound.send('new', false);
    outbound.rewind(3);
    expect(carry(outbound, Number.MAX_SAFE_INTEGER, 2).join(' ')).to.equal('1@3:def\n 1@7:new\n');
    expect([outbound.replayedBytes, outbound.sent]).to.deep.equal([4, 11]);
  });

  it('fills the ACK and the header into the room in front', () => {
    const outbound = outboundOf();
    outbound.send('abc', false);
    outbound.seal();
    expect(outbound.carriesAck).to.equal(true);
    const out: Buffer[] = [];
    const bytes = outbound.transmit(out, Number.MAX_SAFE_INTEGER, 1, 77, 1077);
    expect([out.length, bytes]).to.deep.equal([1, 20 + 12 + 4]);
    const [first, second] = framesIn(out[0] as Buffer);
    expect([first?.type, first?.body.readBigUInt64BE(0), first?.body.readBigUInt64BE(8)]).to.deep.equal([2, 77n, 1077n]);
    expect([second?.type, second?.body.subarray(8).toString()]).to.deep.equal([1, 'abc\n']);
  });

  it('has no room for an ACK in front of a lent payload, of half a segment, or of nothing', () => {
    const framing = lengthPrefix();
    const outbound = new Outbound({ framing, limits: { ...LIMITS, outboxHardCap: 200_000 } }, 100_000);
    expect(outbound.carriesAck).to.equal(false);
    outbound.send(Buffer.alloc(5000), true);
    expect(outbound.carriesAck).to.equal(true);
    for (const at of [1, 4, 5004]) {
      outbound.rewind(at);
      expect(outbound.carriesAck, String(at)).to.equal(false);
    }
  });

  it('puts all of base to sent behind a RESUME, or nothing', () => {
    const room = 14_336 - 12 - 12;
    const early = (outbound: Outbound<string>, fresh: boolean): [number, number] => {
      const { bytes, end } = outbound.earlyData(fresh, 14_336);
      return [bytes.length, end];
    };
    const sized = (sent: number, more: number): Outbound<string> => {
      const outbound = outboundOf({ peerWindow: 100_000, outboxHighWater: 100_000, outboxHardCap: 300_000 });
      if (sent > 0) outbound.send(line(sent), false);
      carry(outbound);
      if (more > 0) outbound.send(line(more), false);
      return outbound;
    };
    expect(early(sized(0, 0), true), 'nothing to say').to.deep.equal([0, 0]);
    expect(early(sized(room, 0), true), 'just fits').to.deep.equal([room + 12, room]);
    expect(early(sized(room + 1, 0), true), 'one too many').to.deep.equal([0, 0]);
    expect(early(sized(100, 50), true), 'with new bytes').to.deep.equal([162, 150]);
    expect(early(sized(100, 50), false), 'without new bytes').to.deep.equal([112, 100]);
    expect(early(sized(100, 20_000), true), 'as many new ones as fit').to.deep.equal([room + 12, room]);
    const ended = sized(100, 0);
    ended.fin = 100;
    expect(early(ended, false), 'END is new').to.deep.equal([112, 100]);
    expect(early(ended, true), 'with END').to.deep.equal([124, 101]);
    expect([ended.sent, early(ended, false)], 'END was sent').to.deep.equal([101, [124, 101]]);
    const limited = sized(100, 50);
    limited.peerLimit = 120;
    expect(early(limited, true), 'up to the limit').to.deep.equal([132, 120]);
  });

  it('hands back what was not confirmed, cut by its own framing', () => {
    const outbound = outboundOf();
    for (const text of ['a', 'b', 'c']) outbound.send(text, false);
    carry(outbound);
    outbound.confirm(2, true, 1);
    expect(outbound.unconfirmed(lines().decoder({ messageBytes }))).to.deep.equal({ messages: ['b', 'c'], bytes: 4 });
    outbound.fin = 6;
    outbound.putMarks([]);
    outbound.confirm(7, true, 1);
    expect(outbound.unconfirmed(lines().decoder({ messageBytes }))).to.deep.equal({ messages: [], bytes: 0 });
  });

  it('counts bytes that cannot be cut, because a peer acked half a message', () => {
    const framing = lengthPrefix();
    const outbound = new Outbound({ framing, limits: { ...LIMITS, messageBytes: 100 } }, 1000);
    outbound.send(Buffer.alloc(50, 0xff), false);
    const out: Buffer[] = [];
    outbound.seal();
    outbound.transmit(out, 1000, 1, -1, 0);
    expect(outbound.ack(10, 1000, true, 1)).to.equal(null);
    expect(outbound.unconfirmed(framing.decoder({ messageBytes: 100 }))).to.deep.equal({ messages: [], bytes: 44 });
  });

  it('owns no slab once everything is acked', () => {
    const outbound = outboundOf();
    outbound.send('abc', false);
    carry(outbound);
    outbound.ack(4, 1000, true, 1);
    expect([outbound.egress.buffer.length, outbound.egress.replay.segments, outbound.heldBytes]).to.deep.equal([0, 0, 0]);
  });

  it('taints memory that two circuits have carried', () => {
    const outbound = outboundOf();
    outbound.send('abc', false);
    carry(outbound, 1000, 1);
    const slab = outbound.egress.replay.find(0)?.slab;
    expect(slab?.tainted).to.equal(false);
    outbound.rewind(0);
    carry(outbound, 1000, 2);
    expect(slab?.tainted).to.equal(true);
  });

  it('keeps its offsets where an idle session gives its memory back', () => {
    const outbound = outboundOf();
    outbound.rest();
    outbound.send('a', false);
    expect([outbound.base, outbound.end, outbound.heldBytes]).to.deep.equal([0, 2, 2]);
    expect(carry(outbound)).to.deep.equal(['1@0:a\n']);
    outbound.rest();
    expect(outbound.heldBytes, 'not acked').to.equal(2);
    outbound.ack(2, 1000, true, 1);
    outbound.rest();
    expect([outbound.base, outbound.end, outbound.heldBytes, outbound.memoryBytes]).to.deep.equal([2, 2, 0, 0]);
    outbound.send('b', false);
    expect([outbound.base, outbound.end, outbound.heldBytes]).to.deep.equal([2, 4, 2]);
    expect(carry(outbound)).to.deep.equal(['1@2:b\n']);
  });

  it('keeps its end where END was acked before it rested', () => {
    const outbound = outboundOf();
    outbound.send('a', false);
    outbound.fin = outbound.dataEnd;
    carry(outbound);
    outbound.putMarks([]);
    outbound.ack(3, 1000, true, 1);
    outbound.rest();
    expect([outbound.base, outbound.dataEnd, outbound.end, outbound.finAcked, outbound.pending]).to.deep.equal([2, 2, 3, true, false]);
    outbound.rewind(3);
    expect(outbound.pending).to.equal(false);
  });
});
