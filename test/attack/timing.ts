// `npm run timing`: does the time of an answer tell whether a session exists? Two kinds of RESUME, of an unknown id and with a bad MAC, are
// sent in random order over loopback, and the times until their answers compared by Welch's t: what the nearest attacker can see. |t| below
// 4.5 is no difference that 2 × 10^5 samples show. Compared are the refusal, which leaves at a slot of the server's timers, and the
// challenge, which leaves at once. A comparison with flights that are refused at once must show a difference: else the instrument is blind.
// Attacker and server are processes of their own, and new ones each time: where code and data of one come to lie makes 60 ns of difference.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { SessionClient } from '../../lib/client.ts';
import { encodeResume, type Positions } from '../../lib/core/handshake.ts';
import { lines } from '../../lib/framing/lines.ts';
import { SessionServer } from '../../lib/server.ts';
import { Random } from '../../lib/testing/random.ts';
import { heard, spawnChild } from './post.ts';

const SAMPLES = 200_000;
const CONTROL_SAMPLES = 20_000;
/** Before any count: code that runs for the first time is compiled while it runs. */
const WARM_SAMPLES = 10_000;
const T_MOST = 4.5;
/** What lies above is the machine's business: collections, other processes. Of both kinds together. */
const KEPT = 0.9;
/** A difference that is real shows each time, and with the same sign; one of the machine's making does not. */
const TRIES = 5;
/** Other sessions, so that finding one is a search. */
const COMPANY = 200;
const FRESH: Positions = { received: 0, acked: 0, limit: 65_536, base: 0, sent: 0 };

type Make = (random: Random) => Buffer;

/** The rest of each answer follows from its name. A refusal waits for its slot, so that many may wait at once; a challenge is timed alone. */
const ANSWERS = {
  refusal: { challenge: 'never', atOnce: 256 },
  challenge: { challenge: 'always', atOnce: 1 },
} as const;

type Answer = keyof typeof ANSWERS;
type Role = { readonly serve: Answer } | { readonly attack: Answer };

interface Target {
  readonly port: number;
  readonly knownId: string;
}

/** Welch's t of both comparisons. */
interface Found {
  readonly control: number;
  readonly t: number;
}

const given = process.argv[2];
if (given === undefined) await judge();
else await play(JSON.parse(given) as Role);

async function judge(): Promise<void> {
  let passed = 0;
  for (const answer of ['refusal', 'challenge'] as const) if (await hides(answer)) passed++;
  console.log(`${passed} passed, ${2 - passed} failed`);
  process.exitCode = passed === 2 ? 0 : 1;
}

/** @returns whether the time of this answer tells nothing, and the instrument would have shown it */
async function hides(answer: Answer): Promise<boolean> {
  const all: number[] = [];
  while (all.length < TRIES) {
    const attacker = spawnChild('timing.ts', { attack: answer } satisfies Role);
    const { control, t } = (await heard(attacker)) as Found;
    attacker.disconnect();
    console.log(`${answer}: control, flights that are refused at once: t = ${control.toFixed(1)}, must be beyond ${T_MOST}`);
    const count = SAMPLES.toLocaleString('en');
    console.log(`${answer}: unknown session against bad MAC: t = ${t.toFixed(2)} over ${count} samples, at most ${T_MOST}`);
    if (Math.abs(control) <= T_MOST) return false;
    all.push(t);
    if (!all.every((one) => one >= T_MOST) && !all.every((one) => one <= -T_MOST)) return true;
  }
  return false;
}

async function play(role: Role): Promise<void> {
  process.once('disconnect', () => process.exit());
  process.send?.('serve' in role ? await serve(role.serve) : await attack(role.attack));
}

async function serve(answer: Answer): Promise<Target> {
  const server = new SessionServer({ framing: lines(), challenge: ANSWERS[answer].challenge });
  const { port } = await server.listen({ port: 0 });
  const client = new SessionClient({ framing: lines(), port });
  const sessions = await Promise.all(Array.from({ length: COMPANY }, () => client.open()));
  return { port, knownId: sessions[0]?.id as string };
}

async function attack(answer: Answer): Promise<Found> {
  const server = spawnChild('timing.ts', { serve: answer } satisfies Role);
  const { port, knownId } = (await heard(server)) as Target;
  const ids = [Buffer.alloc(16, 0x5c), Buffer.from(knownId, 'hex')] as const;
  const unknown: Make = (random) => resume(ids[0], random);
  const badMac: Make = (random) => resume(ids[1], random);
  const broken: Make = (random) => unknown(random).fill(0, 4, 6);
  const compared = (other: Make, samples: number): Promise<number> => compare(port, ANSWERS[answer].atOnce, unknown, other, samples);
  await compared(badMac, WARM_SAMPLES);
  const control = await compared(broken, CONTROL_SAMPLES);
  const t = await compared(badMac, SAMPLES);
  server.disconnect();
  return { control, t };
}

/** RESUME with a MAC of chance. */
function resume(sessionId: Buffer, random: Random): Buffer {
  const bytes = encodeResume({
    node: 0,
    sessionId,
    generation: 2,
    instance: 1,
    positions: FRESH,
    nonce: random.bytes(16),
    credentials: undefined,
    ticket: undefined,
    ticketFollows: undefined,
    maxVersion: 1,
  });
  bytes.set(random.bytes(16), bytes.length - 16);
  return bytes;
}

/** Welch's t of the times that the two kinds take. */
async function compare(port: number, atOnce: number, one: Make, other: Make, samples: number): Promise<number> {
  const random = new Random(Date.now());
  const times = [new Float64Array(samples), new Float64Array(samples)] as const;
  const counts: [number, number] = [0, 0];
  let left = samples;
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const kind = random.chance(0.5) ? 1 : 0;
      const flight = (kind === 0 ? one : other)(random);
      const time = await timed(port, flight);
      times[kind][counts[kind]++] = time;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return welch(times[0].subarray(0, counts[0]), times[1].subarray(0, counts[1]));
}

/** Nanoseconds from writing a flight on a connection of its own until something comes back, be it an answer or the end. */
async function timed(port: number, flight: Buffer): Promise<number> {
  const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return await new Promise((resolve) => {
    const beganAt = process.hrtime.bigint();
    const answered = (): void => {
      resolve(Number(process.hrtime.bigint() - beganAt));
      socket.destroy();
    };
    socket.once('data', answered).once('error', answered).once('close', answered);
    socket.write(flight);
  });
}

function welch(one: Float64Array, other: Float64Array): number {
  const all = Float64Array.from([...one, ...other]).sort();
  const most = all[Math.floor(all.length * KEPT)] as number;
  const [a, b] = [moments(one, most), moments(other, most)];
  return (a.mean - b.mean) / Math.sqrt(a.variance / a.count + b.variance / b.count);
}

function moments(times: Float64Array, most: number): { readonly mean: number; readonly variance: number; readonly count: number } {
  const kept = times.filter((time) => time <= most);
  const mean = kept.reduce((sum, time) => sum + time, 0) / kept.length;
  return { mean, variance: kept.reduce((sum, time) => sum + (time - mean) ** 2, 0) / (kept.length - 1), count: kept.length };
}
