// What codes of the wire become: every one of them, and some that do not exist.
import { expect } from 'chai';
import { closeError, isRetry, rejectError } from '../../lib/core/verdict.ts';
import { CloseCode, RejectCode } from '../../lib/core/wire.ts';
import { u64 } from '../support/cores.ts';

const NOTHING = Buffer.alloc(0);

describe('verdict', () => {
  const closes: Record<keyof typeof CloseCode, string> = {
    CLEAN: 'ERR_PEER_DESTROYED',
    APPLICATION: 'ERR_PEER_APPLICATION',
    FRAMING: 'ERR_FRAMING',
    UNREAD: 'ERR_PEER_UNREAD',
    DUPLICATE: 'ERR_DUPLICATE',
    REPLACED: 'ERR_REPLACED',
    SHUTDOWN: 'ERR_SHUTDOWN',
    DESTROYED: 'ERR_PEER_DESTROYED',
    PROTOCOL: 'ERR_PROTOCOL',
    MEMORY_BUDGET: 'ERR_MEMORY_BUDGET',
    EXPIRED: 'ERR_EXPIRED',
    TIMEOUT: 'ERR_PEER_DESTROYED',
  };
  for (const name of Object.keys(CloseCode) as (keyof typeof CloseCode)[]) {
    it(`CLOSE(${name}) means ${closes[name]}`, () => {
      const error = closeError(CloseCode[name], NOTHING);
      expect(error.code).to.equal(closes[name]);
      expect(error.message).to.match(new RegExp(`^the other end closed with code ${CloseCode[name]}: `));
    });
  }

  const rejects: Record<keyof typeof RejectCode, [code: string, retry: boolean]> = {
    BUSY: ['ERR_BUSY', true],
    DRAINING: ['ERR_DRAINING', true],
    RETRY_LATER: ['ERR_RETRY_LATER', true],
    VERSION: ['ERR_VERSION', false],
    DOWNGRADE: ['ERR_DOWNGRADE', false],
    FRAMING: ['ERR_FRAMING_MISMATCH', false],
    KEY_METHOD: ['ERR_KEY_METHOD', false],
    UNSUPPORTED: ['ERR_UNSUPPORTED', false],
    AUTH: ['ERR_AUTH', false],
    UNKNOWN: ['ERR_UNKNOWN_SESSION', false],
    CLOSED: ['ERR_CLOSED', false],
    EXPIRED: ['ERR_EXPIRED', false],
    STATE_LOST: ['ERR_STATE_LOST', false],
    STALE_GENERATION: ['ERR_STALE_GENERATION', false],
    TAKEN_OVER: ['ERR_TAKEN_OVER', false],
  };
  for (const name of Object.keys(RejectCode) as (keyof typeof RejectCode)[]) {
    it(`REJECTED(${name}) means ${rejects[name][0]}`, () => {
      const error = rejectError(RejectCode[name], undefined, '', 1234);
      expect([error.code, error.retryAfterMs]).to.deep.equal([rejects[name][0], 1234]);
      expect(isRetry(RejectCode[name])).to.equal(rejects[name][1]);
    });
  }

  it('maps codes from later versions', () => {
    expect(closeError(65_535, NOTHING).code).to.equal('ERR_PEER_DESTROYED');
    expect(rejectError(99 as RejectCode, undefined, '', 0).code).to.equal('ERR_UNSUPPORTED');
  });

  it('says why a session had ended that somebody resumes', () => {
    expect(rejectError(RejectCode.CLOSED, CloseCode.SHUTDOWN, 'maintenance', 0).code).to.equal('ERR_SHUTDOWN');
    expect(rejectError(RejectCode.CLOSED, CloseCode.SHUTDOWN, 'maintenance', 0).message).to.include('maintenance');
    expect(rejectError(RejectCode.CLOSED, CloseCode.CLEAN, '', 0).code).to.equal('ERR_CLOSED');
    expect(rejectError(RejectCode.EXPIRED, CloseCode.SHUTDOWN, '', 0).code).to.equal('ERR_EXPIRED');
  });

  it('tells the number of unread bytes', () => {
    expect(closeError(CloseCode.UNREAD, u64(4711)).message).to.include('4711 bytes unread');
    expect(closeError(CloseCode.UNREAD, Buffer.from('odd')).message).to.include('odd');
  });

  it("makes a peer's text harmless", () => {
    for (const message of [
      closeError(CloseCode.APPLICATION, Buffer.from('\x1b[2Jred\n\u202e')).message,
      rejectError(RejectCode.CLOSED, CloseCode.APPLICATION, '\x1b[2Jred\n\u202e', 0).message,
    ]) {
      expect(message).to.include('\\x1b[2Jred\\x0a\\u202e');
    }
  });

  it('names who is to blame when the other end could not read what was written here', () => {
    expect(closeError(CloseCode.FRAMING, NOTHING).blame).to.equal('caller');
    expect(closeError(CloseCode.APPLICATION, NOTHING).blame).to.equal('peer');
  });
});
