// The recipes of deploy/ agree with the command: its flags exist, and the times fit each other.

import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { Given } from '../../bin/command.ts';
import { listen } from '../../bin/commands/listen.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const given = (line: string): Given => new Given(listen, line.split(' '));

describe('deploy', () => {
  const unit = read('deploy/outlast-listen.service');
  const setting = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1] ?? '';

  it('starts the service with flags that the command has, and gives it time to drain', () => {
    const args = /^#\s+OUTLAST_ARGS=(.*)$/m.exec(unit)?.[1] as string;
    const line = setting('ExecStart').replace('$OUTLAST_ARGS', args).split('outlast listen ')[1] as string;
    const { words, duration, text } = {
      words: given(line).words,
      duration: given(line).duration('drain') ?? 0,
      text: given(line).text('psk'),
    };
    expect(words).to.deep.equal(['0.0.0.0:7000']);
    expect(Number(setting('TimeoutStopSec')) * 1000).to.be.above(duration);
    expect([setting('KillSignal'), setting('ExecReload')]).to.deep.equal(['SIGTERM', '/bin/kill -HUP $MAINPID']);
    // The credential that is loaded is the one that is read, and the control socket lies in the folder that is made.
    expect(text).to.equal(`/run/credentials/outlast-listen.service/${setting('LoadCredential').split(':')[0]}`);
    expect(given(line).text('control')).to.match(new RegExp(`^/run/${setting('RuntimeDirectory')}/`));
  });

  it('runs the container with flags that the command has', () => {
    const recipe = read('deploy/Containerfile');
    const line = /^#.* outlast listen (.*)$/m.exec(recipe)?.[1] as string;
    expect(given(line).text('psk')).to.equal('/run/secrets/psk');
    expect(recipe).to.contain('ENTRYPOINT ["outlast"]').and.to.contain('USER node');
  });
});
