// Which faults really happened: a list of kinds, and a count of each. What a plan asks for and never happens proves nothing, so the
// simulator's test wants every kind to have happened.

export const faultKinds = [
  'cut at a byte',
  'cut at a time',
  'cut inside a chosen frame or flight',
  'half-open: the client does not learn',
  'half-open: the server does not learn',
  'half-open: bytes still come behind the cut',
  'end by FIN',
  'end by RST',
  'a RST overtakes bytes',
  'delay of 100 ms and more',
  'stall, and late delivery',
  'late data of an older circuit',
  'late RESUME of an older circuit',
  'second circuit beside a living one',
  'connect refused',
  'connect black hole',
  'connected to silence',
  'slow reader',
  'no reader at close',
  'paced sender',
  'send buffer full',
  'broadcast among messages',
  'messages gathered for an interval',
  'window full to the last byte at END',
  'pieces of 1 byte',
  'pieces of 32 KiB and more',
  'server suspended',
  'client suspended',
  'clock stood still in a suspension',
  'clock stepped forward',
  'late alarm',
  'outage of the hold time ±2 ms',
  'RESUME judged across the end of the hold time',
  'two processes with one identity',
  'process restored from an older state',
  'lost OPEN',
  'lost OPENED',
  'lost CONFIRM',
  'lost RESUME',
  'lost RESUMED',
  'lost END',
  'lost CLOSE',
  'replayed OPEN',
  'replayed RESUME',
  'UNKNOWN from a wrong node',
  'UNKNOWN for an evicted tombstone',
  'forged REJECTED',
  'another protocol answers',
  'frame that breaks a rule',
  'challenge',
  'server drains',
  'server closes',
  'duplicate replaced or refused',
  'handler throws',
  'destroyed',
] as const;
export type FaultKind = (typeof faultKinds)[number];

export class Coverage {
  readonly counts: Partial<Record<FaultKind, number>> = {};

  count(kind: FaultKind): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
  }
}
