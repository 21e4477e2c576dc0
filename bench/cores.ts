// Two processors: one for the main thread of every server, one for that of every client, both kept awake. Left to the scheduler, the two
// ends of one peer share a processor at times; and a processor of a virtual machine that sleeps between two messages has to wait for its
// host, which takes longer than what is measured. Linux, by tools of util-linux; elsewhere nothing of it is done, and the page says so.

import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

export type End = 'server' | 'client';

/** Runs where nothing else wants to (SCHED_IDLE), and no longer than the benchmark. */
const AWAKE = `const parent = process.ppid;
while (process.ppid === parent) for (let i = 0; i < 1e7; i++);`;

const processors: readonly number[] = processorsHere();

/** Whether ends are kept apart here. */
export const apart: boolean = processors.length > 1;

/** To be called when the process has its other threads: those of V8 go wherever there is room. */
export function keepApart(pid: number, end: End): void {
  if (apart) execFileSync('taskset', ['-p', '-c', String(processorOf(end)), String(pid)], { stdio: 'ignore' });
}

/** @returns ends it */
export function keepAwake(): () => void {
  if (!apart) return () => {};
  const spinners = (['server', 'client'] as const).map((end) =>
    spawn('chrt', ['-i', '0', 'taskset', '-c', String(processorOf(end)), process.execPath, '-e', AWAKE], { stdio: 'ignore' }),
  );
  return () => {
    for (const spinner of spinners) spinner.kill('SIGKILL');
  };
}

function processorOf(end: End): number {
  return (end === 'server' ? processors[0] : processors[1]) as number;
}

/** Those that this process may use; none where they cannot be chosen. */
function processorsHere(): readonly number[] {
  try {
    for (const tool of ['taskset', 'chrt']) execFileSync(tool, ['--version'], { stdio: 'ignore' });
    // Ranges and numbers: 0-3,8 (proc_pid_status(5)).
    const [, list = ''] = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
    return list.split(',').flatMap((range) => {
      const [first = 0, last = first] = range.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
  } catch {
    return [];
  }
}
