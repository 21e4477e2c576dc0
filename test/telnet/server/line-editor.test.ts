// The line editor of the prompts: what ends a line, wherever it is cut.

import { expect } from 'chai';
import { LineEditor } from '../../../examples/telnet/server/line-editor.ts';

/** The lines of what comes in these reads. */
function linesOf(...reads: readonly string[]): string[] {
  const editor = new LineEditor();
  const lines: string[] = [];
  for (const read of reads) {
    const bytes = Buffer.from(read, 'latin1');
    for (let at = 0; at < bytes.length; ) {
      const { typed, next } = editor.take(bytes, at);
      if (typed.kind === 'line') lines.push(typed.text);
      at = next;
    }
  }
  return lines;
}

describe('telnet server: the line editor', () => {
  it('takes CR, LF and CR LF for one Enter each, also cut in two (Kermit)', () => {
    for (const enter of ['\r', '\n', '\r\n']) {
      expect(linesOf(`alice${enter}secret${enter}`), JSON.stringify(enter)).to.deep.equal(['alice', 'secret']);
      expect(linesOf(...`alice${enter}secret${enter}`), JSON.stringify(enter)).to.deep.equal(['alice', 'secret']);
    }
  });

  it('takes two of a kind for two', () => {
    expect(linesOf('a\r\rb\n\n')).to.deep.equal(['a', '', 'b', '']);
    expect(linesOf('a\r\n\nb\r')).to.deep.equal(['a', '', 'b']);
  });
});
