// Cases about the transport: who speaks first, strangers, halves, and pieces of any size (T-1 to T-7).

import { randomBytes } from 'node:crypto';
import { close, end, Failure, flight, Kind, MAGIC, message, Reject, Type } from '../bytes.ts';
import type { Circuit } from '../circuit.ts';
import { type KeyPair, keyPair } from '../keys.ts';
import type { Bench } from '../session.ts';
import type { Case, Section } from '../suite.ts';

const strangers: readonly (readonly [string, Buffer])[] = [
  ['HTTP/1.1', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
  ['HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
  ['a TLS ClientHello', Buffer.concat([Buffer.from('16030100c8010000c40303', 'hex'), randomBytes(194)])],
  ['SSH', Buffer.from('SSH-2.0-OpenSSH_9.6\r\n')],
  ['telnet', Buffer.from('fffd18fffd20fffd23fffd27', 'hex')],
  ['PROXY v1', Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 4000 4000\r\n')],
  ['PROXY v2', Buffer.from('0d0a0d0a000d0a515549540a2111000cc0000201c00002020fa00fa0', 'hex')],
  ['SMTP', Buffer.from('EHLO example.org\r\n')],
  ['Redis', Buffer.from('*1\r\n$4\r\nPING\r\n')],
  ['MQTT', Buffer.from('101000044d5154540402003c000474657374', 'hex')],
  ['PostgreSQL', Buffer.from('0000000804d2162f', 'hex')],
  ['RDP', Buffer.from('030000130ee000000000000100080003000000', 'hex')],
  ['zeros', Buffer.alloc(4096)],
  ['ones', Buffer.alloc(4096, 0xff)],
  ['a single wrong byte', Buffer.of(0)],
  ['64 KiB of text', Buffer.alloc(65_536, 'Lorem ipsum ')],
  ['a frame without a flight', Buffer.from('050000080102030405060708', 'hex')],
];

function foreign([name, bytes]: readonly [string, Buffer]): Case {
  return {
    rule: 'T-3, H-1',
    name: `${name}: the connection ends without a byte back`,
    run: async (t) => {
      const circuit = await t.dial();
      circuit.write(bytes);
      await circuit.endedInSilence();
    },
  };
}

/** A prefix of an OPEN is no reason to say anything; the rest of it then is answered. */
function prefix(length: number): Case {
  return {
    rule: 'T-3, H-5',
    name: `${length} bytes of an OPEN: not a byte back until the rest is there`,
    run: async (t) => {
      const circuit = await t.dial();
      const { bytes, pair } = offerFor(t, circuit);
      circuit.write(bytes.subarray(0, length));
      await circuit.quiet();
      circuit.write(bytes.subarray(length));
      await t.opened({ circuit, bytes, pair, fields: {} });
    },
  };
}

function offerFor(t: Bench, circuit: Circuit): { bytes: Buffer; pair: KeyPair } {
  const pair = keyPair();
  return { bytes: t.openBytes(circuit, {}, pair), pair };
}

async function trickled(t: Bench, step: number): Promise<void> {
  const circuit = await t.dial();
  const { bytes, pair } = offerFor(t, circuit);
  await circuit.trickle(bytes, step);
  const session = await t.opened({ circuit, bytes, pair, fields: {} });
  const words = [message('one'), message(''), message('three'.repeat(20))];
  await circuit.trickle(Buffer.concat([session.confirmFrame(), ...words.map((word) => session.put(word)), session.fin()]), step);
  await session.closeBehindEnd();
}

/** The other end has ended its half and still reads ours, until that ends too. */
async function stillRead(circuit: Circuit): Promise<void> {
  for (let i = 0; i < 3; i++) {
    circuit.write(Buffer.alloc(1000));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  if (circuit.error !== '') throw new Failure(`the connection broke before this side had ended (${circuit.error})`);
  circuit.end();
  await circuit.closed();
}

export const transport: Section = {
  title: 'Transport',
  cases: [
    {
      rule: 'T-2, T-3',
      name: 'the accepting side says nothing before the dialing side has',
      run: async (t) => (await t.dial()).quiet(),
    },
    ...[1, 4, 25, 26, 27, 60].map(prefix),
    ...strangers.map(foreign),
    {
      rule: 'T-3',
      name: 'foreign bytes that come one at a time: the connection ends at the first wrong one',
      run: async (t) => {
        const circuit = await t.dial();
        circuit.write(MAGIC.subarray(0, 3));
        await circuit.quiet();
        circuit.write(Buffer.of(0x4d));
        await circuit.endedInSilence();
      },
    },
    {
      rule: 'T-1',
      name: 'TLS: outlast/1 is agreed on by ALPN',
      needs: 'TLS',
      run: async (t) => {
        const circuit = await t.dial();
        const agreed = 'alpnProtocol' in circuit.socket ? circuit.socket.alpnProtocol : false;
        if (agreed !== 'outlast/1') throw new Failure(`ALPN agreed on ${agreed}`);
      },
    },
    {
      rule: 'T-1',
      name: 'TLS: a dialing side without ALPN is taken',
      needs: 'TLS',
      run: async (t) => {
        const session = await t.open({}, await t.dial({ alpn: [] }));
        await session.alive();
      },
    },
    {
      rule: 'T-5, X-1',
      name: 'behind REJECTED comes the half-close, and what is written then does no harm',
      run: async (t) => {
        const offer = await t.offer({ framing: 'no-such-framing' });
        await t.refused(offer, Reject.FRAMING);
        await stillRead(offer.circuit);
      },
    },
    {
      rule: 'T-5, C-8',
      name: 'a CLOSE is answered by the half-close, in order and not by a reset',
      run: async (t) => {
        const session = await t.open();
        await session.alive();
        session.write(close(7));
        if ((await session.circuit.ended()) === 'reset') throw new Failure('the connection was reset');
        await stillRead(session.circuit);
      },
    },
    {
      rule: 'T-6',
      name: 'a connection that was reset leaves the session, and what was in flight is not lost',
      run: async (t) => {
        const session = await t.open();
        session.say('before');
        await session.echoed();
        session.put(message('lost with the circuit'));
        session.circuit.cut();
        await session.reattach();
        await session.echoed();
        await session.closeCleanly();
      },
    },
    {
      rule: 'T-6',
      name: 'a connection whose peer ended its half leaves the session',
      run: async (t) => {
        const session = await t.open();
        session.say('before');
        await session.echoed();
        session.circuit.end();
        await session.circuit.ended();
        await session.reattach();
        await session.closeCleanly();
      },
    },
    {
      rule: 'T-6',
      name: 'a connection that was cut within a frame leaves the session, and the rest of the frame is not missed',
      run: async (t) => {
        const session = await t.open();
        await session.alive();
        const frame = session.put(message('cut in the middle'));
        session.circuit.write(frame.subarray(0, 20));
        session.circuit.end();
        await session.circuit.ended();
        await session.reattach();
        await session.echoed();
      },
    },
    {
      rule: 'T-7',
      name: 'DATA, END and CLOSE on an older circuit change nothing',
      run: async (t) => {
        const session = await t.open();
        await session.alive();
        const older = session.circuit;
        await session.reattach();
        older.write(end(0), close(7));
        session.say('still here');
        await session.echoed();
        await session.closeCleanly();
      },
    },
    {
      rule: 'T-7',
      name: 'an ACK lie on an older circuit is no fault of the session',
      run: async (t) => {
        const session = await t.open();
        await session.alive();
        const older = session.circuit;
        await session.reattach();
        older.write(Buffer.from('0200001000000000000fffff00000000000fffff', 'hex'));
        await session.alive();
        await session.closeCleanly();
      },
    },
    { rule: 'T-1, S-1', name: 'a whole session, one byte a write', run: (t) => trickled(t, 1) },
    { rule: 'T-1, S-1', name: 'a whole session, 3 bytes a write', run: (t) => trickled(t, 3) },
    { rule: 'T-1, S-1', name: 'a whole session, 7 bytes a write', run: (t) => trickled(t, 7) },
    {
      rule: 'T-1, O-7',
      name: 'a whole session behind OPENED in one write',
      run: async (t) => {
        const session = await t.provisional();
        const rest = [session.put(message('all')), session.put(message('at once')), session.fin()];
        session.write(session.confirmFrame(), ...rest);
        await session.closeBehindEnd();
      },
    },
    {
      rule: 'T-2',
      name: 'a second flight on a circuit that carries a session is a fault of the circuit',
      run: async (t) => {
        const session = await t.open();
        await session.alive();
        await session.faults(flight(Kind.OPEN, t.openTlvs(session.circuit, Buffer.alloc(32), {})));
      },
    },
    {
      rule: 'T-2, H-4',
      name: 'the frame type of the magic byte is ignorable, but not so long',
      run: async (t) => {
        const session = await t.open();
        await session.faults(Buffer.concat([MAGIC, Buffer.of(1, Type.DATA)]));
      },
    },
  ],
};
