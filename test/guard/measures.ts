// What is counted, and how: a folder of compiled probes goes in, a figure for each measure comes out. Each runs in processes of its own.
// Heap by V8's own numbers around each collection, system calls by strace, instructions by valgrind: none of them is a time.

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Tolerance } from './figures.ts';

export interface Measure {
  readonly name: string;
  readonly unit: string;
  readonly tolerance: Tolerance;
  /** @param folder the compiled probes; files may be written into it */
  measure(folder: string): Promise<number>;
}

/** The compiler does the same thing at the same point of every run. */
const REPEATABLE = ['--predictable', '--single-threaded', '--hash-seed=1', '--random-seed=1'];

export const measures: readonly Measure[] = [
  instructions('one way, 32 B', 'one way', 1000, 4000, 256, 'message'),
  instructions('echo, 32 B', 'echo', 10_000, 30_000, 1, 'round trip'),
  instructions('ack, 100,000 unacknowledged', 'ack', 10_000, 30_000, 1, 'message and ack'),
  heap('receiveRanges', 32),
  heap('receive', 32),
  heap('batches', 32),
  heap('for await', 32),
  heap('stream', 32),
  heap('receiveRanges', 65_536),
  heap('receiveRanges', 65_536, 'lend'),
  idle(),
  calls('one way, 32 B', '32', 1_000_000, 1000, '1,000 messages'),
  calls('one way, 64 KiB', '65536', 4000, 1, 'message'),
  calls('echo, 128 B', 'echo', 10_000, 1, 'round trip'),
];

/** Of the core alone, both ends. What one of `per` costs between `warm` and `rounds` rounds. */
function instructions(what: string, work: string, warm: number, rounds: number, per: number, unit: string): Measure {
  return {
    name: `instructions: ${what}`,
    unit: `instructions a ${unit}`,
    // The same code repeats to the instruction. Any other code may be compiled anew at another point of the run: seen, 7 %.
    tolerance: { share: 0.12, plus: 0 },
    async measure(folder) {
      const count = async (number: number): Promise<number> => {
        const options = ['--tool=callgrind', '--callgrind-out-file=/dev/null'];
        const { stderr } = await run('valgrind', [
          ...options,
          process.execPath,
          ...REPEATABLE,
          join(folder, 'core.js'),
          work,
          String(number),
        ]);
        return Number(/Collected : (\d+)/.exec(stderr)?.[1]);
      };
      return ((await count(rounds)) - (await count(warm))) / ((rounds - warm) * per);
    },
  };
}

/** Bytes of heap that a message costs both ends together; not those outside of the heap. */
function heap(way: string, bytes: number, lend = ''): Measure {
  const large = bytes > 1024;
  return {
    name: `heap: ${way}, ${large ? `${bytes / 1024} KiB` : `${bytes} B`}${lend === '' ? '' : `, ${lend}`}`,
    unit: 'heap bytes a message',
    // The smallest object has 16. A large message comes in as many reads as chance wants, and each has objects.
    tolerance: large ? { share: 0.1, plus: 0 } : { share: 0.01, plus: 8 },
    async measure(folder) {
      const { stdout } = await run(process.execPath, ['--expose-gc', join(folder, 'heap.js'), way, String(bytes), lend]);
      return Number(stdout);
    },
  };
}

/** Bytes of heap that an idle session costs a server, over those of a bare socket. */
function idle(): Measure {
  return {
    name: 'heap: idle session',
    unit: 'heap bytes a session',
    // What is compiled meanwhile and how far tables grew counts as well: seen, 120 bytes between two runs for each of 3,000 sessions,
    // more on a busy machine. Hence the median of three, and room for it.
    tolerance: { share: 0, plus: 250 },
    async measure(folder) {
      const heapOf = async (what: string): Promise<number> => {
        const runs: number[] = [];
        for (let i = 0; i < 3; i++) runs.push(Number((await run(process.execPath, ['--expose-gc', join(folder, 'idle.js'), what])).stdout));
        return runs.sort((a, b) => a - b)[1] as number;
      };
      return (await heapOf('session')) - (await heapOf('bare'));
    },
  };
}

/** System calls that move bytes or wait, of both ends together. */
function calls(what: string, work: string, count: number, per: number, unit: string): Measure {
  return {
    name: `calls: ${what}`,
    unit: `system calls a ${unit}`.replace('a 1', '1'),
    // How the reads fall is chance; a write for each message would be a thousand times as many.
    tolerance: { share: 0.15, plus: 0 },
    async measure(folder) {
      const counted = async (number: number): Promise<number> => {
        const file = join(folder, `calls-${work}-${number}`);
        const wanted = 'trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,epoll_wait,epoll_pwait,epoll_ctl';
        await run('strace', ['-f', '-c', '-e', wanted, '-o', file, process.execPath, join(folder, 'calls.js'), work, String(number)]);
        return Number(/\s(\d+)\s+(?:\d+\s+)?total/.exec(await readFile(file, 'utf8'))?.[1]);
      };
      return ((await counted(count)) - (await counted(0))) / (count / per);
    },
  };
}

const run = promisify(execFile);
