// Seeds by the thousand, in processes of their own: each takes the next range when it is through with one. A process that dies or says
// nothing for long has failed in its range as well.

import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { addTally, emptyTally, type Tally } from './tally.ts';

export interface Range {
  readonly from: number;
  readonly count: number;
  readonly stopAtFirst: boolean;
}

export interface Failure {
  readonly seed: number;
  readonly family: string;
  readonly what: string;
}

export interface Report {
  readonly tally: Tally;
  readonly failures: readonly Failure[];
}

/** The slowest range takes a few seconds. */
const SILENCE_MS = 120_000;
const RANGE_SEEDS = 50;

/** One process that runs seeds. */
export class SeedProcess {
  readonly #child: ChildProcess;

  /** @param root the tree whose lib and test/sim it runs; by default this one */
  constructor(root: URL = new URL('../../', import.meta.url)) {
    const tsx = import.meta.resolve('tsx');
    this.#child = fork(fileURLToPath(new URL('test/sim/batch.ts', root)), [], {
      execArgv: ['--import', tsx],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
  }

  /** Runs a range. A death or a long silence comes back as a failure of its first seed. */
  run(range: Range): Promise<Report> {
    const child = this.#child;
    return new Promise((resolve) => {
      let complaint = '';
      const onError = (text: Buffer): void => {
        complaint = (complaint + text).slice(0, 2_000);
      };
      const finish = (report: Report): void => {
        clearTimeout(timer);
        child.off('message', finish);
        child.off('exit', onExit);
        child.stderr?.off('data', onError);
        resolve(report);
      };
      const broke = (what: string): void => finish({ tally: emptyTally(), failures: [{ seed: range.from, family: 'any', what }] });
      const where = `seeds ${range.from} to ${range.from + range.count - 1}`;
      const onExit = (): void => broke(`the process died in ${where}: ${complaint}`);
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        broke(`no answer in ${SILENCE_MS / 1_000} s in ${where}`);
      }, SILENCE_MS);
      child.on('message', finish);
      child.on('exit', onExit);
      child.stderr?.on('data', onError);
      child.send(range);
    });
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }
}

/** Runs seeds [from, from + count), one process a core. @param progress told after each range */
export async function runSeeds(from: number, count: number, progress: (sum: Report) => void = () => {}): Promise<Report> {
  const tally = emptyTally();
  const failures: Failure[] = [];
  const sum: Report = { tally, failures };
  let next = from;
  const lane = async (): Promise<void> => {
    let worker = new SeedProcess();
    while (next < from + count) {
      const range = { from: next, count: Math.min(RANGE_SEEDS, from + count - next), stopAtFirst: false };
      next += range.count;
      const report = await worker.run(range);
      addTally(tally, report.tally);
      failures.push(...report.failures);
      if (report.tally.seeds === 0) {
        worker.end();
        worker = new SeedProcess();
      }
      progress(sum);
    }
    worker.end();
  };
  await Promise.all(Array.from({ length: availableParallelism() }, lane));
  return sum;
}
