// Which session? In: a user's sessions, and a question to the user. Out: one of them and how to attach to it, or a new one.

import type { Prompter } from './prompter.ts';
import type { Shell } from './shell.ts';

/** take: whoever is attached is detached. join: all of them type. watch: this one only looks. */
export type Manner = 'take' | 'join' | 'watch';

export type Choice =
  | { readonly kind: 'new'; readonly name: string | null }
  | { readonly kind: 'attach'; readonly shell: Shell; readonly manner: Manner };

const CHOICE = /^(\d{1,2})([jtw]?)$/;
const NEW_NAME = /^n(?: +([A-Za-z0-9_-]{1,32}))?$/;
const manners: Readonly<Record<string, Manner>> = { j: 'join', t: 'take', w: 'watch' };
const TITLE_CHARACTERS = 40;
const HELP = 'number: attach (1t takes it over, 1j joins, 1w only watches), Enter: a new one, n NAME: a new one of that name, q: quit';

/** @returns null: the user wants to go */
export async function chooseSession(
  prompter: Prompter,
  shells: () => readonly Shell[],
  say: (text: string) => void,
): Promise<Choice | null> {
  for (;;) {
    const own = shells();
    if (own.length === 0) return { kind: 'new', name: null };
    say(`\nYour sessions:\n${listing(own).join('\n')}\n${HELP}\n`);
    const line = (await prompter.ask('session: '))?.trim();
    if (line === undefined || line === 'q') return null;
    if (line === '') return { kind: 'new', name: null };
    const fresh = NEW_NAME.exec(line);
    const name = fresh?.[1] ?? null;
    if (fresh !== null && !own.some((shell) => shell.name === name && name !== null)) return { kind: 'new', name };
    const [, number, letter = ''] = CHOICE.exec(line) ?? [];
    const shell = own[Number(number) - 1];
    // It may have ended while the user was thinking.
    if (shell !== undefined && !shell.ended) return { kind: 'attach', shell, manner: manners[letter] ?? plainManner(shell) };
    say('There is no such session.\n');
  }
}

/** What attaching without a word means. */
export function plainManner(shell: Shell): Manner {
  return shell.shared ? 'join' : 'take';
}

/** A line or two for each session. */
export function listing(shells: readonly Shell[]): string[] {
  const now = performance.now();
  return shells.flatMap((shell, index) => {
    const { columns, rows } = shell.screen.size;
    const state = shell.detachedMs === null ? whoLooks(shell) : `detached for ${duration(now - shell.detachedMs)}`;
    const title = shell.screen.title === '' ? '' : ` "${shell.screen.title.slice(0, TITLE_CHARACTERS)}"`;
    const age = duration(now - shell.createdMs);
    const head = `${String(index + 1).padStart(3)}  ${shell.label.padEnd(10)} ${state}, ${age} old, ${columns}x${rows}${title}`;
    const { lastLine } = shell.screen;
    return lastLine === '' ? [head] : [head, `       | ${lastLine.slice(0, 70)}`];
  });
}

function whoLooks(shell: Shell): string {
  const viewers = [...shell.viewers];
  const from = [...new Set(viewers.map(({ connection }) => connection.facts.circuit.remoteAddress || 'here'))].join(', ');
  const offline = viewers.length > 0 && viewers.every(({ connection }) => connection.offline);
  const count = viewers.length > 1 ? ` (${viewers.length})` : '';
  return `${offline ? 'offline' : 'attached'} from ${from}${count}${shell.shared ? ', shared' : ''}`;
}

export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}
