// Attacks on resuming: by who knows an id, has recorded a flight, or holds the keys of a session of their own.

import { macInput } from '../../../lib/core/handshake.ts';
import { Kind, RejectCode } from '../../../lib/core/wire.ts';
import { lengthPrefix } from '../../../lib/framing/length-prefix.ts';
import { processRuntime } from '../../../lib/runtime.ts';
import { confirmFrame, dataFrame, RawPeer, type RawSession, rawOpen, resumeFlight } from '../../support/raw-peer.ts';
import { type Attack, answer, Broken, dial, type Field } from '../attack.ts';

const framing: string = lengthPrefix().name;

/** A session of the attacker's own, confirmed. */
async function own(field: Field): Promise<{ readonly peer: RawPeer; readonly session: RawSession }> {
  const peer = await RawPeer.dial(field.ports.port);
  const session = await rawOpen(peer, { framing });
  peer.write(confirmFrame(session));
  await peer.heard();
  return { peer, session };
}

/** Sends a first flight and takes the first answer. */
async function ask(field: Field, bytes: Buffer): Promise<{ readonly peer: RawPeer; readonly kind: number; readonly code: number }> {
  const peer = await RawPeer.dial(field.ports.port);
  peer.write(bytes);
  const { flight } = await peer.flight();
  return { peer, kind: flight.kind, code: flight.kind === Kind.REJECTED ? flight.code : 0 };
}

function withBadMac(flight: Buffer): Buffer {
  return Buffer.concat([macInput(flight), processRuntime.randomBytes(16)]);
}

async function mustBeUnknown(field: Field, bytes: Buffer): Promise<void> {
  const { peer, kind, code } = await ask(field, bytes);
  peer.destroy();
  field.count('resumes');
  if (kind !== Kind.REJECTED || code !== RejectCode.UNKNOWN) throw new Broken(`answered by kind ${kind}, code ${code}`);
}

export const resumeAttacks: readonly Attack[] = [
  {
    name: 'resume-guessing',
    what: 'RESUME of ids that do not exist, 16 at a time',
    run: async (field) => {
      const { peer, session } = await own(field);
      await field.swarm(16, () =>
        mustBeUnknown(field, withBadMac(resumeFlight(session, { generation: 9, sessionId: processRuntime.randomBytes(16) }))),
      );
      peer.destroy();
    },
  },
  {
    name: 'resume-bad-mac',
    what: 'RESUME of the honest session’s id with a wrong MAC, 16 at a time',
    run: async (field) => {
      const { peer, session } = await own(field);
      await field.swarm(16, () =>
        mustBeUnknown(field, withBadMac(resumeFlight(session, { generation: 2 ** 52, sessionId: field.honestId }))),
      );
      peer.destroy();
    },
  },
  {
    name: 'resume-replay',
    what: 'one accepted RESUME again and again, byte by byte the same: never accepted',
    run: async (field) => {
      const { peer, session } = await own(field);
      const flight = resumeFlight(session, { generation: 2 });
      const first = await ask(field, flight);
      if (first.kind !== Kind.RESUMED) throw new Broken(`the original was answered by kind ${first.kind}`);
      peer.destroy();
      await field.swarm(16, async () => {
        const { peer: again, kind } = await ask(field, flight);
        again.destroy();
        field.count('replays');
        if (kind === Kind.RESUMED) throw new Broken('a replayed RESUME was accepted');
      });
      if ((field.counts.replays ?? 0) < 1000) throw new Error(`only ${field.counts.replays} replays`);
      first.peer.destroy();
    },
  },
  {
    name: 'resume-race',
    what: 'eight RESUMEs of one session at once: one owner, the newest',
    run: async (field) => {
      let generation = 1;
      const { peer, session } = await own(field);
      await field.swarm(1, async () => {
        const flights = Array.from({ length: 8 }, () => resumeFlight(session, { generation: ++generation }));
        const answers = await Promise.all(flights.map((flight) => ask(field, flight)));
        field.count('resumes', answers.length);
        const newest = answers.at(-1);
        if (newest?.kind !== Kind.RESUMED) throw new Broken(`the newest was answered by kind ${newest?.kind}`);
        for (const { peer: one } of answers) one.destroy();
      });
      peer.destroy();
    },
  },
  {
    name: 'resume-churn',
    what: 'good RESUMEs as fast as they are accepted, each cut at once',
    run: (field) =>
      field.swarm(8, async () => {
        const { peer, session } = await own(field);
        peer.destroy();
        for (let generation = 2; generation < 200 && !field.over; generation++) {
          const next = await ask(
            field,
            Buffer.concat([resumeFlight(session, { generation }), dataFrame(0, Buffer.from('00000001', 'hex'))]),
          );
          next.peer.destroy();
          field.count('resumes');
        }
      }),
  },
  {
    name: 'early-data-flood',
    what: 'RESUME and behind it, before the verdict, DATA without end',
    server: { challenge: true },
    run: async (field) => {
      const { peer, session } = await own(field);
      const flight = withBadMac(resumeFlight(session, { generation: 9, sessionId: field.honestId }));
      await field.swarm(32, async () => {
        const socket = await dial(field.ports.port);
        socket.write(flight);
        await Promise.race([field.flood(socket, Buffer.concat([dataFrame(0, Buffer.alloc(1000))]), 'bytes'), answer(socket, 3000)]);
        socket.destroy();
      });
      peer.destroy();
    },
  },
  {
    name: 'reflection',
    what: 'the server’s own flights sent back to it',
    run: async (field) => {
      const { peer, session } = await own(field);
      await field.swarm(16, async () => {
        const socket = await dial(field.ports.port);
        socket.write(session.openedBytes);
        field.count('flights');
        if ((await answer(socket, 2000)).length > 0) throw new Broken('an answer to OPENED');
        socket.destroy();
      });
      peer.destroy();
    },
  },
];
