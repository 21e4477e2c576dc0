// Promises that wait for a session: each resolves for its own reason, is aborted alone, and learns of the end.
import { getEventListeners } from 'node:events';
import { expect } from 'chai';
import { SessionError } from '../../lib/errors.ts';
import { endWaiters, NOBODY, settleWaiters, type WaitedFor, waitFor } from '../../lib/waiters.ts';

/** What has become of promises by now: pending, resolved, or the code of the error. */
async function fates(promises: readonly Promise<void>[]): Promise<string[]> {
  const told = promises.map(() => 'pending');
  promises.forEach((promise, i) => {
    promise.then(
      () => {
        told[i] = 'resolved';
      },
      (error: unknown) => {
        told[i] = SessionError.is(error) ? error.code : `not ours: ${error}`;
      },
    );
  });
  await new Promise(setImmediate);
  return told;
}

describe('waiters', () => {
  it('resolve for their own reason, up to their offset', async () => {
    const session: WaitedFor = { waiters: NOBODY };
    const promises = [
      waitFor(session, 'flush', 10, undefined),
      waitFor(session, 'flush', 11, undefined),
      waitFor(session, 'drain', 0, undefined),
      waitFor(session, 'end', 0, undefined),
    ];
    settleWaiters(session, 'flush', 10);
    expect(await fates(promises)).to.deep.equal(['resolved', 'pending', 'pending', 'pending']);
    settleWaiters(session, 'drain', 0);
    expect(await fates(promises)).to.deep.equal(['resolved', 'pending', 'resolved', 'pending']);
    endWaiters(session, undefined);
    expect(await fates(promises)).to.deep.equal(['resolved', 'ERR_CLOSED', 'resolved', 'resolved']);
  });

  it('are told the cause of the end, but for those who wait for it', async () => {
    const session: WaitedFor = { waiters: NOBODY };
    const promises = [
      waitFor(session, 'flush', 1, undefined),
      waitFor(session, 'drain', 0, undefined),
      waitFor(session, 'end', 0, undefined),
    ];
    endWaiters(session, new SessionError('ERR_EXPIRED', 'test'));
    expect(await fates(promises)).to.deep.equal(['ERR_EXPIRED', 'ERR_EXPIRED', 'resolved']);
  });

  it('stop at their signal, alone, and leave no listener behind', async () => {
    const session: WaitedFor = { waiters: NOBODY };
    const controller = new AbortController();
    const { signal } = controller;
    const promises = [waitFor(session, 'flush', 5, signal), waitFor(session, 'flush', 5, undefined), waitFor(session, 'flush', 1, signal)];
    settleWaiters(session, 'flush', 1);
    expect(getEventListeners(signal, 'abort').length).to.equal(1);
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await fates(promises)).to.deep.equal(['ERR_ABORTED', 'pending', 'resolved']);
    expect(getEventListeners(signal, 'abort').length).to.equal(0);
    const late = await waitFor(session, 'drain', 0, signal).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect([SessionError.is(late, 'ERR_ABORTED'), (late as SessionError).cause]).to.deep.equal([true, reason]);
    settleWaiters(session, 'flush', 5);
    expect(await fates(promises)).to.deep.equal(['ERR_ABORTED', 'resolved', 'resolved']);
  });

  it('leave no listener behind at the end', () => {
    const session: WaitedFor = { waiters: NOBODY };
    const { signal } = new AbortController();
    waitFor(session, 'drain', 0, signal).catch(() => {});
    endWaiters(session, undefined);
    expect(getEventListeners(signal, 'abort').length).to.equal(0);
  });
});
