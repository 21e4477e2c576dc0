// The list of commands, and what is done with a command line: help, version, or one of them. Wrong use becomes a sentence and exit code 2.

import { readFileSync } from 'node:fs';
import { type Command, columns, Given, helpOf } from './command.ts';
import { bench } from './commands/bench.ts';
import { chaos } from './commands/chaos.ts';
import { connect } from './commands/connect.ts';
import { demo } from './commands/demo.ts';
import { doctor } from './commands/doctor.ts';
import { forward } from './commands/forward.ts';
import { listen } from './commands/listen.ts';
import { telnet } from './commands/telnet.ts';
import { top } from './commands/top.ts';
import { packageFolder } from './package-folder.ts';
import { UsageError } from './values.ts';

const commands: readonly Command[] = [listen, forward, connect, doctor, top, chaos, telnet, demo, bench];

const overview = (): string =>
  [
    'Usage: outlast COMMAND [...]',
    '',
    'Makes any TCP program survive a lost network: connections are carried by sessions that are taken up again',
    'after every loss, byte for byte. One end listens beside the service, the other one beside the program.',
    '',
    '  program -> outlast forward ~~~ a network that breaks ~~~ outlast listen -> service',
    '',
    'Commands:',
    ...columns(commands.map(({ name, summary }) => [name, summary])),
    '',
    'outlast COMMAND --help explains each with examples. outlast --version prints the version.',
    '',
    'On the machine with the service:   outlast listen 0.0.0.0:7000 --to 127.0.0.1:22 --psk key',
    'On yours:                          ssh -o ProxyCommand="outlast connect %h:7000 --psk key" gate',
    '',
  ].join('\n');

export interface Terminal {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
}

/** @returns the exit code */
export async function main(args: readonly string[], terminal: Terminal): Promise<number> {
  try {
    return await dispatch(args, terminal.out);
  } catch (error) {
    const wrong = error instanceof UsageError;
    terminal.error(`outlast: ${(error as Error).message}\n`);
    return wrong ? 2 : 1;
  }
}

async function dispatch(args: readonly string[], print: (text: string) => void): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const asked = commands.find((command) => command.name === rest[0]);
    print(asked === undefined ? overview() : helpOf(asked));
    return name === undefined ? 2 : 0;
  }
  if (name === '--version') {
    const { version } = JSON.parse(readFileSync(new URL('package.json', packageFolder), 'utf8')) as { version: string };
    print(`${version}\n`);
    return 0;
  }
  const command = commands.find((one) => one.name === name);
  if (command === undefined) throw new UsageError(`there is no command '${name}'; outlast --help lists them`);
  try {
    const given = new Given(command, rest);
    if (!given.has('help')) return await command.run(given);
    print(helpOf(command));
    return 0;
  } catch (error) {
    if (error instanceof UsageError) error.message += `\noutlast ${name} --help explains it`;
    throw error;
  }
}
