// A process of its own, node --expose-gc: bytes of heap allocated per message, both ends together. Takes a way to read, the size of a
// message, and 'lend' where it is lent; prints the figure.

import { setTimeout as wait } from 'node:timers/promises';
import { GCProfiler, getHeapStatistics } from 'node:v8';
import { READS, Traffic } from './traffic.ts';

const MESSAGES = 1_000_000;
/** As many bytes for large messages as for small ones. */
const BYTES = 64_000_000;
const REPEATS = 5;

const [way = '', size = '', lent] = process.argv.slice(2);
const read = READS[way];
if (read === undefined) throw new Error(`no way to read: '${way}'`);
const bytes = Number(size);
const count = Math.min(MESSAGES, Math.ceil((BYTES * 16) / bytes));
const traffic = await Traffic.oneWay(read, bytes, lent === 'lend');

// What runs often enough is compiled by then.
await traffic.send(count);
let least = Number.POSITIVE_INFINITY;
for (let i = 0; i < REPEATS; i++) {
  const allocated = await allocatedBy(() => traffic.send(count));
  // Chance only adds: a chunk that came in two, code that was compiled again.
  least = Math.min(least, allocated / count);
}
await traffic.close();
process.stdout.write(`${least}\n`);

/**
 * The heap grows between collections by what was allocated, and by nothing else: the sum of all growth is exact, however many
 * collections there were.
 */
async function allocatedBy(work: () => Promise<void>): Promise<number> {
  global.gc?.();
  // Pages that the collection left to be swept later would look like memory given back.
  await wait(50);
  const profiler = new GCProfiler();
  profiler.start();
  let used = getHeapStatistics().used_heap_size;
  await work();
  const end = getHeapStatistics().used_heap_size;
  let allocated = 0;
  for (const { beforeGC, afterGC } of profiler.stop().statistics) {
    allocated += beforeGC.heapStatistics.usedHeapSize - used;
    used = afterGC.heapStatistics.usedHeapSize;
  }
  return allocated + end - used;
}
