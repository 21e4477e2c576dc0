// outlast telnet: examples/telnet/client, a telnet client whose session is taken up again after every loss, also by another process.

import { resolve } from 'node:path';
import type { Command } from '../command.ts';
import { packageFolder } from '../package-folder.ts';
import { runFile } from '../run-file.ts';

export const telnet: Command = {
  name: 'telnet',
  summary: 'a terminal over a session: the telnet client that keeps its place',
  usage: ['telnet [USER@]HOST[:PORT]'],
  about: `Logs in to the telnet server of this project (npm run telnet), and stays: an outage is a line at the bottom of the
screen, and a client that was killed or detached is taken up again by the same command. Keys at the beginning of a line:
~d detaches, ~. hangs up, ~? lists the others; offline, Enter tries at once and ~c drops what was typed.`,
  examples: [['outlast telnet -l alice+work --tls gate:2323', "alice's shell called work, encrypted"]],
  flags: {
    user: { short: 'l', value: 'NAME', text: 'fills in the login; NAME+SHELL goes straight to that shell' },
    tls: { text: 'speak TLS' },
    ca: { value: 'FILE', text: 'trust this authority instead of the well-known ones' },
    new: { text: 'a new session, although a saved one could be taken up' },
    'no-save': { text: 'save nothing: a killed client leaves a session that only a new login reaches' },
  },
  words: [1, 2],
  run: async (given) => {
    const [user, ca] = [given.text('user'), given.text('ca')];
    const flags = [
      ...['tls', 'new', 'no-save'].filter((name) => given.has(name)).map((name) => `--${name}`),
      ...(user === undefined ? [] : ['--user', user]),
      ...(ca === undefined ? [] : ['--ca', resolve(ca)]),
    ];
    return await runFile('examples/telnet/client/main', [...flags, ...given.words], packageFolder);
  },
};
