// outlast bench: the benchmark of the repository, where there is one.

import type { Command } from '../command.ts';
import { packageFolder } from '../package-folder.ts';
import { hasFile, runFile } from '../run-file.ts';

export const bench: Command = {
  name: 'bench',
  summary: 'what a session costs on this machine, beside a bare socket',
  usage: ['bench', 'bench --tunnel [--rounds N]'],
  about: `A short run of the benchmarks (npm run bench -- --quick), or with --tunnel a comparison of this command's tunnel with socat doing
the same two hops. Part of the repository, not of the installed package.`,
  examples: [['outlast bench --tunnel --rounds 3', 'a first impression, in about a minute; needs socat']],
  flags: {
    tunnel: { text: 'compare the tunnel with socat' },
    rounds: { value: 'N', text: 'how many rounds, with --tunnel', fallback: '7' },
  },
  words: [0, 0],
  run: async (given) => {
    const rounds = String(given.whole('rounds', 1, 1000));
    const [name, args]: readonly [string, readonly string[]] = given.has('tunnel')
      ? ['bench/tunnel', ['--rounds', rounds]]
      : ['scripts/bench', ['--quick']];
    if (!hasFile(name, packageFolder)) {
      process.stderr.write('outlast bench: the benchmarks are in the repository: clone it, npm ci, and npm run outlast -- bench\n');
      return 1;
    }
    return await runFile(name, args, packageFolder);
  },
};
