// Attacks of peers that hold a session: frames that cost more than they are worth, numbers that lie, windows that never open.

import { CloseCode, Frame } from '../../../lib/core/wire.ts';
import { lengthPrefix } from '../../../lib/framing/length-prefix.ts';
import { ackFrame, closeFrame, confirmFrame, dataFrame, frame, offsetFrame, RawPeer, rawOpen } from '../../support/raw-peer.ts';
import { type Attack, type dial, type Field, turn, wait } from '../attack.ts';
import type { ServerConfig } from '../server.ts';

const framing: string = lengthPrefix().name;
const WINDOW = 2 * 1024 * 1024;
const U64_EDGES: readonly bigint[] = [0n, 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];

async function session(field: Field): Promise<RawPeer> {
  const peer = await RawPeer.dial(field.ports.port);
  peer.write(confirmFrame(await rawOpen(peer, { framing })));
  return peer;
}

/** Sessions that each write `bytes` as fast as the server takes them; one that is ended is followed by another. */
function floods(field: Field, loops: number, bytes: Buffer): Promise<void> {
  return field.swarm(loops, async () => {
    const peer = await session(field);
    field.count('sessions');
    await field.flood(quiet(peer), bytes, 'bytes');
    peer.destroy();
  });
}

/** The connection without the reader of RawPeer, which keeps all that comes. */
function quiet(peer: RawPeer): Awaited<ReturnType<typeof dial>> {
  peer.socket.removeAllListeners('data');
  peer.socket.resume();
  return peer.socket as Awaited<ReturnType<typeof dial>>;
}

/** One lie a session. */
function lies(field: Field, each: (round: number) => Buffer): Promise<void> {
  return field.swarm(16, async (loop) => {
    const peer = await session(field);
    field.count('lies');
    peer.write(each((field.counts.lies ?? 0) + loop));
    await Promise.race([peer.gone(), wait(500)]);
    peer.destroy();
  });
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

function many(one: Buffer, bytes: number): Buffer {
  return Buffer.concat(Array.from({ length: Math.ceil(bytes / one.length) }, () => one));
}

/** An application that writes on and on. A thousand of its sessions fill the budget of the process. */
const PUSHING: ServerConfig = { push: true, limits: { outboxHighWater: 65_536, messageBytes: 32_768 } };

export const sessionAttacks: readonly Attack[] = [
  {
    name: 'frame-lengths',
    what: 'frames of every type with lengths at every boundary',
    run: (field) => {
      const lengths = [0, 1, 7, 8, 9, 1024, 1025, 65_535, 131_080, 131_081, 2 ** 23, 2 ** 24 - 1];
      return lies(field, (round) => {
        const header = Buffer.alloc(4);
        header[0] = round % 256;
        header.writeUIntBE(lengths[round % lengths.length] as number, 1, 3);
        return Buffer.concat([header, Buffer.alloc(2000)]);
      });
    },
  },
  {
    name: 'message-lengths',
    what: 'messages that declare lengths up to 4 GiB, and END in the middle of one',
    run: (field) => {
      const lengths = [0, 1, 2 ** 20, 2 ** 20 + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
      return lies(field, (round) => {
        const head = Buffer.alloc(4);
        head.writeUInt32BE(lengths[round % lengths.length] as number);
        return Buffer.concat([dataFrame(0, Buffer.concat([head, Buffer.alloc(100)])), offsetFrame(Frame.END, 104)]);
      });
    },
  },
  {
    name: 'one-byte-writes',
    what: 'a stream in segments of one byte, 16 sessions',
    run: (field) =>
      field.swarm(16, async () => {
        const peer = await session(field);
        const socket = quiet(peer);
        const bytes = Buffer.concat([
          dataFrame(0, Buffer.alloc(4)),
          dataFrame(4, Buffer.concat([Buffer.of(0, 0, 0x7f, 0xff), Buffer.alloc(500)])),
        ]);
        for (let at = 0; at < bytes.length && !field.over && !socket.destroyed; at++) {
          socket.write(bytes.subarray(at, at + 1));
          field.count('segments');
          await turn();
        }
        peer.destroy();
      }),
  },
  {
    name: 'tiny-frames',
    what: 'DATA frames of one byte each',
    run: (field) =>
      field.swarm(4, async () => {
        const peer = await session(field);
        const socket = quiet(peer);
        for (let offset = 0; offset < WINDOW && !field.over && !socket.destroyed; offset += 4096) {
          const frames = Buffer.concat(Array.from({ length: 4096 }, (_, at) => dataFrame(offset + at, Buffer.alloc(1))));
          field.count('frames', 4096);
          if (!socket.write(frames)) await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), wait(500)]);
          await turn();
        }
        peer.destroy();
      }),
  },
  {
    name: 'tiny-messages',
    what: 'empty messages by the hundred thousand, each echoed',
    run: (field) =>
      field.swarm(4, async () => {
        const peer = await session(field);
        const socket = quiet(peer);
        for (let offset = 0; offset < WINDOW && !field.over && !socket.destroyed; offset += 65_536) {
          field.count('messages', 16_384);
          if (!socket.write(dataFrame(offset, Buffer.alloc(65_536))))
            await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), wait(500)]);
          await turn();
        }
        peer.destroy();
      }),
  },
  {
    name: 'ping-flood',
    what: 'PINGs as fast as it goes, 8 sessions',
    run: (field) => floods(field, 8, many(frame(Frame.PING, Buffer.alloc(8)), 65_536)),
  },
  {
    name: 'unknown-frames',
    what: 'ignorable frames of 1,024 bytes as fast as it goes',
    run: (field) => floods(field, 8, many(frame(0x80, Buffer.alloc(1024)), 65_536)),
  },
  {
    name: 'idle-control-flood',
    what: 'ACK, SYNC and DISCARD that advance nothing, as fast as it goes',
    run: (field) =>
      floods(field, 8, many(Buffer.concat([ackFrame(0, WINDOW), offsetFrame(Frame.SYNC, 0), offsetFrame(Frame.DISCARD, 0)]), 65_536)),
  },
  {
    name: 'duplicate-flood',
    what: 'the same DATA again and again, below what was received',
    run: (field) => floods(field, 4, Buffer.concat([dataFrame(0, Buffer.alloc(4)), many(dataFrame(0, Buffer.alloc(4)), 65_536)])),
  },
  {
    name: 'ack-lies',
    what: 'acks of what was never sent, limits that shrink, numbers beyond 2^53',
    run: (field) =>
      lies(field, (round) => {
        const acked = U64_EDGES[round % U64_EDGES.length] as bigint;
        const limit = U64_EDGES[(round >> 3) % U64_EDGES.length] as bigint;
        return frame(Frame.ACK, Buffer.concat([u64(acked), u64(limit)]));
      }),
  },
  {
    name: 'offset-lies',
    what: 'gaps, DATA beyond the window, DATA behind END, offsets beyond 2^53',
    run: (field) =>
      lies(field, (round) => {
        const offset = u64(U64_EDGES[round % U64_EDGES.length] as bigint);
        const types = [Frame.DATA, Frame.END, Frame.SYNC, Frame.DISCARD, Frame.SUPERSEDED];
        const type = types[(round >> 3) % types.length] as number;
        const body = type === Frame.DATA ? Buffer.concat([offset, Buffer.alloc(10)]) : offset;
        return Buffer.concat([
          dataFrame(0, Buffer.alloc(8)),
          frame(type, body),
          dataFrame(8, Buffer.alloc(8)),
          closeFrame(CloseCode.CLEAN),
        ]);
      }),
  },
  {
    name: 'never-acks',
    what: '1,000 sessions that read everything and confirm nothing',
    server: PUSHING,
    run: (field) =>
      field.swarm(1000, async (at) => {
        await wait(at * 4);
        const peer = await session(field);
        quiet(peer);
        field.count('sessions');
        while (!field.over && !peer.closed && !peer.ended) await wait(250);
        peer.destroy();
      }),
  },
  {
    name: 'never-reads',
    what: '500 sessions that stop reading their connection',
    server: PUSHING,
    run: (field) =>
      field.swarm(500, async (at) => {
        await wait(at * 8);
        const peer = await session(field);
        peer.socket.pause();
        field.count('sessions');
        while (!field.over && !peer.closed && !peer.ended) await wait(250);
        peer.destroy();
      }),
  },
  {
    name: 'half-messages',
    what: '500 sessions that fill their window with half a message and stay',
    run: (field) =>
      field.swarm(500, async (at) => {
        await wait(at * 8);
        const peer = await session(field);
        const half = Buffer.concat([Buffer.from('000fffff', 'hex'), Buffer.alloc(100_000)]);
        quiet(peer).write(dataFrame(0, half));
        field.count('sessions');
        while (!field.over && !peer.closed && !peer.ended) await wait(250);
        peer.destroy();
      }),
  },
];
