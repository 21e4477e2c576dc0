// The table of errors, its page, and the class: they say the same.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type Blame, type Loss, SessionError, type SessionErrorCode, sessionErrorCodes, withLoss } from '../../lib/errors.ts';

const page: string = readFileSync(join(fileURLToPath(new URL('../..', import.meta.url)), 'docs/errors.md'), 'utf8');

interface Entry {
  readonly code: string;
  readonly blame: string;
  readonly text: string;
}

/** The paragraphs of the page, in its order. */
function entriesOf(markdown: string): Entry[] {
  return markdown.split(/^## /m).flatMap((section) => {
    const blame = /^Blame: (\w+)\n/.exec(section)?.[1];
    if (blame === undefined) return [];
    return section
      .split(/^### /m)
      .slice(1)
      .map((part) => ({ code: part.slice(0, part.indexOf('\n')), blame, text: part.slice(part.indexOf('\n')).trim() }));
  });
}

const LOSS: Loss = { unconfirmed: ['a'], unconfirmedBytes: 2, exact: true, undelivered: 1, undeliveredBytes: 5 };

describe('errors', () => {
  const entries = entriesOf(page);

  it('have a paragraph each, in the order of the table', () => {
    expect(entries.map(({ code }) => code)).to.deep.equal([...sessionErrorCodes]);
  });

  for (const { code, blame, text } of entries) {
    it(`${code}: page and table agree`, () => {
      const error = new SessionError(code as SessionErrorCode, 'it happened');
      expect(error.blame).to.equal(blame as Blame);
      expect(text.endsWith('**Retryable.**')).to.equal(error.retryable);
      expect(text.length, 'a paragraph').to.be.greaterThan(80);
      // What happened: why; what to do.
      expect(error.message).to.match(/^it happened: [^;:]+; \S.*$/);
      expect(error.message).to.not.match(/[.;]$|undefined|\s\s/);
      expect(error.code).to.equal(code);
    });
  }

  it('mention no code on the page that does not exist', () => {
    const known = new Set<string>(sessionErrorCodes);
    expect([...page.matchAll(/ERR_[A-Z_]+/g)].map(([code]) => code).filter((code) => !known.has(code))).to.deep.equal([]);
  });

  it('are known by a mark that another copy of the package shares', () => {
    const error = new SessionError('ERR_BUSY', 'full', { retryAfterMs: 500, cause: 7 });
    expect([error instanceof Error, error.name, error.cause, error.retryAfterMs, error.loss]).to.deep.equal([
      true,
      'SessionError',
      7,
      500,
      undefined,
    ]);
    expect(SessionError.is(error)).to.equal(true);
    expect([SessionError.is(error, 'ERR_BUSY'), SessionError.is(error, 'ERR_AUTH')]).to.deep.equal([true, false]);
    const foreign = { [Symbol.for('outlast.SessionError')]: true, code: 'ERR_AUTH' };
    expect([SessionError.is(foreign, 'ERR_AUTH'), SessionError.is(foreign, 'ERR_BUSY')]).to.deep.equal([true, false]);
    for (const other of [null, undefined, 'ERR_BUSY', 7, {}, new Error('x'), { code: 'ERR_BUSY' }])
      expect(SessionError.is(other)).to.equal(false);
  });

  it('have a cause only where there is one, and 0 where nobody asked to wait', () => {
    const error = new SessionError('ERR_ENDED', 'too late');
    expect(['cause' in error, error.retryAfterMs]).to.deep.equal([false, 0]);
  });

  it('can blame somebody else than the table does', () => {
    expect(new SessionError('ERR_MESSAGE_TOO_LARGE', 'x', { blame: 'peer' }).blame).to.equal('peer');
  });

  it('stay the same when the loss is filled in', () => {
    const error = new SessionError('ERR_FRAMING', 'bad', { blame: 'caller', retryAfterMs: 9, cause: 'why' });
    const told = withLoss(error, LOSS);
    expect(told.loss).to.equal(LOSS);
    expect([told.code, told.blame, told.retryAfterMs, told.cause, told.message, told.stack]).to.deep.equal([
      error.code,
      'caller',
      9,
      'why',
      error.message,
      error.stack,
    ]);
    expect(withLoss(new SessionError('ERR_EXPIRED', 'x'), LOSS)).to.not.have.property('cause');
  });

  it('that were given their loss leave the stacks of others as they are', () => {
    const { stackTraceLimit } = Error;
    withLoss(new SessionError('ERR_EXPIRED', 'x'), LOSS);
    expect(Error.stackTraceLimit).to.equal(stackTraceLimit);
    expect(new SessionError('ERR_EXPIRED', 'x').stack).to.include('errors.test');
  });
});
