// outlast bench: the benchmark of the repository, where there is one.

import type { Command } from '../command.ts';
import { packageFolder } from '../package-folder.ts';
import { hasFile, runFile } from '../run-file.ts';

export const bench: Command = {
  name: 'bench',
  summary: 'what a session costs on this machine, beside a bare socket',
  usage: ['bench [--tunnel] [--rounds N]'],
  about: `Compares sessions with bare sockets that do the same framing, or with --tunnel this command's tunnel with socat doing the same two
hops. Rounds alternate; medians and ratios are printed. Part of the repository, not of the installed package.`,
  examples: [['outlast bench --rounds 3', 'a first impression, in about a minute']],
  flags: {
    tunnel: { text: 'compare the tunnel with socat' },
    rounds: { value: 'N', text: 'how many rounds', fallback: '3' },
  },
  words: [0, 0],
  run: async (given) => {
    const name = given.has('tunnel') ? 'bench/tunnel' : 'scripts/bench';
    if (!hasFile(name, packageFolder)) {
      process.stderr.write('outlast bench: the benchmarks are in the repository: clone it, npm ci, and npm run outlast -- bench\n');
      return 1;
    }
    return await runFile(name, ['--rounds', String(given.whole('rounds', 1, 1000))], packageFolder);
  },
};
