// outlast top: the sessions of a running listen or forward, over its control socket: a live table on a terminal, one look for scripts.

import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Command, Given } from '../command.ts';
import { ControlClient, type Listing, type Row } from '../tunnel/control.ts';
import { showDuration, showSize } from '../values.ts';

export const top: Command = {
  name: 'top',
  summary: 'the sessions of a running listen or forward: watch, kick, drain',
  usage: ['top PATH', 'top PATH --once | --json', 'top PATH --kick ID | --drain'],
  about: `Shows the sessions of the process that was started with --control PATH: state, which circuit carries it, round trip, bytes
held in both directions, and how long a session without a connection is still held. Only the user who runs the process
can open its control socket.

Keys: arrows choose, k kicks the chosen session (its connection is reset), d drains the process, q leaves.`,
  examples: [
    ['outlast listen 7000 --to 127.0.0.1:22 --control /run/user/1000/outlast.sock', 'in one terminal, and in another:'],
    ['outlast top /run/user/1000/outlast.sock', 'the live table'],
    ['outlast top /run/user/1000/outlast.sock --json | jq \'.sessions[] | select(.state == "detached")\'', 'what waits for its network'],
  ],
  flags: {
    once: { text: 'print the table once' },
    json: { text: 'print it once as JSON: byte counts, and times in milliseconds' },
    every: { value: 'TIME', text: 'how often the live table is drawn', fallback: '1s' },
    kick: { value: 'ID', text: 'end the session whose id begins so, with a reset' },
    drain: { text: 'take no new sessions, and end when the open ones have; as SIGTERM does' },
  },
  words: [1, 1],
  run: async (given) => {
    const control = await ControlClient.open(given.word(0));
    try {
      return await act(given, control);
    } finally {
      control.close();
    }
  },
};

async function act(given: Given, control: ControlClient): Promise<number> {
  const id = given.text('kick');
  if (id !== undefined) {
    const { kicked } = await control.ask<{ kicked: boolean }>({ do: 'kick', id });
    if (!kicked) process.stderr.write(`outlast top: not exactly one session has an id that begins with ${id}\n`);
    return kicked ? 0 : 1;
  }
  if (given.has('drain')) {
    await control.ask({ do: 'drain' });
    return 0;
  }
  if (given.has('json') || given.has('once') || !process.stdout.isTTY) {
    const listing = await control.ask<Listing>({ do: 'list' });
    process.stdout.write(given.has('json') ? `${JSON.stringify(listing)}\n` : `${tableOf(listing).join('\n')}\n`);
    return 0;
  }
  return await new Screen(control, given.duration('every') as number).run();
}

type Column = readonly [title: string, width: number, of: (row: Row) => string];

const time = (ms: number | null): string => (ms === null ? '-' : showDuration(ms));
const table: readonly Column[] = [
  ['SESSION', 8, (row) => row.id.slice(0, 8)],
  ['STATE', 8, (row) => row.state],
  ['CIRCUIT', 7, (row) => String(row.circuit)],
  ['RTT', 8, (row) => time(row.rttMs)],
  ['HELD OUT', 10, (row) => showSize(row.outboundBytes)],
  ['HELD IN', 10, (row) => showSize(row.inboundBytes)],
  ['SENT', 10, (row) => showSize(row.sentBytes)],
  ['RECEIVED', 10, (row) => showSize(row.receivedBytes)],
  ['AGE', 8, (row) => time(row.ageMs)],
  ['HOLD LEFT', 9, (row) => time(row.holdLeftMs)],
  ['PEER', 22, (row) => row.peer],
  ['TARGET', 0, (row) => row.target],
];

/** Head line, column titles, and a line for each session. */
export function tableOf({ command, draining, sessions }: Listing): string[] {
  const away = sessions.filter(({ state }) => state === 'detached').length;
  const count = sessions.length === 1 ? '1 session' : `${sessions.length} sessions`;
  const line = (cell: (column: Column) => string): string =>
    table
      .map((column) => cell(column).padEnd(column[1]))
      .join(' ')
      .trimEnd();
  return [
    `outlast ${command}${draining ? ' (draining)' : ''}: ${count}, ${away} without a connection`,
    line(([title]) => title),
    ...sessions.map((row) => line(([, , of]) => of(row))),
  ];
}

/** The live table. Keys come in, frames go out, until q. */
class Screen {
  readonly #control: ControlClient;
  readonly #everyMs: number;
  #chosen = 0;
  #listing: Listing = { command: '', draining: false, sessions: [] };
  #wake = new AbortController();
  #over = false;
  /** What a key has asked for; requests go one at a time. */
  #asked: { readonly do: string; readonly id?: string } | undefined;

  constructor(control: ControlClient, everyMs: number) {
    this.#control = control;
    this.#everyMs = everyMs;
  }

  async run(): Promise<number> {
    const { stdin, stdout } = process;
    stdin.setRawMode?.(true);
    const onKey = (key: Buffer): void => this.#key(key.toString('latin1'));
    stdin.on('data', onKey);
    stdout.write('\x1b[?1049h\x1b[?25l');
    try {
      while (!this.#over) {
        if (this.#asked !== undefined) await this.#control.ask(this.#asked);
        this.#asked = undefined;
        this.#listing = await this.#control.ask<Listing>({ do: 'list' });
        this.#draw();
        await delay(this.#everyMs, undefined, { signal: this.#wake.signal }).catch(() => {});
        this.#wake = new AbortController();
      }
    } finally {
      stdout.write('\x1b[?25h\x1b[?1049l');
      stdin.off('data', onKey);
      stdin.setRawMode?.(false);
      stdin.pause();
    }
    if (stdout.writableNeedDrain) await once(stdout, 'drain');
    return 0;
  }

  #key(key: string): void {
    const last = Math.max(0, this.#listing.sessions.length - 1);
    if (key === 'q' || key === '\x03') this.#over = true;
    else if (key === '\x1b[A') this.#chosen = Math.max(0, this.#chosen - 1);
    else if (key === '\x1b[B') this.#chosen = Math.min(last, this.#chosen + 1);
    else if (key === 'd') this.#asked = { do: 'drain' };
    else if (key === 'k') this.#kick();
    this.#wake.abort();
  }

  #kick(): void {
    const row = this.#listing.sessions[this.#chosen];
    if (row !== undefined) this.#asked = { do: 'kick', id: row.id };
  }

  #draw(): void {
    const { rows = 24, columns = 80 } = process.stdout;
    this.#chosen = Math.min(this.#chosen, Math.max(0, this.#listing.sessions.length - 1));
    const [head = '', titles = '', ...sessions] = tableOf(this.#listing).map((text) => text.slice(0, columns));
    // The chosen one stays in sight.
    const room = Math.max(1, rows - 4);
    const from = Math.max(0, this.#chosen - room + 1);
    const body = sessions.slice(from, from + room).map((text, index) => (from + index === this.#chosen ? `\x1b[7m${text}\x1b[0m` : text));
    const foot = 'arrows choose, k kick, d drain, q quit'.slice(0, columns);
    process.stdout.write(`\x1b[H${[head, `\x1b[1m${titles}\x1b[0m`, ...body, foot].map((text) => `${text}\x1b[K`).join('\r\n')}\x1b[J`);
  }
}
