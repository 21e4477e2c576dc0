// What is made of the results of the benchmarks: the README's table, from the committed ones and nothing else, and the bars.

import { existsSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import { barsOf } from '../../bench/report/bars.ts';
import { chart } from '../../bench/report/chart.ts';
import type { PointReport, Report, Row } from '../../bench/report/report.ts';
import { summary, withSummary } from '../../bench/report/summary.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

function row(peer: string, median: number, ratio?: number, more: Readonly<Record<string, number>> = {}): Row {
  const spread = ratio === undefined ? {} : { ratio: { median: ratio, min: ratio, max: ratio } };
  return { peer, median, min: median, max: median, ...spread, more, samples: 5 };
}

function point(name: string, workload: PointReport['workload'], rows: readonly Row[]): PointReport {
  return { name, workload, unit: 'of something', less: workload === 'W6', rows, without: [] };
}

const report: Report = {
  machine: {
    date: '2026-01-02',
    node: 'v20.0.0',
    cpu: '2 × Something',
    kernel: '6',
    memoryGiB: 8,
    commit: 'abc',
    versions: {},
    apart: true,
  },
  points: [
    point('W1 32 B', 'W1', [row('outlast', 9_000_000, 1.204), row('outlast, batches', 9, 0.99), row('ws', 400_000, 0.0412)]),
    point('W3 64 KiB', 'W3', [row('ws', 1)]),
    point('W6 outage of 500 ms', 'W6', [row('outlast', 151.2, undefined, { lost: 1 }), row('river', 302.4, undefined, { lost: 3 })]),
  ],
  stolen: { share: 0, samples: 0, again: 0 },
  failures: [],
};

describe('what is made of the benchmarks', () => {
  it('a summary with a row for each peer that was measured, and a dash for what was not', () => {
    const text = summary(report);
    expect(text).to.contain('2 × Something, Node v20.0.0, 2026-01-02');
    expect(text).to.match(/^\| outlast \| 1\.20 \| – \| – \| – \| – \| – \| – \|$/m);
    expect(text).to.match(/^\| ws \| 0\.041 \| – /m);
    expect(text).not.to.match(/^\| grpc/m);
    expect(text).to.contain('outlast 151 ms to the first new message, 1 lost, 0 doubled; river 302 ms to the first new message, 3 lost');
  });

  it('which takes its place, and nothing more', () => {
    const place = (inside: string): string =>
      `before\n<!-- bench: written by npm run bench -- --out docs/benchmarks -->\n\n${inside}\n\n<!-- /bench -->\nafter\n`;
    expect(withSummary(place('old'), report)).to.equal(place(summary(report)));
    expect(withSummary(place(summary(report)), report)).to.equal(place(summary(report)));
    expect(() => withSummary('no place', report)).to.throw(/no place/);
  });

  it('and is what the README shows', () => {
    const readme = read('README.md');
    const results = 'docs/benchmarks/results.json';
    if (existsSync(new URL(`../../${results}`, import.meta.url))) {
      expect(readme).to.equal(withSummary(readme, JSON.parse(read(results)) as Report));
    } else {
      expect(readme).to.contain('No run of a quiet machine is committed yet.');
    }
  });

  it('bars that hold, that do not, and that nothing was found for', () => {
    const bars = new Map(barsOf(report).map((bar) => [bar.what, bar]));
    expect(bars.get('W1 32 B, receive or batches')).to.include({ found: 1.204, holds: true });
    expect(bars.get('W1 32 B, ranges')).to.include({ found: undefined, holds: false });
    expect(bars.get('W1 32 B beside the fastest peer, ws')).to.include({ found: 22.5, holds: true });
    expect(bars.get('W6 lost, doubled, out of order')).to.include({ found: 1, holds: false });
    expect(bars.get('W6 median beside the fastest peer')).to.include({ found: 0.5, holds: true });
  });

  it('charts, whose text cannot break them', () => {
    const svg = chart(point('W1 <32> B', 'W1', [row('net, tuned', 4, 1), row('a & b', 2, 0.5)]));
    expect(svg).to.contain('W1 &lt;32> B').and.to.contain('a &amp; b').and.to.contain('bare = 1').and.to.contain('2.0 · 0.50');
  });
});
