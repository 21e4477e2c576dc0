// npm run demo -- --durable [--rounds N] [--seed N] [--spoil lose|double|change]
// Runs the stage: by keys on a terminal, else by a fixed number of kills and moves. Ends with the accounts of both ends.

import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from 'outlast/testing';
import { Screen, verdict } from '../screen.ts';
import { isExact, sumBelow } from './account.ts';
import { Stage } from './stage.ts';

export interface DurableOptions {
  readonly seed: number;
  /** Without a terminal: how often a server is killed, the session moved, and the client killed. */
  readonly rounds: number;
  readonly spoil: string;
}

/** So many answers show that it goes on. */
const PROGRESS = 300;
/** Faults come at a random moment of the traffic. */
const MOMENT_MS = 300;
const LOOK_MS = 50;

const acts: Readonly<Record<string, (stage: Stage) => void>> = {
  x: (stage) => stage.killServer(),
  m: (stage) => stage.move(),
  r: (stage) => stage.killClient(),
  c: (stage) => stage.cut(),
};

/** @returns whether each number acted once at both ends */
export async function runDurable({ seed, rounds, spoil }: DurableOptions): Promise<boolean> {
  for (const [signal, code] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const]) process.once(signal, () => process.exit(code));
  console.log(`a client process sends numbers, two server processes over one store add them up and answer with the sum (seed ${seed})`);
  const startedMs = performance.now();
  const stage = new Stage(spoil);
  let ready = false;
  let quit = false;
  let failure: string | undefined;
  const manual = Screen.keys((key) => {
    quit ||= key === 'q';
    if (ready && !quit) acts[key]?.(stage);
  });
  if (manual) console.log('keys: x kill the server · m move to the other server · r kill the client · c cut · q quit');
  const screen = new Screen((wide) => lineOf(stage, performance.now() - startedMs, wide));
  try {
    await stage.open(seed);
    ready = true;
    if (manual) await untilQuit(stage, () => quit);
    else await script(stage, rounds, new Random(seed, 1));
    await stage.finish();
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
  } finally {
    screen.close();
    await stage.close();
  }
  return report(stage, failure);
}

async function script(stage: Stage, rounds: number, random: Random): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const key of ['x', 'm', 'r']) {
      await goesOn(stage);
      await sleep(random.integer(0, MOMENT_MS));
      acts[key]?.(stage);
    }
  }
  await goesOn(stage);
}

async function goesOn(stage: Stage): Promise<void> {
  const { count } = stage.atClient;
  await stage.until(`${PROGRESS} more answers come`, () => stage.atClient.count >= count + PROGRESS);
}

async function untilQuit(stage: Stage, quit: () => boolean): Promise<void> {
  while (!quit()) {
    // A person may look on for as long as they like.
    await stage.until('nothing is broken', () => true);
    await sleep(LOOK_MS);
  }
}

function lineOf(stage: Stage, elapsedMs: number, wide: boolean): string {
  const { atServer, atClient } = stage;
  return [
    `${(elapsedMs / 1000).toFixed(1).padStart(4)} s`,
    `${stage.attached ? '●' : '○'} ${stage.nodeName}`,
    wide ? `${stage.told} sent ${atClient.count} answered` : `${atClient.count}/${stage.told} answered`,
    `lost ${atServer.lost + atClient.lost}`,
    `doubled ${atServer.doubled + atClient.doubled}`,
    wide ? `killed ${stage.serverKills} servers ${stage.clientKills} clients` : `killed ${stage.serverKills}+${stage.clientKills}`,
    `moves ${stage.moves}`,
    `cuts ${stage.cuts}`,
  ].join(wide ? '  ' : ' ');
}

/** Prints the accounts. @param failure why the session did not come to its end. @returns whether they are what they must be */
function report(stage: Stage, failure: string | undefined): boolean {
  const { told, wrong, atServer, atClient } = stage;
  console.log(`${told} numbers sent, their sum is ${sumBelow(told)}`);
  for (const [name, account] of [['server', atServer] as const, ['client', atClient] as const]) {
    const { count, lost, doubled, sum } = account;
    const equal = isExact(account, told);
    console.log(
      `  ${name}: ${count} acted, ${doubled} doubled, ${lost} lost, sum ${sum}  ${verdict(equal ? 'equal' : 'DIFFERENT', equal)}`,
    );
  }
  const good = failure === undefined && wrong === 0 && isExact(atServer, told) && isExact(atClient, told);
  const survived = `${stage.serverKills} servers killed, ${stage.moves} moves, ${stage.clientKills} clients killed, ${stage.cuts} cuts`;
  const passed = `passed: every number acted once and was answered once, in order (${survived})`;
  console.log(verdict(good ? passed : `FAILED: ${failure ?? 'accounts differ'} (${survived})`, good));
  return good;
}
