#!/usr/bin/env node
// outlast: makes any TCP program survive a lost network. The command line goes in, its exit code comes out: 0 done, 1 failed, 2 wrong use.

import { main } from './main.ts';

/** What has ended may have left something that keeps the process up: a pipe that nobody closes, a socket that nobody reads. */
const GOODBYE_MS = 5_000;

// A log that nobody reads any more is no reason for a tunnel to fall.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
process.exitCode = await main(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  error: (text) => process.stderr.write(text),
});
setTimeout(() => process.exit(), GOODBYE_MS).unref();
