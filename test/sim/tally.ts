// What many seeds did together, as plain numbers that can be sent from process to process and added up.

import type { Outcome } from './simulate.ts';

export interface Tally {
  seeds: number;
  cuts: number;
  resumes: number;
  /** Of messages, compared with what was sent. */
  bytes: number;
  events: number;
  virtualMs: number;
  /** Seeds of each family. */
  readonly families: Record<string, number>;
  /** How often each kind of fault happened. */
  readonly kinds: Record<string, number>;
}

export function emptyTally(): Tally {
  return { seeds: 0, cuts: 0, resumes: 0, bytes: 0, events: 0, virtualMs: 0, families: {}, kinds: {} };
}

export function addOutcome(tally: Tally, outcome: Outcome): void {
  const { cuts, resumes, bytes, events, virtualMs, family, kinds } = outcome;
  addTally(tally, { seeds: 1, cuts, resumes, bytes, events, virtualMs, families: { [family]: 1 }, kinds });
}

export function addTally(tally: Tally, other: Tally): void {
  tally.seeds += other.seeds;
  tally.cuts += other.cuts;
  tally.resumes += other.resumes;
  tally.bytes += other.bytes;
  tally.events += other.events;
  tally.virtualMs += other.virtualMs;
  addCounts(tally.families, other.families);
  addCounts(tally.kinds, other.kinds);
}

/** @param ms of real time */
export function tallyLine(tally: Tally, ms: number): string {
  const rate = (tally.seeds / (ms / 1_000)).toFixed(0);
  const days = (tally.virtualMs / 86_400_000).toFixed(1);
  const mib = (tally.bytes / 1_048_576).toFixed(0);
  return `${tally.seeds} seeds (${rate}/s), ${days} virtual days, ${tally.events} events, ${tally.cuts} cuts, ${tally.resumes} resumes, ${mib} MiB verified`;
}

/** Faults by kind, most frequent first. */
export function kindLines(tally: Tally): string[] {
  return Object.entries(tally.kinds)
    .sort(([, a], [, b]) => b - a)
    .map(([kind, count]) => `${String(count).padStart(10)} ${kind}`);
}

function addCounts(counts: Record<string, number>, others: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(others)) counts[name] = (counts[name] ?? 0) + count;
}
