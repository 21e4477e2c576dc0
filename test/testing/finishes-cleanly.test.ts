// The leak check is checked: it names what is open, is content when that is closed, and fails the suite of a real mocha run.

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type Census, census, finishesCleanly, leftovers } from '../support/finishes-cleanly.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

describe('finishesCleanly', () => {
  let before: Census;
  beforeEach(() => {
    before = census();
  });

  it('names a server, and waits until it has closed', async function () {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const open = leftovers(before, census());
    server.close();
    expect(open).to.include('1 × TCPServerWrap');
    this.runnable().clearTimeout();
    expect(await finishesCleanly(before)).to.deep.equal([]);
  });

  it('names timers, also those that do not keep the process alive', () => {
    const timer = setTimeout(() => {}, 60_000).unref();
    const interval = setInterval(() => {}, 60_000);
    expect(leftovers(before, census())).to.deep.equal(['1 × Timeout', '2 × timer']);
    clearTimeout(timer);
    clearInterval(interval);
    expect(leftovers(before, census())).to.deep.equal([]);
  });

  it('counts a timer that is armed again, and not one that has fired', async () => {
    const timer = await new Promise<NodeJS.Timeout>((resolve) => {
      const made = setTimeout(() => resolve(made), 1);
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(leftovers(before, census())).to.not.include('1 × timer');
    timer.refresh();
    expect(leftovers(before, census())).to.include('1 × timer');
    clearTimeout(timer);
  });

  it('names listeners on process', () => {
    const listener = (): void => {};
    process.on('SIGHUP', listener);
    expect(leftovers(before, census()).join()).to.contain("1 × process listener 'SIGHUP'");
    process.off('SIGHUP', listener);
  });

  it('fails the suite that leaks, and no other', async function () {
    this.timeout(60_000);
    await mkdir(join(root, '.tmp'), { recursive: true });
    const folder = await mkdtemp(join(root, '.tmp', 'leak-'));
    const suites = `
      describe('clean', () => it('is', () => new Promise((resolve) => setTimeout(resolve, 1))));
      describe('leaky', () => it('leaks', () => void setInterval(() => {}, 1000).unref()));
      describe('clean again', () => it('is', () => {}));`;
    await writeFile(join(folder, 'leak.test.ts'), suites);
    const output = await new Promise<string>((resolve) => {
      execFile(process.execPath, [join(root, 'node_modules/mocha/bin/mocha.js'), join(folder, 'leak.test.ts')], { cwd: root }, (_, text) =>
        resolve(text),
      );
    });
    await rm(folder, { recursive: true });
    expect(output).to.contain("'leaky' does not finish cleanly, left over: 1 × timer");
    expect(output.trimEnd().split('\n').at(-1)).to.equal('3 passed, 1 failed');
  });
});
