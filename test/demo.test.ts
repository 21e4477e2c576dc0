// The demo as a user runs it, made short: it passes over cuts and killed processes, and it notices a message that is lost, doubled or changed.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const root = fileURLToPath(new URL('..', import.meta.url));

async function demo(...words: readonly string[]): Promise<{ readonly code: number | null; readonly lines: readonly string[] }> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'examples/demo/main.ts', 'PROTOCOL.md', '--seed', '7', ...words], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const chunks: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => chunks.push(text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, lines: chunks.join('').trimEnd().split('\n') };
}

describe('demo', function () {
  this.timeout(60_000);

  it('passes, and ends by itself, although circuits are cut', async () => {
    const { code, lines } = await demo('--cuts', '8');
    const last = lines.at(-1) ?? '';
    const [, cuts, resumes] = /^passed: every message arrived once and in order \((\d+) cuts, (\d+) resumes\)$/.exec(last) ?? [];
    expect(code, last).to.equal(0);
    expect(Number(cuts)).to.be.at.least(8);
    expect(Number(resumes)).to.be.at.least(4);
    const hashes = [...lines.join('\n').matchAll(/^ {2}SHA-256 sent {5}(\w{64})\n {2}SHA-256 received (\w{64}) {2}equal$/gm)];
    expect(hashes.length).to.equal(2);
    for (const [, sent, received] of hashes) expect(received).to.equal(sent);
  });

  const spoiled = { lose: /, 0 duplicates, 1 lost$/, double: /, 1 duplicates, 0 lost$/, change: /, 0 duplicates, 0 lost$/ };
  for (const [how, line] of Object.entries(spoiled)) {
    it(`fails where one message is spoiled (${how})`, async () => {
      const { code, lines } = await demo('--cuts', '0', '--spoil', how);
      expect(lines.at(-1)).to.match(/^FAILED: messages differ \(\d+ cuts, \d+ resumes\)$/);
      expect(code).to.equal(1);
      expect(lines.find((text) => text.startsWith('lines: '))).to.match(line);
      expect(lines.join('\n')).to.contain('DIFFERENT');
    });
  }

  it('passes although server and client are killed and the session moves (--durable)', async () => {
    const { code, lines } = await demo('--durable', '--rounds', '2');
    const text = lines.join('\n');
    expect(lines.at(-1), text).to.match(
      /^passed: every number acted once and was answered once, in order \(2 servers killed, 2 moves, 2 clients killed, \d+ cuts\)$/,
    );
    expect(code).to.equal(0);
    const [, sent, right] = /^(\d+) numbers sent, their sum is (\d+)$/m.exec(text) ?? [];
    expect(Number(sent)).to.be.above(2_000);
    for (const end of ['server', 'client']) expect(lines).to.contain(`  ${end}: ${sent} acted, 0 doubled, 0 lost, sum ${right}  equal`);
  });

  const counted = { lose: /, 0 doubled, 1 lost, /, double: /, 1 doubled, 0 lost, /, change: /, 1 doubled, 1 lost, / };
  for (const [how, line] of Object.entries(counted)) {
    it(`fails where one number is spoiled (--durable, ${how})`, async () => {
      const { code, lines } = await demo('--durable', '--rounds', '0', '--spoil', how);
      expect(lines.at(-1)).to.match(/^FAILED: accounts differ /);
      expect(code).to.equal(1);
      for (const end of ['server', 'client'])
        expect(lines.find((text) => text.startsWith(`  ${end}: `)))
          .to.match(line)
          .and.to.match(/DIFFERENT$/);
    });
  }
});
