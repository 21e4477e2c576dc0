// What stands on a command line: every unit, every form of a place, and a sentence that helps for everything else.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { parseRequest, requestBytes, Targets } from '../../bin/tunnel/request.ts';
import {
  duration,
  durations,
  place,
  secretOf,
  share,
  showDuration,
  showPlace,
  showSize,
  size,
  UsageError,
  whole,
} from '../../bin/values.ts';

function refusal(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    expect(error).to.be.instanceOf(UsageError);
    return (error as Error).message;
  }
  throw new Error('it was taken');
}

describe('values of the command line', () => {
  it('reads durations and ranges of them', () => {
    const read = ['250ms', '1.5s', '10m', '2h', '1d'].map((text) => duration('--hold', text));
    expect(read).to.deep.equal([250, 1500, 600_000, 7_200_000, 86_400_000]);
    for (const text of ['', '5', 's', '-1s', '1 s', '1w', '1s2', '1e3s'])
      expect(refusal(() => duration('--hold', text))).to.contain('--hold takes');
    expect(durations('--cut', '2s')).to.deep.equal({ leastMs: 2000, mostMs: 2000 });
    expect(durations('--cut', '500ms-3s')).to.deep.equal({ leastMs: 500, mostMs: 3000 });
    expect(refusal(() => durations('--cut', '3s-1s'))).to.contain('3s is more than 1s');
    expect(refusal(() => durations('--cut', '1s-2s-3s'))).to.contain('range');
  });

  it('reads sizes, shares and whole numbers', () => {
    expect(['0', '65536', '64KiB', '2 MiB', '1.5GiB', '10MB', '1kB', '7B'].map((text) => size('--window', text))).to.deep.equal([
      0, 65_536, 65_536, 2_097_152, 1_610_612_736, 10_000_000, 1000, 7,
    ]);
    for (const text of ['', 'KiB', '1K', '1mib', '-1', '0x10']) expect(refusal(() => size('--window', text))).to.contain('--window takes');
    expect(['10%', '0.1', '0%', '100%', '1'].map((text) => share('--refuse', text))).to.deep.equal([0.1, 0.1, 0, 1, 1]);
    for (const text of ['101%', '2', '-1%', 'half']) expect(refusal(() => share('--refuse', text))).to.contain('--refuse takes');
    expect(whole('--seed', '7', 0, 9)).to.equal(7);
    for (const text of ['10', '-1', '1.5', '']) expect(refusal(() => whole('--seed', text, 0, 9))).to.contain('from 0 to 9');
  });

  it('reads places, and writes them as it reads them', () => {
    const forms: readonly [text: string, shown: string][] = [
      ['7000', '127.0.0.1:7000'],
      ['gate:7000', 'gate:7000'],
      ['0.0.0.0:22', '0.0.0.0:22'],
      ['[::1]:22', '[::1]:22'],
      ['/run/service.sock', '/run/service.sock'],
      ['unix:/run/service.sock', '/run/service.sock'],
      ['./service.sock', './service.sock'],
    ];
    for (const [text, shown] of forms) {
      expect(showPlace(place('--to', text))).to.equal(shown);
      expect(place('--to', shown)).to.deep.equal(place('--to', text));
    }
    for (const text of ['', 'gate', 'gate:', ':22', '::1:22', 'gate:99999', '0', 'a:b:1']) {
      expect(
        refusal(() => place('--to', text)),
        text,
      ).to.match(/--to/);
    }
    expect(place('PORT', '0', 0)).to.deep.equal({ host: '127.0.0.1', port: 0 });
  });

  it('shows numbers to people', () => {
    expect([0.25, 12.4, 999, 1500, 90_000, 7_200_000, Infinity].map(showDuration)).to.deep.equal([
      '0.3 ms',
      '12 ms',
      '999 ms',
      '1.5 s',
      '2 min',
      '2.0 h',
      '-',
    ]);
    expect([0, 1023, 1536, 5_242_880, 3 * 1024 ** 3].map(showSize)).to.deep.equal(['0 B', '1023 B', '1.5 KiB', '5.0 MiB', '3.00 GiB']);
  });

  it('takes a secret only from a file that is nobody else’s', () => {
    const folder = mkdtempSync(join(tmpdir(), 'outlast-'));
    try {
      const path = join(folder, 'psk');
      writeFileSync(path, 'sixteen bytes or more\n', { mode: 0o600 });
      expect(secretOf('--psk', path).toString()).to.equal('sixteen bytes or more');
      writeFileSync(path, 'short\r\n');
      expect(refusal(() => secretOf('--psk', path))).to.contain('holds 5 bytes');
      chmodSync(path, 0o640);
      expect(refusal(() => secretOf('--psk', path))).to.contain('chmod 600');
      expect(refusal(() => secretOf('--psk', join(folder, 'gone')))).to.contain('ENOENT');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('what one end asks of the other', () => {
  it('is read as it was written, and refused where it is not understood', () => {
    for (const request of [{}, { to: 'a:1' }, { ask: 'report' } as const])
      expect(parseRequest(requestBytes(request))).to.deep.equal(request);
    for (const bytes of ['null', '{"to":1}', '{"ask":"everything"}', '{}', 'x', '"to"']) {
      expect(refusal(() => parseRequest(Buffer.from(bytes)))).to.contain('not understood');
    }
  });

  it('leads to allowed targets only', () => {
    const targets = new Targets('22', ['10.0.0.7:6379', '/run/db.sock']);
    expect(targets.choose(undefined)).to.deep.equal({ host: '127.0.0.1', port: 22 });
    expect(targets.choose('127.0.0.1:22')).to.deep.equal({ host: '127.0.0.1', port: 22 });
    expect(targets.choose('10.0.0.7:6379')).to.deep.equal({ host: '10.0.0.7', port: 6379 });
    expect(targets.choose('/run/db.sock')).to.deep.equal({ path: '/run/db.sock' });
    for (const wanted of ['10.0.0.7:22', 'localhost:22', '/run/../run/db.sock'])
      expect(refusal(() => targets.choose(wanted))).to.contain('--allow');
    expect(refusal(() => new Targets(undefined, ['1:1']).choose(undefined))).to.contain('--target');
    expect(refusal(() => new Targets(undefined, []))).to.contain('--to');
  });
});
