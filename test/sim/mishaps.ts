// What happens to a world beside the fate of its circuits, each at its own rate until faults stop: nudges, listeners who play recorded bytes
// again, suspensions, clocks that step, and frames that break a rule.

import {
  FlightAt,
  FRAME_HEADER_BYTES,
  Frame,
  Kind,
  MAC_BYTES,
  putAck,
  putBytesFrame,
  putDataHeader,
  putU64Frame,
} from '../../lib/core/wire.ts';
import { Random } from '../../lib/testing/random.ts';
import type { World } from './world.ts';

/** Three in a row without progress would end the session, as they should. */
const OFFENCES_MOST = 2;
/** Steps of all clocks together: hold times that nobody reaches in a family's worlds are not to be reached by steps. */
const STEPS_MOST_MS = 100_000;
/** An offset that no session here comes near. */
const FAR = 2 ** 40;

export function mishaps(world: World): void {
  const { plan, faults, clock } = world;
  const every = (meanMs: number, act: () => void): void => {
    if (meanMs === Infinity) return;
    const again = (): void => {
      if (faults.healed) return;
      act();
      clock.after(1 + faults.wait(meanMs), null, again);
    };
    clock.after(1 + faults.wait(meanMs), null, again);
  };
  const rare = new Random(plan.seed, 8);
  every(plan.faults.nudgeMs, () => {
    world.trace.note(world.nowMs, 'world', 'nudge');
    for (const client of world.clients) clock.after(0, world.hostOf(client), () => client.nudge());
  });
  every(plan.faults.replayMs, () => replay(world));
  every(plan.faults.suspendMs, () => suspend(world, rare));
  every(plan.faults.stepMs, stepper(world, rare));
  every(plan.faults.offenceMs, offender(world, rare));
}

function suspend(world: World, rare: Random): void {
  const { faults, plan } = world;
  const host = faults.pick([world.clientHost, world.serverHost]);
  const ms = faults.integer(1, 8_000);
  const clockStops = rare.chance(plan.faults.standstillChance);
  world.trace.note(world.nowMs, host.name, clockStops ? 'asleep' : 'suspended', ms);
  if (clockStops) world.lostMs += ms;
  host.suspend(ms, clockStops);
}

function stepper(world: World, rare: Random): () => void {
  let leftMs = STEPS_MOST_MS;
  return () => {
    const host = rare.pick([world.clientHost, world.serverHost]);
    const ms = rare.integer(1, rare.pick([20, 2_000, 20_000]));
    leftMs -= ms;
    if (leftMs < 0) return;
    world.trace.note(world.nowMs, host.name, 'clock steps', ms);
    host.stepForward(ms);
  };
}

/** Somebody in the middle of a living circuit puts in a frame that breaks a rule: it costs the circuit, and nothing else. */
function offender(world: World, rare: Random): () => void {
  let left = OFFENCES_MOST;
  return () => {
    const living = [...world.network.links].filter((link) => link.established && link.whole && link.kind === 'server');
    const link = living[living.length - 1];
    if (left === 0 || link === undefined) return;
    const end = rare.pick([link.client, link.server]);
    // A process that stands still writes nothing, and what has ended its half neither.
    if (end.writableEnded || end.host.dead || end.host.suspendedUntilMs > world.nowMs) return;
    left--;
    world.offended = true;
    const { name, frame } = rare.pick(offences);
    world.trace.note(world.nowMs, end.name, `offence: ${name}`);
    world.clock.coverage.count('frame that breaks a rule');
    end.write(Buffer.from(frame));
  };
}

const offences: readonly { readonly name: string; readonly frame: Buffer }[] = [
  { name: 'an ACK of what was not sent', frame: framed(20, (frame) => putAck(frame, 0, FAR, 2 * FAR)) },
  { name: 'an ACK that goes back', frame: framed(20, (frame) => putAck(frame, 0, 0, 0)) },
  { name: 'DATA behind a gap', frame: framed(16, (frame) => putDataHeader(frame, 0, FAR, 4)) },
  { name: 'END behind a gap', frame: framed(12, (frame) => putU64Frame(frame, 0, Frame.END, FAR)) },
  { name: 'a frame of no known type', frame: framed(8, (frame) => frame.writeUInt32BE(0x30_00_00_04)) },
];

function framed(bytes: number, put: (frame: Buffer) => void): Buffer {
  const frame = Buffer.alloc(bytes);
  put(frame);
  return frame;
}

/** A listener on the way plays recorded bytes again. Without challenges only those that have had their verdict: see PROTOCOL.md Z-5. */
function replay(world: World): void {
  const { network, faults, plan, clock } = world;
  const heard = network.recordings.filter((recording) => plan.challenge === 'always' || recording.settled);
  if (heard.length === 0) return;
  // Of a long recording the beginning will do, where the network brings it byte by byte.
  const bytes = Buffer.concat(faults.pick(heard).bytes).subarray(0, plan.network.chunkBytes * 500);
  // In answer to a challenge the best a listener can do is to guess.
  const guess = plan.challenge === 'always' && faults.chance(0.5) ? putProof(world.random.bytes(MAC_BYTES)) : Buffer.alloc(0);
  world.trace.note(world.nowMs, 'world', 'replay', bytes.length);
  if (bytes.length > FlightAt.KIND) clock.coverage.count(bytes[FlightAt.KIND] === Kind.OPEN ? 'replayed OPEN' : 'replayed RESUME');
  const judge = (kind: number): void => {
    if (kind === Kind.RESUMED) world.oracle.fail('server', 'a replayed RESUME was accepted');
  };
  network.replay(world.serverHost, Buffer.concat([bytes, guess]), (end) => world.server.accept(end), judge);
}

function putProof(mac: Buffer): Buffer {
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + MAC_BYTES);
  putBytesFrame(frame, 0, Frame.PROOF, mac);
  return frame;
}
