// Attacks of strangers: everything up to a session, by who has no key. Most come from this machine, where no limit per address helps.

import { FLIGHT_HEADER_BYTES, FlightAt, Frame, Kind, MAGIC, VERSION, writeU16 } from '../../../lib/core/wire.ts';
import { lengthPrefix } from '../../../lib/framing/length-prefix.ts';
import { generateKeyPair } from '../../../lib/security/keys.ts';
import { closeFrame, confirmFrame, dataFrame, frame, openFlight, RawPeer, rawOpen } from '../../support/raw-peer.ts';
import { type Attack, answer, Broken, dial, type Field, turn, wait } from '../attack.ts';

const framing: string = lengthPrefix().name;
const KEY = generateKeyPair().publicKey;
const open = (key: Buffer = KEY): Buffer => openFlight({ framing }, key);

/** First flights of other protocols, and what is nearly ours. */
const FOREIGN: readonly Buffer[] = [
  'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
  'POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'SSH-2.0-OpenSSH_9.2\r\n',
  '*1\r\n$4\r\nPING\r\n',
  'EHLO x\r\n',
  'USER anonymous\r\n',
  'PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n',
  '\r\n\r\n\0\r\nQUIT\n',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  '\xff\xfb\x18\xff\xfd\x03',
  '\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03abc',
  '\x00\x00\x00\x08\x04\xd2\x16\x2f',
  '\x05\x01\x00',
  '\x8fOTM',
  '\x8f\x4f\x00',
].map((text) => Buffer.from(text, 'latin1'));

/** X25519 points whose product is known to everybody (RFC 7748 §6.1 and Curve25519's small subgroup). */
const LOW_ORDER: readonly Buffer[] = [
  Buffer.alloc(32),
  Buffer.concat([Buffer.of(1), Buffer.alloc(31)]),
  Buffer.from('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800', 'hex'),
  Buffer.from('5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157', 'hex'),
  Buffer.from('ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', 'hex'),
  Buffer.from('edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', 'hex'),
];

/** So many connections that each do little; the server drops the oldest, and they come again. */
async function crowd(field: Field, size: number, each: (port: number) => Promise<void>): Promise<void> {
  await field.swarm(size, async (at) => {
    // Not all in one turn: the listen queue is not the target.
    if ((field.counts.connections ?? 0) < size) await wait((at % 100) * 20);
    field.count('connections');
    await each(field.ports.port);
  });
}

export const handshakeAttacks: readonly Attack[] = [
  {
    name: 'drip',
    what: '5,000 connections that send OPEN byte by byte',
    run: (field) =>
      crowd(field, 5000, async (port) => {
        const socket = await dial(port);
        socket.resume();
        const bytes = open();
        for (let at = 0; at < bytes.length && !socket.destroyed && !field.over; at++) {
          socket.write(bytes.subarray(at, at + 1));
          await wait(500);
        }
        socket.destroy();
      }),
  },
  {
    name: 'silence',
    what: '5,000 connections that say nothing',
    run: (field) =>
      crowd(field, 5000, async (port) => {
        const socket = await dial(port);
        await answer(socket, 10_000);
        socket.destroy();
      }),
  },
  {
    name: 'half-open-flights',
    what: '2,000 connections that stop in the middle of a flight',
    run: (field) =>
      crowd(field, 2000, async (port) => {
        const socket = await dial(port);
        socket.write(open().subarray(0, 60));
        await answer(socket, 10_000);
        socket.destroy();
      }),
  },
  {
    name: 'connect-churn',
    what: 'connections that are reset at once, 50 at a time',
    run: (field) =>
      field.swarm(50, async () => {
        const socket = await dial(field.ports.port);
        field.count('connections');
        socket.resetAndDestroy();
      }),
  },
  {
    name: 'one-address',
    what: 'connections without end from one address that is not this machine',
    run: (field) =>
      field.swarm(50, async () => {
        const socket = await dial(field.ports.door);
        socket.write(open());
        field.count((await answer(socket, 1000)).length > 0 ? 'answered' : 'refused');
        socket.destroy();
        if ((field.counts.answered ?? 0) > 1000) throw new Broken('more than 1,000 handshakes of one address were served');
      }),
  },
  {
    name: 'flight-lengths',
    what: 'flights of every kind with lengths at every boundary, and TLVs that reach beyond them',
    run: (field) =>
      field.swarm(20, async (at) => {
        const lengths = [0, 1, 2, 3, 8191, 8192, 8193, 32_767, 32_768, 65_535];
        const kinds = [...Object.values(Kind), 0, 0xff];
        const header = Buffer.alloc(FLIGHT_HEADER_BYTES + 9000, 0x0b);
        const round = (field.counts.flights ?? 0) + at;
        header.set(MAGIC, 0);
        header[FlightAt.VERSION] = VERSION;
        header[FlightAt.KIND] = kinds[round % kinds.length] as number;
        writeU16(header, FlightAt.BODY_LENGTH, lengths[(round >> 3) % lengths.length] as number);
        const socket = await dial(field.ports.port);
        socket.write(header);
        const told = await answer(socket, 1000);
        field.count('flights');
        if (told.length > 0 && told[FlightAt.KIND] !== Kind.REJECTED) throw new Broken(`answered by kind ${told[FlightAt.KIND]}`);
        socket.destroy();
      }),
  },
  {
    name: 'foreign-protocols',
    what: 'first flights of 16 other protocols: not a byte back',
    run: (field) =>
      field.swarm(20, async (at) => {
        const bytes = FOREIGN[((field.counts.flights ?? 0) + at) % FOREIGN.length] as Buffer;
        const socket = await dial(field.ports.port);
        socket.write(bytes);
        const told = await answer(socket, 2000);
        field.count('flights');
        if (told.length > 0) throw new Broken(`${told.length} bytes back to ${bytes.toString('latin1').slice(0, 12)}`);
        socket.destroy();
      }),
  },
  {
    name: 'open-flood',
    what: 'OPEN as fast as it goes, never confirmed, 32 at a time',
    run: (field) =>
      field.swarm(32, async () => {
        const socket = await dial(field.ports.port);
        socket.write(open());
        await new Promise((resolve) => socket.once('data', resolve).once('close', resolve));
        field.count('opens');
        socket.destroy();
      }),
  },
  {
    name: 'provisional-hoarding',
    what: 'OPENs that keep their connection and never confirm',
    run: (field) =>
      crowd(field, 1500, async (port) => {
        const socket = await dial(port);
        socket.write(open());
        const told = await answer(socket, 10_000);
        if (told[FlightAt.KIND] === Kind.REJECTED) field.count('refused');
        socket.destroy();
      }),
  },
  {
    name: 'session-hoarding',
    what: 'sessions opened, confirmed and left, beyond the limit of 2,000',
    server: { limits: { sessions: 2000 } },
    run: async (field) => {
      await field.swarm(20, async () => {
        const peer = await RawPeer.dial(field.ports.port);
        try {
          peer.write(confirmFrame(await rawOpen(peer, { framing })));
          await peer.heard();
          field.count('sessions');
        } catch {
          field.count('refused');
        }
        peer.destroy();
      });
    },
  },
  {
    name: 'session-churn',
    what: 'sessions opened, confirmed and ended as fast as it goes',
    run: (field) =>
      field.swarm(16, async () => {
        const peer = await RawPeer.dial(field.ports.port);
        peer.write(confirmFrame(await rawOpen(peer, { framing })), closeFrame(1));
        field.count('sessions');
        await peer.gone();
        peer.destroy();
      }),
  },
  {
    name: 'wrong-confirm',
    what: 'OPEN answered, and then DATA, a bad CONFIRM or PROOF in place of CONFIRM',
    run: (field) =>
      field.swarm(16, async (at) => {
        const peer = await RawPeer.dial(field.ports.port);
        await rawOpen(peer, { framing });
        const bad = [
          dataFrame(0, 'hello'),
          frame(Frame.CONFIRM, Buffer.alloc(16)),
          frame(Frame.PROOF, Buffer.alloc(16)),
          Buffer.alloc(5000),
        ];
        const { receivedBytes } = peer;
        peer.write(bad[at % bad.length] as Buffer);
        await peer.gone();
        field.count('handshakes');
        if (peer.receivedBytes > receivedBytes) throw new Broken('an answer to a session that was not confirmed');
        peer.destroy();
      }),
  },
  {
    name: 'low-order-keys',
    what: 'OPEN with public keys whose result everybody knows: never OPENED',
    run: (field) =>
      field.swarm(16, async (at) => {
        const socket = await dial(field.ports.port);
        socket.write(open(LOW_ORDER[at % LOW_ORDER.length]));
        const told = await answer(socket, 2000);
        field.count('opens');
        if (told[FlightAt.KIND] === Kind.OPENED) throw new Broken('OPENED for a low-order key');
        socket.destroy();
      }),
  },
  {
    name: 'tls-stall',
    what: '2,000 TLS handshakes that stop behind half a ClientHello',
    server: { tls: true },
    run: (field) =>
      crowd(field, 2000, async (port) => {
        const socket = await dial(port);
        socket.write(Buffer.from('16030102000100', 'hex'));
        await answer(socket, 10_000);
        socket.destroy();
      }),
  },
  {
    name: 'file-exhaustion',
    what: '1,000 connections to a server that may open 256 files',
    server: { files: 256 },
    run: (field) =>
      crowd(field, 1000, async (port) => {
        const socket = await dial(port);
        await answer(socket, 3000);
        socket.destroy();
        await turn();
      }),
  },
];
