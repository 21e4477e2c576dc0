// What a command is, how its arguments are read, and how its help is made: both from one table of its flags, so that they cannot differ.

import { parseArgs } from 'node:util';
import { duration, durations, type Place, place, share, size, UsageError, whole } from './values.ts';

export interface Flag {
  /** What its value is called in the help; absent for a switch. */
  readonly value?: string;
  readonly text: string;
  readonly short?: string;
  /** May be given more than once. */
  readonly multiple?: boolean;
  /** Shown in the help and used where the flag is not given. */
  readonly fallback?: string;
}

export type Flags = Readonly<Record<string, Flag>>;

export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** Forms of the command line, without the name of the program. */
  readonly usage: readonly string[];
  /** What it does and when one wants it; a few lines. */
  readonly about: string;
  readonly examples: readonly (readonly [line: string, what: string])[];
  readonly flags: Flags;
  /** How many words it takes besides flags. */
  readonly words: readonly [least: number, most: number];
  /** @returns the exit code: 0 done, 1 failed. Throws UsageError for 2. */
  readonly run: (given: Given) => Promise<number>;
}

/** The arguments of one call, checked against the command's flags. */
export class Given {
  readonly words: readonly string[];
  readonly #flags: Flags;
  readonly #values: Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;

  constructor(command: Command, args: readonly string[]) {
    this.#flags = { ...command.flags, help };
    const options = Object.fromEntries(
      Object.entries(this.#flags).map(([name, { value, short, multiple = false }]) => [
        name,
        { type: value === undefined ? ('boolean' as const) : ('string' as const), multiple, ...(short === undefined ? {} : { short }) },
      ]),
    );
    try {
      const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
      this.#values = values;
      this.words = positionals;
    } catch (error) {
      throw new UsageError((error as Error).message.split('. ')[0] as string);
    }
    if (this.has('help')) return;
    const [least, most] = command.words;
    if (this.words.length < least || this.words.length > most) {
      throw new UsageError(`${this.words.length < least ? 'too few' : 'too many'} arguments: outlast ${command.usage[0]}`);
    }
  }

  word(index: number): string {
    return this.words[index] as string;
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined;
  }

  text(name: string): string | undefined {
    return (this.#values[name] as string | undefined) ?? this.#flags[name]?.fallback;
  }

  list(name: string): readonly string[] {
    return (this.#values[name] as readonly string[] | undefined) ?? [];
  }

  place(index: number, name: string, leastPort: 0 | 1 = 1): Place {
    return place(name, this.word(index), leastPort);
  }

  duration(name: string): number | undefined {
    return this.#as(name, duration);
  }

  durations(name: string): ReturnType<typeof durations> | undefined {
    return this.#as(name, durations);
  }

  size(name: string): number | undefined {
    return this.#as(name, size);
  }

  share(name: string): number {
    return this.#as(name, share) ?? 0;
  }

  whole(name: string, least: number, most: number): number | undefined {
    return this.#as(name, (flag, text) => whole(flag, text, least, most));
  }

  #as<T>(name: string, parse: (name: string, text: string) => T): T | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : parse(`--${name}`, text);
  }
}

export const help: Flag = { short: 'h', text: 'this text' };

export function helpOf(command: Command): string {
  const { usage, about, examples, flags } = command;
  const rows = Object.entries({ ...flags, help }).map(([name, flag]): readonly [string, string] => {
    const short = flag.short === undefined ? '    ' : `-${flag.short}, `;
    const value = flag.value === undefined ? '' : ` ${flag.value}`;
    const notes = [...(flag.fallback === undefined ? [] : [`default ${flag.fallback}`]), ...(flag.multiple ? ['may be repeated'] : [])];
    return [`${short}--${name}${value}`, `${flag.text}${notes.length > 0 ? ` (${notes.join(', ')})` : ''}`];
  });
  const shown = examples.flatMap(([line, what]) => [`  # ${what}`, `  ${line}`, '']);
  return [
    ...usage.map((form, index) => `${index === 0 ? 'Usage: ' : '       '}outlast ${form}`),
    '',
    about,
    '',
    'Flags:',
    ...columns(rows),
    '',
    ...(shown.length > 0 ? ['Examples:', ...shown] : []),
  ].join('\n');
}

/** Two columns, the second one folded to lines of about a hundred characters. */
export function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  return rows.flatMap(([left, right]) =>
    fold(right, 104 - width).map((line, index) => `  ${(index === 0 ? left : '').padEnd(width)}${line}`.trimEnd()),
  );
}

function fold(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) as string;
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}
