// `npm run model`: checks docs/model/*.pml with spin, every configuration and every mutant; `-- --nightly` adds the big configurations.
// A configuration passes when its whole state space holds no error and no endless run; a mutant when an assertion fails.
// Needs the Debian packages spin and gcc, and installs them where it may.

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installMissing } from './debian.ts';

interface Job {
  readonly model: string;
  /** Macros, as in `CIRCUITS=4`. */
  readonly defines: readonly string[];
  /** Where it is set this mistake is built in, and must be found. */
  readonly mutant?: string;
  /** Looks for endless runs: all cycles count, since no model has progress labels. Else for failed assertions and dead-locks. */
  readonly cycles?: boolean;
}

interface Result {
  readonly passed: boolean;
  readonly states: number;
  readonly seconds: number;
  readonly note: string;
}

const models = fileURLToPath(new URL('../docs/model', import.meta.url));
const nightly = process.argv.includes('--nightly');
const MEMORY_MB = nightly ? 12_000 : 4_096;
/** Two at a time: few of them last long, and most of the time goes into the compiler. */
const LANES = 2;

// CIRCUITS=3 is the circuit of OPEN and two more; it is the default of all models that have circuits.
const small: readonly Job[] = [
  { model: 'open', defines: [] },
  { model: 'open', defines: ['DROPS', 'REPLAYS=2'] },
  { model: 'open', defines: ['DROPS'], cycles: true },
  { model: 'resume', defines: [] },
  { model: 'resume', defines: [], cycles: true },
  { model: 'resume', defines: ['COMMIT', 'DOWN=2', 'WINDOW=1'] },
  { model: 'resume', defines: ['ROLLBACK', 'UP=1', 'DOWN=2'] },
  { model: 'resume', defines: ['TWIN', 'DOWN=0'] },
  { model: 'close', defines: [] },
  { model: 'close', defines: ['EVICT'] },
  { model: 'close', defines: ['EVICT'], cycles: true },
  { model: 'commit', defines: ['FAULTS=2'] },
  { model: 'commit', defines: [], cycles: true },
  { model: 'commit', defines: ['ROLLBACK', 'MESSAGES=1'] },
  { model: 'fencing', defines: [] },
  { model: 'fencing', defines: ['FAULTS=0'], cycles: true },
  { model: 'ticket', defines: ['BURST=2'] },
  { model: 'ticket', defines: ['REPLAY'] },
  { model: 'ticket', defines: [], cycles: true },
];

const big: readonly Job[] = [
  { model: 'open', defines: ['DROPS', 'REPLAYS=2', 'CIRCUITS=4'] },
  { model: 'resume', defines: ['CIRCUITS=4', 'DOWN=2'] },
  { model: 'resume', defines: ['COMMIT', 'CIRCUITS=4'] },
  { model: 'resume', defines: ['ROLLBACK', 'DOWN=2'] },
  { model: 'resume', defines: ['ROLLBACK', 'CIRCUITS=4'] },
  { model: 'resume', defines: ['TWIN', 'CIRCUITS=4', 'DOWN=0'] },
  { model: 'resume', defines: ['TWIN', 'CIRCUITS=4', 'DOWN=0', 'FRESH_INSTANCE'] },
  { model: 'resume', defines: ['TWIN'] },
  { model: 'close', defines: ['EVICT', 'CIRCUITS=4'] },
  { model: 'commit', defines: ['CRASHES=2', 'FAULTS=2'] },
  { model: 'commit', defines: ['ROLLBACK', 'FAULTS=2'] },
  { model: 'fencing', defines: ['MESSAGES=2', 'FAULTS=0'] },
  { model: 'fencing', defines: ['CIRCUITS=4'] },
  { model: 'ticket', defines: ['DIALS=4', 'BURST=2'] },
  { model: 'ticket', defines: ['DIALS=4', 'REPLAY'] },
];

/** The mistakes by model, with what must be configured for them to show. README.md says what each one is. */
const mutants: readonly Job[] = [
  ...planted('open', ['DROPS'], 'OPEN_WITH_DATA REOPENS PROVISIONAL_COUNTS REAL_BEFORE_FENCE CONFIRM_UNBOUND CONFIRM_LATE DROPS_LIVE'),
  ...planted('resume', [], 'ANY_GENERATION GOES_ON_AT_SENT WRITES_WHILE_FROZEN ACK_FORGOTTEN'),
  ...planted('resume', ['CIRCUITS=4'], 'WRONG_OFFSET'),
  ...planted('resume', ['COMMIT'], 'ACK_BEFORE_COMMIT'),
  ...planted('resume', ['ROLLBACK', 'UP=1', 'DOWN=2'], 'KEEPS_OLDER'),
  ...planted('resume', ['TWIN', 'DOWN=0'], 'END_FOR_SENT FRESH_EARLY NO_FENCE EARLY_BEFORE_VERDICT POSITIONS_LAST SENT_UNCHECKED'),
  ...planted('resume', ['TWIN', 'DOWN=0', 'CIRCUITS=4'], 'NO_INSTANCE'),
  ...planted(
    'close',
    [],
    'ACCEPTOR_WAITS FINALS_IGNORED UNKNOWN_FAILS END_ONCE CLOSE_BEFORE_ACK DISCARDED_ACKED DIALER_FORGETS UNREAD_ONCE DISCARD_ONCE',
  ),
  ...planted(
    'commit',
    [],
    'ACK_BEFORE_RECORD OUTPUT_BEFORE_RECORD RELEASE_WHEN_ASKED UNKNOWN_RELEASES BOUNDARY_IN_MESSAGE DATA_OF_ANOTHER_MOMENT',
  ),
  ...planted(
    'commit',
    [],
    'FLUSH_IN_MESSAGE RECEIVED_FOR_CONSUMED NO_OUTBOX OTHER_WRITE_SAME_NUMBER NUMBER_UNCHECKED APPENDS_AGAIN DEAD_WRITES READ_BEFORE_CLAIM',
  ),
  ...planted('commit', ['PATIENT'], 'IDLE_PUSH_WAITS'),
  ...planted('commit', ['ROLLBACK'], 'GAP_UNSEEN'),
  ...planted(
    'fencing',
    [],
    'NO_FENCE FENCE_BY_OWNER FENCE_BY_GENERATION FENCES_ITSELF FENCED_RELEASES FENCED_GOES_ON KEEPS_MEMORY MEMORY_REFUSES MEMORY_ACCEPTS',
  ),
  ...planted('fencing', [], 'POSITIONS_BEFORE_CLAIM STALE_CLAIM REPEAT_REFUSED'),
  ...planted(
    'ticket',
    [],
    'ACK_FIRST RECEIVED_ALL MEMORY_BY_COUNT RELEASES_EARLY TICKET_IN_MESSAGE NO_TICKET_ON_RESUME STALE_RESUME OLD_TICKET STORES_APART',
  ),
  ...planted('ticket', ['BURST=2'], 'TOO_LARGE'),
  ...planted('ticket', ['DIALS=4'], 'ORIGIN_BY_LINE'),
  ...planted('ticket', ['REPLAY'], 'MEMORY_BY_GENERATION'),
];

function planted(model: string, defines: readonly string[], names: string): Job[] {
  return names.split(' ').map((mutant) => ({ model, defines, mutant }));
}

installMissing(['spin', 'gcc']);
const begun = performance.now();
const failures = await runAll([...(nightly ? big : []), ...small, ...mutants]);
process.stdout.write(`${mutants.length} mutants, ${((performance.now() - begun) / 1000).toFixed(0)} s, ${failures} failed\n`);
process.exitCode = failures === 0 ? 0 : 1;

async function runAll(jobs: readonly Job[]): Promise<number> {
  const waiting = [...jobs];
  let failed = 0;
  const lane = async (): Promise<void> => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
      const { passed, states, seconds, note } = await check(job);
      if (!passed) failed++;
      const title = [job.model, ...job.defines, ...(job.cycles ? ['(cycles)'] : []), ...(job.mutant ? [job.mutant] : [])].join(' ');
      const numbers = `${states.toLocaleString('en').padStart(12)} states ${seconds.toFixed(1).padStart(6)} s`;
      process.stdout.write(`${passed ? 'ok  ' : 'FAIL'} ${title.padEnd(50)} ${numbers}  ${note}\n`);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return failed;
}

async function check(job: Job): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'outlast-model-'));
  try {
    const defines = [...job.defines, ...(job.mutant ? [`MUTANT_${job.mutant}`] : [])].map((define) => `-D${define}`);
    await run(folder, 'spin', ['-a', ...defines, join(models, `${job.model}.pml`)]);
    // Without the reduction: it finds nothing to leave out where every step touches shared state, and costs time.
    const search = job.cycles ? ['-DNP'] : ['-DSAFETY'];
    // Most mutants are found at once: then the compiler's optimiser takes longer than the search.
    const effort = job.mutant && !job.defines.includes('CIRCUITS=4') ? '-O0' : '-O1';
    await run(folder, 'gcc', [effort, '-w', '-DNOREDUCE', '-DCOLLAPSE', `-DMEMLIM=${MEMORY_MB}`, ...search, '-o', 'pan', 'pan.c']);
    const started = performance.now();
    const told = await run(folder, './pan', ['-n', '-m1000000', ...(job.cycles ? ['-l'] : [])]);
    return judge(job, told, (performance.now() - started) / 1000);
  } catch (error) {
    return { passed: false, states: 0, seconds: 0, note: String(error) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function judge(job: Job, told: string, seconds: number): Result {
  const states = Number(/(\d+) states, stored/.exec(told)?.[1] ?? 0);
  const errors = Number(/errors: (\d+)/.exec(told)?.[1] ?? -1);
  const reason = /^pan:1: (.*)$/m.exec(told)?.[1] ?? '';
  // Only a failed assertion is a find: an index out of bounds would be a mistake of the model.
  if (job.mutant) return { passed: errors > 0 && /^assertion violated (?!- )/.test(reason), states, seconds, note: 'found' };
  const complete = !/max search depth too small|not completed|out of memory/.test(told);
  return { passed: errors === 0 && complete && states > 0, states, seconds, note: complete ? reason : 'incomplete' };
}

function run(folder: string, command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { cwd: folder, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      // pan exits with 0 whether or not it finds an error; what it prints decides.
      if (error === null) resolve(stdout + stderr);
      else reject(new Error(`${command}: ${error.message}\n${stdout}${stderr}`));
    });
  });
}
