// `npm run timing`: does the time of an answer tell whether a session exists? Two kinds of RESUME, of an unknown id and with a bad MAC, are
// judged in random order, in process, and their times compared by Welch's t. |t| below 4.5 is no difference that 2 × 10^5 samples show.
// A third comparison, with flights that are refused earlier, must show one: else the instrument is blind.

import { Budget } from '../../lib/budget.ts';
import { Circuit, circuitInfo } from '../../lib/circuit.ts';
import { encodeResume, type Positions } from '../../lib/core/handshake.ts';
import { lines } from '../../lib/framing/lines.ts';
import { Greeter } from '../../lib/greeter.ts';
import { Greeting } from '../../lib/greeting.ts';
import { parseShared } from '../../lib/options.ts';
import { Random } from '../../lib/testing/random.ts';
import { KEYS, SteadyRuntime, Wire } from '../fuzz/world.ts';
import { turn } from './attack.ts';

const SAMPLES = 200_000;
const CONTROL_SAMPLES = 10_000;
const T_MOST = 4.5;
/** What lies above is the machine's business: collections, other processes. Of both kinds together. */
const KEPT = 0.9;
/** A difference that is real shows each time; one of the machine's making does not. */
const TRIES = 5;
/** Other sessions, so that finding one is a search. */
const COMPANY = 1000;
const NOTHING = Buffer.alloc(0);
const FRESH: Positions = { received: 0, acked: 0, limit: 65_536, base: 0, sent: 0 };

type Make = (random: Random) => Buffer;

const runtime = new SteadyRuntime();
const settings = parseShared({ framing: lines(), runtime });
const greeter = new Greeter<string>({ framing: lines(), challenge: 'never' }, settings, new Budget(1 << 30), {
  opened: () => {},
  rejected: () => {},
  ended: () => {},
});
// One of each, asked for again and again, as by somebody who suspects one. (A thousand ids in turn show 0.15 µs: whatever is in memory and was
// not touched for a while takes the processor longer. That is below what a network lets pass.)
const [knownId, unknownId] = [runtime.randomBytes(16), runtime.randomBytes(16)];
for (const id of [knownId, ...Array.from({ length: COMPANY }, () => runtime.randomBytes(16))]) live(id);

const unknown: Make = (random) => resume(unknownId, random);
const badMac: Make = (random) => resume(knownId, random);
const broken: Make = (random) => unknown(random).fill(0, 4, 6);

const seen = await compare(unknown, broken, CONTROL_SAMPLES);
console.log(`control, flights that are refused earlier: t = ${seen.toFixed(1)}, must be beyond ${T_MOST}`);
let t = Infinity;
for (let left = TRIES; left > 0 && Math.abs(t) >= T_MOST; left--) {
  t = await compare(unknown, badMac, SAMPLES);
  console.log(`unknown session against bad MAC: t = ${t.toFixed(2)} over ${SAMPLES.toLocaleString('en')} samples, at most ${T_MOST}`);
}
const passed = Math.abs(seen) > T_MOST && Math.abs(t) < T_MOST;
console.log(passed ? '1 passed, 0 failed' : '0 passed, 1 failed');
process.exitCode = passed ? 0 : 1;

function live(id: Buffer): void {
  const wire = new Wire();
  const opened = circuitInfo(wire, 'test', false);
  const terms = { role: 'accept', window: 65_536, peerWindow: 65_536, heartbeatMs: 15_000, holdMs: 300_000 } as const;
  const known = { id: id.toString('hex'), keys: KEYS, bound: false, principal: undefined, opened, terms, metadata: NOTHING };
  const entry = greeter.make({ ...known, live: true, untilMs: 0 });
  greeter.join(entry, new Circuit(wire, opened, runtime), FRESH, entry.driver.core.positions(), NOTHING, true);
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
    maxVersion: 1,
  });
  bytes.set(random.bytes(16), bytes.length - 16);
  return bytes;
}

/** Welch's t of the times that the two kinds take. */
async function compare(one: Make, other: Make, samples: number): Promise<number> {
  const random = new Random(Date.now());
  const times = [new Float64Array(samples), new Float64Array(samples)] as const;
  const counts: [number, number] = [0, 0];
  for (let at = 0; at < samples; at++) {
    const kind = random.chance(0.5) ? 1 : 0;
    const flight = (kind === 0 ? one : other)(random);
    times[kind][counts[kind]++] = timed(flight);
    if (at % 64 === 0) await turn();
  }
  return welch(times[0].subarray(0, counts[0]), times[1].subarray(0, counts[1]));
}

/** Nanoseconds from the bytes of a fresh connection to the end of their judgement. */
function timed(flight: Buffer): number {
  const wire = new Wire();
  Greeting.begin(greeter, wire, circuitInfo(wire, 'test', false));
  const beganAt = process.hrtime.bigint();
  wire.emit('data', flight);
  const took = Number(process.hrtime.bigint() - beganAt);
  wire.destroy();
  return took;
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
