// outlast connect: standard input and output over a session. Made for ssh's ProxyCommand, and for everything that talks to a pipe.

import { fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { SessionClient } from '../../lib/index.ts';
import type { Command } from '../command.ts';
import { dialFlags, dialOptions } from '../tunnel/ends.ts';
import { Log } from '../tunnel/log.ts';
import { openWithin } from '../tunnel/opening.ts';
import { Outages } from '../tunnel/outages.ts';
import { requestBytes } from '../tunnel/request.ts';
import { endOf, type LocalEnd, splice } from '../tunnel/splice.ts';
import { place } from '../values.ts';

/** A signal ends the session in order, if that is possible at once. */
const GOODBYE_MS = 2_000;
const EXIT_CODES: Readonly<Record<string, number>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

export const connect: Command = {
  name: 'connect',
  summary: 'standard input and output over a session, for ssh -o ProxyCommand and pipes',
  usage: ['connect HOST:PORT'],
  about: `Carries standard input to the service behind 'outlast listen' at HOST:PORT, and what the service sends to standard output. Nothing
else is written there. The end of the input is an end of stream for the service, whose answer still comes. Where standard error
is a terminal, an outage of more than a second is told there, and its end.

Exit code 0: both directions ended in order. 1: anything else, with the reason on standard error.`,
  examples: [
    [
      "ssh -o ProxyCommand='outlast connect gate:7000' gate",
      'a shell that outlasts the network; the server listens with --to 127.0.0.1:22',
    ],
    ['rsync -e "ssh -o ProxyCommand=\'outlast connect gate:7000\'" -a photos/ gate:photos/', 'a copy that never starts over'],
    ["printf 'PING\\r\\n' | outlast connect gate:7000 --target 127.0.0.1:6379", 'one question and its answer'],
  ],
  flags: {
    ...dialFlags,
    verbose: { short: 'v', text: 'tell attempts, outages and returns, also without a terminal' },
    quiet: { short: 'q', text: 'tell nothing but errors' },
  },
  words: [1, 1],
  run: async (given) => {
    const where = place('HOST:PORT', given.word(0));
    const target = given.text('target');
    const verbose = given.has('verbose');
    const client = new SessionClient<Buffer>({
      ...dialOptions(given, where),
      metadata: requestBytes(target === undefined ? {} : { to: target }),
    });
    const stopped = untilSignal();
    const log = verbose || (process.stderr.isTTY && !given.has('quiet')) ? new Log('connect', { json: false, verbose }) : undefined;
    const session = await openWithin(client, given.duration('wait') as number, stopped, (error) => log?.tell('waiting', error.message));
    if (log !== undefined) new Outages(client, log).watch(session);
    stopped.addEventListener('abort', () => void session.close({ timeoutMs: GOODBYE_MS }).catch(() => {}));
    const cause = await splice(standardStreams(), session, endOf(session));
    process.stdin.destroy();
    if (stopped.aborted) return EXIT_CODES[stopped.reason as string] as number;
    if (cause === undefined) return 0;
    process.stderr.write(`outlast connect: ${cause.message}\n`);
    return 1;
  },
};

/** Aborted by the first of them, with its name; the next one ends the process as usual. */
function untilSignal(): AbortSignal {
  const stop = new AbortController();
  for (const name of Object.keys(EXIT_CODES)) process.once(name, () => stop.abort(name));
  return stop.signal;
}

function standardStreams(): LocalEnd {
  const { stdin } = process;
  const output = standardOutput();
  // A person at a terminal who was hung up on would have to press ^D to get away.
  if (stdin.isTTY) output.once('finish', () => stdin.emit('end'));
  return {
    input: stdin,
    output,
    reset: () => {
      stdin.destroy();
      output.destroy();
    },
  };
}

/** A pipe is opened by itself: process.stdout cannot be closed, and whoever reads it would not see the end before this process ends. */
function standardOutput(): Writable {
  const kind = fstatSync(1);
  return kind.isFIFO() || kind.isSocket() ? new Socket({ fd: 1, readable: false, writable: true }) : process.stdout;
}
