// The list of a chaos run, and how it is played: which scenarios share processes, and how many run at the same time.

import { troubles } from './plans.ts';
import { killFar, killNear, type Outcome, type Scene, SILENCE_MS, type Stop, stopped, throughProxy } from './scenarios.ts';
import { Stage } from './stage.ts';

export interface Job {
  readonly index: number;
  readonly name: string;
  /** Scenarios of a lane share the processes that they leave alive. */
  readonly lane: 'proxy' | 'killFar' | 'killNear' | 'stop';
  readonly play: (scene: Scene) => Promise<Outcome>;
}

const MINUTE_MS = 60_000;
/** Beyond the silence that ends a circuit; below it; and the minute that the issue asks for. */
const stops: readonly Stop[] = [
  { who: 'far', ms: MINUTE_MS, holdMs: 120_000, expires: false },
  { who: 'near', ms: MINUTE_MS, holdMs: 120_000, expires: false },
  ...(['near', 'far', 'both'] as const).map((who) => ({ who, ms: SILENCE_MS + 2_000, holdMs: 120_000, expires: false })),
  ...(['near', 'far', 'both'] as const).map((who) => ({ who, ms: 3_000, holdMs: 120_000, expires: false })),
  // The accepting side was away itself, and gives the other one time to come back.
  { who: 'far', ms: SILENCE_MS + 2_000, holdMs: 3_000, expires: false },
  { who: 'near', ms: SILENCE_MS + 13_000, holdMs: 3_000, expires: true },
];

/** About 72 of 100 go through a proxy, 20 kill a process, 8 stop one. */
export function jobsFor(count: number): Job[] {
  const proxied = Array.from({ length: Math.round(count * 0.72) }, (_, i): Unnumbered => {
    const trouble = troubles[i % troubles.length] as (typeof troubles)[number];
    return { name: `proxy, ${trouble}`, lane: 'proxy', play: (scene) => throughProxy(scene, trouble) };
  });
  const kills = Math.round(count * 0.1);
  const killed = Array.from({ length: kills }, (_, i): Unnumbered[] => [
    {
      name: i % 2 === 0 ? 'killFar' : 'killFar, reborn',
      lane: 'killFar',
      play: (scene) => killFar(scene, i % 2 === 1),
    },
    { name: 'killNear', lane: 'killNear', play: killNear },
  ]).flat();
  const held = Array.from({ length: count - proxied.length - killed.length }, (_, i): Unnumbered => {
    // The two long ones once, first; then the others in turn.
    const stop = (i < stops.length ? stops[i] : stops[2 + ((i - 2) % (stops.length - 2))]) as Stop;
    const name = `stop ${stop.who} for ${stop.ms / 1000} s, held for ${stop.holdMs / 1000} s`;
    return { name, lane: 'stop', play: (scene) => stopped(scene, stop) };
  });
  // The slow ones first.
  return [...held, ...killed, ...proxied].map((job, index) => ({ ...job, index }));
}

type Unnumbered = Omit<Job, 'index'>;
type Note = (job: Job, outcome: Outcome) => void;

/** Plays the jobs, with seeds from `base` on, and gives each outcome as soon as it is known. */
export async function playAll(jobs: readonly Job[], base: number, note: Note): Promise<void> {
  const of = (lane: Job['lane']): Job[] => jobs.filter((job) => job.lane === lane);
  const proxied = of('proxy');
  const half = Math.ceil(proxied.length / 2);
  await Promise.all([
    lane(of('stop'), 5, base, note),
    lane(of('killFar'), 8, base, note, ['near']),
    lane(of('killNear'), 4, base, note, ['far']),
    lane(proxied.slice(0, half), 20, base, note, ['near', 'far']),
    lane(proxied.slice(half), 20, base, note, ['near', 'far']),
  ]);
}

/** Plays jobs, `width` at the same time. The `shared` sides are one process for all; the others are started for each job. */
async function lane(
  jobs: readonly Job[],
  width: number,
  base: number,
  note: Note,
  shared: readonly ('near' | 'far')[] = [],
): Promise<void> {
  if (jobs.length === 0) return;
  const waiting = [...jobs];
  const common = shared.length > 0 ? new Stage() : undefined;
  const [near, far] = (['near', 'far'] as const).map((side) => (shared.includes(side) ? common?.start(side) : undefined));
  const play = async (job: Job): Promise<Outcome> => {
    const key = `s${job.index}`;
    // A stopped process holds back the reports of its stage: where nothing is shared the stage is not either.
    const stage = common ?? new Stage();
    const own = [near ?? stage.start(`${key} near`), far ?? stage.start(`${key} far`)] as const;
    try {
      return await job.play({ key, seed: base + job.index, stage, near: own[0], far: own[1] });
    } catch (error) {
      const problems = [String((error as Error).stack), stage.ledger.describe(key)];
      return { problems, messages: 0, circuits: 0, cuts: 0 };
    } finally {
      await Promise.all(own.filter((host) => host !== near && host !== far).map((host) => host.end()));
    }
  };
  const worker = async (): Promise<void> => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) note(job, await play(job));
  };
  await Promise.all(Array.from({ length: width }, worker));
  await common?.end();
}
