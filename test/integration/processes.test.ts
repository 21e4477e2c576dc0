// Real processes: two with one identity are never spliced into one stream, a killed client is taken up by another, and what operators see.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { lines } from '../../lib/framing/lines.ts';
import { ended, eventually, next, Pair, rejection, take } from '../support/net.ts';

type Event = [name: string, detail: unknown];

/** A child that runs a script of test/support and says what happens. */
class Other implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly events: Event[] = [];
  readonly #closed: Promise<unknown>;
  stderr: string = '';

  constructor(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const script = fileURLToPath(new URL('../support/other-process.ts', import.meta.url));
    const stdio = ['pipe', 'pipe', 'pipe'] as const;
    this.child = spawn(process.execPath, ['--import', 'tsx', script, ...args], { stdio: [...stdio], env: { ...process.env, ...env } });
    this.#closed = once(this.child, 'close');
    createInterface({ input: this.child.stdout as NodeJS.ReadableStream }).on('line', (line) =>
      this.events.push(JSON.parse(line) as Event),
    );
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
  }

  async saw(name: string): Promise<unknown> {
    await eventually(() => this.events.some((event) => event[0] === name) || this.child.exitCode !== null);
    const event = this.events.find((candidate) => candidate[0] === name);
    if (event === undefined) throw new Error(`no '${name}' in ${JSON.stringify(this.events)} ${this.stderr}`);
    return event[1];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.stdin?.end();
    await this.#closed;
  }
}

describe('two processes with one identity', () => {
  it('the one with the older state is refused, and the living stream is untouched', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    near.send('one');
    expect(await take(far, 1)).to.deep.equal(['one']);
    await near.flushed();
    const record = pair.client.record(near).toString('hex');
    near.send('two, of the first process');
    await eventually(() => far.stats.received === 30);
    await using other = new Other([String(pair.port), record, 'of the second process, and longer than that']);
    expect(await other.saw('refused')).to.equal('ERR_STATE_LOST');
    near.send('three');
    expect(await take(far, 2)).to.deep.equal(['two, of the first process', 'three']);
    expect([near.state, far.stats.circuits]).to.deep.equal(['attached', 1]);
  });

  it('of two that resume at the same time one goes on, and only its words arrive', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    const origin = ended(near);
    const record = pair.client.record(near).toString('hex');
    const seen: string[] = [];
    far.receive((line) => {
      seen.push(line);
    });
    await using a = new Other([String(pair.port), record, 'aaaa aaaa aaaa']);
    await using b = new Other([String(pair.port), record, 'bbbb bbbb']);
    const said = async (other: Other): Promise<string> => {
      await eventually(() => other.events.some(([name]) => name === 'resumed' || name === 'refused'));
      return other.events.some(([name]) => name === 'resumed') ? 'resumed' : String(await other.saw('refused'));
    };
    const outcomes = await Promise.all([said(a), said(b)]);
    expect((await origin)?.code).to.equal('ERR_TAKEN_OVER');
    // The later one may have found the earlier one accepted and idle, and taken over: then the earlier one learns that.
    await eventually(() => [a, b].some((other) => other.events.some(([name]) => name === 'close' || name === 'refused')));
    const lost = [a, b].map((other) => other.events.find(([name]) => name === 'close' || name === 'refused')?.[1]);
    expect(lost.filter((code) => code === undefined).length, JSON.stringify([outcomes, lost])).to.equal(1);
    for (const code of lost) expect(code).to.be.oneOf([undefined, 'ERR_TAKEN_OVER', 'ERR_STALE_GENERATION', 'ERR_STATE_LOST']);
    await eventually(() => seen.length > 0);
    for (const line of seen) expect(line).to.be.oneOf(['aaaa aaaa aaaa', 'bbbb bbbb']);
    far.send('who is there?');
    const winner = lost[0] === undefined ? a : b;
    expect(await winner.saw('line')).to.equal('who is there?');
  });

  it('a killed process leaves its session detached, and a record from before its words is refused', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near, far } = await pair.open();
    const record = pair.client.record(near);
    const read = take(far, 1);
    const other = new Other([String(pair.port), record.toString('hex'), 'from the second process']);
    await using _ = other;
    expect(await other.saw('resumed')).to.equal(true);
    expect(await read).to.deep.equal(['from the second process']);
    const detached = next(far, 'detached');
    other.child.kill('SIGKILL');
    await detached;
    expect((await rejection(pair.another().resume(record))).code).to.be.oneOf(['ERR_STATE_LOST', 'ERR_STALE_GENERATION']);
    expect([far.state, far.stats.received]).to.deep.equal(['detached', 24]);
  });

  it('NODE_DEBUG=outlast tells on stderr what happens, and no secret', async () => {
    await using pair = await Pair.make({ framing: lines() });
    const { near } = await pair.open();
    const record = pair.client.record(near);
    await using other = new Other([String(pair.port), record.toString('hex'), 'the words'], { NODE_DEBUG: 'outlast' });
    await other.saw('resumed');
    await eventually(() => other.stderr.includes('attached'));
    expect(other.stderr).to.match(/OUTLAST \d+: open [0-9a-f]{32}/);
    expect(other.stderr).to.contain(near.id);
    for (const secret of [record.subarray(19, 51).toString('hex'), 'the words']) expect(other.stderr).not.to.contain(secret);
  });
});
