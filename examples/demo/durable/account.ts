// What one end has made of the numbers 0, 1, 2 ... so far. Kept in session.data, so that it is what the kills must spare: a number that is
// lost or acts twice shows in the counters, and one that the counters cannot see (data set back to an older state) shows in the sum.

export interface Account {
  readonly count: number;
  readonly sum: number;
  /** The number that is due. */
  readonly next: number;
  readonly lost: number;
  readonly doubled: number;
}

export const nothing: Account = { count: 0, sum: 0, next: 0, lost: 0, doubled: 0 };

/** The account behind one more number. */
export function enter({ count, sum, next, lost, doubled }: Account, number: number): Account {
  return {
    count: count + 1,
    sum: sum + number,
    next: Math.max(next, number + 1),
    lost: lost + Math.max(0, number - next),
    doubled: doubled + (number < next ? 1 : 0),
  };
}

/** Sum of the numbers below `count`. */
export function sumBelow(count: number): number {
  return (count * (count - 1)) / 2;
}

/** Whether each of so many numbers has acted once. */
export function isExact({ count, sum, lost, doubled }: Account, numbers: number): boolean {
  return count === numbers && sum === sumBelow(numbers) && lost === 0 && doubled === 0;
}
