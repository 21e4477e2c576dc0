// One viewer of a session by itself, with a connection that takes as much as the test says: whatever is dropped, what its terminal shows in the
// end is what the screen shows.

import headless from '@xterm/headless';
import { expect } from 'chai';
import type { TelnetConnection } from '../../../examples/telnet/server/connection.ts';
import { Screen } from '../../../examples/telnet/server/screen.ts';
import { type Role, Viewer } from '../../../examples/telnet/server/viewer.ts';
import { Random } from '../../../lib/testing/random.ts';
import { turns } from '../../support/net.ts';

const SIZE = { columns: 40, rows: 10 };

/** A screen, a viewer of it, and the terminal behind. */
class Watched implements Disposable {
  readonly terminal = new headless.Terminal({ cols: SIZE.columns, rows: SIZE.rows, allowProposedApi: true, logLevel: 'off' });
  readonly screen = new Screen(SIZE, () => {});
  readonly viewer: Viewer;
  /** Pieces that the connection takes before it is full. */
  room = Infinity;
  written = 0;

  constructor(role: Role, holdUpMs = 10_000) {
    const connection = { negotiates: true, size: SIZE, write: (bytes: Buffer) => this.#write(bytes) };
    this.viewer = new Viewer(connection as unknown as TelnetConnection, role, this.screen, holdUpMs, {
      onRoom: () => {},
      onOver: () => {},
    });
    this.viewer.begin();
  }

  output(text: string): void {
    const bytes = Buffer.from(text);
    this.screen.write(bytes, () => {});
    this.viewer.output(bytes);
  }

  drain(room: number): void {
    this.room = room;
    this.viewer.drained();
  }

  async shown(): Promise<string> {
    await new Promise<void>((resolve) => this.terminal.write('', resolve));
    return textOf(this.terminal.buffer.active);
  }

  async expected(): Promise<string> {
    const other = new headless.Terminal({ cols: SIZE.columns, rows: SIZE.rows, allowProposedApi: true, logLevel: 'off' });
    const bytes = await new Promise<Buffer>((resolve) => this.screen.snapshot('terminal', SIZE, resolve));
    await new Promise<void>((resolve) => other.write(bytes, resolve));
    const text = textOf(other.buffer.active);
    other.dispose();
    return text;
  }

  #write(bytes: Buffer): boolean {
    this.written += bytes.length;
    this.terminal.write(Buffer.from(bytes));
    this.room--;
    return this.room > 0;
  }

  [Symbol.dispose](): void {
    this.viewer.close();
    this.screen[Symbol.dispose]();
    this.terminal.dispose();
  }
}

function textOf(buffer: {
  readonly baseY: number;
  getLine(row: number): { translateToString(trim: boolean): string } | undefined;
}): string {
  return Array.from({ length: SIZE.rows }, (_, row) => buffer.getLine(buffer.baseY + row)?.translateToString(true) ?? '').join('\n');
}

describe('telnet server: viewer', function () {
  this.timeout(30_000);

  it('passes output on as it is while it can', async () => {
    using watched = new Watched('writer');
    watched.output('one\r\n');
    watched.output('two');
    expect(watched.written).to.equal(8);
    expect(await watched.shown()).to.equal(await watched.expected());
  });

  it('shows what came between two paintings that were asked for at once', async () => {
    using watched = new Watched('writer');
    watched.output('A');
    watched.viewer.repaint();
    watched.output('B');
    watched.viewer.repaint();
    watched.output('C');
    await watched.expected();
    expect(await watched.shown()).to.match(/^ABC\n/);
  });

  it('holds the program up for a writer, up to a time', async () => {
    using watched = new Watched('writer', 20);
    watched.room = 1;
    watched.output('x');
    watched.output('y'.repeat(70_000));
    expect(watched.viewer.holdsUp).to.equal(true);
    while (watched.viewer.holdsUp) await turns(1);
    watched.output('not kept');
    watched.drain(Infinity);
    await watched.expected();
    expect(await watched.shown()).to.equal(await watched.expected());
  });

  it('never holds it up for a watcher', async () => {
    using watched = new Watched('watcher');
    watched.room = 1;
    for (let piece = 0; piece < 10; piece++) {
      watched.output('z'.repeat(70_000));
      expect(watched.viewer.holdsUp).to.equal(false);
    }
    watched.drain(Infinity);
    await watched.expected();
    expect(await watched.shown()).to.equal(await watched.expected());
    expect(watched.written).to.be.below(150_000);
  });

  for (const role of ['writer', 'watcher'] as const) {
    it(`shows the same in the end, whatever happens to a ${role}, at seeded random`, async () => {
      const random = new Random(11);
      for (let round = 0; round < 12; round++) {
        using watched = new Watched(role, 1);
        for (let step = 0; step < 30; step++) {
          const what = random.integer(0, 7);
          if (what <= 3) watched.output(`${random.integer(0, 9)}${random.chance(0.3) ? '\r\n' : ''}`.repeat(random.integer(1, 30)));
          else if (what === 4) watched.output('long '.repeat(random.integer(1, 20_000)));
          else if (what === 5) watched.viewer.repaint();
          else if (what === 6) watched.viewer.skip();
          else if (watched.room <= 0) watched.drain(random.integer(1, 5));
          else if (random.chance(0.5)) watched.room = 1;
          if (random.chance(0.3)) await turns(random.integer(1, 3));
        }
        for (let tries = 0; tries < 3; tries++) {
          watched.drain(Infinity);
          await watched.expected();
        }
        expect(await watched.shown(), `round ${round}`).to.equal(await watched.expected());
      }
    });
  }
});
