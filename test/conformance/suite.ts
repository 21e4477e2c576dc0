// Cases in, results out: runs a table of cases against one target, some at a time, and tells what came of each.

import { Failure } from './bytes.ts';
import type { Target } from './circuit.ts';
import { Bench } from './session.ts';

export interface Case {
  /** Rules of PROTOCOL.md, with the one that matters first. */
  readonly rule: string;
  readonly name: string;
  /** The rule says SHOULD: a failure is a warning. */
  readonly should?: boolean;
  /** It waits for seconds: begun first. */
  readonly slow?: boolean;
  /** What the target must have; else the case is left out. */
  readonly needs?: keyof Traits | `no ${keyof Traits}`;
  readonly run: (bench: Bench) => Promise<void>;
}

export interface Section {
  readonly title: string;
  readonly cases: readonly Case[];
}

/** What differs between targets. */
export interface Traits {
  readonly TLS: boolean;
  readonly challenge: boolean;
  readonly psk: boolean;
}

export interface Result {
  readonly section: string;
  readonly rule: string;
  readonly name: string;
  readonly outcome: 'pass' | 'FAIL' | 'warn' | 'skip';
  /** What went wrong, or why it was left out. */
  readonly note: string;
  readonly ms: number;
}

export interface RunOptions {
  readonly parallel: number;
  /** Only cases whose section, rule or name has this in it. */
  readonly only?: string | undefined;
}

/** Longest any case may take. */
const CASE_MS = 60_000;

export async function run(sections: readonly Section[], target: Target, traits: Traits, options: RunOptions): Promise<Result[]> {
  const { only = '', parallel } = options;
  const chosen = sections
    .flatMap(({ title, cases }) => cases.map((one) => ({ title, one })))
    .filter(({ title, one }) => `${title} ${one.rule} ${one.name}`.includes(only));
  const results: Result[] = [];
  const waiting = [...chosen.entries()].sort(([, a], [, b]) => Number(b.one.slow ?? false) - Number(a.one.slow ?? false));
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [at, { title, one }] = next;
      results[at] = await judge(title, one, target, traits);
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  return results;
}

async function judge(section: string, { rule, name, should = false, needs, run }: Case, target: Target, traits: Traits): Promise<Result> {
  const base = { section, rule, name };
  if (needs !== undefined) {
    const trait = needs.replace('no ', '') as keyof Traits;
    if (traits[trait] === needs.startsWith('no '))
      return { ...base, outcome: 'skip', note: `the target has ${needs.startsWith('no ') ? '' : 'no '}${trait}`, ms: 0 };
  }
  const began = performance.now();
  const bench = new Bench(target);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Failure(`not over after ${CASE_MS} ms`)), CASE_MS);
  });
  try {
    const work = run(bench);
    work.catch(() => {});
    await Promise.race([work, late]);
    return { ...base, outcome: 'pass', note: '', ms: performance.now() - began };
  } catch (error) {
    const note = error instanceof Failure ? error.message : String(error instanceof Error ? (error.stack ?? error.message) : error);
    return { ...base, outcome: should ? 'warn' : 'FAIL', note, ms: performance.now() - began };
  } finally {
    clearTimeout(timer);
    bench.dispose();
  }
}

export interface Counts {
  readonly pass: number;
  readonly fail: number;
  readonly warn: number;
  readonly skip: number;
}

export function count(results: readonly Result[]): Counts {
  const of = (outcome: Result['outcome']): number => results.filter((result) => result.outcome === outcome).length;
  return { pass: of('pass'), fail: of('FAIL'), warn: of('warn'), skip: of('skip') };
}

/** The table for people: one line a case, in its section. */
export function table(results: readonly Result[]): string {
  const lines: string[] = [];
  let section = '';
  for (const result of results) {
    if (result.section !== section) lines.push('', `── ${result.section}`);
    section = result.section;
    const note = result.note === '' ? '' : `\n${' '.repeat(18)}↳ ${result.note}`;
    lines.push(`${result.outcome.padEnd(5)} ${result.rule.padEnd(11)} ${result.name}${note}`);
  }
  const { pass, fail, warn, skip } = count(results);
  lines.push('', `${results.length} cases: ${pass} passed, ${fail} failed, ${warn} warnings, ${skip} left out`);
  return lines.join('\n');
}
