// Counts what a function makes Node do with memory: bytes searched, copied and allocated. A measure of work that no busy machine disturbs.

export interface Work {
  scannedBytes: number;
  copiedBytes: number;
  allocatedBytes: number;
  largestAllocation: number;
  /** Calls of subarray(): each makes an object. */
  views: number;
}

/** Runs `body` with Buffer's methods replaced by counting ones. */
export function countWork(body: (counts: Work) => void): Work {
  const counts: Work = { scannedBytes: 0, copiedBytes: 0, allocatedBytes: 0, largestAllocation: 0, views: 0 };
  const { allocUnsafe } = Buffer;
  const { copy, indexOf, subarray } = Buffer.prototype;
  Buffer.allocUnsafe = (size: number): ReturnType<typeof allocUnsafe> => {
    counts.allocatedBytes += size;
    counts.largestAllocation = Math.max(counts.largestAllocation, size);
    return allocUnsafe(size);
  };
  Buffer.prototype.copy = function countedCopy(this: Buffer, ...given: Parameters<typeof copy>): number {
    const copied = copy.apply(this, given);
    counts.copiedBytes += copied;
    return copied;
  };
  Buffer.prototype.indexOf = function countedIndexOf(this: Buffer, ...given: unknown[]): number {
    const hit = (indexOf as (...all: unknown[]) => number).apply(this, given);
    counts.scannedBytes += (hit < 0 ? this.length : hit + 1) - Math.min(Number(given[1] ?? 0), this.length);
    return hit;
  };
  Buffer.prototype.subarray = function countedSubarray(this: Buffer, ...given: Parameters<typeof subarray>): ReturnType<typeof subarray> {
    counts.views++;
    return subarray.apply(this, given);
  };
  try {
    body(counts);
  } finally {
    Buffer.allocUnsafe = allocUnsafe;
    Object.assign(Buffer.prototype, { copy, indexOf, subarray });
  }
  return counts;
}
