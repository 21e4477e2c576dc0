// The README's table of benchmarks: made of the committed results, and of nothing else.

import { existsSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import { type Report, summary, withSummary } from '../../bench/report/summary.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

const report: Report = {
  machine: { date: '2026-01-02', node: 'v20.0.0', cpu: '2 × Something' },
  cells: [
    { peer: 'outlast', point: 'W1 32 B', median: 9_000_000, ratio: 1.204, more: {} },
    { peer: 'ws', point: 'W1 32 B', median: 400_000, ratio: 0.0412, more: {} },
    { peer: 'ws', point: 'W3 64 KiB', median: 1, ratio: null, more: {} },
    { peer: 'outlast', point: 'W6 outage of 500 ms', median: 151.2, ratio: null, more: { lost: 0, doubled: 0 } },
    { peer: 'river', point: 'W6 outage of 500 ms', median: null, ratio: null, more: { lost: 3, doubled: null } },
  ],
};

describe('summary of the benchmarks', () => {
  it('has a row for each peer that was measured, and a dash for what was not', () => {
    const text = summary(report);
    expect(text).to.contain('2 × Something, Node v20.0.0, 2026-01-02');
    expect(text).to.match(/^\| outlast \| 1\.20 \| – \| – \| – \| – \| – \| – \|$/m);
    expect(text).to.match(/^\| ws \| 0\.041 \| – /m);
    expect(text).not.to.match(/^\| grpc/m);
    expect(text).to.contain(
      'outlast 151 ms to the first new message, 0 lost, 0 doubled; river ? ms to the first new message, 3 lost, ? doubled.',
    );
  });

  it('takes its place, and nothing more', () => {
    const place = (inside: string): string =>
      `before\n<!-- bench: written by npm run bench -- --out docs/benchmarks -->\n\n${inside}\n\n<!-- /bench -->\nafter\n`;
    expect(withSummary(place('old'), report)).to.equal(place(summary(report)));
    expect(withSummary(place(summary(report)), report)).to.equal(place(summary(report)));
    expect(() => withSummary('no place', report)).to.throw(/no place/);
  });

  it('is what the README shows', () => {
    const readme = read('README.md');
    const results = 'docs/benchmarks/results.json';
    if (existsSync(new URL(`../../${results}`, import.meta.url))) {
      expect(readme).to.equal(withSummary(readme, JSON.parse(read(results)) as Report));
    } else {
      expect(readme).to.contain('No run of a quiet machine is committed yet.');
    }
  });
});
