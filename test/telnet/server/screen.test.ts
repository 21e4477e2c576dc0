// Repaints of the telnet server: what is painted on another terminal is what was on the first, cell by cell, and so are the modes.

import headless, { type Terminal } from '@xterm/headless';
import { expect } from 'chai';
import { Screen } from '../../../examples/telnet/server/screen.ts';
import type { WindowSize } from '../../../examples/telnet/subnegotiation.ts';
import { Random } from '../../../lib/testing/random.ts';

const SIZE: WindowSize = { columns: 60, rows: 20 };

function terminal(size: WindowSize = SIZE): Terminal {
  return new headless.Terminal({ cols: size.columns, rows: size.rows, scrollback: 1000, allowProposedApi: true, logLevel: 'off' });
}

function write(one: Terminal, bytes: string | Buffer): Promise<void> {
  return new Promise((resolve) => one.write(bytes, resolve));
}

async function painted(screen: Screen, size: WindowSize = SIZE): Promise<Buffer> {
  return new Promise((resolve) => screen.snapshot('terminal', size, resolve));
}

/** Everything that can be told of a screen: cells with their colors, cursor, modes. */
function described(one: Terminal, rows: number = one.rows): unknown {
  const { active } = one.buffer;
  const cells = Array.from({ length: rows }, (_, row) => {
    const line = active.getLine(active.baseY + row);
    return Array.from({ length: one.cols }, (_unused, column) => {
      const cell = line?.getCell(column);
      if (cell === undefined) return '';
      const flags = [cell.isBold(), cell.isDim(), cell.isItalic(), cell.isUnderline(), cell.isInverse(), cell.isStrikethrough()];
      const colors = [cell.getFgColorMode(), cell.getFgColor(), cell.getBgColorMode(), cell.getBgColor()];
      return `${cell.getChars() || ' '}${flags.map(Number).join('')}${colors.join(',')}`;
    });
  });
  return { type: active.type, cursor: [active.cursorX, active.cursorY], cells, modes: { ...modesOf(one) } };
}

function modesOf({ modes }: Terminal): object {
  const { applicationCursorKeysMode, applicationKeypadMode, bracketedPasteMode, insertMode, mouseTrackingMode } = modes;
  const { originMode, sendFocusMode, wraparoundMode, synchronizedOutputMode } = modes;
  return {
    applicationCursorKeysMode,
    applicationKeypadMode,
    bracketedPasteMode,
    insertMode,
    mouseTrackingMode,
    originMode,
    sendFocusMode,
    wraparoundMode,
    synchronizedOutputMode,
  };
}

/** Writes to a screen and to a terminal, paints the screen on another, and compares; then both must go on alike. */
async function same(output: string, after = ''): Promise<string> {
  using screen = new Screen(SIZE, () => {});
  const direct = terminal();
  const other = terminal();
  // Whoever comes has a terminal in some state.
  await write(other, '\x1b[?1049h\x1b[?1000h\x1b[5;10r\x1b[?6h\x1b[4h\x1b(0\x1b[31mleft over by something else');
  screen.write(Buffer.from(output), () => {});
  await write(direct, output);
  const bytes = await painted(screen);
  await write(other, bytes);
  expect(described(other)).to.deep.equal(described(direct));
  await write(direct, after);
  await write(other, after);
  expect(described(other)).to.deep.equal(described(direct));
  for (const one of [direct, other]) one.dispose();
  return bytes.toString('utf8');
}

describe('telnet server: screen', function () {
  this.timeout(30_000);

  it('paints text, colors, wide characters and the cursor', async () => {
    await same('\x1b[1;31mred\x1b[0m plain \x1b[48;2;1;2;3mtrue\x1b[7m inverse\x1b[0m\r\n日本語 äöü 🎉\r\n\x1b[10;7Hhere', 'more');
  });

  it('paints what has scrolled away, for a terminal of as many rows', async () => {
    const lines = Array.from({ length: 100 }, (_, index) => `line ${index}`).join('\r\n');
    expect(await same(lines, '\r\nanother')).to.contain('line 3\r\n');
    using screen = new Screen(SIZE, () => {});
    screen.write(Buffer.from(lines), () => {});
    expect((await painted(screen, { columns: 60, rows: 24 })).toString()).not.to.contain('line 3\r\n');
  });

  it('paints the top left of a larger or smaller terminal', async () => {
    using screen = new Screen(SIZE, () => {});
    const output = `${'\r\n'.repeat(30)}\x1b[1;1Htop\x1b[20;1Hbottom\x1b[7;8H`;
    screen.write(Buffer.from(output), () => {});
    const larger = terminal({ columns: 80, rows: 30 });
    await write(larger, await painted(screen, { columns: 80, rows: 30 }));
    const line = (row: number): string => larger.buffer.active.getLine(larger.buffer.active.baseY + row)?.translateToString(true) ?? '';
    expect([line(0), line(19), larger.buffer.active.cursorX, larger.buffer.active.cursorY]).to.deep.equal(['top', 'bottom', 7, 6]);
    larger.dispose();
  });

  it('paints the other screen, and the first one is behind it', async () => {
    await same('shell$ vim\r\n\x1b[?1049h\x1b[H\x1b[2J~\r\n~\r\nfile\x1b[3;2H', '\x1b[?1049lshell$ ');
  });

  const modes: Readonly<Record<string, string>> = {
    'application keys': '\x1b[?1h\x1b=',
    'bracketed paste': '\x1b[?2004h',
    'insert mode': '\x1b[4h',
    'mouse reports': '\x1b[?1002h\x1b[?1006h',
    'focus reports': '\x1b[?1004h',
    'no wrapping': '\x1b[?7l',
    'a scroll region': '\x1b[3;9r\x1b[9;1H',
    'origin mode in a scroll region': '\x1b[3;9r\x1b[?6h\x1b[2;5H',
    'line drawing': '\x1b(0',
    'a saved cursor': '\x1b[4;5H\x1b7\x1b[9;9H',
    'other tab stops': '\x1b[3g\x1b[1;5H\x1bH\x1b[1;11H\x1bH\x1b[2;1H',
    'a cleared tab stop': '\x1b[1;9H\x1b[g\x1b[2;1H',
  };
  for (const [name, sequence] of Object.entries(modes)) {
    it(`keeps ${name}`, async () => {
      await same(`text\r\n${sequence}`, '\tlqk\n\n\nabc\x1b8z\x1b[99;99Hlast\tcolumn');
    });
  }

  it('keeps what an emulator does not tell: mouse encoding, cursor, title, palette', async () => {
    const all =
      '\x1b[?1003h\x1b[?1006h\x1b[?25l\x1b[?5h\x1b[5 q\x1b]2;the title\x07\x1b]4;1;rgb:11/22/33\x07\x1b]11;#123456\x07\x1b]10;?\x07';
    const bytes = await same(all);
    for (const piece of ['[?1003h', '[?1006h', '[?25l', '[?5h', '[5 q', ']2;the title', ']4;1;rgb:11/22/33', ']11;#123456'])
      expect(bytes.slice(bytes.indexOf('\x1b[2J'))).to.contain(`\x1b${piece}`);
    expect(bytes).not.to.contain('?\x1b\\');
    const reset = await same(`${all}\x1bc`);
    for (const piece of ['[?1003h', '[?1006h', '[?25l', '[?5h', '[5 q', ']4;1', ']11;#'])
      expect(reset.slice(reset.indexOf('\x1b[2J'))).not.to.contain(`\x1b${piece}`);
  });

  it('says nothing in a title or a last line but what can be seen', async () => {
    using screen = new Screen(SIZE, () => {});
    screen.write(Buffer.from('\x1b]2;a\u202eb\u2028c\x07last \x1b[1mline\x1b[0m\r\n\r\n'), () => {});
    await painted(screen);
    expect(screen.title).to.equal('a b c');
    expect(screen.lastLine).to.equal('last line');
  });

  it('paints what was written before, and nothing later', async () => {
    using screen = new Screen(SIZE, () => {});
    screen.write(Buffer.from('before'), () => {});
    const bytes = painted(screen);
    screen.write(Buffer.from('LATER'), () => {});
    expect((await bytes).toString())
      .to.contain('before')
      .and.not.to.contain('LATER');
  });

  it('paints whatever a program writes, at seeded random', async () => {
    const random = new Random(4);
    const pieces = [
      'word ',
      'längere Wörter ',
      '日本',
      '\r\n',
      '\t',
      '\b',
      '\x1b[A',
      '\x1b[C',
      '\x1b[2K',
      '\x1b[J',
      '\x1b[3;4H',
      '\x1b[15;50H',
      '\x1b[1m',
      '\x1b[0m',
      '\x1b[38;5;99m',
      '\x1b[44m',
      '\x1b[L',
      '\x1b[M',
      '\x1b[4P',
      '\x1b[3@',
      '\x1b[5X',
      '\x1b[S',
      '\x1b[T',
      '\x1bM',
      '\x1b[2;12r',
      '\x1b[r',
      '\x1b[?1049h',
      '\x1b[?1049l',
      '\x1b7',
      '\x1b8',
    ];
    for (let round = 0; round < 40; round++) {
      const output = Array.from({ length: random.integer(1, 80) }, () => pieces[random.integer(0, pieces.length - 1)]).join('');
      await same(output).catch((error: Error) => {
        throw new Error(`round ${round}: ${JSON.stringify(output)}: ${error.message.slice(0, 300)}`);
      });
    }
  });
});
