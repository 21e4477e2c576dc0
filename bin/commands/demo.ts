// outlast demo: examples/demo, which pushes a file through sessions whose circuits are cut all the time, and compares what came out.

import { resolve } from 'node:path';
import type { Command } from '../command.ts';
import { packageFolder } from '../package-folder.ts';
import { runFile } from '../run-file.ts';

export const demo: Command = {
  name: 'demo',
  summary: 'see it: a file goes both ways through dozens of cuts, and arrives whole',
  usage: ['demo [FILE] [--cuts N] [--seed N]', 'demo --durable [--rounds N] [--seed N]'],
  about: `Sends a file as lines one way and as blocks the other way over real sockets, while a proxy between cuts the connections.
Ends with the SHA-256 of what was sent and what arrived. On a terminal: c cuts, h half-opens, k kills the proxy, q ends.
With --durable the processes die too (SIGKILL): x kills the server, m moves to a second one, r kills the client. Needs the package lmdb.`,
  examples: [
    ['outlast demo --cuts 100', 'about ten seconds'],
    ['outlast demo --durable', 'kill what you like; without a terminal it does so by itself'],
  ],
  flags: {
    cuts: { value: 'N', text: 'how many cuts at least', fallback: '50' },
    seed: { value: 'N', text: 'where the cuts are, repeatably' },
    durable: { text: 'sessions in a store, and processes that are killed' },
    rounds: { value: 'N', text: 'with --durable, without a terminal: how often each is killed', fallback: '4' },
    spoil: { value: 'HOW', text: 'lose, double or change a message, to see that it would be noticed' },
  },
  words: [0, 1],
  run: async (given) => {
    const flags = ['cuts', 'seed', 'rounds', 'spoil'].flatMap((name) =>
      given.text(name) === undefined ? [] : [`--${name}`, given.text(name) as string],
    );
    if (given.has('durable')) flags.push('--durable');
    return await runFile('examples/demo/main', [...given.words.map((path) => resolve(path)), ...flags], packageFolder);
  },
};
