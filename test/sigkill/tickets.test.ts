// A few kills of servers that store nothing, in every run of the tests; `npm run test:sigkill -- 200 100000 1 tickets` does many.

import { expect } from 'chai';
import { runTicketKills } from './tickets.ts';

describe('SIGKILL of servers with tickets', () => {
  it('six kills of two servers: every number has counted once', async function () {
    this.timeout(60_000);
    const { seen, sum, serverKills, broken } = await runTicketKills({ messages: 3_000, kills: 6, seed: 1 });
    expect(broken).to.deep.equal([]);
    expect({ seen, sum, serverKills }).to.deep.equal({ seen: 3_000, sum: (3_000 * 2_999) / 2, serverKills: 6 });
  });
});
