// Lent payloads in development: a buffer that is changed before its bytes were acked is noticed when it would be sent, first or again.

import { expect } from 'chai';
import type { SessionCore } from '../../lib/core/session-core.ts';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { coreOf, FRESH, written } from '../support/cores.ts';

const LENT_BYTES = 8192;

function lending(checkLent: boolean): { core: SessionCore<Buffer>; payload: Buffer } {
  const core = coreOf('dial', { framing: lengthPrefix(), limits: { checkLent } });
  core.circuitUp(FRESH, core.positions(), 0, 0);
  const payload = Buffer.alloc(LENT_BYTES, 1);
  core.send(payload, true);
  return { core, payload };
}

describe('lent payloads', () => {
  it('are sent, and sent again, while nobody changes them', () => {
    const { core, payload } = lending(true);
    expect(written(core, 0).includes(payload)).to.equal(true);
    core.circuitLost(false, 0);
    core.circuitUp(FRESH, core.positions(), 0, 0);
    expect(written(core, 0).includes(payload)).to.equal(true);
    expect(core.state).to.equal('attached');
  });

  for (const resent of [false, true]) {
    it(`changed before they are sent ${resent ? 'again' : 'at all'} end the session of who changed them`, () => {
      const { core, payload } = lending(true);
      if (resent) {
        written(core, 0);
        core.circuitLost(false, 0);
        core.circuitUp(FRESH, core.positions(), 0, 0);
      }
      payload[5000] = 2;
      written(core, 0);
      expect([core.state, core.cause?.code]).to.deep.equal(['closed', 'ERR_APPLICATION']);
      expect(core.cause?.message).to.include('lent');
    });
  }

  it('outside of development nothing is checked', () => {
    const { core, payload } = lending(false);
    payload[5000] = 2;
    expect(written(core, 0).includes(payload)).to.equal(true);
    expect(core.state).to.equal('attached');
  });
});
